"""PDF is an extra: without typst it is refused. What it shows is in test_pages.py."""

import sys

import pytest

from tasks.core.errors import Refused
from tasks.core.report import Report
from tasks.pages.site_statement import SiteStatements
from tests.unit.pages.test_pages import source


def test_without_typst_a_pdf_is_refused_in_a_sentence(
    reports: list[Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    nmi = next(iter(reports[0].sites))
    with pytest.raises(Refused, match=r"PDF needs typst, .* pip install '\.\[pdf\]'"):
        SiteStatements(source(reports[0])).page(nmi, "pdf")
