"""generate-report and download-report: one VPP's month, as a link to read it with.

The link is the run's final message and an artifact, so that whoever started the run by REST finds
it without any storage of Prefect's. It holds for VPP_PRESIGN_SECONDS; download-report gives a fresh
one, of the current report or any revision, and computes nothing.
"""

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.settle import settle_month
from tasks.core.month import Month
from tasks.publication.revisions import report_key
from tasks.runs import stages as steps
from tasks.runs.stage import refusals_as_sentences

MonthText = Annotated[str, Field(pattern=r"^[12][0-9]{3}-(0[1-9]|1[0-2])$")]
Name = Annotated[str, Field(min_length=1)]


@flow(
    name="generate-report",
    flow_run_name="report {vpp} {month}",
    task_runner=steps.task_runner(),
)
@refusals_as_sentences
def generate_report(vpp: Name, month: MonthText) -> State[Any]:
    """Settle one VPP's month and give a link to its report.

    Args:
        vpp: The VPP's id or current name.
        month: The month to settle, YYYY-MM.
    """
    settled = settle_month(month=month, vpps=[vpp])
    [report] = settled["reports"]
    return steps.linked(report_key(Month.parse(month), report["vpp"]))


@flow(name="download-report", flow_run_name="download {vpp} {month}")
@refusals_as_sentences
def download_report(
    vpp: Name, month: MonthText, revision: Annotated[int, Field(ge=0)] = 0
) -> State[Any]:
    """Give a fresh link to a published report; nothing is computed.

    Args:
        vpp: The VPP's id or current name.
        month: The report's month, YYYY-MM.
        revision: Which revision. 0: the current one.
    """
    id = steps.vpp_id(vpp)
    return steps.linked(report_key(Month.parse(month), id, revision or None))
