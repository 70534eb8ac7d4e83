"""Months: how they are written, where they begin in market time, and which follow which."""

from datetime import UTC, date, datetime

import pytest

from tasks.core.errors import Refused
from tasks.core.month import Month

MARKET = "Australia/Brisbane"


@pytest.mark.parametrize(
    ("text", "first_day", "last_day", "days", "previous", "following"),
    [
        ("2025-09", date(2025, 9, 1), date(2025, 9, 30), 30, "2025-08", "2025-10"),
        ("2025-02", date(2025, 2, 1), date(2025, 2, 28), 28, "2025-01", "2025-03"),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29), 29, "2024-01", "2024-03"),
        ("2000-02", date(2000, 2, 1), date(2000, 2, 29), 29, "2000-01", "2000-03"),
        ("2025-12", date(2025, 12, 1), date(2025, 12, 31), 31, "2025-11", "2026-01"),
        ("2025-01", date(2025, 1, 1), date(2025, 1, 31), 31, "2024-12", "2025-02"),
    ],
)
def test_months(
    text: str, first_day: date, last_day: date, days: int, previous: str, following: str
) -> None:
    month = Month.parse(text)
    assert str(month) == text
    assert (month.first_day, month.last_day, month.days) == (first_day, last_day, days)
    assert (str(month.previous), str(month.next)) == (previous, following)
    assert month.previous < month < month.next


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025",
        "2025-9",
        "2025-13",
        "2025-00",
        "2025-09\n",
        " 2025-09",
        "2025-09-01",
        "2025/09",
        "25-09",
        "0025-09",
        "12025-09",
        "202509",
        "2025-O9",
        "\u0662\u0660\u0662\u0665-\u0660\u0669",  # Arabic-Indic 2025-09
        "September 2025",
    ],
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        Month.parse(text)
    assert str(refused.value) == (
        f"month: {text!r} is not a month; write it as YYYY-MM, like 2025-09"
    )


@pytest.mark.parametrize(
    ("moment", "month"),
    [
        ("2025-09-30T13:59:59.999999+00:00", "2025-09"),
        ("2025-09-30T14:00:00+00:00", "2025-10"),
        ("2025-12-31T14:00:00+00:00", "2026-01"),
        ("2025-10-01T00:30:00+11:00", "2025-09"),  # Sydney, in daylight saving
        ("2025-09-30T23:59:00+10:00", "2025-09"),
        ("2025-09-30T09:00:00-05:00", "2025-10"),
    ],
)
def test_a_moment_is_in_the_month_of_market_time(moment: str, month: str) -> None:
    assert str(Month.of(datetime.fromisoformat(moment), MARKET)) == month


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("2025-11", "2026-02", ["2025-11", "2025-12", "2026-01", "2026-02"]),
        ("2025-09", "2025-09", ["2025-09"]),
        ("2025-09", "2025-08", []),
    ],
)
def test_months_until(first: str, last: str, expected: list[str]) -> None:
    assert [str(month) for month in Month.parse(first).until(Month.parse(last))] == expected


@pytest.mark.parametrize("text", ["1000-01", "1998-11", "2999-12"])
def test_a_month_outside_of_the_market_is_refused(text: str) -> None:
    running = Month.of(datetime.now(UTC), MARKET)
    assert Month.parse_begun("1998-12", MARKET) < Month.parse_begun(str(running), MARKET)
    with pytest.raises(Refused) as refused:
        Month.parse_begun(text, MARKET)
    assert str(refused.value) == (
        f"month: {text} must be a month from 1998-12, when the market began, to the running one, "
        f"{running}"
    )
