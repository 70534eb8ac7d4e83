"""Run records on S3: written, read in order, and searched for a run that settled a month."""

from typing import Any

import pytest

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.run_record import ReportOutcome, RunRecord, SettledRunRecord
from tasks.io.object_store import ObjectStore
from tasks.publication.run_records import (
    find_settled_run,
    read_run_record,
    read_run_records,
    write_run_record,
)
from tests.unit.core.run_records import FACTS, RUN

MONTH = Month(2025, 9)
REPORT = ReportOutcome(
    vpp="one",
    outcome="published",
    revision=1,
    key="reports/2025-09/one.json",
    name="One",
    sites=1,
    totals={},
    changed=["first"],
)


def settled(**fields: Any) -> SettledRunRecord:
    return SettledRunRecord(**{**RUN, **FACTS, "reports": [REPORT], **fields})


def test_a_later_record_of_the_same_run_replaces_it(store: ObjectStore) -> None:
    record = RunRecord(**RUN)
    write_run_record(store, "runs/2025-09/a.json", record)
    write_run_record(store, "runs/2025-09/a.json", record.model_copy(update={"seconds": 9.0}))
    found = read_run_record(store, "runs/2025-09/a.json")
    assert found is not None
    assert found.seconds == 9
    assert read_run_record(store, "runs/2025-09/b.json") is None


def test_records_are_read_oldest_first_of_a_month_or_of_all(store: ObjectStore) -> None:
    keys = ["runs/2025-10/1.json", "runs/2025-09/2.json", "runs/2025-09/1.json"]
    for key in keys:
        write_run_record(store, key, RunRecord(**RUN))
    assert [key for key, _ in read_run_records(store)] == sorted(keys)
    assert [key for key, _ in read_run_records(store, "2025-09")] == sorted(keys)[:2]


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([settled()], 0),
        ([RunRecord(**RUN, reason="x"), settled(outcome="unchanged"), settled()], 1),
        ([settled(outcome="preview"), settled(outcome="refused"), settled()], 2),
        ([settled(parameters={"vpps": ["one"]}), settled(parameters={"vpps": []})], 1),
        ([settled(reports=[]), settled(settled_events=0), settled()], 2),
    ],
)
def test_the_first_run_that_settled_all_vpps_of_a_month_is_found(
    store: ObjectStore, records: list[RunRecord], found: int
) -> None:
    for number, record in enumerate(records):
        write_run_record(store, f"runs/2025-09/{number}.json", record)
    assert find_settled_run(store, MONTH) == f"runs/2025-09/{found}.json"


@pytest.mark.parametrize("void", [settled(reports=[]), settled(reports=None, settled_events=0)])
def test_a_run_that_had_nothing_to_settle_is_not_enough(
    store: ObjectStore, void: RunRecord
) -> None:
    with pytest.raises(Refused, match=r"^2025-09 is not settled yet; run settle-month for it, or"):
        find_settled_run(store, MONTH)
    write_run_record(store, "runs/2025-09/0.json", void)
    with pytest.raises(Refused) as refused:
        find_settled_run(store, MONTH)
    assert str(refused.value) == (
        "2025-09 was settled without any report or event (runs/2025-09/0.json); look whether "
        "VPP_BUCKET and VPP_PREFIX are right, and whether the inbox has the month's files"
    )
