"""Rows of event files: each is an event with exact values, or has the first reason against it."""

from datetime import date
from decimal import Decimal
from itertools import product
from typing import Any, NamedTuple

import polars as pl
import pytest

from tasks.core.errors import Unreadable
from tasks.imports.event_rows import (
    BLANK,
    ENERGY,
    NO_EVENTS,
    NO_FAULTS,
    OPEN,
    REASONS,
    TARIFF,
    Faults,
    Sites,
    read_events,
    read_sites,
)
from tasks.imports.rejected_id import content_of, rejected_id
from tasks.imports.spool import COLUMNS
from tests.unit.imports.blocks import block_of

TIMEZONE = "Australia/Brisbane"

# What is in a field, and the value that it is read as, or the reason why it is not.
ENERGIES = [
    ("0", "0"),
    ("1.123456", "1.123456"),
    ("1.1234567", "energy"),
    ("1.1234560", "energy"),
    (".5", "0.5"),
    ("5.", "5"),
    (".", "energy"),
    (" 5 ", "5"),
    ("\t5\u00a0", "5"),
    ("+5", "5"),
    ("+ 5", "energy"),
    ("-0", "0"),
    ("-0.000000", "0"),
    ("-1", "energy_negative"),
    ("-0.000001", "energy_negative"),
    ("000000007", "7"),
    ("999999.5", "999999.5"),
    ("999999999.999999", "999999999.999999"),
    ("1000000000", "energy"),
    ("-1000000000", "energy"),
    ("NaN", "energy"),
    ("inf", "energy"),
    ("-Infinity", "energy"),
    ("1e3", "energy"),
    ("1E-3", "energy"),
    ('"1,234.5"', "energy"),
    ("1,234.5", "fields"),
    ("1 234.5", "energy"),
    ("1_000", "energy"),
    ("0x10", "energy"),
    ("5 kWh", "energy"),
    ("n/a", "energy"),
    ("\u0665", "energy"),  # Arabic-Indic 5
    ("\uff15", "energy"),  # fullwidth 5
]
TARIFFS = [
    ("0", "0"),
    ("-3.5", "-3.5"),
    ("-.5", "-0.5"),
    ("-5.", "-5"),
    ("+.5", "0.5"),
    ("-0", "0"),
    ("0.000001", "0.000001"),
    ("2.1234567", "tariff"),
    ("999999.999999", "999999.999999"),
    ("-999999.999999", "-999999.999999"),
    ("1000000", "tariff"),
    ("-1000000", "tariff"),
    ("0000007", "tariff"),
    ("NaN", "tariff"),
    ("-inf", "tariff"),
    ("1e3", "tariff"),
    ('"1,000"', "tariff"),
    ("--5", "tariff"),
    ("\u22125", "tariff"),  # a minus sign that is no hyphen
    ("\u0665", "tariff"),
    ("19.25c", "tariff"),
]
NMIS = [
    ("9999999999", "9999999999"),  # valid; whether anybody registered it is not asked here
    ("QAAAVZZZZZ", "QAAAVZZZZZ"),
    ("qaaavzzzzz", "QAAAVZZZZZ"),
    (" 6001000001 ", "6001000001"),
    ("20019857328", "2001985732"),
    ("qaaavzzzzz3", "QAAAVZZZZZ"),
    ("NBBBX111100", "NBBBX11110"),
    ("20019857327", "nmi_check_digit"),
    ("NBBBX111109", "nmi_check_digit"),
    ("2001985732A", "nmi"),
    ("600100000O", "nmi"),
    ("600100000I", "nmi"),
    ("600100000o", "nmi"),
    ("600100001", "nmi"),
    ("600100000123", "nmi"),
    ("60010 0001", "nmi"),
    ("6001-00001", "nmi"),
    ("600100000\u0661", "nmi"),  # Arabic-Indic 1
    ("2001985732\u0668", "nmi"),
    ("60010000\u00df", "nmi"),  # upper case would make it SS
    ("600100000\u017f", "nmi"),  # and this S
]
DATES = [
    ("2025-09-30", "2025-09-30"),
    ("2024-02-29", "2024-02-29"),
    (" 2025-09-30 ", "2025-09-30"),
    # Without an offset a date-time is market time.
    ("2025-09-30T00:00", "2025-09-30"),
    ("2025-09-30 23:55", "2025-09-30"),
    ("2025-09-30T23:59:59", "2025-09-30"),
    ("2025-09-30 23:59:59.999999999", "2025-09-30"),
    ('"2025-09-30T23:59:59,5"', "2025-09-30"),
    # With one it is brought to market time, UTC+10.
    ("2025-09-30T13:59:59Z", "2025-09-30"),
    ("2025-09-30T14:00:00Z", "2025-10-01"),
    ("2025-09-30 14:00Z", "2025-10-01"),
    ("2025-09-30T13:59:59.999Z", "2025-09-30"),
    ("2025-12-31T14:00:00.000Z", "2026-01-01"),
    ("2025-09-30T23:59:59+10:00", "2025-09-30"),
    ("2025-10-01T00:00:00+1000", "2025-10-01"),
    ("2025-10-01T00:59:59+11:00", "2025-09-30"),
    ("2025-10-01T00:29+10:30", "2025-09-30"),
    ("2025-09-30T08:59:59-05:00", "2025-09-30"),
    ("2025-09-30T09:00:00-05:00", "2025-10-01"),
    ("2025-09-30T09:00:00-0500", "2025-10-01"),
    ("2024-02-28T15:00Z", "2024-02-29"),
    ("2025-09-31", "date"),
    ("2025-02-29", "date"),
    ("2025-09-31T10:00:00Z", "date"),
    ("2025-13-01", "date"),
    ("2025-00-10", "date"),
    ("2025-9-1", "date"),
    ("20250901", "date"),
    ("30/09/2025", "date"),
    ("09/30/2025", "date"),
    ("30-09-2025", "date"),
    ("1759233600", "date"),
    ("2025-09-30T24:00", "date"),
    ("2025-09-30T24:00:00Z", "date"),
    ("2025-09-30T25:00", "date"),
    ("2025-09-30T23:60", "date"),
    ("2025-09-30T23:59:60", "date"),
    ("2025-09-30T", "date"),
    ("2025-09-30T10", "date"),
    ("2025-09-30T10:00 AM", "date"),
    ("2025-09-30T10:00:00+25:00", "date"),
    ("2025-09-30 AEST", "date"),
    ("-2025-09-30", "date"),
    ("yesterday", "date"),
    ("\u0662\u0660\u0662\u0665-09-30", "date"),  # Arabic-Indic 2025
    # Years that Python's dates do not have: such a day could be stored, but never read again.
    ("0000-01-01", "date"),
    ("9999-12-31T23:00:00-05:00", "date"),
]
VALUES = {"nmi": NMIS, "day": DATES, "energy": ENERGIES, "tariff": TARIFFS}
PLAIN = {
    "nmi": "6001000001",
    "day": "2025-09-01",
    "event_type": "Discharge",
    "energy": "1.5",
    "tariff": "25",
}
Event = tuple[str, date, bool, Decimal, Decimal]


