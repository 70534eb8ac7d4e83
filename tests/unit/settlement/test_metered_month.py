"""A month with meter data, from S3 to report: what is refused, what is said, and why it changed."""

import io
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import duckdb
import pytest

from tasks.core.difference import Difference
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.request import SettlementRequest
from tasks.evidence.dispute import bundle
from tasks.evidence.explanation import explain
from tasks.evidence.tables import put_tables
from tasks.publication.published import read_published
from tasks.settlement.completeness import require_complete
from tasks.settlement.settlement import settle
from tests.through_s3 import Place, reports_of

pytestmark = pytest.mark.usefixtures("s3_endpoint")

MONTH = Month(2026, 3)
NMI, OTHER = "2001000001", "2001000002"  # of SA1
REGISTRY: list[dict[str, Any]] = [
    {"change": "create-vpp", "name": "One", "revenue_percentage": "20"},
    {"change": "create-site", "nmi": NMI, "vpp": "one", "address": "1 King St"},
    {"change": "create-site", "nmi": OTHER, "vpp": "one", "address": "2 King St"},
]


def nem12(
    days: Iterable[int] = range(1, 32),
    suffix: str = "B1",
    values: str = "1",
    quality: str = "A",
    version: str = "20260402120000",
    nmi: str = NMI,
) -> str:
    """Write days of March of a 30-minute meter, the same kWh in each interval."""
    lines = ["100,NEM12,202604010900,MDP,RETAILER", f"200,{nmi},E1B1,1,{suffix},N1,M1,kWh,30,"]
    for day in days:
        cells = ",".join([values] * 48)
        lines.append(f"300,202603{day:02d},{cells},{quality},,,{version},")
    return "\n".join([*lines, "900"]) + "\n"


def prices(
    price: str = "100.00", days: Iterable[int] = range(1, 32), changed: str = "2026/04/01 12:00:00"
) -> str:
    """Write SA1's prices of days of March."""
    lines = ["I,TRADING,PRICE,3,SETTLEMENTDATE,REGIONID,RRP,LASTCHANGED"]
    for day in days:
        for number in range(1, 289):
            end = datetime(2026, 3, day) + timedelta(minutes=5 * number)  # noqa: DTZ001
            lines.append(f"D,TRADING,PRICE,3,{end:%Y/%m/%d %H:%M:%S},SA1,{price},{changed}")
    return "\n".join([*lines, f"C,END OF REPORT,{len(lines) + 1}"]) + "\n"


@pytest.fixture
def place() -> Place:
    place = Place()
    place.record(REGISTRY)
    place.put_text("meter-data/a.csv", nem12())
    place.put_text("prices/a.csv", prices())
    return place


def refusal(place: Place, **request: Any) -> str:
    inputs = place.inputs("2026-03")
    asked = SettlementRequest(inputs.as_of, **({"max_rejected_percent": 5} | request))
    with pytest.raises(Refused) as refused:
        inputs.require_settleable(asked)
        settlement = settle(place.store, inputs, asked)
        require_complete(MONTH, settlement.facts, settlement.reports, asked)
    return str(refused.value)


def test_readings_become_revenue_and_the_report_says_where_from(place: Place) -> None:
    place.publish("2026-03")
    report = place.report("2026-03", "one")
    # 31 days x 48 intervals x 1 kWh x 10 c.
    assert report.totals.total_revenue == Decimal("148.8")
    site, other = report.sites[NMI], report.sites[OTHER]
    assert (site.basis, site.intervals_expected, site.intervals_missing) == ("meter", 1488, 0)
    assert dict(site.energy_by_quality_kwh or {}) == {
        "actual": 1488,
        "substituted": 0,
        "final": 0,
        "estimated": 0,
    }
    assert (site.events, other.basis, other.intervals_missing) == (1488, "events", None)
    rests_on = report.settlement
    assert [(file["key"], file["rows"]) for file in rests_on.meter_inputs or []] == [
        ("meter-data/a.csv", 31)
    ]
    assert [(file["key"], file["rows"]) for file in rests_on.price_inputs or []] == [
        ("prices/a.csv", 31 * 288)
    ]
    assert rests_on.regions == ["SA1"]


