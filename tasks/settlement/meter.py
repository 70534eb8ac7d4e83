"""From meter readings and prices to the month's daily sums, in the shape that event files give.

Input are the Parquet files of imports (`tasks.imports.nem12`, `tasks.imports.aemo_prices`), and for
each site and day its region and which suffixes count (`meter_sites`). The result is the table
`meter_daily`, which becomes part of `month_events`, and what a report says of where it came from.

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

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from polars._typing import PolarsDataType

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.imports import aemo_prices, nem12
from tasks.io.warehouse import execute, rows, sql

_SHOWN = 20  # lines of a refusal


FILES_SCHEMA: dict[str, PolarsDataType] = {
    "key": pl.String,
    "etag": pl.String,
    "import_id": pl.String,
    "source": pl.Int32,
    "imported": pl.Int64,
}


@dataclass(frozen=True)
class MeterInputs:
    """What the daily sums of a month are a function of, besides the table `meter_sites`.

    `readings` and `prices` are imports' Parquet files, each named <import id>.parquet.
    `reading_files` and `price_files` say which sources in them count (FILES_SCHEMA). `folder` is
    where temporary files may be.
    """

    month: Month
    readings: Sequence[Path]
    reading_files: pl.DataFrame
    prices: Sequence[Path]
    price_files: pl.DataFrame
    folder: Path

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Return what the statements bind; an empty file stands for none, which DuckDB refuses."""
        no_readings, no_prices = (
            self.folder / "no-readings.parquet",
            self.folder / "no-prices.parquet",
        )
        pl.DataFrame(schema=nem12.READINGS_SCHEMA).write_parquet(no_readings)
        pl.DataFrame(schema=aemo_prices.PRICES_SCHEMA).write_parquet(no_prices)
        return {
            "readings": [str(path) for path in self.readings or [no_readings]],
            "prices": [str(path) for path in self.prices or [no_prices]],
            "first_day": self.month.first_day,
            "last_day": self.month.last_day,
        }


def read_meter(connection: duckdb.DuckDBPyConnection, inputs: MeterInputs) -> None:
    """Build what does not depend on sites: from `price_offers` to `reading_winners`."""
    for name, files in (("meter_files", inputs.reading_files), ("price_files", inputs.price_files)):
        _load_files(connection, name, files)
    parameters = inputs.parameters
    execute(
        connection,
        "create table reading_paths as select unnest($readings::varchar[]) as filename",
        {"readings": parameters["readings"]},
    )
    for name in ("price_offers", "price_slots", "price_days", "reading_versions"):
        _build(connection, name, parameters)
    _build(connection, "tied_readings", parameters)
    with _joins_as_written(connection):
        _build(connection, "reading_conflicts", parameters)
    _build(connection, "reading_winners", parameters)


def value_meter(connection: duckdb.DuckDBPyConnection, inputs: MeterInputs) -> None:
    """Build the rest, from `counted_readings` to `meter_completeness`.

    The connection has the tables of `read_meter`, and `meter_sites` (sql/registry/meter_sites).

    Raises:
        Refused: a site without a region, prices that contradict each other, or prices that are
            missing. The message names region, day and intervals.
    """
    parameters = inputs.parameters
    _build(connection, "counted_readings", parameters)
    _require_regions(connection)
    _require_agreement(connection)
    _require_prices(connection)
    with _joins_as_written(connection):
        _add_up(connection, parameters)
        _build(connection, "meter_quality", parameters)
    for name in ("meter_daily", "meter_completeness"):
        _build(connection, name, parameters)


