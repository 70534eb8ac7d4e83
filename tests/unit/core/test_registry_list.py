"""The registry on a day, as rows and as CSV."""

import csv
import io
from datetime import UTC, date, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tasks.core.changes import parse_change
from tasks.core.registry import Registry
from tasks.core.registry_list import Row, rows_on, to_csv

AT = datetime(2025, 8, 30, tzinfo=UTC)


def registry(*changes: dict[str, Any]) -> Registry:
    known = Registry(today=date(2025, 8, 30))
    for change in changes:
        known.add(parse_change(change), AT, "test")
    return known


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


def test_each_day_has_its_rows() -> None:
    known = registry(*CHANGES)
    one = {"name": "One", "vpp": "one", "revenue_percentage": "20", "daily_fee_aud": "0"}
    terms = {"charge_events": "cost", "negative_balances": "site"}
    site = {"nmi": "6001000001", "address": "1 King St"}
    assert rows_on(known, date(2025, 9, 9)) == [
        Row("vpp", "one", **one, **terms, last_change=1),
        Row(
            "site",
            "6001000001",
            **site,
            vpp="one",
            capacity_kwh="13.5",
            region="VIC1",
            channels="all",
            last_change=3,
        ),
        Row(
            "battery",
            "S1",
            nmi="6001000001",
            manufacturer="Tesla",
            capacity_kwh="13.5",
            last_change=4,
        ),
    ]
    rows = rows_on(known, date(2025, 9, 20))
    assert [(row.kind, row.id, row.vpp, row.nmi, row.last_change) for row in rows] == [
        ("vpp", "one", "one", "", 1),
        ("vpp", "two", "two", "", 2),
        ("site", "6001000001", "", "6001000001", 8),
        ("battery", "S1", "", "", 7),
        ("battery", "S2", "", "6001000001", 5),
    ]
    assert (rows[2].capacity_kwh, rows[2].region, rows[2].channels) == ("10", "SA1", "B1 E1")
    assert rows_on(registry(), date(2025, 9, 9)) == []


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_no_text_is_a_formula_and_all_of_it_comes_back(text: str) -> None:
    [_, row] = csv.reader(io.StringIO(to_csv([Row("site", text)]).decode(), newline=""))
    assert row[1] in (text, f"'{text}")
    assert row[1][:1] not in {"=", "+", "-", "@", "\t", "\r"}
