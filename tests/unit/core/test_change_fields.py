"""The fields of a change: what they may hold, and the sentence for what they may not."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tasks.core.change_fields import day_of, moment_of, shown
from tasks.core.changes import parse_change
from tasks.core.errors import Refused
from tests.unit.core.registries import AT, Json, battery, site, vpp


@pytest.mark.parametrize(
    "day",
    [
        *(0, 1, 20250901, 1.5, True, "0", "", "2025-9-1", "20250901", "01/09/2025", AT),
        *("2025-09-01T00:00:00", "2025-09-01 ", "\uff12025-09-01", "2025-W36-1"),
    ],
)
def test_a_day_is_a_date_or_yyyy_mm_dd_and_nothing_else(day: Any) -> None:
    with pytest.raises(
        Refused, match=r"^effective_from: must be a day written as YYYY-MM-DD, like"
    ):
        parse_change(vpp("x", effective_from=day))


@pytest.mark.parametrize("day", ["1899-12-31", "2100-01-01", "0001-01-01", "9999-12-31"])
def test_a_day_is_of_this_age(day: str) -> None:
    with pytest.raises(Refused, match="must be a day from 1900-01-01 to 2099-12-31"):
        parse_change(vpp("x", effective_from=day))


@pytest.mark.parametrize(
    "number",
    [
        *("1_0", "1e1", "1E+1", " 10", "10 ", ".5", "5.", "+5", "\uff11", "0x10", "1,5", "", "-"),
        *(True, float("inf"), float("nan"), Decimal("NaN"), None, [1], "1" * 41),
    ],
)
def test_a_number_is_written_in_plain_digits(number: Any) -> None:
    with pytest.raises(
        Refused, match=r"^capacity_kwh: must be a number in plain digits, like 13.5"
    ):
        parse_change(battery("S9", "6001000001", number))


@pytest.mark.parametrize(
    ("number", "text"),
    [("007.50", "7.50"), (0.1, "0.1"), (1e-05, "0.00001"), (13, "13"), (Decimal("1E+1"), "10")],
)
def test_a_number_is_taken_as_it_is(number: Any, text: str) -> None:
    line = parse_change(battery("S9", "6001000001", number)).line()
    assert json.loads(line)["capacity_kwh"] == text


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (vpp("A\nB"), "name: must not hold the character U+000A, which is a line break or is not "
         "shown (character 2); leave it out"),
        (site("6001000003", "One", address="1 King\u2028St"), "address: must not hold the "
         "character U+2028"),
        (battery("S\x00", "6001000001"), "serial: must not hold the character U+0000"),
        (battery("S", "6001000001", manufacturer="a\u202eb"), "manufacturer: must not hold the "
         "character U+202E"),
        (vpp("A" * 101), "name: must have at most 100 characters, not 101"),
        (vpp("A", vpp="a" * 101), "vpp: must have at most 100 characters, not 101"),
        (battery("S" * 101, "6001000001"), "serial: must have at most 100 characters, not 101"),
        (site("6001000003", "One", address="x" * 501), "address: must have at most 500 characters"),
        (site("6" * 10_000, "One"), "nmi: an NMI has 10 or 11 characters, not 10000"),
        (vpp("x", charge_events="y" * 10_000), "charge_events: must be 'cost' or 'revenue' (given: "
         "'" + "y" * 59 + "...)"),
    ],
)  # fmt: skip
def test_text_is_short_and_of_characters_that_are_seen(fields: Json, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_change(fields)
    assert str(refused.value).startswith(sentence)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("given", "channels"),
    [("b1, e1", "B1 E1"), ("E1;E2 E1", "E1 E2"), (" ALL ", "all"), ("B1", "B1"), ("all", "all")],
)
def test_channels_are_suffixes_in_order(given: str, channels: str) -> None:
    change = parse_change(site("6001000003", "One", channels=given))
    assert change.facts()["channels"] == channels


@pytest.mark.parametrize("channels", ["", "Q1", "E", "E1 B", "all E1", "E1|B1", "A1", "NET"])
def test_other_channels_are_refused(channels: str) -> None:
    with pytest.raises(Refused, match=r"^channels: must be 'all', or NMI suffixes like 'E1 B1'"):
        parse_change(site("6001000003", "One", channels=channels))


def test_a_region_is_one_of_the_five() -> None:
    with pytest.raises(Refused, match=r"^region: must be 'NSW1', 'QLD1', 'VIC1', 'SA1' or 'TAS1'"):
        parse_change(site("6001000003", "One", region="NSW"))


@pytest.mark.parametrize(
    ("value", "day"),
    [
        (None, None),
        ("", None),
        ("2025-09-01", date(2025, 9, 1)),
        (date(2025, 9, 1), date(2025, 9, 1)),
        ("2024-02-29", date(2024, 2, 29)),
    ],
)
def test_a_day_that_is_asked_for(value: Any, day: date | None) -> None:
    assert day_of("day", value) == day


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("2025-02-29", "day: must be a day that the calendar has (given: '2025-02-29')"),
        ("01/09/2025", "day: must be a day written as YYYY-MM-DD, like 2025-09-01 (given: '01/09/"),
        ("1899-12-31", "day: must be a day from 1900-01-01 to 2099-12-31 (given: '1899-12-31')"),
    ],
)
def test_a_day_that_cannot_be_names_its_field(value: str, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        day_of("day", value)
    assert str(refused.value).startswith(sentence)


def test_a_moment_without_an_offset_is_market_time() -> None:
    zone = "Australia/Brisbane"
    local = moment_of("as_of", datetime(2025, 9, 30, 23, 59), zone)  # noqa: DTZ001
    assert local is not None
    assert local.isoformat() == "2025-09-30T23:59:00+10:00"
    utc = datetime(2025, 9, 30, tzinfo=UTC)
    assert moment_of("as_of", utc, zone) is utc
    assert moment_of("as_of", None, zone) is None


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1900, 12, 31, tzinfo=UTC),
        datetime(2100, 1, 1, tzinfo=UTC),
        datetime.now(UTC) + timedelta(hours=1),
    ],
    ids=["before", "after", "not yet"],
)
def test_nothing_was_recorded_by_a_moment_that_cannot_be(moment: datetime) -> None:
    """Of one that is not yet, another run would see other changes."""
    with pytest.raises(Refused, match=r"^as_of: must be a moment from 1901 to now$"):
        moment_of("as_of", moment, "Australia/Brisbane")


def test_a_long_value_is_cut_where_it_is_shown() -> None:
    assert shown("a'b") == '"a\'b"'
    assert shown("x" * 58) == repr("x" * 58)
    assert shown("x" * 59) == "'" + "x" * 59 + "..."
