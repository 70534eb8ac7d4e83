"""What a run shows in Prefect: artifacts with stable keys, links, and events.

Nothing here decides anything, and all of it can be made again from S3.
"""

from typing import Any, Literal
from uuid import UUID

import polars as pl
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.futures import PrefectFutureList, as_completed
from prefect.states import Completed

from tasks.core import keys
from tasks.core.difference import Difference, Values
from tasks.core.errors import Refused
from tasks.core.late_data import LateData
from tasks.core.month import Month
from tasks.core.run_record import ReportOutcome, SettledRunRecord
from tasks.core.settings import Settings
from tasks.evidence.explanation import Explanation, markdown
from tasks.imports.event_rows import REASONS
from tasks.io.object_store import ObjectStore
from tasks.runs.run import Run
from tasks.settlement.completeness import (
    missing_sentences,
    why_incomplete,
    why_not_over,
)
from tasks.settlement.inputs import MonthInputs

_SHOWN_ROWS = 100
_SHOWN_CAUSES = 20


def end_with_link(
    store: ObjectStore, key: str, action: Literal["get_object", "put_object"] = "get_object"
) -> State[Any]:
    """End a run with a link to read or write an object, as its message and as an artifact.

    Raises:
        Refused: there is nothing to read.
    """
    if action == "get_object" and not store.exists(key):
        raise Refused(
            f"{key} is not published; settle the month first, or ask for another revision"
        )
    url = store.link(action, key, Settings().presign_seconds)
    create_link_artifact(url, link_text=key, key="link", description=f"{action} {key}")
    return Completed(message=url, data={"key": key, "url": url})


def wait_with_progress(imports: PrefectFutureList[pl.DataFrame]) -> list[pl.DataFrame]:
    """Wait for imports, showing how many are done; raise what any of them raised."""
    artifact = create_progress_artifact(
        0, key="import-progress", description=f"of {len(imports)} imports"
    )
    assert isinstance(artifact, UUID)  # not a coroutine: this is no async code
    for done, future in enumerate(as_completed(list(imports)), 1):
        future.result()
        update_progress_artifact(artifact, done * 100 / len(imports))
    return imports.result()


def show_run(run: Run) -> None:
    """Make the artifacts of a settlement run: the summary of its month, and its rejected rows."""
    show_settlement(run)
    if run.inputs:
        show_rejected(run.inputs)


def show_settlement(run: Run) -> None:
    """Show a month's totals, what changed and why, what was rejected, and the stages' seconds."""
    record = run.record
    assert isinstance(record, SettledRunRecord)
    is_preview = record.outcome == "preview"
    lines = [
        f"# Preview of {record.month}: nothing is published"
        if is_preview
        else f"# Settlement of {record.month}: {record.outcome}",
        "",
        "| VPP | sites | total revenue | VPP total | sites after fees | revision | changed |",
        "|---|--:|--:|--:|--:|--:|---|",
        *(_report_row(run.store, report) for report in record.reports or []),
    ]
    if is_preview and record.digest:
        lines += [
            "",
            f"To approve it: settle the month, then `close-month` with expect `{record.digest}`.",
        ]
    elif not is_preview:
        lines += ["", f"Digest of the month: `{record.digest}`."]
    for difference in run.differences.values():
        lines += ["", *_difference(difference)]
    lines += [
        *_missing(run),
        "",
        *_rows(record),
        *_meter(record),
        *_rejects(run.store, run.month, record, is_preview),
    ]
    if record.late_data:
        lines += ["", "Late data in other months:", "", *(f"- {late}" for late in record.late_data)]
    lines += ["", "| stage | seconds |", "|---|--:|"]
    lines += [f"| {stage} | {seconds} |" for stage, seconds in record.stages_seconds.items()]
    key = f"preview-{run.month}" if is_preview else f"settlement-{run.month}"
    create_markdown_artifact("\n".join(lines), key=key)


def _report_row(store: ObjectStore, report: ReportOutcome) -> str:
    totals = report.totals
    link = store.link("get_object", report.key, Settings().presign_seconds)
    name = report.name if report.outcome == "preview" else f"[{report.name}]({link})"
    return (
        f"| {name} | {report.sites} "
        f"| {totals['total_revenue']:,.2f} | {totals['vpp_total_revenue']:,.2f} "
        f"| {totals['site_total_revenue_after_fees']:,.2f} | {report.revision} "
        f"| {'; '.join(report.changed) or 'unchanged'} |"
    )


