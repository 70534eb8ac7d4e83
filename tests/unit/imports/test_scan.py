"""Blocks as fields and as lines, and where each row came from."""

from itertools import product
from typing import Any

import pytest

from tasks.imports.scan import origins, read_fields, read_lines, text_columns
from tasks.imports.spool import COLUMNS
from tests.unit.imports.blocks import block_of

ROW = "6001000001,2025-09-01,Discharge,1.5,25\n"
TEXTS = [f"text_{name.lower()}" for name in COLUMNS]


def fields_of(
    *texts: str | bytes, columns: tuple[str, ...] = COLUMNS
) -> tuple[list[tuple[Any, ...]], list[bool] | None]:
    """Return a block's rows, and which of them are long."""
    block = block_of(*texts, columns=columns)
    fields, are_long = read_fields(block, block.take_lines())
    assert fields.columns == text_columns(columns)
    return fields.rows(), None if are_long is None else are_long.to_list()


def lines_of(*texts: str | bytes) -> list[str | None]:
    block = block_of(*texts)
    return read_lines(block, block.take_lines()).to_list()


def test_columns_are_named_by_what_is_read_of_them() -> None:
    columns = ("NOTE", "TARIFF", "EVENT_ID", "NMI", "INTERVAL_END", "REJECTED_ID", "NOTE", "ENERGY")
    assert text_columns(columns) == [
        "further_0",
        "text_tariff",
        "text_event_id",
        "text_nmi",
        "text_date",
        "text_rejected_id",
        "further_6",
        "text_energy",
    ]
    assert text_columns(COLUMNS) == TEXTS


def test_fields_are_text_as_it_stands_there() -> None:
    """Short rows have nulls, blank lines are rows, and no byte order mark is taken out."""
    rows, are_long = fields_of(ROW + "\n a ,\n\ufeff007,,,,\n")
    assert rows == [
        tuple(ROW.strip().split(",")),
        (None,) * 5,
        (" a ", *[None] * 4),
        ("\ufeff007", *[None] * 4),
    ]
    assert are_long is None


@pytest.mark.parametrize("at", [0, 1, 2])
def test_what_is_too_much_is_seen_wherever_it_stands(at: int) -> None:
    rows = [ROW, ROW, ROW]
    rows[at] = ROW.strip() + ",,,x\n"
    found, are_long = fields_of("".join(rows))
    assert found == [tuple(ROW.strip().split(","))] * 3
    assert are_long == [row == at for row in range(3)]


def test_no_row_is_too_long_in_silence() -> None:
    """Whatever its fields too many are, and whether quotes are read or not."""
    for length in range(1, 4):
        for fields in product(["", "x", " ", '""', '"a,b"'], repeat=length):
            row = ",".join([ROW.strip(), *fields])
            _, are_long = fields_of(f"{ROW}{row}\n")
            is_long = any(field.strip(' "') for field in fields)
            assert (are_long or [False, False]) == [False, is_long], row


def test_quotes_are_read_where_there_are_any() -> None:
    assert fields_of('"a, ""b""",2,3,4,5\n')[0][0][0] == 'a, "b"'


def test_a_bad_byte_costs_its_field_alone() -> None:
    rows, _ = fields_of(b"60\xff1,2,3,4,5\n" + ROW.encode())
    assert [row[0] for row in rows] == ["60\ufffd1", "6001000001"]


def test_lines_are_whole_whatever_is_in_them() -> None:
    assert lines_of('a,"b\n\n,,\r\n"x" y\n') == ['a,"b', None, ",,", '"x" y']
    assert lines_of("") == []


def test_each_row_has_its_source_and_line() -> None:
    """The header is line 1; a source without lines has none of the rows."""
    found = origins(block_of(ROW * 2, "", ROW, ROW * 2))
    assert found.rows() == [(0, 2), (0, 3), (2, 2), (3, 2), (3, 3)]
    assert origins(block_of("", ROW)).rows() == [(1, 2)]


def test_one_source_alone_is_read_the_same() -> None:
    block = block_of(ROW * 3)
    [(_, source, _)] = block.origins
    source.number = 7
    assert origins(block).rows() == [(7, 2), (7, 3), (7, 4)]
