"""explain-site, verify-report and month-tables: what is published, taken apart and made again.

All three work from what the run record of a report pins (its files, its state of the registry), not
from what is in the inbox now, and change nothing that is published. A rerun writes the same.

explain-site writes a dispute bundle to `disputes/`, month-tables a DuckDB file to `tables/`, and
each ends with a link to it. verify-report fails, and so sets off the alarm for failed runs, when a
published revision is not what its inputs give.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.parameters import MonthText, RevisionNumber, Text
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.nmi import canonical_nmi
from tasks.io.registry_log import read_registry
from tasks.runs import stages, summary
from tasks.runs.flow_run import open_store
from tasks.runs.stage import refusals_as_sentences


@flow(name="explain-site", flow_run_name="explain {nmi} {month}")
@refusals_as_sentences
def explain_site(vpp: Text, nmi: Text, month: MonthText) -> State[Any]:
    """Explain a site's part of the current report, down to its events, in one zip for its owner.

    Args:
        vpp: The VPP's id or current name.
        nmi: The site's NMI, 10 characters or 11 with the check digit.
        month: The report's month, YYYY-MM.
    """
    try:
        site = canonical_nmi(nmi)
    except ValueError as problem:
        raise Refused(f"nmi: {problem}") from None
    store = open_store()
    vpp_id = read_registry(store, store.settings).vpp_id(vpp)
    explained = stages.explain_site(store, Month.parse(month), vpp_id, site)
    summary.show_explanation(explained.explanation)
    return summary.end_with_link(store, stages.put_bundle(store, explained))


@flow(name="verify-report", flow_run_name="verify {vpp} {month}")
@refusals_as_sentences
def verify_report(vpp: Text, month: MonthText, revision: RevisionNumber = 0) -> str:
    """Recompute a published report from what its run record pins, and compare the bytes.

    Args:
        vpp: The VPP's id or current name.
        month: The report's month, YYYY-MM.
        revision: Which revision. 0: the current one.
    """
    store = open_store()
    vpp_id = read_registry(store, store.settings).vpp_id(vpp)
    return stages.verify_report(store, Month.parse(month), vpp_id, revision)


@flow(name="month-tables", flow_run_name="tables {month}")
@refusals_as_sentences
def month_tables(month: MonthText) -> State[Any]:
    """Give all tables of a settled month, from spans to statements, as one DuckDB file.

    Args:
        month: The month, YYYY-MM.
    """
    store = open_store()
    return summary.end_with_link(store, stages.build_tables(store, Month.parse(month)))
