"""What pages are made of: published reports that are what was claimed, and what explains them."""

import polars as pl
import pytest

from tasks.core import keys
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.pages import statements
from tasks.pages.sources import read_reports, read_sources
from tests.flows.sample import EVENTS, REGISTRY
from tests.through_s3 import Place
from tests.unit.pages.test_statements import MONTH, NMI, VPP, made, make, text


@pytest.fixture
def published(s3_endpoint: str) -> Place:
    place = Place()
    place.record(REGISTRY)
    place.put("a.csv", EVENTS)
    place.publish("2025-09")
    return place


def test_the_days_add_up_to_the_report(published: Place) -> None:
    make(published)
    found = published.store.read("results/site_days/month=2025-09/site_days.parquet")
    assert found is not None
    days = pl.read_parquet(found[0])
    assert days.height == 30
    assert days["shared_revenue_cents"].sum() == 175
    [source] = read_sources(published.store, read_reports(published.store, MONTH))
    assert source.detail is not None
    first, second = source.detail.days[:2]
    assert (first["charged_below_zero_cents"], second["discharged_cents"]) == (100, 75)
    [part] = source.detail.parts.values()
    assert (part["own_cents"], part["allotted_cents"], part["fee_due_cents"]) == (112, 140, 840)


def test_what_charges_earn_is_told_by_the_price(published: Place) -> None:
    """Under charge_events 'revenue' a charge at a price below zero costs."""
    change = {"change": "update-vpp", "vpp": VPP, "charge_events": "revenue"}
    published.record([{**change, "effective_from": "2025-09-01"}])
    published.put("b.csv", [f"{NMI},2025-09-01,Charge,1,30", f"{NMI},2025-09-01,Discharge,1,-7"])
    published.publish("2025-09")
    [source] = read_sources(published.store, read_reports(published.store, MONTH))
    assert source.detail is not None
    day = source.detail.days[0]
    assert day["charged_cents"] == 30
    assert day["charged_below_zero_cents"] == -100
    assert day["discharged_below_zero_cents"] == -7


def test_no_page_is_made_of_a_report_that_was_tampered_with(published: Place) -> None:
    key = keys.report(MONTH, VPP)
    data = text(published, key).replace('"total_revenue": 1.75', '"total_revenue": 9.75')
    published.store.write(key, data.encode())
    with pytest.raises(Refused, match=r"is not what months/2025-09\.json says of it"):
        make(published)
    assert made(published) == {}


def test_what_is_not_published_is_refused(published: Place) -> None:
    with pytest.raises(Refused, match="nothing is published for 2025-08 yet"):
        read_reports(published.store, Month(2025, 8))
    with pytest.raises(Refused, match="other is not published for 2025-09 yet"):
        statements.put_site_statement(published.store, MONTH, "other", "")
    with pytest.raises(Refused, match="nmi: site 6001000001 was no member of Test VPP One"):
        statements.put_site_statement(published.store, MONTH, VPP, "6001000001")


def test_a_report_that_is_claimed_and_not_there_is_missing(published: Place) -> None:
    published.record([{"change": "create-vpp", "name": "Two", "revenue_percentage": "10"}])
    published.publish("2025-09")
    published.store.delete(keys.report(MONTH, "two"))
    found = read_reports(published.store, MONTH)
    assert [report.settlement.vpp_id for report in found.reports] == [VPP]
    assert found.missing == ["two"]
