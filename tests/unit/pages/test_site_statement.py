"""A site's statement: its amounts add up, and it says why it came again."""

import io
from typing import get_args
from zipfile import ZipFile

import pytest

from tasks.core.difference import Cause
from tasks.core.report import Report
from tasks.core.words import aud
from tasks.pages.site_statement import REASONS, SiteStatements
from tests.unit.core.reports import NMI, OTHER, report, site
from tests.unit.pages.test_pages import source


def test_every_cause_of_a_revision_is_said_in_a_home_owners_words() -> None:
    assert set(REASONS) == set(get_args(Cause.model_fields["cause"].annotation))


def test_a_zip_has_a_page_for_each_site_and_the_same_bytes_each_time(
    reports: list[Report],
) -> None:
    statements = SiteStatements(source(reports[0]))
    packed = statements.zipped()
    with ZipFile(io.BytesIO(packed)) as zip_file:
        pages = [zip_file.read(name) for name in zip_file.namelist()]
        assert len({info.date_time for info in zip_file.infolist()}) == 1
    assert pages == [page for _, page in statements.pages()]
    assert len(pages) == len(reports[0].sites)
    assert packed == SiteStatements(source(reports[0])).zipped()


@pytest.mark.parametrize(("amount", "start"), [("1.40", "You receive"), ("-1.40", "Your balance")])
def test_the_amount_comes_first_and_no_other_site_is_named(amount: str, start: str) -> None:
    of = report(site(after_fees=amount), site(OTHER))
    page = dict(SiteStatements(source(of)).pages())[NMI].decode()
    assert f"<h1>{start}" in page
    assert aud(of.sites[NMI].site_revenue_after_fees) in page.split("</h1>")[0]
    assert OTHER not in page
