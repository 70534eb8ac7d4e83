"""What Prefect sees of the stages: their names, their order in a run, and the facts they log.

Each task is one call of a plain function; all that passes between tasks on different machines is
on S3.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import polars as pl
from prefect import get_run_logger, runtime
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, PrefectFutureList, as_completed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.month_record import Ledger
from tasks.core.month_record import Settled as LastSettled
from tasks.core.settings import Settings
from tasks.evidence.dispute import put_bundle
from tasks.evidence.explanation import explain
from tasks.evidence.verification import put_tables, verify
from tasks.imports.catalog import add_to_catalog, current, list_inbox, read_catalog
from tasks.imports.event_files import grouped, import_objects
from tasks.io.object_store import LostRace, ObjectStore, ObjectVersion, Scratch
from tasks.io.registry_log import read_registry
from tasks.publication.closing import close, ledgers, reopen
from tasks.publication.revisions import (
    Plan,
    Published,
    Standing,
    is_made,
    outcome,
    plan,
    publish,
    run_records,
    standing,
)
from tasks.runs import summary as announcements
from tasks.runs.run import RunRecord, started_by
from tasks.runs.stage import stage
from tasks.settlement import settlement
from tasks.settlement.allocation import WhatIf
from tasks.settlement.inputs import Intake
from tasks.settlement.inputs import take_in as intake_of
from tasks.settlement.settlement import Settled

_RECENT_MONTHS = 6  # that are watched for late data, closed or not
_ROUNDS = 5  # of listing and importing, or of settling and losing the race to publish


def task_runner() -> TaskRunner[PrefectFuture[Any]]:
    """Return what runs the imports of a flow, by the settings.

    Threads by default, two of them: Polars and DuckDB use all cores themselves, and the second
    import reads from S3 while the first one parses. Dask and Ray put each import on another
    machine; all that they exchange is on S3.
    """
    settings = Settings()
    address = settings.task_runner_address or None
    runner: Any = ThreadPoolTaskRunner(max_workers=2)
    if settings.task_runner == "dask":
        from prefect_dask.task_runners import DaskTaskRunner

        local = {"n_workers": 2, "threads_per_worker": 1}
        runner = DaskTaskRunner(address=address, cluster_kwargs=None if address else local)
    elif settings.task_runner == "ray":
        from prefect_ray.task_runners import RayTaskRunner

        runner = RayTaskRunner(address=address)
    return cast("TaskRunner[PrefectFuture[Any]]", runner)


@dataclass(frozen=True)
class Asked:
    """What a settlement was asked for."""

    vpps: list[str]
    as_of: datetime
    max_rejected_percent: float
    allow_failed_imports: bool
    what_if: tuple[WhatIf, ...] = ()


def _store(scratch: Path | None = None) -> ObjectStore:
    return Scratch(Settings(), scratch) if scratch else ObjectStore(Settings())


def month_or_previous(month: str) -> Month:
    """Return the month asked for, or the one before the run's scheduled time in market time.

    A run that starts late, after downtime or at a retry, keeps its scheduled time, and so settles
    the month that it was meant to.
    """
    if month:
        return Month.parse(month)
    scheduled = runtime.flow_run.scheduled_start_time or datetime.now(UTC)
    return Month.of(scheduled, Settings().timezone).previous


def asked(
    vpps: list[str],
    as_of: datetime | None,
    max_rejected_percent: float | None,
    allow_failed_imports: bool,
    what_if: list[WhatIf],
) -> Asked:
    """Return what was asked for, with what goes without saying."""
    limit = Settings().max_rejected_percent
    others = tuple(one.model_copy(update={"vpp": vpp_id(one.vpp)}) for one in what_if)
    if len({one.vpp for one in others}) < len(others):
        raise Refused("what_if: a VPP stands there twice; say all its other terms at once")
    return Asked(
        vpps,
        in_market_time(as_of) if as_of else datetime.now(UTC),
        limit if max_rejected_percent is None else max_rejected_percent,
        allow_failed_imports,
        others,
    )


def in_market_time(moment: datetime) -> datetime:
    """Return a moment with its offset; one without is market time."""
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(Settings().timezone))


@stage("list the inbox")
def new_files(
    folder: str, scratch: Path | None = None
) -> tuple[list[ObjectVersion], list[list[ObjectVersion]], pl.DataFrame]:
    """List the inbox; what of it is not in the catalog, in groups; and what is."""
    store = _store(scratch)
    inbox = list_inbox(store, folder)
    files = current(read_catalog(store)[0], inbox)
    known = files.filter(pl.col("import_id").is_not_null())
    new = set(files.filter(pl.col("import_id").is_null())["key"])
    groups = grouped([version for version in inbox if version.key in new])
    get_run_logger().info(
        "%d files in events/%s, %d of them new, in %d imports",
        len(inbox),
        folder,
        len(new),
        len(groups),
    )
    return inbox, groups, known


def _import_name() -> str:
    files = runtime.task_run.parameters["files"]
    if isinstance(files, quote):  # called, not mapped
        files = files.unquote()
    if len(files) == 1:
        return f"import {files[0].key}"
    return f"import {len(files)} files from {files[0].key}"


@stage(_import_name)
def import_files(files: list[ObjectVersion], scratch: Path | None = None) -> pl.DataFrame:
    """Import a group of files and commit them; return their rows of the catalog."""
    store, logger = _store(scratch), get_run_logger()
    imported = import_objects(store, Settings().timezone, files)
    add_to_catalog(store, imported)
    for file in imported.filter(pl.col("failed").is_not_null()).iter_rows(named=True):
        logger.error("%s could not be read: %s", file["key"], file["failed"])
    for file in imported.filter(pl.col("rows") > pl.col("imported")).iter_rows(named=True):
        logger.warning(
            "%s: %d of %d rows rejected (%s), listed in imports/%s/rejected.csv",
            file["key"],
            file["rows"] - file["imported"],
            file["rows"],
            ", ".join(f"{entry['rows']} {entry['reason']}" for entry in file["rejected"]),
            file["import_id"],
        )
    for file in imported.filter(pl.col("ignored_columns") != "").iter_rows(named=True):
        logger.info("%s: columns ignored: %s", file["key"], file["ignored_columns"])
    logger.info("%d files, %d rows imported", imported.height, imported["imported"].sum())
    if not scratch:
        announcements.announce_rejected(imported)
    return imported


def import_new_files(folder: str = "") -> tuple[list[ObjectVersion], dict[str, Any]]:
    """Import all that is new in a folder of the inbox.

    Where a file is replaced before it is read, all is listed again; what arrives meanwhile is for
    the next run.

    Returns:
        The inbox as it was listed, all of it imported, and how many rows were imported, and were
        not, by reason.
    """
    frames: list[pl.DataFrame] = []
    inbox, groups, already = new_files(folder)
    for _ in range(_ROUNDS):
        if not groups:
            break
        frames += _with_progress(import_files.task.map(groups))
        read = {version for frame in frames for version in frame.select("key", "etag").iter_rows()}
        if all((listed.key, listed.etag) in read for group in groups for listed in group):
            break
        inbox, groups, _ = new_files(folder)
    imported = pl.concat(frames) if frames else already.clear()
    reasons = imported.select("rejected").explode("rejected").unnest("rejected").drop_nulls()
    skipped = {"already imported": int(already["rows"].sum())} | {
        reason: int(count)
        for reason, count in reasons.group_by("reason").sum().sort("reason").rows()
    }
    return inbox, {
        "imported": int(imported["imported"].sum()),
        "skipped": sum(skipped.values()),
        "skipped_by_reason": {reason: count for reason, count in skipped.items() if count},
        "files_imported": imported["failed"].null_count(),
        "files_failed": imported.filter(pl.col("failed").is_not_null())
        .select("key", "failed")
        .to_dicts(),
    }


def _with_progress(imports: PrefectFutureList[pl.DataFrame]) -> list[pl.DataFrame]:
    """Wait for imports, showing how many are done; raise what any of them raised."""
    shown = create_progress_artifact(
        0, key="import-progress", description=f"of {len(imports)} imports"
    )
    assert isinstance(shown, UUID)  # not a coroutine: this is no async code
    for done, future in enumerate(as_completed(list(imports)), 1):
        future.result()
        update_progress_artifact(shown, done * 100 / len(imports))
    return imports.result()


@stage("look at what is published")
def look_at_published(month: Month) -> Standing:
    """Note what stands, before the inputs are read."""
    return standing(_store(), month)


@stage("take in {month}")
def take_in(month: Month, inbox: list[ObjectVersion], scratch: Path | None = None) -> Intake:
    """Find what of the inbox counts for a month; list its rejected rows, before it is refused."""
    return intake_of(_store(scratch), Settings(), month, inbox)


@stage("settle {intake.month}")
def settle(
    intake: Intake,
    asked: Asked,
    known: LastSettled | None,
    scratch: Path | None = None,
) -> Settled:
    """Allocate the month, check it, and make the reports. Nothing is written."""
    settled = settlement.settle(
        _store(scratch),
        Settings(),
        intake,
        asked.vpps,
        asked.as_of,
        asked.max_rejected_percent,
        asked.allow_failed_imports,
        known,
        asked.what_if,
    )
    facts = settled.facts
    get_run_logger().info(
        "%d files, %d rows: %d rejected; %d events settled, %d unassigned; %s",
        len(facts["files"]),
        facts["rows"],
        facts["rejected_rows"],
        facts["settled_events"],
        facts["unassigned_events"],
        "the same as the last time" if settled.is_known else f"{len(settled.reports)} reports",
    )
    return settled


@stage("compare {before.month}")
def compare(before: Standing, settled: Settled, run_record: str, is_whole: bool) -> Plan:
    """Find which reports differ from what stands, and how. Nothing is written."""
    return plan(_store(), before, settled.reports, settled.facts, run_record, is_whole)


@stage("publish {planned.before.month}")
def publish_reports(planned: Plan, write_record: Callable[[], None]) -> list[Published]:
    """Publish the reports that differ from what stands."""
    published = publish(_store(), planned, write_record)
    for report in published:
        get_run_logger().info("%s: %s, %s", report.vpp, report.outcome, report.key)
    return published


def import_settle_publish(record: RunRecord, month: Month, asked: Asked) -> None:
    """Import what is new, settle a month and publish it; note the facts in the record.

    What stands is looked at before the inbox is. So if somebody else publishes meanwhile, it may be
    from newer inputs, and everything is done again on top of it.
    """
    for _ in range(_ROUNDS):
        before = look_at_published(month)
        with record.stage("import"):
            inbox, record.facts["imported"] = import_new_files()
        with record.stage("settle"):
            record.intake = take_in(month, inbox)
            settled = settle(record.intake, asked, known(before, asked))
        record.facts |= settled.facts
        if settled.is_known:
            record.outcome, record.facts["digest"] = "unchanged", before.ledger.digest
            for report in record.facts["reports"]:
                report.update(outcome="unchanged", changed=[])
            return
        try:
            with record.stage("publish"):
                planned = compare(before, settled, record.key, not asked.vpps)
                record.facts["digest"] = planned.ledger.digest
                published = publish_reports(planned, lambda: record.write("publishing"))
        except LostRace:
            get_run_logger().warning("another run published %s meanwhile; settling again", month)
            continue
        is_new = any(report.outcome == "published" for report in published)
        record.outcome = "published" if is_new else "unchanged"
        record.facts["reports"] = [vars(report) for report in published]
        record.differences = planned.differences
        return
    raise Refused(f"{month} was published by others {_ROUNDS} times meanwhile; run it again later")


def known(before: Standing, asked: Asked) -> LastSettled | None:
    """Return what need not be settled again, if the inputs are the same: all that stands."""
    if asked.vpps or asked.what_if or before.ledger.settled is None:
        return None
    store = _store()
    is_whole = all(is_made(store, before, vpp) for vpp in before.ledger.revisions)
    return before.ledger.settled if is_whole else None


def preview(record: RunRecord, month: Month, asked: Asked) -> None:
    """Settle a month and compare it with what stands; write nothing but the record.

    Files that are not imported yet are imported to a folder of this machine, which is then gone.
    """
    with tempfile.TemporaryDirectory(prefix="vpp-preview-") as folder:
        scratch = Path(folder)
        before = look_at_published(month)
        with record.stage("import"):
            inbox, groups, _ = new_files("", scratch)
            for group in groups:
                import_files(group, scratch)
        with record.stage("settle"):
            record.intake = take_in(month, inbox, scratch)
            settled = settle(record.intake, asked, None, scratch)
            planned = compare(before, settled, record.key, not asked.vpps)
    record.outcome, record.differences = "preview", planned.differences
    record.facts |= settled.facts
    record.facts["differences"] = {
        vpp: difference.model_dump(mode="json", include={"totals", "sites"})
        for vpp, difference in planned.differences.items()
    }
    if not asked.what_if:
        record.facts["digest"] = planned.ledger.digest
    record.facts["reports"] = [
        vars(outcome(planned, report, "preview" if is_new else "unchanged"))
        for report in settled.reports
        for is_new in [report.settlement.vpp_id in planned.new]
    ]


@stage("show the result")
def show(record: RunRecord) -> None:
    """Make the run's artifacts: the month's summary and its rejected rows."""
    store = _store()
    announcements.show_settlement(
        store, record.month, record.outcome, record.facts, record.differences
    )
    if record.intake:
        announcements.show_rejected(record.intake)


@stage("close {month}")
def close_month(month: Month, expect: str, by: str) -> dict[str, Any]:
    """Close a month; return what was written down."""
    closing = close(_store(), month, expect.strip(), by.strip() or started_by())
    return closing.model_dump(mode="json")


@stage("reopen {month}")
def reopen_month(month: Month, reason: str, by: str) -> dict[str, Any]:
    """Reopen a month; return what was written down."""
    return reopen(_store(), month, reason, by.strip() or started_by()).model_dump(mode="json")


def watch_months(but: Month | None = None) -> list[str]:
    """Settle closed and recent months with today's inputs; say what would change, in sentences.

    Nothing is written but an artifact, and an event for each month that would change.
    """
    ledgers_now = look_at_ledgers()
    recent = {ledger.month for ledger in ledgers_now[-_RECENT_MONTHS:]}
    found: list[announcements.LateData] = []
    with tempfile.TemporaryDirectory(prefix="vpp-watch-") as folder:
        scratch = Path(folder)
        inbox, groups, _ = new_files("", scratch)
        for group in groups:
            import_files(group, scratch)
        for ledger in ledgers_now:
            if (ledger.closed or ledger.month in recent) and ledger.month != str(but):
                found += _late_data(ledger, inbox, scratch)
    announcements.show_late_data(found)
    return [str(late) for late in found]


def _late_data(
    ledger: Ledger, inbox: list[ObjectVersion], scratch: Path
) -> list[announcements.LateData]:
    """Return what would change in a month, if anything."""
    month, is_closed = Month.parse(ledger.month), ledger.closed is not None
    everything = asked([], None, None, allow_failed_imports=False, what_if=[])
    before = look_at_published(month)
    try:
        intake = take_in(month, inbox, scratch)
        settled = settle(intake, everything, known(before, everything), scratch)
    except Refused as problem:
        return [announcements.LateData(month, is_closed, [], [], str(problem))]
    if settled.is_known:
        return []
    planned = compare(before, settled, "", is_whole=True)
    differences = [planned.differences[vpp] for vpp in planned.new if vpp in planned.differences]
    first = [vpp for vpp in planned.new if vpp not in planned.differences]
    return [announcements.LateData(month, is_closed, differences, first, "")] * bool(planned.new)


@stage("look at all months")
def look_at_ledgers() -> list[Ledger]:
    """Return the ledgers of all published months, oldest first."""
    return ledgers(_store())


def linked(key: str, action: Literal["get_object", "put_object"] = "get_object") -> State[Any]:
    """End a run with a link to an object."""
    return announcements.linked(_store(), key, action)


def settled_run(month: Month) -> str:
    """Return the record of a run that settled a month.

    Raises:
        Refused: no run has.
    """
    for record in run_records(_store(), str(month)):
        if record["outcome"] in ("published", "unchanged") and not record["parameters"]["vpps"]:
            return str(record["key"])
    raise Refused(f"{month} is not settled yet; run settle-month for it, or see why it was refused")


@stage("explain {nmi} in {month}")
def explain_site(month: Month, vpp: str, nmi: str) -> str:
    """Explain a site's part of the current report; return the key of its dispute bundle."""
    store = _store()
    [explained] = explain(store, month, vpp, [nmi])
    announcements.show_explanation(explained.explanation)
    return put_bundle(store, explained)


@stage("verify {vpp} {month}")
def verify_report(month: Month, vpp: str, revision: int) -> str:
    """Recompute a published revision; return that its bytes are the same.

    Raises:
        Refused: they are not; the message has the first differences.
    """
    verdict = verify(_store(), month, vpp, revision)
    if not verdict.is_same:
        raise Refused(str(verdict))
    get_run_logger().info("%s", verdict)
    return str(verdict)


@stage("build the tables of {month}")
def build_tables(month: Month) -> str:
    """Put the month's tables on S3 as one DuckDB file; return its key."""
    return put_tables(_store(), month)


def vpp_id(reference: str) -> str:
    """Return the id of a VPP named by its id or current name."""
    return read_registry(_store(), Settings()).vpp_id(reference)
