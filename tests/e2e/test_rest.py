"""Every deployment over REST, with parameters that fit and with some that do not."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest

from tasks.core.month import Month
from tasks.io.object_store import ObjectStore
from tasks.publication.published import read_published
from tests.e2e.background import Background
from tests.e2e.conftest import MONTH
from tests.e2e.stack import ROOT, Stack, eventually, read, read_json, records
from tests.flows.sample import EVENTS, REGISTRY, TOTALS
from tests.through_s3 import HEADER

VPP, SITE, BATTERY = "Test VPP One", "9876543210", "38764527113388"
OTHER_SITE, OTHER_BATTERY = "QAAAVZZZZZ", "B-2"
UPLOADED = "registry/uploads/other.jsonl"
OTHERS: list[dict[str, Any]] = [
    {"change": "create-vpp", "name": "Other VPP", "revenue_percentage": "10"},
    {**REGISTRY[1], "nmi": OTHER_SITE, "vpp": "Other VPP"},
    {**REGISTRY[2], "nmi": OTHER_SITE, "serial": OTHER_BATTERY},
]


class Call(NamedTuple):
    """One deployment: when it is called, with what, and with what it would be refused."""

    step: int  # calls of one step do not need each other, and are made at once
    name: str
    good: dict[str, Any]
    bad: dict[str, Any] | None = None  # what the server refuses; for some, nothing
    field: str = ""  # which its answer names


CALLS = [
    Call(
        1,
        "create-vpp",
        {"name": VPP, "revenue_percentage": 20, "daily_fee_aud": 0.3},
        {"name": "A", "revenue_percentage": 101},
        "revenue_percentage",
    ),
    Call(1, "import-registry", {"key": UPLOADED}, {}, "key"),
    Call(1, "request-upload", {"name": f"{MONTH}/rest.csv"}),
    Call(1, "request-registry-upload", {"name": "sites.csv"}),
    Call(
        2,
        "create-site",
        {"vpp": VPP, "nmi": SITE, "address": "426 King St Newcastle West NSW 2302"},
    ),
    Call(2, "import-events", {"prefix": MONTH}, {"prefix": 9}, "prefix"),
    Call(
        2,
        "update-vpp",
        {"vpp": "Other VPP", "daily_fee_aud": 0.1},
        {"vpp": "Other VPP", "charge_events": "free"},
        "charge_events",
    ),
    Call(
        2,
        "update-site",
        {"nmi": OTHER_SITE, "address": "1 Other St"},
        {"nmi": OTHER_SITE, "region": "NSW"},
        "region",
    ),
    Call(
        2,
        "update-battery",
        {"serial": OTHER_BATTERY, "capacity_kwh": 10},
        {"serial": OTHER_BATTERY, "capacity_kwh": -1},
        "capacity_kwh",
    ),
    Call(
        3,
        "add-battery",
        {"nmi": SITE, "manufacturer": "Tesla", "serial": BATTERY, "capacity_kwh": 13.5},
        {"nmi": SITE, "manufacturer": "Tesla", "serial": BATTERY, "capacity_kwh": "much"},
        "capacity_kwh",
    ),
    Call(3, "assign-site", {"nmi": OTHER_SITE, "vpp": VPP}),
    Call(3, "remove-battery", {"serial": OTHER_BATTERY}, {"serial": 7}, "serial"),
    Call(
        4,
        "settle-month",
        {"month": MONTH},
        {"month": MONTH, "vpps": VPP},
        "vpps",
    ),
    Call(
        5,
        "generate-report",
        {"vpp": VPP, "month": MONTH},
        {"vpp": VPP, "month": "2025-9"},
        "month",
    ),
    Call(
        5,
        "download-report",
        {"vpp": VPP, "month": MONTH, "revision": 1},
        {"vpp": VPP, "month": MONTH, "format": "docx"},
        "format",
    ),
    Call(5, "check-settled", {"month": MONTH}, {"month": "2025-13"}, "month"),
    Call(
        5,
        "backfill",
        {"from_month": MONTH, "to_month": MONTH},
        {"from_month": MONTH},
        "to_month",
    ),
    Call(
        5,
        "explain-site",
        {"vpp": VPP, "nmi": SITE, "month": MONTH},
        {"vpp": VPP, "nmi": "", "month": MONTH},
        "nmi",
    ),
    Call(
        5,
        "verify-report",
        {"vpp": VPP, "month": MONTH},
        {"vpp": VPP, "month": "2025-00"},
        "month",
    ),
    Call(5, "month-tables", {"month": MONTH}, {"month": ""}, "month"),
    Call(5, "watch-months", {}),  # it has no parameters
    Call(5, "list-months", {}),
    Call(5, "list-registry", {"day": "2025-09-30"}),
    Call(6, "make-statements", {"month": MONTH}, {"month": "2025-9"}, "month"),
    Call(
        6,
        "site-statement",
        {"vpp": VPP, "month": MONTH, "nmi": SITE},
    ),
    Call(6, "close-month", {"month": MONTH}, {"month": MONTH, "expect": ""}, "expect"),
    Call(
        7,
        "reopen-month",
        {"month": MONTH, "reason": "a test"},
        {"month": MONTH, "reason": ""},
        "reason",
    ),
    Call(8, "redate-changes", {}),
    # One of step 3, whichever was the last.
    Call(
        8,
        "withdraw-change",
        {"seq": 11, "reason": "a test"},
        {"seq": 0, "reason": "a test"},
        "seq",
    ),
]


class Called(NamedTuple):
    """What came of all good calls: where, and each run's id and final state."""

    prefix: str
    store: ObjectStore
    runs: dict[str, str]
    states: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def called(stack: Stack, background: Background) -> Called:
    return background.result("called", lambda: call_all(stack))


