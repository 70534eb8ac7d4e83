"""check-settled: is last month settled? Scheduled at noon of the day of the monthly settlement.

Reads the run records on S3. Fails with a sentence when no run published the month (or found it
unchanged), or when nothing was settled; a scheduled run then sets off the alarm of refused ones.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.parameters import MonthOrEmpty
from tasks.runs import stages
from tasks.runs.deployed import flow
from tasks.runs.flow_run import add_tags, month_or_previous, open_store


@flow(name="check-settled", flow_run_name="check that the month is settled")
def check_settled(month: MonthOrEmpty = "") -> State[Any]:
    """Fail unless the month is settled, and from any events.

    Args:
        month: The month to check, YYYY-MM. Empty: the one before the scheduled time.
    """
    checked = month_or_previous(month)
    add_tags(str(checked))
    run_record = stages.find_settled_run(open_store(), checked)
    return Completed(message=f"{checked} is settled, first by {run_record}", data=run_record)
