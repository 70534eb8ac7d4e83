"""A month as a workbook: text where text is meant, no formula, the same bytes."""

import io
import re
from xml.etree import ElementTree
from zipfile import ZipFile

import polars as pl
import pytest

from tasks.core.month import Month
from tasks.core.report import Report
from tasks.pages import results
from tasks.pages import workbook as workbook_module
from tasks.pages.workbook import workbook
from tests.unit.pages.conftest import EVIL, renamed

MONTH = Month(2025, 9)


def shared_texts(data: bytes) -> bytes:
    """Return the part of a workbook that has its texts."""
    with ZipFile(io.BytesIO(data)) as book:
        return book.read("xl/sharedStrings.xml")


def sheets(data: bytes) -> str:
    """Return all that is in a workbook, as XML."""
    with ZipFile(io.BytesIO(data)) as book:
        return "".join(book.read(name).decode() for name in sorted(book.namelist()))


@pytest.mark.parametrize("name", EVIL, ids=range(len(EVIL)))
def test_a_workbook_has_text_where_text_is_meant_and_no_formula(
    reports: list[Report], name: str
) -> None:
    evil = [renamed(report, name, f"{name} 2") for report in reports]
    data = workbook(MONTH, results.vpp_months(evil), results.site_months(evil))
    xml = sheets(data)
    assert "<f>" not in xml and "<hyperlink" not in xml
    texts = ["".join(of.itertext()) for of in ElementTree.fromstring(shared_texts(data))]
    shown = {" ".join(of.replace("_x000D_", "\r").split()) for of in texts}  # as Excel reads it
    assert {" ".join(of.split()) for of in (name, f"{name} 2")} <= shown
    nmi = next(iter(evil[0].sites))
    assert nmi in shown  # a text, not a number
    assert not re.search(rf"<v>{nmi}</v>", xml)
    assert data == workbook(MONTH, results.vpp_months(evil), results.site_months(evil))


def test_what_a_cell_cannot_hold_is_cut(reports: list[Report]) -> None:
    evil = [renamed(reports[0], "x" * 40_000, "\x01\x00")]
    data = workbook(MONTH, results.vpp_months(evil), results.site_months(evil))
    shown = {"".join(of.itertext()) for of in ElementTree.fromstring(shared_texts(data))}
    assert "x" * 32_767 in shown


def test_sites_that_do_not_fit_go_on_in_another_sheet(
    reports: list[Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook_module, "_ROWS_OF_A_SHEET", 5)
    sites = pl.concat([results.site_months(reports[:1]).head(1)] * 11)
    xml = sheets(workbook(MONTH, results.vpp_months(reports[:1]), sites))
    names = re.findall(r'<sheet name="([^"]+)"', xml)
    assert names == ["VPPs", "Sites", "Sites 2", "Sites 3", "Columns"]


def test_a_month_of_nothing_is_a_workbook_with_its_headings() -> None:
    empty = workbook(MONTH, results.vpp_months([]), results.site_months([]))
    xml = sheets(empty)
    assert "<t>total_revenue_aud</t>" in xml
    assert "Settlement of 2025-09, current revisions" in xml
    assert "<autoFilter" not in xml
