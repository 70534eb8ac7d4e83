"""Unpacking: which text files are in an object, within bounds."""

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from tasks.core.errors import Unreadable
from tasks.core.settings import Settings
from tasks.imports import unpack as unpack_module
from tasks.imports.unpack import unpack

try:
    from compression.zstd import compress as zstd  # type: ignore[import-not-found]
except ImportError:
    from backports.zstd import compress as zstd

TEXT = b"100,NEM12\n" * 100


def zipped(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return packed.getvalue()


def unpacked(data: bytes, folder: Path, **limits: float) -> dict[str, bytes]:
    path, into = folder / "object", folder / "unpacked"
    path.write_bytes(data)
    into.mkdir()
    members = unpack(path, "a", into, Settings(**limits))
    return {member.name: member.path.read_bytes() for member in members}


@pytest.mark.parametrize(
    ("data", "members"),
    [
        (TEXT, {"a": TEXT}),
        (b"", {"a": b""}),
        (gzip.compress(TEXT), {"a": TEXT}),
        (zstd(TEXT), {"a": TEXT}),
        (zipped({}), {}),
        (
            zipped({"y.csv": TEXT, "x/": b"", "x/z.csv": b"1", "e": b"", "__MACOSX/y.csv": b"2"}),
            {"a/x/z.csv": b"1", "a/y.csv": TEXT},
        ),
        (
            zipped({"in.zip": zipped({"b.csv": TEXT}), "c.csv.gz": gzip.compress(b"3")}),
            {"a/in.zip/b.csv": TEXT, "a/c.csv.gz": b"3"},
        ),
    ],
)
def test_unpack(data: bytes, members: dict[str, bytes], tmp_path: Path) -> None:
    assert unpacked(data, tmp_path) == members


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (gzip.compress(TEXT)[:-5], "broken archive"),
        (zstd(TEXT)[:-5], "broken archive"),
        (zipped({"b": TEXT})[:-30], "broken archive"),
        (b"PK\x03\x04nothing", "broken archive"),
        (zipped({"b": zipped({"c": zipped({"d": TEXT})})}), "zips within zips within zips"),
    ],
)
def test_what_cannot_be_unpacked_says_so(data: bytes, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=f"^a.*: {sentence}"):
        unpacked(data, tmp_path)


@pytest.mark.parametrize("pack", [gzip.compress, zstd, lambda data: zipped({"b": data})])
def test_too_big(pack: object, tmp_path: Path) -> None:
    assert callable(pack)
    with pytest.raises(Unreadable, match=r"^unpacked, it is too big"):
        unpacked(pack(TEXT), tmp_path, max_unpacked_gb=999 / (1 << 30))


@pytest.mark.parametrize("pack", [gzip.compress, zstd, lambda data: zipped({"b": data})])
def test_too_tight(pack: object, tmp_path: Path) -> None:
    assert callable(pack)
    with pytest.raises(Unreadable, match=r"^unpacked, it is over 100 times as big"):
        unpacked(pack(bytes(65 << 20)), tmp_path, max_unpacked_ratio=100)


def test_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack_module, "_MOST_MEMBERS", 1)
    with pytest.raises(Unreadable, match=r"^over 1 files are in it"):
        unpacked(zipped({"b": b"1", "c": b"2"}), tmp_path)


def test_a_name_that_misleads(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"^the name of a file in it, 'a\\u202evsc.csv', has"):
        unpacked(zipped({"a\u202evsc.csv": b"1"}), tmp_path)


def test_another_method(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("b", TEXT)
    with pytest.raises(Unreadable, match=r"^a/b: packed in an unusual way"):
        unpacked(packed.getvalue(), tmp_path)


def test_an_encrypted_member(tmp_path: Path) -> None:
    data = bytearray(zipped({"b": TEXT}))
    for flags in (6, data.index(b"PK\x01\x02") + 8):
        data[flags] |= 1
    with pytest.raises(Unreadable, match=r"^a/b: encrypted"):
        unpacked(bytes(data), tmp_path)
