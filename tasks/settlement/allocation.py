"""Allocation: a month's daily sums and the registry become statements, all VPPs in one go.

The statements of `sql/` run in the order of BUILD; each file says which steps of the rule it is.
Step 8 (cents that add up) is `allot`, between them. Then the checks: queries that return the rows
that fail. Nothing is returned unless none of them returns a row.

    registry log -> spans -> vpp_days, memberships, meter_basis, meter_sites
    meter data   -> meter_daily (settlement/meter.py)
    daily sums   -> month_events, without those of elsewhere_sites
    all          -> valued_days (1, 2) -> site_days_revenue (2, 3) -> pools (3-5)
                 -> site_months (5, 6), vpp_months (7)
                 -> allotted (8) -> site_statements (9, 10) -> vpp_statements (10)

Known drawbacks: a site's revenue stays with the VPP that it belongs to on the day of the event,
also when the event file arrives after it has moved; `negative_balances` is not split within a
month: what holds on the VPP's last day of the month holds for all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from polars._typing import PolarsDataType

from tasks.core.errors import CheckFailed, Refused
from tasks.core.money import Pool, Share, allot_cents, exact_amounts
from tasks.core.month import Month
from tasks.core.nmi import REGION_BLOCKS
from tasks.core.request import WhatIf
from tasks.io.warehouse import execute, frame, rows, sql
from tasks.settlement.meter import (
    MeterInputs,
    add_unassigned_readings,
    read_meter,
    require_one_basis,
    value_meter,
)
from tasks.settlement.registry_tables import build_registry, load_what_if

FILES_SCHEMA: dict[str, PolarsDataType] = {
    "key": pl.String,
    "etag": pl.String,
    "import_id": pl.String,
    "source": pl.Int32,
    "imported": pl.Int64,
    "corrections": pl.Int64,
}
EVENTS_SCHEMA: dict[str, PolarsDataType] = {
    "key": pl.String,
    "line": pl.UInt32,
    "nmi": pl.String,
    "day": pl.Date,
    "is_discharge": pl.Boolean,
    "energy_kwh": pl.Decimal(15, 6),
    "tariff_cents_per_kwh": pl.Decimal(12, 6),
}
REJECTED_SCHEMA: dict[str, PolarsDataType] = {"nmi": pl.String, "rows": pl.Int64}

# Goes into every run record: raise it when the rule would give other cents for the same inputs.
RULE_VERSION = 1
_SITES_AT_ONCE = 50_000

BUILD_REVENUE = (
    "events/month_events",
    "events/valued_days",
    "allocation/site_days_revenue",
)
BUILD_STATEMENTS = (
    "allocation/pools",
    "allocation/site_months",
    "allocation/vpp_months",
    "allotted",
    "allocation/site_statements",
    "allocation/vpp_statements",
)
CHECKS = (
    "check_imports_whole",
    "check_meter_imports_whole",
    "check_one_vpp_a_day",
    "check_members_have_terms",
    "check_events_accounted",
    "check_exact_shares_add_up",
    "check_sites_add_up",
    "check_fees_within_bounds",
    "check_money_conserved",
)


@dataclass(frozen=True)
class AllocationInputs:
    """All inputs of an allocation.

    `files` has one row per inbox object that counts (FILES_SCHEMA), `daily` are the imports' daily
    sums, each named <import id>.parquet. `corrections` are events that count in the place of a
    rejected row, `repeats` events that are in `daily` and do not count (EVENTS_SCHEMA both).
    `rejected` has the month's rejected rows by site (REJECTED_SCHEMA). `changes` is the
    registry's log as columns (sql/registry/changes.sql), of which the first `registry_seq` count.
    `meter` is the month's meter data with its prices. `vpps` are those that are
    settled, by id or name (empty: all).
    """

    month: Month
    as_of: datetime
    changes: list[Path]
    registry_seq: int
    files: pl.DataFrame
    daily: list[Path]
    meter: MeterInputs
    corrections: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=EVENTS_SCHEMA))
    repeats: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=EVENTS_SCHEMA))
    rejected: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REJECTED_SCHEMA))
    what_if: tuple[WhatIf, ...] = ()
    vpps: tuple[str, ...] = ()


def allocate(connection: duckdb.DuckDBPyConnection, inputs: AllocationInputs) -> None:
    """Build all tables, from `spans` to `vpp_statements`, in an empty database, and check them.

    Raises:
        Refused: meter data without a price or a region, a site whose events and readings would both
            count, or a VPP whose month is worth more than can be computed with.
        CheckFailed: a check returned rows; the message says which VPP and by how much.
    """
    folder = inputs.meter.folder
    load(connection, folder, "inputs", inputs.files.select(list(FILES_SCHEMA)))
    load(connection, folder, "corrections", inputs.corrections.select(list(EVENTS_SCHEMA)))
    load(connection, folder, "repeats", inputs.repeats.select(list(EVENTS_SCHEMA)))
    load(connection, folder, "rejected", inputs.rejected.select(list(REJECTED_SCHEMA)))
    load_what_if(connection, inputs.what_if)
    parameters = {
        "changes": [str(path) for path in inputs.changes],
        "last_seq": inputs.registry_seq,
        "as_of": inputs.as_of,
        "first_day": inputs.month.first_day,
        "last_day": inputs.month.last_day,
        "days_in_month": inputs.month.days,
        "daily": [str(path) for path in inputs.daily],
    }
    parameters["vpps"] = build_registry(connection, parameters, inputs.vpps)
    execute(connection, f"create view site_days as {sql('registry/site_days')}")
    _build_meter(connection, inputs.meter)
    for table in ("elsewhere_sites", "elsewhere_events"):
        statement = f"create temp table {table} as {sql(f'events/{table}')}"
        execute(connection, statement, parameters)
    _build(connection, BUILD_REVENUE, parameters, folder)
    require_one_basis(connection)
    _require_computable(connection)
    _build(connection, BUILD_STATEMENTS, parameters, folder)
    check(connection, parameters | inputs.meter.parameters)


def _build(
    connection: duckdb.DuckDBPyConnection,
    names: Sequence[str],
    parameters: dict[str, Any],
    folder: Path,
) -> None:
    for name in names:
        if name == "allotted":
            allot(connection, folder)
        else:
            execute(connection, f"create table {name.split('/')[1]} as {sql(name)}", parameters)


def _build_meter(connection: duckdb.DuckDBPyConnection, meter: MeterInputs) -> None:
    """Build the tables of meter data, from `price_offers` to `unassigned_readings`."""
    read_meter(connection, meter)
    blocks = [(region, block) for region, blocks in REGION_BLOCKS.items() for block in blocks]
    execute(
        connection,
        f"create table meter_sites as {sql('registry/meter_sites')}",
        {"regions": [region for region, _ in blocks], "blocks": [block for _, block in blocks]},
    )
    value_meter(connection, meter)
    add_unassigned_readings(connection, meter)


def _require_computable(connection: duckdb.DuckDBPyConnection) -> None:
    """Refuse a month in which a VPP's sums would not fit what they are computed with."""
    if immense := rows(connection, sql("allocation/immense_vpps")):
        raise Refused(
            "energy or tariff: "
            + "; ".join(
                f"the events of {row['vpp']} are worth more than 70 trillion AUD, those of its "
                f"site {row['nmi']} alone {row['aud']:,} AUD"
                for row in immense[:5]
            )
            + ". Correct their units: energy is in kWh, a tariff in cents per kWh"
        )


