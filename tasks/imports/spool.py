"""From inbox objects to blocks of plain CSV lines, with the origin of each line, as they arrive.

Small objects with the same columns share a block, so that 5,000 of them are parsed like a big one.
Nothing is kept but the blocks that are being filled. What decides whether a file can be read at all
is decided here, in terms that do not depend on a parser: it must be UTF-8-like text, unpack without
error, name all columns in its first line, close every quote on the line that opened it, end its
lines with LF or CRLF, and be within the limits (`limits.py`).
"""

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain

from tasks.core.errors import ChangedMeanwhile, Unreadable
from tasks.core.settings import Settings
from tasks.imports.limits import Lines, NotTogether, UnpackedSize, has_bare_cr, too_long
from tasks.io.object_store import CHUNK_BYTES, ObjectStore, ObjectVersion

try:
    from compression.zstd import ZstdError, ZstdFile  # type: ignore[import-not-found]
except ImportError:
    from backports.zstd import ZstdError, ZstdFile

COLUMNS = ("NMI", "DATE", "EVENT_TYPE", "ENERGY", "TARIFF")
INTERVAL_END = "INTERVAL_END"  # may be in the place of DATE
REJECTED_ID = "REJECTED_ID"  # with it, a row says which rejected row it corrects
EVENT_ID = "EVENT_ID"  # with it, a row says which event it is
# What else a list of rejected rows has, to be read by people.
LIST_COLUMNS = ("REASON", "AT_STAKE_AUD", "FILE", "LINE", "ROW")
_OPTIONAL = (REJECTED_ID, EVENT_ID)
_OLD_LIST_COLUMN = "CORRECTS_FILE"
_PARALLEL_READS = 16
_BLOCK_BYTES = 8 << 20
# A field takes 16 bytes and more once it is parsed, however short it is.
_BLOCK_FIELDS = 4 << 20

