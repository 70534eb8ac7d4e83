"""What the VPPs of a month and their sites receive, as a picture that stands by itself."""

from collections.abc import Sequence
from decimal import Decimal

from tasks.core.run_record import ReportOutcome
from tasks.io.rendering import render
from tasks.pages.figures import columns

_SHOWN_VPPS = 12
_SHOWN_CHARACTERS = 28


def month_chart(reports: Sequence[ReportOutcome]) -> bytes:
    """Return a bar for each VPP as SVG, the largest first; the small ones together in the last."""
    amounts = [
        (
            report.name,
            Decimal(str(report.totals["vpp_total_revenue"])),
            Decimal(str(report.totals["site_total_revenue_after_fees"])),
        )
        for report in reports
    ]
    amounts.sort(key=lambda of: (-of[1] - of[2], of[0]))
    if others := amounts[_SHOWN_VPPS:]:
        vpps = sum((vpp for _, vpp, _ in others), Decimal(0))
        sites = sum((of_sites for _, _, of_sites in others), Decimal(0))
        amounts[_SHOWN_VPPS:] = [(f"{len(others):,} others", vpps, sites)]
    chart = columns([(("vpp", vpp), ("sites", sites)) for _, vpp, sites in amounts])
    rows = [
        (_shown(name), (vpp, sites), bar)
        for (name, vpp, sites), bar in zip(amounts, chart.columns, strict=True)
    ]
    return render("pages", "month_chart.svg", rows=rows, zero=chart.zero)


def _shown(name: str) -> str:
    too_long = len(name) > _SHOWN_CHARACTERS
    return f"{name[: _SHOWN_CHARACTERS - 1]}…" if too_long else name
