"""Limits on what an inbox object may hold, seen while it is read, wherever a chunk ends."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import Unreadable
from tasks.core.settings import Settings
from tasks.imports import limits
from tasks.imports.limits import Lines, UnpackedSize, require_text

KB = 1 << 10
SETTINGS = Settings(max_line_bytes=KB, max_unpacked_gb=0.25, max_unpacked_ratio=10)


@pytest.mark.parametrize(
    ("packed", "unpacked", "limit"),
    [
        (1, 64 << 20, None),  # whatever the ratio
        (1, (64 << 20) + 1, "VPP_MAX_UNPACKED_RATIO"),
        (10 << 20, 100 << 20, None),
        (10 << 20, (100 << 20) + 1, "VPP_MAX_UNPACKED_RATIO"),
        (100 << 20, 256 << 20, None),
        (100 << 20, (256 << 20) + 1, "VPP_MAX_UNPACKED_GB"),
    ],
)
def test_what_is_unpacked_is_no_bigger_than_it_may_be(
    packed: int, unpacked: int, limit: str | None
) -> None:
    """Members count together."""
    size = UnpackedSize(SETTINGS, packed)
    size.take(unpacked - 1)
    if limit is None:
        size.take(1)
    else:
        with pytest.raises(Unreadable, match=f"^unpacked, it is .*{limit}"):
            size.take(1)


@given(
    st.lists(st.sampled_from([0, 1, 7, KB - 1, KB, KB + 1, 3 * KB]), max_size=4),
    st.sampled_from([0, KB, KB + 1]),
    st.sampled_from([1, 100, KB, KB + 1, 10 * KB]),
)
def test_a_line_is_too_long_wherever_the_chunks_end(
    lengths: list[int], unended: int, chunk: int
) -> None:
    text = b"".join(b"x" * length + b"\n" for length in lengths) + b"x" * unended
    lines = Lines(SETTINGS, 4, first=2)
    too_long = [n for n, length in enumerate([*lengths, unended], 2) if length > KB]
    try:
        for start in range(0, len(text), chunk):
            lines.take(text[start : start + chunk])
    except Unreadable as problem:
        assert str(problem).startswith(
            f"line {too_long[0]} is longer than 1,024 bytes (VPP_MAX_LINE_BYTES), as no row is"
        )
    else:
        assert too_long == []
        assert lines.ended == len(lengths)


def test_lines_without_anything_in_them_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MOST_SHORT_LINES", 100)
    lines = Lines(SETTINGS, 10, first=1)
    lines.take(b"123456789\n" * 1000)
    lines.take(b"\n" * 100)
    with pytest.raises(Unreadable, match=r"^over 100 of its lines up to line 1,1\d\d are blank"):
        lines.take(b"\n" * 20)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "a: empty: it has no rows"),
        (b"\xef\xbb\xbf \r\n,,\n", "a: empty: it has no rows"),
        ("100,NEM12\n".encode("utf-16"), "a: not text: it is UTF-16"),
        (b"100,NEM12\r200\r", "a: its lines end in CR alone"),
        (b"100,NEM12\n2\x0000\n", "a: not text: it holds NUL bytes"),
        (b"100,NEM12\n" + b"3" * (KB + 1), "a: line 2 is longer than 1,024 bytes"),
    ],
)
@pytest.mark.parametrize("chunk", [10, 1 << 20])
def test_what_is_no_text_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, sentence: str, chunk: int
) -> None:
    monkeypatch.setattr(limits, "_CHUNK_BYTES", chunk)
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(Unreadable, match=f"^{re.escape(sentence)}"):
        require_text(tmp_path / "a", "a", SETTINGS)


def test_text_of_any_other_kind_is_let_through(tmp_path: Path) -> None:
    for data in (b"x", b"\n\n900\n", b"100,NEM12\r\n900\r\n", b"\xff" * KB):
        (tmp_path / "a").write_bytes(data)
        require_text(tmp_path / "a", "a", SETTINGS)
