"""check-settled: is last month settled? Scheduled at noon of the day of the monthly settlement.

Reads the run records on S3. Fails with a sentence when no run published the month (or found it
unchanged), or when nothing was settled, which sets off the alarm for failed runs.
"""

from prefect import flow

from flows.parameters import MonthOrEmpty
from tasks.runs import stages
from tasks.runs.flow_run import month_or_previous, open_store
from tasks.runs.stage import refusals_as_sentences


@flow(name="check-settled", flow_run_name="check that the month is settled")
@refusals_as_sentences
def check_settled(month: MonthOrEmpty = "") -> str:
    """Fail unless the month is settled, and from any events.

    Args:
        month: The month to check, YYYY-MM. Empty: the one before the scheduled time.
    """
    return stages.find_settled_run(open_store(), month_or_previous(month))
