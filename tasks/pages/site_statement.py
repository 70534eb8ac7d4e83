"""A site's month as a page, in words that a home owner understands; or all of a VPP in one zip.

The amount comes first, then how it adds up, then how it came about and how to dispute it. No other
site is named. The zip is compressed, so its bytes are the same only with the same zlib; those of
the pages in it always are.
"""

import io
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import polars as pl

from tasks.core.report import SiteStatement
from tasks.core.words import kwh
from tasks.io.rendering import render
from tasks.pages.figures import Step, columns, waterfall
from tasks.pages.payments import statement_number
from tasks.pages.pdf import Format, pdf
from tasks.pages.sources import Source

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can hold
REASONS = {
    "file added": "more data about the month arrived",
    "file replaced": "data about the month were corrected",
    "file removed": "data about the month were taken back",
    "rows corrected": "data that could not be read at first were corrected",
    "registry change": "what is recorded of the VPP's terms, members or batteries was changed",
    "registry change not seen": "a change of the VPP's terms, members or batteries was taken back",
    "rule version": "the rule of settlement was changed",
    "meter data replaced": "a later version of the meter data arrived",
    "price changed": "the market's prices were revised",
}
_DAYS = ("day", "energy_charged_kwh", "energy_discharged_kwh", "shared_revenue_cents")


class SiteStatements:
    """The statements of a report's sites."""

    def __init__(self, source: Source) -> None:
        self.source = source

    @cached_property
    def _sha256(self) -> str:
        return sha256(self.source.report.to_bytes()).hexdigest()

    @cached_property
    def _days(self) -> Mapping[tuple[object, ...], pl.DataFrame]:
        detail = self.source.detail
        return detail.site_days.partition_by("nmi", as_dict=True) if detail else {}

    def page(self, nmi: str, format: Format = "html") -> bytes:
        """Return the page of one site, which must be in the report.

        Raises:
            Refused: it should be a PDF, and typst is not installed.
        """
        values = self._values(nmi)
        return (
            pdf("site_statement.typ", values)
            if format == "pdf"
            else render("pages", "site_statement.html", **values)
        )

    def _values(self, nmi: str) -> dict[str, Any]:
        """Return what a page is filled in with."""
        source = self.source
        site = source.report.sites[nmi]
        part = source.detail.parts[nmi] if source.detail else None
        steps = _steps(site, part)
        return {
            "site": site,
            "vpp": source.report.vpp,
            "month": source.report.month,
            "settlement": source.report.settlement,
            "number": statement_number(source.report, nmi),
            "steps": waterfall(steps),
            "amounts": {step.label: step.amount for step in steps},
            "part": _in_aud(part),
            "days": _energy_days(self._days.get((nmi,))),
            "reasons": _reasons(source),
            "before": _before(source, nmi),
            "rejected": source.run.rejected_by_site.get(nmi, 0) if source.run else 0,
            "missing": getattr(site, "intervals_missing", None),
            "sha256": self._sha256,
        }

    def pages(self, format: Format = "html") -> Iterator[tuple[str, bytes]]:
        """Yield all NMIs with their pages, in NMI order."""
        for nmi in self.source.report.sites:
            yield nmi, self.page(nmi, format)

    def zipped(self, format: Format = "html") -> bytes:
        """Return all pages in one zip, each named by its NMI."""
        buffer = io.BytesIO()
        with ZipFile(buffer, "w", ZIP_DEFLATED, compresslevel=6) as zip_file:
            for nmi, page in self.pages(format):
                entry = ZipInfo(f"{statement_number(self.source.report, nmi)}.{format}", _EPOCH)
                entry.compress_type = ZIP_DEFLATED
                zip_file.writestr(entry, page)
        return buffer.getvalue()


def _steps(site: SiteStatement, part: dict[str, Any] | None) -> list[Step]:
    """Return the lines that add up to what the site receives."""
    fee, after = -site.site_daily_fee, site.site_revenue_after_fees
    last = ("Your balance", "cost") if after < 0 else ("You receive", "sites")
    ending = [Step("Daily fee", fee, "vpp"), Step(last[0], after, last[1], is_sum=True)]
    if part is None:
        before = site.site_revenue_before_fees
        return [Step("Your part of the revenue", before, "total", is_first=True), *ending]
    own = round(part["own_cents"] / 100, 2)
    pool = Decimal(part["allotted_cents"]) / 100 - own
    lines = [
        Step("From your own battery", own, "total", is_first=True),
        Step("Your share of the pool", pool, "total"),
    ]
    if part["lifted_cents"]:
        lifted = Decimal(part["lifted_cents"]) / 100
        lines.append(Step("Loss that your VPP bears", lifted, "gain"))
    return [*lines, *ending]


def _in_aud(part: dict[str, Any] | None) -> dict[str, Decimal] | None:
    if part is None:
        return None
    return {
        "allotted": Decimal(part["allotted_cents"]) / 100,
        "lifted": Decimal(part["lifted_cents"]) / 100,
        "fee_due": Decimal(part["fee_due_cents"]) / 100,
    }


def _energy_days(days: pl.DataFrame | None) -> dict[str, Any] | None:
    """Return the chart and the table of a site's energy by day."""
    if days is None:
        return None
    table = list(days.select(_DAYS).iter_rows())
    chart = columns([(("sites", out), ("vpp", -taken)) for _, taken, out, _ in table])
    return {
        "chart": chart,
        "label": "Energy out and in by day; the table has the numbers",
        "highest": f"{kwh(chart.highest)} kWh",
        "lowest": f"{kwh(chart.lowest)} kWh",
        "table": [(day, taken, out, cents / 100) for day, taken, out, cents in table],
    }


def _reasons(source: Source) -> list[str]:
    """Say why there is another revision, without naming what is another site's."""
    causes = source.difference.causes if source.difference else []
    return list(dict.fromkeys(REASONS[cause.cause] for cause in causes))


def _before(source: Source, nmi: str) -> Any:
    """Return what the site received in the revision before; None if that is the same."""
    changed = source.difference.sites_after_fees if source.difference else {}
    return changed[nmi].before if nmi in changed else None
