"""The registry's log as columns: what holds on which days, and the list of all that is on one."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from tasks.core.change_fields import ALL_CHANNELS
from tasks.core.changes import FIELDS
from tasks.core.nmi import REGION_BLOCKS
from tasks.core.words import escape_formula
from tasks.io.warehouse import execute, frame, sql, warehouse

TERMS = ("name", "revenue_percentage", "daily_fee_aud", "charge_events", "negative_balances")
METERS = ("region", "channels", "basis")
# Which attributes of an entity are read, and which changes say them.
_SAID_BY = {
    **{("vpp", attribute): ("create-vpp", "update-vpp") for attribute in TERMS},
    ("site", "vpp"): ("create-site", "assign-site"),
    **{("site", attribute): ("create-site", "update-site") for attribute in METERS},
    ("site", "address"): ("create-site", "update-site"),
    ("battery", "manufacturer"): ("add-battery", "update-battery"),
    ("battery", "capacity_kwh"): ("add-battery", "update-battery"),
    ("battery", "nmi"): ("add-battery", "remove-battery"),
}
_ALL = (1 << 63) - 1  # changes


def create_spans(connection: duckdb.DuckDBPyConnection, parameters: dict[str, Any]) -> None:
    """Make the tables `withdrawn`, and `spans`, which is empty.

    Args:
        connection: where.
        parameters: of the statements: `changes`, `as_of`, `last_seq`.
    """
    execute(connection, f"create temp table withdrawn as {sql('registry/withdrawn')}", parameters)
    execute(
        connection,
        "create table spans (kind varchar, id varchar, attribute varchar, value varchar,"
        " seq bigint, first_day date, last_day date)",
    )


def add_spans(
    connection: duckdb.DuckDBPyConnection,
    parameters: dict[str, Any],
    kind: str,
    *attributes: str,
) -> None:
    """Add to `spans` what is said of attributes of a kind (sql/registry/spans.sql).

    Args:
        connection: has the tables of `create_spans`.
        parameters: those of `create_spans`, and `first_day`, `last_day`, `ids`.
        kind: 'vpp', 'site' or 'battery'.
        attributes: which, all said by the same changes.
    """
    [said_by] = {_SAID_BY[kind, attribute] for attribute in attributes}
    of_attributes = {
        "kind": kind,
        "id": FIELDS[kind],
        "attributes": list(attributes),
        "said_by": said_by,
    }
    execute(
        connection, f"insert into spans {sql('registry/spans')}", {**parameters, **of_attributes}
    )


def list_on(
    changes: Sequence[Path], folder: Path, day: date, as_of: datetime | None
) -> pl.DataFrame:
    """Return the VPPs, then the sites, then the batteries that are there on a day, by id.

    A site of no VPP and a battery that is removed are listed, without one. What an entity has not,
    or was not given, is empty. A site's capacity is that of its batteries. `last_change` is the
    seq of the last change that any of the values is from: what withdraw-change would take back.

    Args:
        changes: the log as Parquet files.
        folder: for what does not fit into memory.
        day: the day.
        as_of: what was recorded by then is seen; None: all.

    Returns:
        The columns of sql/registry/list.sql: texts, and `last_change`.
    """
    parameters = {
        "changes": [str(path) for path in changes],
        "as_of": as_of or datetime.max.replace(tzinfo=UTC),
        "last_seq": _ALL,
        "first_day": day,
        "last_day": day,
        "ids": None,
    }
    of_list = {
        "all_channels": ALL_CHANNELS,
        "blocks": [block for blocks in REGION_BLOCKS.values() for block in blocks],
        "regions": [region for region, blocks in REGION_BLOCKS.items() for _ in blocks],
    }
    with warehouse(folder) as connection:
        create_spans(connection, parameters)
        for kind, attribute in _SAID_BY:
            add_spans(connection, parameters, kind, attribute)
        return frame(connection, sql("registry/list"), of_list)


def to_csv(listed: pl.DataFrame) -> bytes:
    """Return a list as CSV; a text that a spreadsheet would run has an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text)  # lines end in CRLF: else a CR in an old text would not be quoted
    writer.writerow(listed.columns)
    for row in listed.iter_rows():
        writer.writerow(escape_formula(v) if isinstance(v, str) else v for v in row)
    return text.getvalue().encode()
