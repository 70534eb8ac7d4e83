"""From meter readings and prices to the month's daily sums, in the shape that event files give.

Input are the Parquet files of imports (`tasks.imports.nem12`, `tasks.imports.aemo_prices`), and for
each site and day its region and which suffixes count. The result is the table `meter_daily`, which
the rule can take like `month_events`, and what a report says of where it came from.

1. `price_offers`, `price_slots`: the winning price of each region, day and slot of 5 minutes. Two
   that contradict each other and do not say which is newer are refused by name.
2. `reading_versions`, `tied_readings`, `reading_conflicts`, `reading_winners`: of each channel and
   day the version that counts.
3. `counted_readings`: those of channels that count, with region and direction. E is consumption, so
   a charge; B is generation, so a discharge.
4. A price that is missing on a day with such readings refuses the month.
5. `reading_sums`, `meter_daily`: energy and worth by the sign of the price, by (region, day, number
   of the interval).
6. `meter_quality`, `meter_completeness`: what of it was measured, and what is missing.

Why it is exact: readings are whole micro-kWh and prices whole 10^-5 AUD per MWh, so a product is a
whole number of 10^-12 cents. A meter of 15 or 30 minutes takes the mean of 3 or 6 prices, whose
thirds are no decimals; so every price is carried sixfold, and `value_sixth_cents` has 12 decimals
and no remainder. Who adds it to sums of events multiplies those by 6, and divides by 6 where money
is rounded or becomes a fraction, never before.

Known drawbacks: a suffix that began within the month counts as missing before; two meters that
share a suffix on a day are expected to have all intervals each; and before October 2021 a
DISPATCHPRICE of 5 minutes can stand in for a missing settlement price of 30, though it was none.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.imports import aemo_prices, nem12
from tasks.io.warehouse import rows, sql

_SHOWN = 20  # lines of a refusal


@dataclass(frozen=True)
class MeterInputs:
    """What the daily sums of a month are a function of, besides the table `meter_sites`.

    `readings` and `prices` are imports' Parquet files, each named <import id>.parquet.
    `reading_files` and `price_files` say which sources in them count: import_id, source, key.
    """

    month: Month
    readings: Sequence[Path]
    reading_files: pl.DataFrame
    prices: Sequence[Path]
    price_files: pl.DataFrame


def load_sites(connection: duckdb.DuckDBPyConnection, sites: pl.DataFrame) -> None:
    """Make the table `meter_sites`: one row per site and day that is to be settled.

    Columns: nmi, day, region, charge_suffixes and discharge_suffixes (lists; null: all E, all B).
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sites.parquet"
        sites.write_parquet(path)
        connection.execute(
            "create table meter_sites as select nmi, day, region,"
            " charge_suffixes::varchar[] as charge_suffixes,"
            " discharge_suffixes::varchar[] as discharge_suffixes from read_parquet($path)",
            {"path": str(path)},
        )


def settle_meter(connection: duckdb.DuckDBPyConnection, inputs: MeterInputs) -> None:
    """Build all tables, from `price_offers` to `meter_completeness`, beside `meter_sites`.

    Raises:
        Refused: a site without a region, prices that contradict each other, or prices that are
            missing. The message names region, day and intervals.
    """
    with _parameters(inputs) as parameters:
        for name, files in (
            ("meter_files", inputs.reading_files),
            ("price_files", inputs.price_files),
        ):
            _load_files(connection, name, files)
        for name in ("price_offers", "price_slots", "price_days", "reading_versions"):
            _build(connection, name, parameters)
        _build(connection, "tied_readings", parameters)
        with _joins_as_written(connection):
            _build(connection, "reading_conflicts", parameters)
        for name in ("reading_winners", "counted_readings"):
            _build(connection, name, parameters)
        _require_regions(connection)
        _require_agreement(connection)
        _require_prices(connection)
        with _joins_as_written(connection):
            _add_up(connection, parameters)
            _build(connection, "meter_quality", parameters)
        for name in ("meter_daily", "meter_completeness"):
            _build(connection, name, parameters)


def stand_in_prices(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Say for which days DISPATCHPRICE stood in, for the report: a sentence per region and day."""
    found = connection.execute(
        "select region, day, list(slot order by slot) from price_slots"
        " where is_dispatch and (region, day) in (select (region, day) from counted_readings)"
        " group by region, day order by region, day"
    ).fetchall()
    return [
        f"{region} on {day}: intervals {_ranges(slots)} are settled on DISPATCHPRICE, rounded to a "
        "cent per MWh, since there is no TRADINGPRICE and no PRICE_AND_DEMAND for them"
        for region, day, slots in found
    ]


def conflicts(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return the rows of `reading_conflicts` (place 1 is the one that counts), for the report."""
    return rows(
        connection,
        "select nmi, suffix, register, serial, day, version, key, line, place"
        " from reading_conflicts"
        " order by nmi, suffix, register, serial, day, place",
    )


def unassigned_readings(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, date, int]]:
    """Return site, day and number of winning readings of sites that are not in `meter_sites`."""
    return connection.execute(
        "select nmi, day, count(*) from reading_winners anti join meter_sites using (nmi, day)"
        " group by nmi, day order by nmi, day"
    ).fetchall()


