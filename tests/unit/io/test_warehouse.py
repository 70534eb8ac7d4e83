"""DuckDB: a database of its own, its SQL files, and rows as dictionaries."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tasks.io.warehouse import rows, sql, warehouse

SQL = Path(__file__).parents[3] / "tasks" / "sql"


def test_a_warehouse_is_empty_and_gone_after_its_block(tmp_path: Path) -> None:
    with warehouse(tmp_path) as connection:
        connection.execute("create table a as select 1 as b")
        with warehouse(tmp_path) as other:
            assert rows(other, "show tables") == []
    with pytest.raises(duckdb.ConnectionException):
        connection.execute("select 1")
    with warehouse(tmp_path) as again:
        assert rows(again, "show tables") == []


def test_it_is_closed_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of ours"), warehouse(tmp_path) as connection:
        raise ValueError("of ours")
    with pytest.raises(duckdb.ConnectionException):
        connection.execute("select 1")


def test_it_spills_into_its_own_folder_and_takes_no_more_memory_than_it_may(tmp_path: Path) -> None:
    with warehouse(tmp_path) as connection:
        [found] = rows(
            connection,
            "select current_setting('temp_directory') as folder,"
            " current_setting('memory_limit') as memory",
        )
    assert Path(found["folder"]) == tmp_path / "duckdb"
    assert found["memory"] == "953.6 MiB"  # 1 GB


@pytest.mark.parametrize(
    ("most_rows", "threads"), [(None, None), (122_880, None), (122_879, 1), (0, 1)]
)
def test_few_rows_are_read_by_one_thread(
    tmp_path: Path, most_rows: int | None, threads: int | None
) -> None:
    asked = "select current_setting('threads')"
    with duckdb.connect() as other:
        [(of_the_machine,)] = other.execute(asked).fetchall()
    with warehouse(tmp_path, most_rows) as connection:
        assert connection.execute(asked).fetchall() == [(threads or of_the_machine,)]


def test_rows_have_the_names_of_their_columns_and_exact_numbers(tmp_path: Path) -> None:
    with warehouse(tmp_path) as connection:
        found = rows(
            connection,
            "select $text as name, sum(x::decimal(38, 20)) as total from (values ('0.1'), ('0.2'))"
            " as t(x)",
            {"text": "'; drop table a; --"},
        )
        assert found == [{"name": "'; drop table a; --", "total": Decimal("0.3")}]
        assert rows(connection, "select 1 as a where false") == []


@pytest.mark.parametrize("path", sorted(SQL.rglob("*.sql")), ids=lambda path: path.stem)
def test_each_statement_is_read_by_its_name_and_is_one_statement(path: Path) -> None:
    statement = sql(str(path.relative_to(SQL).with_suffix("")))
    assert statement == path.read_text()
    assert statement.startswith("-- ")  # what it builds
    assert len(duckdb.extract_statements(statement)) == 1


def test_a_statement_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        sql("allocation/nothing")


def test_a_statement_that_is_parsed_once_is_each_databases_own(tmp_path: Path) -> None:
    statement = "select a, $number + 1 as b from t"
    for content, number in (("1::int", 2), ("'x'", 3), ("1.5::decimal(9, 2)", 4)):
        with warehouse(tmp_path) as connection:
            connection.execute(f"create table t as select {content} as a")
            [(a,)] = connection.execute("from t").fetchall()
            found = rows(connection, statement, {"number": number, "unnamed": 0})
            assert found == [{"a": a, "b": number + 1}]


def test_a_statement_is_run_by_many_threads_at_once(tmp_path: Path) -> None:
    with warehouse(tmp_path) as connection:
        connection.execute("create table t as select range as n from range(1000)")

        def count(least: int) -> object:
            statement = "select count(*) as n from t where n >= $least"
            return rows(connection.cursor(), statement, {"least": least})[0]["n"]

        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(count, range(400))) == [1000 - least for least in range(400)]
