"""A VPP as large as they come, with its detail, made without S3."""

from datetime import date, timedelta
from decimal import Decimal

import polars as pl

from tasks.core.report import Report
from tasks.pages.results import SITE_DAYS
from tasks.pages.sources import Detail, Source


def big_source(report: Report, sites: int) -> Source:
    """Return a report with many sites, each like the report's first, and their days."""
    first = next(iter(report.sites.values()))
    nmis = [f"{4_100_000_000 + n}" for n in range(sites)]
    many = {
        nmi: first.model_copy(
            update={"nmi": nmi, "address": f"{n} Long Street, Newcastle NSW 2300"}
        )
        for n, nmi in enumerate(nmis)
    }
    days = [date(2025, 9, 1) + timedelta(n) for n in range(30)]
    frame = pl.DataFrame({"nmi": nmis}).join(pl.DataFrame({"day": days}), how="cross")
    numbers = {name: pl.lit(2) for name in SITE_DAYS.schema if name not in {"nmi", "day", "vpp"}}
    site_days = frame.with_columns(vpp=pl.lit("a"), **numbers).cast(pl.Schema(SITE_DAYS.schema))
    part = {
        "own_cents": Decimal("812.25"),
        "allotted_cents": 975,
        "lifted_cents": 0,
        "fee_due_cents": 980,
    }
    day = {
        "discharged_cents": Decimal(800),
        "discharged_below_zero_cents": Decimal(-3),
        "charged_cents": Decimal(-20),
        "charged_below_zero_cents": Decimal(5),
        "energy_charged_kwh": Decimal(30),
        "energy_discharged_kwh": Decimal(40),
    }
    return Source(
        report.model_copy(update={"sites": many}),
        "runs/2025-09/20251002T060000Z-1.json",
        None,
        None,
        Detail([{"day": of, **day} for of in days], site_days, dict.fromkeys(nmis, part)),
    )
