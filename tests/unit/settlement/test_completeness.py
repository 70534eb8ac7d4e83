"""What a month lacks: refused or said, and never changed by anything but the month's own inputs."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from flows import story
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.request import SettlementRequest, WhatIf
from tasks.core.run_record import SettledRunRecord
from tasks.evidence.verification import verify
from tasks.publication.run_records import find_settled_run
from tasks.runs.run import Run
from tasks.settlement.completeness import missing_sentences, require_over, why_not_over
from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("s3_endpoint")

TIMEZONE = "Australia/Brisbane"
A1, A2, B1 = "6001000001", "6001000002", "6002000001"
Changes = list[dict[str, Any]]
AUGUST = ["2025-08-01", "2025-08-31"]
SEPTEMBER = [f"2025-09-{day:02d}" for day in range(1, 31)]
FILES = "Put the missing files into the inbox (events/), or run settle-month with allow_missing"


def vpp(name: str) -> Changes:
    return [{"change": "create-vpp", "name": name, "revenue_percentage": "10"}]


def site(nmi: str, of: str, since: str | None = None, has_battery: bool = True) -> Changes:
    made: Changes = [
        {
            "change": "create-site",
            "nmi": nmi,
            "vpp": of,
            "address": "1 A St",
            "effective_from": since,
        }
    ]
    battery = {"manufacturer": "m", "serial": f"of-{nmi}", "capacity_kwh": "10"}
    added = {"change": "add-battery", "nmi": nmi, **battery, "effective_from": since}
    return made + [added] * has_battery


def left(nmi: str, day: str) -> Changes:
    return [{"change": "assign-site", "nmi": nmi, "vpp": None, "effective_from": day}]


TWO = [*vpp("a"), *site(A1, "a"), *site(A2, "a"), *vpp("b"), *site(B1, "b")]


@dataclass(frozen=True)
class Case:
    """A registry and the days with events of each site; why it is refused, or what is missing."""

    registry: Changes
    events: dict[str, list[str]]
    refused: str = ""
    missing: list[str] = field(default_factory=list)
    request: dict[str, Any] = field(default_factory=dict)


CASES = {
    "nothing is missing": Case(TWO, {A1: SEPTEMBER, A2: SEPTEMBER, B1: SEPTEMBER}),
    "no VPP": Case(
        [],
        {A1: SEPTEMBER},
        refused="the registry has no VPP in 2025-09. Create VPPs, or look whether VPP_BUCKET and "
        "VPP_PREFIX are right, or run settle-month with allow_missing",
    ),
    "VPPs without any site, and no event": Case(
        vpp("a"), {}, refused=f"no VPP has a site or an event in it. {FILES}"
    ),
    "no data at all": Case(
        TWO,
        {},
        refused="no event of a (2 sites; nor was there any in 2025-08); b (1 site; nor was there "
        f"any in 2025-08). {FILES}",
        missing=[
            "no event of a (2 sites; nor was there any in 2025-08)",
            "no event of b (1 site; nor was there any in 2025-08)",
        ],
    ),
    "one VPP's file is missing": Case(
        TWO,
        {A1: SEPTEMBER, A2: SEPTEMBER, B1: AUGUST},
        refused=f"no event of b (1 site; the last one is of 2025-08-31). {FILES}",
        missing=["no event of b (1 site; the last one is of 2025-08-31)"],
    ),
    "the sites of a VPP joined in the month, and have no event": Case(
        [*vpp("b"), *site(B1, "b", "2025-09-12")],
        {},
        refused="no event of b (1 site, there from 2025-09-12 on; nor was there any in 2025-08). "
        f"{FILES}",
        missing=["no event of b (1 site, there from 2025-09-12 on; nor was there any in 2025-08)"],
    ),
    "another VPP's report lacks nothing": Case(
        TWO, {A1: SEPTEMBER, A2: SEPTEMBER, B1: AUGUST}, request={"vpps": ("a",)}
    ),
    "a VPP's own report does": Case(
        TWO,
        {A1: SEPTEMBER, A2: SEPTEMBER, B1: AUGUST},
        refused=f"no event of b (1 site; the last one is of 2025-08-31). {FILES}",
        missing=["no event of b (1 site; the last one is of 2025-08-31)"],
        request={"vpps": ("B",)},
    ),
    "a site is silent": Case(
        TWO,
        {A1: SEPTEMBER, A2: AUGUST, B1: SEPTEMBER},
        missing=[
            f"a: 1 site with a battery had events in 2025-08, and none in 2025-09: {A2}",
        ],
    ),
    "a site is silent that has no battery": Case(
        [*vpp("a"), *site(A1, "a"), *site(A2, "a", has_battery=False)],
        {A1: SEPTEMBER, A2: AUGUST},
    ),
    "a site was silent in the month before": Case(
        TWO, {A1: SEPTEMBER, A2: ["2025-07-31"], B1: SEPTEMBER}
    ),
    "the first month of a VPP": Case(
        [*vpp("a"), *site(A1, "a", "2025-09-01"), *site(A2, "a", "2025-09-01")],
        {A1: SEPTEMBER},
    ),
    "a VPP whose sites all joined later": Case(
        [*vpp("a"), *site(A1, "a"), *vpp("b"), *site(B1, "b", "2025-10-01")], {A1: SEPTEMBER}
    ),
    "a site left before the month": Case(
        [*vpp("a"), *site(A1, "a"), *site(A2, "a"), *left(A2, "2025-09-01")],
        {A1: SEPTEMBER, A2: AUGUST},
    ),
    "a site left in the month, and has events since": Case(
        [*vpp("a"), *site(A1, "a"), *site(A2, "a"), *left(A2, "2025-09-10")],
        {A1: SEPTEMBER, A2: ["2025-08-31", "2025-09-20"]},
    ),
    "a VPP's silent days": Case(
        TWO,
        {A1: SEPTEMBER[3:8], A2: SEPTEMBER[10:], B1: SEPTEMBER},
        missing=["a: no event on 5 days: 2025-09-01 to 2025-09-03, 2025-09-09 to 2025-09-10"],
    ),
    "a VPP that has few events has none on most days": Case(
        [*vpp("a"), *site(A1, "a")], {A1: [*AUGUST, *SEPTEMBER[:15]]}
    ),
    "a VPP that had events on most days before": Case(
        [*vpp("a"), *site(A1, "a")],
        {A1: [*(f"2025-08-{day:02d}" for day in range(1, 17)), "2025-09-01"]},
        missing=["a: no event on 29 days: 2025-09-02 to 2025-09-30"],
    ),
    "days before a VPP has a site are no silent days": Case(
        [*vpp("a"), *site(A1, "a", "2025-09-28")],
        {A1: ["2025-09-28", "2025-09-29"]},
        missing=["a: no event on 1 day: 2025-09-30"],
    ),
}


def lay_out(case: Case) -> Place:
    place = Place()
    if case.registry:
        place.record(case.registry)
    for nmi, days in case.events.items():
        place.put(f"{nmi}.csv", [f"{nmi},{day},Discharge,1,100" for day in days])
    return place


def run_of(place: Place, month: str = "2025-09", **request: Any) -> Run:
    fields = {"as_of": datetime.now(UTC), "max_rejected_percent": 100, **request}
    parameters = {"vpps": list(request.get("vpps", ()))}
    settled = SettlementRequest(**fields)
    return Run(place.store, Month.parse(month), settled, str(uuid4()), "test", parameters)


def settle(place: Place, month: str = "2025-09", **request: Any) -> list[str]:
    """Settle and publish; return what was missing."""
    run = run_of(place, month, **request)
    with run.recorded():
        story.settle_and_publish(run)
    return missing_sentences(run.record, TIMEZONE)


def preview(place: Place, month: str = "2025-09", **request: Any) -> list[str]:
    run = run_of(place, month, **request)
    story.preview(run)
    assert run.record.outcome == "preview"
    return missing_sentences(run.record, TIMEZONE)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_missing_is_refused_or_said(case: Case) -> None:
    place = lay_out(case)
    assert preview(place, **case.request) == case.missing
    if case.refused:
        with pytest.raises(Refused) as refused:
            settle(place, **case.request)
        assert str(refused.value) == f"2025-09 is not settled: {case.refused}"
        assert list(place.store.versions("reports/")) == []
    else:
        assert settle(place, **case.request) == case.missing
    assert settle(place, **case.request, allow_missing=True) == case.missing


def test_a_refusal_holds_though_the_same_month_was_allowed_before() -> None:
    place = lay_out(CASES["one VPP's file is missing"])
    assert settle(place, allow_missing=True) == settle(place, allow_missing=True)
    with pytest.raises(Refused, match="no event of b"):
        settle(place)


def test_a_what_if_says_what_is_missing() -> None:
    place = lay_out(CASES["one VPP's file is missing"])
    assumed = (WhatIf(vpp="b", revenue_percentage="50"),)
    assert preview(place, what_if=assumed) == CASES["one VPP's file is missing"].missing


def test_what_is_missing_is_recorded_with_its_numbers() -> None:
    place = lay_out(Case(TWO, {A1: SEPTEMBER[1:], A2: AUGUST}))
    run = run_of(place, allow_missing=True)
    story.settle_and_publish(run)
    assert isinstance(run.record, SettledRunRecord)
    assert run.record.missing is not None
    assert run.record.missing.model_dump(mode="json") == {
        "vpps": [{"vpp": "b", "sites": 1, "first_day": "2025-09-01", "last_event": None}],
        "sites": [{"vpp": "a", "nmi": A2, "events": 2, "last_event": "2025-08-31"}],
        "days": [{"vpp": "a", "days": [{"first_day": "2025-09-01", "last_day": "2025-09-01"}]}],
    }


def test_a_report_says_days_without_events_and_rests_on_its_own_month_alone() -> None:
    place = lay_out(CASES["a VPP's silent days"])
    place.publish("2025-09")
    silent = place.report("2025-09", "a").settlement.days_without_events
    assert silent is not None
    assert [(days.first_day.day, days.last_day.day) for days in silent] == [(1, 3), (9, 10)]
    assert "days_without_events" not in place.report("2025-09", "b").to_bytes().decode()
    assert verify(place.store, Month.parse("2025-09"), "a").is_same

    before = {key: etag for key, etag in place.objects().items() if key.startswith("reports/")}
    place.put("late.csv", [f"{A2},2025-08-31,Discharge,1,100"])
    place.publish("2025-09")
    assert {key: place.objects()[key] for key in before} == before
    assert len([key for key in place.objects() if key.startswith("reports/")]) == len(before)
    place.store.delete(f"events/{A2}.csv")
    assert verify(place.store, Month.parse("2025-09"), "a").is_same


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2025-09-30T13:59:59+00:00", "2025-09 is not over"),
        ("2025-09-30T14:00:00+00:00", ""),
        ("2025-08-31T13:59:59+00:00", "2025-09 has not begun"),
        ("2025-08-31T14:00:00+00:00", "2025-09 is not over"),
        ("2026-01-01T00:00:00+00:00", ""),
    ],
)
def test_a_month_is_over_in_market_time(now: str, expected: str) -> None:
    moment, month = datetime.fromisoformat(now), Month(2025, 9)
    assert why_not_over(month, moment, TIMEZONE) == expected
    require_over(month, moment, TIMEZONE, SettlementRequest(moment, 5, allow_missing=True))
    if expected:
        with pytest.raises(Refused) as refused:
            require_over(month, moment, TIMEZONE, SettlementRequest(moment, 5))
        assert str(refused.value) == (
            f"2025-09 is not settled: {expected}. Settle it from 2025-10-01 on, preview it, or run "
            "with allow_missing"
        )


@pytest.mark.parametrize("is_future", [False, True])
def test_a_month_that_is_not_over_is_refused_before_anything_is_read(is_future: bool) -> None:
    month = Month.of(datetime.now(UTC), TIMEZONE)
    month = month.next if is_future else month
    what = f"{month} has not begun" if is_future else f"{month} is not over"
    place = lay_out(Case([*vpp("a"), *site(A1, "a")], {A1: [str(month.first_day)]}))
    with pytest.raises(Refused, match=what):
        settle(place, str(month))
    with pytest.raises(Refused, match=what):  # as it was known then, it is not over either
        settle(place, str(month), as_of=datetime(2025, 1, 1, tzinfo=UTC))
    assert not any(key.startswith("imports/") for key in place.objects())
    assert what in preview(place, str(month))
    assert what in settle(place, str(month), allow_missing=True)


def test_a_month_that_is_over_is_settled_as_it_was_known_before_it_was() -> None:
    place = Place()
    recorded = datetime(2025, 9, 1, tzinfo=UTC)
    place.record([*vpp("a"), *site(A1, "a")], now=recorded)
    place.put("a.csv", [f"{A1},{day},Discharge,1,100" for day in SEPTEMBER])
    assert settle(place, as_of=datetime(2025, 9, 15, tzinfo=UTC)) == []


def test_a_month_is_settled_only_if_something_was() -> None:
    month = Month.parse("2025-09")
    empty = Place()
    settle(empty, allow_missing=True)
    with pytest.raises(Refused, match="without any report or event"):
        find_settled_run(empty.store, month)

    place = lay_out(Case(TWO, {}))
    with pytest.raises(Refused, match="is not settled yet"):
        find_settled_run(place.store, month)
    settle(place, allow_missing=True)
    with pytest.raises(Refused, match="without any report or event"):
        find_settled_run(place.store, month)
    place.put("a.csv", [f"{A1},2025-09-01,Discharge,1,100"])
    settle(place, allow_missing=True)
    assert find_settled_run(place.store, month).startswith("runs/2025-09/")


def test_future_months_do_not_crowd_out_recent_ones() -> None:
    place = lay_out(Case([*vpp("a"), *site(A1, "a")], {A1: SEPTEMBER}))
    settle(place)
    for year in range(2090, 2090 + story.RECENT_MONTHS):
        settle(place, f"{year}-01", allow_missing=True)
    place.put("late.csv", [f"{A1},2025-09-03,Charge,1,-1", f"{A1},2090-01-03,Charge,1,1"])
    [late] = story.find_late_data(place.store, 100)
    assert str(late).startswith("2025-09 (not closed) would change: a: total_revenue")


def test_the_watch_says_that_a_month_would_be_refused() -> None:
    place = lay_out(Case(TWO, {A1: SEPTEMBER, A2: SEPTEMBER, B1: SEPTEMBER}))
    settle(place)
    assert story.find_late_data(place.store, 100) == []
    place.store.delete(f"events/{B1}.csv")
    [late] = story.find_late_data(place.store, 100)
    assert str(late) == (
        "2025-09 (not closed) could not be settled now: 2025-09 is not settled: no event of b "
        f"(1 site; nor was there any in 2025-08). {FILES}"
    )


def test_the_watch_is_silent_on_what_was_allowed_and_would_not_change() -> None:
    place = lay_out(CASES["one VPP's file is missing"])
    settle(place, allow_missing=True)
    place.record([{**vpp("c")[0], "effective_from": "2025-11-01"}])
    assert story.find_late_data(place.store, 100) == []
