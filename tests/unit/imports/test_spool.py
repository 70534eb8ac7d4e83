"""Spooling: objects become lines whose origin is known, or say why they cannot be read."""

import gzip
import hashlib
from pathlib import Path

import pytest

from tasks.imports.spool import COLUMNS, Source, SpoolFile, spool
from tasks.io.object_store import ObjectStore
from tests.through_s3 import HEADER
from tests.unit.imports.packed import put

ROW = "6001000001,2025-09-01,Discharge,1.5,25\n"


def spool_all(
    store: ObjectStore, folder: Path, files: dict[str, str | bytes]
) -> tuple[list[Source], list[SpoolFile]]:
    put(store, {f"events/{name}": data for name, data in files.items()})
    return spool(store, store.versions("events/"), folder)


def test_files_with_the_same_columns_lie_one_after_the_other(
    store: ObjectStore, tmp_path: Path
) -> None:
    other = "note,nmi,Date,EVENT_TYPE,ENERGY,TARIFF\n"
    files = {"a.csv": HEADER + ROW * 2, "b.csv": f"{other}x,{ROW}", "c.csv": HEADER.lower() + ROW}
    sources, spooled = spool_all(store, tmp_path, {**files, "d.csv": HEADER})
    assert [file.columns for file in spooled] == [COLUMNS, ("NOTE", *COLUMNS)]
    first, second = spooled
    assert first.path.read_text() == f"\n{ROW}{ROW}{ROW}"
    assert second.path.read_text() == f"\nx,{ROW}"
    assert [(of.object.key, of.first_row, of.lines) for of in first.sources] == [
        ("events/a.csv", 0, 2),
        ("events/c.csv", 2, 1),
        ("events/d.csv", 3, 0),
    ]
    assert (first.rows, second.rows) == (3, 1)
    assert [source.number for source in sources] == [0, 1, 2, 3]
    assert [source.ignored_columns for source in sources] == [(), ("NOTE",), (), ()]


def test_columns_for_people_alone_are_no_ignored_ones(store: ObjectStore, tmp_path: Path) -> None:
    people = "REASON,AT_STAKE_AUD,FILE,LINE,ROW"
    files: dict[str, str | bytes] = {
        "a.csv": f"REJECTED_ID,{HEADER.strip()},{people},note\n",
        "b.csv": f"EVENT_ID,{HEADER.strip()},ROW\n",
        "c.csv": HEADER.replace("DATE", "Interval_End"),
    }
    sources, _ = spool_all(store, tmp_path, files)
    assert [source.ignored_columns for source in sources] == [("NOTE",), ("ROW",), ()]


@pytest.mark.parametrize(
    ("text", "is_ascii", "is_quoted", "has_empty_fields"),
    [
        (ROW, True, False, False),
        (ROW.replace("1.5", '"1.5"'), True, True, False),
        (ROW.replace("1.5", ""), True, False, True),
        (ROW.replace("6001", "é"), False, False, False),
    ],
)
def test_what_the_parser_may_rely_on_holds_for_the_whole_file(
    store: ObjectStore,
    tmp_path: Path,
    text: str,
    is_ascii: bool,
    is_quoted: bool,
    has_empty_fields: bool,
) -> None:
    files: dict[str, str | bytes] = {"a.csv": HEADER + ROW + text, "b.csv": HEADER + ROW}
    _, [file] = spool_all(store, tmp_path, files)
    assert (file.is_ascii, file.is_quoted, file.has_empty_fields) == (
        is_ascii,
        is_quoted,
        has_empty_fields,
    )


