"""Blocks of lines as the tests of what reads them need them, made without S3."""

from datetime import UTC, datetime

from tasks.imports.spool import COLUMNS, Block, Source
from tasks.io.object_store import ObjectVersion

STORED = datetime(2025, 10, 1, tzinfo=UTC)


def version(key: str, size: int = 1) -> ObjectVersion:
    return ObjectVersion(key, f"etag of {key}", size, STORED)


def block_of(*texts: str | bytes, columns: tuple[str, ...] = COLUMNS) -> Block:
    """Lay the lines of some sources, events/0.csv and so on, one after the other in a block."""
    block = Block(columns)
    for number, text in enumerate(texts):
        body = text.encode() if isinstance(text, str) else text
        part = Block(columns, [(0, Source(version(f"events/{number}.csv"), number), 2)])
        part.add(body, body.count(b"\n"), body.isascii(), b'"' in body)
        block.extend(part)
    return block
