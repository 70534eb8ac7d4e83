"""The laws of a settlement, on the whole path from S3 to report, against the exact reference."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tasks.core.month import Month
from tasks.core.report import Report
from tasks.core.run_record import SettlementFacts
from tasks.publication.published import read_published
from tasks.settlement.settlement import Settlement
from tests.laws import reference
from tests.laws.portfolios import CENT_TOO_MANY, Portfolio, portfolios
from tests.laws.reference import Event
from tests.through_s3 import HEADER, Place, reports_of

pytestmark = pytest.mark.usefixtures("s3_endpoint")

whole_path = settings(
    deadline=None,
    # No shrinking: at a tenth of a second an example it takes longer than reading the example.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    max_examples=40,
    # The S3 server is shared on purpose; each example has a place of its own in it.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def row(event: Event) -> str:
    """Write an event as a line of CSV."""
    return (
        f"{event.nmi},{event.day},{event.event_type},"
        f"{event.energy_kwh:f},{event.tariff_cents_per_kwh:f}"
    )


def placed(portfolio: Portfolio) -> Place:
    """Put a portfolio on S3, its events in one file."""
    place = Place()
    place.record(portfolio.changes)
    place.put("all.csv", map(row, portfolio.events))
    return place


def cents(aud: Decimal) -> int:
    """Read a report's dollars as whole cents."""
    return int((Decimal(str(aud)) * 100).to_integral_exact())


def numbers(report: Report) -> dict[str, Any]:
    """Return what a report says in money and energy, in cents, as the reference says it."""
    money = ("site_revenue_before_fees", "site_daily_fee", "site_revenue_after_fees")
    kwh = ("site_capacity_kwh", "energy_charged_kwh", "energy_discharged_kwh")
    return {
        "name": report.vpp,
        "totals": {
            name: cents(aud) for name, aud in report.totals.model_dump(exclude_none=True).items()
        },
        "sites": {
            nmi: {name: cents(getattr(site, name)) for name in money}
            | {name: float(getattr(site, name)) for name in kwh}
            | {"member_days": site.member_days, "events": site.events}
            for nmi, site in report.sites.items()
        },
    }


def expected(result: reference.VppResult) -> dict[str, Any]:
    """Return the reference's result with energies as the report's JSON numbers."""
    return {
        "name": result["name"],
        "totals": dict(result["totals"]),
        "sites": {
            nmi: {
                name: float(value) if isinstance(value, Decimal) else value
                for name, value in site.items()
            }
            for nmi, site in result["sites"].items()
        },
    }


@whole_path
@example(portfolio=CENT_TOO_MANY)
@given(portfolio=portfolios())
def test_every_cent_is_the_references_and_twice_is_once(portfolio: Portfolio) -> None:
    place = placed(portfolio)
    published = read_published(place.store, Month.parse(portfolio.month))
    settled = place.settle(portfolio.month)
    check_reference(portfolio, settled)
    for report in reports_of(settled):
        check_money_is_conserved(numbers(report))

    first = place.publish_settlement(published, settled)
    before = but_records(place)
    second = place.publish(portfolio.month)
    assert {report.outcome for report in first} <= {"published"}
    assert {report.outcome for report in second} <= {"unchanged"}
    assert but_records(place) == before


def but_records(place: Place) -> dict[str, str]:
    return {key: etag for key, etag in place.objects().items() if not key.startswith("runs/")}


def check_reference(portfolio: Portfolio, settled: Settlement) -> None:
    """Check that a settlement says what the reference says, and has every event of the month."""
    wanted = reference.settle(portfolio.changes, portfolio.events, portfolio.month)
    assert {r.settlement.vpp_id: numbers(r) for r in reports_of(settled)} == {
        vpp: expected(result) for vpp, result in wanted.vpps.items()
    }
    assert settled.facts.unassigned_events == wanted.unassigned_events
    in_month = [e for e in portfolio.events if f"{e.day:%Y-%m}" == portfolio.month]
    assert settled.facts.settled_events == len(in_month) - wanted.unassigned_events


def check_money_is_conserved(said: dict[str, Any]) -> None:
    """Check what must hold within a report, whatever the reference says."""
    totals, sites = said["totals"], said["sites"].values()
    after = totals["site_total_revenue_after_fees"]
    assert totals["total_revenue"] + totals["vpp_cost_only"] == totals["vpp_total_revenue"] + after
    assert after == sum(site["site_revenue_after_fees"] for site in sites)
    assert totals["vpp_daily_fees"] == sum(site["site_daily_fee"] for site in sites)
    assert sum(site["site_revenue_before_fees"] for site in sites) == (
        totals["total_revenue"] - totals["vpp_ad_valorem_fee"] - totals.get("vpp_loss_absorbed", 0)
    )


@settings(whole_path, max_examples=25)
@given(portfolio=portfolios(), data=st.data())
def test_a_vpp_alone_is_settled_as_it_is_among_all(
    portfolio: Portfolio, data: st.DataObject
) -> None:
    place = Place()
    place.record(portfolio.changes)
    spoiled = data.draw(st.integers(0, min(2, len(portfolio.events))))
    rows = [row(event) for event in portfolio.events]
    place.put("all.csv", [*(f"{line}5x" for line in rows[:spoiled]), *rows[spoiled:]])
    check_each_alone(place, portfolio.month)


def check_each_alone(place: Place, month: str) -> None:
    """Check that a VPP's report and the facts of the month are the same without the others."""
    inputs = place.inputs(month)
    whole = place.settle_inputs(inputs)
    for report in whole.reports:
        alone = place.settle_inputs(inputs, (report.vpp_id,))
        assert [draft.to_bytes() for draft in alone.reports] == [report.to_bytes()]
        assert of_month(alone.facts) == of_month(whole.facts)


def of_month(facts: SettlementFacts) -> SettlementFacts:
    """Return the facts without those of the VPPs that are reported on."""
    return facts.model_copy(update={"missing": None, "missing_intervals": []})


@whole_path
@given(portfolio=portfolios(), data=st.data())
def test_order_and_cutting_of_files_change_nothing(
    portfolio: Portfolio, data: st.DataObject
) -> None:
    place = Place()
    place.record(portfolio.changes)
    # With an id each, as equal rows in two files would else be taken for the same event.
    rows = [f"e{number},{row(event)}" for number, event in enumerate(portfolio.events)]
    shuffled = data.draw(st.permutations(rows))
    files = data.draw(st.lists(st.integers(0, 3), min_size=len(shuffled), max_size=len(shuffled)))
    for number in set(files):
        part = [line for line, file in zip(shuffled, files, strict=True) if file == number]
        text = "".join(f"{line}\n" for line in [f"EVENT_ID,{HEADER.strip()}", *part])
        place.store.write(f"events/{number}.csv", text.encode())
    # To the reference it is one file in its own order.
    check_reference(portfolio, place.settle(portfolio.month))


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@settings(whole_path, max_examples=25)
@given(portfolio=portfolios(), data=st.data())
def test_a_past_as_of_gives_the_bytes_it_gave_then(
    portfolio: Portfolio, data: st.DataObject
) -> None:
    known = data.draw(st.integers(0, len(portfolio.changes)))
    place = Place()
    place.put("all.csv", map(row, portfolio.events))
    if known:
        place.record(portfolio.changes[:known], now=NOON)
    then = [report.to_bytes() for report in place.settle(portfolio.month, as_of=NOON).reports]
    if portfolio.changes[known:]:
        place.record(portfolio.changes[known:], now=NOON + timedelta(seconds=1))
    again = [report.to_bytes() for report in place.settle(portfolio.month, as_of=NOON).reports]
    assert again == then
