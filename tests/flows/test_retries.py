"""An S3 that fails for a while costs a run some time; bad data and wrong rights end it at once."""

from time import sleep
from typing import NamedTuple

import pytest
from botocore.retries.standard import ExponentialBackoff
from prefect.client.orchestration import SyncPrefectClient

from flows.registry import create_vpp
from flows.settle import settle_month
from tasks.runs import stages
from tasks.runs.stage import Stage
from tests.flows.failing_s3 import FailingS3
from tests.flows.polling import task_runs
from tests.flows.sample import EVENTS, TOTALS, bytes_at, end, json_at, keys, lay_out, refusal
from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("prefect_api", "quick")

OF_BOTO3 = 8  # attempts that boto3 makes before a task hears of a failure
REPORT = "reports/2025-09/test-vpp-one.json"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits between attempts; there are as many as ever."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0.0)
    found = [value for value in vars(stages).values() if isinstance(value, Stage)]
    assert found
    for stage in found:
        monkeypatch.setattr(stage.task, "retry_delay_seconds", [0.01] * 4)


class Outage(NamedTuple):
    """Requests that fail for longer than boto3 tries, and the task that has to try again."""

    request: str
    status: int | None
    task: str


OUTAGES = {
    "listing the inbox": Outage(r"GET .*prefix=\S*events/", 503, "list the inbox"),
    "reading an event file": Outage(
        r"GET .*/events/events_file.csv", 503, "import events/events_file.csv"
    ),
    "writing the import": Outage(
        r"PUT .*/imports/.*/daily.parquet", 503, "import events/events_file.csv"
    ),
    "committing the import": Outage(
        r"PUT .*/imports/catalog.parquet", 503, "import events/events_file.csv"
    ),
    "reading the daily sums": Outage(r"GET .*/daily.parquet", 500, "settle 2025-09"),
    "looking at what is published": Outage(
        r"GET .*prefix=\S*reports/", None, "read what is published"
    ),
    "writing a revision": Outage(r"PUT .*/r1.json", None, "publish 2025-09"),
    "making it the current report": Outage(r"PUT .*/test-vpp-one.json", 503, "publish 2025-09"),
}


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_a_task_outlasts_boto3(
    place: Place, proxy: FailingS3, client: SyncPrefectClient, outage: Outage
) -> None:
    lay_out(place)
    proxy.answer(outage.request, outage.status, times=OF_BOTO3 + 1)

    state = end(settle_month, "2025-09")

    assert state.is_completed(), state.message
    assert proxy.is_used_up()
    assert state.result()["outcome"] == "published"
    assert json_at(place, REPORT)["totals"].items() >= TOTALS.items()
    assert bytes_at(place, REPORT) == bytes_at(place, REPORT.replace(".json", "/r1.json"))
    assert state.state_details.flow_run_id is not None
    counts = [r.run_count for r in task_runs(client, state.state_details.flow_run_id, outage.task)]
    assert max(counts) == 2


def test_a_registry_change_is_recorded_once(place: Place, proxy: FailingS3) -> None:
    """Also when the connection breaks between the write and its answer, again and again."""
    proxy.answer(r"PUT .*/registry/changes.jsonl", 503, times=OF_BOTO3 + 1)
    assert end(create_vpp, "Test VPP One", 20).is_completed()
    assert len(bytes_at(place, "registry/changes.jsonl").splitlines()) == 1


def test_a_short_outage_is_boto3s_affair(
    place: Place, proxy: FailingS3, client: SyncPrefectClient
) -> None:
    lay_out(place)
    proxy.answer(r"GET .*prefix=\S*events/", 503, times=OF_BOTO3 - 1)
    state = end(settle_month, "2025-09")
    assert state.is_completed(), state.message
    assert state.state_details.flow_run_id is not None
    runs = task_runs(client, state.state_details.flow_run_id, "list the inbox")
    assert {run.run_count for run in runs} == {1}


def test_an_outage_without_end_fails_the_run(
    place: Place, proxy: FailingS3, client: SyncPrefectClient
) -> None:
    lay_out(place)
    proxy.answer(r"PUT .*/r1.json", 503, times=10_000)
    state = end(settle_month, "2025-09")
    assert state.is_failed()
    assert keys(place, "reports/") == []
    [record] = [json_at(place, key) for key in keys(place, "runs/")]
    assert record["outcome"] == "failed"
    assert "503" in record["reason"]
    assert state.state_details.flow_run_id is not None
    [publish] = task_runs(client, state.state_details.flow_run_id, "publish 2025-09")
    assert publish.run_count == 5


def test_an_s3_that_never_answers_is_given_up_with_a_sentence(
    place: Place,
    proxy: FailingS3,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lay_out(place)
    monkeypatch.setenv("VPP_S3_READ_SECONDS", "0.2")
    for _ in range(100):
        proxy.before(r"GET .*prefix=\S*events/", lambda: sleep(0.3))
    state = end(settle_month, "2025-09")
    assert (state.name, str(state.message).partition("(")[0]) == (
        "Failed",
        f"S3 at {proxy.url} cannot be used ",
    )
    assert "takes connections and does not answer within 0.2 s" in str(state.message)
    [record] = [json_at(place, key) for key in keys(place, "runs/")]
    assert (record["outcome"], record["reason"]) == ("failed", state.message)
    assert not any(log.exc_info and log.exc_info[0] for log in caplog.records)


def test_missing_rights_are_not_tried_again(
    place: Place, proxy: FailingS3, client: SyncPrefectClient
) -> None:
    lay_out(place)
    proxy.answer(r"PUT .*/r1.json", 403, times=10_000)
    state = end(settle_month, "2025-09")
    assert state.name == "Refused"
    assert f"does not permit s3:PutObject on {place.settings.bucket}/" in str(state.message)
    assert state.state_details.flow_run_id is not None
    [publish] = task_runs(client, state.state_details.flow_run_id, "publish 2025-09")
    assert publish.run_count == 1


def test_bad_data_is_not_tried_again(place: Place, client: SyncPrefectClient) -> None:
    lay_out(place)
    place.put("again.csv", EVENTS[:1])  # a row that stands in two files
    state = end(settle_month, "2025-09")
    assert state.is_failed()
    assert state.state_details.flow_run_id is not None
    runs = task_runs(client, state.state_details.flow_run_id, "settle 2025-09")
    assert [(run.state_name, run.run_count) for run in runs] == [("Refused", 1)]


def test_a_refused_change_is_not_tried_again(place: Place, client: SyncPrefectClient) -> None:
    lay_out(place)
    state = end(create_vpp, "Test VPP One", 20)
    assert state.is_failed()
    assert state.state_details.flow_run_id is not None
    runs = task_runs(client, state.state_details.flow_run_id, "append to the registry")
    assert [(run.state_name, run.run_count) for run in runs] == [("Refused", 1)]


def test_a_refusal_is_still_told_when_its_record_cannot_be_written(
    place: Place, proxy: FailingS3
) -> None:
    lay_out(place)
    place.store.write("events/broken.csv", b"x\n")
    proxy.answer(r"PUT .*/runs/", 503, times=10_000)
    assert "2025-09 is not settled: 1 file that could matter" in refusal(settle_month, "2025-09")
