"""make-statements and site-statement: what is published, as pages, tables and lists for people.

Both read what is published and change none of it, so they can neither delay nor fail a settlement,
and a rerun writes the same bytes.

make-statements writes `statements/` (a page for each VPP, one for the month, the index) and
`results/` (Parquet, a workbook, the payees). It starts when a month is published, and each day, for
the months whose pages do not show what is published. site-statement writes the page of one site, or
of all sites of a VPP as one zip. Each ends with a link.
"""

from typing import Any, Literal

from prefect import runtime
from prefect.client.schemas.objects import State

from flows.parameters import MonthOrEmpty, MonthText, Text
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.nmi import canonical_nmi
from tasks.io.registry_log import read_vpps
from tasks.runs import stages, summary
from tasks.runs.deployed import flow
from tasks.runs.flow_run import add_tags, open_store


def _run_name() -> str:
    return f"statements of {runtime.flow_run.parameters['month'] or 'what is new'}"


@flow(name="make-statements", flow_run_name=_run_name)
def make_statements(month: MonthOrEmpty = "") -> State[Any]:
    """Make the pages of a month's VPPs, its results, and the index of all months.

    Args:
        month: Which month, YYYY-MM. Empty: each whose pages do not show what is published.
    """
    store = open_store()
    if month:
        add_tags(month)
    months = [Month.parse(month)] if month else stages.find_stale_months(store)
    for settled in months:
        published = stages.read_published_reports(store, settled)
        days = stages.put_vpp_statements(store, published)
        stages.put_results(store, published, days)
    return summary.end_with_link(store, stages.put_overview(store, months))


@flow(name="site-statement", flow_run_name="site statement {nmi} {month}")
def site_statement(
    vpp: Text, month: MonthText, nmi: str = "", format: Literal["html", "pdf"] = "html"
) -> State[Any]:
    """Make a site's statement for a month, or those of all sites of a VPP in one zip.

    Args:
        vpp: The VPP's id, its current name, or its name in that month.
        month: The report's month, YYYY-MM.
        nmi: The site's NMI, 10 characters or 11 with the check digit. Empty: all sites.
        format: A page (html), or a PDF, for which the worker needs the extra `pdf`.
    """
    try:
        site = canonical_nmi(nmi) if nmi else ""
    except ValueError as problem:
        raise Refused(f"nmi: {problem}") from None
    store = open_store()
    vpp_id = read_vpps(store, store.settings).vpp_id(vpp, Month.parse(month))
    add_tags(month, vpp_id)
    key = stages.put_site_statement(store, Month.parse(month), vpp_id, site, format)
    return summary.end_with_link(store, key)