@contextmanager
def _parameters(inputs: MeterInputs) -> Iterator[dict[str, Any]]:
    """Return what the statements bind; an empty file stands for none, which DuckDB refuses."""
    with tempfile.TemporaryDirectory() as folder:
        no_readings, no_prices = Path(folder) / "readings.parquet", Path(folder) / "prices.parquet"
        pl.DataFrame(schema=nem12.READINGS_SCHEMA).write_parquet(no_readings)
        pl.DataFrame(schema=aemo_prices.PRICES_SCHEMA).write_parquet(no_prices)
        yield {
            "readings": [str(path) for path in inputs.readings or [no_readings]],
            "prices": [str(path) for path in inputs.prices or [no_prices]],
            "first_day": inputs.month.first_day,
            "last_day": inputs.month.last_day,
        }


def _load_files(connection: duckdb.DuckDBPyConnection, name: str, files: pl.DataFrame) -> None:
    columns = {"import_id": "varchar", "source": "int", "key": "varchar"}
    connection.execute(
        f"create table {name} as select "
        + ", ".join(
            f"unnest(${column}::{dtype}[]) as {column}" for column, dtype in columns.items()
        ),
        {column: files[column].to_list() for column in columns},
    )


def _build(connection: duckdb.DuckDBPyConnection, name: str, parameters: dict[str, Any]) -> None:
    statement = sql(f"meter/{name}")
    used = {key: value for key, value in parameters.items() if f"${key}" in statement}
    connection.execute(f"create table {name} as {statement}", used)


@contextmanager
def _joins_as_written(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Turn off DuckDB's own choice of the order of joins: the right side of each is kept in memory.

    Where a statement reads the values of readings, DuckDB would keep them, or a list of 288 prices
    for each, rather than the few rows or the small ones that it joins them with. For 10,000 sites
    that is 1.4 GB, and three times the work.
    """
    connection.execute("set disabled_optimizers = 'join_order,build_side_probe_side'")
    try:
        yield
    finally:
        connection.execute("reset disabled_optimizers")


def _add_up(connection: duckdb.DuckDBPyConnection, parameters: dict[str, Any]) -> None:
    """Build `reading_sums`, in 64 bits where the products fit, and else in 128."""
    try:
        _build(connection, "reading_sums", parameters)
    except duckdb.OutOfRangeException:
        connection.execute("alter table price_days alter prices type hugeint[]")
        _build(connection, "reading_sums", parameters)


def _require_regions(connection: duckdb.DuckDBPyConnection) -> None:
    nmis = connection.execute(
        "select distinct nmi from counted_readings where region is null order by nmi"
    ).fetchall()
    if nmis:
        names = _and_more([nmi for (nmi,) in nmis], ", ")
        raise Refused(
            f"region: {names}: no region is known for this NMI; say in the registry which it is"
        )


def _require_agreement(connection: duckdb.DuckDBPyConnection) -> None:
    found = connection.execute(
        "select region, day, key, other_key, list(slot order by slot),"
        " arg_min(price_aud_per_mwh, slot), arg_min(other_price_aud_per_mwh, slot)"
        f" from ({sql('meter/price_disputes')})"
        " where (region, day) in (select (region, day) from counted_readings)"
        " group by region, day, key, other_key order by region, day, key, other_key"
    ).fetchall()
    if found:
        raise Refused(
            "prices contradict each other, and nothing in them says which is newer; take one of "
            "the two files out of the inbox: "
            + _and_more(
                [
                    f"{region} on {day}, intervals {_ranges(slots)} of 5 minutes: {key} (first: "
                    f"{price} AUD/MWh) and {other_key} ({other_price})"
                    for region, day, key, other_key, slots, price, other_price in found
                ]
            )
        )


def _require_prices(connection: duckdb.DuckDBPyConnection) -> None:
    found = connection.execute(
        f"select region, day, list(slot order by slot) from ({sql('meter/missing_prices')})"
        " group by region, day order by region, day"
    ).fetchall()
    if found:
        raise Refused(
            "prices are missing for days with meter readings; upload AEMO's TRADINGPRICE or "
            "PRICE_AND_DEMAND for them: "
            + _and_more(
                [
                    f"{region} on {day}: "
                    + ("all intervals" if len(slots) == 288 else f"intervals {_ranges(slots)}")
                    for region, day, slots in found
                ]
            )
        )


def _and_more(texts: list[str], separator: str = "; ") -> str:
    more = len(texts) - _SHOWN
    return separator.join(texts[:_SHOWN]) + (f"{separator}and {more} more" if more > 0 else "")


def _ranges(numbers: list[int]) -> str:
    """Write sorted numbers as ranges: [1, 2, 3, 7] -> '1-3, 7'."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
