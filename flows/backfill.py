"""backfill: settle a range of past months again, oldest first.

Each month is a flow run of settle-month of its own. A month that fails does not stop the next; the
backfill then fails at its end and names it. Months whose inputs are unchanged write nothing.
"""

from collections import Counter
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.parameters import MonthText, VppNames
from flows.settle import settle_month
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.words import count
from tasks.runs.deployed import flow
from tasks.runs.flow_run import passing_on, task_runner

MOST_MONTHS = 120  # ten years; each is a flow run


@flow(
    name="backfill",
    flow_run_name="backfill {from_month} to {to_month}",
    task_runner=task_runner(),
)
def backfill(
    from_month: MonthText,
    to_month: MonthText,
    vpps: VppNames = [],  # noqa: B006 (as in settle_month)
) -> State[Any]:
    """Settle each month of a range.

    Args:
        from_month: The first month, YYYY-MM.
        to_month: The last month, YYYY-MM.
        vpps: Report on these VPPs only (ids, current names or names in that month). Empty: on all.
    """
    first, last = Month.parse(from_month), Month.parse(to_month)
    if last < first:
        raise Refused(f"from_month: {first} is after to_month, {last}; swap them")
    months = list(first.until(last))
    if len(months) > MOST_MONTHS:
        raise Refused(
            f"from_month: {first} to {last} are {len(months)} months; {MOST_MONTHS} at a time"
        )
    outcomes: dict[str, str] = {}
    failures: list[str] = []
    with passing_on():
        for month in months:
            state = settle_month(month=str(month), vpps=vpps, return_state=True)
            if state.is_completed():
                settled: Any = state.result()
                outcomes[str(month)] = settled["outcome"]
            else:
                outcomes[str(month)] = "failed"
                failures.append(f"{month}: {state.message}")
    if failures:
        raise Refused(
            f"{len(failures)} of {count(len(outcomes), 'month')} failed, the others are settled:\n"
            + "\n".join(failures)
        )
    said = ", ".join(
        f"{number} {outcome}" for outcome, number in Counter(outcomes.values()).items()
    )
    return Completed(message=f"{count(len(outcomes), 'month')}: {said}", data=outcomes)
