"""generate-report and download-report: one VPP's month, as a link to read it with.

The link is the run's final message and an artifact, so that whoever started the run by REST finds
it without any storage of Prefect's. It is valid for VPP_PRESIGN_SECONDS. download-report gives a
new one, of the current report or any revision, and computes nothing.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.parameters import MonthText, RevisionNumber, Text
from flows.settle import settle_month
from tasks.core import keys
from tasks.core.month import Month
from tasks.io.registry_log import read_registry
from tasks.runs import summary
from tasks.runs.flow_run import open_store, task_runner
from tasks.runs.stage import refusals_as_sentences


@flow(
    name="generate-report",
    flow_run_name="report {vpp} {month}",
    task_runner=task_runner(),
)
@refusals_as_sentences
def generate_report(vpp: Text, month: MonthText) -> State[Any]:
    """Settle one VPP's month and give a link to its report.

    Args:
        vpp: The VPP's id or current name.
        month: The month to settle, YYYY-MM.
    """
    settled = settle_month(month=month, vpps=[vpp])
    [report] = settled["reports"]
    return summary.end_with_link(open_store(), keys.report(Month.parse(month), report["vpp"]))


@flow(name="download-report", flow_run_name="download {vpp} {month}")
@refusals_as_sentences
def download_report(vpp: Text, month: MonthText, revision: RevisionNumber = 0) -> State[Any]:
    """Give a new link to a published report; nothing is computed.

    Args:
        vpp: The VPP's id or current name.
        month: The report's month, YYYY-MM.
        revision: Which revision. 0: the current one.
    """
    store = open_store()
    vpp_id = read_registry(store, store.settings).vpp_id(vpp)
    return summary.end_with_link(store, keys.report(Month.parse(month), vpp_id, revision or None))
