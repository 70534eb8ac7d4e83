"""Runs that die, runs at once, and runs that nobody was there for. What is published is right."""

import os
import signal
import subprocess
import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from tasks.imports.catalog import read_catalog
from tasks.io.object_store import ObjectStore
from tests.e2e.stack import ALARMS, PAGES, Stack, eventually, record_sample, records, reports
from tests.through_s3 import HEADER

BIG_MONTH, OTHER_MONTH, MISSED_MONTH = "2025-05", "2025-04", "2025-08"
FILES = 4
BIG_BYTES = 32 << 20  # a file beyond it is imported alone


class Dead(NamedTuple):
    """A run that was killed, with what else there is of it."""

    prefix: str
    store: ObjectStore
    run: str
    missed: str  # a monthly run that was due while no worker ran
    killed: datetime


def place_of_work(stack: Stack, month: str) -> tuple[str, ObjectStore]:
    """Return a place with some seconds of imports: files too big to be read together."""
    prefix, store = stack.empty_place()
    record_sample(store)
    for day in range(1, FILES + 1):
        row = f"9876543210,{month}-{day:02}T12:00:00+10:00,Discharge,0.00{day},25\n"
        content = HEADER + row * (BIG_BYTES // len(row) + 1)
        store.write(f"events/{day}.csv", content.encode())
    return prefix, store


def start_and_stop(stack: Stack, prefix: str, store: ObjectStore, month: str) -> tuple[str, int]:
    """Start a settlement and stop its process amid the imports; return the run and the process."""
    run = stack.run("settle-month", {"month": month}, prefix)
    eventually(lambda: store.exists("imports/catalog.parquet"), 120, "the first import", every=0.1)
    assert stack.worker
    process = _flow_process(stack.worker.pid)
    os.kill(process, signal.SIGSTOP)
    assert 0 < read_catalog(store)[0].height < FILES
    return run, process


def _flow_process(worker: int) -> int:
    """Return the process of the flow that a worker runs."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    [process] = [
        int(line.split()[0])
        for line in listed.stdout.splitlines()
        if int(line.split()[1]) == worker and "prefect.engine" in line
    ]
    return process


def set_limit(stack: Stack, limit: int) -> None:
    """Let so many runs of settle-month run at once."""
    id = stack.deployments["settle-month"]["global_concurrency_limit"]["id"]
    stack.api.patch(f"/v2/concurrency_limits/{id}", json={"limit": limit}).raise_for_status()


@pytest.fixture(scope="session")
def pair(stack: Stack) -> tuple[ObjectStore, list[str]]:
    """Let the same month be settled by two runs that are created at once; return place and runs."""
    prefix, store = place_of_work(stack, BIG_MONTH)
    runs = [stack.run("settle-month", {"month": BIG_MONTH}, prefix) for _ in range(2)]
    stack.completed(*runs)
    return store, runs


@pytest.fixture(scope="session")
def silenced(stack: Stack, settled: str, pair: tuple[ObjectStore, list[str]]) -> Dead:
    """Kill a run and its worker at once; start another worker after a while.

    After `pair`, as the dead run still holds what lets one run at a time settle its month, and
    after `settled`, so that this one is the first to see the demo's files.
    """
    prefix, store = place_of_work(stack, BIG_MONTH)
    run, process = start_and_stop(stack, prefix, store, BIG_MONTH)
    assert stack.worker
    stack.worker.kill()
    stack.worker.wait()
    os.kill(process, signal.SIGKILL)
    # The dead run keeps its place in the queue until its death is noticed; here the other tests
    # need a place meanwhile.
    set_limit(stack, 2)
    due = {"scheduled_time": "2025-09-01T20:00:00Z"}  # 06:00 on the 2nd, in Brisbane
    missed = stack.run("settle-month", state={"type": "SCHEDULED", "state_details": due})
    killed = datetime.now(UTC)
    stack.start_worker()
    return Dead(prefix, store, run, missed, killed)


@pytest.fixture(scope="session")
def noticed(stack: Stack, silenced: Dead) -> dict[str, Any]:
    """Wait until the dead run has ended; return the state that it ended in."""
    [state] = stack.ended(silenced.run, within_seconds=240)
    set_limit(stack, 1)
    return state


def test_a_run_that_died_with_its_worker_has_published_nothing(
    stack: Stack, silenced: Dead
) -> None:
    """Nobody could say so: for Prefect it is still running."""
    assert [state["name"] for state in stack.states(silenced.run)] == ["Running"]
    assert reports(silenced.store, BIG_MONTH) == {}
    assert records(silenced.store, BIG_MONTH) == []


def test_the_death_of_a_run_and_its_worker_is_noticed(
    stack: Stack, silenced: Dead, noticed: dict[str, Any]
) -> None:
    assert noticed["name"] == "Crashed"
    assert noticed["message"] == "Nothing was heard of it for two minutes."
    seconds = (datetime.fromisoformat(noticed["timestamp"]) - silenced.killed).total_seconds()
    assert 60 < seconds < 200


@pytest.mark.usefixtures("noticed")
def test_the_next_run_completes_what_a_dead_one_began(
    stack: Stack, silenced: Dead, pair: tuple[ObjectStore, list[str]]
) -> None:
    stack.completed(stack.run("settle-month", {"month": BIG_MONTH}, silenced.prefix))
    undisturbed = reports(pair[0], BIG_MONTH)
    assert len(undisturbed) == 1
    assert reports(silenced.store, BIG_MONTH) == undisturbed
    [record] = records(silenced.store, BIG_MONTH)
    assert record["outcome"] == "published"
    assert 0 < record["imported"]["files_imported"] < FILES  # those that were left
    assert read_catalog(silenced.store)[0].height == FILES


def test_a_run_that_was_due_while_no_worker_ran_settles_the_month_it_was_meant_to(
    stack: Stack, silenced: Dead
) -> None:
    stack.completed(silenced.missed)
    assert stack.get(f"/flow_runs/{silenced.missed}")["name"] == f"settle {MISSED_MONTH}"
    [record] = records(stack.store(), MISSED_MONTH)
    assert (record["run_id"], record["outcome"]) == (silenced.missed, "published")
    assert len(reports(stack.store(), MISSED_MONTH)) == 4


def test_the_death_of_a_run_alone_is_noticed_at_once(stack: Stack) -> None:
    prefix, store = place_of_work(stack, OTHER_MONTH)
    run, process = start_and_stop(stack, prefix, store, OTHER_MONTH)
    killed = time.monotonic()
    os.kill(process, signal.SIGKILL)
    [state] = stack.ended(run, within_seconds=30)
    assert time.monotonic() - killed < 15
    assert state["name"] == "Crashed"
    assert reports(store, OTHER_MONTH) == {}


def test_of_two_runs_at_once_the_second_waits_and_finds_nothing_to_do(
    stack: Stack, pair: tuple[ObjectStore, list[str]]
) -> None:
    store, runs = pair
    first, second = sorted((stack.states_of(run) for run in runs), key=lambda at: at["Completed"])
    assert "AwaitingConcurrencySlot" in second
    assert first["Completed"] < second["Running"]
    assert [record["outcome"] for record in records(store, BIG_MONTH)] == ["published", "unchanged"]
    assert [v.key for v in store.versions(f"reports/{BIG_MONTH}/")] == [
        f"reports/{BIG_MONTH}/test-vpp-one.json",
        f"reports/{BIG_MONTH}/test-vpp-one/r1.json",
    ]


def test_applying_the_alarms_again_changes_nothing(stack: Stack) -> None:
    before = stack.post("/automations/filter")
    said = stack.call("flows.commands.alarms").splitlines()
    assert len([automation for automation in before if automation["name"] != PAGES]) == ALARMS
    assert [line.split(": ", 1)[0] for line in said[1:-1]] == ["as it was"] * ALARMS
    assert stack.post("/automations/filter") == before