def check(connection: duckdb.DuckDBPyConnection, parameters: dict[str, Any]) -> None:
    """Run every check, and raise CheckFailed with the failing rows of all that fail."""
    failures = []
    for name in CHECKS:
        statement = sql(f"checks/{name}")
        if failing := rows(connection, statement, parameters):
            shown = "; ".join(
                ", ".join(f"{column} {value}" for column, value in row.items())
                for row in failing[:5]
            )
            claim = statement.split("\n", 1)[0].removeprefix("-- ")
            failures.append(f"{name} ({claim}) fails in {len(failing)} rows: {shown}")
    if failures:
        raise CheckFailed("\n".join(failures))


def load(
    connection: duckdb.DuckDBPyConnection, folder: Path, table: str, frame: pl.DataFrame
) -> None:
    """Make a table of a frame by way of a Parquet file; it replaces an earlier one."""
    path = folder / f"{table}-table.parquet"
    frame.write_parquet(path)
    execute(
        connection,
        f"create or replace table {table} as select * from read_parquet($path)",
        {"path": str(path)},
    )


@dataclass(frozen=True)
class Allotment:
    """What a VPP's sites are allotted: exact amounts, in cents times `denominator`, in NMI order.

    `total_cents` is what they have to add up to once they are whole cents.
    """

    vpp: str
    nmis: list[str]
    numerators: list[int]
    denominator: int
    total_cents: int


