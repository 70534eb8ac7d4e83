"""close-month and reopen-month: what was approved stays.

close-month writes to the month's record that what is published is fixed. settle-month then refuses
to publish another revision until reopen-month gives a reason. A rerun of either is refused with a
sentence.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.parameters import MonthText, Text
from tasks.core.month import Month
from tasks.runs import stages
from tasks.runs.deployed import flow
from tasks.runs.flow_run import add_tags, open_store, started_by


@flow(name="close-month", flow_run_name="close {month}")
def close_month(month: MonthText, expect: Text, by: str = "") -> State[Any]:
    """Fix what is published for a month.

    Args:
        month: The month to close, YYYY-MM.
        expect: The digest that was approved, as a preview or the settlement's summary shows it.
        by: Who closes it. Empty: who started this run, as far as Prefect knows.
    """
    add_tags(month)
    who = by.strip() or started_by()
    closing = stages.close_month(open_store(), Month.parse(month), expect, who)
    return Completed(
        message=f"{month} is closed by {who} with the digest {closing['digest']}", data=closing
    )


@flow(name="reopen-month", flow_run_name="reopen {month}")
def reopen_month(month: MonthText, reason: Text, by: str = "") -> State[Any]:
    """Let a closed month be published again.

    Args:
        month: The month to reopen, YYYY-MM.
        reason: Why. It is kept in the month's record.
        by: Who reopens it. Empty: who started this run, as far as Prefect knows.
    """
    add_tags(month)
    who = by.strip() or started_by()
    reopening = stages.reopen_month(open_store(), Month.parse(month), reason, who)
    return Completed(message=f"{month} is reopened by {who}: {reason}", data=reopening)
