"""A VPP's statement: its lines add up to the report, and its sites are in order."""

from decimal import Decimal

from tasks.core.report import Report
from tasks.pages.vpp_statement import meter_sites, ranked_sites, revenue_steps, vpp_steps
from tests.unit.core.reports import NMI, OTHER, report, site


def test_both_sums_are_those_of_the_lines_above_them(reports: list[Report]) -> None:
    for of in reports:
        *lines, sites = revenue_steps(of.totals)
        assert sum(line.amount for line in lines) == sites.amount
        assert sites.amount == of.totals.site_total_revenue_after_fees
        *lines, vpp = vpp_steps(of.totals)
        assert sum(line.amount for line in lines) == vpp.amount == of.totals.vpp_total_revenue


def test_losses_that_the_vpp_bears_are_a_line_where_there_are_any() -> None:
    totals = report().totals
    assert len(revenue_steps(totals)) == len(vpp_steps(totals)) == 4
    bearing = totals.model_copy(update={"vpp_loss_absorbed": Decimal("-2.25")})
    [line] = [step for step in revenue_steps(bearing) if "losses" in step.label]
    assert line.amount == Decimal("2.25")
    [line] = [step for step in vpp_steps(bearing) if "losses" in step.label]
    assert line.amount == Decimal("-2.25")
    nothing = totals.model_copy(update={"vpp_loss_absorbed": Decimal(0)})
    assert len(revenue_steps(nothing)) == 4


def test_sites_are_ranked_by_what_they_receive() -> None:
    third = "6001000003"
    before = Decimal("5")
    of = report(
        site(NMI, "-1"),
        site(OTHER, "2"),
        site(third, "2", site_revenue_before_fees=before, site_daily_fee=Decimal(3)),
    )
    ranked = ranked_sites(of)
    assert [row.nmi for row in ranked] == [third, OTHER, NMI]
    # Bars are thousandths of the most that any site earned before fees.
    assert [getattr(ranked[0], name) for name in ranked[0].__dataclass_fields__][3:] == [
        400,
        600,
        0,
    ]
    assert [getattr(ranked[2], name) for name in ranked[2].__dataclass_fields__][3:] == [0, 0, 200]
    assert ranked_sites(report(site(after_fees="0")))[0].nmi == NMI


def test_meters_with_gaps_come_first_and_events_are_no_meter() -> None:
    nmis = [f"600100000{number}" for number in range(4)]
    of = report(
        site(nmis[0], basis="meter", intervals_expected=48, intervals_missing=0),
        site(nmis[1], basis="both", intervals_expected=48, intervals_missing=5),
        site(nmis[2], basis="events"),
        site(nmis[3]),
    )
    assert [(found.site.nmi, found.missing) for found in meter_sites(of)] == [
        (nmis[1], 5),
        (nmis[0], 0),
    ]
