"""The reference itself: examples worked by hand, and the identity that must hold for any input."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings

from tests.laws.portfolios import CENT_TOO_MANY, Portfolio, add_battery, change, portfolios
from tests.laws.reference import (
    Event,
    EventType,
    Settlement,
    VppResult,
    days_of,
    largest_remainder,
    round_half_away,
    settle,
)

SEPTEMBER = "2025-09"


def vpp(vpp_id: str, percentage: str, **terms: Any) -> dict[str, Any]:
    """Write the creation of a VPP from the beginning."""
    name = vpp_id.upper()
    return change("create-vpp", None, vpp=vpp_id, name=name, revenue_percentage=percentage, **terms)


def site(nmi: str, vpp_id: str, *capacities_kwh: str) -> list[dict[str, Any]]:
    """Write the creation of a site and its batteries from the beginning."""
    creation = change("create-site", None, nmi=nmi, vpp=vpp_id, address="426 King St")
    batteries = [add_battery(f"{nmi}-{n}", nmi, c, None) for n, c in enumerate(capacities_kwh)]
    return [creation, *batteries]


def event(nmi: str, day: int, event_type: EventType, energy: str, tariff: str) -> Event:
    """Write an event of September 2025."""
    return Event(nmi, date(2025, 9, day), event_type, Decimal(energy), Decimal(tariff))


def column(result: VppResult, key: str) -> list[Any]:
    """Read one figure of all sites, in NMI order."""
    figures: list[dict[str, Any]] = [dict(site) for site in result["sites"].values()]
    return [figure[key] for figure in figures]


def money(result: VppResult) -> tuple[list[int], list[int], list[int]]:
    """Read the sites' amounts before fees, fees, and amounts after fees."""
    return (
        column(result, "site_revenue_before_fees"),
        column(result, "site_daily_fee"),
        column(result, "site_revenue_after_fees"),
    )


def test_example_a_one_site_whose_fee_takes_all() -> None:
    changes = [vpp("a", "20", daily_fee_aud="0.30"), *site("9876543210", "a", "13.5")]
    events = [
        event("9876543210", 1, "Charge", "5", "-20"),
        event("9876543210", 2, "Discharge", "3", "25"),
    ]
    assert settle(changes, events, SEPTEMBER) == Settlement(
        vpps={
            "a": {
                "name": "A",
                "totals": {
                    "total_revenue": 175,
                    "vpp_ad_valorem_fee": 35,
                    "vpp_cost_only": 0,
                    "vpp_total_revenue": 175,
                    "site_total_revenue_after_fees": 0,
                    "vpp_daily_fees": 140,
                },
                "sites": {
                    "9876543210": {
                        "site_capacity_kwh": Decimal("13.5"),
                        "site_revenue_before_fees": 140,
                        "site_daily_fee": 140,
                        "site_revenue_after_fees": 0,
                        "member_days": 30,
                        "events": 2,
                        "energy_charged_kwh": Decimal("5"),
                        "energy_discharged_kwh": Decimal("3"),
                    }
                },
            }
        },
        unassigned_events=0,
    )


def example_b(**terms: Any) -> VppResult:
    """Settle example B, under other terms where given."""
    changes = [
        vpp("b", "10", daily_fee_aud="0.50", **terms),
        *site("6001000001", "b", "5"),
        *site("6001000002", "b", "10"),
        *site("6001000003", "b", "13.5"),
    ]
    events = [
        event("6001000001", 1, "Discharge", "10", "500"),
        event("6001000001", 1, "Charge", "10", "12"),
        event("6001000002", 3, "Discharge", "5", "-5"),
        event("6001000002", 4, "Charge", "8", "11"),
        event("6001000003", 9, "Charge", "7", "-3.5"),
    ]
    return settle(changes, events, SEPTEMBER).vpps["b"]


def test_example_b_pool_and_cost_only() -> None:
    result = example_b()
    assert result["totals"] == {
        "total_revenue": 4817,
        "vpp_ad_valorem_fee": 482,
        "vpp_cost_only": -25,
        "vpp_total_revenue": 2526,
        "site_total_revenue_after_fees": 2266,
        "vpp_daily_fees": 2069,
    }
    assert money(result) == ([3666, 241, 428], [1400, 241, 428], [2266, 0, 0])
    assert column(result, "energy_discharged_kwh") == [Decimal(10), Decimal(5), Decimal(0)]


def test_example_b_with_charges_as_revenue() -> None:
    totals = example_b(charge_events="revenue")["totals"]
    assert totals["total_revenue"] == 5000 + 120 + 88 - 24  # exactly 5183.5
    assert totals["vpp_cost_only"] == -25


