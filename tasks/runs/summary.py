"""What a run shows in Prefect: artifacts with stable keys, links, and events.

Nothing here decides anything, and all of it can be made again from S3.
"""

from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
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
from tasks.core.errors import Refused
from tasks.core.late_data import LateData
from tasks.core.run_record import ImportCounts, SettledRunRecord
from tasks.core.settings import Settings
from tasks.core.words import count
from tasks.evidence.explanation import Explanation, explanation_in_words
from tasks.imports.event_rows import REASONS
from tasks.io.object_store import ObjectStore
from tasks.io.rendering import render
from tasks.pages.month_chart import month_chart
from tasks.runs.links import read_link, upload_form
from tasks.runs.run import Run
from tasks.settlement.completeness import (
    missing_sentences,
    why_incomplete,
    why_not_over,
)
from tasks.settlement.inputs import MonthInputs

_PROGRESS_SECONDS = 2
_SHOWN_CHARACTERS = 300  # of a rejected row
_SHOWN_ROWS = 100
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
    url, until = read_link(store, key)
    create_link_artifact(
        url, link_text=key, key=artifact_key, description=f"{key}, to be read until {until}"
    )
    return Completed(
        message=f"{key} can be read until {until}: the link is in the artifact {artifact_key}",
        data={"key": key, "url": url},
    )


def end_with_upload(store: ObjectStore, key: str, artifact_key: str, afterwards: str) -> State[Any]:
    """End a run with a form to upload an object with: in its result, and in one artifact.

    As whoever has the form may replace the object, it is nowhere else.

    Args:
        store: where it goes.
        key: what it will be called there.
        artifact_key: the key of the artifact that shows the command.
        afterwards: a sentence on what comes next, in Markdown.
    """
    form = upload_form(store, key)
    instead = ", in the place of the object that is there now" if store.exists(key) else ""
    command = form.command(key.rsplit("/", 1)[1])
    create_markdown_artifact(
        f"Upload the file until {form.until}{instead}:\n\n```\n{command}\n```\n\n{afterwards}",
        key=artifact_key,
        description=f"upload {key}",
    )
    return Completed(
        message=f"{key} can be uploaded until {form.until}{instead}: the command is in the "
        f"artifact {artifact_key}",
        data={"key": key, "url": form.url, "fields": form.fields},
    )


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
        sites = len(record.unassigned) + record.unlisted_sites
        parts.append(f"{count(sites, 'site')} with unassigned events")
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
    """Name what is in the inbox and is no file that is read, by its name."""
    more = [f"and {len(unread) - _SHOWN:,} more"] if len(unread) > _SHOWN else []
    named = ", ".join([*unread[:_SHOWN], *more])
    return f"{count(len(unread), 'object')} not read because of the name: {named}"


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
    what_if = [
        (terms.vpp, terms.model_dump(mode="json", exclude_none=True, exclude={"vpp"}))
        for terms in run.request.what_if
    ]
    text = render(
        "runs",
        "settlement.md",
        run=run,
        record=record,
        is_preview=is_preview,
        what_if=what_if,
        missing=missing_sentences(record, run.store.settings.timezone),
        why_not=_why_not(run, record) if is_preview and not what_if else "",
        unread=unread_in_words(record.imported.unread)
        if record.imported and record.imported.unread
        else "",
        meter_rejected=sum(sum(file.reasons.values()) for file in record.meter_rejected),
        rejected_rows=keys.rejected_rows(run.month),
        statement=lambda of: keys.vpp_statement(run.month, of.vpp, of.revision),
        workbook=keys.results_workbook(run.month),
        chart=_as_address(month_chart(record.reports or [])),
        reasons=REASONS,
        link=lambda key: read_link(run.store, key).url,
        most=_SHOWN_ROWS,
    )
    what = "what-if" if what_if else "preview" if is_preview else "settlement"
    create_markdown_artifact(text.decode(), key=f"{what}-{run.month}")


def _as_address(svg: bytes) -> str:
    """Return a picture as a URL that has all of it: it is shown for as long as the text is."""
    return f"data:image/svg+xml;base64,{b64encode(svg).decode()}"


def _why_not(run: Run, record: SettledRunRecord) -> str:
    """Say why publishing what a preview shows would be refused, if it would."""
    return why_not_over(run.month, record.started, run.store.settings.timezone) or why_incomplete(
        run.month, record, record.reports or []
    )


def show_rejected(inputs: MonthInputs) -> None:
    """Show the first rejected rows of a month, and where all of them can be corrected."""
    first = inputs.rejected.head(_SHOWN_ROWS)
    if first.is_empty():
        return
    create_table_artifact(
        first.select("rejected_id", "key", "line", "reason", "at_stake_aud", "row")
        .with_columns(
            pl.col("at_stake_aud").cast(pl.Float64).round(2),
            pl.col("reason").replace(REASONS),
            pl.col("row").str.slice(0, _SHOWN_CHARACTERS),
        )
        .to_dicts(),
        key=f"rejected-rows-{inputs.month}",
        description=f"The first {first.height} of "
        f"{count(inputs.facts.rejected_rows, 'rejected row')}; all of them are in "
        f"{keys.rejected_rows(inputs.month)}",
    )


def show_late_data(found: list[LateData]) -> None:
    """Show what would change in published months, and emit `vpp.month.would-change` for each."""
    for late in found:
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
    create_markdown_artifact(render("runs", "late_data.md", found=found).decode(), key="late-data")


def show_explanation(explanation: Explanation) -> None:
    """Show how a site's cents came about."""
    key = f"explanation-{explanation.month}-{explanation.nmi.lower()}-{explanation.vpp_id}"
    create_markdown_artifact(explanation_in_words(explanation).decode(), key=key)


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