def reading_paths(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the Parquet files that `counted_readings` names by filename and row number."""
    found = execute(connection, "select filename from reading_paths order by filename").fetchall()
    return [filename for (filename,) in found]


def require_one_basis(connection: duckdb.DuckDBPyConnection) -> None:
    """Refuse a month in which a site has both events and readings on a day.

    Raises:
        Refused: one has. The message names sites and days, and says what to do.
    """
    found = execute(
        connection, f"select vpp, nmi, days from ({sql('meter/two_bases')}) order by vpp, nmi"
    ).fetchall()
    if found:
        raise Refused(
            "sites have both events and meter readings on the same days, which would count twice: "
            + _and_more([f"{nmi} ({vpp}) on {days_of(days)}" for vpp, nmi, days in found])
            + ". Say with update-site which of them counts, basis 'events' or 'meter', from which "
            "day on; or take the file with the others out of the inbox"
        )


def stand_in_prices(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Say for which days DISPATCHPRICE stood in: a sentence per region and day."""
    found = execute(
        connection,
        "select region, day, list(slot order by slot) from price_slots"
        " where is_dispatch and (region, day) in (select (region, day) from counted_readings)"
        " group by region, day order by region, day",
    ).fetchall()
    return [
        f"{region} on {day}: intervals {ranges_of(slots)} are settled on DISPATCHPRICE, rounded to "
        "a cent per MWh, since there is no TRADINGPRICE and no PRICE_AND_DEMAND for them"
        for region, day, slots in found
    ]


def first_conflicts(connection: duckdb.DuckDBPyConnection, most: int) -> list[dict[str, Any]]:
    """Return the first rows of `reading_conflicts` (place 1 is the one that counts)."""
    return rows(
        connection,
        "select nmi, suffix, register, serial, day, version, key, line, place"
        " from reading_conflicts"
        " order by nmi, suffix, register, serial, day, place limit $most",
        {"most": most},
    )


def add_unassigned_readings(connection: duckdb.DuckDBPyConnection, inputs: MeterInputs) -> None:
    """Build the table `unassigned_readings`: those of sites that are in no VPP (`site_days`)."""
    with _joins_as_written(connection):
        _build(connection, "unassigned_readings", inputs.parameters)


def _load_files(connection: duckdb.DuckDBPyConnection, name: str, files: pl.DataFrame) -> None:
    columns = {
        "key": "varchar",
        "etag": "varchar",
        "import_id": "varchar",
        "source": "int",
        "imported": "bigint",
    }
    execute(
        connection,
        f"create table {name} as select "
        + ", ".join(
            f"unnest(${column}::{dtype}[]) as {column}" for column, dtype in columns.items()
        ),
        {column: files[column].to_list() for column in columns},
    )


def _build(connection: duckdb.DuckDBPyConnection, name: str, parameters: dict[str, Any]) -> None:
    execute(connection, f"create table {name} as {sql(f'meter/{name}')}", parameters)


@contextmanager
def _joins_as_written(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Turn off DuckDB's own choice of the order of joins: the right side of each is kept in memory.

    Where a statement reads the values of readings, DuckDB would keep them, or a list of 288 prices
    for each, rather than the few rows or the small ones that it joins them with. For 10,000 sites
    that is 1.4 GB, and three times the work.
    """
    execute(connection, "set disabled_optimizers = 'join_order,build_side_probe_side'")
    try:
        yield
    finally:
        execute(connection, "reset disabled_optimizers")


def _add_up(connection: duckdb.DuckDBPyConnection, parameters: dict[str, Any]) -> None:
    """Build `reading_sums`, in 64 bits where the products fit, and else in 128."""
    try:
        _build(connection, "reading_sums", parameters)
    except duckdb.OutOfRangeException:
        execute(connection, "alter table price_days alter prices type hugeint[]")
        _build(connection, "reading_sums", parameters)


def _require_regions(connection: duckdb.DuckDBPyConnection) -> None:
    nmis = execute(
        connection, "select distinct nmi from counted_readings where region is null order by nmi"
    ).fetchall()
    if nmis:
        names = _and_more([nmi for (nmi,) in nmis], ", ")
        raise Refused(
            f"region: {names}: no region is known for this NMI; say in the registry which it is"
        )


def _require_agreement(connection: duckdb.DuckDBPyConnection) -> None:
    found = execute(
        connection,
        "select region, day, key, other_key, list(slot order by slot),"
        " arg_min(price_aud_per_mwh, slot), arg_min(other_price_aud_per_mwh, slot)"
        f" from ({sql('meter/price_disputes')})"
        " where (region, day) in (select (region, day) from counted_readings)"
        " group by region, day, key, other_key order by region, day, key, other_key",
    ).fetchall()
    if found:
        raise Refused(
            "prices contradict each other, and nothing in them says which is newer; take one of "
            "the two files out of the inbox: "
            + _and_more(
                [
                    f"{region} on {day}, intervals {ranges_of(slots)} of 5 minutes: {key} (first: "
                    f"{price} AUD/MWh) and {other_key} ({other_price})"
                    for region, day, key, other_key, slots, price, other_price in found
                ]
            )
        )


def _require_prices(connection: duckdb.DuckDBPyConnection) -> None:
    found = execute(
        connection,
        f"select region, day, list(slot order by slot) from ({sql('meter/missing_prices')})"
        " group by region, day order by region, day",
    ).fetchall()
    if found:
        days: dict[tuple[str, str], list[date]] = {}
        for region, day, slots in found:
            which = "all intervals" if len(slots) == 288 else f"intervals {ranges_of(slots)}"
            days.setdefault((region, which), []).append(day)
        raise Refused(
            "prices are missing for days with meter readings; upload AEMO's TRADINGPRICE or "
            "PRICE_AND_DEMAND for them: "
            + _and_more(
                [f"{region} on {days_of(of)}: {which}" for (region, which), of in days.items()]
            )
        )


def _and_more(texts: list[str], separator: str = "; ") -> str:
    more = len(texts) - _SHOWN
    return separator.join(texts[:_SHOWN]) + (f"{separator}and {more} more" if more > 0 else "")


def days_of(days: list[date]) -> str:
    """Write sorted days as ranges: '2026-03-01 to 2026-03-05, 2026-03-09', and no more than 20."""
    numbers = [day.toordinal() for day in days]
    ranges = [
        f"{days[first]} to {days[last]}" if first != last else str(days[first])
        for first, last in _runs(numbers)
    ]
    return _and_more(ranges, ", ")


def ranges_of(numbers: list[int]) -> str:
    """Write sorted numbers as ranges: [1, 2, 3, 7] -> '1-3, 7'."""
    return ", ".join(
        str(numbers[first]) if first == last else f"{numbers[first]}-{numbers[last]}"
        for first, last in _runs(numbers)
    )


def _runs(numbers: list[int]) -> list[list[int]]:
    """Return the first and last place of each run of numbers that follow each other."""
    runs: list[list[int]] = []
    for place, number in enumerate(numbers):
        if runs and numbers[runs[-1][1]] == number - 1:
            runs[-1][1] = place
        else:
            runs.append([place, place])
    return runs
