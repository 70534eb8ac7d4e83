"""Amounts come out of the database as whole numbers, exactly."""

from decimal import Decimal
from pathlib import Path

import pytest

from tasks.io.warehouse import frame, warehouse
from tasks.settlement.allocation import _whole

CENT = 10**20


@pytest.mark.parametrize(
    ("cents", "expected"),
    [
        ("0", 0),
        ("1", CENT),
        ("-1.5", -3 * CENT // 2),
        ("0.00000000000000000001", 1),
        ("-0.00000000000000000001", -1),
        ("999999999999999999.99999999999999999999", 10**38 - 1),
        ("-999999999999999999.99999999999999999999", 1 - 10**38),
    ],
)
def test_units_are_exact(tmp_path: Path, cents: str, expected: int) -> None:
    with warehouse(tmp_path) as connection:
        column = frame(connection, "select $cents::decimal(38, 20) as c", {"cents": Decimal(cents)})
    assert _whole(column["c"]) == [expected]
