"""From an inbox object on disk to the text files in it: plain, .gz, .zst, .zip, or zips in a zip.

What a file is, is seen from its first bytes and not from its name, which people change. Sizes are
bounded as they are written, so that what an archive says of itself does not matter.
"""

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tasks.core.errors import Unreadable

try:
    from compression.zstd import ZstdError, ZstdFile  # type: ignore[import-not-found]
except ImportError:
    from backports.zstd import ZstdError, ZstdFile

_CHUNK_BYTES = 1 << 20
_DEPTH = 2  # AEMO's weekly archives are zips of zips


@dataclass(frozen=True)
class Member:
    """A text file that was in an object: its name (a zip's within it: 'a.zip/b.csv'), and where."""

    name: str
    path: Path


@dataclass
class _Limits:
    name: str
    bytes_left: int
    members_left: int

    def take(self, size: int) -> None:
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise Unreadable(f"{self.name}: unpacked, it is too big; split it and upload the parts")

    def take_member(self) -> None:
        self.members_left -= 1
        if self.members_left < 0:
            raise Unreadable(f"{self.name}: too many files in it; split it and upload the parts")


def unpack(
    path: Path, name: str, folder: Path, max_bytes: int = 8 << 30, max_members: int = 10_000
) -> list[Member]:
    """Unpack a file into a folder; return what was in it, in the order of names.

    A plain file is returned as it is. Empty members, folders, and what macOS adds are left out.

    Args:
        path: the file as it was downloaded.
        name: what it and its members are called in messages.
        folder: an empty folder for what is unpacked.
        max_bytes: how much all members may have, unpacked.
        max_members: how many there may be.

    Raises:
        Unreadable: a broken or encrypted archive, or one beyond the limits. The message names it.
    """
    limits = _Limits(name, max_bytes, max_members)
    try:
        members = list(_members(path, name, folder, limits, _DEPTH))
    except (
        *(zlib.error, EOFError, gzip.BadGzipFile, ZstdError, zipfile.BadZipFile),
        *(NotImplementedError, OSError, ValueError),
    ) as error:
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
            _copy(packed, unpacked, limits)
        yield Member(name, unpacked)
    else:
        yield Member(name, path)


def _zipped(path: Path, name: str, folder: Path, limits: _Limits, depth: int) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            hidden = info.filename.startswith("__MACOSX/") or info.filename.endswith(".DS_Store")
            if info.is_dir() or hidden or not info.file_size:
                continue
            inner = f"{name}/{info.filename}"
            if info.flag_bits & 1:
                raise Unreadable(f"{inner}: encrypted; upload it without a password")
            limits.take_member()
            unpacked = folder / f"{limits.members_left}.txt"
            with archive.open(info) as packed:
                _copy(packed, unpacked, limits)
            yield from _members(unpacked, inner, folder, limits, depth - 1)


def _copy(packed: IO[bytes] | ZstdFile, unpacked: Path, limits: _Limits) -> None:
    with unpacked.open("wb") as file:
        while chunk := packed.read(_CHUNK_BYTES):
            limits.take(len(chunk))
            file.write(chunk)
