"""One record of NEM12 at a time: what a 200, 300 or 400 row says, or why it says nothing."""

from dataclasses import dataclass
from datetime import date, datetime

import pytest

from tasks.imports.nem12 import IGNORED, REASONS
from tasks.imports.nem12_records import (
    NO_CHANNEL,
    Channel,
    Day,
    Run,
    cells_of,
    quality_text,
    read_channel,
    read_day,
    read_run,
    read_version,
)

CREATED = datetime.fromisoformat("2026-04-01T09:00")
CHANNEL = Channel("6001000001", "E1", "1", "M1", "KWH", 30, None, None)


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ("300, a ,,b\t", ["300", "a", "", "b"]),
        ('300,"a, ""b""",c\r', ["300", 'a, "b"', "c"]),
        ("\ufeff100,NEM12", ["100", "NEM12"]),
        ('300,"a', ["300", "a"]),
        ("", [""]),
    ],
)
def test_cells(line: str, cells: list[str]) -> None:
    assert cells_of(line) == cells


@pytest.mark.parametrize(
    ("line", "channel"),
    [
        (
            "200,6001000001,E1B1,1,e1,N1,M1,kWh,30,20260501",
            ("6001000001", "E1", "1", "M1", "KWH", 30, None, None),
        ),
        ("200,qaaavzzzzz3,,,B1,,,Wh,5", ("QAAAVZZZZZ", "B1", "", "", "WH", 5, None, None)),
        # What is none of ours is no fault, whatever else is wrong with it.
        ("200,O,,1,Q1,N1,M1,kvarh,7,", (None, "Q1", "1", "M1", "KVARH", 7, None, "suffix")),
        ("200,6001000001,,1,E1,N1,M1,kvar,30", ("6001000001", "E1", "1", "M1", "KVAR", 30, None,
                                                 "unit")),
        ("200,O,,1,E1,N1,M1,kWh,30", (None, "E1", "1", "M1", "KWH", 30, "nmi", None)),
        ("200,20019857327,,1,E1,N1,M1,kWh,30", (None, "E1", "1", "M1", "KWH", 30,
                                                 "nmi_check_digit", None)),
        ("200,6001000001,,1,1E,N1,M1,kWh,30", ("6001000001", "1E", "1", "M1", "KWH", 30, "suffix",
                                                None)),
        ("200,6001000001,,1,E1,N1,M1,joule,30", ("6001000001", "E1", "1", "M1", "JOULE", 30, "unit",
                                                  None)),
        ("200,6001000001,,1,E1,N1,M1,kWh,10", ("6001000001", "E1", "1", "M1", "KWH", 10, "length",
                                                None)),
        ("200", (None, None, "", "", "", 0, "nmi", None)),
    ],
)  # fmt: skip
def test_a_channel(line: str, channel: tuple[object, ...]) -> None:
    found = read_channel(line)
    assert found == Channel(*channel)  # type: ignore[arg-type]
    assert found.fault is None or found.fault in REASONS
    assert found.ignored is None or found.ignored in IGNORED
    assert NO_CHANNEL.fault in REASONS


@pytest.mark.parametrize(
    ("line", "run"),
    [
        ("400,1,48,A,,", Run(1, 48, "A")),
        ('400,"1",20,s14,79,', Run(1, 20, "S14")),
        ("400,1,48,V", None),  # it says that others say it
        ("400,1,48,X", None),
        ("400,,48,A", None),
        ("400,1,-2,A", None),
        ("400,1,48", None),
    ],
)
def test_a_run_of_one_quality(line: str, run: Run | None) -> None:
    assert read_run(line) == run


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("20260302120059", "2026-03-02T12:00:59"),
        ("202603021200", "2026-03-02T12:00"),
        ("20260302", None),
        ("20260230120000", None),
        ("20260302240000", None),
        ("30260302120000", None),
        ("", None),
    ],
)
def test_a_version(text: str, version: str | None) -> None:
    assert read_version(text) == (version and datetime.fromisoformat(version))


@dataclass
class Row:
    """A 300 row of 48 values, and what is put in their place."""

    first: str = "1.5"
    rest: str = "1"
    count: int = 48
    quality: str = "A"
    version: str = "20260302120000"
    on: str = "20260301"

    @property
    def line(self) -> str:
        values = ",".join([self.first, *[self.rest] * (self.count - 1)])
        return f"300,{self.on},{values},{self.quality},,,{self.version},20260303000000"