def test_example_c_terms_members_and_capacity_change_inside_the_month() -> None:
    changes = [
        vpp("c", "20", daily_fee_aud="0.30"),
        vpp("d", "10"),
        *site("6002000001", "c", "13.5"),
        *site("6002000002", "c", "10"),
        *site("6002000003", "d", "9.8"),
        change(
            "update-vpp", date(2025, 9, 11), vpp="c", revenue_percentage="25", daily_fee_aud="0.40"
        ),
        change("assign-site", date(2025, 9, 16), nmi="6002000001", vpp="d"),
        add_battery("S2", "6002000002", "6.5", date(2025, 9, 21)),
    ]
    events = [
        event("6002000001", 5, "Discharge", "12.345", "41.7"),
        event("6002000001", 15, "Discharge", "8.1", "33.3"),
        event("6002000001", 16, "Discharge", "9.9", "55.5"),
        event("6002000002", 10, "Discharge", "20", "61.25"),
        event("6002000002", 22, "Discharge", "17.77", "72.01"),
        event("6002000003", 22, "Discharge", "3.333", "99.99"),
    ]
    result = settle(changes, events, SEPTEMBER)
    c, d = result.vpps["c"], result.vpps["d"]
    assert c["totals"] == {
        "total_revenue": 3289,
        "vpp_ad_valorem_fee": 735,
        "vpp_cost_only": 0,
        "vpp_total_revenue": 2229,
        "site_total_revenue_after_fees": 1060,
        "vpp_daily_fees": 1494,
    }
    assert money(c) == ([675, 1879], [467, 1027], [208, 852])
    assert column(c, "member_days") == [15, 30]
    assert column(c, "site_capacity_kwh") == [Decimal("13.5"), Decimal("16.5")]
    assert d["totals"] == {
        "total_revenue": 883,
        "vpp_ad_valorem_fee": 88,
        "vpp_cost_only": 0,
        "vpp_total_revenue": 88,
        "site_total_revenue_after_fees": 795,
        "vpp_daily_fees": 0,
    }
    assert money(d) == ([488, 307], [0, 0], [488, 307])
    assert column(d, "events") == [1, 1]


@pytest.mark.parametrize(
    ("negative_balances", "before", "vpp_total"), [("site", [-80, 180], 0), ("vpp", [0, 180], -80)]
)
def test_the_vpp_bears_a_negative_balance_if_its_terms_say_so(
    negative_balances: str, before: list[int], vpp_total: int
) -> None:
    changes = [
        vpp("v", "0", negative_balances=negative_balances),
        *site("6001000001", "v", "0"),
        *site("6001000002", "v", "0"),
    ]
    events = [
        event("6001000001", 1, "Charge", "8", "10"),
        event("6001000002", 1, "Discharge", "18", "10"),
    ]
    result = settle(changes, events, SEPTEMBER).vpps["v"]
    assert money(result)[0] == before
    assert result["totals"]["vpp_total_revenue"] == vpp_total
    assert result["totals"].get("vpp_loss_absorbed") == (
        -80 if negative_balances == "vpp" else None
    )


@pytest.mark.parametrize(
    ("exact", "total", "allotted"),
    [
        ({"2": "1/3", "1": "1/3", "3": "1/3"}, 1, {"1": 1, "2": 0, "3": 0}),
        ({"2": "1/3", "1": "1/3", "3": "4/3"}, 2, {"1": 1, "2": 0, "3": 1}),
        ({"2": "1/2", "1": "1/4", "3": "1/4"}, 2, {"1": 1, "2": 1, "3": 0}),
        ({"2": "-1/3", "1": "-2/3"}, -1, {"1": -1, "2": 0}),
        ({"2": "5", "1": "5"}, 9, {"1": 5, "2": 4}),
        ({"2": "23/4", "1": "21/4"}, 9, {"1": 4, "2": 5}),
        ({}, 0, {}),
    ],
)
def test_largest_remainder(exact: dict[str, str], total: int, allotted: dict[str, int]) -> None:
    assert largest_remainder({k: Fraction(v) for k, v in exact.items()}, total) == allotted


def test_a_cent_too_many_is_taken_from_the_larger_nmi() -> None:
    result = settle(*CENT_TOO_MANY).vpps["vpp-one"]
    assert result["totals"]["total_revenue"] == -1
    assert result["totals"]["vpp_ad_valorem_fee"] == 1
    assert money(result)[0] == [-1, -1]


@pytest.mark.parametrize(
    ("value", "cents"), [("1/2", 1), ("-1/2", -1), ("3/2", 2), ("-5/2", -3), ("49/100", 0)]
)
def test_round_half_away(value: str, cents: int) -> None:
    assert round_half_away(Fraction(value)) == cents


