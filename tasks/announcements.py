"""What a run shows in Prefect and tells others: artifacts with stable keys, links, and events.

Nothing here decides anything, and all of it can be made again from S3.
"""

import csv
from typing import Any, Literal

import polars as pl
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.report import Report
from tasks.core.settings import Settings
from tasks.events import REASONS
from tasks.explanation import Explanation, markdown
from tasks.io.object_store import ObjectStore
from tasks.publication import Published, report_key
from tasks.settlement import Settled

_SHOWN_ROWS = 100


def linked(
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


def show_settlement(
    store: ObjectStore,
    settled: Settled,
    published: list[Published],
    stages_seconds: dict[str, float],
) -> None:
    """Show a month's totals, what changed, what was rejected, and how long each stage took."""
    month, facts = settled.month, settled.facts
    reports = {report.settlement.vpp_id: report for report in settled.reports}
    lines = [
        f"# Settlement of {month}",
        "",
        "| VPP | sites | total revenue | VPP total | sites after fees | revision | changed |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for one in published:
        report = reports[one.vpp]
        totals = report.totals
        link = store.link("get_object", one.key, Settings().presign_seconds)
        lines.append(
            f"| [{report.vpp}]({link}) | {len(report.sites)} | {totals.total_revenue:,.2f} "
            f"| {totals.vpp_total_revenue:,.2f} | {totals.site_total_revenue_after_fees:,.2f} "
            f"| {one.revision} | {_changed(store, month, one, report)} |"
        )
    lines += [
        "",
        f"{facts['rows']:,} rows in {len(facts['files'])} files: "
        f"{facts['rejected_rows']:,} rejected, "
        f"{facts['settled_events']:,} events settled in this month, "
        f"{facts['unassigned_events']:,} unassigned.",
    ]
    for name, told in (
        ("Same content twice, counted once", facts["duplicates"]),
        ("Could not be read, and were allowed to be missing", facts["failed_imports"]),
    ):
        if told:
            lines += ["", f"{name}: {'; '.join(' '.join(file.values()) for file in told)}"]
    if facts["rejected"]:
        lines += ["", "| rejected rows | why | file |", "|--:|---|---|"]
        lines += [
            f"| {count} | {REASONS[reason]} | {file['key']} |"
            for file in facts["rejected"]
            for reason, count in file["reasons"].items()
        ]
    lines += ["", "| stage | seconds |", "|---|--:|"]
    lines += [f"| {stage} | {seconds} |" for stage, seconds in stages_seconds.items()]
    create_markdown_artifact("\n".join(lines), key=f"settlement-{month}")


def _changed(store: ObjectStore, month: Month, published: Published, report: Report) -> str:
    """Say how the totals differ from those of the revision before."""
    if published.outcome == "unchanged":
        return "unchanged"
    if published.revision == 1:
        return "first"
    found = store.read(report_key(month, published.vpp, published.revision - 1))
    if found is None:
        return "the revision before is missing"
    before = Report.model_validate_json(found[0]).totals.model_dump(mode="json")
    after = report.totals.model_dump(mode="json")
    changes = [
        f"{name} {before[name] or 0:,.2f} -> {after[name] or 0:,.2f}"
        for name in after
        if before[name] != after[name]
    ]
    return "; ".join(changes) or "no total"


def show_rejected(store: ObjectStore, settled: Settled) -> None:
    """Show the first rejected rows of the month's files, and where all of them are."""
    shown: list[dict[str, str]] = []
    for file in settled.facts["rejected"]:
        beginning = store.beginning(file["rows"]).decode(errors="replace").splitlines()
        of_file = [row for row in csv.DictReader(beginning) if row["key"] == file["key"]]
        shown += of_file[: _SHOWN_ROWS - len(shown)]
    if shown:
        places = sorted({file["rows"] for file in settled.facts["rejected"]})
        create_table_artifact(
            shown,
            key=f"rejected-rows-{settled.month}",
            description=f"The first {len(shown)} of {settled.facts['rejected_rows']} "
            f"rejected rows; all of them are in {', '.join(places[:20])}",
        )


def show_explanation(explanation: Explanation) -> None:
    """Show how a site's cents came about."""
    key = f"explanation-{explanation.month}-{explanation.nmi.lower()}-{explanation.vpp_id}"
    create_markdown_artifact(markdown(explanation), key=key)


def announce_settlement(month: Month, outcome: str, run_record: str, facts: dict[str, Any]) -> None:
    """Emit `vpp.settlement.published` or `vpp.settlement.refused`."""
    told = ("reports", "reason", "rows", "rejected_rows", "unassigned_events", "registry_seq")
    emit_event(
        f"vpp.settlement.{outcome}",
        resource={"prefect.resource.id": f"vpp.settlement.{month}"},
        payload={
            "month": str(month),
            "run_record": run_record,
            **{name: facts[name] for name in told if name in facts},
        },
    )


def announce_rejected(imported: pl.DataFrame) -> None:
    """Emit `vpp.import.rejected` for each file that was not imported whole.

    The label `vpp.over-limit` is 'true' where the file could not be read, or more of its rows were
    rejected than a settlement lets pass.
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
