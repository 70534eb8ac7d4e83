"""settle-month from end to end: what it publishes, when it writes, and which month it takes."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.flow_engine import run_flow
from prefect.states import Scheduled

from flows.registry import add_battery, create_site, create_vpp
from flows.settle import settle_month
from tasks.core.month import Month
from tasks.evidence.verification import verify
from tests.flows.sample import (
    EVENTS,
    ROOT,
    SITE,
    TOTALS,
    bytes_at,
    json_at,
    keys,
    lay_out,
    refusal,
    run,
)
from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("prefect_api")

REPORT = "reports/2025-09/test-vpp-one.json"
R1, R2, R3 = (f"reports/2025-09/test-vpp-one/r{n}.json" for n in (1, 2, 3))


def test_the_sample_gives_its_report(place: Place, client: SyncPrefectClient) -> None:
    run(create_vpp, "Test VPP One", 20, 0.30)
    run(create_site, "Test VPP One", "9876543210", "426 King St Newcastle West NSW 2302")
    run(add_battery, "9876543210", "Tesla", "38764527113388", 13.5)
    place.store.write("events/events_file.csv", (ROOT / "data/events_file.csv").read_bytes())

    result = run(settle_month, "2025-09")

    record_key = result.pop("run_record")
    assert (result["month"], result["outcome"]) == ("2025-09", "published")
    [published] = result["reports"]
    said = {"vpp": "test-vpp-one", "outcome": "published", "revision": 1, "key": R1, "sites": 1}
    assert said.items() <= published.items()
    assert published["totals"].items() >= TOTALS.items()
    assert bytes_at(place, REPORT) == bytes_at(place, R1)
    report = json_at(place, REPORT)
    assert list(report)[:4] == ["vpp", "month", "totals", "sites"]
    assert (report["vpp"], report["month"]) == ("Test VPP One", "2025-09")
    assert list(report["totals"].items())[: len(TOTALS)] == list(TOTALS.items())
    assert list(report["sites"]) == ["9876543210"]
    assert list(report["sites"]["9876543210"].items())[: len(SITE)] == list(SITE.items())

    record = json_at(place, record_key)
    assert {
        name: record[name]
        for name in (
            "month",
            "outcome",
            "rows",
            "rejected_rows",
            "settled_events",
            "unassigned_events",
            "registry_seq",
            "reports",
            "imported",
        )
    } == {
        "month": "2025-09",
        "outcome": "published",
        "rows": 2,
        "rejected_rows": 0,
        "settled_events": 2,
        "unassigned_events": 0,
        "registry_seq": 3,
        "reports": result["reports"],
        "imported": {
            "imported": 2,
            "skipped": 0,
            "skipped_by_reason": {},
            "files_imported": 1,
            "files_failed": [],
            "unread": [],
        },
    }
    [file] = record["files"]
    assert (file["key"], file["rows"]) == ("events/events_file.csv", 2)
    assert set(record["stages_seconds"]) == {"import", "settle", "publish"}
    assert set(record["software"]) >= {"vpp-settlement", "prefect", "polars", "duckdb"}
    assert record_key.startswith("runs/2025-09/")
    assert record_key.endswith(f"-{record['run_id']}.json")
    flow_run = client.read_flow_run(UUID(record["run_id"]))
    assert (flow_run.name, flow_run.state_name) == ("settle 2025-09", "Completed")


@pytest.mark.parametrize(
    ("month", "scheduled", "settled"),
    [
        ("", "2025-10-01T20:00:00Z", "2025-09"),  # the schedule: the 2nd at 06:00 market time
        ("", "2025-09-30T15:00:00Z", "2025-09"),  # already October in market time
        ("", "2025-09-30T13:59:59Z", "2025-08"),
        ("", "2025-12-31T14:00:00Z", "2025-12"),
        ("2025-07", "2025-10-01T20:00:00Z", "2025-07"),
    ],
)
def test_the_month_is_the_one_before_the_scheduled_time(
    place: Place, client: SyncPrefectClient, month: str, scheduled: str, settled: str
) -> None:
    place.record([{"change": "create-vpp", "name": "Test VPP One", "revenue_percentage": "20"}])
    at = datetime.fromisoformat(scheduled)
    made = client.create_flow_run(
        settle_month,
        parameters={"month": month, "allow_missing": True},
        state=Scheduled(scheduled_time=at),
    )

    result = run_flow(settle_month, flow_run=made)

    assert isinstance(result, dict)
    assert (result["month"], result["outcome"]) == (settled, "published")
    assert keys(place, "reports/") == [
        f"reports/{settled}/test-vpp-one.json",
        f"reports/{settled}/test-vpp-one/r1.json",
    ]
    ended = client.read_flow_run(made.id)
    assert (ended.name, ended.expected_start_time) == (f"settle {settled}", at)


def test_a_run_started_by_hand_takes_the_month_before_now(place: Place) -> None:
    lay_out(place)
    before = datetime.now(UTC)
    result = run(settle_month, allow_missing=True)
    months = {Month.of(at, "Australia/Brisbane").previous for at in (before, datetime.now(UTC))}
    assert result["month"] in {str(month) for month in months}


def test_a_rerun_writes_nothing_but_its_run_record(place: Place) -> None:
    lay_out(place)
    run(settle_month, "2025-09")
    before = place.objects()

    result = run(settle_month, "2025-09")

    assert result["outcome"] == "unchanged"
    [report] = result["reports"]
    assert (report["outcome"], report["revision"], report["key"]) == ("unchanged", 1, R1)
    after = place.objects()
    assert set(after) - set(before) == {result["run_record"]}
    assert {key: etag for key, etag in after.items() if key in before} == before
    assert json_at(place, result["run_record"])["outcome"] == "unchanged"


def test_a_replaced_file_corrects_and_a_deleted_one_takes_back(place: Place) -> None:
    lay_out(place)
    place.put("more.csv", ["9876543210,2025-09-03,Discharge,1,100"])
    run(settle_month, "2025-09")
    first = bytes_at(place, R1)
    assert json.loads(first)["totals"]["total_revenue"] == 2.75

    place.put("more.csv", ["9876543210,2025-09-03,Discharge,1,50"])
    result = run(settle_month, "2025-09")
    assert (result["outcome"], result["reports"][0]["revision"]) == ("published", 2)
    second = bytes_at(place, R2)
    assert json.loads(second)["totals"]["total_revenue"] == 2.25
    assert bytes_at(place, REPORT) == second

    place.store.delete("events/more.csv")
    result = run(settle_month, "2025-09")
    assert (result["outcome"], result["reports"][0]["revision"]) == ("published", 3)
    report = json_at(place, REPORT)
    assert report["totals"].items() >= TOTALS.items()
    assert [file["key"] for file in report["settlement"]["inputs"]] == ["events/events_file.csv"]
    assert (bytes_at(place, R1), bytes_at(place, R2)) == (first, second)
    assert bytes_at(place, REPORT) == bytes_at(place, R3)


def test_only_the_named_vpps_are_reported_on(place: Place) -> None:
    lay_out(place)
    place.record([{"change": "create-vpp", "name": "Two", "revenue_percentage": "10"}])
    result = run(settle_month, "2025-09", vpps=["test vpp ONE"])
    assert [report["vpp"] for report in result["reports"]] == ["test-vpp-one"]
    assert keys(place, "reports/") == [REPORT, R1]


def test_as_of_gives_the_report_as_it_was(place: Place) -> None:
    lay_out(place)
    run(settle_month, "2025-09")
    then = datetime.now(UTC)
    place.record(
        [
            {
                "change": "update-vpp",
                "vpp": "test-vpp-one",
                "name": "Another name",
                "revenue_percentage": "50",
                "effective_from": "2025-09-01",
            },
            {"change": "create-vpp", "name": "Newcomer", "revenue_percentage": "5"},
        ]
    )
    result = run(settle_month, "2025-09")
    assert [(r["vpp"], r["revision"]) for r in result["reports"]] == [
        ("newcomer", 1),
        ("test-vpp-one", 2),
    ]
    assert json_at(place, REPORT)["totals"]["vpp_ad_valorem_fee"] == 0.88

    result = run(settle_month, "2025-09", as_of=then)

    assert [(r["vpp"], r["revision"]) for r in result["reports"]] == [("test-vpp-one", 3)]
    as_revision_1 = bytes_at(place, R3).replace(b'"revision": 3', b'"revision": 1')
    assert as_revision_1 == bytes_at(place, R1)
    assert datetime.fromisoformat(json_at(place, result["run_record"])["as_of"]) == then


@pytest.mark.parametrize("month", ["2025-13", "2025-09\n", "2025-9", " 2025-09", "september"])
def test_what_is_no_month_is_refused(place: Place, month: str) -> None:
    lay_out(place)
    before = place.objects()
    message = refusal(settle_month, month)
    assert message == f"month: {month!r} is not a month; write it as YYYY-MM, like 2025-09"
    assert place.objects() == before


def test_two_runs_at_once_end_with_one_report(place: Place) -> None:
    lay_out(place)
    run(settle_month, "2025-09")
    place.put("events_file.csv", [*EVENTS, "9876543210,2025-09-03,Discharge,1,100"])
    barrier = threading.Barrier(2)

    def settle() -> str:
        barrier.wait()
        return str(run(settle_month, "2025-09")["outcome"])

    with ThreadPoolExecutor(2) as pool:
        outcomes = [pool.submit(copy_context().run, settle) for _ in range(2)]
    assert {outcome.result() for outcome in outcomes} <= {"published", "unchanged"}

    assert keys(place, "reports/") == [REPORT, R1, R2.replace("r2", "r2.diff"), R2]
    assert bytes_at(place, REPORT) == bytes_at(place, R2)
    assert json_at(place, REPORT)["totals"]["total_revenue"] == 2.75
    assert json_at(place, REPORT)["settlement"]["revision"] == 2
    assert len(keys(place, "runs/2025-09/")) == 3


def test_a_replaced_file_revises_only_the_vpps_whose_events_it_changes(place: Place) -> None:
    lay_out(place)
    place.record(
        [
            {"change": "create-vpp", "name": "Two", "revenue_percentage": "10"},
            {"change": "create-site", "vpp": "two", "nmi": "1234567890", "address": "2 Elm St"},
        ]
    )
    one, other = "9876543210,2025-09-03,Discharge,1,100", "1234567890,2025-09-0{},Discharge,1,{}"
    place.put("shared.csv", [one, other.format(3, 40), other.format(4, 60)])
    run(settle_month, "2025-09")
    first = bytes_at(place, REPORT)

    place.put("shared.csv", [one, other.format(3, 50), other.format(4, 60)])
    result = run(settle_month, "2025-09")
    assert [(r["vpp"], r["outcome"], r["revision"]) for r in result["reports"]] == [
        ("test-vpp-one", "unchanged", 1),
        ("two", "published", 2),
    ]
    assert bytes_at(place, REPORT) == first
    assert run(settle_month, "2025-09")["outcome"] == "unchanged"
    assert verify(place.store, Month.parse("2025-09"), "test-vpp-one").is_same

    # The same totals from other days are no longer the same events.
    place.put("shared.csv", [one, other.format(3, 60), other.format(4, 50)])
    result = run(settle_month, "2025-09")
    assert [r["revision"] for r in result["reports"]] == [1, 3]
    # As before, in another spelling: nobody's events changed.
    place.put("shared.csv", [one, other.format(3, "60.0"), other.format(4, 50)])
    result = run(settle_month, "2025-09")
    assert [(r["outcome"], r["revision"]) for r in result["reports"]] == [
        ("unchanged", 1),
        ("unchanged", 3),
    ]
