"""The registry's list on a day, from its columns, as rows and as CSV."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.changes import Change
from tasks.core.nmi import default_region
from tasks.core.registry import Registry
from tasks.io.registry_columns import TERMS, add_spans, create_spans, list_on, to_csv
from tasks.io.registry_segments import to_columns
from tasks.io.warehouse import warehouse
from tests.unit.settlement.test_registry_tables import TODAY, histories, hour, recorded

Json = dict[str, Any]
Row = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("columns")


def listed(
    folder: Path, changes: Iterable[Change], day: date, as_of: datetime | None = None
) -> list[Row]:
    """Return the rows of a list, each without the columns that are empty in it."""
    log = folder / "changes.jsonl"
    log.write_text("".join(f"{change.line()}\n" for change in changes))
    to_columns(log, folder / "changes.parquet")
    rows = list_on([folder / "changes.parquet"], folder, day, as_of).to_dicts()
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


CHANGES: list[dict[str, Any]] = [
    {"change": "create-vpp", "name": "One", "revenue_percentage": "20"},
    {
        "change": "create-vpp",
        "name": "Two",
        "revenue_percentage": 5,
        "effective_from": "2025-09-10",
    },
    {"change": "create-site", "nmi": "6001000001", "vpp": "one", "address": "1 King St"},
    {
        "change": "add-battery",
        "nmi": "6001000001",
        "serial": "S1",
        "manufacturer": "Tesla",
        "capacity_kwh": "13.5",
    },
    {
        "change": "add-battery",
        "nmi": "6001000001",
        "serial": "S2",
        "manufacturer": "BYD",
        "capacity_kwh": "10",
        "effective_from": "2025-09-10",
    },
    {
        "change": "assign-site",
        "nmi": "6001000001",
        "vpp": None,
        "effective_from": "2025-09-20",
    },
    {"change": "remove-battery", "serial": "S1", "effective_from": "2025-09-20"},
    {
        "change": "update-site",
        "nmi": "6001000001",
        "region": "SA1",
        "channels": "b1 e1",
        "effective_from": "2025-09-20",
    },
]


def test_each_day_has_its_rows(folder: Path) -> None:
    log = recorded(CHANGES)
    one = {"name": "One", "vpp": "one", "revenue_percentage": "20", "daily_fee_aud": "0"}
    terms = {"charge_events": "cost", "negative_balances": "site"}
    nmi = "6001000001"
    assert listed(folder, log, date(2025, 9, 9)) == [
        {"kind": "vpp", "id": "one", **one, **terms, "last_change": 1},
        {
            "kind": "site",
            "id": nmi,
            "nmi": nmi,
            "vpp": "one",
            "address": "1 King St",
            "capacity_kwh": "13.5",
            "region": "VIC1",
            "channels": "all",
            "last_change": 3,
        },
        {
            "kind": "battery",
            "id": "S1",
            "nmi": nmi,
            "manufacturer": "Tesla",
            "capacity_kwh": "13.5",
            "last_change": 4,
        },
    ]
    rows = listed(folder, log, date(2025, 9, 20))
    assert [
        (row["kind"], row["id"], row.get("vpp"), row.get("nmi"), row["last_change"]) for row in rows
    ] == [
        ("vpp", "one", "one", None, 1),
        ("vpp", "two", "two", None, 2),
        ("site", nmi, None, nmi, 8),
        ("battery", "S1", None, None, 7),
        ("battery", "S2", None, nmi, 5),
    ]
    assert (rows[2]["capacity_kwh"], rows[2]["region"], rows[2]["channels"]) == (
        "10",
        "SA1",
        "B1 E1",
    )
    assert listed(folder, [], date(2025, 9, 9)) == []


def expected(log: Iterable[Change], day: date) -> Iterator[Row]:
    """Yield what the registry that takes in changes says of a day, in order of kind and id."""
    registry = Registry(log, TODAY)
    capacity: dict[str, Decimal] = {}
    found: dict[str, list[Row]] = {"vpp": [], "site": [], "battery": []}
    for kind in ("battery", "site", "vpp"):
        for id in registry.entities(kind):
            facts = {
                attribute: [fact for fact in timeline if fact[0] <= day][-1:]
                for attribute, timeline in registry._timelines[kind, id].items()
            }
            if not any(facts.values()):
                continue
            row = {
                attribute: format(value, "f") if isinstance(value, Decimal) else value
                for attribute, of in facts.items()
                for _, _, value in of
                if value is not None
            }
            row |= {
                "kind": kind,
                "id": id,
                "last_change": max(f[0][1] for f in facts.values() if f),
            }
            if kind == "battery" and "nmi" in row:
                kwh = Decimal(row["capacity_kwh"])
                capacity[row["nmi"]] = capacity.get(row["nmi"], Decimal(0)) + kwh
            if kind == "site":
                kwh = capacity.get(id, Decimal(0))
                region = {"region": default_region(id)} if default_region(id) else {}
                row = {"channels": "all", **region, **row, "nmi": id}
                row["capacity_kwh"] = format(kwh.normalize() if kwh else kwh, "f")
            if kind == "vpp":
                row["vpp"] = id
            found[kind].append(row)
    for rows in found.values():
        yield from sorted(rows, key=lambda row: str(row["id"]))


@settings(deadline=None, max_examples=30)
@given(histories(), st.data())
def test_any_day_of_any_history_is_listed_as_the_registry_has_it(
    folder: Path, changes: list[Json], data: st.DataObject
) -> None:
    log = recorded(changes)
    known = data.draw(st.integers(0, len(changes)), label="hours known")
    day = data.draw(st.dates(date(2025, 7, 1), date(2025, 11, 30)), label="day")
    assert listed(folder, log, day) == list(expected(log, day))
    seen = [change for change in log if change.recorded_at and change.recorded_at <= hour(known)]
    assert listed(folder, log, day, hour(known)) == list(expected(seen, day))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_no_text_is_a_formula_and_all_of_it_comes_back(text: str) -> None:
    [_, row] = csv.reader(
        io.StringIO(to_csv(pl.DataFrame({"kind": ["site"], "id": [text]})).decode(), newline="")
    )
    assert row[1] in (text, f"'{text}")
    assert row[1][:1] not in {"=", "+", "-", "@", "\t", "\r"}


def test_attributes_have_their_own_values_in_whatever_order_they_are_asked_for(
    folder: Path,
) -> None:
    log, columns = folder / "terms.jsonl", folder / "terms.parquet"
    [created] = recorded([{**CHANGES[0], "daily_fee_aud": "0.3"}])
    log.write_text(f"{created.line()}\n")
    to_columns(log, columns)
    parameters: dict[str, Any] = {
        "changes": [str(columns)],
        "as_of": hour(1),
        "last_seq": 1,
        "first_day": date(2025, 9, 1),
        "last_day": date(2025, 9, 30),
        "ids": None,
    }
    for names in (TERMS, TERMS[::-1]):
        with warehouse(folder) as connection:
            create_spans(connection, parameters)
            add_spans(connection, parameters, "vpp", *names)
            said = dict(connection.execute("select attribute, value from spans").fetchall())
        assert said["name"] == "One"
        assert (said["revenue_percentage"], said["daily_fee_aud"]) == ("20", "0.3")
