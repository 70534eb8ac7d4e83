"""A month's results as a workbook (.xlsx), for accounting and for people who think in sheets.

Names, addresses and NMIs are text cells, whatever they begin with; there is no formula in it. The
date of its making is fixed, so the same reports give the same bytes.
"""

import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import polars as pl
import xlsxwriter

from tasks.core.month import Month
from tasks.pages.results import SITE_MONTHS, VPP_MONTHS, Table

_CREATED = datetime(2000, 1, 1)  # noqa: DTZ001 (xlsxwriter takes no zone)
_ROWS_OF_A_SHEET = 1_000_000  # Excel's limit is 1,048,576
_CELL_CHARACTERS = 32_767  # Excel's limit
_TEXT_ONLY = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}


def workbook(month: Month, vpp_months: pl.DataFrame, site_months: pl.DataFrame) -> bytes:
    """Return the workbook: sheets of VPPs and sites, and one about the columns."""
    buffer = io.BytesIO()
    options = {"in_memory": True, "constant_memory": False, **_TEXT_ONLY}
    with xlsxwriter.Workbook(buffer, options) as book:
        book.set_properties({"title": f"Settlement of {month}", "created": _CREATED})
        for name, table, rows in (
            ("VPPs", VPP_MONTHS, vpp_months),
            ("Sites", SITE_MONTHS, site_months),
        ):
            for number, part in enumerate(_sheets(rows), 1):
                _add_sheet(book, name if number == 1 else f"{name} {number}", table, part)
        _add_columns(book, month)
    return buffer.getvalue()


def _sheets(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    yield from rows.iter_slices(_ROWS_OF_A_SHEET) if rows.height else [rows]


def _add_sheet(book: Any, name: str, table: Table, rows: pl.DataFrame) -> None:
    sheet = book.add_worksheet(name)
    head = book.add_format({"bold": True, "bottom": 1})
    money = book.add_format({"num_format": "#,##0.00;[Red]-#,##0.00"})
    sheet.freeze_panes(1, 2)
    for place, column in enumerate(table.columns):
        is_number = rows.schema[column.name].is_numeric()
        sheet.write_string(0, place, column.name, head)
        sheet.set_column(place, place, max(12, len(column.name) + 1))
        style = money if column.name.endswith("_aud") else None
        for line, value in enumerate(rows[column.name], 1):
            if value is None:
                continue
            if is_number:
                sheet.write_number(line, place, value, style)
            else:
                sheet.write_string(line, place, str(value)[:_CELL_CHARACTERS])
    if rows.height:
        sheet.autofilter(0, 0, rows.height, len(table.columns) - 1)


def _add_columns(book: Any, month: Month) -> None:
    sheet = book.add_worksheet("Columns")
    sheet.set_column(0, 0, 10)
    sheet.set_column(1, 1, 36)
    sheet.set_column(2, 2, 90)
    lines = [
        ("", "", f"Settlement of {month}, current revisions. AUD are GST-free; energy is in kWh."),
        ("sheet", "column", "what"),
    ]
    for name, table in (("VPPs", VPP_MONTHS), ("Sites", SITE_MONTHS)):
        lines += [(name, column.name, column.meaning) for column in table.columns]
    for line, cells in enumerate(lines):
        for place, text in enumerate(cells):
            sheet.write_string(line, place, text)