_SHORTEST_EVENT = 32  # bytes
_MOST_TOGETHER_BYTES = 4 << 30  # of lines of several objects
_PACKED = {b"PK\x03\x04": "zip", b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
# What some programs take for the end of a line, and the parser does not: rows would hide behind it.
_OTHER_LINE_ENDS = {
    b"\x0b": "a vertical tab",
    b"\x0c": "a form feed",
    b"\xc2\x85": "a NEL character (U+0085)",
    b"\xe2\x80\xa8": "a line separator (U+2028)",
    b"\xe2\x80\xa9": "a paragraph separator (U+2029)",
}

# A line whose quotes do not add up: some field is neither free of quotes nor quoted whole.
_FIELD = rb'(?:[^",\n]*|"(?:[^"\n]|"")*")'
_BADLY_QUOTED = re.compile(rb"^(?!" + _FIELD + rb"(?:," + _FIELD + rb")*\r?$)", re.MULTILINE)


@dataclass
class Source:
    """One object version, as it was read; `sha256` is that of the unpacked content."""

    object: ObjectVersion
    number: int
    sha256: str = ""
    failed: str | None = None
    ignored_columns: tuple[str, ...] = ()


@dataclass
class Block:
    """Whole lines of one or more sources with the same columns, without their headers.

    `origins` has for each part that is of one source its first row in the block, the source, and
    which line of the source that is. Blank lines are rows, too.
    """

    columns: tuple[str, ...]
    origins: list[tuple[int, Source, int]] = field(default_factory=list)
    chunks: list[bytes | memoryview] = field(default_factory=list)
    size: int = 0
    rows: int = 0
    is_ascii: bool = True
    is_quoted: bool = False

    def add(self, chunk: bytes | memoryview, rows: int, is_ascii: bool, is_quoted: bool) -> None:
        """Add some bytes, in which so many lines end."""
        self.chunks.append(chunk)
        self.size += len(chunk)
        self.rows += rows
        self.is_ascii = self.is_ascii and is_ascii
        self.is_quoted = self.is_quoted or is_quoted

    def extend(self, other: "Block") -> None:
        """Add another block's lines."""
        self.origins += [(self.rows + row, *origin) for row, *origin in other.origins]  # type: ignore[misc]
        self.add(b"".join(other.chunks), other.rows, other.is_ascii, other.is_quoted)

    def take_lines(self) -> bytes:
        """Return the lines behind an empty one, and forget them.

        A parser takes a byte order mark at the very beginning for no part of the text, and in a
        data row it is one.
        """
        lines = b"".join([b"\n", *self.chunks])
        self.chunks = []
        return lines


def read_blocks(
    store: ObjectStore, objects: list[ObjectVersion], sources: list[Source]
) -> Iterator[Block]:
    """Read objects as blocks of lines, and add to `sources` what was read.

    Several objects are taken to be small and are read side by side; one alone is streamed. Of
    several, one that was replaced since it was listed is left out: the next listing shows it again.

    Raises:
        Unreadable: an object cannot be read, and some of its lines were passed on already.
        ChangedMeanwhile: the one object was replaced since it was listed.
        NotTogether: together they are too big.
    """
    settings = store.settings
    unpacked_bytes = 0
    shared: dict[tuple[str, ...], Block] = {}
    for number, (version, body) in enumerate(_bodies(store, objects)):
        source = Source(version, number)
        sources.append(source)
        is_passed_on = False
        size = UnpackedSize(settings, version.size)
        try:
            UnpackedSize(settings, version.size).take(version.size)  # before a byte of it is read
            header, chunks = _unpacked(version.key, body, size)
            columns = _columns(header, settings)
            source.ignored_columns = _ignored(columns)
            sha256 = hashlib.sha256(header)
            seen = Lines(settings, min(len(columns), _SHORTEST_EVENT), first=2)
            for block, is_last in _blocks(source, columns, sha256, seen, chunks):
                if not is_last:
                    is_passed_on = True
                    yield block
                    continue
                shared.setdefault(columns, Block(columns)).extend(block)
                if shared[columns].size >= _BLOCK_BYTES:
                    yield shared.pop(columns)
            source.sha256 = sha256.hexdigest()
        except (zlib.error, EOFError, gzip.BadGzipFile, ZstdError, Unreadable) as error:
            source.failed = str(error)
            if not isinstance(error, Unreadable):
                source.failed = f"broken archive: {error}; pack and upload it again"
            if is_passed_on:
                raise Unreadable(source.failed) from None
        unpacked_bytes += size.unpacked_bytes
        if len(objects) > 1 and unpacked_bytes > _MOST_TOGETHER_BYTES:
            raise NotTogether
    yield from shared.values()


def _bodies(
    store: ObjectStore, objects: list[ObjectVersion]
) -> Iterator[tuple[ObjectVersion, Iterable[bytes]]]:
    if len(objects) == 1:
        yield objects[0], store.stream(objects[0].key, objects[0].etag)
        return

    def read(version: ObjectVersion) -> list[bytes] | None:
        try:
            return list(store.stream(version.key, version.etag))
        except ChangedMeanwhile:
            return None

    with ThreadPoolExecutor(_PARALLEL_READS) as pool:
        for version, body in zip(objects, pool.map(read, objects), strict=True):
            if body is not None:
                yield version, body


def _blocks(
    source: Source,
    columns: tuple[str, ...],
    sha256: "hashlib._Hash",
    seen: Lines,
    chunks: Iterable[bytes],
) -> Iterator[tuple[Block, bool]]:
    """Yield a source's lines as blocks, and whether it is the last; hash them on the way."""
    block = Block(columns, [(0, source, seen.first)])
    last = b"\n"
    for chunk in filter(None, chunks):
        sha256.update(chunk)
        before, is_ascii, is_quoted = seen.ended, chunk.isascii(), b'"' in chunk
        _check_line_ends(chunk, is_ascii, last, before)
        seen.take(chunk)
        last = chunk[-1:]
        rest, ended = memoryview(chunk), seen.ended - before
        fields = (block.rows + ended) * len(columns)
        if ended and (block.size + len(chunk) >= _BLOCK_BYTES or fields >= _BLOCK_FIELDS):
            end = len(chunk) - seen.unended_bytes
            block.add(rest[:end], ended, is_ascii, is_quoted)
            _check_quoting(block)
            yield block, False
            block = Block(columns, [(0, source, seen.first + seen.ended)])
            rest, ended = rest[end:], 0
        block.add(rest, ended, is_ascii, is_quoted)
    if last == b"\r":
        raise _bare_cr(seen.ended)
    if last != b"\n":
        block.add(b"\n", 1, is_ascii=True, is_quoted=False)
    _check_quoting(block)
    yield block, True


def _check_line_ends(chunk: bytes, is_ascii: bool, last: bytes, lines: int) -> None:
    """Look at a chunk; `last` is the byte before it, `lines` how many ended before it.

    Raises:
        Unreadable: it is no text, or what ends its lines is not LF or CRLF.
    """
    if b"\0" in chunk:
        raise Unreadable("not text: it holds NUL bytes; export it as CSV in UTF-8")
    if (last == b"\r" and chunk[:1] != b"\n") or has_bare_cr(chunk):
        at = 0 if last == b"\r" and chunk[:1] != b"\n" else re.search(rb"\r(?!\n)", chunk).start()  # type: ignore[union-attr]
        raise _bare_cr(lines + chunk.count(b"\n", 0, at))
    for character, name in _OTHER_LINE_ENDS.items():
        if (is_ascii and len(character) > 1) or (at := chunk.find(character)) < 0:
            continue
        line = lines + chunk.count(b"\n", 0, at) + 2
        raise Unreadable(
            f"line {line} holds {name}, which may end a line for "
            "the program that wrote it, so that rows would be lost: save it with LF or CRLF at the "
            "end of each line, or take the character out"
        )


def _bare_cr(lines: int) -> Unreadable:
    return Unreadable(
        f"line {lines + 2} has a carriage return (CR) without LF: if CR alone ends the lines, "
        "rows would be lost; save it with LF or CRLF at the end of each line"
    )


def _check_quoting(block: Block) -> None:
    if not block.is_quoted:
        return
    lines = b"".join(block.chunks)
    block.chunks = [lines]
    # The empty "line" behind the last newline is well quoted.
    if broken := _BADLY_QUOTED.search(lines):
        [(_, _, first)] = block.origins
        line = first + lines.count(b"\n", 0, broken.start())
        raise Unreadable(
            f"broken quoting: line {line} has a quote that is not closed on it, or that stands "
            "inside a field; correct the line and upload the file again"
        )


def _columns(line: bytes, settings: Settings) -> tuple[str, ...]:
    """Return the header's names in upper case.

    Raises:
        Unreadable: the line does not name each of the five columns once, or it is beyond a limit.
    """
    text = _header(line, settings.max_line_bytes)
    if text.count(",") >= settings.max_columns:
        raise Unreadable(
            f"the first line names over {settings.max_columns:,} columns (VPP_MAX_COLUMNS); leave "
            "out those that are not read"
        )
    try:
        names = tuple(name.strip().upper() for name in next(csv.reader([text]), []))
    except csv.Error as error:
        raise Unreadable(f"the first line {text[:200]!r} is no header: {error}") from None
    if _OLD_LIST_COLUMN in names:
        raise Unreadable(
            "a list of rejected rows of an earlier version; correct the one that the next run of "
            "settle-month writes"
        )
    if "DATE" in names and INTERVAL_END in names:
        raise Unreadable("it has both DATE and INTERVAL_END; leave one of the two columns out")
    date = INTERVAL_END if INTERVAL_END in names else "DATE"
    wanted = [date if name == "DATE" else name for name in COLUMNS]
    if missing := [name for name in wanted if name not in names]:
        separator = next((s for s in (";", "\t", "|") if s in text), None)
        hint = f"; it is separated by {separator!r}, export it with commas" if separator else ""
        raise Unreadable(
            f"missing column {', '.join(missing)} in the first line {text[:200]!r}{hint}"
        )
    if repeated := [name for name in (*wanted, *_OPTIONAL) if names.count(name) > 1]:
        raise Unreadable(
            f"column {', '.join(repeated)} appears twice in the first line {text[:200]!r}"
        )
    return names


def _header(line: bytes, longest: int) -> str:
    """Return the text of a first line of at most so many bytes.

    Raises:
        Unreadable: it is no text, or no header by any account.
    """
    for magic, packing in _PACKED.items():
        if line.startswith(magic):
            raise Unreadable(
                f"not text: it is packed ({packing}); only .csv.gz (gzip) and .csv.zst (zstd) are "
                "unpacked, by that name"
            )
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable("not text: it is UTF-16; save it as CSV in UTF-8")
    if len(line.rstrip(b"\r\n")) > longest:
        raise too_long(1, longest)
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("not text: its first line is not UTF-8; save it as UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if "\0" in text:
        raise Unreadable("not text: it holds NUL bytes; export it as CSV in UTF-8")
    if not line:
        raise Unreadable("empty: it has no header and no rows")
    if "\r" in text:
        raise _bare_cr(-1)
    return text


def _ignored(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that are not read. A list of rejected rows has some for people alone."""
    read = {*COLUMNS, INTERVAL_END, *_OPTIONAL}
    if REJECTED_ID in columns:
        read |= set(LIST_COLUMNS)
    return tuple(name for name in columns if name not in read)


def _unpacked(key: str, body: Iterable[bytes], size: UnpackedSize) -> tuple[bytes, Iterator[bytes]]:
    """Return unpacked content: its first line, or the beginning of an endless one, and the rest."""
    longest = size.settings.max_line_bytes + 1
    if not key.lower().endswith((".gz", ".zst")):
        chunks = iter(body)
        begun = next(chunks, b"")
        while b"\n" not in begun and len(begun) < longest and (more := next(chunks, b"")):
            begun += more
        end = begun.find(b"\n", 0, longest) + 1 or longest
        return begun[:end], _counted(chain([begun[end:]], chunks), size)
    packed = io.BufferedReader(_ChunkReader(body), CHUNK_BYTES)
    stream: gzip.GzipFile | ZstdFile = (
        gzip.GzipFile(fileobj=packed) if key.lower().endswith(".gz") else ZstdFile(packed)
    )
    header = stream.readline(longest)
    return header, _counted(iter(lambda: stream.read(CHUNK_BYTES), b""), size)


def _counted(chunks: Iterable[bytes], size: UnpackedSize) -> Iterator[bytes]:
    for chunk in chunks:
        size.take(len(chunk))
        yield chunk


class _ChunkReader(io.RawIOBase):
    """An iterator of byte chunks as a file to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._left:
            self._left = memoryview(next(self._chunks, b""))
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size
