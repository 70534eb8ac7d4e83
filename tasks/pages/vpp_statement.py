"""A VPP's month as a page, for the people who run it: one file that needs nothing else.

The sites are ranked by what they receive. Amounts are the report's; those of single days are
rounded to cents for display, so their columns may differ from the total by a cent or two.
"""

from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any

from tasks.core.report import Report, SiteStatement, Totals
from tasks.core.run_record import SilentSite, UnassignedSite
from tasks.core.words import aud, count, kwh
from tasks.io.rendering import render
from tasks.pages.figures import FULL, Columns, Step, columns, waterfall
from tasks.pages.pdf import Format, pdf
from tasks.pages.sources import Source

FIRST_SITES = 50
_SHOWN_CHANGES = 50
# What a day's amounts are, by the column of sql/pages/vpp_days.sql, with the colour.
KINDS = (
    ("discharged_cents", "sites", "Discharged"),
    ("charged_below_zero_cents", "gain", "Charged at a price below zero"),
    ("charged_cents", "vpp", "Charged"),
    ("discharged_below_zero_cents", "cost", "Discharged at a price below zero (the VPP's alone)"),
)
LABELS = {
    "total_revenue": "Shared revenue",
    "vpp_ad_valorem_fee": "The VPP's percentage",
    "vpp_cost_only": "Discharged at prices below zero",
    "vpp_total_revenue": "The VPP receives",
    "site_total_revenue_after_fees": "The sites receive",
    "vpp_daily_fees": "Daily fees collected",
    "vpp_loss_absorbed": "Sites' losses, which the VPP bears",
}


@dataclass(frozen=True)
class RankedSite:
    """A line of the table of sites: texts, and its bar of receipts and fee (see `figures`)."""

    cells: tuple[str, ...]
    nmi: str
    address: str
    receives: int
    fee: int
    loss: int


@dataclass(frozen=True)
class MeterSite:
    """How complete a site's meter data are."""

    site: SiteStatement
    basis: str
    expected: int | None
    missing: int | None
    quality: dict[str, Any]


def vpp_statement(source: Source, format: Format = "html") -> bytes:
    """Return the page, or the PDF.

    Raises:
        Refused: it should be a PDF, and typst is not installed.
    """
    values = _values(source)
    if format == "pdf":
        return pdf("vpp_statement.typ", values)
    return render("pages", "vpp_statement.html", **values)


def _values(source: Source) -> dict[str, Any]:
    """Return what a statement is filled in with."""
    report = source.report
    ranked = ranked_sites(report)
    vpp_lines = len(vpp_steps(report.totals))
    steps = waterfall([*revenue_steps(report.totals), *vpp_steps(report.totals)])
    return {
        "report": report,
        "totals": report.totals,
        "settlement": report.settlement,
        "vpp": report.vpp,
        "steps": steps[:-vpp_lines],
        "vpp_steps": steps[-vpp_lines:],
        "labels": LABELS,
        "came_in": report.totals.total_revenue + report.totals.vpp_cost_only,
        "days": _days(source),
        "kinds": [(kind, label) for _, kind, label in KINDS],
        "no_detail": source.no_detail,
        "first_sites": ranked[:FIRST_SITES],
        "more_sites": ranked[FIRST_SITES:],
        "sums": _sums(report),
        "parts": _parts(source),
        "rejected": _rejected(source),
        "unassigned": _unassigned(source),
        "silent": _silent(source),
        "meters": meter_sites(report),
        "run": source.run,
        "run_record": source.run_record,
        "difference": source.difference,
        "shown_changes": _SHOWN_CHANGES,
        "sha256": sha256(report.to_bytes()).hexdigest(),
    }


def revenue_steps(totals: Totals) -> list[Step]:
    """Return the lines from revenue to what the sites receive."""
    steps = [
        Step("Shared revenue", totals.total_revenue, "total", is_sum=True),
        Step("The VPP's percentage", -totals.vpp_ad_valorem_fee, "vpp"),
    ]
    if totals.vpp_loss_absorbed:
        label = "Sites' losses, which the VPP bears"
        steps.append(Step(label, -totals.vpp_loss_absorbed, "gain"))
    return [
        *steps,
        Step("Daily fees collected", -totals.vpp_daily_fees, "vpp"),
        Step("The sites receive", totals.site_total_revenue_after_fees, "sites", is_sum=True),
    ]


def vpp_steps(totals: Totals) -> list[Step]:
    """Return the lines that make up what the VPP receives."""
    steps = [
        Step("Percentage", totals.vpp_ad_valorem_fee, "vpp", is_first=True),
        Step("Daily fees", totals.vpp_daily_fees, "vpp"),
        Step("Discharged at prices below zero", totals.vpp_cost_only, "cost"),
    ]
    if totals.vpp_loss_absorbed:
        steps.append(Step("Sites' losses that it bears", totals.vpp_loss_absorbed, "cost"))
    return [*steps, Step("The VPP receives", totals.vpp_total_revenue, "vpp", is_sum=True)]


