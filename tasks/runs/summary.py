"""What a run shows in Prefect: artifacts with stable keys, links, and events.

Nothing here decides anything, and all of it can be made again from S3.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any
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
from tasks.core.run_record import ImportCounts, ReportOutcome, SettledRunRecord
from tasks.core.settings import Settings
from tasks.core.words import count, plain
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

_PROGRESS_SECONDS = 2
_SHOWN_ROWS = 100
_SHOWN_CAUSES = 20
_SHOWN = 10  # of what is named in a line
# Reasons why rows were skipped that are no faults.
_ALREADY_IMPORTED, _IGNORED = "already imported", "ignored"


def end_with_link(store: ObjectStore, key: str, artifact_key: str = "download") -> State[Any]:
    """End a run with a link to read an object: in its result, and in one artifact.

    The run's message says where and how long. It has no link itself: messages are in logs and in
    notifications, which go further than to whoever started the run.

    Raises:
        Refused: there is nothing to read.
    """
    if not store.exists(key):
        raise Refused(
            f"{key} is not published; settle the month first, or ask for another revision"
        )
    url = store.link("get_object", key, store.settings.presign_seconds)
    until = valid_until(store)
    create_link_artifact(
        url, link_text=key, key=artifact_key, description=f"{key}, to be read until {until}"
    )
    return Completed(
        message=f"{key} can be read until {until}: the link is in the artifact {artifact_key}",
        data={"key": key, "url": url},
    )


def end_with_upload(store: ObjectStore, key: str, artifact_key: str, afterwards: str) -> State[Any]:
    """End a run with a link to upload an object with: in its result, and in one artifact.

    As whoever has the link may replace the object, it is nowhere else.

    Args:
        store: where it goes.
        key: what it will be called there.
        artifact_key: the key of the artifact that shows the command.
        afterwards: a sentence on what comes next, in Markdown.
    """
    url = store.link("put_object", key, store.settings.presign_seconds)
    until = valid_until(store)
    command = f"curl -T '{key.rsplit('/', 1)[1]}' '{url}'"
    create_markdown_artifact(
        f"Upload the file until {until}:\n\n```\n{command}\n```\n\n{afterwards}",
        key=artifact_key,
        description=f"upload {key}",
    )
    return Completed(
        message=f"{key} can be uploaded until {until}: the command is in the artifact "
        f"{artifact_key}",
        data={"key": key, "url": url},
    )


def valid_until(store: ObjectStore) -> str:
    """Return when a link that is made now ends, in UTC."""
    end = datetime.now(UTC) + timedelta(seconds=store.settings.presign_seconds)
    return f"{end:%Y-%m-%d %H:%M} UTC"


def wait_with_progress(
    imports: PrefectFutureList[pl.DataFrame], sizes: Sequence[int], bytes_read: Callable[[], int]
) -> list[pl.DataFrame]:
    """Wait for imports, showing how much of their bytes is read; raise what any of them raised.

    Args:
        imports: what to wait for.
        sizes: how many bytes each of them reads.
        bytes_read: says how many bytes this process has read so far. Of imports that run in other
            processes the bytes count once they are done.
    """
    artifact = create_progress_artifact(
        0,
        key="import-progress",
        description=f"of {sum(sizes) / 1e6:,.1f} MB, in {count(len(imports), 'import')}",
    )
    assert isinstance(artifact, UUID)  # not a coroutine: this is no async code
    # An empty file is something to do, too.
    weights = {id(future): size + 1 for future, size in zip(imports, sizes, strict=True)}
    all_bytes, done, before = sum(weights.values()), 0, bytes_read()
    is_over = Event()

    def show() -> None:
        while not is_over.wait(_PROGRESS_SECONDS):
            read = max(done, bytes_read() - before)
            update_progress_artifact(artifact, min(99, read * 100 / all_bytes))

    with ThreadPoolExecutor(1) as beside:
        shown = beside.submit(copy_context().run, show)
        try:
            for future in as_completed(list(imports)):
                future.result()
                done += weights[id(future)]
        finally:
            is_over.set()
        shown.result()
    update_progress_artifact(artifact, 100)
    return imports.result()


def settlement_in_words(run: Run) -> str:
    """Say in a line what a settlement run did: its final message."""
    record = run.record
    assert isinstance(record, SettledRunRecord)
    reports = record.reports or []
    parts = [count(len(reports), "report")]
    if record.outcome in ("published", "preview"):
        new = sum(report.outcome != "unchanged" for report in reports)
        parts.append(f"{new} new" if record.outcome == "published" else f"{new} would change")
    if record.digest:
        parts.append(f"digest {record.digest}")
    if record.rejected_rows:
        parts.append(f"{count(record.rejected_rows, 'row')} rejected")
    if record.unassigned:
        parts.append(f"{count(len(record.unassigned), 'site')} with unassigned events")
    if record.imported and record.imported.unread:
        parts.append(unread_in_words(record.imported.unread))
    outcome = "what if, nothing is published" if run.request.what_if else record.outcome
    return f"{record.month}: {outcome}, {', '.join(parts)}"


def import_in_words(counts: ImportCounts) -> str:
    """Say in a line what an import came to: its final message."""
    reasons = dict(counts.skipped_by_reason)
    already, ignored = (reasons.pop(name, 0) for name in (_ALREADY_IMPORTED, _IGNORED))
    parts = [
        f"{count(counts.imported, 'row')} of {count(counts.files_imported, 'file')} imported",
        f"{count(sum(reasons.values()), 'row')} rejected",
    ]
    if ignored:
        parts.append(f"{count(ignored, 'row')} not ours")
    if already:
        parts.append(f"{count(already, 'row')} imported before")
    if counts.files_failed:
        named = "; ".join(f"{file.key}: {file.failed}" for file in counts.files_failed[:_SHOWN])
        parts.append(f"{count(len(counts.files_failed), 'file')} could not be read ({named})")
    if counts.unread:
        parts.append(unread_in_words(counts.unread))
    return ", ".join(parts)


def unread_in_words(unread: list[str]) -> str:
    """Name what is in the inbox and is no file that is read, by its suffix."""
    more = [f"and {len(unread) - _SHOWN:,} more"] if len(unread) > _SHOWN else []
    named = ", ".join([*unread[:_SHOWN], *more])
    return f"{count(len(unread), 'object')} not read because of the suffix: {named}"


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
        _title(run),
        "",
        *_assumed(run),
        "| VPP | sites | total revenue | VPP total | sites after fees | revision | changed |",
        "|---|--:|--:|--:|--:|--:|---|",
        *(_report_row(run.store, report) for report in record.reports or []),
    ]
    if is_preview and record.digest:
        lines += [
            "",
            f"To approve it: settle the month, then `close-month` with expect `{record.digest}`.",
        ]
    elif record.digest:
        lines += ["", f"Digest of the month: `{record.digest}`."]
    for difference in run.differences.values():
        lines += ["", *_difference(difference)]
    lines += [
        *_missing(run),
        "",
        *_rows(record),
        *_meter(record),
        *_rejects(run.store, run.month, record, is_preview),
        *_unassigned(record),
    ]
    if record.late_data:
        late_data = (f"- {plain(late)}" for late in record.late_data)
        lines += ["", "Late data in other months:", "", *late_data]
    lines += ["", "| stage | seconds |", "|---|--:|"]
    lines += [f"| {stage} | {seconds} |" for stage, seconds in record.stages_seconds.items()]
    what = "what-if" if run.request.what_if else "preview" if is_preview else "settlement"
    create_markdown_artifact("\n".join(lines), key=f"{what}-{run.month}")


def _title(run: Run) -> str:
    if run.request.what_if:
        return f"# What if: {run.month} under other terms. Nothing is published"
    if run.record.outcome == "preview":
        return f"# Preview of {run.month}: nothing is published"
    return f"# Settlement of {run.month}: {run.record.outcome}"


def _assumed(run: Run) -> list[str]:
    """Show the terms that a what-if assumes."""
    if not run.request.what_if:
        return []
    lines = ["Assumed on all days of the month; all else is as the registry has it:", ""]
    for terms in run.request.what_if:
        given = terms.model_dump(mode="json", exclude_none=True, exclude={"vpp"})
        said = ", ".join(f"{name} {value}" for name, value in given.items()) or "nothing else"
        lines.append(f"- {terms.vpp}: {plain(said)}")
    return [*lines, ""]


def _report_row(store: ObjectStore, report: ReportOutcome) -> str:
    totals = report.totals
    link = store.link("get_object", report.key, store.settings.presign_seconds)
    name = plain(report.name)
    return (
        f"| {name if report.outcome == 'preview' else f'[{name}]({link})'} | {report.sites} "
        f"| {totals['total_revenue']:,.2f} | {totals['vpp_total_revenue']:,.2f} "
        f"| {totals['site_total_revenue_after_fees']:,.2f} | {report.revision} "
        f"| {plain('; '.join(report.changed)) or 'unchanged'} |"
    )


def _rows(record: SettledRunRecord) -> list[str]:
    """Say what became of the rows, and which files did not count."""
    lines = [
        f"{count(record.rows, 'row')} in {count(len(record.files), 'file')}: "
        f"{record.rejected_rows:,} rejected, "
        f"{count(record.settled_events, 'event')} settled in this month, "
        f"{record.unassigned_events:,} unassigned."
    ]
    if record.corrected_rows:
        were = "was rejected and is" if record.corrected_rows == 1 else "were rejected and are"
        lines[-1] += f" {record.corrected_rows:,} more {were} corrected."
    if record.duplicates:
        files = "; ".join(f"{file.key} {file.same_as}" for file in record.duplicates)
        lines += ["", f"Same content twice, counted once: {plain(files)}"]
    for shared in record.shared_rows:
        lines += [
            "",
            f"In two files and counted twice, which the request allowed: "
            f"{count(shared.equal_rows, 'equal row')} and "
            f"{count(shared.other_values_rows, 'row')} with other values, of {plain(shared.key)} "
            f"and {plain(shared.other_key)}, {shared.aud:,.2f} AUD.",
        ]
    if record.failed_imports:
        files = "; ".join(f"{file.key} {file.failed}" for file in record.failed_imports)
        lines += ["", f"Could not be read, which the request allowed: {plain(files)}"]
    if record.imported and record.imported.unread:
        lines += ["", f"In the inbox: {plain(unread_in_words(record.imported.unread))}."]
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
    lines = ["", "Missing:", "", *(f"- {plain(sentence)}" for sentence in missing[:_SHOWN_ROWS])]
    if len(missing) > _SHOWN_ROWS:
        lines.append(f"- and {len(missing) - _SHOWN_ROWS:,} more; the run record has all of it")
    if (
        record.outcome == "preview"
        and not run.request.what_if
        and (
            why := why_not_over(run.month, record.started, run.store.settings.timezone)
            or why_incomplete(run.month, record, record.reports or [])
        )
    ):
        lines += ["", f"To publish this takes allow_missing: {plain(why)}."]
    return lines if len(lines) > 3 else []


def _rejects(
    store: ObjectStore, month: Month, record: SettledRunRecord, is_preview: bool
) -> list[str]:
    """Show how many rows of which file were rejected, and where to correct them."""
    if not record.rejected:
        return []
    key = keys.rejected_rows(month)
    link = store.link("get_object", key, store.settings.presign_seconds)
    return [
        "",
        f"{record.at_stake.aud:,.2f} AUD are at stake in the rejected rows whose energy and tariff "
        f"can be read ({record.at_stake.rows:,} of them). "
        + (
            f"A run that is no preview lists them in {key}, to be corrected and uploaded."
            if is_preview
            else f"Correct them in [{key}]({link}) and upload that file to the inbox; rows that "
            "are as they were stay open."
        ),
        "",
        "| rejected rows | why | file |",
        "|--:|---|---|",
        *(
            f"| {number} | {REASONS.get(reason, reason)} | {plain(file.key)} |"
            for file in record.rejected
            for reason, number in file.reasons.items()
        ),
    ]


def _unassigned(record: SettledRunRecord) -> list[str]:
    """Show the sites with events on days on which they were in no VPP: nobody is paid for these."""
    if not record.unassigned:
        return []
    more = len(record.unassigned) - _SHOWN_ROWS
    return [
        "",
        "Unassigned: events on days on which their site was in no VPP. Nobody is paid for them.",
        "",
        "| site | in the registry | days | events | kWh |",
        "|---|---|---|--:|--:|",
        *(
            f"| {plain(site.nmi)} | {'yes' if site.is_known else 'no'} "
            f"| {site.first_day} to {site.last_day} | {site.events:,} | {site.energy_kwh:,} |"
            for site in record.unassigned[:_SHOWN_ROWS]
        ),
        *([f"\nand {count(more, 'more site', 'more sites')}"] if more > 0 else []),
    ]


def _difference(difference: Difference) -> list[str]:
    """Say what changed for a VPP and its sites, and why."""
    after_fees = "site_revenue_after_fees"
    sites = {
        nmi: values.get(after_fees, Values(before=None, after=None))
        for nmi, values in difference.sites.items()
    }
    lines = [
        f"**{plain(difference.vpp)}**, revision {difference.previous_revision} -> "
        f"{difference.revision}: "
        + (
            plain("; ".join(str(cause) for cause in difference.causes[:_SHOWN_CAUSES]))
            or "no known cause"
        )
    ]
    if len(difference.causes) > _SHOWN_CAUSES:
        rest = len(difference.causes) - _SHOWN_CAUSES
        lines[0] += f"; and {count(rest, 'more cause', 'more causes')}"
    changed = {nmi: values for nmi, values in sites.items() if values.before != values.after}
    if changed:
        lines += ["", "| site | after fees |", "|---|---|"]
        lines += [f"| {nmi} | {changed[nmi]} |" for nmi in list(changed)[:_SHOWN_ROWS]]
    others = len(sites) - len(changed)
    more = len(changed) - _SHOWN_ROWS
    notes = [f"{count(others, 'site')} changed in other columns alone"] * (others > 0)
    notes += [f"and {count(more, 'more site', 'more sites')} changed"] * (more > 0)
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
        description=f"The first {first.height} of "
        f"{count(inputs.facts.rejected_rows, 'rejected row')}; all of them are in "
        f"{keys.rejected_rows(inputs.month)}",
    )


def show_late_data(found: list[LateData]) -> None:
    """Show what would change in published months, and emit `vpp.month.would-change` for each."""
    lines = ["# Late data", ""]
    if not found:
        lines.append("Nothing would change in any closed or recent month.")
    for late in found:
        lines += [f"- {plain(str(late))}"]
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
