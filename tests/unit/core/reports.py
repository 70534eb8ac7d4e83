"""A small report, for tests that need one but no settlement."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from tasks.core.report import Report, Settlement, SiteStatement, Terms, Totals

NMI, OTHER = "6001000001", "6001000002"


def site(nmi: str = NMI, after_fees: str = "1.40", **fields: Any) -> SiteStatement:
    """Return a site that pays no fee."""
    statement = SiteStatement(
        nmi=nmi,
        address="1 King St",
        site_capacity_kwh=Decimal("13.5"),
        site_revenue_before_fees=Decimal(after_fees),
        site_daily_fee=Decimal(0),
        site_revenue_after_fees=Decimal(after_fees),
        member_days=30,
        events=2,
        energy_charged_kwh=Decimal(5),
        energy_discharged_kwh=Decimal(3),
    )
    return statement.model_copy(update=fields)


def report(
    *sites: SiteStatement, total: str = "1.75", revision: int = 1, **settlement: Any
) -> Report:
    """Return the report of VPP 'one' for September 2025, with one site unless some are given."""
    rests_on = Settlement(
        revision=revision,
        vpp_id="one",
        terms=[
            Terms(
                first_day=date(2025, 9, 1),
                last_day=date(2025, 9, 30),
                revenue_percentage=Decimal(20),
                daily_fee_aud=Decimal(0),
                charge_events="cost",
                negative_balances="site",
            )
        ],
        inputs=[{"key": "events/a.csv", "etag": "a1", "rows": 2}],
        registry_seq=3,
        rejected_rows=0,
        unassigned_events=0,
    )
    totals = Totals(
        total_revenue=Decimal(total),
        vpp_ad_valorem_fee=Decimal("0.35"),
        vpp_cost_only=Decimal(0),
        vpp_total_revenue=Decimal("0.35"),
        site_total_revenue_after_fees=Decimal("1.40"),
        vpp_daily_fees=Decimal(0),
    )
    return Report(
        vpp="One",
        month="2025-09",
        totals=totals,
        sites={of.nmi: of for of in sites or [site()]},
        settlement=rests_on.model_copy(update=settlement),
    )


def resting_on(kind: str, *files: Mapping[str, Any], **fields: Any) -> Report:
    """Return a report with these files as its `inputs`, `meter_inputs` or `price_inputs`."""
    settlement: dict[str, Any] = {kind: list(files)}
    return report(**settlement, **fields)
