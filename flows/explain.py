"""explain-site, verify-report and month-tables: what is published, taken apart and made again.

All three work from what the run record of a report pins (its files, its state of the registry), not
from what is in the inbox now, and change nothing that is published. A rerun writes the same.

explain-site writes a dispute bundle to `disputes/`, month-tables a DuckDB file to `tables/`, and
each ends with a link to it. verify-report is refused when a published revision is not what its
inputs give.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.parameters import MonthText, RevisionNumber, Text
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.nmi import canonical_nmi
from tasks.io.registry_log import read_vpps
from tasks.runs import stages, summary
from tasks.runs.deployed import flow
from tasks.runs.flow_run import add_tags, open_store


@flow(name="explain-site", flow_run_name="explain {nmi} {month}")
def explain_site(
    vpp: Text, nmi: Text, month: MonthText, revision: RevisionNumber = 0
) -> State[Any]:
    """Explain a site's part of a report, down to its events, in one zip for its owner.

    Args:
        vpp: The VPP's id, its current name, or its name in that month.
        nmi: The site's NMI, 10 characters or 11 with the check digit.
        month: The report's month, YYYY-MM.
        revision: Which revision. 0: the current one.
    """
    try:
        site = canonical_nmi(nmi)
    except ValueError as problem:
        raise Refused(f"nmi: {problem}") from None
    store, of_month = open_store(), Month.parse(month)
    vpp_id = read_vpps(store, store.settings).vpp_id(vpp, of_month)
    add_tags(month, vpp_id)
    explained = stages.explain_site(store, of_month, vpp_id, site, revision)
    summary.show_explanation(explained.explanation)
    return summary.end_with_link(store, stages.put_bundle(store, explained), "dispute")


@flow(name="verify-report", flow_run_name="verify {vpp} {month}")
def verify_report(vpp: Text, month: MonthText, revision: RevisionNumber = 0) -> State[Any]:
    """Recompute a published report from what its run record pins, and compare the bytes.

    Args:
        vpp: The VPP's id, its current name, or its name in that month.
        month: The report's month, YYYY-MM.
        revision: Which revision. 0: the current one.
    """
    store, of_month = open_store(), Month.parse(month)
    vpp_id = read_vpps(store, store.settings).vpp_id(vpp, of_month)
    add_tags(month, vpp_id)
    verdict = stages.verify_report(store, of_month, vpp_id, revision)
    return Completed(message=verdict, data=verdict)


@flow(name="month-tables", flow_run_name="tables {month}")
def month_tables(month: MonthText) -> State[Any]:
    """Give all tables of a settled month, from spans to statements, as one DuckDB file.

    Args:
        month: The month, YYYY-MM.
    """
    store = open_store()
    add_tags(month)
    return summary.end_with_link(store, stages.build_tables(store, Month.parse(month)))
