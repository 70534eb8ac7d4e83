"""Sums of days: exact, in order, and the same however they are put together."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tasks.imports.daily_sums import DailySums, key_events
from tasks.imports.event_rows import Sites, read_events
from tests.unit.imports.blocks import block_of

TEXTS = [
    "qaaavzzzzz,2025-09-01T10:00,Charge,1.5,-2\nQAAAVZZZZZ3,2025-09-01,Charge,2,-3\n",
    "6001000001,1900-01-01T00:05,Discharge,999999999.999999,999999.999999\n" * 3,
    "6001000001,2199-12-31T23:59:59,Discharge,0.000001,-0.000001\n",
    "QAAAVZZZZZ,2025-09-01T23:00,Charge,0,0\n",
]
GREATEST = Decimal("999999999.999999")
EXPECTED = [
    ("6001000001", date(1900, 1, 1), True, False, 3, GREATEST * 3, 300, 300),
    ("6001000001", date(2199, 12, 31), True, True, 1, Decimal("0.000001"), 86399, 86399),
    ("QAAAVZZZZZ", date(2025, 9, 1), False, False, 1, Decimal(0), 82800, 82800),
    ("QAAAVZZZZZ", date(2025, 9, 1), False, True, 2, Decimal("3.5"), 0, 86400),
]
VALUES = ["2999999999996997.000000000003", "-0.000000000001", "0", "-9"]


@pytest.mark.parametrize(("added", "held"), [(1 << 20, 1 << 20), (1, 1 << 20), (1, 1), (2, 3)])
def test_sums_are_exact_however_they_are_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, added: int, held: int
) -> None:
    """All at once, merged on the way, and out of memory."""
    monkeypatch.setattr("tasks.imports.daily_sums._MOST_ADDED", added)
    monkeypatch.setattr("tasks.imports.daily_sums._MOST_SUMS", held)
    sites = Sites()
    with ThreadPoolExecutor(2) as pool:
        sums = DailySums(tmp_path, pool)
        for text in TEXTS:
            events, numbers, _ = read_events(block_of(text), "Australia/Brisbane", sites)
            sums.add(key_events(events, numbers), sites.nmis)
        counts = sums.write(sites.nmis, tmp_path / "daily.parquet")
    daily = pl.read_parquet(tmp_path / "daily.parquet")
    assert daily.drop("source", "value_cents").rows() == EXPECTED
    assert daily["value_cents"].to_list() == [Decimal(value) for value in VALUES]
    assert daily.schema["value_cents"] == pl.Decimal(38, 12)
    assert daily.schema["energy_kwh"] == pl.Decimal(38, 6)
    assert counts.sort("day").rows() == [
        (0, date(1900, 1, 1), 3),
        (0, date(2025, 9, 1), 3),
        (0, date(2199, 12, 31), 1),
    ]


def test_nothing_is_summed_to_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        sums = DailySums(tmp_path, pool)
        assert sums.write(pl.Series([], dtype=pl.String), tmp_path / "daily.parquet").is_empty()
    assert pl.read_parquet(tmp_path / "daily.parquet").is_empty()
