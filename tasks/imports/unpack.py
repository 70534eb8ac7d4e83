"""From an inbox object on disk to the text files in it: plain, .gz, .zst, .zip, or zips in a zip.

What a file is, is seen from its first bytes and not from its name, which people change. Sizes are
bounded as they are written, so that what an archive says of itself does not matter.
"""

import errno
import gzip
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tasks.core.change_fields import UNSEEN, shown
from tasks.core.errors import Unreadable
from tasks.core.settings import Settings
from tasks.imports.limits import UnpackedSize

try:
    from compression.zstd import ZstdError, ZstdFile  # type: ignore[import-not-found]
except ImportError:
    from backports.zstd import ZstdError, ZstdFile

_CHUNK_BYTES = 1 << 20
_DEPTH = 2  # AEMO's weekly archives are zips of zips
_MOST_MEMBERS = 10_000  # a month of prices every five minutes is 8,928
_LONGEST_NAME = 500
_ENTRY = b"PK\x01\x02"  # begins a member's entry in a zip's table of contents
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Member:
    """A text file that was in an object: its name (a zip's within it: 'a.zip/b.csv'), and where."""

    name: str
    path: Path


@dataclass
class _Limits:
    size: UnpackedSize
    members_left: int = _MOST_MEMBERS

    def take_member(self) -> None:
        self.members_left -= 1
        if self.members_left < 0:
            raise _too_many()


def unpack(path: Path, name: str, folder: Path, settings: Settings) -> list[Member]:
    """Unpack a file into a folder; return what was in it, in the order of names.

    A plain file is returned as it is. Empty members, folders, and what macOS adds are left out.

    Args:
        path: the file as it was downloaded.
        name: what it and its members are called in messages.
        folder: an empty folder for what is unpacked.
        settings: how big it may be, unpacked.

    Raises:
        Unreadable: a broken or encrypted archive, or one beyond the limits. The message names it.
    """
    limits = _Limits(UnpackedSize(settings, path.stat().st_size))
    try:
        members = list(_members(path, name, folder, limits, _DEPTH))
    except (
        *(zlib.error, EOFError, gzip.BadGzipFile, ZstdError, zipfile.BadZipFile),
        *(NotImplementedError, ValueError, OSError),
    ) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # of this machine's disk
        raise Unreadable(
            f"{name}: broken archive: {error or type(error).__name__}; pack and upload it again"
        ) from None
    return sorted(members, key=lambda member: member.name)


def _members(path: Path, name: str, folder: Path, limits: _Limits, depth: int) -> Iterator[Member]:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic[:2] == b"PK":
        if not depth:
            raise Unreadable(f"{name}: zips within zips within zips; upload the inner ones")
        yield from _zipped(path, name, folder, limits, depth)
    elif magic[:2] == b"\x1f\x8b" or magic == b"\x28\xb5\x2f\xfd":
        limits.take_member()
        unpacked = folder / f"{limits.members_left}.txt"
        with gzip.open(path) if magic[:2] == b"\x1f\x8b" else ZstdFile(path) as packed:
            _copy(packed, unpacked, limits.size)
        yield Member(name, unpacked)
    else:
        yield Member(name, path)


def _zipped(path: Path, name: str, folder: Path, limits: _Limits, depth: int) -> Iterator[Member]:
    _require_few(path)
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            hidden = info.filename.startswith("__MACOSX/") or info.filename.endswith(".DS_Store")
            if info.is_dir() or hidden or not info.file_size:
                continue
            _require_name(info.filename)
            inner = f"{name}/{info.filename}"
            if info.flag_bits & 1:
                raise Unreadable(f"{inner}: encrypted; upload it without a password")
            if info.compress_type not in _METHODS:
                raise Unreadable(f"{inner}: packed in an unusual way; pack it as zip does")
            limits.take_member()
            unpacked = folder / f"{limits.members_left}.txt"
            with archive.open(info) as packed:
                _copy(packed, unpacked, limits.size)
            yield from _members(unpacked, inner, folder, limits, depth - 1)


def _require_few(path: Path) -> None:
    """Refuse a zip of very many members before its table of contents is in memory."""
    found, rest = 0, b""
    with path.open("rb") as file:
        while found <= _MOST_MEMBERS and (chunk := file.read(_CHUNK_BYTES)):
            found += (rest + chunk).count(_ENTRY)
            rest = chunk[1 - len(_ENTRY) :]
    if found > _MOST_MEMBERS:
        raise _too_many()


def _too_many() -> Unreadable:
    return Unreadable(f"over {_MOST_MEMBERS:,} files are in it; split it and upload the parts")


def _require_name(name: str) -> None:
    if len(name) > _LONGEST_NAME or UNSEEN.search(name):
        raise Unreadable(
            f"the name of a file in it, {shown(name)}, has over {_LONGEST_NAME} characters, or "
            "characters that are not shown; give the file another name"
        )


def _copy(packed: IO[bytes] | ZstdFile, unpacked: Path, size: UnpackedSize) -> None:
    with unpacked.open("wb") as file:
        while chunk := packed.read(_CHUNK_BYTES):
            size.take(len(chunk))
            file.write(chunk)
