"""The stages of a run: what each is called in Prefect, and the facts that it logs.

A stage is one call of a room below. The flows say in which order and under which conditions. All
that passes between stages on different machines is on S3.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal

import polars as pl

from tasks.core.changes import Change
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.month_record import MonthRecord
from tasks.core.request import SettlementRequest
from tasks.core.run_record import ReportOutcome, RunRecord, SettledRunRecord
from tasks.core.words import count, reasons_in_words
from tasks.evidence import dispute, tables, verification
from tasks.evidence.explanation import Explained, explain
from tasks.imports import catalog, inbox_files
from tasks.imports.catalog import Inbox
from tasks.io import registry_log
from tasks.io.object_store import ObjectStore, ObjectVersion, ScratchStore
from tasks.io.registry_log import Recorded
from tasks.pages import sources, statements
from tasks.pages.pdf import Format
from tasks.pages.sources import PublishedReports
from tasks.publication import closing, published, revisions, run_records
from tasks.publication.published import PublishedMonth
from tasks.publication.revisions import Revisions
from tasks.runs.stage import is_in_flow_run, run_logger, stage
from tasks.settlement import inputs, settlement
from tasks.settlement.inputs import MonthInputs
from tasks.settlement.settlement import Settlement

_SHOWN = 10


@stage("list the inbox")
def list_inbox(store: ObjectStore, folder: str = "") -> Inbox:
    """List the files in a folder of the inbox, and which of them are imported."""
    inbox = catalog.list_inbox(store, folder)
    run_logger().info(
        "%s in %s, %d new",
        count(len(inbox.versions), "file"),
        folder or "the inbox",
        len(inbox.new),
    )
    if inbox.unread:
        shown = ", ".join(inbox.unread[:_SHOWN])
        run_logger().warning("%s not read: %s", count(len(inbox.unread), "object"), shown)
    return inbox


def import_each(store: ObjectStore, groups: Sequence[list[ObjectVersion]]) -> list[pl.DataFrame]:
    """Import groups of files; return their rows of the catalog.

    In a flow run they go to the task runner, unless what they write stays on this machine.
    """
    if not groups or isinstance(store, ScratchStore) or not is_in_flow_run():
        return [import_files(store, group) for group in groups]
    from tasks.runs.summary import wait_with_progress

    sizes = [sum(version.size for version in group) for group in groups]
    imports = import_files.submit_each(store, groups)
    return wait_with_progress(imports, sizes, lambda: store.bytes_streamed)


def _import_name() -> str:
    from prefect import runtime
    from prefect.utilities.annotations import quote

    files = runtime.task_run.parameters["files"]
    if isinstance(files, quote):  # called, not mapped
        files = files.unquote()
    if len(files) == 1:
        return f"import {files[0].key}"
    return f"import {len(files)} files from {files[0].key}"


@stage(_import_name)
def import_files(store: ObjectStore, files: list[ObjectVersion]) -> pl.DataFrame:
    """Import a group of files and commit them; return their rows of the catalog."""
    logger = run_logger()
    imported = inbox_files.import_objects(store, store.settings.timezone, files)
    committed = catalog.add_to_catalog(store, imported)
    for file in imported.filter(pl.col("failed").is_not_null()).iter_rows(named=True):
        logger.error("%s could not be read: %s", file["key"], file["failed"])
    for file in imported.filter(pl.col("rows") > pl.col("imported")).iter_rows(named=True):
        logger.warning(
            "%s: %d of %d rows rejected (%s), listed in imports/%s/rejected.csv",
            file["key"],
            file["rows"] - file["imported"],
            file["rows"],
            reasons_in_words({entry["reason"]: entry["rows"] for entry in file["rejected"]}),
            file["import_id"],
        )
    for file in imported.filter(pl.col("ignored_columns") != "").iter_rows(named=True):
        logger.info("%s: columns ignored: %s", file["key"], file["ignored_columns"])
    for file in imported.filter(pl.col("ignored") > 0).iter_rows(named=True):
        logger.info("%s: %s not ours", file["key"], count(file["ignored"], "row"))
    for file in imported.filter(pl.col("warnings").is_not_null()).iter_rows(named=True):
        logger.warning("%s", file["warnings"])
    logger.info(
        "%s, %s imported",
        count(imported.height, "file"),
        count(int(imported["imported"].sum()), "row"),
    )
    if is_in_flow_run() and not isinstance(store, ScratchStore):
        from tasks.runs.summary import announce_rejected
        from tasks.runs.telemetry import count_import

        announce_rejected(imported)
        count_import(imported)
    return committed


@stage("read what is published")
def read_published(store: ObjectStore, month: Month) -> PublishedMonth:
    """Read what is published for a month, before its inputs are read."""
    return published.read_published(store, month)


@stage("select the inputs of {month}")
def select_inputs(
    store: ObjectStore, month: Month, inbox: Inbox, request: SettlementRequest
) -> MonthInputs:
    """Find which files count for a month; list its rejected rows, before it can be refused."""
    selected = inputs.select_inputs(store, store.settings, month, inbox, request.as_of)
    run_logger().info(
        "%s, %s: %d rejected",
        count(selected.files.height, "file"),
        count(int(selected.files["rows"].sum()), "row"),
        selected.facts.rejected_rows,
    )
    return selected


@stage("compare with the last settlement")
def read_same_settlement(
    store: ObjectStore, published_month: PublishedMonth, month_inputs: MonthInputs
) -> SettledRunRecord | None:
    """Return the record of the run that settled the month from the same inputs, if any did."""
    return published.read_same_settlement(store, published_month, month_inputs.digest)


@stage("settle {month_inputs.month}")
def settle(store: ObjectStore, month_inputs: MonthInputs, request: SettlementRequest) -> Settlement:
    """Allocate the month, check it, and make the reports. Nothing is written."""
    settled = settlement.settle(store, month_inputs, request)
    run_logger().info(
        "%s settled, %s unassigned; %s",
        count(settled.facts.settled_events, "event"),
        f"{settled.facts.unassigned_events:,}",
        count(len(settled.reports), "report"),
    )
    return settled


@stage("compare {published_month.month}")
def draft_revisions(
    store: ObjectStore, published_month: PublishedMonth, settled: Settlement, run_record: str
) -> Revisions:
    """Find which reports differ from what is published, and how. Nothing is written."""
    return revisions.draft_revisions(store, published_month, settled, run_record)


@stage("publish {draft.published.month}")
def publish(store: ObjectStore, draft: Revisions, run_record: RunRecord) -> list[ReportOutcome]:
    """Publish the reports that differ from what is published."""
    reports = revisions.publish(store, draft, run_record)
    for report in reports:
        run_logger().info("%s: %s, %s", report.vpp, report.outcome, report.key)
    return reports


@stage("close {month}")
def close_month(store: ObjectStore, month: Month, expect: str, by: str) -> dict[str, Any]:
    """Close a month; return what was recorded."""
    return closing.close(store, month, expect.strip(), by).model_dump(mode="json")


@stage("reopen {month}")
def reopen_month(store: ObjectStore, month: Month, reason: str, by: str) -> dict[str, Any]:
    """Reopen a month; return what was recorded."""
    return closing.reopen(store, month, reason, by).model_dump(mode="json")


@stage("read the records of all months")
def read_month_records(store: ObjectStore) -> list[MonthRecord]:
    """Return the records of all published months, oldest first."""
    return published.read_month_records(store)


@stage("look for a run that settled {month}")
def find_settled_run(store: ObjectStore, month: Month) -> str:
    """Return the key of the record of a run that settled a month for all VPPs."""
    return run_records.find_settled_run(store, month)


@stage("explain {nmi} in {month}")
def explain_site(store: ObjectStore, month: Month, vpp: str, nmi: str, revision: int) -> Explained:
    """Explain a site's part of a revision of a report; 0: of the current one."""
    [explained] = explain(store, month, vpp, [nmi], revision)
    return explained


