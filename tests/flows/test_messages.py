"""What people are told by a run: its final message, its name and tags, its artifacts."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Event
from typing import Any
from uuid import UUID

import httpx
import polars as pl
import pytest
from prefect import Flow, tags, task
from prefect import flow as prefect_flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
)
from prefect.client.schemas.objects import Artifact, FlowRun, State
from prefect.client.schemas.sorting import ArtifactSort

from flows.backfill import backfill
from flows.check import check_settled
from flows.closing import close_month, reopen_month
from flows.explain import explain_site, verify_report
from flows.ingest import import_events, request_upload
from flows.reports import download_report, generate_report
from flows.settle import settle_month
from flows.watch import watch_months
from tasks.runs.deployed import names_in_words
from tasks.runs.flow_run import add_tags
from tasks.runs.run import user_and_machine
from tasks.runs.summary import wait_with_progress
from tests.flows.deployed import DEPLOYMENTS, load
from tests.flows.polling import eventually
from tests.flows.sample import EVENTS, REGISTRY, end, json_at, lay_out, refusal, run
from tests.through_s3 import HEADER, Place

pytestmark = pytest.mark.usefixtures("prefect_api")

NMI, VPP = "9876543210", "test-vpp-one"
STRANGER = "6001000001,2025-09-05,Charge,4,10"
DIGEST = "digest [0-9a-f]{16}"


def said(flow: Flow[..., Any], *args: Any, **kwargs: Any) -> str:
    """Run a flow that is to complete, and return its final message."""
    state = end(flow, *args, **kwargs)
    assert state.is_completed(), state.message
    return state.message or ""


def id_of(state: State[Any]) -> UUID:
    assert state.state_details.flow_run_id is not None
    return state.state_details.flow_run_id


def artifacts(client: SyncPrefectClient, state: State[Any]) -> dict[str, Artifact]:
    """Return the artifacts of a run by key."""
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[id_of(state)]))
    return {str(found.key): found for found in client.read_artifacts(artifact_filter=of_run)}


def children(client: SyncPrefectClient, state: State[Any]) -> list[FlowRun]:
    parent = FlowRunFilterParentFlowRunId(any_=[id_of(state)])
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=parent))


# Final messages


def test_a_month_tells_its_story_in_final_messages(place: Place) -> None:
    lay_out(place)
    assert "is not settled yet" in refusal(check_settled, "2025-09")
    assert said(import_events) == "2 rows of 1 file imported, 0 rows rejected"
    assert said(import_events) == (
        "0 rows of 0 files imported, 0 rows rejected, 2 rows imported before"
    )
    assert said(import_events, "2025-08/") == "the inbox has nothing in 2025-08/"
    preview = said(settle_month, "2025-09", preview=True)
    assert re.fullmatch(f"2025-09: preview, 1 report, 1 would change, {DIGEST}", preview)
    digest = preview.rpartition(" ")[2]
    assert said(settle_month, "2025-09") == (
        f"2025-09: published, 1 report, 1 new, digest {digest}"
    )
    assert said(settle_month, "2025-09") == f"2025-09: unchanged, 1 report, digest {digest}"
    assert said(backfill, "2025-09", "2025-09") == "1 month: 1 unchanged"
    [first, *_] = [key for key in place.objects() if key.startswith("runs/2025-09/")]
    assert said(check_settled, "2025-09").startswith("2025-09 is settled, first by runs/2025-09/")
    assert first.startswith("runs/")
    assert said(verify_report, VPP, "2025-09").startswith(
        f"reports/2025-09/{VPP}.json: same bytes, recomputed from what runs/2025-09/"
    )
    assert said(close_month, "2025-09", digest, by="Ada") == (
        f"2025-09 is closed by Ada with the digest {digest}"
    )
    assert said(watch_months) == "Nothing would change in any closed or recent month"
    place.put("late.csv", [STRANGER, f"{NMI},2025-09-03,Discharge,1,100"])
    assert said(watch_months).startswith(
        "Late data in 1 month:\n2025-09 (closed) would change: Test VPP One: total_revenue"
    )
    assert said(reopen_month, "2025-09", "a late file", by="Bob") == (
        "2025-09 is reopened by Bob: a late file"
    )
    assert re.fullmatch(
        f"2025-09: published, 1 report, 1 new, {DIGEST}, 1 site with unassigned events",
        said(settle_month, "2025-09"),
    )


# What is not read, and what is in no VPP


def test_what_is_not_read_and_what_is_unassigned_is_named(
    place: Place, client: SyncPrefectClient
) -> None:
    lay_out(place)
    place.put("more.csv", [STRANGER])
    unread = [f"events/a{suffix}" for suffix in ("", ".csv.zip", ".tsv", ".txt", ".xlsx")]
    for key in unread:
        place.store.write(key, b"x")
    place.store.write("events/2025-09/", b"")  # what some S3 clients make for a folder
    named = "5 objects not read because of the name: " + ", ".join(unread)

    state = end(import_events)
    assert state.result()["unread"] == unread
    assert str(state.message).endswith(named)

    state = end(settle_month, "2025-09")
    assert str(state.message).endswith(named)
    result: Any = state.result()
    assert result["unread"] == unread
    assert [(s["nmi"], s["energy_kwh"]) for s in result["unassigned"]] == [("6001000001", 4.0)]
    record = json_at(place, result["run_record"])
    assert record["imported"]["unread"] == unread
    summary = str(artifacts(client, state)["settlement-2025-09"].data)
    assert f"In the inbox: {named}." in summary
    assert "| 6001000001 | no | 2025-09-05 to 2025-09-05 | 1 | 4.0 |" in summary
    assert "3 rows in 2 files: 0 rejected, 2 events settled in this month, 1 unassigned." in summary


# Names, tags, and who started it


def test_a_what_if_is_named_so_and_shows_its_terms(place: Place, client: SyncPrefectClient) -> None:
    lay_out(place)
    terms = {"vpp": "Test VPP One", "revenue_percentage": "40", "daily_fee_aud": "0.1"}
    state = end(settle_month, "2025-09", what_if=[terms])
    assert state.message == ("2025-09: what if, nothing is published, 1 report, 1 would change")
    assert client.read_flow_run(id_of(state)).name == "what if 2025-09"
    [(key, artifact)] = artifacts(client, state).items()
    assert key == "what-if-2025-09"
    assert str(artifact.data).startswith(
        "# What if: 2025-09 under other terms. Nothing is published\n\n"
        "Assumed on all days of the month; all else is as the registry has it:\n\n"
        f"- {VPP}: revenue_percentage 40, daily_fee_aud 0.1\n"
    )


def test_runs_are_found_by_month_and_vpp_and_keep_their_tags(
    place: Place, client: SyncPrefectClient
) -> None:
    lay_out(place)
    with tags("vpp-settlement", "mine"):
        made = end(generate_report, "Test VPP One", "2025-09")
        filled = end(backfill, "2025-09", "2025-10")
    assert set(client.read_flow_run(id_of(made)).tags) == {"vpp-settlement", "mine", "2025-09", VPP}
    [child] = children(client, made)
    assert set(child.tags) == {"vpp-settlement", "mine", "2025-09", VPP}
    assert sorted(sorted(child.tags) for child in children(client, filled)) == [
        ["2025-09", "mine", "vpp-settlement"],
        ["2025-10", "mine", "vpp-settlement"],
    ]


def test_a_run_from_python_says_whose_it_is(place: Place) -> None:
    lay_out(place)
    record = json_at(place, run(settle_month, "2025-09")["run_record"])
    assert record["started_by"] == user_and_machine()
    assert re.fullmatch(r".+ at .+", record["started_by"])


# VPPs by any of their names


def test_a_vpp_is_named_by_id_current_name_or_its_name_in_the_month(place: Place) -> None:
    lay_out(place)
    place.record(
        [{"change": "update-vpp", "vpp": VPP, "name": "New", "effective_from": "2025-10-01"}]
    )
    for name in (VPP, "new", "Test VPP One"):
        assert [r["vpp"] for r in run(settle_month, "2025-09", vpps=[name])["reports"]] == [VPP]
        assert run(settle_month, "2025-09", what_if=[{"vpp": name}])["reports"]
        assert run(generate_report, name, "2025-09")["key"].endswith(f"/{VPP}.json")
        assert run(download_report, name, "2025-09")["key"].endswith(f"/{VPP}.json")
        assert "same bytes" in run(verify_report, name, "2025-09")
        assert VPP in run(explain_site, name, NMI, "2025-09")["key"]
    assert refusal(settle_month, "2025-11", vpps=["Test VPP One"]) == (
        "vpps: there is no VPP 'Test VPP One'; list-registry lists all, create-vpp makes one"
    )


# Links


def test_an_upload_has_one_name_however_it_is_written(
    place: Place, client: SyncPrefectClient
) -> None:
    for name in ("2025-09/week-1.csv", "events/2025-09/week-1.csv"):
        state = end(request_upload, name)
        result: Any = state.result()
        assert result["key"] == "events/2025-09/week-1.csv"
        assert str(state.message).startswith("events/2025-09/week-1.csv can be uploaded until 20")
        [(key, artifact)] = artifacts(client, state).items()
        assert key == "upload"
        fields = "".join(f'-F "{name}={value}" ' for name, value in result["fields"].items())
        command = f'\ncurl {fields}-F "file=@week-1.csv" "{result["url"]}"\n'
        assert command in str(artifact.data)
    sent = httpx.post(result["url"], data=result["fields"], files={"file": HEADER.encode()})
    assert sent.is_success
    assert list(place.objects()) == ["events/2025-09/week-1.csv"]
    replacing = ", in the place of the object that is there now"
    assert replacing not in str(state.message)
    assert replacing in str(end(request_upload, "2025-09/week-1.csv").message)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "name: must not be empty; give a name like sites.csv"),
        ("../a.csv", "name: '../a.csv' is no name in events/; write it as letters,"),
        ("events/../a.csv", "name: 'events/../a.csv' is no name in events/; write it as letters,"),
        ("a//b.csv", "name: 'a//b.csv' is no name in events/; write it as letters,"),
        (
            "a.txt",
            "name: events/a.txt would not be read: names in events/ end in .csv, .csv.gz or",
        ),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str, sentence: str) -> None:
    assert refusal(request_upload, name).startswith(sentence)


@pytest.mark.parametrize("prefix", ["../", "2025//09", "events//"])
def test_a_prefix_that_leads_elsewhere_is_refused(prefix: str) -> None:
    message = refusal(import_events, prefix)
    assert message.startswith("prefix: '")
    assert "' is no name in events/; write it as letters," in message


def test_a_link_is_in_one_artifact_and_not_in_what_is_logged(
    place: Place, client: SyncPrefectClient, caplog: pytest.LogCaptureFixture
) -> None:
    lay_out(place)
    run(settle_month, "2025-09")
    for flow, args, key in (
        (request_upload, ("a.csv",), "upload"),
        (download_report, (VPP, "2025-09"), "download"),
        (explain_site, (VPP, NMI, "2025-09"), "dispute"),
    ):
        state = end(flow, *args)
        result = state.result()
        secret = result["fields"]["x-amz-signature"] if "fields" in result else result["url"]
        holding = [name for name, a in artifacts(client, state).items() if secret in str(a.data)]
        assert holding == [key]
        assert "http" not in str(state.message)
    assert not any("x-amz-" in record.getMessage().lower() for record in caplog.records)


def test_an_earlier_revision_is_explained(place: Place) -> None:
    lay_out(place)
    run(settle_month, "2025-09")
    place.put("late.csv", [f"{NMI},2025-09-03,Discharge,1,100"])
    run(settle_month, "2025-09")
    for revision, number in ((0, 2), (1, 1), (2, 2)):
        key = run(explain_site, VPP, NMI, "2025-09", revision)["key"]
        assert key == f"disputes/2025-09/{VPP}/{NMI}-r{number}.zip"
    assert refusal(explain_site, VPP, NMI, "2025-09", 3).startswith(
        f"revision: {VPP} in 2025-09 has no revision 3; the last one is 2"
    )


# Texts from outside


def test_what_comes_from_outside_is_shown_and_not_obeyed(
    place: Place, client: SyncPrefectClient
) -> None:
    name, address = "A | [B](http://c) <b>", "1 `King` St | <img src=x>"
    place.record(
        [
            {**REGISTRY[0], "name": name},
            {**REGISTRY[1], "vpp": name, "address": address},
        ]
    )
    place.put("x_|_[y](z).csv", [*EVENTS, f"{NMI},2025-09-02,Discharge,x,1"])
    state = end(settle_month, "2025-09", max_rejected_percent=100)
    summary = str(artifacts(client, state)["settlement-2025-09"].data)
    assert r"| A \| \[B\](http://c) &lt;b> |" in summary
    assert r"| events/x\_\|\_\[y\](z).csv |" in summary
    vpp = state.result()["reports"][0]["vpp"]
    state = end(explain_site, vpp, NMI, "2025-09")
    text = str(artifacts(client, state)[f"explanation-2025-09-{NMI}-{vpp}"].data)
    assert r"1 \`King\` St \| &lt;img src=x>; A \| \[B\](http://c) &lt;b>, revision 1" in text
    assert r"| events/x\_\|\_\[y\](z).csv, line 2 |" in text


# Parameters


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: str(deployment["name"]))
def test_every_flow_says_what_is_wrong_with_its_parameters(deployment: dict[str, Any]) -> None:
    flow = load(deployment)
    assert not flow.should_validate_parameters  # with pydantic's words
    given = dict.fromkeys(flow.parameters.required)
    assert names_in_words(flow, given) == ""
    having = ", ".join(flow.parameters.properties)
    assert names_in_words(flow, {**given, "monht": 1}) == (
        f"monht: {flow.name} has no such parameter; it has {having or 'none'}"
    )
    for name in flow.parameters.required:
        assert f"{name}: must be given" in names_in_words(flow, {})


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (
            {"month": "2025-13"},
            "month: '2025-13' is not a month; write it as YYYY-MM, like 2025-09",
        ),
        ({"month": 202509}, "month: must be text (given: 202509)"),
        ({"vpps": "A"}, "vpps: must be a list (given: 'A')"),
        ({"max_rejected_percent": 101}, "max_rejected_percent: must be 100 or less (given: 101)"),
        (
            {"what_if": [{"vpp": "a", "fee": 1}]},
            "what_if.0.fee: is no field of settle-month; leave it",
        ),
        ({"what_if": [{}]}, "what_if.0.vpp: must be given"),
        (
            {"as_of": "soon"},
            "as_of: must be a moment, like 2025-10-02T06:00:00+10:00 (given: 'soon')",
        ),
        ({"as_of": "0001-01-01T00:00:00Z"}, "as_of: must be a moment from 1901 to now"),
        ({"as_of": "9999-12-31T23:59:59Z"}, "as_of: must be a moment from 1901 to now"),
        (
            {"month": "1066-10"},
            "month: 1066-10 must be a month from 1998-12, when the market began",
        ),
        (
            {"month": "2999-12"},
            "month: 2999-12 must be a month from 1998-12, when the market began",
        ),
        ({"vpps": ["a"] * 100_000}, "vpps: must have at most 1000 entries, not 100000"),
        (
            {"what_if": [{"vpp": "a"}] * 10_000},
            "what_if: must have at most 100 entries, not 10000",
        ),
        (
            {"month": "x", "preview": "x"},
            "month: 'x' is not a month; write it as YYYY-MM, like 2025-09; "
            "preview: must be true or false",
        ),
    ],
)
def test_a_parameter_that_does_not_fit_is_a_sentence(
    place: Place, caplog: pytest.LogCaptureFixture, parameters: dict[str, Any], sentence: str
) -> None:
    state = end(settle_month, **parameters)
    assert state.name == "Refused"
    assert str(state.message).startswith(sentence)
    assert not any(record.exc_info for record in caplog.records)
    assert place.objects() == {}


def test_a_wrong_setting_is_a_sentence(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPP_TIMEZONE", "Australia/Brisban")
    sentence = "VPP_TIMEZONE is 'Australia/Brisban': there is no such time zone"
    for flow in (settle_month, check_settled, import_events, watch_months):
        assert refusal(flow).startswith(sentence)
    assert place.objects() == {}


def test_a_table_of_rejected_rows_is_data(place: Place, client: SyncPrefectClient) -> None:
    lay_out(place)
    place.put("bad.csv", [f"{NMI},2025-09-02,Discharge,x,1"])
    state = end(settle_month, "2025-09", max_rejected_percent=100)
    table = artifacts(client, state)["rejected-rows-2025-09"]
    assert str(table.description).startswith("The first 1 of 1 rejected row; all of them")
    assert [row["line"] for row in json.loads(str(table.data))] == [2]


def test_progress_goes_by_bytes_also_within_a_file(client: SyncPrefectClient) -> None:
    is_seen = Event()
    streamed = [1_000_000]  # by whoever read before

    @task
    def read(size: int) -> pl.DataFrame:
        if size > 100:
            assert is_seen.wait(60)
        return pl.DataFrame({"size": [size]})

    @prefect_flow
    def reading() -> list[pl.DataFrame]:
        return wait_with_progress(read.map([100, 898]), [100, 898], lambda: streamed[0])

    def progress() -> list[Artifact]:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["import-progress"]))
        found = client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC)
        return [a for a in found if a.description == "of 0.0 MB, in 2 imports"]

    of_others = {artifact.id for artifact in progress()}

    def own() -> list[Artifact]:
        return [artifact for artifact in progress() if artifact.id not in of_others]

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(copy_context().run, reading)
        [seen] = eventually(own, lambda found: bool(found) and found[0].data != 0)
        assert seen.data == pytest.approx(10.1)
        streamed[0] += 500  # in the middle of the bigger one
        eventually(own, lambda found: found[0].data == pytest.approx(50))
        is_seen.set()
        assert [frame.item() for frame in ended.result()] == [100, 898]
    assert [artifact.data for artifact in own()] == [100]


def test_a_run_that_cannot_be_tagged_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    @prefect_flow
    def tagging() -> str:
        add_tags("2025-09", "\ud800")  # half a character, which no server takes
        return "done"

    assert tagging() == "done"
    [warning] = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert warning.startswith("the run could not be tagged with 2025-09, ")
    add_tags("outside of any run")
