"""check-settled: is last month settled? Scheduled at noon of the day of the monthly settlement.

Reads the run records on S3. Fails with a sentence when no run published the month (or found it
unchanged), and so sets off the alarm for failed runs.
"""

from prefect import flow

from flows.settle import MonthText
from tasks.runs import stages as steps
from tasks.runs.stage import refusals_as_sentences


@flow(name="check-settled", flow_run_name="check that the month is settled")
@refusals_as_sentences
def check_settled(month: MonthText = "") -> str:
    """Fail unless the month is settled.

    Args:
        month: The month to check, YYYY-MM. Empty: the one before the scheduled time.
    """
    return steps.settled_run(steps.month_or_previous(month))
