"""A run's record says in words why it ended, however it did."""

import json
from datetime import UTC, datetime

import pytest
from prefect.exceptions import TerminationSignal

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.request import SettlementRequest
from tasks.io.object_store import ObjectStore
from tasks.runs.run import Run


@pytest.mark.parametrize(
    ("problem", "outcome", "reason"),
    [
        (Refused("a file is missing"), "refused", "a file is missing"),
        (ValueError("no number"), "failed", "no number"),
        (AssertionError(), "failed", "AssertionError"),
        (
            TerminationSignal(signal=15),
            "failed",
            "its process was told to end: cancelled, or its worker was stopped",
        ),
        (SystemExit(1), "failed", "its process ended amid the run (exit status 1)"),
        (SystemExit(), "failed", "its process ended amid the run (exit status 0)"),
        (KeyboardInterrupt(), "failed", "it was interrupted at the keyboard"),
    ],
)
def test_a_record_says_why_the_run_ended(
    store: ObjectStore, problem: BaseException, outcome: str, reason: str
) -> None:
    request = SettlementRequest(datetime.now(UTC), max_rejected_percent=5)
    run = Run(store, Month.parse("2025-09"), request, "a run", "a test", {})
    with pytest.raises(type(problem)), run.recorded():
        raise problem
    found = store.read(run.key)
    assert found is not None
    record = json.loads(found[0])
    assert (record["outcome"], record["reason"]) == (outcome, reason)