def test_a_second_settlement_of_the_same_files_has_the_same_name(place: Place) -> None:
    assert place.inputs("2026-03").digest == place.inputs("2026-03").digest
    before = place.inputs("2026-03").digest
    place.put_text("prices/b.csv", prices(days=range(1, 2)))
    assert place.inputs("2026-03").digest != before


def test_prices_are_nothing_to_a_month_without_meter_data(place: Place) -> None:
    place.store.delete("meter-data/a.csv")
    assert place.inputs("2026-03").price_files.is_empty()


def test_a_missing_price_refuses_whatever_is_allowed(place: Place) -> None:
    place.put_text("prices/a.csv", prices(days=range(1, 31)))
    assert refusal(place, allow_missing=True) == (
        "prices are missing for days with meter readings; upload AEMO's TRADINGPRICE or "
        "PRICE_AND_DEMAND for them: SA1 on 2026-03-31: all intervals"
    )
    place.put_text("prices/a.csv", prices(days=[*range(1, 4), *range(7, 30)]))
    assert refusal(place, allow_missing=True).endswith(
        ": SA1 on 2026-03-04 to 2026-03-06, 2026-03-30 to 2026-03-31: all intervals"
    )


def test_missing_readings_refuse_above_the_limit_and_name_sites_and_days(place: Place) -> None:
    place.put_text("meter-data/a.csv", nem12(range(1, 29)))
    assert refusal(place) == (
        "2026-03 is not settled: of the intervals that a VPP's meters should have, at most 5% may "
        "be missing. one: 144 of 1,488 intervals of meters are missing (2001000001 144 on "
        "2026-03-29 to 2026-03-31). Put the missing meter data into the inbox (meter-data/), or "
        "run settle-month with allow_missing"
    )
    [report] = reports_of(place.settle("2026-03"))
    assert report.sites[NMI].intervals_missing == 144
    # Who allows one thing has read of the other.
    place.record(
        [
            {"change": "create-vpp", "name": "two", "revenue_percentage": "10"},
            {"change": "create-site", "nmi": "2001000009", "vpp": "two", "address": "1 A St"},
        ]
    )
    said = refusal(place)
    assert "no event of two (1 site; nor was there any in 2026-02). Put the missing files" in said
    assert "(events/). Also, of the intervals that a VPP's meters should have, at most 5%" in said


def test_events_and_readings_on_a_day_refuse_until_the_site_says_which_count(place: Place) -> None:
    place.put("events.csv", [f"{NMI},2026-03-{day:02d},Discharge,1,50" for day in (4, 5, 9)])
    assert refusal(place) == (
        "sites have both events and meter readings on the same days, which would count twice: "
        f"{NMI} (one) on 2026-03-04 to 2026-03-05, 2026-03-09. Say with update-site which of them "
        "counts, basis 'events' or 'meter', from which day on; or take the file with the others "
        "out of the inbox"
    )
    first = {"effective_from": "2026-03-01"}
    place.record([{"change": "update-site", "nmi": NMI, "basis": "meter", **first}])
    [report] = reports_of(place.settle("2026-03"))
    assert (report.sites[NMI].basis, report.sites[NMI].events) == ("meter", 1488)
    change = {"change": "update-site", "nmi": NMI, "basis": "events"}
    place.record([change | {"effective_from": "2026-03-09"}])
    settled = place.settle("2026-03")
    site = reports_of(settled)[0].sites[NMI]
    assert (site.basis, site.events, site.intervals_expected) == ("both", 8 * 48 + 1, 8 * 48)
    assert settled.facts.readings is not None
    assert settled.facts.readings.model_dump() == {
        "rows": 31,
        "superseded": 0,
        "settled": 8,
        "unassigned": 0,
        "other": 23,
    }


def test_a_site_whose_basis_is_its_meter_misses_all_of_a_month_without_data(place: Place) -> None:
    change = {"change": "update-site", "nmi": OTHER, "basis": "meter"}
    place.record([change | {"effective_from": "2026-03-01"}])
    assert (
        f"one: 8,928 of 10,416 intervals of meters are missing ({OTHER} 8,928 on 2026-03-01 to "
        "2026-03-31)"
    ) in refusal(place)