def call_all(stack: Stack) -> Called:
    """Make all good calls, in a place that is empty but for an uploaded file of changes."""
    prefix, store = stack.empty_place()
    store.write(UPLOADED, "\n".join(map(json.dumps, OTHERS)).encode())
    called = Called(prefix, store, {}, {})
    for _, calls in groupby(CALLS, key=lambda call: call.step):
        digest = {"expect": read_published(store, Month.parse(MONTH)).record.digest}
        runs = {
            call.name: stack.run(
                call.name, call.good | (digest if call.name == "close-month" else {}), prefix
            )
            for call in calls
        }
        called.runs.update(runs)
        called.states.update(zip(runs, stack.ended(*runs.values()), strict=True))
        if "request-upload" in runs:
            # The other VPP's site has one that is worth nothing: without any it would be refused.
            of_other = f"{OTHER_SITE},2025-09-01,Discharge,0,0"
            content = HEADER + "".join(f"{event}\n" for event in [*EVENTS, of_other])
            [artifact] = stack.artifacts("upload", runs["request-upload"])
            [command] = re.findall(r"^curl .+$", artifact["data"], re.M)
            with TemporaryDirectory() as folder:
                (Path(folder) / "rest.csv").write_text(content)
                said = subprocess.check_output([*shlex.split(command), "--fail"], cwd=folder)
            assert said == b""
    return called


def test_all_deployments_are_called(stack: Stack) -> None:
    assert sorted(call.name for call in CALLS) == sorted(stack.deployments)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: str(call.name))
def test_good_parameters_complete(called: Called, call: Call) -> None:
    state = called.states[call.name]
    assert state["name"] == "Completed", state["message"]


@pytest.mark.parametrize(
    ("name", "bad", "field"),
    [
        *(call[1:2] + call[3:] for call in CALLS if call.bad is not None),
        ("settle-month", {"month": "2025-13"}, "month"),
        ("settle-month", {"max_rejected_percent": 101}, "max_rejected_percent"),
        ("create-vpp", {"name": "A", "revenue_percentage": -1}, "revenue_percentage"),
    ],
)
def test_the_server_refuses_bad_parameters_and_names_the_field(
    stack: Stack, name: str, bad: dict[str, Any], field: str
) -> None:
    answer = stack.request_run(name, bad)
    assert answer.status_code == 409
    assert f"'{field}'" in answer.json()["detail"]


# By its parameters alone, and by what is in the registry; test_alarms.py has what Prefect lets
# through. All that flows refuse is in tests/flows.
REFUSED_BY_THE_FLOW: list[tuple[str, dict[str, Any], str]] = [
    (
        "create-site",
        {"vpp": VPP, "nmi": "123", "address": "Somewhere"},
        "nmi: '123' is not an NMI: 10 letters (without I and O) and digits, or 11 with the check",
    ),
    (
        "settle-month",
        {"month": MONTH, "vpps": ["Nobody"]},
        "vpps: there is no VPP 'Nobody'; list-registry lists all, create-vpp makes one",
    ),
]


def test_what_the_server_cannot_know_the_flow_refuses_before_anything_is_written(
    stack: Stack, called: Called
) -> None:
    before = everything(called.store)
    runs = [stack.run(name, bad, called.prefix) for name, bad, _ in REFUSED_BY_THE_FLOW]
    for (_, _, sentence), state in zip(REFUSED_BY_THE_FLOW, stack.ended(*runs), strict=True):
        assert state["name"] == "Refused"
        assert state["message"].startswith(sentence)
    assert everything(called.store) == before
    for run in runs:  # what a run says last comes to the server together
        said = eventually(partial(last_words, stack, run), 30, "a run's last words")
        assert "Traceback" not in said