def _rows(record: SettledRunRecord) -> list[str]:
    """Say what became of the rows, and which files did not count."""
    lines = [
        f"{record.rows:,} rows in {len(record.files)} files: "
        f"{record.rejected_rows:,} rejected, "
        f"{record.settled_events:,} events settled in this month, "
        f"{record.unassigned_events:,} unassigned."
    ]
    if record.corrected_rows:
        lines[-1] += f" {record.corrected_rows:,} more were rejected and are corrected."
    if record.duplicates:
        files = "; ".join(f"{file.key} {file.same_as}" for file in record.duplicates)
        lines += ["", f"Same content twice, counted once: {files}"]
    if record.failed_imports:
        files = "; ".join(f"{file.key} {file.failed}" for file in record.failed_imports)
        lines += ["", f"Could not be read, which the request allowed: {files}"]
    return lines


def _meter(record: SettledRunRecord) -> list[str]:
    """Say what became of the days of meter data, and where DISPATCHPRICE stood in."""
    readings = record.readings
    rejected = sum(sum(file.reasons.values()) for file in record.meter_rejected)
    if readings is None or not readings.rows + rejected:
        return []
    lines = [
        "",
        f"{readings.rows + rejected:,} days of meter channels in {len(record.meter_files)} files: "
        f"{rejected:,} rejected, {readings.superseded:,} replaced by a later version, "
        f"{readings.settled:,} settled (their intervals are among the events), "
        f"{readings.unassigned:,} unassigned, {readings.other:,} do not count by the registry.",
    ]
    for sentence in record.stand_in_prices[:_SHOWN_ROWS]:
        lines += ["", f"{sentence}."]
    return lines


def _missing(run: Run) -> list[str]:
    """Say what the month lacks; in a preview, also whether it would be refused for that."""
    record = run.record
    assert isinstance(record, SettledRunRecord)
    missing = missing_sentences(record, run.store.settings.timezone)
    lines = ["", "Missing:", "", *(f"- {sentence}" for sentence in missing[:_SHOWN_ROWS])]
    if len(missing) > _SHOWN_ROWS:
        lines.append(f"- and {len(missing) - _SHOWN_ROWS} more; the run record has all of it")
    if (
        record.outcome == "preview"
        and not run.request.what_if
        and (
            why := why_not_over(run.month, record.started, run.store.settings.timezone)
            or why_incomplete(run.month, record, record.reports or [])
        )
    ):
        lines += ["", f"To publish this takes allow_missing: {why}."]
    return lines if len(lines) > 3 else []


def _rejects(
    store: ObjectStore, month: Month, record: SettledRunRecord, is_preview: bool
) -> list[str]:
    """Show how many rows of which file were rejected, and where to correct them."""
    if not record.rejected:
        return []
    key = keys.rejected_rows(month)
    link = store.link("get_object", key, Settings().presign_seconds)
    return [
        "",
        f"{record.at_stake.aud:,.2f} AUD are at stake in the {record.at_stake.rows:,} rejected "
        "rows whose energy and tariff can be read. Correct them in "
        f"{key if is_preview else f'[{key}]({link})'} and upload that file to the inbox; rows "
        "that are as they were stay open.",
        "",
        "| rejected rows | why | file |",
        "|--:|---|---|",
        *(
            f"| {count} | {REASONS.get(reason, reason)} | {file.key} |"
            for file in record.rejected
            for reason, count in file.reasons.items()
        ),
    ]


