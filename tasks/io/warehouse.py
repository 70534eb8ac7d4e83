"""DuckDB: a database of this process only, and the SQL files that run in it."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

_ROWS_OF_A_THREAD = 122_880  # DuckDB gives a thread no fewer, so with fewer the others but wait
_PARSED: dict[str, duckdb.Statement] = {}
atexit.register(_PARSED.clear)  # what is still there at the very end, DuckDB reports as a leak


@cache
def sql(name: str) -> str:
    """Return the statement of a file under `tasks/sql`: 'allocation/pools'."""
    return files("tasks").joinpath("sql", f"{name}.sql").read_text()


@contextmanager
def warehouse(folder: Path, most_rows: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an empty in-memory database that spills to the folder when it needs more than memory.

    It has the macro `counted_days` (sql/events/counted_days) and nothing else.

    Args:
        folder: where it spills to.
        most_rows: how many rows are read there at most; None: unknown. Few need one thread.
    """
    are_few = most_rows is not None and most_rows < _ROWS_OF_A_THREAD
    threads = {"threads": 1} if are_few else {}
    connection = duckdb.connect(
        config={"temp_directory": str(folder / "duckdb"), "memory_limit": "1GB", **threads}
    )
    try:
        execute(connection, sql("events/counted_days"))
        yield connection
    finally:
        connection.close()


def execute(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: dict[str, Any] | None = None
) -> duckdb.DuckDBPyConnection:
    """Run a statement with those of the parameters that it names; return what has its result."""
    return connection.execute(_parsed(connection, statement), _named(statement, parameters))


def rows(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Run a query and return its rows as dictionaries."""
    result = execute(connection, statement, parameters)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def frame(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: dict[str, Any] | None = None
) -> pl.DataFrame:
    """Run a query and return its rows as columns, without an object for any of them."""
    result = connection.sql(_parsed(connection, statement), params=_named(statement, parameters))
    return pl.DataFrame(result)


def _parsed(connection: duckdb.DuckDBPyConnection, statement: str) -> duckdb.Statement:
    """Return a statement as DuckDB has parsed it: where rows are few, that is a third of its time.

    It depends on no database, so each is parsed once in a process.
    """
    if statement not in _PARSED:
        [_PARSED[statement]] = connection.extract_statements(statement)
    return _PARSED[statement]


def _named(statement: str, parameters: dict[str, Any] | None) -> dict[str, Any]:
    """Return those of the parameters that a statement names."""
    return {name: value for name, value in (parameters or {}).items() if f"${name}" in statement}