def test_each_attribute_takes_its_latest_effective_change_and_of_those_the_last_recorded() -> None:
    changes = [
        vpp("v", "20", daily_fee_aud="1"),
        *site("6001000001", "v", "10"),
        change("update-vpp", date(2025, 9, 11), vpp="v", revenue_percentage="30"),
        change("update-vpp", date(2025, 9, 11), vpp="v", revenue_percentage="40"),
        change("update-vpp", date(2025, 9, 5), vpp="v", revenue_percentage="50", name="W"),
        change("update-vpp", date(2025, 9, 16), vpp="v", daily_fee_aud=None),
    ]
    events = [event("6001000001", day, "Discharge", "1", "1000") for day in (4, 10, 11, 30)]
    result = settle(changes, events, SEPTEMBER).vpps["v"]
    assert result["name"] == "W"
    assert result["totals"]["vpp_ad_valorem_fee"] == 200 + 500 + 400 + 400
    assert money(result)[1] == [1400]


def test_a_month_is_28_fees_and_events_of_no_member_are_unassigned() -> None:
    changes = [
        vpp("v", "0", daily_fee_aud="1"),
        change("create-vpp", date(2025, 10, 1), vpp="w", name="W", revenue_percentage="0"),
        *site("6001000001", "v", "10"),
        change("assign-site", date(2025, 9, 16), nmi="6001000001", vpp=None),
        change("remove-battery", date(2025, 9, 15), serial="6001000001-0"),
    ]
    events = [
        event("6001000001", 15, "Discharge", "1", "9999"),
        event("6001000001", 16, "Discharge", "1", "9999"),
        event("6009000001", 1, "Charge", "1", "1"),
        Event("6009000001", date(2025, 10, 1), "Charge", Decimal(1), Decimal(1)),
    ]
    result = settle(changes, events, SEPTEMBER)
    assert result.unassigned_events == 2
    assert list(result.vpps) == ["v"]
    assert money(result.vpps["v"]) == ([9999], [1400], [8599])
    assert column(result.vpps["v"], "site_capacity_kwh") == [Decimal(0)]


def test_a_member_of_a_vpp_that_does_not_exist_yet_is_refused() -> None:
    late = change("create-vpp", date(2025, 9, 2), vpp="v", name="V", revenue_percentage="0")
    with pytest.raises(ValueError, match="before it exists"):
        settle([late, *site("6001000001", "v")], [], SEPTEMBER)


@given(portfolio=portfolios())
@example(portfolio=CENT_TOO_MANY)
@settings(deadline=None)
def test_no_cent_is_made_or_lost(portfolio: Portfolio) -> None:
    for result in settle(*portfolio).vpps.values():
        totals = result["totals"]
        before, fees, after = money(result)
        absorbed = totals.get("vpp_loss_absorbed", 0)
        assert (
            totals["total_revenue"] + totals["vpp_cost_only"]
            == totals["vpp_total_revenue"] + totals["site_total_revenue_after_fees"]
        )
        assert sum(before) == totals["total_revenue"] - totals["vpp_ad_valorem_fee"] - absorbed
        assert sum(fees) == totals["vpp_daily_fees"]
        assert sum(after) == totals["site_total_revenue_after_fees"]
        assert all(0 <= fee <= max(amount, 0) for amount, fee in zip(before, fees, strict=True))
        assert absorbed <= 0


@given(portfolio=portfolios())
@example(portfolio=CENT_TOO_MANY)
@settings(deadline=None)
def test_every_event_of_the_month_is_one_site_s_or_unassigned(portfolio: Portfolio) -> None:
    days = days_of(portfolio.month)
    result = settle(*portfolio)
    counted = sum(sum(column(v, "events")) for v in result.vpps.values())
    in_month = [e for e in portfolio.events if e.day in days]
    assert counted + result.unassigned_events == len(in_month)
    for vpp_result in result.vpps.values():
        assert list(vpp_result["sites"]) == sorted(vpp_result["sites"])
        assert all(1 <= n <= len(days) for n in column(vpp_result, "member_days"))


def test_a_change_taken_back_is_as_if_it_had_never_been_made() -> None:
    changes = [
        vpp("v", "20"),
        *site("6001000001", "v", "10"),
        change("update-vpp", date(2025, 9, 1), vpp="v", revenue_percentage="50"),
        change("assign-site", date(2025, 9, 11), nmi="6001000001", vpp=None),
        change("withdraw-change", None, withdraws=5, reason="it stayed"),
    ]
    events = [event("6001000001", 20, "Discharge", "1", "1000")]
    result = settle(changes, events, SEPTEMBER)
    assert (result.unassigned_events, column(result.vpps["v"], "member_days")) == (0, [30])
    assert result.vpps["v"]["totals"]["vpp_ad_valorem_fee"] == 500
