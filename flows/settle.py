"""settle-month: what every VPP and each of its sites earned in a month.

Reads the event files in the inbox and the registry; writes `reports/<month>/<vpp>.json`, a new
revision of each report that changed, and a run record in `runs/<month>/`. `story.py` has the run,
stage by stage.

Scheduled on the 2nd of each month at 06:00 market time, for the month before; such a run also says
what would change in closed and recent months. A rerun with unchanged inputs writes nothing but its
run record; with changed ones, the next revisions, unless the month is closed. A preview writes
nothing but its run record and the list of rejected rows.
"""

from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from prefect import flow, runtime
from pydantic import Field

from flows import story
from flows.parameters import MonthOrEmpty
from flows.watch import watch
from tasks.core.errors import Refused
from tasks.core.request import SettlementRequest, WhatIf
from tasks.core.settings import Settings
from tasks.io.registry_log import read_registry
from tasks.runs import summary
from tasks.runs.flow_run import month_or_previous, open_store, settlement_run, task_runner
from tasks.runs.stage import refusals_as_sentences


def _run_name() -> str:
    parameters = runtime.flow_run.parameters
    what = "preview" if parameters["preview"] or parameters["what_if"] else "settle"
    return f"{what} {month_or_previous(parameters['month'])}"


@flow(name="settle-month", flow_run_name=_run_name, task_runner=task_runner())
@refusals_as_sentences
def settle_month(
    month: MonthOrEmpty = "",
    vpps: list[str] = [],  # noqa: B006 (Prefect copies it; a form of plain rows needs it)
    as_of: datetime | None = None,
    max_rejected_percent: Annotated[float, Field(ge=0, le=100)] | None = None,
    allow_failed_imports: bool = False,
    allow_shared_rows: bool = False,
    allow_missing: bool = False,
    preview: bool = False,
    what_if: list[WhatIf] = [],  # noqa: B006
) -> dict[str, Any]:
    """Settle a month: import what is new, allocate, check, publish.

    Args:
        month: The month to settle, YYYY-MM. Empty: the one before the scheduled time.
        vpps: Report on these VPPs only (ids or names). Empty: on all.
        as_of: Use the registry as it was recorded at this moment, market time unless it has an
            offset. Empty: as it is recorded now.
        max_rejected_percent: Publish nothing if more of the month's rows than this were rejected
            (%). Empty: the setting VPP_MAX_REJECTED_PERCENT.
        allow_failed_imports: Publish even if a file that could matter could not be read.
        allow_shared_rows: Publish even if the same events seem to be in two files, and count both.
        allow_missing: Publish even if the month is not over, or a VPP has no event in it.
        preview: Publish nothing. Show what would change, and the digest to close the month with.
        what_if: A preview with other terms for some VPPs, on all days of the month.
    """
    settings = Settings()
    settled_month = month_or_previous(month)
    parameters = {
        "vpps": vpps,
        "as_of": as_of,
        "max_rejected_percent": max_rejected_percent,
        "allow_failed_imports": allow_failed_imports,
        "allow_shared_rows": allow_shared_rows,
        "allow_missing": allow_missing,
        "preview": preview,
        "what_if": [terms.model_dump(mode="json", exclude_none=True) for terms in what_if],
    }
    request = SettlementRequest(
        as_of=_in_market_time(as_of, settings) if as_of else datetime.now(UTC),
        max_rejected_percent=settings.max_rejected_percent
        if max_rejected_percent is None
        else max_rejected_percent,
        vpps=tuple(vpps),
        allow_failed_imports=allow_failed_imports,
        allow_shared_rows=allow_shared_rows,
        allow_missing=allow_missing,
    )
    with settlement_run(settled_month, request, parameters) as run:
        if preview or what_if:
            run.request = request.assuming(_with_ids(what_if, settings))
            story.preview(run)
        else:
            story.settle_and_publish(run)
            if not month:
                run.note(late_data=watch(but=settled_month))
        summary.show_run(run)
    return {
        "month": str(settled_month),
        "outcome": run.record.outcome,
        "digest": run.record.digest,
        "reports": [report.model_dump(mode="json") for report in run.record.reports or []],
        "run_record": run.key,
    }


def _in_market_time(moment: datetime, settings: Settings) -> datetime:
    """Return a moment with its offset; one without is market time."""
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(settings.timezone))


def _with_ids(what_if: list[WhatIf], settings: Settings) -> list[WhatIf]:
    """Return the assumed terms, each VPP named by its id."""
    registry = read_registry(open_store(), settings)
    named = [terms.model_copy(update={"vpp": registry.vpp_id(terms.vpp)}) for terms in what_if]
    if len({terms.vpp for terms in named}) < len(named):
        raise Refused("what_if: a VPP is named twice; give all its other terms at once")
    return named


if __name__ == "__main__":
    settle_month()
