"""A settlement run: its request, where it reads and writes, and its record so far."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from getpass import getuser
from importlib.metadata import version
from time import monotonic
from typing import Any

from tasks.core import keys
from tasks.core.difference import Difference
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.request import SettlementRequest
from tasks.core.run_record import (
    ReportOutcome,
    RunRecord,
    SettledRunRecord,
    SettlementFacts,
    VppDifference,
)
from tasks.io.object_store import ObjectStore
from tasks.publication.revisions import Revisions, ended
from tasks.publication.run_records import write_run_record
from tasks.runs.stage import run_logger
from tasks.settlement.inputs import MonthInputs
from tasks.settlement.settlement import Settlement

_SOFTWARE = ("vpp-settlement", "prefect", "polars", "duckdb", "boto3")


def _in_words(problem: BaseException) -> str:
    """Say what ended a run. Prefect's exceptions are known by name, as it need not be there."""
    name = type(problem).__name__
    if name == "TerminationSignal":
        return "its process was told to end: cancelled, or its worker was stopped"
    if isinstance(problem, SystemExit):
        return f"its process ended amid the run (exit status {problem.code or 0})"
    if isinstance(problem, KeyboardInterrupt):
        return "it was interrupted at the keyboard"
    return str(problem) or name


def user_and_machine() -> str:
    """Name the user that this process runs as, and the machine."""
    try:
        user = getuser()
    except (KeyError, OSError):  # a container's users need not have names
        user = f"user {os.getuid()}"
    return f"{user} at {socket.gethostname()}"


class Run:
    """One settlement run of a month. Its record grows with its stages.

    `inputs` and `differences` are for the summary: those of the last round.
    """

    def __init__(
        self,
        store: ObjectStore,
        month: Month,
        request: SettlementRequest,
        run_id: str,
        started_by: str,
        parameters: dict[str, Any],
    ) -> None:
        self.store = store
        self.month = month
        self.request = request
        self.inputs: MonthInputs | None = None
        self.differences: dict[str, Difference] = {}
        started = datetime.now(UTC)
        self.key = keys.run_record(month, started, run_id)
        self.record: RunRecord = RunRecord(
            month=str(month),
            run_id=run_id,
            started_by=started_by,
            started=started,
            seconds=0,
            outcome="failed",
            software={name: version(name) for name in _SOFTWARE},
            parameters=parameters,
            stages_seconds={},
        )

    def note(self, **facts: Any) -> None:
        """Add to the record, or correct it."""
        self.record = self.record.model_copy(update=facts)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note how long a stage took."""
        started = monotonic()
        try:
            yield
        finally:
            seconds = round(monotonic() - started, 2)
            self.note(stages_seconds={**self.record.stages_seconds, stage: seconds})

    def write_record(self) -> None:
        """Write the record as it is now."""
        write_run_record(self.store, self.key, self.record_now())
        run_logger().info("run record: %s", self.key)

    def record_now(self, **facts: Any) -> RunRecord:
        """Return the record with the seconds so far, and with these facts."""
        seconds = round((datetime.now(UTC) - self.record.started).total_seconds(), 1)
        return self.record.model_copy(update={"seconds": seconds, **facts})

    @contextmanager
    def recorded(self) -> Iterator["Run"]:
        """Write the run's record at the end of the block, however it ends."""
        try:
            yield self
        except BaseException as problem:
            outcome = "refused" if isinstance(problem, Refused) else "failed"
            self.note(outcome=outcome, reason=_in_words(problem))
            try:
                self.write_record()
            except Exception as failure:
                run_logger().error("the run record could not be written: %s", failure)
            raise
        self.write_record()

    def note_settlement(self, facts: SettlementFacts) -> None:
        """Note what the month was settled from."""
        noted = {name: getattr(self.record, name) for name in self.record.model_fields_set}
        self.record = SettledRunRecord(**(noted | dict(facts)))

    def end_unchanged(self, inputs: MonthInputs, last: SettledRunRecord, digest: str) -> None:
        """End as unchanged: the month was settled from the same inputs before."""
        facts = {name: getattr(last, name) for name in SettlementFacts.model_fields}
        self.note_settlement(SettlementFacts(**(facts | dict(inputs.facts))))
        reports = [
            report.model_copy(update={"outcome": "unchanged", "changed": []})
            for report in last.reports or []
        ]
        self.note(outcome="unchanged", digest=digest, reports=reports)

    def end_published(self, revisions: Revisions, reports: list[ReportOutcome]) -> None:
        """End as published, or as unchanged if there was nothing to publish."""
        self.differences = revisions.differences
        self.note(digest=revisions.record.digest, **ended(reports))

    def end_preview(self, settlement: Settlement, revisions: Revisions) -> None:
        """End as a preview: what publishing would do."""
        self.differences = revisions.differences
        new = set(revisions.new)
        self.note(
            outcome="preview",
            differences={
                vpp: VppDifference(totals=difference.totals, sites=difference.sites)
                for vpp, difference in revisions.differences.items()
            },
            reports=[
                revisions.outcome(report, "preview" if report.vpp_id in new else "unchanged")
                for report in settlement.reports
            ],
        )
        if not self.request.what_if:
            self.note(digest=revisions.record.digest)