def ranked_sites(report: Report) -> list[RankedSite]:
    """Return the sites by what they receive, the most first; equals by amount before fees."""

    def place(site: SiteStatement) -> tuple[Decimal, Decimal, str]:
        return (-site.site_revenue_after_fees, -site.site_revenue_before_fees, site.nmi)

    sites = sorted(report.sites.values(), key=place)
    most = max((abs(site.site_revenue_before_fees) for site in sites), default=Decimal(0))

    def width(amount: Decimal) -> int:
        return round(max(amount, Decimal(0)) * FULL / most) if most else 0

    return [
        RankedSite(
            (
                kwh(site.site_capacity_kwh),
                kwh(site.energy_charged_kwh),
                kwh(site.energy_discharged_kwh),
                aud(site.site_revenue_before_fees),
                aud(site.site_daily_fee),
                aud(site.site_revenue_after_fees),
            ),
            site.nmi,
            site.address,
            width(site.site_revenue_after_fees),
            width(site.site_daily_fee),
            width(-site.site_revenue_after_fees),
        )
        for site in sites
    ]


def meter_sites(report: Report) -> list[MeterSite]:
    """Return the sites that are settled by meter data, those with gaps first."""
    found = [
        MeterSite(
            site,
            str(getattr(site, "basis", None)),
            getattr(site, "intervals_expected", None),
            getattr(site, "intervals_missing", None),
            getattr(site, "energy_by_quality_kwh", None) or {},
        )
        for site in report.sites.values()
        if getattr(site, "basis", None) in ("meter", "both")
    ]
    return sorted(found, key=lambda of: (-(of.missing or 0), of.site.nmi))


def _days(source: Source) -> dict[str, Any] | None:
    """Return the chart and the table of revenue by day."""
    if source.detail is None:
        return None
    days = source.detail.days
    names = [name for name, _, _ in KINDS]
    chart: Columns = columns([[(kind, day[name]) for name, kind, _ in KINDS] for day in days])
    table = [
        {
            "day": day["day"],
            "amounts": [day[name] / 100 for name in names],
            "energy": (day["energy_charged_kwh"], day["energy_discharged_kwh"]),
        }
        for day in days
    ]
    return {
        "chart": chart,
        "label": "Revenue by day; the table has the numbers",
        "highest": aud(round(chart.highest / 100, 2)),
        "lowest": aud(round(chart.lowest / 100, 2)),
        "table": table,
        "sums": [sum((day[name] for day in days), Decimal(0)) / 100 for name in names],
        "below_zero": sum(1 for day in days if day[names[1]] or day[names[3]]),
    }


def _sums(report: Report) -> tuple[str, ...]:
    """Return the last line of the table of sites."""
    sites = report.sites.values()
    nothing = Decimal(0)
    return (
        kwh(sum((site.site_capacity_kwh for site in sites), nothing)),
        kwh(sum((site.energy_charged_kwh for site in sites), nothing)),
        kwh(sum((site.energy_discharged_kwh for site in sites), nothing)),
        aud(sum((site.site_revenue_before_fees for site in sites), nothing)),
        aud(report.totals.vpp_daily_fees),
        aud(report.totals.site_total_revenue_after_fees),
    )


def _parts(source: Source) -> dict[str, Decimal] | None:
    """Return what the sites' amounts before fees are made of, all together, in AUD."""
    if source.detail is None:
        return None
    parts = source.detail.parts.values()
    own = round(sum((of_site["own_cents"] for of_site in parts), Decimal(0)) / 100, 2)
    allotted = Decimal(sum(of_site["allotted_cents"] for of_site in parts)) / 100
    due = Decimal(sum(of_site["fee_due_cents"] for of_site in parts)) / 100
    return {"own": own, "pool": allotted - own, "shared": allotted, "fees_due": due}


def _rejected(source: Source) -> list[tuple[str, str]]:
    """Return how many rows of which site were rejected."""
    by_site = source.run.rejected_by_site if source.run else {}
    return [
        (nmi, count(rows, "row")) for nmi, rows in by_site.items() if nmi in source.report.sites
    ]


def _unassigned(source: Source) -> list[UnassignedSite]:
    """Return the sites that had events on days on which they were in no VPP."""
    found = source.run.unassigned if source.run else []
    return [site for site in found if site.nmi in source.report.sites]


def _silent(source: Source) -> list[SilentSite]:
    """Return the sites that had events in the month before and have none in this one."""
    missing = source.run.missing if source.run else None
    return [site for site in missing.sites if site.vpp == source.vpp] if missing else []
