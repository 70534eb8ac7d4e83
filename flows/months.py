"""list-months: which months are settled, and which of them are closed.

Reads `months/*.json`, one small object a month, and writes nothing but an artifact.
"""

from typing import Any

from prefect.client.schemas.objects import State

from tasks.runs import registry_summary, stages
from tasks.runs.deployed import flow
from tasks.runs.flow_run import open_store


@flow(name="list-months", flow_run_name="list months")
def list_months() -> State[Any]:
    """List the months that are settled: of how many VPPs, closed by whom, and their digests."""
    return registry_summary.end_with_months(stages.read_month_records(open_store()))
