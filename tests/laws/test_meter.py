"""Laws of meter data: what the files come to, however they are cut, sent again, or broken."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction
from functools import cache
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core.errors import Unreadable
from tasks.core.month import Month
from tasks.imports.aemo_prices import import_prices
from tasks.imports.nem12 import import_nem12
from tasks.settlement.meter import MeterInputs, read_meter, value_meter
from tests.laws import meter_reference
from tests.laws.meter_files import (
    CREATED,
    DAYS,
    SITES,
    Day,
    as_fraction,
    days,
    load_sites,
    nem12,
    object_files,
    price_files,
)

STORED = datetime(2026, 4, 2, tzinfo=UTC)
quick = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
months = st.sampled_from(list(DAYS))
SiteDay = tuple[str, date, bool]


@contextmanager
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="vpp-test-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@cache
def prices(month: str, seed: int) -> tuple[list[str], pl.DataFrame]:
    """Return price files and what importing them gives."""
    texts = price_files(month, seed)
    found = []
    with folder() as place:
        for number, text in enumerate(texts):
            (place / "prices.csv").write_text(text)
            got = import_prices(place / "prices.csv", f"prices/{number}.csv", number)
            assert got.rejected.is_empty()
            found.append(got.prices)
    return texts, pl.concat(found)


def settle(month: str, texts: list[str], seed: int = 0) -> meter_reference.Result:
    """Import files, each on its own, and settle them."""
    result = meter_reference.Result()
    with folder() as place, duckdb.connect() as connection:
        readings, names = [], []
        for number, text in enumerate(texts):
            path = place / "file.csv"
            path.write_text(text)
            # The import's id says nothing of the order in which files are named.
            name = f"{number * 7919 % 10007:05d}"
            got = import_nem12(path, f"meter-data/{name}.csv", STORED, place / f"{name}.parquet")
            result.rejected += got.rejected.filter(pl.col("record") == "300").height
            readings.append(place / f"{name}.parquet")
            names.append(name)
        (place / "prices").mkdir()
        prices(month, seed)[1].write_parquet(place / "prices" / "p.parquet")
        inputs = MeterInputs(
            Month.parse(month),
            readings,
            object_files(names, names),
            [place / "prices" / "p.parquet"],
            object_files(["p"] * 3, ["p-0", "p-1", "p-2"], [0, 1, 2]),
            place,
        )
        read_meter(connection, inputs)
        load_sites(
            connection,
            pl.DataFrame(
                [
                    (nmi, day, region, None, None, False)
                    for (nmi, day), region in sites(month).items()
                ],
                schema={
                    "nmi": pl.String,
                    "day": pl.Date,
                    "region": pl.String,
                    "charge_suffixes": pl.List(pl.String),
                    "discharge_suffixes": pl.List(pl.String),
                    "is_meter_basis": pl.Boolean,
                },
                orient="row",
            ),
        )
        value_meter(connection, inputs)
        collect(connection, result)
    return result


def sites(month: str) -> dict[tuple[str, date], str]:
    return {(nmi, day): region for nmi, region in SITES.items() for day in DAYS[month]}


def collect(connection: duckdb.DuckDBPyConnection, result: meter_reference.Result) -> None:
    """Read the tables as the reference has them; which object a sum came from is left out."""
    for nmi, day, is_discharge, is_negative, events, kwh, sixths in connection.execute(
        "select nmi, day, is_discharge, is_negative_tariff, sum(events), sum(energy_kwh),"
        " sum(value_sixth_cents) from meter_daily group by all"
    ).fetchall():
        result.daily[nmi, day, is_discharge, is_negative] = (
            int(events),
            as_fraction(kwh),
            as_fraction(sixths) / 6,
        )
    for nmi, day, is_discharge, quality, intervals, kwh in connection.execute(
        "select * from meter_quality"
    ).fetchall():
        result.quality[nmi, day, is_discharge, quality] = (intervals, as_fraction(kwh))
    for nmi, day, expected, missing in connection.execute(
        "select * from meter_completeness"
    ).fetchall():
        result.completeness[nmi, day] = (expected, missing)
    [[result.conflicts]] = connection.execute(
        "select count(*) from reading_conflicts where place = 1"
    ).fetchall()


@st.composite
def months_of_days(draw: st.DrawFn) -> tuple[str, list[Day]]:
    month = draw(months)
    return month, draw(st.lists(days(month), min_size=1, max_size=14))


def cut(rows: list[Day], places: list[int]) -> list[str]:
    """Write each day into the file that it is dealt to."""
    dealt: dict[int, list[Day]] = defaultdict(list)
    for number, row in enumerate(rows):
        dealt[places[number % len(places)]].append(row)
    return [nem12(some) for some in dealt.values()]


deals = st.lists(st.integers(0, 3), min_size=1, max_size=5)


@quick
@given(months_of_days(), deals, st.integers(0, 2))
def test_files_come_to_what_the_reference_says(
    drawn: tuple[str, list[Day]], places: list[int], seed: int
) -> None:
    month, rows = drawn
    texts = cut(rows, places)
    wanted = meter_reference.settle(texts, prices(month, seed)[0], sites(month))
    assert settle(month, texts, seed) == wanted


@settings(quick, max_examples=5)  # of five settlements each
@given(months_of_days(), deals, st.randoms(use_true_random=False))
def test_how_files_are_cut_and_in_which_order_changes_nothing(
    drawn: tuple[str, list[Day]], places: list[int], rng: random.Random
) -> None:
    month, rows = drawn
    whole = settle(month, [nem12(rows)])
    by_day = [nem12([row for row in rows if row.day == day]) for day in DAYS[month]]
    by_nmi = [nem12([row for row in rows if row.nmi == nmi]) for nmi in (*SITES, "6001000009")]
    shuffled = rng.sample(rows, len(rows))
    for texts in (cut(shuffled, places), by_day[::-1], by_nmi, [nem12(rows)] * 2):
        again = settle(month, texts)
        again.rejected = whole.rejected
        assert again == whole


@quick
@given(months_of_days(), st.integers(0, 3))
def test_a_superseded_version_changes_nothing(drawn: tuple[str, list[Day]], seed: int) -> None:
    month, rows = drawn
    rows = [replace(row, surplus=0, quality="A") for row in rows]
    older = [
        replace(row, version="20260301000000", seed=seed, minutes=30, unit="Wh") for row in rows
    ]
    assert settle(month, [nem12(older), nem12(rows)]) == settle(month, [nem12(rows)])


@quick
@given(months_of_days(), st.sampled_from([-40, -1, 1, 48]))
def test_a_wrong_count_never_yields_energy(drawn: tuple[str, list[Day]], surplus: int) -> None:
    month, rows = drawn
    wrong = [replace(row, surplus=surplus, version="20260401000000") for row in rows]
    alone = settle(month, [nem12(wrong)])
    counted = [row for row in rows if row.suffix[0] in "EB"]
    assert (alone.daily, alone.quality, alone.rejected) == ({}, {}, len(counted))
    beside, without = settle(month, [nem12(rows), nem12(wrong)]), settle(month, [nem12(rows)])
    assert beside.rejected == without.rejected + len(counted)
    beside.rejected = without.rejected
    assert beside == without


@quick
@given(months_of_days())
def test_energy_by_quality_adds_up_to_energy(drawn: tuple[str, list[Day]]) -> None:
    month, rows = drawn
    result = settle(month, [nem12(rows)])
    by_sign: dict[SiteDay, tuple[int, Fraction]] = {}
    by_quality: dict[SiteDay, tuple[int, Fraction]] = {}
    for (nmi, day, is_discharge, _), (readings, kwh, _) in result.daily.items():
        before = by_sign.get((nmi, day, is_discharge), (0, Fraction(0)))
        by_sign[nmi, day, is_discharge] = (before[0] + readings, before[1] + kwh)
    for (nmi, day, is_discharge, _), (readings, kwh) in result.quality.items():
        before = by_quality.get((nmi, day, is_discharge), (0, Fraction(0)))
        by_quality[nmi, day, is_discharge] = (before[0] + readings, before[1] + kwh)
    assert by_sign == by_quality
    for (nmi, day), (expected, missing) in result.completeness.items():
        present = [by_sign.get((nmi, day, flow), (0, Fraction(0)))[0] for flow in (False, True)]
        assert expected == sum(present) + missing


# What is put into good files: separators, ends, quotes, other records, numbers at the edge.
SCRAPS = [
    "",
    ",",
    "\n",
    '"',
    "\r",
    "300,",
    "400,",
    "200,",
    "900\n",
    "100,NEM13",
    "-",
    "e5",
    ".",
    "V",
]
SCRAPS += ["9" * 25, "\ufeff", "\u0661", " ", ",,,,", "N", "A", "/", ":", "D,", "I,", "C,", "\xff"]


def mutated(text: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 6)):
        start = rng.randrange(len(text) + 1)
        length = rng.choice([0, 0, 1, 1, 5, 60])
        if rng.random() < 0.3:
            start = max(text.rfind("\n", 0, start), 0) + rng.randint(0, 12)
        part = rng.choice(SCRAPS) if rng.random() < 0.8 else text[rng.randrange(len(text)) :][:40]
        text = text[:start] + part + text[start + length :]
    return text


@pytest.mark.parametrize("seed", range(3))
def test_no_mutation_of_a_meter_file_loses_a_row_or_ends_in_an_error(seed: int) -> None:
    rng = random.Random(seed)
    rows = [
        Day("6001000001", suffix, "M1", unit, 30, day, "20260302120000", quality, number)
        for number, (suffix, unit, quality) in enumerate(
            [("E1", "kWh", "A"), ("B1", "Wh", "V"), ("E1", "MWh", "A refined"), ("Q1", "Wh", "A")]
        )
        for day in DAYS["2026-03"]
    ]
    good = nem12(rows)
    with folder() as place:
        for _ in range(80):
            text = mutated(good, rng)
            (place / "a.csv").write_text(text, newline="")
            try:
                got = import_nem12(place / "a.csv", "a", STORED, place / "a.parquet")
            except Unreadable:
                continue
            rejected = got.rejected.filter(pl.col("record") == "300").height
            assert got.rows == got.imported + sum(got.ignored.values()) + rejected
            found = pl.read_parquet(place / "a.parquet")
            assert found.height == got.imported
            assert found["line"].is_unique().all()
            assert (found["micro_kwh"].list.min().drop_nulls() >= 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_no_mutation_of_a_price_file_loses_a_row_or_ends_in_an_error(seed: int) -> None:
    rng = random.Random(seed)
    good = ["\n".join(text.splitlines()[:40]) + "\n" for text in price_files("2026-03", seed)]
    with folder() as place:
        for _ in range(150):
            text = mutated(rng.choice(good), rng)
            (place / "a.csv").write_text(text, newline="")
            try:
                got = import_prices(place / "a.csv", "a")
            except Unreadable:
                continue
            kept = got.prices.height + got.rejected.height + sum(got.ignored.values())
            assert got.rows == kept


def test_the_reference_by_hand() -> None:
    day = date(2026, 3, 1)
    lines = [
        f"100,NEM12,{CREATED},A,B",
        "200,6001000001,E1B1,1,E1,,M1,Wh,15,",
        f"300,20260301,{','.join(['100'] + ['0'] * 95)},A,,,,",
    ]
    price = ["I,TRADING,PRICE,3,SETTLEMENTDATE,REGIONID,RRP,LASTCHANGED"]
    # The first quarter's prices are 10, 20 and 20: 50/3 AUD/MWh, so 5/3 c/kWh, for 0.1 kWh.
    for number in range(1, 289):
        end = f"2026/03/01 {number // 12:02d}:{number % 12 * 5:02d}:00"
        end = end.replace("01 24:", "02 00:")
        amount = {1: 10, 2: 20, 3: 20}.get(number, 0)
        price.append(f"D,TRADING,PRICE,3,{end},NSW1,{amount},")
    result = meter_reference.settle(
        ["\n".join(lines)], ["\n".join(price)], {("6001000001", day): "NSW1"}
    )
    assert result.daily == {
        ("6001000001", day, False, False): (96, Fraction(1, 10), Fraction(1, 6))
    }
    assert result.completeness == {("6001000001", day): (96, 0)}
