"""backfill: months in order, each a run of its own, and none that stops the others."""

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.sorting import FlowRunSort

from flows.backfill import backfill
from tests.flows.sample import REGISTRY, end, json_at, keys, refusal, run
from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("prefect_api")


def discharge(day: str, energy: str = "3") -> str:
    return f"9876543210,{day},Discharge,{energy},25"


def test_months_are_settled_oldest_first_and_a_rerun_changes_nothing(
    place: Place, client: SyncPrefectClient
) -> None:
    place.record(REGISTRY)
    place.put("year-end.csv", [discharge("2024-12-31"), discharge("2025-01-01", "4")])

    state = end(backfill, "2024-12", "2025-01")

    published = {"2024-12": "published", "2025-01": "published"}
    assert list(state.result().items()) == list(published.items())
    revenue = {"2024-12": 0.75, "2025-01": 1.0}
    for month, total in revenue.items():
        report = json_at(place, f"reports/{month}/test-vpp-one.json")
        assert report["totals"]["total_revenue"] == total
        assert len(keys(place, f"runs/{month}/")) == 1
    id = state.state_details.flow_run_id
    assert id is not None
    assert client.read_flow_run(id).name == "backfill 2024-12 to 2025-01"
    runs = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[id])),
        sort=FlowRunSort.START_TIME_ASC,
    )
    assert [(run.name, run.state_name) for run in runs] == [
        ("settle 2024-12", "Completed"),
        ("settle 2025-01", "Completed"),
    ]

    before = place.objects()
    assert run(backfill, "2024-12", "2025-01") == dict.fromkeys(published, "unchanged")
    new = set(place.objects()) - set(before)
    assert {key.split("/")[0] for key in new} == {"runs"}
    assert len(new) == 2


def test_a_month_that_fails_is_named_and_does_not_stop_the_next(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.record(REGISTRY)
    place.put("07.csv", [discharge("2025-07-01")])
    place.put("08.csv", [discharge("2025-08-01"), discharge("2025-08-02", "-3")])
    place.put("09.csv", [discharge("2025-09-01")])

    assert refusal(backfill, "2025-07", "2025-09") == (
        "1 of 3 months failed, the others are settled:\n"
        "2025-08: 2025-08 is not settled: 1 of its 2 rows were rejected (50.0%, at most 5% are "
        "allowed): events/08.csv: 1 energy negative. Correct them in "
        "rejected/2025-08.csv and upload that to the inbox, replace the files, or run with a "
        "higher max_rejected_percent"
    )

    assert not any(record.exc_info for record in caplog.records)
    assert keys(place, "reports/") == [
        "reports/2025-07/test-vpp-one.json",
        "reports/2025-07/test-vpp-one/r1.json",
        "reports/2025-09/test-vpp-one.json",
        "reports/2025-09/test-vpp-one/r1.json",
    ]
    outcomes = {
        month: [json_at(place, key)["outcome"] for key in keys(place, f"runs/{month}/")]
        for month in ("2025-07", "2025-08", "2025-09")
    }
    assert outcomes == {"2025-07": ["published"], "2025-08": ["refused"], "2025-09": ["published"]}


def test_a_range_of_one_month_for_one_vpp(place: Place) -> None:
    place.record([*REGISTRY, {"change": "create-vpp", "name": "Two", "revenue_percentage": "1"}])
    place.put("09.csv", [discharge("2025-09-01")])
    assert run(backfill, "2025-09", "2025-09", vpps=["Two"]) == {"2025-09": "published"}
    assert keys(place, "reports/") == ["reports/2025-09/two.json", "reports/2025-09/two/r1.json"]


def test_a_month_without_data_is_named_and_does_not_stop_the_next(place: Place) -> None:
    place.record(REGISTRY)
    place.put("07.csv", [discharge("2025-07-31")])
    place.put("09.csv", [discharge("2025-09-01")])
    assert refusal(backfill, "2025-07", "2025-09") == (
        "1 of 3 months failed, the others are settled:\n"
        "2025-08: 2025-08 is not settled: no event of test-vpp-one (1 site; the last one is of "
        "2025-07-31). Put the missing files into the inbox (events/), or run settle-month with "
        "allow_missing"
    )


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("2025-09", "2025-08", "from_month: 2025-09 is after to_month, 2025-08; swap them"),
        (
            "2025-13",
            "2025-09",
            "from_month: '2025-13' is not a month; write it as YYYY-MM, like 2025-09",
        ),
        (
            "2025-09",
            "2025-09\n",
            "to_month: '2025-09\\n' is not a month; write it as YYYY-MM, like 2025-09",
        ),
        ("2010-01", "2025-09", "from_month: 2010-01 to 2025-09 are 189 months; 120 at a time"),
        ("", "2025-09", "from_month: '' is not a month; write it as YYYY-MM, like 2025-09"),
    ],
)
def test_what_is_no_range_is_refused(place: Place, first: str, last: str, message: str) -> None:
    assert refusal(backfill, first, last) == message
    assert place.objects() == {}