class Read(NamedTuple):
    """What was read of lines, in their order."""

    events: pl.DataFrame
    bad: pl.DataFrame
    blank: int  # how many lines were no rows

    @property
    def reasons(self) -> list[tuple[int, str]]:
        return self.bad.select("line", "reason").rows()


def read(*texts: str | bytes, columns: tuple[str, ...] = COLUMNS) -> Read:
    sites = Sites()
    events, numbers, bad = read_events(block_of(*texts, columns=columns), TIMEZONE, sites)
    assert events.schema == NO_EVENTS.schema
    assert sites.nmis.gather(numbers).to_list() == events["nmi"].to_list()
    faults = Faults(2000)
    faults.add(bad)
    found = pl.concat(faults.found)
    assert found.schema == NO_FAULTS.schema
    rows = bad.filter(pl.col("reason") != BLANK)
    assert (found.height, faults.blank) == (rows.height, bad.height - rows.height)
    return Read(events, rows, faults.blank)


def row(**fields: str) -> str:
    return ",".join((PLAIN | fields).values()) + "\n"


def event(**fields: str) -> Event:
    of = PLAIN | fields
    is_discharge = of["event_type"] == "Discharge"
    energy, tariff = Decimal(of["energy"]), Decimal(of["tariff"])
    return of["nmi"], date.fromisoformat(of["day"]), is_discharge, energy, tariff


