"""make-statements and site-statement: what they link, and what they refuse."""

import io
from zipfile import ZipFile

import httpx
import pytest

from flows.reports import download_report
from flows.settle import settle_month
from flows.statements import make_statements, site_statement
from tests.flows.sample import lay_out, refusal, run
from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("prefect_api")

NMI = "9876543210"
PAGE = f"statements/2025-09/test-vpp-one/sites/{NMI}-r1.html"


@pytest.fixture
def settled(place: Place) -> Place:
    lay_out(place)
    run(settle_month, "2025-09")
    return place


def test_pages_are_made_of_what_is_published_and_linked(settled: Place) -> None:
    published = settled.objects()
    result = run(make_statements)
    assert result["key"] == "statements/index.html"
    answer = httpx.get(result["url"])
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "September 2025" in answer.text
    made = settled.objects()
    assert published.items() <= made.items()
    assert "statements/2025-09/test-vpp-one/r1.html" in made
    assert "results/workbooks/2025-09.xlsx" in made
    run(make_statements)  # nothing is stale
    run(make_statements, "2025-09")  # by name, again
    assert settled.objects() == made


def test_a_sites_statement_or_all_of_them_are_linked(settled: Place) -> None:
    result = run(site_statement, "Test VPP One", "2025-09", NMI)
    assert result["key"] == PAGE
    page = httpx.get(result["url"]).content
    assert b"You receive $0.00 AUD for September 2025" in page
    result = run(site_statement, "test-vpp-one", "2025-09")
    with ZipFile(io.BytesIO(httpx.get(result["url"]).content)) as zipped:
        assert zipped.namelist() == [f"2025-09-test-vpp-one-{NMI}-r1.html"]
        assert zipped.read(zipped.namelist()[0]) == page


def test_what_is_not_there_is_refused(settled: Place) -> None:
    before = settled.objects()
    assert refusal(make_statements, "2025-08") == (
        "nothing is published for 2025-08 yet; run settle-month for it first"
    )
    assert refusal(site_statement, "three", "2025-09").startswith("vpp: there is no VPP 'three'")
    assert refusal(site_statement, "test-vpp-one", "2025-09", "12").startswith("nmi: '12' is not")
    assert refusal(site_statement, "test-vpp-one", "2025-09", "6001000001").startswith(
        "nmi: site 6001000001 was no member of Test VPP One in 2025-09"
    )
    assert settled.objects() == before


@pytest.mark.parametrize(
    ("format", "begins"), [("json", b"{"), ("html", b"<!doctype html>"), ("xlsx", b"PK")]
)
def test_a_report_comes_in_each_format_and_for_as_long_as_people_need_it(
    settled: Place, format: str, begins: bytes
) -> None:
    result = run(download_report, "Test VPP One", "2025-09", 1, format)
    folder, hour = ("reports", 900) if format == "json" else ("statements", 604800)
    assert result["key"] == f"{folder}/2025-09/test-vpp-one/r1.{format}"
    assert f"X-Amz-Expires={hour}&" in result["url"]
    assert httpx.get(result["url"]).content.startswith(begins)
    made = settled.objects()
    assert run(download_report, "Test VPP One", "2025-09", 0, format)["key"] in made
    assert refusal(download_report, "Test VPP One", "2025-09", 2, format).startswith(
        "reports/2025-09/test-vpp-one/r2.json is not published"
        if format == "json"
        else "revision 2 of test-vpp-one is not published for 2025-09 yet"
    )
