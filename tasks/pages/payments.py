"""The month's payees for accounting: one line each, with reference, amount and tax code.

A site's line is what it gets after fees, and a VPP's is what it gets; an amount below zero is owed
by the payee. So the amounts of a VPP add up to its total revenue and its cost only events.
"""

import csv
import io
from collections.abc import Iterable

from tasks.core.report import Report
from tasks.core.words import escape_formula

COLUMNS = ("reference", "month", "vpp", "payee_type", "payee", "name", "amount_aud", "tax_code")
TAX_CODE = "GST-free"


def payments(reports: Iterable[Report]) -> bytes:
    """Return the list as CSV, UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text)  # lines end in CRLF: else a CR in an old name would not be quoted
    writer.writerow(COLUMNS)
    for report in reports:
        vpp, of_month = report.settlement.vpp_id, f"{report.month}-{report.settlement.vpp_id}"
        revision = f"r{report.settlement.revision}"
        amount = report.totals.vpp_total_revenue
        start = (report.month, vpp)
        writer.writerow(
            [
                f"{of_month}-{revision}",
                *start,
                "vpp",
                vpp,
                escape_formula(report.vpp),
                f"{amount:.2f}",
                TAX_CODE,
            ]
        )
        for site in report.sites.values():
            amount = site.site_revenue_after_fees
            reference = statement_number(report, site.nmi)
            name = escape_formula(site.address)
            writer.writerow([reference, *start, "site", site.nmi, name, f"{amount:.2f}", TAX_CODE])
    return text.getvalue().encode()


def statement_number(report: Report, nmi: str) -> str:
    """Return the number of a site's statement, which is also the reference of its payment."""
    of = report.settlement
    return f"{report.month}-{of.vpp_id}-{nmi}-r{of.revision}"
