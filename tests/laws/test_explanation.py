"""An explanation adds up to the report, alone and with its neighbours; a bundle names no other.

What an explanation says is added up here from its JSON alone, as its reader would.
"""

import io
import json
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zipfile import ZipFile

import polars as pl
import pytest
from hypothesis import example, given, settings

from flows.commands.demo import METERED
from tasks.core.errors import CheckFailed, Refused
from tasks.core.month import Month
from tasks.evidence.dispute import bundle, put_bundle
from tasks.evidence.explanation import (
    Explained,
    Explanation,
    exact,
    explain,
    explanation_in_words,
    shown,
)
from tasks.io.registry_log import read_log
from tests.golden.__main__ import MONTHS, load_demo
from tests.laws.portfolios import CENT_TOO_MANY, Portfolio, portfolios
from tests.laws.recorded import revisions
from tests.laws.test_settlement import placed, whole_path
from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("s3_endpoint")

MONTH = Month(2025, 9)
ONE, TWO = "6001000001", "6001000002"


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
        check_alone(json.loads(case.model_dump_json()), Month.parse(month))
        assert Explanation.model_validate_json(case.model_dump_json()) == case
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


def contents(data: bytes) -> dict[str, str]:
    with ZipFile(io.BytesIO(data)) as zip_file:
        return {name: zip_file.read(name).decode() for name in zip_file.namelist()}


def check_bundle(one: Explained, others: set[str]) -> None:
    data = bundle(one)
    assert bundle(one) == data
    nmi, files = one.explanation.nmi, contents(data)
    for name, text in files.items():
        assert nmi in text or name == "run.json", name
        found = [other for other in others if other.casefold() in text.casefold()]
        assert found == [], name
    tables = [files[name] for name in ("events.csv", "readings.csv") if name in files]
    rows = sum(len(table.splitlines()) - 1 for table in tables)
    assert rows == one.report.sites[nmi].events
    assert list(json.loads(files["report.json"])["sites"]) == [nmi]
    assert json.loads(files["run.json"])["key"] == one.explanation.run_record


KING, QUEEN = "426 King St", "9 Queen St"
REGISTRY: list[dict[str, Any]] = [
    {"change": "create-vpp", "name": "One", "revenue_percentage": "20", "daily_fee_aud": "0.30"},
    {"change": "create-vpp", "name": "Two", "revenue_percentage": "10"},
    {"change": "create-site", "nmi": ONE, "vpp": "one", "address": KING},
    {"change": "create-site", "nmi": TWO, "vpp": "one", "address": QUEEN},
    *(
        {
            "change": "add-battery",
            "nmi": nmi,
            "serial": serial,
            "manufacturer": "m",
            "capacity_kwh": capacity,
        }
        for nmi, serial, capacity in ((ONE, "moving", "5"), (TWO, "staying", "10"))
    ),
    {"change": "remove-battery", "serial": "moving", "effective_from": "2025-09-20"},
    {
        "change": "add-battery",
        "nmi": TWO,
        "serial": "moving",
        "manufacturer": "m",
        "capacity_kwh": "5",
        "effective_from": "2025-09-21",
    },
    {"change": "assign-site", "nmi": ONE, "vpp": None, "effective_from": "2025-09-29"},
]
EVENTS = [
    f"{ONE},2025-09-01,Discharge,3,25",
    f"{ONE},2025-09-01,Charge,1,10",
    f"{ONE},2025-09-02,Discharge,2,-5",
    f"{ONE},2025-09-30,Discharge,2,50",
    f"{TWO},2025-09-01,Discharge,7,30",
    "6001000009,2025-09-01,Discharge,7,30",
]


@pytest.fixture
def place() -> Place:
    place = Place()
    place.record(REGISTRY)
    place.put(f"{TWO}.csv", EVENTS[1:])
    place.put("2025-09/all.csv", EVENTS[:1])
    place.publish("2025-09")
    return place


