"""settle-month: what every VPP and each of its sites earned in a month.

Reads the event files in the inbox and the registry; writes `reports/<month>/<vpp>.json`, a new
revision of each report that changed, and a run record in `runs/<month>/`.

Scheduled on the 2nd of each month at 06:00 market time, for the month before; such a run also says
what would change in closed and recent months. A rerun with unchanged inputs writes nothing but its
run record; with changed ones, the next revisions, unless the month is closed. A preview writes
nothing but its run record.
"""

from datetime import datetime
from typing import Annotated, Any

from prefect import flow, runtime
from pydantic import Field

from tasks.runs import stages as steps
from tasks.runs.run import one_at_a_time, run_record
from tasks.runs.stage import refusals_as_sentences
from tasks.settlement.allocation import WhatIf

MonthText = Annotated[str, Field(pattern=r"^([12][0-9]{3}-(0[1-9]|1[0-2]))?$")]


def _run_name() -> str:
    parameters = runtime.flow_run.parameters
    what = "preview" if parameters["preview"] or parameters["what_if"] else "settle"
    return f"{what} {steps.month_or_previous(parameters['month'])}"


@flow(name="settle-month", flow_run_name=_run_name, task_runner=steps.task_runner())
@refusals_as_sentences
def settle_month(
    month: MonthText = "",
    vpps: list[str] = [],  # noqa: B006 (Prefect copies it; a form of plain rows needs it)
    as_of: datetime | None = None,
    max_rejected_percent: Annotated[float, Field(ge=0, le=100)] | None = None,
    allow_failed_imports: bool = False,
    preview: bool = False,
    what_if: list[WhatIf] = [],  # noqa: B006
) -> dict[str, Any]:
    """Settle a month: import what is new, allocate, check, publish.

    Args:
        month: The month to settle, YYYY-MM. Empty: the one before the scheduled time.
        vpps: Only report on these VPPs (ids or names). Empty: on all.
        as_of: Use the registry as it was known at this moment, market time unless it has an
            offset. Empty: as it is known now.
        max_rejected_percent: Refuse to publish when more of the month's rows were rejected (%).
            Empty: the setting VPP_MAX_REJECTED_PERCENT.
        allow_failed_imports: Publish although a file that could matter could not be read.
        preview: Publish nothing; show what would change, and the digest to close the month with.
        what_if: A preview with other terms for some VPPs, on all days of the month.
    """
    settled_month = steps.month_or_previous(month)
    with (
        run_record(
            settled_month,
            vpps=vpps,
            as_of=as_of,
            max_rejected_percent=max_rejected_percent,
            allow_failed_imports=allow_failed_imports,
            preview=preview,
            what_if=[one.model_dump(mode="json", exclude_none=True) for one in what_if],
        ) as record,
        one_at_a_time(settled_month),
    ):
        asked = steps.asked(vpps, as_of, max_rejected_percent, allow_failed_imports, what_if)
        if preview or what_if:
            steps.preview(record, settled_month, asked)
        else:
            steps.import_settle_publish(record, settled_month, asked)
            if not month:
                record.facts["late_data"] = steps.watch_months(but=settled_month)
        steps.show(record)
    return {
        "month": str(settled_month),
        "outcome": record.outcome,
        "digest": record.facts.get("digest"),
        "reports": record.facts["reports"],
        "run_record": record.key,
    }


if __name__ == "__main__":
    settle_month()
