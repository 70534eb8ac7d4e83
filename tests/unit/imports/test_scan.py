"""Spool files as fields and as lines, and where each row came from."""

import io
from pathlib import Path

import polars as pl

from tasks.imports.scan import OVERFLOW, key_of, origins, scan_fields, scan_lines, text_columns
from tasks.imports.spool import COLUMNS
from tests.unit.imports.spooled import spooled

ROW = "6001000001,2025-09-01,Discharge,1.5,25\n"
TEXTS = tuple(f"text_{name.lower()}" for name in COLUMNS)


def test_columns_are_named_by_what_is_read_of_them(tmp_path: Path) -> None:
    columns = ("NOTE", "TARIFF", "EVENT_ID", "NMI", "INTERVAL_END", "REJECTED_ID", "NOTE", "ENERGY")
    assert text_columns(spooled(tmp_path, columns=columns)) == [
        "further_0",
        "text_tariff",
        "text_event_id",
        "text_nmi",
        "text_date",
        "text_rejected_id",
        "further_6",
        "text_energy",
    ]


def test_fields_are_text_as_it_stands_there(tmp_path: Path) -> None:
    """Short rows have nulls, blank lines are rows, and what is too much has its columns."""
    text = ROW + "\n a ,\n" + ROW.strip() + ",x,y,z\n" + "\ufeff007,,,,\n"
    found = scan_fields(spooled(tmp_path, text)).collect()
    assert found.columns == ["row", *TEXTS, *OVERFLOW]
    plain = tuple(ROW.strip().split(","))
    assert found.rows() == [
        (0, *plain, None, None),
        (1, *[None] * 7),
        (2, " a ", *[None] * 6),
        (3, *plain, "x", "y"),
        (4, "\ufeff007", *[None] * 6),
    ]


def test_quotes_are_read_where_there_are_any(tmp_path: Path) -> None:
    file = spooled(tmp_path, '"a, ""b""",2,3,4,5\n')
    assert scan_fields(file).collect()["text_nmi"].to_list() == ['a, "b"']


def test_a_bad_byte_costs_its_field_alone(tmp_path: Path) -> None:
    file = spooled(tmp_path, b"60\xff1,2,3,4,5\n" + ROW.encode())
    assert scan_fields(file).collect()["text_nmi"].to_list() == ["60\ufffd1", "6001000001"]


def test_some_lines_are_read_like_the_file(tmp_path: Path) -> None:
    file = spooled(tmp_path, ROW * 3)
    some = scan_fields(file, io.BytesIO(f"\n{ROW}".encode())).collect()
    assert some.equals(scan_fields(file).head(1).collect())


def test_lines_are_whole_whatever_is_in_them(tmp_path: Path) -> None:
    text = 'a,"b\n\n,,\r\n"x" y\n'
    assert scan_lines(spooled(tmp_path, text)).collect().rows() == [
        (0, 'a,"b'),
        (1, None),
        (2, ",,"),
        (3, '"x" y'),
    ]
    assert scan_lines(spooled(tmp_path)).collect().is_empty()


def test_each_row_has_its_source_and_line(tmp_path: Path) -> None:
    """The header is line 1; a source without lines has none of the rows."""
    file = spooled(tmp_path, ROW * 2, "", ROW, ROW * 2)
    rows = pl.Series([0, 1, 2, 3, 4, 2], dtype=pl.UInt32)
    numbers, lines = origins(file)(rows)
    assert list(zip(numbers, lines, strict=True)) == [
        *[(0, 2), (0, 3), (2, 2), (3, 2), (3, 3), (2, 2)]
    ]
    keys = pl.DataFrame({"source": numbers}).select(key_of(file))["key"]
    assert keys.to_list() == [f"events/{number}.csv" for number in (0, 0, 2, 3, 3, 2)]


def test_one_source_alone_is_read_the_same(tmp_path: Path) -> None:
    file = spooled(tmp_path, ROW * 3)
    file.sources[0].number = 7
    numbers, lines = origins(file)(pl.Series([0, 2], dtype=pl.UInt32))
    assert (numbers.to_list(), lines.to_list()) == ([7, 7], [2, 4])
