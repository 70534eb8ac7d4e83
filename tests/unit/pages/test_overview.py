"""The overview: which months there are, and whether their pages show what is published."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from tasks.core.month_record import Closing, MonthRecord, Revision
from tasks.core.report import Report
from tasks.pages.overview import MonthEntry
from tasks.pages.results import vpp_months
from tests.through_s3 import Place
from tests.unit.pages.test_statements import make, text

pytestmark = pytest.mark.usefixtures("s3_endpoint")


def test_an_index_of_nothing_is_a_page() -> None:
    place = Place()
    assert make(place) == []
    assert "No month is settled yet" in text(place, "statements/index.html")


def record(reports: list[Report]) -> MonthRecord:
    return MonthRecord(
        month="2025-09",
        revisions={
            of.settlement.vpp_id: {1: Revision(digest=of.digest, run_record="runs/1")}
            for of in reports
        },
    )


def test_pages_are_current_if_they_show_the_last_revision_of_each_vpp(
    reports: list[Report],
) -> None:
    of_month = record(reports)
    entry = MonthEntry(of_month, vpp_months(reports))
    assert entry.are_pages_current
    assert not replace(entry, rows=None).are_pages_current
    assert not replace(entry, rows=vpp_months(reports[1:])).are_pages_current
    vpp, revisions = next(iter(of_month.revisions.items()))
    other = Revision(digest="other", run_record="runs/2")
    for later in ({**revisions, 2: other}, {1: other}):
        changed = of_month.model_copy(update={"revisions": {**of_month.revisions, vpp: later}})
        assert not replace(entry, record=changed).are_pages_current
    # The second revision is what is shown.
    second = of_month.model_copy(
        update={"revisions": {**of_month.revisions, vpp: {1: other, 2: revisions[1]}}}
    )
    shown = vpp_months([reports[0].revised(2), *reports[1:]])
    assert replace(entry, record=second, rows=shown).are_pages_current


def test_a_month_has_its_sums_or_none(reports: list[Report]) -> None:
    entry = MonthEntry(record(reports), vpp_months(reports))
    revenue, vpps, sites = entry.sums
    cost_only = sum((of.totals.vpp_cost_only for of in reports), Decimal(0))
    assert revenue + cost_only == vpps + sites
    assert replace(entry, rows=None).sums == []


def test_what_programs_read_of_a_month(reports: list[Report]) -> None:
    of_month = record(reports)
    closing = Closing(action="close", at=datetime(2025, 10, 2, tzinfo=UTC), by="Ada", digest="d")
    closed = of_month.model_copy(update={"closings": [closing]})
    state = MonthEntry(closed, vpp_months(reports)).state()
    assert (state["month"], state["state"], state["digest"]) == (
        "2025-09",
        "closed",
        of_month.digest,
    )
    assert state["page"] == "statements/2025-09/index.html"
    first = state["vpps"][0]
    vpp = reports[0].settlement.vpp_id
    assert first["statement"] == f"statements/2025-09/{vpp}/r{first['revision']}.html"
    assert first["total_revenue_aud"] == float(reports[0].totals.total_revenue)
    empty: pl.DataFrame | None = None
    assert MonthEntry(of_month, empty).state()["vpps"] == []
