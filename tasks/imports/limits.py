"""What an inbox object may hold, whoever made it, so that no import takes all memory or disk.

The limits are checked while an object is read, before a parser sees it. An object beyond one is a
failed import, with a sentence that names the limit and its setting.
"""

from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import Unreadable
from tasks.core.settings import Settings


class NotTogether(Exception):
    """A group of files cannot be read together; each is to be read alone."""


# An object with more rejected is not read to its end: they are held in memory.
MOST_REJECTED_BYTES = 64 << 20
MOST_REJECTED_ROWS = 1_000_000  # of meter data and prices; of events it is a setting
_CHUNK_BYTES = 1 << 20
_SHORTEST_RECORD = 4  # '900' and the end of its line
_MOST_SHORT_LINES = 100_000
_SMALL_BYTES = 64 << 20  # whose ratio does not matter


@dataclass
class UnpackedSize:
    """Counts what is unpacked of an object of `packed_bytes`."""

    settings: Settings
    packed_bytes: int
    unpacked_bytes: int = 0

    def take(self, size: int) -> None:
        """Count some more bytes.

        Raises:
            Unreadable: they are too many.
        """
        self.unpacked_bytes += size
        if self.unpacked_bytes > self.settings.max_unpacked_gb * (1 << 30):
            raise Unreadable(
                f"unpacked, it is too big: over {self.settings.max_unpacked_gb:g} GB "
                "(VPP_MAX_UNPACKED_GB); split it and upload the parts"
            )
        ratio = self.settings.max_unpacked_ratio
        if self.unpacked_bytes > max(_SMALL_BYTES, ratio * self.packed_bytes):
            raise Unreadable(
                f"unpacked, it is over {ratio} times as big (VPP_MAX_UNPACKED_RATIO), as no data "
                "of meters or markets is; unpack it and upload the parts"
            )


def too_long(line: int, most: int) -> Unreadable:
    """Say that a line is longer than so many bytes."""
    return Unreadable(
        f"line {line} is longer than {most:,} bytes (VPP_MAX_LINE_BYTES), as no row is; export the "
        "file again"
    )


@dataclass
class Lines:
    """Looks at a text in chunks, and counts its lines.

    `width` is how many bytes a line has at least, its end included, if it is no blank one.
    """

    settings: Settings
    width: int
    first: int  # the number of its first line
    ended: int = 0
    unended_bytes: int = 0
    short: int = 0

    def take(self, chunk: bytes) -> None:
        """Look at the next chunk.

        Raises:
            Unreadable: a line is too long, or too many are blank.
        """
        self._require_short(chunk)
        ended = chunk.count(b"\n")
        self.ended += ended
        # As lines are long on average, fewer than this may be blank.
        self.short += max(0, ended - len(chunk) // self.width)
        if self.short > _MOST_SHORT_LINES:
            raise Unreadable(
                f"over {_MOST_SHORT_LINES:,} of its lines up to line {self.first + self.ended:,} "
                "are blank, or too short to hold anything; export it again"
            )

    def _require_short(self, chunk: bytes) -> None:
        most = self.settings.max_line_bytes
        start, room = 0, most - self.unended_bytes
        while len(chunk) - start > room:
            end = chunk.rfind(b"\n", start, start + room + 1)
            if end < 0:
                number = self.first + self.ended + chunk.count(b"\n", 0, start)
                raise too_long(number, most)
            start, room = end + 1, most
        last = chunk.rfind(b"\n")
        self.unended_bytes = len(chunk) - last - 1 + (self.unended_bytes if last < 0 else 0)


def require_text(path: Path, name: str, settings: Settings) -> None:
    """Look at a file of meter data or prices before it is read.

    Raises:
        Unreadable: it is no text, has no rows, or is beyond a limit; the message names it.
    """
    try:
        _require_text(path, settings)
    except Unreadable as problem:
        raise Unreadable(f"{name}: {problem}") from None


def _require_text(path: Path, settings: Settings) -> None:
    lines, is_empty, last = Lines(settings, _SHORTEST_RECORD, 1), True, b"\n"
    with path.open("rb") as file:
        chunk = file.read(_CHUNK_BYTES)
        if chunk.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise Unreadable("not text: it is UTF-16; save it as CSV in UTF-8")
        if b"\n" not in chunk and b"\r" in chunk:
            raise Unreadable("its lines end in CR alone; save it with LF or CRLF")
        while chunk:
            if b"\0" in chunk:
                raise Unreadable("not text: it holds NUL bytes; use the file as it was sent")
            if (last == b"\r" and chunk[:1] != b"\n") or has_bare_cr(chunk):
                raise Unreadable(
                    "one of its lines has a carriage return (CR) without LF, behind which rows "
                    "would be lost; save it with LF or CRLF at the end of each line"
                )
            last = chunk[-1:]
            lines.take(chunk)
            is_empty = is_empty and not chunk.strip(b"\xef\xbb\xbf \t\r\n,")
            chunk = file.read(_CHUNK_BYTES)
    if is_empty:
        raise Unreadable("empty: it has no rows")


def has_bare_cr(chunk: bytes) -> bool:
    """Say whether a CR stands before anything but an LF; one at the end may yet get its LF."""
    if b"\r" not in chunk:  # one byte is found much faster than two are
        return False
    return chunk.count(b"\r") - chunk.endswith(b"\r") > chunk.count(b"\r\n")
