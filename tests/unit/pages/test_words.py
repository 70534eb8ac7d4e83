"""Money, energy and names as people in Australia read them; and where bars begin and end."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tasks.pages import words
from tasks.pages.figures import Step, columns, waterfall


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (Decimal("0"), "$0.00"),
        (Decimal("1234.5"), "$1,234.50"),
        (Decimal("-1.43"), f"{words.MINUS}$1.43"),
        (1234567.89, "$1,234,567.89"),
        (None, "none"),
    ],
)
def test_an_amount(amount: Decimal | float | None, expected: str) -> None:
    assert words.aud(amount) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (1.0, 2.5, "+$1.50"),
        (2.5, 1.0, f"{words.MINUS}$1.50"),
        (None, 3.0, "+$3.00"),
        (1.0, 1.0, "$0.00"),
    ],
)
def test_a_change(before: float | None, after: float | None, expected: str) -> None:
    assert words.change(before, after) == expected


def test_other_words() -> None:
    assert words.kwh(Decimal("1234.56")) == "1,234.6"
    assert words.plain(Decimal("22.50")) == "22.5"
    assert words.plain(20.0) == "20"
    assert words.plain(100) == "100"
    assert words.count(1, "site") == "1 site"
    assert words.count(1200, "site") == "1,200 sites"
    assert words.month_name("2025-09") == "September 2025"
    assert words.moment(datetime(2025, 10, 2, 6, 5, tzinfo=UTC)) == "2 October 2025, 06:05 UTC"
    assert words.clipped("x" * 90) == "x" * 90
    assert words.clipped("x" * 91) == "x" * 89 + "…"
    assert words.without_directions("a\u202eb\nc\u200f d") == "abc d"


def test_a_waterfall_ends_where_it_adds_up_to() -> None:
    steps = waterfall(
        [
            Step("revenue", Decimal(100), "total", is_sum=True),
            Step("fee", Decimal(-120), "vpp"),
            Step("sites", Decimal(-20), "sites", is_sum=True),
        ]
    )
    assert [(step.start, step.width) for step in steps] == [(167, 833), (0, 1000), (0, 167)]


def test_columns_stack_up_and_down_from_zero() -> None:
    chart = columns(
        [[("a", Decimal(30)), ("b", Decimal(10)), ("c", Decimal(-10))], [("a", Decimal(0))]]
    )
    assert (chart.highest, chart.lowest, chart.zero) == (Decimal(40), Decimal(-10), 800)
    assert [(s.kind, s.top, s.height) for s in chart.columns[0]] == [
        ("a", 200, 600),
        ("b", 0, 200),
        ("c", 800, 200),
    ]
    assert chart.columns[1] == []
    assert columns([]).zero == 0
