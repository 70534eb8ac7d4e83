"""Whole settlements with meter data, from S3 to report, against the two exact references.

The one reference turns files into intervals, the other settles them as the events that they are.
"""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.month import Month
from tasks.evidence.verification import verify
from tests.laws import meter_reference, reference
from tests.laws.meter_files import DAYS, SITES, Day, nem12
from tests.laws.portfolios import add_battery, change
from tests.laws.reference import Event
from tests.laws.test_explanation import check_report
from tests.laws.test_meter import cut, deals, months_of_days, prices
from tests.laws.test_settlement import check_each_alone, expected, numbers, row, whole_path
from tests.through_s3 import Place, reports_of

pytestmark = pytest.mark.usefixtures("s3_endpoint")

FIRST, SECOND = SITES
THIRD = "6001000003"
QUALITIES = {"A": "actual", "S": "substituted", "F": "final", "E": "estimated"}

Json = dict[str, Any]


class Metered(NamedTuple):
    """A month with meter data: the registry, the readings, and the events beside them.

    FIRST moves from one VPP to the other on the second of the days, and is in SA1 from then on.
    SECOND is metered, and settled from its events on the last of the days; before that, only its
    channels E1 and B1 count. THIRD has events alone.
    """

    month: str
    changes: list[Json]
    rows: list[Day]
    seed: int
    events: list[Event]

    @property
    def days(self) -> list[date]:
        first = date.fromisoformat(f"{self.month}-01")
        return [first.replace(day=number) for number in range(1, Month.parse(self.month).days + 1)]

    @property
    def regions(self) -> dict[tuple[str, date], str]:
        second, last = DAYS[self.month][1:]
        regions = {(FIRST, day): "NSW1" if day < second else "SA1" for day in self.days}
        return regions | {(SECOND, day): SITES[SECOND] for day in self.days if day < last}

    @property
    def counted_events(self) -> list[Event]:
        last = DAYS[self.month][2]
        return [event for event in self.events if event.nmi == THIRD or event.day >= last]

    @property
    def meter(self) -> meter_reference.Result:
        channels = {(SECOND, day): {"B1", "E1"} for day in self.days}
        texts = prices(self.month, self.seed)[0]
        return meter_reference.settle([nem12(self.rows)], texts, self.regions, channels)

    def placed(self, texts: list[str]) -> Place:
        """Put it on S3, with the readings in these files."""
        place = Place()
        place.record(self.changes)
        place.put("events.csv", map(row, self.events))
        for number, text in enumerate(texts):
            place.put_text(f"meter-data/{number}.csv", text)
        for number, text in enumerate(prices(self.month, self.seed)[0]):
            place.put_text(f"prices/{number}.csv", text)
        return place


@st.composite
def metered(draw: st.DrawFn) -> Metered:
    month, rows = draw(months_of_days())
    first, second, last = DAYS[month]
    percentages, fees = st.sampled_from(("0", "20", "33.33", "100")), st.sampled_from(("0", "0.30"))
    terms = st.fixed_dictionaries(
        {"revenue_percentage": percentages, "daily_fee_aud": fees},
        optional={
            "charge_events": st.sampled_from(("cost", "revenue")),
            "negative_balances": st.sampled_from(("site", "vpp")),
        },
    )
    changes = [
        change("create-vpp", None, vpp=name.lower(), name=name, **draw(terms))
        for name in ("One", "Two")
    ]
    for number, (nmi, vpp) in enumerate(((FIRST, "one"), (SECOND, "two"), (THIRD, "two"))):
        capacity_kwh = draw(st.sampled_from(("0", "5", "13.5", "6.667")))
        changes.append(change("create-site", None, nmi=nmi, vpp=vpp, address="1 King St"))
        changes.append(add_battery(f"S{number}", nmi, capacity_kwh, None))
    changes += [
        change("update-site", None, nmi=FIRST, region="NSW1"),
        change("update-site", second, nmi=FIRST, region="SA1"),
        change("update-site", None, nmi=SECOND, region="SA1", channels="B1 E1", basis="meter"),
        change("update-site", last, nmi=SECOND, basis="events"),
        change("assign-site", second, nmi=FIRST, vpp="two"),
    ]
    event = st.builds(
        Event,
        st.sampled_from((SECOND, THIRD)),
        st.sampled_from((first, last)),
        st.sampled_from(("Charge", "Discharge")),
        st.sampled_from((Decimal("1"), Decimal("0.333333"))),
        st.sampled_from((Decimal("10"), Decimal("-3.5"))),
    )
    return Metered(month, changes, rows, draw(st.integers(0, 2)), draw(st.lists(event, max_size=4)))


