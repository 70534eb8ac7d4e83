"""explain-site, verify-report and month-tables: what is published, taken apart and made again.

All three work from what the run record of a report pins (its files, its state of the registry), not
from what is in the inbox by now, and change nothing that is published. A rerun writes the same.

explain-site writes a dispute bundle to `disputes/`, month-tables a DuckDB file to `tables/`, and
each ends with a link to it. verify-report fails, and so sets off the alarm for failed runs, when a
published revision is not what its inputs give.
"""

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.nmi import canonical_nmi
from tasks.runs import stages as steps
from tasks.runs.stage import refusals_as_sentences

MonthText = Annotated[str, Field(pattern=r"^[12][0-9]{3}-(0[1-9]|1[0-2])$")]
Name = Annotated[str, Field(min_length=1)]


@flow(name="explain-site", flow_run_name="explain {nmi} {month}")
@refusals_as_sentences
def explain_site(vpp: Name, nmi: Name, month: MonthText) -> State[Any]:
    """Explain a site's part of the current report, down to its events, as one zip to hand out.

    Args:
        vpp: The VPP's id or current name.
        nmi: The site's NMI, 10 characters or 11 with the check digit.
        month: The report's month, YYYY-MM.
    """
    try:
        site = canonical_nmi(nmi)
    except ValueError as problem:
        raise Refused(f"nmi: {problem}") from None
    return steps.linked(steps.explain_site(Month.parse(month), steps.vpp_id(vpp), site))


@flow(name="verify-report", flow_run_name="verify {vpp} {month}")
@refusals_as_sentences
def verify_report(vpp: Name, month: MonthText, revision: Annotated[int, Field(ge=0)] = 0) -> str:
    """Recompute a published report from what its run record pins, and compare the bytes.

    Args:
        vpp: The VPP's id or current name.
        month: The report's month, YYYY-MM.
        revision: Which revision. 0: the current one.
    """
    return steps.verify_report(Month.parse(month), steps.vpp_id(vpp), revision)


@flow(name="month-tables", flow_run_name="tables {month}")
@refusals_as_sentences
def month_tables(month: MonthText) -> State[Any]:
    """Give all tables of a settled month, from spans to statements, as one DuckDB file.

    Args:
        month: The month, YYYY-MM.
    """
    return steps.linked(steps.build_tables(Month.parse(month)))
