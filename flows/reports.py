"""generate-report and download-report: one VPP's month, as a link to read it with.

The link is in the run's result and in its artifact `download`, where whoever started the run by
REST finds it without any storage of Prefect's; the run's message says until when it is valid
(VPP_PRESIGN_SECONDS, and VPP_PRESIGN_STATEMENT_SECONDS for what people look at). download-report
gives a new one, of the current report or any revision. The report itself is only linked; its page,
PDF or workbook is made from what is published, where it is not there yet.
"""

from typing import Any, Literal

from prefect.client.schemas.objects import State

from flows.parameters import MonthText, RevisionNumber, Text
from flows.settle import settle_month
from tasks.core import keys
from tasks.core.month import Month
from tasks.io.registry_log import read_vpps
from tasks.runs import stages, summary
from tasks.runs.deployed import flow
from tasks.runs.flow_run import add_tags, open_store, passing_on, task_runner


@flow(
    name="generate-report",
    flow_run_name="report {vpp} {month}",
    task_runner=task_runner(),
)
def generate_report(vpp: Text, month: MonthText) -> State[Any]:
    """Settle one VPP's month and give a link to its report.

    Args:
        vpp: The VPP's id, its current name, or its name in that month.
        month: The month to settle, YYYY-MM.
    """
    with passing_on():
        settled: Any = settle_month(month=month, vpps=[vpp])
    [report] = settled["reports"]
    add_tags(month, report["vpp"])
    return summary.end_with_link(open_store(), keys.report(Month.parse(month), report["vpp"]))


@flow(name="download-report", flow_run_name="download {vpp} {month}")
def download_report(
    vpp: Text,
    month: MonthText,
    revision: RevisionNumber = 0,
    format: Literal["json", "html", "pdf", "xlsx"] = "json",
) -> State[Any]:
    """Give a new link to a published report, or to its statement as a page, PDF or workbook.

    Args:
        vpp: The VPP's id, its current name, or its name in that month.
        month: The report's month, YYYY-MM.
        revision: Which revision. 0: the current one.
        format: The report as data (json), its statement (html, or pdf, for which the worker needs
            the extra `pdf`), or its tables as a workbook (xlsx).
    """
    store, of_month = open_store(), Month.parse(month)
    vpp_id = read_vpps(store, store.settings).vpp_id(vpp, of_month)
    add_tags(month, vpp_id)
    key = (
        keys.report(of_month, vpp_id, revision or None)
        if format == "json"
        else stages.put_vpp_statement(store, of_month, vpp_id, revision, format)
    )
    return summary.end_with_link(store, key)
