"""A settlement run as a whole: its turn among others of its month, and its record.

The record is what a run has to say for itself: written to S3 however it ends, and there for longer
than Prefect's database.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from prefect import get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.context import FlowRunContext

from tasks.core.difference import Difference
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.publication.revisions import run_record_key, write_run_record
from tasks.runs import summary as announcements
from tasks.settlement.inputs import Intake


class RunRecord:
    """What a settlement run has to say for itself."""

    def __init__(self, month: Month, parameters: dict[str, Any]) -> None:
        self.month = month
        self.started = datetime.now(UTC)
        self.facts: dict[str, Any] = {"parameters": parameters, "stages_seconds": {}}
        self.outcome = "failed"
        self.differences: dict[str, Difference] = {}
        self.intake: Intake | None = None
        self.key = run_record_key(month, self.started, str(runtime.flow_run.id))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        started = monotonic()
        try:
            yield
        finally:
            self.facts["stages_seconds"][name] = round(monotonic() - started, 2)

    def write(self, outcome: str) -> None:
        """Write what is known by now."""
        write_run_record(
            ObjectStore(Settings()),
            self.key,
            self.month,
            self.started,
            run_id=str(runtime.flow_run.id),
            started_by=started_by(),
            outcome=outcome,
            facts=self.facts,
        )


@contextmanager
def run_record(month: Month, **parameters: Any) -> Iterator[RunRecord]:
    """Write the run's record at the end, however it ends."""
    record = RunRecord(month, parameters)

    def write() -> None:
        record.write(record.outcome)
        get_run_logger().info("run record: %s", record.key)
        announcements.announce_settlement(month, record.outcome, record.key, record.facts)

    try:
        yield record
    except BaseException as problem:
        record.outcome = "refused" if isinstance(problem, Refused) else "failed"
        record.facts["reason"] = str(problem) or repr(problem)
        try:
            write()
        except Exception as failure:
            get_run_logger().error("the run record could not be written: %s", failure)
        raise
    write()


@contextmanager
def one_at_a_time(month: Month) -> Iterator[None]:
    """Wait while another run settles this month, whatever flow it was started by.

    For order in the history only: what is published is right without it. A holder that dies loses
    its place when its lease runs out.
    """
    name = f"settle-{month}"
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(name, 1)
    with concurrency(name, occupy=1, lease_duration=60, strict=True):
        yield


def started_by() -> str:
    """Name who started this run, as far as Prefect knows."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.created_by is None:
        return "a call from Python"
    return f"{run.created_by.type}: {run.created_by.display_value}"
