"""What changed in the data between two settlements: sites, versions of days, prices."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tasks.core.month import Month
from tasks.settlement.data_changes import DataChanges, data_changes
from tasks.settlement.settlement import Settlement
from tests.through_s3 import HEADER, Place, reports_of
from tests.unit.settlement.test_metered_month import NMI, OTHER, REGISTRY, nem12, prices

pytestmark = pytest.mark.usefixtures("s3_endpoint")

MONTH = Month(2026, 3)


@pytest.fixture
def place() -> Place:
    place = Place()
    place.record(REGISTRY)
    return place


@contextmanager
def changes(place: Place, before: Settlement, after: Settlement) -> Iterator[DataChanges]:
    with data_changes(place.store, MONTH, before.facts, after.facts) as found:
        yield found


def rows(*events: tuple[str, int, str]) -> list[str]:
    return [f"{nmi},2026-03-{day:02d},Discharge,{energy},10" for nmi, day, energy in events]


FIRST = [(NMI, 1, "1"), (OTHER, 2, "2")]


@pytest.mark.parametrize(
    ("later", "sites"),
    [
        (FIRST, set()),
        ([(NMI, 1, "1"), (OTHER, 2, "3")], {OTHER}),
        ([(NMI, 1, "1")], {OTHER}),
        ([(OTHER, 2, "2"), (NMI, 1, "0.4"), (NMI, 1, "0.6")], {NMI}),  # two events, not one
        ([(OTHER, 2, "2"), (NMI, 2, "1")], {NMI}),
        ([*FIRST, ("6001000009", 3, "1")], {"6001000009"}),
    ],
)
def test_sites_with_other_sums_in_a_replaced_file_are_named(
    place: Place, later: list[Any], sites: set[str]
) -> None:
    place.put("a.csv", rows(*FIRST))
    before = place.settle("2026-03")
    place.put("a.csv", [*rows(*later), f"{NMI},2026-02-01,Discharge,1,1"])
    place.put("b.csv", rows((OTHER, 9, "1")))  # it was added, and so is a cause of its own
    after = place.settle("2026-03")
    with changes(place, before, after) as found:
        assert found.sites == sites
        [report] = reports_of(after)
        assert found.spare(report) == sites.isdisjoint({NMI, OTHER})
        assert found.causes(report, report) == []


def test_where_rows_are_corrected_it_cannot_be_said(place: Place) -> None:
    place.put("a.csv", [*rows(*FIRST), f"{NMI},2026-03-03,Discharge,x,10"])
    before = place.settle("2026-03")
    found = place.store.read("rejected/2026-03.csv")
    assert found is not None
    place.store.write("events/list.csv", found[0].replace(b",x,10,", b",1,10,"))
    corrected = place.settle("2026-03")
    assert corrected.facts.corrected_rows == 1
    with changes(place, before, corrected) as found_changes:
        assert found_changes.sites == set()  # a file was added, and none replaced
    place.store.write("events/list.csv", found[0].replace(b",x,10,", b",2,10,"))
    again = place.settle("2026-03")
    with changes(place, corrected, again) as found_changes:
        assert found_changes.sites is None
        [report] = reports_of(again)
        assert not found_changes.spare(report)


def test_later_versions_of_days_and_other_prices_are_causes(place: Place) -> None:
    place.put_text("meter-data/a.csv", nem12(quality="S14", version="20260402120000"))
    place.put_text("prices/a.csv", prices("100.00"))
    before = place.settle("2026-03")
    later = range(5, 8)
    place.put_text("meter-data/b.csv", nem12(later, values="2", version="20260501120000"))
    place.put_text("prices/b.csv", prices("90.50", range(9, 10), changed="2026/04/05 12:00:00"))
    after = place.settle("2026-03")
    with changes(place, before, after) as found:
        [report] = reports_of(after)
        assert [str(cause) for cause in found.causes(report, report)] == [
            f"meter data replaced: {NMI}, 2026-03-05 to 2026-03-07 (version 2026-04-02 12:00:00 -> "
            "2026-05-01 12:00:00, S14 -> A)",
            "price changed: SA1 on 2026-03-09, intervals 1-288 (the first: 100.00 -> 90.50 (-9.50) "
            "AUD/MWh)",
        ]
        assert not found.spare(report)
        assert found.sites == set()
    with changes(place, after, after) as found:
        assert found.causes(report, report) == []
        assert found.spare(report)


def test_the_same_files_changed_nothing(place: Place) -> None:
    place.store.write("events/a.csv", HEADER.encode())
    before = place.settle("2026-03")
    with changes(place, before, before) as found:
        assert found.sites == set()
