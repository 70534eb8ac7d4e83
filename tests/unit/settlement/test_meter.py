"""From readings and prices to daily sums: which versions and prices count, and what is refused."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from polars._typing import PolarsDataType

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.imports.aemo_prices import PRICES_SCHEMA
from tasks.imports.nem12 import READINGS_SCHEMA
from tasks.io.warehouse import rows
from tasks.settlement.meter import (
    MeterInputs,
    add_unassigned_readings,
    first_conflicts,
    read_meter,
    stand_in_prices,
    value_meter,
)
from tests.laws.meter_files import load_sites, object_files

NMI = "6001000001"
DAY = date(2026, 3, 1)
FIRST, SECOND = datetime.fromisoformat("2026-03-02"), datetime.fromisoformat("2026-03-03")
SITES_SCHEMA: dict[str, PolarsDataType] = {
    "nmi": pl.String,
    "day": pl.Date,
    "region": pl.String,
    "charge_suffixes": pl.List(pl.String),
    "discharge_suffixes": pl.List(pl.String),
    "is_meter_basis": pl.Boolean,
}

Row = dict[str, Any]


def reading(
    values: Sequence[int | None] | int,
    suffix: str = "B1",
    minutes: int = 30,
    version: datetime = FIRST,
    quality: str = "A",
    **other: Any,
) -> Row:
    """Return a reading in kWh, counted by its letter; one number stands for all intervals."""
    count = 1440 // minutes
    each = [values] * count if isinstance(values, int) else list(values)
    present = sum(value is not None for value in each)
    letters = {"A": "actual", "S": "substituted", "F": "final", "E": "estimated"}
    return {
        "source": 0,
        "line": 3,
        "nmi": NMI,
        "suffix": suffix,
        "register": "1",
        "serial": "M1",
        "day": DAY,
        "interval_minutes": minutes,
        "version": version,
        "quality": quality,
        **dict.fromkeys(letters.values(), 0),
        letters[quality[0]]: present,
        "missing": count - present,
        "micro_kwh": [None if value is None else value * 10**6 for value in each],
        **other,
    }


def prices(
    amounts: Sequence[str] | str = "100",
    kind: str = "TRADINGPRICE",
    region: str = "SA1",
    changed: datetime | None = FIRST,
    minutes: int = 5,
    numbers: Sequence[int] | None = None,
    **other: Any,
) -> list[Row]:
    """Return a day's prices in AUD/MWh, the amounts over and over."""
    each = itertools.cycle([amounts] if isinstance(amounts, str) else amounts)
    return [
        {
            "source": 0,
            "line": number,
            "kind": kind,
            "region": region,
            "day": DAY,
            "number": number,
            "interval_minutes": minutes,
            "price_aud_per_mwh": Decimal(next(each)),
            "last_changed": changed,
            **other,
        }
        for number in numbers or range(1, 1440 // minutes + 1)
    ]


class Settled:
    """A database with all tables."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def daily(self) -> list[tuple[Any, ...]]:
        """Return is_discharge, is_negative_tariff, events, kWh and sixths of a cent."""
        return self.connection.execute(
            "select is_discharge, is_negative_tariff, events, energy_kwh, value_sixth_cents"
            " from meter_daily order by all"
        ).fetchall()

    def quality(self) -> list[tuple[Any, ...]]:
        return self.connection.execute(
            "select is_discharge, quality, intervals, energy_kwh from meter_quality order by all"
        ).fetchall()

    def completeness(self) -> dict[date, tuple[int, int]]:
        found = self.connection.execute("select day, expected, missing from meter_completeness")
        return {day: (expected, missing) for day, expected, missing in found.fetchall()}


Settle = Callable[..., Settled]


@pytest.fixture
def settle(tmp_path: Path) -> Iterator[Settle]:
    """Give what settles groups of rows, each group as an import of its own: r0, r1 ..., p0 ..."""
    opened: list[duckdb.DuckDBPyConnection] = []

    def files(kind: str, groups: list[list[Row]]) -> tuple[list[Path], pl.DataFrame]:
        schema = READINGS_SCHEMA if kind == "r" else PRICES_SCHEMA
        paths = [tmp_path / f"{kind}{number}.parquet" for number in range(len(groups))]
        for path, group in zip(paths, groups, strict=True):
            pl.DataFrame(group, schema=schema).write_parquet(path)
        names = [path.stem for path in paths]
        return paths, object_files(names, names)

    def settled(
        readings: list[list[Row]], offers: list[list[Row]], sites: list[Row] | None = None
    ) -> Settled:
        connection = duckdb.connect()
        opened.append(connection)
        default = [{"nmi": NMI, "day": DAY, "region": "SA1"}]
        inputs = MeterInputs(Month(2026, 3), *files("r", readings), *files("p", offers), tmp_path)
        read_meter(connection, inputs)
        load_sites(connection, pl.DataFrame(sites or default, schema=SITES_SCHEMA))
        value_meter(connection, inputs)
        connection.execute(
            "create table memberships as"
            " select 'a' as vpp, nmi, day as first_day, day as last_day from meter_sites"
        )
        add_unassigned_readings(connection, inputs)
        return Settled(connection)

    yield settled
    for connection in opened:
        connection.close()


def test_worth_is_energy_times_price(settle: Settle) -> None:
    got = settle([[reading(1), reading(2, "E1")]], [prices("123.45")])
    # 48 x 1 kWh x 12.345 c/kWh, six times.
    assert got.daily() == [
        (False, False, 48, Decimal(96), Decimal("7110.72")),
        (True, False, 48, Decimal(48), Decimal("3555.36")),
    ]


@pytest.mark.parametrize(
    ("minutes", "amounts", "sixths"),
    [
        (5, ["1", "-2"], {False: "86.4", True: "-172.8"}),
        # Means of 3: 0 and 1/3 AUD/MWh; zero is not negative.
        (15, ["1", "0", "-1", "2", "-1", "0"], {False: "9.6"}),
        (15, ["-1", "0", "0"], {True: "-19.2"}),
        (30, ["1", "0", "0", "0", "0", "0"], {False: "4.8"}),
        (30, ["0.01", "0", "0", "0", "0", "0"], {False: "0.048"}),
    ],
)
def test_a_longer_interval_takes_the_mean_of_its_prices(
    settle: Settle, minutes: int, amounts: list[str], sixths: dict[bool, str]
) -> None:
    got = settle([[reading(1, minutes=minutes)]], [prices(amounts)])
    assert {is_negative: worth for _, is_negative, _, _, worth in got.daily()} == {
        is_negative: Decimal(worth) for is_negative, worth in sixths.items()
    }


def test_a_shorter_interval_takes_the_price_of_its_half_hour(settle: Settle) -> None:
    values = [0] * 288
    values[5], values[6] = 1, 10  # 00:25 to 00:30, and 00:30 to 00:35
    got = settle([[reading(values, minutes=5)]], [prices(["60", "-30"], minutes=30)])
    assert [(is_negative, worth) for _, is_negative, _, _, worth in got.daily()] == [
        (False, Decimal(36)),
        (True, Decimal(-180)),
    ]


def test_products_beyond_64_bits_are_as_exact(settle: Settle) -> None:
    got = settle([[reading(999_999_999, minutes=5)]], [prices("999999.99999")])
    assert got.daily() == [
        (
            True,
            False,
            288,
            288 * Decimal(999_999_999),
            288 * 6 * Decimal(999_999_999) * Decimal("99999.999999"),
        )
    ]


# --- versions -------------------------------------------------------------------------------------


def test_the_latest_version_replaces_the_whole_day(settle: Settle) -> None:
    old = reading(5, version=FIRST)
    new = reading([1] + [None] * 47, version=SECOND)
    for groups in ([[old, new]], [[new, old]], [[old], [new]], [[new], [old]]):
        [(_, _, events, kwh, _)] = settle(groups, [prices()]).daily()
        assert (events, kwh) == (1, Decimal(1))


def test_a_version_may_have_another_length(settle: Settle) -> None:
    got = settle([[reading(1), reading(1, minutes=15, version=SECOND)]], [prices()])
    assert [events for _, _, events, _, _ in got.daily()] == [96]


def test_both_meters_of_an_exchange_count(settle: Settle) -> None:
    got = settle([[reading(1), reading(2, serial="M2"), reading(3, register="2")]], [prices()])
    assert [kwh for _, _, _, kwh, _ in got.daily()] == [Decimal(6 * 48)]


def test_the_same_values_sent_twice_are_one(settle: Settle) -> None:
    got = settle([[reading(1, quality="S14")], [reading(1)], [reading(1, line=9)]], [prices()])
    assert [kwh for _, _, _, kwh, _ in got.daily()] == [Decimal(48)]
    assert got.quality() == [(True, "A", 48, Decimal(48))]
    assert first_conflicts(got.connection, 10) == []


@pytest.mark.parametrize(
    ("first", "second", "kwh"),
    [
        (reading(1), reading(3), 144),  # the greater value
        (reading([3, 1] + [0] * 46), reading([2, 9] + [0] * 46), 4),  # where they first differ
        (reading(3, quality="S14"), reading(1), 48),  # actual before substituted
        (reading([9] + [None] * 47, quality="A"), reading(1, quality="E52"), 48),  # less missing
    ],
)
def test_different_values_under_one_version_are_listed_and_one_counts(
    settle: Settle, first: Row, second: Row, kwh: int
) -> None:
    for groups in ([[first, second]], [[second, first]], [[first], [second]], [[second], [first]]):
        got = settle(groups, [prices()])
        assert [energy for _, _, _, energy, _ in got.daily()] == [Decimal(kwh)]
        listed = first_conflicts(got.connection, 10)
        assert first_conflicts(got.connection, 1) == listed[:1]
        assert [(row["nmi"], row["day"], row["place"]) for row in listed] == [
            (NMI, DAY, 1),
            (NMI, DAY, 2),
        ]


# --- prices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offers", "price"),
    [
        ([prices("1"), prices("2", changed=SECOND)], "2"),
        ([prices("1", changed=SECOND), prices("2")], "1"),
        ([prices("1"), prices("1", "PRICE_AND_DEMAND", changed=None)], "1"),
        ([prices("3", "DISPATCHPRICE", changed=SECOND), prices("1")], "1"),
        ([prices("3", "DISPATCHPRICE"), prices("1", "PRICE_AND_DEMAND", changed=None)], "1"),
        ([prices("1.005", "DISPATCHPRICE")], "1.01"),
        ([prices("-1.005", "DISPATCHPRICE")], "-1.01"),
        ([prices("1.00499", "DISPATCHPRICE")], "1.00"),
        ([prices("1.005")], "1.005"),
        ([prices("1", changed=None), prices("1", changed=None)], "1"),
    ],
)
def test_which_price_counts(settle: Settle, offers: list[list[Row]], price: str) -> None:
    for order in (offers, offers[::-1]):
        [(_, _, _, _, worth)] = settle([[reading(1)]], order).daily()
        assert worth == Decimal(price) * 48 * 6 / 10


def test_dispatchprice_stands_in_for_what_is_missing_and_that_is_said(settle: Settle) -> None:
    got = settle(
        [[reading(1)]],
        [prices("1", numbers=range(4, 287)), prices("2", "DISPATCHPRICE")],
    )
    assert stand_in_prices(got.connection) == [
        "SA1 on 2026-03-01: intervals 1-3, 287-288 are settled on DISPATCHPRICE, rounded to a cent "
        "per MWh, since there is no TRADINGPRICE and no PRICE_AND_DEMAND for them"
    ]


@pytest.mark.parametrize(
    "offers",
    [
        [prices("1", changed=None), prices("2", changed=None)],
        [prices("1"), prices("2")],
        [prices("1"), prices("2", "PRICE_AND_DEMAND", changed=None)],
        [prices("1", "DISPATCHPRICE"), prices("2", "DISPATCHPRICE")],
    ],
)
def test_prices_that_contradict_each_other_are_refused_by_name(
    settle: Settle, offers: list[list[Row]]
) -> None:
    with pytest.raises(Refused) as refused:
        settle([[reading(1)]], offers)
    sentence = str(refused.value)
    assert sentence.startswith("prices contradict each other")
    assert "SA1 on 2026-03-01, intervals 1-288 of 5 minutes: p" in sentence
    assert "p0 (" in sentence
    assert "p1 (" in sentence


def test_a_contradiction_that_nobody_needs_refuses_nothing(settle: Settle) -> None:
    other = [prices(price, region="NSW1", changed=None) for price in "12"]
    assert settle([[reading(1)]], [prices(), *other]).daily()


@pytest.mark.parametrize(
    ("offers", "missing"),
    [
        ([prices(numbers=range(1, 288))], "SA1 on 2026-03-01: intervals 288"),
        ([prices(numbers=[1, *range(5, 201)])], "SA1 on 2026-03-01: intervals 2-4, 201-288"),
        ([prices(region="NSW1")], "SA1 on 2026-03-01: all intervals"),
        ([], "SA1 on 2026-03-01: all intervals"),
    ],
)
def test_a_missing_price_refuses_the_month(
    settle: Settle, offers: list[list[Row]], missing: str
) -> None:
    with pytest.raises(Refused, match=f"prices are missing .*: {missing}$"):
        settle([[reading(1)]], offers)


# --- sites ----------------------------------------------------------------------------------------


def test_which_suffixes_count_is_the_sites_to_say(settle: Settle) -> None:
    site = {"nmi": NMI, "day": DAY, "region": "SA1"}
    readings = [[reading(1, "B1"), reading(2, "B2"), reading(3, "E1")]]
    suffixes = {"charge_suffixes": [], "discharge_suffixes": ["B2"]}
    got = settle(readings, [prices()], [{**site, **suffixes}])
    assert [row[:4] for row in got.daily()] == [(True, False, 48, Decimal(96))]
    assert got.completeness() == {DAY: (48, 0)}


def test_a_site_without_a_region_is_refused(settle: Settle) -> None:
    with pytest.raises(Refused, match=f"^region: {NMI}: no region is known"):
        settle([[reading(1)]], [prices()], [{"nmi": NMI, "day": DAY, "region": None}])


def test_readings_of_no_site_are_counted_and_need_no_price(settle: Settle) -> None:
    other = reading(1, nmi="6001000002", day=DAY + timedelta(days=1))
    got = settle([[reading(1), other, {**other, "suffix": "E1"}]], [prices()])
    assert got.connection.execute("from unassigned_readings").fetchall() == [
        ("6001000002", DAY + timedelta(days=1), 96, Decimal(96))
    ]
    assert len(got.daily()) == 1


def test_no_readings_at_all(settle: Settle) -> None:
    got = settle([], [])
    assert (got.daily(), got.quality(), got.completeness()) == ([], [], {})


# --- quality and completeness ---------------------------------------------------------------------


def test_energy_by_quality(settle: Settle) -> None:
    values = list(range(48))
    varying = {"quality": "1-20 F14;21-24 A;25-48 S14", "actual": 4, "final": 20, "substituted": 24}
    refined = reading(1, "E1", quality="A", actual=46, estimated=2)
    got = settle(
        [[{**reading(values), **varying}, {**refined, "quality": "A;3-4 E52"}]],
        [prices(["-1", "1"] * 6)],
    )
    assert got.quality() == [
        (False, "A", 46, Decimal(46)),
        (False, "E", 2, Decimal(2)),
        (True, "A", 4, Decimal(sum(range(20, 24)))),
        (True, "F", 20, Decimal(sum(range(20)))),
        (True, "S", 24, Decimal(sum(range(24, 48)))),
    ]


def test_what_is_missing_is_counted_and_never_zero(settle: Settle) -> None:
    days = [DAY + timedelta(days=number) for number in range(3)]
    sites = [{"nmi": NMI, "day": day, "region": "SA1"} for day in days]
    got = settle(
        [
            [
                reading([None, *[1] * 47]),
                reading(1, "E1", minutes=5),
                reading(1, "E1", minutes=15, day=days[1]),
            ]
        ],
        [[*prices(), *prices(day=days[1])]],
        sites,
    )
    assert got.completeness() == {
        days[0]: (48 + 288, 1),
        days[1]: (48 + 96, 48),  # no B1
        days[2]: (48 + 96, 48 + 96),  # neither
    }
    [events] = rows(
        got.connection,
        "select sum(events)::int as events from meter_daily where is_discharge",
    )
    assert events == {"events": 47}


def test_sums_name_the_object_that_they_came_from(settle: Settle) -> None:
    got = settle([[reading(1)], [reading(2, "E1")]], [prices()])
    assert got.connection.execute("select key, is_discharge from meter_daily").fetchall() == [
        ("r0", True),
        ("r1", False),
    ]
