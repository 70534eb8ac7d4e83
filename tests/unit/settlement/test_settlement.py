"""The settlement of a month: a function of its inputs that writes nothing."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tasks.core.errors import Refused
from tasks.core.request import SettlementRequest, WhatIf
from tasks.io.object_store import ObjectStore, ObjectVersion
from tasks.settlement import settlement
from tasks.settlement.inputs import MonthInputs
from tasks.settlement.settlement import Settlement, settle
from tests.through_s3 import HEADER, Place, reports_of

ONE, TWO, STRANGER = "6001000001", "6001000002", "6001000009"
REGISTRY: list[dict[str, Any]] = [
    {"change": "create-vpp", "name": "One", "revenue_percentage": "20"},
    {"change": "create-vpp", "name": "Two", "revenue_percentage": "10"},
    {"change": "create-site", "nmi": ONE, "vpp": "one", "address": "1 King St"},
    {"change": "create-site", "nmi": TWO, "vpp": "two", "address": "2 King St"},
    {"change": "assign-site", "nmi": TWO, "vpp": None, "effective_from": "2025-09-20"},
]
ROWS = [
    f"{ONE},2025-09-01,Discharge,4,25",
    f"{ONE},2025-08-31,Discharge,4,25",
    f"{TWO},2025-09-01,Discharge,8,25",
    f"{TWO},2025-09-25,Charge,1.5,25",
    f"{STRANGER},2025-09-02,Charge,1,25",
    f"{STRANGER},2025-09-04,Charge,2,25",
    f"{TWO},2025-09-01,Discharge,x,25",
]


@pytest.fixture(scope="module")
def place(s3_endpoint: str) -> Place:
    place = Place()
    place.record(REGISTRY)
    place.put("a.csv", ROWS)
    return place


@pytest.fixture(scope="module")
def inputs(place: Place) -> MonthInputs:
    return place.inputs("2025-09")


def settled(place: Place, inputs: MonthInputs, **request: Any) -> Settlement:
    return settle(place.store, inputs, SettlementRequest(inputs.as_of, 100, **request))


def test_the_registrys_log_is_listed_once_from_inputs_to_reports(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    versions = ObjectStore.versions

    def noted(store: ObjectStore, folder: str) -> list[ObjectVersion]:
        listed.append(folder)
        return versions(store, folder)

    monkeypatch.setattr(ObjectStore, "versions", noted)
    settled(place, place.inputs("2025-09"))
    assert listed.count("registry/changes") == 1


def test_the_same_inputs_give_the_same_and_nothing_is_written(
    place: Place, inputs: MonthInputs
) -> None:
    before = place.objects()
    first, second = (settled(place, inputs) for _ in range(2))
    assert place.objects() == before
    assert [r.to_bytes() for r in reports_of(first)] == [r.to_bytes() for r in reports_of(second)]
    assert first.facts == second.facts
    assert [report.settlement.revision for report in reports_of(first)] == [1, 1]


def test_every_event_of_the_month_is_settled_or_unassigned(
    place: Place, inputs: MonthInputs
) -> None:
    facts = settled(place, inputs).facts
    assert (facts.rows, facts.rejected_rows, facts.settled_events, facts.unassigned_events) == (
        6,
        1,
        2,
        3,
    )
    assert [
        (of.nmi, of.is_known, of.first_day, of.last_day, of.events, of.energy_kwh)
        for of in facts.unassigned
    ] == [
        (TWO, True, date(2025, 9, 25), date(2025, 9, 25), 1, 1.5),
        (STRANGER, False, date(2025, 9, 2), date(2025, 9, 4), 2, 3.0),
    ]
    assert facts.rejected_by_site == {TWO: 1}
    assert [(file["key"], file["rows"], file["imported"]) for file in facts.files] == [
        ("events/a.csv", 7, 6)
    ]
    assert (facts.inputs, facts.registry_seq) == (inputs.digest, len(REGISTRY))


def test_a_record_does_not_grow_with_what_others_send(
    place: Place, inputs: MonthInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sites that nobody knows, and pairs of files, are counted; the first of them are listed."""
    monkeypatch.setattr(settlement, "_MOST_LISTED", 1)
    other = Place()
    other.record(REGISTRY)
    bad = [f"60010001{number:02},2025-09-01,Discharge,x,25" for number in range(20)]
    shared = [ROWS[0], f"{ONE},2025-09-01,Discharge,5,25"]
    for name in "abc":
        own = f"{ONE},2025-09-0{ord(name) - 95},Discharge,1,25"
        other.put(f"{name}.csv", [*shared, own, *(bad if name == "a" else [])])
    other.put("d.csv", [ROWS[-1], *ROWS[4:6], ROWS[4].replace("9,", "8,", 1)])
    facts = other.settle("2025-09").facts
    assert (facts.rejected_by_site, facts.rejected_other_sites) == ({TWO: 1}, 20)
    assert (len(facts.shared_rows), facts.shared_pairs) == (1, 3)
    assert (len(facts.unassigned), facts.unassigned_sites) == (1, 2)


