"""A month as a workbook: text where text is meant, no formula, the same bytes."""

import io
import re
from zipfile import ZipFile

import polars as pl
import pytest

from tasks.core.month import Month
from tasks.core.report import Report
from tasks.pages import results
from tasks.pages import workbook as workbook_module
from tasks.pages.workbook import workbook
from tests.unit.pages.test_results import EVIL, renamed

MONTH = Month(2025, 9)


def sheets(data: bytes) -> str:
    """Return all that is in a workbook, as XML."""
    with ZipFile(io.BytesIO(data)) as book:
        return "".join(book.read(name).decode() for name in sorted(book.namelist()))


def test_a_workbook_has_text_where_text_is_meant_and_no_formula(reports: list[Report]) -> None:
    evil = [renamed(report, EVIL, "https://example.com/<b>") for report in reports]
    evil[0] = renamed(evil[0], "x" * 40_000, "\u202e=1+1 \N{GRINNING FACE}\x01")
    data = workbook(MONTH, results.vpp_months(evil), results.site_months(evil))
    xml = sheets(data)
    assert "<f>" not in xml and "<hyperlink" not in xml
    assert "=HYPERLINK(" in xml.replace("&quot;", '"')
    nmi = next(iter(evil[0].sites))
    assert f"<t>{nmi}</t>" in xml  # a shared string, not a number
    assert not re.search(rf"<v>{nmi}</v>", xml)
    assert data == workbook(MONTH, results.vpp_months(evil), results.site_months(evil))


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