def as_events(meter: meter_reference.Result) -> list[Event]:
    """Return what a meter's intervals are to the rule; a price may have thirds."""
    return [
        Event(
            nmi,
            day,
            "Discharge" if is_discharge else "Charge",
            Decimal(int(kwh * 10**6)).scaleb(-6),
            price,  # type: ignore[arg-type]
        )
        for nmi, day, is_discharge, kwh, price in meter.intervals
    ]


@settings(whole_path, max_examples=15)
@given(metered(), deals)
def test_every_cent_of_meter_data_is_the_references(case: Metered, places: list[int]) -> None:
    place = case.placed(cut(case.rows, places))
    settled = place.settle(case.month)
    meter = case.meter
    wanted = reference.settle(case.changes, [*as_events(meter), *case.counted_events], case.month)
    assert {r.settlement.vpp_id: numbers(r) for r in reports_of(settled)} == {
        vpp: expected(result) for vpp, result in wanted.vpps.items()
    }
    check_quality(case, meter, reports_of(settled))
    check_each_alone(place, case.month)


def check_quality(case: Metered, meter: meter_reference.Result, reports: list[Any]) -> None:
    second = DAYS[case.month][1]
    for report in reports:
        vpp = report.settlement.vpp_id
        for nmi, site in report.sites.items():
            days = [day for day in case.days if nmi != FIRST or (day < second) == (vpp == "one")]
            found = (meter.completeness.get((nmi, day)) for day in days)
            complete = [of_day for of_day in found if of_day]
            if not complete or nmi == THIRD:
                assert site.basis in ("events", None) or nmi == SECOND
                continue
            assert site.intervals_expected == sum(expected for expected, _ in complete)
            assert site.intervals_missing == sum(missing for _, missing in complete)
            kwh = {
                name: sum(
                    (
                        energy
                        for (of, day, _, letter), (_, energy) in meter.quality.items()
                        if of == nmi and day in days and QUALITIES[letter] == name
                    ),
                    Fraction(0),
                )
                for name in QUALITIES.values()
            }
            assert {n: Fraction(str(v)) for n, v in site.energy_by_quality_kwh.items()} == kwh
            has_events = any(event.nmi == nmi for event in case.counted_events)
            assert site.basis == ("both" if has_events else "meter")


@settings(whole_path, max_examples=8)
@given(metered(), deals, st.randoms(use_true_random=False))
def test_how_meter_files_are_cut_and_in_which_order_changes_no_report(
    case: Metered, places: list[int], rng: random.Random
) -> None:
    one = case.placed([nem12(case.rows)]).settle(case.month)
    shuffled = rng.sample(case.rows, len(case.rows))
    many = case.placed(cut(shuffled, places)).settle(case.month)
    assert [said(report) for report in reports_of(one)] == [
        said(report) for report in reports_of(many)
    ]


def said(report: Any) -> Json:
    """Return what a report says, but for the files that it rests on."""
    content: Json = report.model_dump(mode="json", exclude_none=True)
    for name in ("meter_inputs", "inputs", "reading_conflicts"):
        content["settlement"].pop(name, None)
    return content


@settings(whole_path, max_examples=6)
@given(metered(), deals)
def test_what_is_settled_from_meters_is_explained_and_verified(
    case: Metered, places: list[int]
) -> None:
    place = case.placed(cut(case.rows, places))
    place.publish(case.month)
    for version in [*place.store.versions("meter-data/"), *place.store.versions("prices/")]:
        place.store.delete(version.key)
    for vpp in ("one", "two"):
        verdict = verify(place.store, Month.parse(case.month), vpp)
        assert verdict.is_same, str(verdict)
        check_report(place, case.month, vpp)
