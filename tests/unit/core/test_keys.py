"""Keys: where everything is on S3, letter for letter, since others rely on it."""

import inspect
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from tasks.core import keys
from tasks.core.month import Month

MONTH = Month(2025, 9)
NMI = "6001000001"
MOMENT = datetime(2025, 10, 1, 6, 30, 15, 999_999, tzinfo=timezone(timedelta(hours=10)))

KEYS: list[tuple[Any, tuple[Any, ...], str]] = [
    (keys.registry_segment, (1,), "registry/changes.jsonl"),
    (keys.registry_segment, (4001,), "registry/changes/000000004001.jsonl"),
    (keys.registry_columns, (1, "0f-1e"), "registry/changes/000000000001-0f-1e.parquet"),
    (keys.registry_list, (date(2025, 9, 1),), "registry/lists/2025-09-01.csv"),
    (
        keys.registry_list,
        (date(2025, 9, 1), MOMENT),
        "registry/lists/2025-09-01-as-of-20250930T203015Z.csv",
    ),
    (keys.import_part, ("0f", "daily.parquet"), "imports/0f/daily.parquet"),
    (keys.rejected_rows, (MONTH,), "rejected/2025-09.csv"),
    (keys.month_record, (MONTH,), "months/2025-09.json"),
    (keys.reports, (MONTH,), "reports/2025-09/"),
    (keys.report, (MONTH, "one"), "reports/2025-09/one.json"),
    (keys.report, (MONTH, "one", 12), "reports/2025-09/one/r12.json"),
    (keys.difference, (MONTH, "one", 12), "reports/2025-09/one/r12.diff.json"),
    (keys.run_records, (), "runs/"),
    (keys.run_records, ("2025-09/",), "runs/2025-09/"),
    (keys.run_record, (MONTH, MOMENT, "id"), "runs/2025-09/20250930T203015Z-id.json"),
    (keys.dispute_bundle, ("2025-09", "one", NMI, 2), f"disputes/2025-09/one/{NMI}-r2.zip"),
    (keys.month_tables, (MONTH,), "tables/2025-09.duckdb"),
    (keys.statements_index, (), "statements/index.html"),
    (keys.statements_index, (None, "json"), "statements/index.json"),
    (keys.statements_index, (MONTH,), "statements/2025-09/index.html"),
    (keys.vpp_statement, (MONTH, "one", 2), "statements/2025-09/one/r2.html"),
    (keys.site_statement, (MONTH, "one", NMI, 2), f"statements/2025-09/one/sites/{NMI}-r2.html"),
    (
        keys.site_statement,
        (MONTH, "one", NMI, 2, "pdf"),
        f"statements/2025-09/one/sites/{NMI}-r2.pdf",
    ),
    (keys.site_statements, (MONTH, "one", 2, "pdf"), "statements/2025-09/one/sites-pdf-r2.zip"),
    (
        keys.results_table,
        ("site_days", MONTH),
        "results/site_days/month=2025-09/site_days.parquet",
    ),
    (keys.results_workbook, (MONTH,), "results/workbooks/2025-09.xlsx"),
    (keys.results_payments, (MONTH,), "results/payments/2025-09.csv"),
]


@pytest.mark.parametrize(("function", "arguments", "key"), KEYS)
def test_each_thing_has_its_place(function: Any, arguments: tuple[Any, ...], key: str) -> None:
    assert function(*arguments) == key


def test_no_function_is_forgotten() -> None:
    ours = {
        function
        for _, function in inspect.getmembers(keys, inspect.isfunction)
        if function.__module__ == keys.__name__
    }
    assert {function for function, _, _ in KEYS} == ours


def test_records_of_runs_are_in_the_order_of_their_beginnings() -> None:
    """A listing is in key order, and the newest run is the last of it."""
    moments = [
        datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC) + timedelta(seconds=n) for n in (0, 1)
    ]
    first, second = (keys.run_record(MONTH, moment, "x") for moment in moments)
    assert first < second