@pytest.mark.parametrize("size", [1, 3, 41])
def test_an_empty_field_or_a_line_end_over_two_pieces_is_seen(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("tasks.io.object_store.CHUNK_BYTES", size)
    text = f"{HEADER}{ROW}{ROW.replace('1.5', '')}".replace("\n", "\r\n")
    [source], [file] = spool_all(store, tmp_path, {"a.csv": text})
    assert (source.failed, source.lines, file.has_empty_fields) == (None, 2, True)
    assert source.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_the_hash_is_that_of_the_unpacked_content(store: ObjectStore, tmp_path: Path) -> None:
    text = (HEADER + ROW).encode()
    sources, [file] = spool_all(
        store, tmp_path, {"a.csv": text, "b.csv.gz": gzip.compress(text), "c.csv": text + b"\n"}
    )
    one, two, three = (source.sha256 for source in sources)
    assert one == two == hashlib.sha256(text).hexdigest() != three
    assert file.rows == 4


def test_the_last_line_is_ended(store: ObjectStore, tmp_path: Path) -> None:
    """Else the first line of the next file would go on with it."""
    files: dict[str, str | bytes] = {"a.csv": HEADER + ROW.strip(), "b.csv": HEADER + ROW}
    sources, [file] = spool_all(store, tmp_path, files)
    assert file.path.read_text() == f"\n{ROW}{ROW}"
    assert [source.lines for source in sources] == [1, 1]


@pytest.mark.parametrize(
    ("broken", "failed"),
    [
        (HEADER + ROW + '"' + ROW, "broken quoting: line 3 has a quote that is not closed on it"),
        (HEADER + ROW + "a\rb\n", "line 3 has a carriage return (CR) without LF"),
        (HEADER + ROW + "a\0b\n", "not text: it holds NUL bytes"),
        (HEADER + ROW + "a\u2028b\n", "line 3 holds a line separator (U+2028)"),
        ("nmi;DATE\n", "missing column NMI, DATE, EVENT_TYPE, ENERGY, TARIFF in the first line"),
        (f"{HEADER.strip()},nmi\n", "column NMI appears twice in the first line"),
        (f"{HEADER.strip()},INTERVAL_END\n", "it has both DATE and INTERVAL_END"),
        (f"{HEADER.strip()},CORRECTS_FILE\n", "a list of rejected rows of an earlier version"),
        ("", "empty: it has no header and no rows"),
    ],
)
def test_a_file_that_fails_leaves_the_lines_around_it_as_they_are(
    store: ObjectStore, tmp_path: Path, broken: str, failed: str
) -> None:
    files: dict[str, str | bytes] = {
        "a.csv": HEADER + ROW,
        "b.csv": broken,
        "c.csv.gz": gzip.compress((HEADER + ROW * 9).encode())[:-6],
        "d.csv": HEADER + ROW,
    }
    sources, [file] = spool_all(store, tmp_path, files)
    first, second, third, fourth = sources
    assert (second.failed or "").startswith(failed)
    assert (third.failed or "").startswith("broken archive: ")
    assert (second.lines, third.lines, first.failed, fourth.failed) == (0, 0, None, None)
    assert file.path.read_text() == f"\n{ROW}{ROW}"
    assert file.sources == [first, fourth]
    assert (fourth.first_row, file.is_quoted) == (1, False)


def test_nothing_but_failures_is_no_file(store: ObjectStore, tmp_path: Path) -> None:
    sources, spooled = spool_all(store, tmp_path, {"a.csv": HEADER + '"', "b.csv": "x"})
    assert spooled == []
    assert all(source.failed for source in sources)


@pytest.mark.parametrize("number", [1, 3])
def test_what_was_replaced_or_deleted_meanwhile_is_left_out(
    store: ObjectStore, tmp_path: Path, number: int
) -> None:
    names = ["a.csv", "b.csv", "c.csv"][:number]
    put(store, {f"events/{name}": HEADER + ROW for name in names})
    listed = store.versions("events/")
    store.write("events/a.csv", (HEADER + ROW * 2).encode())
    store.delete("events/b.csv")
    sources, files = spool(store, listed, tmp_path)
    assert [source.object.key for source in sources] == ["events/c.csv"] * (number == 3)
    assert [file.rows for file in files] == [1] * (number == 3)