def test_a_day_is_read_in_whole_micro_kwh() -> None:
    day, reason, on = read_day(Row(first=".5", rest="1.000001").line, CHANNEL, CREATED, [])
    assert (reason, on) == ("", date(2026, 3, 1))
    assert day == Day(
        date(2026, 3, 1),
        datetime.fromisoformat("2026-03-02T12:00"),
        "A",
        (48, 0, 0, 0, 0),
        [500_000, *[1_000_001] * 47],
    )


@pytest.mark.parametrize(
    ("unit", "text", "micro_kwh"),
    [
        ("WH", "0.001", 1),
        ("KWH", "0.000001", 1),
        ("MWH", "0.000000001", 1),
        ("KWH", "007.500000000", 7_500_000),
        ("KWH", "5.", 5_000_000),
        ("KWH", "999999999.999999", 10**15 - 1),
        ("KWH", "", None),
    ],
)
def test_values_in_each_unit(unit: str, text: str, micro_kwh: int | None) -> None:
    day, _, _ = read_day(Row(first=text).line, CHANNEL._replace(unit=unit), CREATED, [])
    assert day is not None
    assert day.micro_kwh[0] == micro_kwh
    assert day.counts == (48 - (micro_kwh is None), 0, 0, 0, int(micro_kwh is None))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (Row(on="20260229"), "date"),
        (Row(on="2026-03-01"), "date"),
        (Row(count=47), "count"),
        (Row(count=49), "count"),
        (Row(quality="X"), "quality"),
        (Row(quality=""), "quality"),
        (Row(quality="V"), "quality_rows"),
        (Row(version="20260230120000"), "version"),
        (Row(first="0.0000001"), "decimals"),
        (Row(first="-1"), "negative"),
        (Row(first="-."), "value"),
        (Row(first="."), "value"),
        (Row(first="1e3"), "value"),
        (Row(first="x"), "value"),
        (Row(first="1000000000"), "size"),
        (Row(first="1" * 16), "size"),
    ],
)
def test_a_day_that_cannot_be_imported_has_a_reason(row: Row, reason: str) -> None:
    day, found, on = read_day(row.line, CHANNEL, CREATED, [])
    assert (day, found) == (None, reason)
    assert reason in REASONS
    assert on == (None if reason == "date" else date(2026, 3, 1))


def test_a_day_without_its_own_version_has_that_of_its_block() -> None:
    day, _, _ = read_day(Row(version="").line, CHANNEL, CREATED, [])
    assert day is not None
    assert day.version == CREATED
    short = ",".join(Row().line.split(",")[:51])
    assert read_day(short, CHANNEL, CREATED, [])[0] == day


@pytest.mark.parametrize(
    ("quality", "runs", "text", "counts"),
    [
        ("V", [Run(1, 20, "F14"), Run(21, 48, "A")], "1-20 F14;21-48 A", (28, 0, 20, 0, 0)),
        ("V", [Run(21, 48, "A"), Run(1, 20, "S14")], "1-20 S14;21-48 A", (28, 20, 0, 0, 0)),
        ("A", [Run(48, 48, "E52")], "A;48-48 E52", (47, 0, 0, 1, 0)),
        # N: there is none, whatever value stands there.
        ("V", [Run(1, 47, "A"), Run(48, 48, "N")], "1-47 A;48-48 N", (47, 0, 0, 0, 1)),
        ("N", [], "N", (0, 0, 0, 0, 48)),
    ],
)
def test_each_interval_has_its_quality(
    quality: str, runs: list[Run | None], text: str, counts: tuple[int, ...]
) -> None:
    day, reason, _ = read_day(Row(quality=quality).line, CHANNEL, CREATED, runs)
    assert reason == ""
    assert day is not None
    assert (day.quality, day.counts) == (text, counts)
    assert sum(value is None for value in day.micro_kwh) == counts[-1]


@pytest.mark.parametrize(
    "runs",
    [
        [Run(1, 47, "A")],
        [Run(1, 24, "A"), Run(24, 48, "A")],
        [Run(0, 48, "A")],
        [Run(1, 49, "A")],
        [Run(30, 20, "A")],
        [None, Run(1, 48, "A")],
    ],
)
def test_runs_that_do_not_fit_cost_the_day(runs: list[Run | None]) -> None:
    """Each interval is named once under V; elsewhere at most once."""
    day, reason, _ = read_day(Row(quality="V").line, CHANNEL, CREATED, runs)
    assert (day, reason) == (None, "quality_rows")


def test_quality_in_words_is_in_the_order_of_the_day() -> None:
    assert quality_text("A", [Run(40, 48, "E"), Run(1, 2, "S")]) == "A;1-2 S;40-48 E"
    assert quality_text("V", []) == ""