def last_words(stack: Stack, run: str) -> str:
    """Return what a run's log says, once it says how the run ended; nothing before."""
    logs = stack.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200})
    said = "\n".join(log["message"] for log in logs)
    return said if "Finished in state" in said else ""


def everything(store: ObjectStore) -> dict[str, str]:
    """Return all that is in a place, but for what runs say about themselves."""
    return {v.key: v.etag for v in store.versions("") if not v.key.startswith("runs/")}


def test_what_is_uploaded_by_link_is_imported_and_settled(called: Called) -> None:
    [record] = [
        record
        for record in records(called.store, MONTH)
        if record["run_id"] == called.runs["settle-month"]
    ]
    assert (record["outcome"], record["rows"]) == ("published", 3)
    assert [file["key"] for file in record["files"]] == [f"events/{MONTH}/rest.csv"]
    assert record["imported"]["imported"] == 0  # import-events had done it
    report = read_json(called.store, f"reports/{MONTH}/test-vpp-one.json")
    assert report["totals"].items() >= TOTALS.items()


@pytest.mark.parametrize(
    ("name", "artifact_key", "key"),
    [
        ("generate-report", "download", f"reports/{MONTH}/test-vpp-one.json"),
        ("download-report", "download", f"reports/{MONTH}/test-vpp-one/r1.json"),
        ("explain-site", "dispute", "disputes/"),
        ("month-tables", "download", "tables/"),
    ],
)
def test_an_artifact_links_what_was_asked_for(
    stack: Stack, called: Called, name: str, artifact_key: str, key: str
) -> None:
    [artifact] = stack.artifacts(artifact_key, called.runs[name])
    [(linked, url)] = re.findall(r"\[(.+)\]\((http.+)\)", artifact["data"])
    assert linked.startswith(key)
    assert stack.fetch(url).content == read(called.store, linked)
    assert artifact["description"].startswith(f"{linked}, to be read until 20")
    message = called.states[name]["message"]
    assert message.startswith(f"{linked} can be read until 20")
    assert message.endswith(f" UTC: the link is in the artifact {artifact_key}")


def test_no_link_is_in_a_log_or_a_message(stack: Stack, called: Called) -> None:
    """They go further than to whoever started the run."""
    names = ("request-upload", "request-registry-upload", "download-report", "list-registry")
    runs = [called.runs[name] for name in names]
    for name in names:
        assert "http" not in called.states[name]["message"]
    logs = stack.post("/logs/filter", {"logs": {"flow_run_id": {"any_": runs}}, "limit": 200})
    assert {log["flow_run_id"] for log in logs} == set(runs)
    assert [log["message"] for log in logs if "x-amz-" in log["message"].lower()] == []
    assert "x-amz-" not in stack.log("worker").read_text().lower()


def test_one_idempotency_key_makes_one_run(stack: Stack) -> None:
    later = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2100-01-01T00:00:00Z"}}
    asked = [
        stack.request_run(
            "check-settled", {"month": "2025-01"}, idempotency_key="once", state=later
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in asked] == [201, 200]
    assert asked[0].json()["id"] == asked[1].json()["id"]


def readme_commands() -> Iterator[str]:
    """Yield the shell commands of the README that ask for a run."""
    for block in re.findall(r"^```\w*\n(.+?)^```", (ROOT / "README.md").read_text(), re.M | re.S):
        if "create_flow_run" in block or "deployment run" in block:
            yield block


@pytest.mark.parametrize("command", list(readme_commands()))
@pytest.mark.usefixtures("settled")
def test_the_readmes_request_works_as_printed(stack: Stack, command: str) -> None:
    port = str(stack.api.base_url.port)
    printed = {
        "4200": port,
        "/ID/": f"/{stack.deployments['settle-month']['id']}/",
        ".venv/bin/": f"{Path(sys.executable).parent}/",
    }
    for placeholder, value in printed.items():
        command = command.replace(placeholder, value)
    shell = ["bash", "-euo", "pipefail", "-c", command]
    before = {run["id"] for run in settlements(stack)}
    for _ in range(10):
        done = subprocess.run(
            shell, check=True, cwd=ROOT, env=stack.environment, capture_output=True, text=True
        )
        if "Service Unavailable" not in done.stdout:  # what a busy server on SQLite may say
            break
    [made] = [run["id"] for run in settlements(stack) if run["id"] not in before]
    stack.completed(made)


def settlements(stack: Stack) -> list[dict[str, Any]]:
    """Return all runs of settle-month that somebody asked for."""
    found = stack.post(
        "/flow_runs/filter", {"deployments": {"name": {"any_": ["settle-month"]}}, "limit": 200}
    )
    return [run for run in found if not run["auto_scheduled"]]