@stage("put the dispute bundle")
def put_bundle(store: ObjectStore, explained: Explained) -> str:
    """Put the zip for the site's owner on S3; return its key."""
    return dispute.put_bundle(store, explained)


@stage("verify {vpp} {month}")
def verify_report(store: ObjectStore, month: Month, vpp: str, revision: int) -> str:
    """Recompute a published revision; return that its bytes are the same.

    Raises:
        Refused: they are not; the message has the first differences.
    """
    verdict = verification.verify(store, month, vpp, revision)
    if not verdict.is_same:
        raise Refused(str(verdict))
    run_logger().info("%s", verdict)
    return str(verdict)


@stage("build the tables of {month}")
def build_tables(store: ObjectStore, month: Month) -> str:
    """Put the month's tables on S3 as one DuckDB file; return its key."""
    return tables.put_tables(store, month)


@stage("find the months without current pages")
def find_stale_months(store: ObjectStore) -> list[Month]:
    """Return the months whose pages do not show what is published, oldest first."""
    return statements.stale_months(store)


@stage("read the reports of {month}")
def read_published_reports(store: ObjectStore, month: Month) -> PublishedReports:
    """Read a month's current reports, which must be what its record says of them."""
    reports = sources.read_reports(store, month)
    for vpp in reports.missing:
        run_logger().warning("%s is claimed in %s and not published yet", vpp, month)
    return reports


