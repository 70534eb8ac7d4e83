"""An explanation adds up to the report, alone and with its neighbours; a bundle names no other.

What an explanation says is added up here from its JSON alone, as its reader would.
"""

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings

from flows.commands.demo import METERED
from tasks.core.month import Month
from tasks.evidence.explanation import (
    Explained,
    Explanation,
    explain,
    explanation_in_words,
)
from tasks.io.registry_segments import read_log
from tests.golden.__main__ import MONTHS, load_demo
from tests.laws.portfolios import CENT_TOO_MANY, Portfolio, portfolios
from tests.laws.recorded import revisions
from tests.laws.test_settlement import placed, whole_path
from tests.through_s3 import Place
from tests.unit.evidence.bundles import check_bundle

pytestmark = pytest.mark.usefixtures("s3_endpoint")


def check_alone(case: dict[str, Any], month: Month) -> None:
    """Add up an explanation from its events, by the rule as the README has it."""
    own = pool_share = fees = Fraction(0)
    for day in case["days"]:
        shared = Fraction(0)
        for event in [*day["events"], *day["intervals"]]:
            value = Fraction(event["energy_kwh"]) * Fraction(event["tariff_cents_per_kwh"])
            is_discharge = event["event_type"] == "Discharge"
            sign = 1 if is_discharge or day["charge_events"] == "revenue" else -1
            assert Fraction(event["value_cents"]) == sign * value
            assert event["is_cost_only"] == (is_discharge and value < 0)
            shared += 0 if event["is_cost_only"] else sign * value
        assert Fraction(day["shared_cents"]) == shared
        kept = 1 - Fraction(day["revenue_percentage"]) / 100
        capacity = Fraction(day["vpp_capacity_kwh"])
        own += shared * kept * (Fraction(4, 5) if capacity else 1)
        if capacity:
            pool = Fraction(day["vpp_cents"]) * kept / 5
            assert Fraction(day["pool_cents"]) == pool
            pool_share += pool * Fraction(day["site_capacity_kwh"]) / capacity
        fees += Fraction(day["daily_fee_aud"]) * 2800 / month.days
    assert Fraction(case["exact_cents"]) == own + pool_share
    cents = (own + pool_share).__floor__() + case["rounding_cents"] + case["loss_lifted_cents"]
    fee = min(max(cents, 0), (fees + Fraction(1, 2)).__floor__())
    assert (case["before_fees_cents"], case["fee_cents"]) == (cents, fee)
    assert case["after_fees_cents"] == cents - fee


def check_together(cases: list[Explanation]) -> None:
    """Check what must hold between the explanations of all sites of a report."""
    by_rank = sorted(cases, key=lambda case: case.rank)
    assert [case.rank for case in by_rank] == list(range(1, len(cases) + 1))
    fractions = [case.exact_cents % 1 for case in by_rank]
    assert fractions == sorted(fractions, reverse=True)
    rounding = [case.rounding_cents for case in by_rank]
    assert rounding == sorted(rounding, reverse=True)
    assert sum(rounding) == (cases[0].cents_handed_out if cases else 0)
    days = [day for case in cases for day in case.days]
    for one in {day.day: day for day in days}.values():
        of_day = [day for day in days if day.day == one.day]
        assert sum(day.shared_cents for day in of_day) == one.vpp_cents
        assert sum(day.site_capacity_kwh for day in of_day) == one.vpp_capacity_kwh
        assert sum(day.to_pool_cents for day in of_day) == one.pool_cents
        assert sum(day.pool_share_cents for day in of_day) == one.pool_cents


def check_report(place: Place, month: str, vpp: str) -> list[Explained]:
    """Check the explanations of all sites of a report, and return them."""
    report = place.report(month, vpp)
    nmis = list(report.sites)
    all_explained = explain(place.store, Month.parse(month), vpp, nmis)
    assert [one.explanation.nmi for one in all_explained] == nmis
    check_together([one.explanation for one in all_explained])
    for case in (one.explanation for one in all_explained):
        text = case.model_dump_json()
        check_alone(json.loads(text), Month.parse(month))
        assert Explanation.model_validate_json(text) == case
        assert case.nmi.encode() in explanation_in_words(case)
        site = report.sites[case.nmi]
        assert case.before_fees_cents == Fraction(str(site.site_revenue_before_fees)) * 100
        assert case.fee_cents == Fraction(str(site.site_daily_fee)) * 100
        assert case.after_fees_cents == Fraction(str(site.site_revenue_after_fees)) * 100
    return all_explained


@settings(whole_path, max_examples=12)
@example(portfolio=CENT_TOO_MANY)
@given(portfolio=portfolios())
def test_every_sites_explanation_adds_up(portfolio: Portfolio) -> None:
    place = placed(portfolio)
    place.publish(portfolio.month)
    for vpp, _ in revisions(place):
        check_report(place, portfolio.month, vpp)


@pytest.fixture(scope="module")
def demo(s3_endpoint: str) -> Place:
    place = Place()
    load_demo(place)
    for month in MONTHS:
        place.publish(month)
    return place


@pytest.mark.parametrize("month", MONTHS)
def test_every_sites_month_of_the_demo_adds_up_and_its_bundle_names_no_other(
    demo: Place, month: str
) -> None:
    sites: dict[str, set[str]] = {}
    for line in read_log(demo.store).splitlines():
        change = json.loads(line)
        if "nmi" in change:
            sites.setdefault(change["nmi"], {change["nmi"]}).add(
                change.get("address", change["nmi"])
            )
    vpps = [version.key for version in demo.store.versions(f"reports/{month}/")]
    for vpp in [key.split("/")[2].removesuffix(".json") for key in vpps if key.count("/") == 2]:
        explained = check_report(demo, month, vpp)
        # A meter has thousands of intervals a month, so only every fourth bundle is looked at.
        for one in explained[:: 4 if month == METERED else 1]:
            nmi = one.explanation.nmi
            check_bundle(one, {name for other in sites if other != nmi for name in sites[other]})
