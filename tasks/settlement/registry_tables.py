"""The registry's log, as tables of the month: who is a member of what, and under which terms.

    log -> spans -> vpp_days, memberships, meter_basis

Where some VPPs are settled, little is read of the others: of their sites where they are members and
how their meters count, since it decides whose an event is; no address and no battery.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from tasks.core.errors import Refused
from tasks.core.request import WhatIf
from tasks.io.registry_columns import METERS, TERMS, add_spans, create_spans
from tasks.io.warehouse import execute, sql


def build_registry(
    connection: duckdb.DuckDBPyConnection, parameters: dict[str, Any], vpps: Sequence[str]
) -> list[str]:
    """Build the tables of the registry for some VPPs, by id or name (none given: all).

    Args:
        connection: has the table `what_if`.
        parameters: of the statements: `changes`, `as_of`, `last_seq`, `first_day`, `last_day`.
        vpps: which VPPs.

    Returns:
        Their ids in order.

    Raises:
        Refused: one is unknown.
    """

    def build(table: str) -> None:
        execute(connection, f"create table {table} as {sql(f'registry/{table}')}", parameters)

    def values_of(statement: str) -> list[str]:
        execute(connection, statement, parameters)
        return [value for (value,) in connection.fetchall()]

    parameters = parameters | {"ids": None}
    create_spans(connection, parameters)
    add_spans(connection, parameters, "vpp", *TERMS)
    build("vpp_days")
    parameters["vpps"] = ids = vpp_ids(connection, vpps)
    add_spans(connection, parameters, "site", "vpp")
    add_spans(connection, parameters, "site", *METERS)
    if vpps:
        parameters["ids"] = parameters["nmis"] = values_of(
            "select distinct id from spans where kind = 'site' and attribute = 'vpp'"
            " and value in (select unnest($vpps::varchar[]))"
        )
    add_spans(connection, parameters, "site", "address")
    if vpps:
        parameters["ids"] = values_of(sql("registry/batteries"))
    add_spans(connection, parameters, "battery", "capacity_kwh")
    add_spans(connection, parameters, "battery", "nmi")
    build("memberships")
    build("meter_basis")
    return ids


def vpp_ids(connection: duckdb.DuckDBPyConnection, vpps: Sequence[str]) -> list[str]:
    """Return the ids of VPPs in order, by id or name (none given: of all in the month).

    Raises:
        Refused: one is unknown.
    """
    existing = execute(
        connection, "select vpp, max_by(name, day) from vpp_days group by vpp order by vpp"
    ).fetchall()
    ids = {vpp: vpp for vpp, _ in existing} | {name.casefold(): vpp for vpp, name in existing}
    if unknown := [vpp for vpp in vpps if vpp.strip().casefold() not in ids]:
        raise Refused(
            f"vpps: there is no VPP {', '.join(map(repr, unknown))} in that month; there are: "
            + (", ".join(vpp for vpp, _ in existing) or "none")
        )
    return sorted({ids[vpp.strip().casefold()] for vpp in vpps}) or [vpp for vpp, _ in existing]


def load_what_if(connection: duckdb.DuckDBPyConnection, what_if: tuple[WhatIf, ...]) -> None:
    """Make the table `what_if`: one row per VPP with assumed terms in place of the registry's."""
    names = list(WhatIf.model_fields)
    terms = [assumed.model_dump(mode="json") for assumed in what_if]
    execute(
        connection,
        "create table what_if as select "
        + ", ".join(f"unnest(${name}::varchar[]) as {name}" for name in names),
        {name: [of_vpp[name] for of_vpp in terms] for name in names},
    )