def test_a_bundle_says_what_there_is_to_say(place: Place) -> None:
    [one] = explain(place.store, MONTH, "one", [ONE])
    check_bundle(one, {TWO, QUEEN, "6001000009"})
    files = contents(bundle(one))
    assert next(iter(files)) == "HOW-TO-CHECK.md"
    assert files["events.csv"].splitlines() == [
        "nmi,day,event_type,energy_kwh,tariff_cents_per_kwh,value_cents,is_cost_only,file,line",
        f"{ONE},2025-09-01,Discharge,3,25,75,false,events/2025-09/all.csv,2",
        f"{ONE},2025-09-01,Charge,1,10,-10,false,file 2 (its name is another site's),2",
        f"{ONE},2025-09-02,Discharge,2,-5,-10,true,file 2 (its name is another site's),3",
    ]
    history = [json.loads(line) for line in files["registry.jsonl"].splitlines()]
    assert [(c["seq"], c["change"]) for c in history] == [
        (1, "create-vpp"),
        (3, "create-site"),
        (5, "add-battery"),
        (7, "remove-battery"),
        (9, "assign-site"),
    ]
    # 65 cents, of which 52 are left: 41.6 are its own; of a pool of 20% of 80% of 275 a third.
    guide = files["HOW-TO-CHECK.md"]
    for said in (
        "A site of One, on 28 days from 2025-09-01 to 2025-09-28",
        "`events.csv` has all 3 of them",
        "1 more are on days on which the site was no member",
        "    Discharge  3 kWh x 25 = 75\n    Charge     1 kWh x 10 = -10\n",
        "Shared together: 65. The VPP takes 20%: 13.",
        "the site's own: 41.6; 20% went into the day's pool: 10.4.",
        "so 44 x 5 / 15 = 14.6667.",
        "    exactly            844/15\n",
        "The whole cents of it are 56.",
        "28.0000 a day, 784.0000 for 28 days, rounded 784.",
        "    56 - 56 = 0\n",
    ):
        assert said in guide, said


def test_a_bundle_is_put_once_and_for_all(place: Place) -> None:
    [one] = explain(place.store, MONTH, "one", [ONE])
    key = put_bundle(place.store, one)
    assert key == f"disputes/2025-09/one/{ONE}-r1.zip"
    found = place.store.read(key)
    assert found is not None
    # Later files and changes, the inbox emptied: the report stands, and so does its explanation.
    for version in place.store.versions("events/"):
        place.store.delete(version.key)
    place.put("later.csv", EVENTS[2:])
    place.import_new()
    place.record([{"change": "update-site", "nmi": ONE, "address": "1 New St"}])
    [again] = explain(place.store, MONTH, "one", [ONE])
    assert bundle(again) == found[0]


def test_what_cannot_be_explained_is_refused(place: Place) -> None:
    with pytest.raises(Refused, match="two in 2025-08 is not published"):
        explain(place.store, MONTH.previous, "two", [ONE])
    with pytest.raises(Refused, match=f"site {ONE} was no member of Two in 2025-09"):
        explain(place.store, MONTH, "two", [ONE])
    key = "reports/2025-09/one.json"
    found = place.store.read(key)
    assert found is not None
    place.store.write(key, found[0].replace(b"King", b"Ring"))
    with pytest.raises(Refused, match=r"one\.json is not what its inputs give"):
        explain(place.store, MONTH, "one", [ONE])


def test_events_that_are_not_those_of_the_days_are_no_explanation(place: Place) -> None:

    for version in place.store.versions("imports/"):
        if version.key.endswith("events.parquet"):
            found = place.store.read(version.key)
            assert found is not None
            events = pl.read_parquet(io.BytesIO(found[0]))
            damaged = io.BytesIO()
            events.with_columns(pl.col("energy_kwh") + Decimal("0.000001")).cast(
                events.schema
            ).write_parquet(damaged)
            place.store.write(version.key, damaged.getvalue())
    with pytest.raises(CheckFailed, match="on 2025-09-01 the events' shared_cents are"):
        explain(place.store, MONTH, "one", [ONE])


@pytest.mark.parametrize(
    ("amount", "written", "seen"),
    [
        (Fraction(0), "0", "0.0000"),
        (Fraction(-1, 3), "-1/3", "-0.3333"),
        (Fraction(5, 4), "1.25", "1.2500"),
        (Fraction(-1, 10**12), "-0.000000000001", "0.0000"),
        (Fraction(123456789012345678901234567890123, 10), "12345678901234567890123456789012.3", ""),
    ],
)
def test_numbers_are_written_without_loss(amount: Fraction, written: str, seen: str) -> None:
    assert exact(amount) == written
    assert Fraction(written) == amount
    assert not seen or shown(amount) == seen
