"""DuckDB: a database of this process only, and the SQL files that run in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import polars as pl


@cache
def sql(name: str) -> str:
    """Return the statement of a file under `tasks/sql`: 'allocation/pools'."""
    return files("tasks").joinpath("sql", f"{name}.sql").read_text()


@contextmanager
def warehouse(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an empty in-memory database that spills to the folder when it needs more than memory.

    It has the macro `counted_days` (sql/events/counted_days) and nothing else.
    """
    connection = duckdb.connect(
        config={"temp_directory": str(folder / "duckdb"), "memory_limit": "1GB"}
    )
    try:
        connection.execute(sql("events/counted_days"))
        yield connection
    finally:
        connection.close()


def rows(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: Any = None
) -> list[dict[str, Any]]:
    """Run a query and return its rows as dictionaries."""
    result = connection.execute(statement, parameters)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def frame(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: Any = None
) -> pl.DataFrame:
    """Run a query and return its rows as columns, without an object for any of them."""
    return pl.DataFrame(connection.sql(statement, params=parameters))


def run_statement(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: dict[str, Any]
) -> None:
    """Run a statement with those of the parameters that it names."""
    connection.execute(statement, parameters_of(statement, parameters))


def parameters_of(statement: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return those of the parameters that a statement names."""
    return {name: value for name, value in parameters.items() if f"${name}" in statement}
