"""Spool files as the tests of what reads them need them, made without S3."""

from datetime import UTC, datetime
from pathlib import Path

from tasks.imports.spool import COLUMNS, Source, SpoolFile
from tasks.io.object_store import ObjectVersion

STORED = datetime(2025, 10, 1, tzinfo=UTC)


def version(key: str, size: int = 1) -> ObjectVersion:
    return ObjectVersion(key, f"etag of {key}", size, STORED)


def spooled(folder: Path, *texts: str | bytes, columns: tuple[str, ...] = COLUMNS) -> SpoolFile:
    """Lay the lines of some sources, events/0.csv and so on, one after the other in a file."""
    bodies = [text.encode() if isinstance(text, str) else text for text in texts]
    data = b"".join(bodies)
    file = SpoolFile(folder / "0.csv", columns)
    file.path.write_bytes(b"\n" + data)
    for number, body in enumerate(bodies):
        lines = body.count(b"\n")
        source = Source(version(f"events/{number}.csv"), number, "", file.rows, lines)
        file.sources.append(source)
        file.rows += lines
    file.is_ascii, file.is_quoted = data.isascii(), b'"' in data
    file.has_empty_fields = b",," in data
    return file
