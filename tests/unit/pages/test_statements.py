"""Statements from what is on S3: which months, which revision, what when something is missing."""

import json
from decimal import Decimal

import pytest

from tasks.core import keys
from tasks.core.month import Month
from tasks.pages import statements
from tasks.pages.results import read_vpp_months
from tasks.pages.sources import read_reports
from tasks.publication.closing import close
from tasks.publication.published import read_month_record
from tests.flows.sample import EVENTS, REGISTRY
from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("s3_endpoint")

MONTH = Month(2025, 9)
NMI = "9876543210"
VPP = "test-vpp-one"
PAGE = f"statements/2025-09/{VPP}/r1.html"


@pytest.fixture
def published() -> Place:
    place = Place()
    place.record(REGISTRY)
    place.put("a.csv", EVENTS)
    place.publish("2025-09")
    return place


def make(place: Place) -> list[Month]:
    months = statements.stale_months(place.store)
    for month in months:
        reports = read_reports(place.store, month)
        days = statements.put_vpp_statements(place.store, reports)
        statements.put_results(place.store, reports, days)
    statements.put_overview(place.store, months)
    return months


def text(place: Place, key: str) -> str:
    found = place.store.read(key)
    assert found is not None, key
    return found[0].decode()


def made(place: Place) -> dict[str, str]:
    """Return what pages and results there are, with their ETags."""
    ours = ("statements/", "results/")
    return {key: etag for key, etag in place.objects().items() if key.startswith(ours)}


def test_pages_are_made_once_for_what_is_published(published: Place) -> None:
    before = published.objects()
    assert make(published) == [MONTH]
    after = published.objects()
    assert {key: after[key] for key in before} == before  # nothing else is touched
    assert sorted(made(published)) == [
        "results/payments/2025-09.csv",
        "results/site_days/month=2025-09/site_days.parquet",
        "results/site_months/month=2025-09/site_months.parquet",
        "results/vpp_months/month=2025-09/vpp_months.parquet",
        "results/workbooks/2025-09.xlsx",
        "statements/2025-09/index.html",
        PAGE,
        "statements/index.html",
        "statements/index.json",
    ]
    assert make(published) == []
    assert published.objects() == after


def test_the_same_bytes_are_made_again(published: Place) -> None:
    make(published)
    before = made(published)
    for key in before:
        published.store.delete(key)
    assert make(published) == [MONTH]
    assert made(published) == before


def test_a_later_revision_says_what_changed_and_a_closing_is_shown(published: Place) -> None:
    make(published)
    published.put("late.csv", [f"{NMI},2025-09-03,Discharge,40,100"])
    published.publish("2025-09")
    assert make(published) == [MONTH]
    page = text(published, f"statements/2025-09/{VPP}/r2.html")
    assert "file added: events/late.csv (rows 0 -&gt; 1)" in page
    assert "+$40.00" in page
    assert PAGE in made(published)  # what somebody was sent stays there
    [row] = read_vpp_months(published.store)["2025-09"].to_dicts()
    assert (row["revision"], row["total_revenue_aud"]) == (2, Decimal("41.75"))
    key = statements.put_site_statement(published.store, MONTH, VPP, NMI)
    of_site = text(published, key)
    assert "because more data about the month arrived" in of_site
    assert "This statement replaces revision 1. The amount was $0.00 then" in of_site
    assert "late.csv" not in of_site

    record = read_month_record(published.store, MONTH)[0]
    close(published.store, MONTH, record.digest, "Ada <b>")
    assert make(published) == [MONTH]
    assert "Closed by <bdi>Ada &lt;b&gt;</bdi>" in text(published, "statements/2025-09/index.html")
    [state] = json.loads(text(published, "statements/index.json"))["months"]
    assert (state["state"], state["digest"]) == ("closed", record.digest)
    assert state["vpps"][0]["total_revenue_aud"] == 41.75
    assert state["vpps"][0]["statement"] == f"statements/2025-09/{VPP}/r2.html"


def test_days_and_sites_without_events_are_named(published: Place) -> None:
    other = {**REGISTRY[1], "nmi": "6001000001"}
    battery = {**REGISTRY[2], "nmi": "6001000001", "serial": "2"}
    published.record([other, battery])
    published.put("before.csv", ["6001000001,2025-08-30,Discharge,1,20"])
    published.publish("2025-09")
    make(published)
    page = text(published, f"statements/2025-09/{VPP}/r2.html")
    assert "From 3 September 2025 to 30 September 2025 the VPP had sites" in page
    assert 'class="id">6001000001</th><td class="n">1</td><td class="n">30 August 2025</td>' in page


def test_without_its_inputs_a_page_does_without_days_and_says_why(published: Place) -> None:
    published.store.delete(keys.CATALOG)
    assert make(published) == [MONTH]
    page = text(published, PAGE)
    assert "Left out, as the days cannot be made again from the inputs: events/a.csv" in page
    assert "$1.75" in page
    of_site = text(published, statements.put_site_statement(published.store, MONTH, VPP, NMI))
    assert "You receive $0.00 AUD" in of_site
    assert "Your part of the revenue" in of_site