@pytest.mark.parametrize("good_rows_before", [0, 1000])
@pytest.mark.parametrize("field", VALUES)
def test_each_value_is_read_exactly_or_its_row_has_a_reason(
    field: str, good_rows_before: int
) -> None:
    """What is careful only where it must be is so for each row, whatever is around it."""
    before = [("", PLAIN[field])] * good_rows_before
    rows = [row()] * good_rows_before + [row(**{field: text}) for text, _ in VALUES[field]]
    found = read("".join(rows))
    expected = list(enumerate([value for _, value in [*before, *VALUES[field]]], 2))
    columns = ("line", "nmi", "day", "is_discharge", "energy_kwh", "tariff_cents_per_kwh")
    assert found.events.select(columns).rows() == [
        (line, *event(**{field: value})) for line, value in expected if value not in REASONS
    ]
    assert found.reasons == [(line, value) for line, value in expected if value in REASONS]


@pytest.mark.parametrize("field", VALUES)
def test_each_value_is_read_so_alone_too(field: str) -> None:
    for text, value in VALUES[field]:
        found = read(row(**{field: text}))
        assert [reason for _, reason in found.reasons] == [value] * (value in REASONS), text
        events = found.events.drop("source", "line", "second", "event_id", "rejected_id").rows()
        assert events == [] if value in REASONS else [event(**{field: value})], text


@pytest.mark.parametrize(("dtype", "whole_digits"), [(ENERGY, 9), (TARIFF, 6)])
def test_short_decimals_need_no_regex(dtype: pl.Decimal, whole_digits: int) -> None:
    """In few characters without an e, what Polars casts is just what is a plain decimal."""
    plain = rf"^[+-]?([0-9]{{1,{whole_digits}}}(\.[0-9]{{0,6}})?|\.[0-9]{{1,6}})$"
    alphabets = {4: "07.+- _,'x\t\u0665NaInf", 6: "07.+-", 7: "07.-"}
    for length, alphabet in alphabets.items():
        if length > whole_digits:
            continue
        texts = pl.Series(["".join(text) for text in product(alphabet, repeat=length)])
        is_number = texts.cast(dtype, strict=False).is_not_null()
        assert texts.filter(is_number != texts.str.contains(plain)).to_list() == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (row(nmi="O", day="x", event_type="x", energy="x", tariff="x"), "nmi"),
        (row(nmi="20019857327", day="x"), "nmi_check_digit"),
        (row(day="x", event_type="x", energy="-1"), "date"),
        (row(event_type="Export", energy="-1"), "event_type"),
        (row(energy="x", tariff="x"), "energy"),
        (row(energy="-1", tariff="x"), "energy_negative"),
        (row(nmi="O", tariff=""), "missing"),
        (row(nmi="O", tariff="25,x"), "fields"),
        ("6001000001\n", "missing"),
    ],
)
def test_of_several_faults_the_first_is_the_reason(text: str, reason: str) -> None:
    found = read(row() + text)
    assert found.reasons == [(3, reason)]
    assert (found.events.height, found.blank) == (1, 0)


@pytest.mark.parametrize("text", [",,,,\n", " , ,\t, , \n", "\n", "\r\n", ",,,,,,,\n"])
def test_a_line_of_nothing_is_no_row(text: str) -> None:
    found = read(row() + text * 3 + row())
    assert (found.reasons, found.events["line"].to_list(), found.blank) == ([], [2, 6], 3)


@pytest.mark.parametrize(
    ("bad", "columns", "why"),
    [
        (row(day="14/09/2025"), COLUMNS, REASONS["date"]),
        (row(tariff="25,x"), COLUMNS, REASONS["fields"]),
        (",,,,,REJ-A-1\n", (*COLUMNS, "REJECTED_ID"), "they are as they were when they were re"),
    ],
)
def test_a_file_with_too_many_rejected_rows_is_of_another_format(
    bad: str, columns: tuple[str, ...], why: str
) -> None:
    sites, faults = Sites(), Faults(5)
    _, _, five = read_events(block_of(bad * 5, columns=columns), TIMEZONE, sites)
    faults.add(five)
    with pytest.raises(Unreadable) as refused:
        faults.add(five[:1])
    assert str(refused.value).startswith(
        "of another format: more than 5 of its rows would be rejected (VPP_MAX_REJECTED_ROWS), "
        f"most of them since {why}"
    )


def test_every_reason_is_met() -> None:
    met = {value for table in VALUES.values() for _, value in table if value in REASONS}
    others = {"missing", "event_type", "interval_end", "corrects_nothing"}
    assert met | others == set(REASONS)