def _difference(difference: Difference) -> list[str]:
    """Say what changed for a VPP and its sites, and why."""
    after_fees = "site_revenue_after_fees"
    sites = {
        nmi: values.get(after_fees, Values(before=None, after=None))
        for nmi, values in difference.sites.items()
    }
    lines = [
        f"**{difference.vpp}**, revision {difference.previous_revision} -> {difference.revision}: "
        + ("; ".join(str(cause) for cause in difference.causes[:_SHOWN_CAUSES]) or "no known cause")
    ]
    if len(difference.causes) > _SHOWN_CAUSES:
        lines[0] += f"; and {len(difference.causes) - _SHOWN_CAUSES} more causes"
    changed = {nmi: values for nmi, values in sites.items() if values.before != values.after}
    if changed:
        lines += ["", "| site | after fees |", "|---|---|"]
        lines += [f"| {nmi} | {changed[nmi]} |" for nmi in list(changed)[:_SHOWN_ROWS]]
    others = len(sites) - len(changed)
    more = len(changed) - _SHOWN_ROWS
    notes = [f"{others} sites changed in other columns alone"] * (others > 0)
    notes += [f"and {more} more sites changed"] * (more > 0)
    return lines + ["", "; ".join(notes)] * bool(notes)


def show_rejected(inputs: MonthInputs) -> None:
    """Show the first rejected rows of a month, and where all of them can be corrected."""
    first = inputs.rejected.head(_SHOWN_ROWS)
    if first.is_empty():
        return
    create_table_artifact(
        first.select("rejected_id", "key", "line", "reason", "at_stake_aud", "row")
        .with_columns(
            pl.col("at_stake_aud").cast(pl.Float64).round(2), pl.col("reason").replace(REASONS)
        )
        .to_dicts(),
        key=f"rejected-rows-{inputs.month}",
        description=f"The first {first.height} of {inputs.facts.rejected_rows} rejected rows; all "
        f"of them are in {keys.rejected_rows(inputs.month)}",
    )


def show_late_data(found: list[LateData]) -> None:
    """Show what would change in published months, and emit `vpp.month.would-change` for each."""
    lines = ["# Late data", ""]
    if not found:
        lines.append("Nothing would change in any closed or recent month.")
    for late in found:
        lines += [f"- {late}"]
    for late in found:
        for difference in late.differences:
            lines += ["", f"## {late.month}", "", *_difference(difference)]
        emit_event(
            "vpp.month.would-change",
            resource={
                "prefect.resource.id": f"vpp.settlement.{late.month}",
                "vpp.closed": str(late.is_closed).lower(),
            },
            payload={
                "month": str(late.month),
                "closed": late.is_closed,
                "said": str(late),
                "problem": late.problem,
                "vpps": {
                    vpp.vpp_id: {name: vars(values) for name, values in vpp.totals.items()}
                    for vpp in late.differences
                },
            },
        )
    create_markdown_artifact("\n".join(lines), key="late-data")


def show_explanation(explanation: Explanation) -> None:
    """Show how a site's cents came about."""
    key = f"explanation-{explanation.month}-{explanation.nmi.lower()}-{explanation.vpp_id}"
    create_markdown_artifact(markdown(explanation), key=key)


def announce_settlement(run: Run) -> None:
    """Emit `vpp.settlement.published`, or the event of the run's other outcome."""
    fields = (
        "reports",
        "reason",
        "digest",
        "rows",
        "rejected_rows",
        "unassigned_events",
        "registry_seq",
    )
    record = run.record.model_dump(mode="json", include=set(fields), exclude_unset=True)
    emit_event(
        f"vpp.settlement.{run.record.outcome}",
        resource={"prefect.resource.id": f"vpp.settlement.{run.month}"},
        payload={"month": run.record.month, "run_record": run.key, **record},
    )


def announce_rejected(imported: pl.DataFrame) -> None:
    """Emit `vpp.import.rejected` for each file that was not imported whole.

    The label `vpp.over-limit` is 'true' where the file could not be read, or where more of its rows
    were rejected than a settlement allows.
    """
    limit = Settings().max_rejected_percent
    for file in imported.iter_rows(named=True):
        rejected = file["rows"] - file["imported"]
        if not rejected and file["failed"] is None:
            continue
        percent = 100.0 if file["failed"] else rejected * 100 / file["rows"]
        emit_event(
            "vpp.import.rejected",
            resource={
                "prefect.resource.id": f"vpp.file.{file['key']}",
                "vpp.over-limit": str(percent > limit).lower(),
            },
            payload={
                "key": file["key"],
                "rows": file["rows"],
                "rejected": rejected,
                "rejected_percent": round(percent, 2),
                "reasons": {entry["reason"]: entry["rows"] for entry in file["rejected"]},
                "failed": file["failed"],
                "where": f"imports/{file['import_id']}/rejected.csv",
            },
        )
