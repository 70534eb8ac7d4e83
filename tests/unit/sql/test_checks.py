"""Every check passes on good books, and fails on books that are wrong in just that way."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest

from tasks.core.changes import parse_change
from tasks.core.errors import CheckFailed
from tasks.core.month import Month
from tasks.core.registry import Registry
from tasks.imports.daily_sums import DAILY_SCHEMA
from tasks.io.registry_segments import to_columns
from tasks.io.warehouse import sql, warehouse
from tasks.settlement.allocation import CHECKS, AllocationInputs, allocate, check
from tasks.settlement.meter import FILES_SCHEMA, MeterInputs

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CHANGES = [
    {"change": "create-vpp", "name": "a", "revenue_percentage": "20", "daily_fee_aud": "0.30"},
    {"change": "create-site", "nmi": "6001000001", "vpp": "a", "address": "1 A St"},
    {"change": "create-site", "nmi": "6001000002", "vpp": "a", "address": "2 A St"},
    {
        "change": "add-battery",
        "nmi": "6001000001",
        "serial": "s",
        "manufacturer": "m",
        "capacity_kwh": "10",
    },
]


@pytest.fixture
def books(tmp_path: Path) -> Iterator[tuple[duckdb.DuckDBPyConnection, dict[str, object]]]:
    registry = Registry(today=NOW.date())
    log = tmp_path / "changes.jsonl"
    log.write_text(
        "".join(registry.add(parse_change(change), NOW, "test").line() + "\n" for change in CHANGES)
    )
    columns = tmp_path / "changes.parquet"
    to_columns(log, columns)
    daily = tmp_path / "import.parquet"
    days = [("6001000001", 1, "400.5"), ("6001000002", 2, "99.25"), ("6009999999", 3, "5")]
    pl.DataFrame(
        [
            (0, nmi, date(2025, 9, day), True, False, 1, Decimal(1), Decimal(value), 0, 0)
            for nmi, day, value in days
        ],
        schema=DAILY_SCHEMA,
        orient="row",
    ).write_parquet(daily)
    files = pl.DataFrame(
        {
            "key": ["events/a.csv"],
            "etag": ["e"],
            "import_id": ["import"],
            "source": [0],
            "imported": [3],
            "corrections": [0],
        }
    )
    with warehouse(tmp_path) as connection:
        meter_files = pl.DataFrame(schema=FILES_SCHEMA)
        meter = MeterInputs(Month(2025, 9), [], meter_files, [], meter_files, tmp_path)
        allocate(
            connection, AllocationInputs(Month(2025, 9), NOW, [columns], 4, files, [daily], meter)
        )
        yield connection, {"daily": [str(daily)], "vpps": ["a"], **meter.parameters}


DAMAGES = {
    "check_imports_whole": "update inputs set imported = 4",
    "check_meter_imports_whole": "insert into meter_files values ('a', 'e', 'i', 0, 1)",
    "check_one_vpp_a_day": (
        "insert into memberships select 'b', nmi, '2025-09-30', '2025-09-30', 0 from memberships"
    ),
    "check_members_have_terms": "delete from vpp_days where day = '2025-09-30'",
    "check_events_accounted": "update site_months set events = events + 1",
    "check_exact_shares_add_up": (
        "update pools set pool_sixth_cents = pool_sixth_cents + 0.000000000001"
    ),
    "check_sites_add_up": "update site_statements set before_fees_cents = before_fees_cents - 1",
    "check_fees_within_bounds": "update site_statements set fee_cents = before_fees_cents + 1",
    "check_money_conserved": "update vpp_statements set cost_only_cents = cost_only_cents + 1",
}


def test_every_check_has_a_file_and_a_damage() -> None:
    assert set(DAMAGES) == set(CHECKS)
    for name in CHECKS:
        assert sql(f"checks/{name}").startswith("-- ")


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_fails_on_its_damage(
    books: tuple[duckdb.DuckDBPyConnection, dict[str, object]], name: str
) -> None:
    connection, parameters = books
    check(connection, parameters)
    connection.execute(DAMAGES[name])
    with pytest.raises(CheckFailed) as failure:
        check(connection, parameters)
    assert name in str(failure.value)


def test_the_message_says_which_vpp_and_by_how_much(
    books: tuple[duckdb.DuckDBPyConnection, dict[str, object]],
) -> None:
    connection, parameters = books
    connection.execute(DAMAGES["check_money_conserved"])
    with pytest.raises(CheckFailed, match="vpp a, cents_too_many 1"):
        check(connection, parameters)
