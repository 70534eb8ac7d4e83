"""What a run shows in Prefect and tells others: artifacts with stable keys, links, and events.

Nothing here decides anything, and all of it can be made again from S3.
"""

from dataclasses import dataclass
from typing import Any, Literal

import polars as pl
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed

from tasks.core.difference import Difference, Values
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.settings import Settings
from tasks.evidence.explanation import Explanation, markdown
from tasks.imports.rejected import REASONS
from tasks.io.object_store import ObjectStore
from tasks.settlement.inputs import Intake, rejected_key

_SHOWN_ROWS = 100
_SHOWN_CAUSES = 20


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
    month: Month,
    outcome: str,
    facts: dict[str, Any],
    differences: dict[str, Difference],
) -> None:
    """Show a month's totals, what changed and why, what was rejected, and what took how long."""
    is_preview = outcome == "preview"
    lines = [
        f"# Preview of {month}: nothing is published"
        if is_preview
        else f"# Settlement of {month}: {outcome}",
        "",
        "| VPP | sites | total revenue | VPP total | sites after fees | revision | changed |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for one in facts["reports"]:
        totals = one["totals"]
        link = store.link("get_object", one["key"], Settings().presign_seconds)
        name = one["name"] if one["outcome"] == "preview" else f"[{one['name']}]({link})"
        lines.append(
            f"| {name} | {one['sites']} "
            f"| {totals['total_revenue']:,.2f} | {totals['vpp_total_revenue']:,.2f} "
            f"| {totals['site_total_revenue_after_fees']:,.2f} | {one['revision']} "
            f"| {'; '.join(one['changed']) or 'unchanged'} |"
        )
    if is_preview and "digest" in facts:
        lines += [
            "",
            f"To approve it: settle the month, then `close-month` with expect `{facts['digest']}`.",
        ]
    elif not is_preview:
        lines += ["", f"Digest of the month: `{facts['digest']}`."]
    for difference in differences.values():
        lines += ["", *_told(difference)]
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
    if facts["corrected_rows"]:
        lines[-1] += f" {facts['corrected_rows']:,} more were rejected and are corrected."
    if facts["rejected"]:
        link = store.link("get_object", rejected_key(month), Settings().presign_seconds)
        where = rejected_key(month) if is_preview else f"[{rejected_key(month)}]({link})"
        at_stake = facts["at_stake"]
        lines += [
            "",
            f"{at_stake['aud']:,.2f} AUD are at stake in the {at_stake['rows']:,} rejected rows "
            f"whose energy and tariff can be read. Mend them in {where} and upload that file to "
            "the inbox; the rows that stay as they are must be taken out of it.",
            "",
            "| rejected rows | why | file |",
            "|--:|---|---|",
        ]
        lines += [
            f"| {count} | {REASONS.get(reason, reason)} | {file['key']} |"
            for file in facts["rejected"]
            for reason, count in file["reasons"].items()
        ]
    if late := facts.get("late_data"):
        lines += ["", "Late data in other months:", "", *(f"- {told}" for told in late)]
    lines += ["", "| stage | seconds |", "|---|--:|"]
    lines += [f"| {stage} | {seconds} |" for stage, seconds in facts["stages_seconds"].items()]
    key = f"preview-{month}" if is_preview else f"settlement-{month}"
    create_markdown_artifact("\n".join(lines), key=key)


def _told(difference: Difference) -> list[str]:
    """Tell what changed for a VPP and its sites, and why."""
    after_fees = "site_revenue_after_fees"
    sites = {
        nmi: values.get(after_fees, Values(before=None, after=None))
        for nmi, values in difference.sites.items()
    }
    lines = [
        f"**{difference.vpp}**, revision {difference.previous_revision} -> {difference.revision}: "
        + (
            "; ".join(str(cause) for cause in difference.causes[:_SHOWN_CAUSES])
            or "no cause that is known of"
        )
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


def show_rejected(intake: Intake) -> None:
    """Show the first rejected rows of a month, and where all of them can be mended."""
    first = intake.first_rejected
    if first.is_empty():
        return
    create_table_artifact(
        first.select("key", "line", "reason", "at_stake_aud", "row")
        .with_columns(pl.col("at_stake_aud").cast(pl.Float64).round(2))
        .to_dicts(),
        key=f"rejected-rows-{intake.month}",
        description=f"The first {first.height} of {intake.rejected_rows} rejected rows; all of "
        f"them are in {rejected_key(intake.month)}",
    )


@dataclass(frozen=True)
class LateData:
    """What would change in a published month, if it were settled now."""

    month: Month
    is_closed: bool
    differences: list[Difference]
    first: list[str]  # VPPs with no report yet
    problem: str  # why it could not be settled

    def __str__(self) -> str:
        """Say it in a sentence."""
        told = [
            f"{one.vpp}: "
            + ("; ".join(f"{name} {values}" for name, values in one.totals.items()) or "no total")
            for one in self.differences
        ]
        told += [f"{vpp}: its first report" for vpp in self.first]
        state = "closed" if self.is_closed else "not closed"
        if self.problem:
            return f"{self.month} ({state}) could not be settled now: {self.problem}"
        return f"{self.month} ({state}) would change: " + "; ".join(told)


def show_late_data(found: list[LateData]) -> None:
    """Show what would change in published months, and emit `vpp.month.would-change` for each."""
    lines = ["# Late data", ""]
    if not found:
        lines.append("Nothing would change in any closed or recent month.")
    for late in found:
        lines += [f"- {late}"]
    for late in found:
        for difference in late.differences:
            lines += ["", f"## {late.month}", "", *_told(difference)]
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
                    one.vpp_id: {name: vars(values) for name, values in one.totals.items()}
                    for one in late.differences
                },
            },
        )
    create_markdown_artifact("\n".join(lines), key="late-data")


def show_explanation(explanation: Explanation) -> None:
    """Show how a site's cents came about."""
    key = f"explanation-{explanation.month}-{explanation.nmi.lower()}-{explanation.vpp_id}"
    create_markdown_artifact(markdown(explanation), key=key)


def announce_settlement(month: Month, outcome: str, run_record: str, facts: dict[str, Any]) -> None:
    """Emit `vpp.settlement.published` or `vpp.settlement.refused`."""
    told = (
        "reports",
        "reason",
        "digest",
        "rows",
        "rejected_rows",
        "unassigned_events",
        "registry_seq",
    )
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