def allot(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Build the table `allotted` (vpp, nmi, cents): steps 5 and 8, in exact fractions."""
    execute(connection, "create table allotted (vpp varchar, nmi varchar, cents bigint)")
    path = folder / "allotted.parquet"
    for vpps in batches(connection):
        columns: dict[str, list[Any]] = {"vpp": [], "nmi": [], "cents": []}
        for of_vpp in allotments(connection, vpps):
            columns["vpp"] += [of_vpp.vpp] * len(of_vpp.nmis)
            columns["nmi"] += of_vpp.nmis
            columns["cents"] += allot_cents(
                of_vpp.numerators, of_vpp.denominator, of_vpp.total_cents
            )
        pl.DataFrame(columns).write_parquet(path)
        execute(connection, "insert into allotted from read_parquet($path)", {"path": str(path)})


def batches(
    connection: duckdb.DuckDBPyConnection, vpps: Collection[str] | None = None
) -> Iterator[list[str]]:
    """Yield these VPPs (None: all) in order, so many at a time as fit into memory with sites."""
    counts = execute(
        connection,
        "select vpp_months.vpp, count(site_months.nmi) from vpp_months left join site_months"
        " on vpp_months.vpp = site_months.vpp group by vpp_months.vpp order by vpp_months.vpp",
    ).fetchall()
    wanted = None if vpps is None else set(vpps)
    batch: list[str] = []
    sites = 0
    for vpp, count in counts:
        if wanted is not None and vpp not in wanted:
            continue
        batch.append(vpp)
        sites += count
        if sites >= _SITES_AT_ONCE:
            yield batch
            batch, sites = [], 0
    if batch:
        yield batch


def allotments(connection: duckdb.DuckDBPyConnection, vpps: Sequence[str]) -> Iterator[Allotment]:
    """Yield what the sites of some VPPs are to be allotted: step 5, in exact fractions."""
    chosen = {"vpps": list(vpps)}
    of_chosen = "where vpp in (select unnest($vpps::varchar[]))"
    sites = frame(
        connection,
        "select vpp, nmi, own_sixth_cents::decimal(38, 20) as own from site_months"
        f" {of_chosen} order by vpp, nmi",
        chosen,
    )
    claims = frame(
        connection,
        "select vpp, nmi, (capacity_kwh * 1000000)::bigint as capacity,"
        " ((1::bigint << (last_day - first_day + 1)) - 1) << (day(first_day) - 1) as days"
        f" from memberships {of_chosen} and capacity_kwh > 0",
        chosen,
    )
    pools = frame(
        connection,
        "select vpp, day(day) as day, pool_sixth_cents::decimal(38, 20) as pool,"
        " (capacity_kwh * 1000000)::bigint as capacity"
        f" from pools {of_chosen} and pool_sixth_cents != 0",
        chosen,
    )
    totals = execute(
        connection,
        f"select vpp, total_revenue_cents - ad_valorem_cents from vpp_months {of_chosen}",
        chosen,
    )
    total_cents = dict(totals.fetchall())
    claims_of = claims.partition_by("vpp", as_dict=True, include_key=False)
    pools_of: dict[str, list[Pool]] = {}
    for vpp, day, units, capacity in zip(*map(_whole, pools), strict=True):
        pools_of.setdefault(vpp, []).append(Pool(day, units, capacity))
    own = zip(*map(_whole, sites), strict=True)
    for vpp, members in groupby(own, key=lambda site: site[0]):
        _, nmis, own_units = zip(*members, strict=True)
        shares: dict[str, list[Share]] = {}
        for nmi, capacity, days in claims_of.get((vpp,), claims.select([])).iter_rows():
            shares.setdefault(nmi, []).append(Share(capacity, days))
        numerators, denominator = exact_amounts(
            own_units, [shares.get(nmi, []) for nmi in nmis], pools_of.get(vpp, [])
        )
        # What was divided were sixths of a cent.
        yield Allotment(vpp, list(nmis), numerators, 6 * denominator, total_cents[vpp])


def _whole(column: pl.Series) -> list[Any]:
    """Return a column's values; decimals as whole numbers of their last place."""
    return column.to_physical().to_list()
