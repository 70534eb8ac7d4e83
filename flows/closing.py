"""close-month and reopen-month: what was approved stays.

close-month writes to the month's record that what is published is fixed. settle-month then refuses
to publish another revision until reopen-month gives a reason. A rerun of either is refused with a
sentence.
"""

from typing import Any

from prefect import flow

from flows.parameters import MonthText, Text
from tasks.core.month import Month
from tasks.runs import stages
from tasks.runs.flow_run import open_store, started_by
from tasks.runs.stage import refusals_as_sentences


@flow(name="close-month", flow_run_name="close {month}")
@refusals_as_sentences
def close_month(month: MonthText, expect: Text, by: str = "") -> dict[str, Any]:
    """Fix what is published for a month.

    Args:
        month: The month to close, YYYY-MM.
        expect: The digest that was approved, as a preview or the settlement's summary shows it.
        by: Who closes it. Empty: who started this run, as far as Prefect knows.
    """
    who = by.strip() or started_by()
    return stages.close_month(open_store(), Month.parse(month), expect, who)


@flow(name="reopen-month", flow_run_name="reopen {month}")
@refusals_as_sentences
def reopen_month(month: MonthText, reason: Text, by: str = "") -> dict[str, Any]:
    """Let a closed month be published again.

    Args:
        month: The month to reopen, YYYY-MM.
        reason: Why. It is kept in the month's record.
        by: Who reopens it. Empty: who started this run, as far as Prefect knows.
    """
    who = by.strip() or started_by()
    return stages.reopen_month(open_store(), Month.parse(month), reason, who)
