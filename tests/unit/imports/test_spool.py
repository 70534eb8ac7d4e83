"""Spooling: objects become blocks of lines of known origin, or say why they cannot be read."""

import gzip
import hashlib

import pytest

from tasks.core.errors import ChangedMeanwhile, Unreadable
from tasks.imports.spool import COLUMNS, Block, Source, read_blocks
from tasks.io.object_store import ObjectStore
from tests.through_s3 import HEADER
from tests.unit.imports.packed import put

ROW = "6001000001,2025-09-01,Discharge,1.5,25\n"


def read_all(
    store: ObjectStore, files: dict[str, str | bytes]
) -> tuple[list[Source], list[tuple[Block, str]]]:
    """Put files; return what was read of them, and each block with its text."""
    put(store, {f"events/{name}": data for name, data in files.items()})
    sources: list[Source] = []
    blocks = [*read_blocks(store, store.versions("events/"), sources)]
    return sources, [(block, block.take_lines().decode()) for block in blocks]


def places(block: Block) -> list[tuple[int, str, int]]:
    return [(row, source.object.key, line) for row, source, line in block.origins]


def test_files_with_the_same_columns_share_a_block(store: ObjectStore) -> None:
    other = "note,nmi,Date,EVENT_TYPE,ENERGY,TARIFF\n"
    files = {"a.csv": HEADER + ROW * 2, "b.csv": f"{other}x,{ROW}", "c.csv": HEADER.lower() + ROW}
    sources, [(first, text), (second, other_text)] = read_all(store, {**files, "d.csv": HEADER})
    assert (first.columns, second.columns) == (COLUMNS, ("NOTE", *COLUMNS))
    assert (text, other_text) == (f"\n{ROW}{ROW}{ROW}", f"\nx,{ROW}")
    assert places(first) == [(0, "events/a.csv", 2), (2, "events/c.csv", 2), (3, "events/d.csv", 2)]
    assert (first.rows, second.rows) == (3, 1)
    assert [source.number for source in sources] == [0, 1, 2, 3]
    assert [source.ignored_columns for source in sources] == [(), ("NOTE",), (), ()]