def test_readings_of_no_vpp_are_counted_and_listed(place: Place) -> None:
    place.put_text("meter-data/b.csv", nem12(range(1, 3), nmi="2001000009", values="0.5"))
    [unassigned] = place.settle("2026-03").facts.unassigned
    assert unassigned.model_dump() == {
        "nmi": "2001000009",
        "is_known": False,
        "first_day": date(2026, 3, 1),
        "last_day": date(2026, 3, 2),
        "events": 96,
        "energy_kwh": 48.0,
    }


def test_rejected_days_count_in_the_guard_and_in_the_report(place: Place) -> None:
    bad = nem12(range(1, 3), values="-1", nmi=OTHER)
    place.put_text("meter-data/b.csv", bad)
    said = refusal(place)
    assert said.startswith(
        "2026-03 is not settled: 2 of its 33 days of meter data were rejected (6.1%, at most 5% "
        "are allowed): meter-data/b.csv: 2 negative. "
    )
    settled = place.settle("2026-03")
    assert reports_of(settled)[0].settlement.rejected_rows == 2
    assert settled.facts.rejected_by_site == {OTHER: 2}
    [file] = settled.facts.meter_rejected
    assert (file.key, file.reasons) == ("meter-data/b.csv", {"negative": 2})


def test_a_failed_meter_file_refuses_the_month(place: Place) -> None:
    place.put_text("meter-data/b.csv", "100,NEM13,202604010900,MDP,RETAILER\n900\n")
    assert "meter-data/b.csv: " in refusal(place)


def causes(place: Place) -> list[str]:
    """Publish; return the causes of the new revision."""
    published = read_published(place.store, MONTH)
    settlement = place.settle("2026-03")
    reports = place.publish_settlement(published, settlement)
    found = place.store.read(f"reports/2026-03/one/r{reports[0].revision}.diff.json")
    assert found is not None
    return [str(cause) for cause in Difference.model_validate_json(found[0]).causes]


def test_a_revision_says_which_version_and_which_price_changed(place: Place) -> None:
    place.put_text("meter-data/a.csv", nem12(quality="S14"))
    place.publish("2026-03")
    later = nem12(range(2, 4), values="2", version="20260410120000")
    place.put_text("meter-data/b.csv", later)
    assert causes(place) == [
        "file added: meter-data/b.csv (rows 0 -> 2)",
        f"meter data replaced: {NMI}, 2026-03-02 to 2026-03-03 (version 2026-04-02 12:00:00 -> "
        "2026-04-10 12:00:00, S14 -> A)",
    ]
    place.put_text("prices/b.csv", prices("90.00", range(5, 6), "2026/06/01 12:00:00"))
    assert causes(place)[-1] == (
        "price changed: SA1 on 2026-03-05, intervals 1-288 (the first: 100.00 -> 90.00 (-10.00) "
        "AUD/MWh)"
    )
    place.store.delete("meter-data/b.csv")
    assert causes(place)[-1] == (
        f"meter data replaced: {NMI}, 2026-03-02 to 2026-03-03 (version 2026-04-10 12:00:00 -> "
        "2026-04-02 12:00:00, A -> S14)"
    )


def test_an_explanation_goes_down_to_the_interval(place: Place) -> None:
    place.publish("2026-03")
    [explained] = explain(place.store, MONTH, "one", [NMI])
    day = explained.explanation.days[0]
    assert len(day.intervals) == 48
    assert day.intervals[-1].model_dump(mode="json") == {
        "file": "meter-data/a.csv",
        "member": "",
        "line": 3,
        "suffix": "B1",
        "serial": "M1",
        "number": 48,
        "ends": "2026-03-02T00:00:00",
        "event_type": "Discharge",
        "energy_kwh": "1",
        "quality": "A",
        "tariff_cents_per_kwh": "10",
        "price_files": ["prices/a.csv"],
        "value_cents": "10",
        "is_cost_only": False,
    }