@stage("put the statements of {published_reports.month}")
def put_vpp_statements(
    store: ObjectStore, published_reports: PublishedReports
) -> list[pl.DataFrame]:
    """Put a page for each VPP on S3; return the days of their sites."""
    days = statements.put_vpp_statements(store, published_reports)
    run_logger().info("%d pages, %d with days", len(published_reports.reports), len(days))
    return days


@stage("put the {format} of {vpp} {month}")
def put_vpp_statement(
    store: ObjectStore, month: Month, vpp: str, revision: int, format: Format | Literal["xlsx"]
) -> str:
    """Put a revision of a VPP's statement on S3, unless it is there; return the key."""
    return statements.put_vpp_statement(store, month, vpp, revision, format)


@stage("put the results of {published_reports.month}")
def put_results(
    store: ObjectStore, published_reports: PublishedReports, days: list[pl.DataFrame]
) -> list[str]:
    """Put the month's tables, workbook and payees on S3; return their keys."""
    return statements.put_results(store, published_reports, days)


@stage("put the index")
def put_overview(store: ObjectStore, months: list[Month]) -> str:
    """Put the pages of these months and the index of all on S3; return the index's key."""
    return statements.put_overview(store, months)


@stage("put the site statements of {vpp} {month}")
def put_site_statement(store: ObjectStore, month: Month, vpp: str, nmi: str, format: Format) -> str:
    """Put a site's page on S3, or all of a VPP as one zip; return the key."""
    return statements.put_site_statement(store, month, vpp, nmi, format)


@stage("read {key}")
def read_registry_upload(store: ObjectStore, key: str) -> bytes:
    """Return the bytes of an uploaded file of changes."""
    return registry_log.read_upload(store, key)


@stage("append to the registry")
def append_to_registry(
    store: ObjectStore, changes: list[tuple[int, Change | Refused]], recorded_by: str
) -> list[Recorded]:
    """Append changes, all or none; return them as they were recorded."""
    if not changes:
        raise Refused("key: the file holds no changes")
    recorded = registry_log.append_changes(store, store.settings, changes, recorded_by)
    logger = run_logger()
    first, last = recorded[0].change.seq, recorded[-1].change.seq
    logger.info("%s recorded", f"change {last}" if first == last else f"changes {first} to {last}")
    for later in (later for of in recorded for later in of.later):
        logger.warning("%s", later)
    return recorded


@stage("date changes again")
def redate_changes(store: ObjectStore) -> list[Change]:
    """Date the changes that are dated in the future with the present moment."""
    return registry_log.redate_changes(store)


@stage("list the registry")
def list_registry(
    store: ObjectStore, day: date | None, as_of: datetime | None
) -> tuple[pl.DataFrame, date, str]:
    """Write the registry on a day as CSV; return the list, the day, and its key."""
    listed, on, key = registry_log.put_list(store, store.settings, day, as_of)
    run_logger().info("%s in %s", count(listed.height, "row"), key)
    return listed, on, key