MOMENTS = {
    "2025-09-01": (1, None),
    "2025-09-01T00:00": (1, 0),
    "2025-09-01 23:59:59": (1, 86399),
    "2025-09-01T14:00:00Z": (2, 0),
    "2025-09-01T06:00+10": (None, None),
    "2025-09-01T06:00+10:00": (1, 21600),
    "2025-09-01T06:00:30.5-1000": (2, 7230),
}


def test_the_moment_of_an_event_is_read_with_its_day() -> None:
    found = read("".join(row(day=moment) for moment in MOMENTS))
    assert found.events.select(pl.col("day").dt.day(), "second").rows() == [
        moment for moment in MOMENTS.values() if moment[0]
    ]


def test_the_end_of_an_interval_at_midnight_belongs_to_the_day_before() -> None:
    columns = ("NMI", "INTERVAL_END", *COLUMNS[2:])
    ends = ("2025-09-01T00:05", "2025-09-02T00:00", "2025-09-01T14:00:00Z", "2025-09-01")
    found = read("".join(row(day=end) for end in ends), columns=columns)
    assert found.events.select(pl.col("day").dt.day(), "second").rows() == [
        (1, 300),
        (1, 86400),
        (1, 86400),
    ]
    assert found.reasons == [(5, "interval_end")]


def test_long_runs_of_a_date_are_read_like_single_ones() -> None:
    dates = ["2025-09-01", "2025-09-31", "2025-09-01T14:00Z", "", "2025-09-01"]
    found = read("".join(row(day=day) * 500 for day in dates))
    days = found.events["day"].dt.day().to_list()
    assert days == [1] * 500 + [2] * 500 + [1] * 500
    assert [reason for _, reason in found.reasons] == ["date"] * 500 + ["missing"] * 500


def test_a_row_has_the_source_and_the_line_that_it_came_from() -> None:
    found = read(row() + "\n" + row(), row(nmi="O") + row(), "", row(tariff="x"))
    assert found.events.select("source", "line").rows() == [(0, 2), (0, 4), (1, 3)]
    assert found.bad.select("source", "line", "reason").rows() == [
        (1, 2, "nmi"),
        (3, 2, "tariff"),
    ]
    assert found.blank == 1


def test_columns_stand_in_any_order_and_others_do_not_matter() -> None:
    columns = ("TARIFF", "NOTE", "EVENT_ID", "ENERGY", "NMI", "EVENT_TYPE", "DATE")
    text = '25,"a, b", e-1 ,1.5,6001000001,charge,2025-09-01\n25,,,1.5,6001000001,Charge,x\n'
    found = read(text, columns=columns)
    columns_read = ("nmi", "is_discharge", "energy_kwh", "event_id", "rejected_id")
    assert found.events.select(columns_read).rows() == [
        ("6001000001", False, Decimal("1.5"), "e-1", None)
    ]
    assert found.reasons == [(3, "date")]


def test_a_row_of_a_list_is_open_as_long_as_it_is_as_it_was() -> None:
    bad = ("6001000001", "2025-09-01", "Discharge", "x", "25")
    of_bad = rejected_id(content_of(bad), 1)
    lines = [
        (of_bad, *bad),
        (of_bad, *bad[:3], "y", "25"),
        (of_bad, *bad[:3], "1.5", "25"),
        (of_bad, "", "", "", "", ""),
        ("", *bad),
        ("", *bad[:3], "1.5", "25"),
    ]
    text = "".join(f"{','.join(line)}\n" for line in lines)
    found = read(text, columns=("REJECTED_ID", *COLUMNS))
    assert found.reasons == [(2, OPEN), (3, "energy"), (5, OPEN), (6, "energy")]
    assert found.events.select("line", "rejected_id").rows() == [(4, of_bad), (7, None)]


@pytest.mark.parametrize(
    "texts",
    [
        ["6001000001"] * 3,
        ["6001000001", "qaaavzzzzz3", "20019857327", "O", "", " 6001000001 "],
        ["60010000\u00df", "600100000\u0661"],
        [],
    ],
)
def test_sites_are_read_each_as_alone(texts: list[str]) -> None:
    expected = {**dict(NMIS), "6001000001": "6001000001", "O": "nmi", "": "nmi"}
    values: list[Any] = [expected[text] for text in texts]
    assert read_sites(pl.Series(texts, dtype=pl.String)).to_list() == [
        None if value in REASONS else value for value in values
    ]
    assert read_sites(pl.Series([*texts, None], dtype=pl.String))[-1] is None
