"""backfill: settle a range of past months again, oldest first.

Each month is a flow run of settle-month of its own. A month that fails does not stop the next; the
backfill then fails at its end and names it. Months whose inputs are unchanged write nothing.
"""

from typing import Any

from prefect import flow

from flows.parameters import MonthText
from flows.settle import settle_month
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.runs.flow_run import task_runner
from tasks.runs.stage import refusals_as_sentences


@flow(
    name="backfill",
    flow_run_name="backfill {from_month} to {to_month}",
    task_runner=task_runner(),
)
@refusals_as_sentences
def backfill(
    from_month: MonthText,
    to_month: MonthText,
    vpps: list[str] = [],  # noqa: B006 (as in settle_month)
) -> dict[str, Any]:
    """Settle each month of a range.

    Args:
        from_month: The first month, YYYY-MM.
        to_month: The last month, YYYY-MM.
        vpps: Report on these VPPs only (ids or names). Empty: on all.
    """
    first, last = Month.parse(from_month), Month.parse(to_month)
    if last < first:
        raise Refused(f"from_month: {first} is after to_month, {last}; swap them")
    outcomes: dict[str, str] = {}
    failures: list[str] = []
    for month in first.until(last):
        state = settle_month(month=str(month), vpps=vpps, return_state=True)
        if state.is_completed():
            outcomes[str(month)] = state.result()["outcome"]
        else:
            outcomes[str(month)] = "failed"
            failures.append(f"{month}: {state.message}")
    if failures:
        raise Refused(
            f"{len(failures)} of {len(outcomes)} months failed, the others are settled:\n"
            + "\n".join(failures)
        )
    return outcomes
