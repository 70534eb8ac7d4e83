"""The story of a settlement run: what happens, in which order, and under which conditions.

`settle_and_publish` is the run; `preview` and `find_late_data` go the same way with a store that
keeps what it writes on this machine. In a flow the stages are Prefect tasks with retries. The line
program and the tests call the same functions without Prefect, which is why this file is apart from
`settle.py`: it loads nothing of Prefect.

    inbox -> imports -> the month's inputs -> settlement -> draft revisions -> published reports
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import polars as pl

from tasks.core.errors import LostRace, Refused
from tasks.core.late_data import LateData
from tasks.core.month import Month
from tasks.core.month_record import MonthRecord
from tasks.core.request import SettlementRequest
from tasks.core.run_record import FailedFile, ImportCounts
from tasks.imports.catalog import Inbox
from tasks.imports.inbox_files import group_objects
from tasks.io.object_store import ObjectStore, ScratchStore
from tasks.io.workspace import workspace
from tasks.runs import stages
from tasks.runs.run import Run
from tasks.runs.stage import run_logger
from tasks.settlement.completeness import require_complete, require_over

RECENT_MONTHS = 8  # that are watched, closed or not: prices are revised for 30 weeks
ROUNDS = 5  # of listing and importing, or of settling and losing the race to publish


def settle_and_publish(run: Run) -> None:
    """Import what is new, settle the month, and publish each report that changed.

    What is published is read before the inbox is. If somebody else publishes in the meantime, it
    may be from newer inputs, so everything is done again on top of it.

    Raises:
        Refused: the inputs cannot be trusted, or lack something; the month is not over, or it is
            closed; or others were faster each time.
    """
    require_over(run.month, run.record.started, run.store.settings.timezone, run.request)
    for _ in range(ROUNDS):
        published = stages.read_published(run.store, run.month)
        with run.timed("import"):
            inbox, counts = import_new_files(run.store)
            run.note(imported=counts)
        with run.timed("settle"):
            inputs = stages.select_inputs(run.store, run.month, inbox, run.request)
            run.inputs = inputs
            inputs.require_settleable(run.request)
            if run.request.is_whole and (
                last := stages.read_same_settlement(run.store, published, inputs)
            ):
                require_complete(run.month, last, last.reports or [], run.request)
                return run.end_unchanged(inputs, last, published.record.digest)
            settlement = stages.settle(run.store, inputs, run.request)
            run.note_settlement(settlement.facts)
            require_complete(run.month, settlement.facts, settlement.reports, run.request)
        try:
            with run.timed("publish"):
                draft = stages.draft_revisions(run.store, published, settlement, run.key)
                record = run.record_now(outcome="publishing", digest=draft.record.digest)
                reports = stages.publish(run.store, draft, record)
        except LostRace:
            run_logger().warning("another run published %s meanwhile; settling again", run.month)
            continue
        return run.end_published(draft, reports)
    raise Refused(
        f"{run.month} was published by others {ROUNDS} times in the meantime; run it again later"
    )


def preview(run: Run) -> None:
    """Settle a month and compare it with what is published; write nothing but the run's record.

    Files that are not imported yet are imported to a folder of this machine, which is deleted
    afterwards. Missing data does not stop it: the summary says what would be refused.
    """
    with scratch_store(run.store) as store:
        published = stages.read_published(store, run.month)
        with run.timed("import"):
            inbox, counts = import_new_files(store)
            run.note(imported=counts)
        with run.timed("settle"):
            inputs = stages.select_inputs(store, run.month, inbox, run.request)
            run.inputs = inputs
            inputs.require_settleable(run.request)
            settlement = stages.settle(store, inputs, run.request)
            run.note_settlement(settlement.facts)
            draft = stages.draft_revisions(store, published, settlement, run.key)
        run.end_preview(settlement, draft)


def import_new_files(store: ObjectStore, folder: str = "") -> tuple[Inbox, ImportCounts]:
    """Import all that is new in a folder of the inbox: events, meter data and prices.

    Where a file is replaced before it is read, the inbox is listed again. What arrives in the
    meantime is for the next run.

    Returns:
        The inbox with all of it imported; how many rows became events, readings or prices, and how
        many did not, by reason.
    """
    frames: list[pl.DataFrame] = []
    inbox = stages.list_inbox(store, folder)
    already = inbox.files.filter(pl.col("import_id").is_not_null())
    for _ in range(ROUNDS):
        if not inbox.new:
            break
        imported = stages.import_each(store, group_objects(inbox.new))
        frames += imported
        inbox = inbox.with_imported(pl.concat(imported))
        if inbox.new:
            inbox = stages.list_inbox(store, folder)
    return inbox, _counts(already, frames, inbox.unread)


def _counts(already: pl.DataFrame, frames: list[pl.DataFrame], unread: list[str]) -> ImportCounts:
    imported = pl.concat(frames) if frames else already.clear()
    reasons = imported.select("rejected").explode("rejected").unnest("rejected").drop_nulls()
    skipped = {
        "already imported": int(already.select((pl.col("rows") + pl.col("ignored")).sum()).item()),
        "ignored": int(imported["ignored"].sum()),
    } | {
        reason: int(count)
        for reason, count in reasons.group_by("reason").sum().sort("reason").rows()
    }
    failed = imported.filter(pl.col("failed").is_not_null()).select("key", "failed")
    return ImportCounts(
        imported=int(imported["imported"].sum()),
        skipped=sum(skipped.values()),
        skipped_by_reason={reason: count for reason, count in skipped.items() if count},
        files_imported=imported["failed"].null_count(),
        files_failed=[FailedFile(**file) for file in failed.iter_rows(named=True)],
        unread=unread,
    )


def find_late_data(
    store: ObjectStore, max_rejected_percent: float, but: Month | None = None
) -> list[LateData]:
    """Settle closed and recent months with today's inputs; return what would change.

    Recent are the last months up to the running one. Nothing is written.
    """
    records = stages.read_month_records(store)
    running = str(Month.of(datetime.now(UTC), store.settings.timezone))
    begun = [record.month for record in records if record.month <= running]
    recent = set(begun[-RECENT_MONTHS:])
    watched = [record for record in records if record.closing or record.month in recent]
    request = SettlementRequest(datetime.now(UTC), max_rejected_percent)
    with scratch_store(store) as scratch:
        inbox, _ = import_new_files(scratch)
        found = [
            _late_data(scratch, record, inbox, request)
            for record in watched
            if record.month != str(but)
        ]
    return [late for late in found if late is not None]


def _late_data(
    store: ObjectStore, record: MonthRecord, inbox: Inbox, request: SettlementRequest
) -> LateData | None:
    """Return what would change in a month, if anything."""
    month, is_closed = Month.parse(record.month), record.closing is not None
    published = stages.read_published(store, month)
    try:
        inputs = stages.select_inputs(store, month, inbox, request)
        inputs.require_settleable(request)
        if stages.read_same_settlement(store, published, inputs):
            return None
        settlement = stages.settle(store, inputs, request)
    except Refused as problem:
        return LateData(month, is_closed, [], [], str(problem))
    draft = stages.draft_revisions(store, published, settlement, run_record="")
    if not draft.new:
        return None
    try:
        require_over(month, datetime.now(UTC), store.settings.timezone, request)
        require_complete(month, settlement.facts, settlement.reports, request)
    except Refused as problem:
        return LateData(month, is_closed, [], [], str(problem))
    differences = [draft.differences[vpp] for vpp in draft.new if vpp in draft.differences]
    first_reports = [vpp for vpp in draft.new if vpp not in draft.differences]
    return LateData(month, is_closed, differences, first_reports, "")


@contextmanager
def scratch_store(store: ObjectStore) -> Iterator[ScratchStore]:
    """Give a store that reads from S3 and keeps what it writes here, until the block ends."""
    with workspace("scratch") as folder:
        yield ScratchStore(store.settings, folder)
