"""settle-month: what every VPP and each of its sites earned in a month.

Reads the event files in the inbox and the registry; writes `reports/<month>/<vpp>.json`, a new
revision of each report that changed, and a run record in `runs/<month>/`. `story.py` has the run,
stage by stage.

Scheduled on the 2nd of each month at 06:00 market time, for the month before; such a run also says
what would change in closed and recent months, even if it is refused. A rerun with unchanged inputs
writes nothing but its run record; with changed ones, the next revisions, unless the month is
closed. A preview writes nothing but its run record and the list of rejected rows.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from prefect import runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from flows import story
from flows.parameters import MonthOrEmpty, VppNames
from flows.watch import watch
from tasks.core.change_fields import moment_of
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.request import SettlementRequest, WhatIf
from tasks.core.run_record import SettledRunRecord
from tasks.core.settings import Settings
from tasks.io.registry_log import read_vpps
from tasks.runs import summary
from tasks.runs.deployed import flow
from tasks.runs.flow_run import (
    add_tags,
    month_in_name,
    month_or_previous,
    open_store,
    settlement_run,
    task_runner,
)
from tasks.runs.run import Run


def _run_name() -> str:
    parameters = runtime.flow_run.parameters
    what = "what if" if parameters["what_if"] else "preview" if parameters["preview"] else "settle"
    return f"{what} {month_in_name(parameters['month'])}"


@flow(name="settle-month", flow_run_name=_run_name, task_runner=task_runner())
def settle_month(
    month: MonthOrEmpty = "",
    vpps: VppNames = [],  # noqa: B006 (Prefect copies it; a form of plain rows needs it)
    as_of: datetime | None = None,
    max_rejected_percent: Annotated[float, Field(ge=0, le=100)] | None = None,
    allow_failed_imports: bool = False,
    allow_shared_rows: bool = False,
    allow_missing: bool = False,
    preview: bool = False,
    what_if: Annotated[list[WhatIf], Field(max_length=100)] = [],  # noqa: B006
) -> State[Any]:
    """Settle a month: import what is new, allocate, check, publish.

    Args:
        month: The month to settle, YYYY-MM. Empty: the one before the scheduled time.
        vpps: Report on these VPPs only (ids, current names or names in that month). Empty: on all.
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
        as_of=moment_of("as_of", as_of, settings.timezone) or datetime.now(UTC),
        max_rejected_percent=settings.max_rejected_percent
        if max_rejected_percent is None
        else max_rejected_percent,
        vpps=tuple(vpps),
        allow_failed_imports=allow_failed_imports,
        allow_shared_rows=allow_shared_rows,
        allow_missing=allow_missing,
    )
    with settlement_run(settled_month, request, parameters) as run:
        run.request = _with_ids(request, what_if, settled_month)
        add_tags(*run.request.vpps, *(terms.vpp for terms in run.request.what_if))
        if preview or what_if:
            story.preview(run)
        elif month:
            story.settle_and_publish(run)
        else:
            _settle_and_watch(run)
    summary.show_run(run)
    assert isinstance(run.record, SettledRunRecord)
    result = {
        "month": str(settled_month),
        "outcome": run.record.outcome,
        "digest": run.record.digest,
        "reports": [report.model_dump(mode="json") for report in run.record.reports or []],
        "unassigned": [site.model_dump(mode="json") for site in run.record.unassigned],
        "unread": run.record.imported.unread if run.record.imported else [],
        "run_record": run.key,
    }
    return Completed(message=summary.settlement_in_words(run), data=result)


def _settle_and_watch(run: Run) -> None:
    """Settle, and say what would change in other months, also where this one is refused."""
    try:
        story.settle_and_publish(run)
    except Refused:
        with suppress(Refused):  # S3 or the disk is what is wrong
            run.note(late_data=watch())
        raise
    run.note(late_data=watch(but=run.month))


def _with_ids(request: SettlementRequest, what_if: list[WhatIf], month: Month) -> SettlementRequest:
    """Return the request with each VPP named by its id, and under the assumed terms."""
    if not request.vpps and not what_if:
        return request
    store = open_store()
    registry = read_vpps(store, store.settings)

    def vpp_id(field: str, reference: str) -> str:
        try:
            return registry.vpp_id(reference, month)
        except Refused as problem:
            raise Refused(f"{field}: {str(problem).removeprefix('vpp: ')}") from None

    assumed = [terms.model_copy(update={"vpp": vpp_id("what_if", terms.vpp)}) for terms in what_if]
    if len({terms.vpp for terms in assumed}) < len(assumed):
        raise Refused("what_if: a VPP is named twice; give all its other terms at once")
    ids = tuple(vpp_id("vpps", vpp) for vpp in request.vpps)
    return replace(request, vpps=ids).assuming(assumed)


if __name__ == "__main__":
    settle_month()
