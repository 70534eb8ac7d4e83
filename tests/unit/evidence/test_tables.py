"""A month's tables as one DuckDB file."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.run_record import SettledRunRecord
from tasks.evidence.tables import put_tables
from tasks.io.warehouse import rows
from tasks.publication.run_records import read_run_records
from tests.through_s3 import Place
from tests.unit.evidence.conftest import ONE, TWO

MONTH = Month(2025, 9)


@pytest.fixture(scope="module")
def tables(
    settled: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    key = put_tables(settled.store, MONTH)
    assert key == "tables/2025-09.duckdb"
    found = settled.store.read(key)
    assert found is not None
    path = tmp_path_factory.mktemp("tables") / "month.duckdb"
    path.write_bytes(found[0])
    with duckdb.connect(str(path), read_only=True) as connection:
        yield connection


def test_the_tables_have_what_was_settled(
    settled: Place, tables: duckdb.DuckDBPyConnection
) -> None:
    report = settled.report("2025-09", "one")
    statements = rows(
        tables, "select nmi, before_fees_cents, fee_cents from site_statements order by nmi"
    )
    assert [tuple(row.values()) for row in statements] == [
        (nmi, site.site_revenue_before_fees * 100, site.site_daily_fee * 100)
        for nmi, site in report.sites.items()
    ]
    assert [row["nmi"] for row in statements] == [ONE, TWO]
    unassigned = rows(tables, "select nmi, is_known, events from unassigned order by nmi")
    assert [tuple(row.values()) for row in unassigned] == [(ONE, True, 1), ("6001000009", False, 1)]


def test_they_say_which_run_they_are_of(settled: Place, tables: duckdb.DuckDBPyConnection) -> None:
    [(key, record)] = read_run_records(settled.store)
    assert isinstance(record, SettledRunRecord)
    assert rows(tables, "select * from settled_by") == [
        {"run_record": key, "as_of": record.as_of, "registry_seq": 9}
    ]


def test_no_table_names_a_file_of_this_machine(tables: duckdb.DuckDBPyConnection) -> None:
    columns = rows(
        tables,
        "select table_name, column_name from duckdb_columns()"
        " where data_type = 'VARCHAR' and not internal",
    )
    assert len(columns) > 20
    for column in columns:
        table, name = column["table_name"], column["column_name"]
        found = rows(tables, f"select {name} as text from {table} where {name} like '/%'")
        assert found == [], f"{table}.{name}"


def settled_by(place: Place, folder: Path) -> str:
    found = place.store.read(put_tables(place.store, MONTH))
    assert found is not None
    path = folder / f"{len(list(folder.iterdir()))}.duckdb"
    path.write_bytes(found[0])
    with duckdb.connect(str(path), read_only=True) as connection:
        return str(rows(connection, "select run_record from settled_by")[0]["run_record"])


def test_a_run_for_all_vpps_is_preferred_to_a_later_one_for_some(
    place: Place, tmp_path: Path
) -> None:
    [(key, record)] = read_run_records(place.store)
    later = key.replace("runs/2025-09/", "runs/2025-09/9")
    partial = record.model_copy(update={"parameters": {"vpps": ["one"]}})
    place.store.write(later, partial.to_bytes())
    refused = record.model_copy(update={"outcome": "refused"})
    place.store.write(later.replace("/9", "/99"), refused.to_bytes())
    assert settled_by(place, tmp_path) == key
    place.store.delete(key)
    assert settled_by(place, tmp_path) == later


def test_a_month_that_is_not_settled_has_no_tables(settled: Place) -> None:
    with pytest.raises(
        Refused, match=r"^2025-08 is not settled yet; run settle-month for it first"
    ):
        put_tables(settled.store, MONTH.previous)