@pytest.mark.parametrize("size", [1, 3, 41, 1000])
def test_a_big_file_is_cut_into_blocks_of_whole_lines(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("tasks.io.object_store.CHUNK_BYTES", size)
    monkeypatch.setattr("tasks.imports.spool._BLOCK_BYTES", 100)
    text = HEADER + ROW * 3 + "\n" + ROW * 9 + ROW.replace("6001000001", '"é"')
    [source], blocks = read_all(store, {"a.csv": text})
    assert "".join(lines.removeprefix("\n") for _, lines in blocks) == text.removeprefix(HEADER)
    line = 2
    for block, lines in blocks:
        assert places(block) == [(0, "events/a.csv", line)]
        assert lines.endswith("\n")
        assert block.rows == lines.count("\n") - 1
        line += block.rows
    assert len(blocks) > 1
    assert (blocks[-1][0].is_ascii, blocks[-1][0].is_quoted) == (False, True)
    assert source.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_columns_for_people_alone_are_no_ignored_ones(store: ObjectStore) -> None:
    people = "REASON,AT_STAKE_AUD,FILE,LINE,ROW"
    files: dict[str, str | bytes] = {
        "a.csv": f"REJECTED_ID,{HEADER.strip()},{people},note\n",
        "b.csv": f"EVENT_ID,{HEADER.strip()},ROW\n",
        "c.csv": HEADER.replace("DATE", "Interval_End"),
    }
    sources, _ = read_all(store, files)
    assert [source.ignored_columns for source in sources] == [("NOTE",), ("ROW",), ()]


@pytest.mark.parametrize(
    ("text", "is_ascii", "is_quoted"),
    [
        (ROW, True, False),
        (ROW.replace("1.5", '"1.5"'), True, True),
        (ROW.replace("6001", "é"), False, False),
    ],
)
def test_what_the_parser_may_rely_on_holds_for_the_whole_block(
    store: ObjectStore, text: str, is_ascii: bool, is_quoted: bool
) -> None:
    files: dict[str, str | bytes] = {"a.csv": HEADER + ROW + text, "b.csv": HEADER + ROW}
    _, [(block, _)] = read_all(store, files)
    assert (block.is_ascii, block.is_quoted) == (is_ascii, is_quoted)


@pytest.mark.parametrize("size", [1, 3, 41])
def test_a_line_end_over_two_pieces_is_seen(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("tasks.io.object_store.CHUNK_BYTES", size)
    text = f"{HEADER}{ROW}{ROW.replace('1.5', '')}".replace("\n", "\r\n")
    [source], [(block, _)] = read_all(store, {"a.csv": text})
    assert (source.failed, block.rows) == (None, 2)
    assert source.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_the_hash_is_that_of_the_unpacked_content(store: ObjectStore) -> None:
    text = (HEADER + ROW).encode()
    files = {"a.csv": text, "b.csv.gz": gzip.compress(text), "c.csv": text + b"\n"}
    sources, [(block, _)] = read_all(store, {**files})
    one, two, three = (source.sha256 for source in sources)
    assert one == two == hashlib.sha256(text).hexdigest() != three
    assert block.rows == 4


def test_the_last_line_is_ended(store: ObjectStore) -> None:
    """Else the first line of the next file would go on with it."""
    files: dict[str, str | bytes] = {"a.csv": HEADER + ROW.strip(), "b.csv": HEADER + ROW}
    _, [(block, text)] = read_all(store, files)
    assert text == f"\n{ROW}{ROW}"
    assert places(block) == [(0, "events/a.csv", 2), (1, "events/b.csv", 2)]


BROKEN = [
    (HEADER + ROW + '"' + ROW, "broken quoting: line 3 has a quote that is not closed on it"),
    (HEADER + ROW + "a\rb\n", "line 3 has a carriage return (CR) without LF"),
    (HEADER + ROW + "a\0b\n", "not text: it holds NUL bytes"),
    (HEADER + ROW + "a\u2028b\n", "line 3 holds a line separator (U+2028)"),
    ("nmi;DATE\n", "missing column NMI, DATE, EVENT_TYPE, ENERGY, TARIFF in the first line"),
    (f"{HEADER.strip()},nmi\n", "column NMI appears twice in the first line"),
    (f"{HEADER.strip()},INTERVAL_END\n", "it has both DATE and INTERVAL_END"),
    (f"{HEADER.strip()},CORRECTS_FILE\n", "a list of rejected rows of an earlier version"),
    ("", "empty: it has no header and no rows"),
]


@pytest.mark.parametrize(("broken", "failed"), BROKEN)
def test_a_file_that_fails_leaves_the_lines_around_it_as_they_are(
    store: ObjectStore, broken: str, failed: str
) -> None:
    files: dict[str, str | bytes] = {
        "a.csv": HEADER + ROW,
        "b.csv": broken,
        "c.csv.gz": gzip.compress((HEADER + ROW * 9).encode())[:-6],
        "d.csv": HEADER + ROW,
    }
    sources, [(block, text)] = read_all(store, files)
    first, second, third, fourth = sources
    assert (second.failed or "").startswith(failed)
    assert (third.failed or "").startswith("broken archive: ")
    assert (first.failed, fourth.failed) == (None, None)
    assert text == f"\n{ROW}{ROW}"
    assert [source for _, source, _ in block.origins] == [first, fourth]
    assert not block.is_quoted


@pytest.mark.parametrize(("broken", "failed"), [case for case in BROKEN if ROW in case[0]])
def test_a_file_that_fails_behind_its_first_block_ends_the_import(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, broken: str, failed: str
) -> None:
    """With its line as if it had been read at once."""
    monkeypatch.setattr("tasks.io.object_store.CHUNK_BYTES", len(HEADER + ROW))
    monkeypatch.setattr("tasks.imports.spool._BLOCK_BYTES", 1)
    with pytest.raises(Unreadable) as refused:
        read_all(store, {"a.csv": broken, "b.csv": HEADER + ROW})
    assert str(refused.value).startswith(failed)


def test_what_is_too_big_by_the_listing_is_not_read(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.settings = store.settings.model_copy(update={"max_unpacked_gb": 1e-9})
    monkeypatch.setattr(store, "stream", lambda *_: iter([]))  # an empty file would be another
    [source], blocks = read_all(store, {"a.csv": HEADER + ROW})
    assert str(source.failed).startswith("unpacked, it is too big: over 1e-09 GB")
    assert blocks == []


def test_nothing_but_failures_is_no_block(store: ObjectStore) -> None:
    sources, blocks = read_all(store, {"a.csv": HEADER + '"', "b.csv": "x"})
    assert blocks == []
    assert all(source.failed for source in sources)


def test_what_was_replaced_or_deleted_meanwhile_is_left_out(store: ObjectStore) -> None:
    names = ["a.csv", "b.csv", "c.csv"]
    put(store, {f"events/{name}": HEADER + ROW for name in names})
    listed = store.versions("events/")
    store.write("events/a.csv", (HEADER + ROW * 2).encode())
    store.delete("events/b.csv")
    sources: list[Source] = []
    blocks = [*read_blocks(store, listed, sources)]
    assert [source.object.key for source in sources] == ["events/c.csv"]
    assert [block.rows for block in blocks] == [1]
    with pytest.raises(ChangedMeanwhile):
        [*read_blocks(store, listed[:1], [])]