def test_only_those_asked_for_are_reported_on_and_all_are_settled(
    place: Place, inputs: MonthInputs
) -> None:
    whole, some = settled(place, inputs), settled(place, inputs, vpps=("TWO",))
    assert [report.vpp_id for report in some.reports] == ["two"]
    assert some.facts.settled_events == whole.facts.settled_events
    assert reports_of(some)[0] == reports_of(whole)[1]
    with pytest.raises(Refused, match="there is no VPP 'three' in that month; there are: one, two"):
        settled(place, inputs, vpps=("three",))


def test_a_vpp_with_too_many_rejected_rows_is_named(place: Place, inputs: MonthInputs) -> None:
    """Of two's 2 events of the month one is settled, and one row more is rejected."""
    request = SettlementRequest(inputs.as_of, 40)
    with pytest.raises(Refused) as refused:
        settle(place.store, inputs, request)
    assert "at most 40% may be rejected (two: 1 of 2)" in str(refused.value)
    settle(place.store, inputs, replace(request, max_rejected_percent=50))


def test_other_terms_change_the_vpp_that_they_are_of(place: Place, inputs: MonthInputs) -> None:
    what_if = WhatIf.model_validate({"vpp": "one", "revenue_percentage": "100"})
    one, two = reports_of(settled(place, inputs, what_if=(what_if,)))
    was_one, was_two = reports_of(settled(place, inputs))
    assert one.totals.vpp_ad_valorem_fee == 1
    assert was_one.totals.vpp_ad_valorem_fee == Decimal("0.2")
    assert two == was_two


def test_a_change_recorded_later_is_not_seen(place: Place) -> None:
    other = Place()
    other.record(REGISTRY[:4])
    other.put("a.csv", ROWS[:1])
    then = other.inputs("2025-09").as_of
    other.record([{"change": "update-vpp", "vpp": "one", "name": "New", "effective_from": None}])
    names = [
        [report.name for report in other.settle("2025-09", as_of).reports] for as_of in (then, None)
    ]
    assert names == [["One", "Two"], ["New", "Two"]]


def test_a_month_without_a_file_has_reports_of_nothing(s3_endpoint: str) -> None:
    empty = Place()
    empty.record(REGISTRY[:4])
    empty.store.write("events/a.csv", HEADER.encode())
    found = empty.settle("2025-09")
    assert [report.totals.total_revenue for report in reports_of(found)] == [0, 0]
    assert (found.facts.settled_events, found.facts.files) == (0, [])


def test_of_sites_that_nobody_knows_those_with_most_energy_are_listed(
    place: Place, inputs: MonthInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settlement, "_MOST_LISTED", 0)
    facts = settled(place, inputs, allow_missing=True).facts
    assert [site.nmi for site in facts.unassigned] == [TWO]
    assert (facts.unassigned_sites, facts.unassigned_events) == (2, 3)
