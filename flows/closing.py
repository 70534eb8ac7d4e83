"""close-month, reopen-month and watch-months: what was approved stays, and what would change shows.

close-month writes to the month's ledger that what is published is fixed; settle-month then refuses
to publish another revision until reopen-month says why. watch-months settles closed and recent
months with today's inputs, and says what would change; it changes nothing. Scheduled each day at
07:00; a month whose inputs are what they were costs a few reads and a listing.
"""

from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from tasks.core.month import Month
from tasks.runs import stages as steps
from tasks.runs.stage import refusals_as_sentences

MonthText = Annotated[str, Field(pattern=r"^[12][0-9]{3}-(0[1-9]|1[0-2])$")]
Text = Annotated[str, Field(min_length=1)]


@flow(name="close-month", flow_run_name="close {month}")
@refusals_as_sentences
def close_month(month: MonthText, expect: Text, by: str = "") -> dict[str, Any]:
    """Fix what is published for a month.

    Args:
        month: The month to close, YYYY-MM.
        expect: The digest that was approved, as a preview or the settlement's summary shows it.
        by: Who closes it. Empty: what Prefect knows of who started this run.
    """
    return steps.close_month(Month.parse(month), expect, by)


@flow(name="reopen-month", flow_run_name="reopen {month}")
@refusals_as_sentences
def reopen_month(month: MonthText, reason: Text, by: str = "") -> dict[str, Any]:
    """Let a closed month be published again.

    Args:
        month: The month to reopen, YYYY-MM.
        reason: Why; it is kept with the month.
        by: Who reopens it. Empty: what Prefect knows of who started this run.
    """
    return steps.reopen_month(Month.parse(month), reason, by)


@flow(name="watch-months", flow_run_name="watch published months")
@refusals_as_sentences
def watch_months() -> list[str]:
    """Say what would change in closed and recent months, if they were settled now."""
    return steps.watch_months()