def test_a_bundle_has_the_readings_and_names_no_other_site(place: Place) -> None:
    place.store.delete("meter-data/a.csv")
    place.put_text(f"meter-data/{OTHER}.csv", nem12() + nem12(nmi=OTHER))
    place.publish("2026-03")
    [explained] = explain(place.store, MONTH, "one", [NMI])
    with ZipFile(io.BytesIO(bundle(explained))) as zip_file:
        files = {name: zip_file.read(name).decode() for name in zip_file.namelist()}
    assert "events.csv" not in files
    header, first, *others = files["readings.csv"].splitlines()
    assert header.startswith("nmi,day,interval,interval_end,event_type,suffix,serial,energy_kwh,")
    assert first == (
        f"{NMI},2026-03-01,1,2026-03-01 00:30,Discharge,B1,M1,1,A,10,10,false,"
        "file 1 (its name is another site's),,3,prices/a.csv"
    )
    assert len(others) == 1487
    assert [name for name, text in files.items() if OTHER in text] == []
    assert "`readings.csv` has all 1488 intervals of the meter" in files["HOW-TO-CHECK.md"]


def test_month_tables_have_readings_and_prices_and_no_file_of_this_machine(
    place: Place, tmp_path: Path
) -> None:
    place.publish("2026-03")
    found = place.store.read(put_tables(place.store, MONTH))
    assert found is not None
    path = tmp_path / "month.duckdb"
    path.write_bytes(found[0])
    with duckdb.connect(str(path), read_only=True) as connection:
        readings = connection.execute(
            "select count(*), sum(list_sum(micro_kwh)) from readings where nmi = $nmi",
            {"nmi": NMI},
        ).fetchall()
        [[prices]] = connection.execute("select count(*) from prices").fetchall()
        columns = connection.execute(
            "select table_name from information_schema.columns where column_name = 'filename'"
        ).fetchall()
    assert (readings, prices, columns) == ([(31, 31 * 48 * 10**6)], 31 * 288, [])


def test_a_month_beyond_what_can_be_computed_is_refused_and_names_the_site(place: Place) -> None:
    rows = [f"{OTHER},2026-03-01,Discharge,999999999,999999"] * 200
    place.put("events.csv", rows)
    assert refusal(place) == (
        "energy or tariff: the events of one are worth more than 70 trillion AUD, those of its "
        f"site {OTHER} alone 1,999,997,998,000,002 AUD. Correct their units: energy is in kWh, a "
        "tariff in cents per kWh"
    )


@pytest.mark.parametrize(
    ("worths", "cents"),
    [
        (("0.5",), 1),  # halves go away from zero
        (("0.499999",), 0),
        (("-0.5",), -1),
        (("-0.499999",), 0),
        (("1.499999", "-0.999999"), 1),
        (("999999999.5",), 10**9),
    ],
)
def test_sixths_are_rounded_to_a_cent_halves_away_from_zero(
    worths: tuple[str, ...], cents: int
) -> None:
    place = Place()
    place.record(REGISTRY)
    kinds = ["Charge" if worth.startswith("-") else "Discharge" for worth in worths]
    place.put(
        "events.csv",
        [
            f"{NMI},2026-03-01,{kind},{worth.lstrip('-')},1"
            for kind, worth in zip(kinds, worths, strict=True)
        ],
    )
    [report] = reports_of(place.settle("2026-03"))
    assert report.totals.total_revenue == Decimal(cents) / 100


def test_a_replaced_file_without_other_readings_or_prices_revises_nothing(place: Place) -> None:
    place.publish("2026-03")
    before = place.report("2026-03", "one")
    unknown = nem12(nmi="2001000009").split("\n", 1)[1]  # of a site in no VPP
    place.put_text("meter-data/a.csv", nem12().removesuffix("900\n") + unknown)
    place.put_text("prices/a.csv", prices().replace("12:00:00\nC,", "12:00:01\nC,"))
    [report] = place.publish("2026-03")
    assert (report.outcome, report.revision) == ("unchanged", 1)
    assert place.report("2026-03", "one") == before

    # Another quality of the same values is something else that the site was settled from.
    place.put_text("meter-data/a.csv", nem12(quality="F14"))
    [report] = place.publish("2026-03")
    assert (report.outcome, report.revision) == ("published", 2)
