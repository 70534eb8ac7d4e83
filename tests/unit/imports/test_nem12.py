"""NEM12: what becomes of every row, and a decision for each quirk that is met in the wild."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from tasks.core.errors import Unreadable
from tasks.core.settings import Settings
from tasks.imports import nem12, nem12_structure
from tasks.imports.limits import require_text
from tasks.imports.nem12 import (
    IGNORED,
    READINGS_SCHEMA,
    REASONS,
    REJECTED_SCHEMA,
    Nem12Import,
    import_nem12,
    quality_of_interval,
)

STORED = datetime(2026, 4, 2, 0, 30, tzinfo=UTC)  # 10:30 in market time
HEADER = "100,NEM12,202604010900,MDP,RETAILER"
VERSION = "20260302120000"


def channel(
    suffix: str = "E1",
    nmi: str = "6001000001",
    unit: str = "kWh",
    minutes: str = "30",
    serial: str = "M1",
    register: str = "1",
) -> str:
    return f"200,{nmi},E1B1,{register},{suffix},N1,{serial},{unit},{minutes},20260501"


def day(
    value: str = "1.5",
    count: int = 48,
    on: str = "20260301",
    tail: str = f"A,,,{VERSION},20260303000000",
) -> str:
    return f"300,{on},{','.join([value] * count)},{tail}"


class Read(NamedTuple):
    """What an import gave, with the readings as dictionaries."""

    result: Nem12Import
    readings: list[dict[str, Any]]

    @property
    def kwh(self) -> dict[str, float]:
        kwh: dict[str, float] = {}
        for reading in self.readings:
            micro = sum(value or 0 for value in reading["micro_kwh"])
            kwh[reading["suffix"]] = kwh.get(reading["suffix"], 0) + micro / 10**6
        return kwh

    @property
    def reasons(self) -> list[tuple[str, int, str]]:
        return self.result.rejected.select("record", "line", "reason").rows()


Reader = Callable[..., Read]


@pytest.fixture(params=["quick", "slow"])
def read(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Reader:
    """Return what imports lines: once with the quick way for clean rows, once without it."""
    monkeypatch.setattr(nem12, "_IS_QUICK", request.param == "quick")

    def read_lines(*lines: str, end: str = "\n", data: bytes | None = None) -> Read:
        path, readings = tmp_path / "file.csv", tmp_path / "readings.parquet"
        path.write_bytes("".join(line + end for line in lines).encode() if data is None else data)
        require_text(path, "meter-data/file.csv", Settings())
        result = import_nem12(path, "meter-data/file.csv", STORED, readings, 7)
        found = pl.read_parquet(readings)
        assert found.schema == pl.Schema(READINGS_SCHEMA)
        assert result.rejected.schema == pl.Schema(REJECTED_SCHEMA)
        assert set(result.rejected["reason"]) <= set(REASONS)
        assert set(result.ignored) <= set(IGNORED)
        rejected = result.rejected.filter(pl.col("record") == "300").height
        assert result.rows == result.imported + sum(result.ignored.values()) + rejected
        assert result.imported == found.height
        counts = found.select("actual", "substituted", "final", "estimated", "missing")
        intervals = found.select(1440 // pl.col("interval_minutes").cast(pl.Int64)).to_series()
        assert (counts.sum_horizontal().cast(pl.Int64) == intervals).all()
        assert (found["micro_kwh"].list.len() == intervals).all()
        return Read(result, found.sort("line").to_dicts())

    return read_lines


def test_a_day_as_it_should_be(read: Reader) -> None:
    values = [f"{number}.{number:03d}" for number in range(96)]
    got = read(HEADER, channel(minutes="15"), f"300,20260301,{','.join(values)},S14,,,{VERSION},")
    assert got.readings == [
        {
            "source": 7,
            "line": 3,
            "nmi": "6001000001",
            "suffix": "E1",
            "register": "1",
            "serial": "M1",
            "day": date(2026, 3, 1),
            "interval_minutes": 15,
            "version": datetime.fromisoformat("2026-03-02T12:00:00"),
            "quality": "S14",
            "actual": 0,
            "substituted": 96,
            "final": 0,
            "estimated": 0,
            "missing": 0,
            "micro_kwh": [number * 1_000_000 + number * 1000 for number in range(96)],
            "member": "",
        }
    ]
    assert (got.result.first_day, got.result.last_day) == (date(2026, 3, 1), date(2026, 3, 1))


@pytest.mark.parametrize(
    ("unit", "text", "micro_kwh"),
    [
        ("kWh", ".362", 362_000),
        ("KWH", "0.000001", 1),
        ("kwh", "1.2500000", 1_250_000),
        ("kWh", "007.50", 7_500_000),
        ("kWh", "5.", 5_000_000),
        ("kWh", "999999999.999999", 999_999_999_999_999),
        ("Wh", "10", 10_000),
        ("WH", "0.001", 1),
        ("wh", "12.340000", 12_340),
        ("Wh", "999999999999", 999_999_999_999_000),
        ("MWh", "0.000000001", 1),
        ("MWH", "1.25", 1_250_000_000),
        ("kWh", " 1.5 ", 1_500_000),
        ("kWh", '"1.5"', 1_500_000),
        ("kWh", "", None),
        ("kWh", "  ", None),
    ],
)
def test_values_are_whole_micro_kwh(
    read: Reader, unit: str, text: str, micro_kwh: int | None
) -> None:
    [reading] = read(HEADER, channel(unit=unit), day(text)).readings
    assert reading["micro_kwh"] == [micro_kwh] * 48
    assert reading["missing"] == (48 if micro_kwh is None else 0)


@pytest.mark.parametrize(
    ("unit", "text", "reason"),
    [
        ("kWh", "0.0000001", "decimals"),
        ("Wh", "0.0001", "decimals"),
        ("Wh", "1.2345", "decimals"),
        ("MWh", "0.0000000001", "decimals"),
        ("kWh", "-1", "negative"),
        ("kWh", "-.5", "negative"),
        ("kWh", "-", "value"),
        ("kWh", ".", "value"),
        ("kWh", "-.", "value"),
        ("kWh", "1e3", "value"),
        ("kWh", "+1", "value"),
        ("kWh", "1.2.3", "value"),
        ("kWh", "0x1", "value"),
        ("kWh", "\u0661", "value"),
        ("kWh", "1000000000", "size"),
        ("MWh", "1000000", "size"),
        ("kWh", "9" * 40, "size"),
    ],
)
def test_what_is_no_whole_number_of_micro_kwh_costs_its_row(
    read: Reader, unit: str, text: str, reason: str
) -> None:
    row = f"300,20260301,{','.join(['1'] * 47)},{text},A,,,{VERSION}"
    got = read(HEADER, channel(unit=unit), row, day(on="20260302"))
    assert got.reasons == [("300", 3, reason)]
    assert got.result.rejected.row(0, named=True) == {
        "record": "300",
        "line": 3,
        "reason": reason,
        "nmi": "6001000001",
        "suffix": "E1",
        "day": date(2026, 3, 1),
        "row": row,
    }
    assert got.result.imported == 1
    assert (got.result.first_day, got.result.last_day) == (date(2026, 3, 1), date(2026, 3, 2))


ROW = day()
# Per case: the lines, kWh by suffix, what is rejected, what is ignored.
WILD: dict[str, tuple[list[str], dict[str, float], list[tuple[str, int, str]], dict[str, int]]] = {
    "no 100 row": ([channel(), ROW], {"E1": 72}, [], {}),
    "a blank first line": (["", HEADER, channel(), ROW, "900"], {"E1": 72}, [], {}),
    "blank lines and commas": ([HEADER, " ", channel(), ",,,", ROW, ""], {"E1": 72}, [], {}),
    "a BOM": (["\ufeff" + HEADER, channel(), ROW], {"E1": 72}, [], {}),
    "data after a 900 row": (
        [HEADER, channel(), ROW, "900", channel("B1"), ROW, "900"],
        {"E1": 72, "B1": 72},
        [],
        {},
    ),
    "a 300 row after a 900 row": ([channel(), "900", ROW], {}, [("300", 3, "orphan")], {}),
    "a 300 row after a 100 row": ([channel(), HEADER, ROW], {}, [("300", 3, "orphan")], {}),
    "padded to equal width": (
        [f"{HEADER}{',' * 50}", f"{channel()}{',' * 45}", f"{ROW}{',' * 9}", f"900{',' * 54}"],
        {"E1": 72},
        [],
        {},
    ),
    "200 without its last column": (
        [HEADER, "200,6001000001,E1,1,E1,N1,M1,kWh,30", ROW],
        {"E1": 72},
        [],
        {},
    ),
    "300 without quality": ([channel(), day(tail="")], {}, [("300", 2, "quality")], {}),
    "300 that ends with its values": (
        [channel(), ROW.split(",A,")[0]],
        {},
        [("300", 2, "quality")],
        {},
    ),
    "an unknown quality": ([channel(), day(tail="X12,,,,")], {}, [("300", 2, "quality")], {}),
    "a quality of one digit": ([channel(), day(tail="S1,,,,")], {}, [("300", 2, "quality")], {}),
    "quality in lower case": ([channel(), day(tail="s14,,,,")], {"E1": 72}, [], {}),
    "30 announced, 96 values": ([channel(), day(count=96)], {}, [("300", 2, "count")], {}),
    "15 announced, 48 values": (
        [channel(minutes="15"), day()],
        {},
        [("300", 2, "count")],
        {},
    ),
    "a value too many": ([channel(), day(count=49)], {}, [("300", 2, "count")], {}),
    "a value too few": ([channel(), day(count=47)], {}, [("300", 2, "count")], {}),
    "96 empty cells under 30": ([channel(), day("", 96)], {}, [("300", 2, "count")], {}),
    "V without values": (
        [channel(), f"300,20260301,V,,,{VERSION},"],
        {},
        [("300", 2, "count")],
        {},
    ),
    "V without 400 rows": ([channel(), day(tail="V,,,,")], {}, [("300", 2, "quality_rows")], {}),
    "V with a gap": (
        [channel(), day(tail="V,,,,"), "400,1,20,A,,", "400,22,48,A,,"],
        {},
        [("300", 2, "quality_rows")],
        {},
    ),
    "V with an overlap": (
        [channel(), day(tail="V,,,,"), "400,1,20,A,,", "400,20,48,A,,"],
        {},
        [("300", 2, "quality_rows")],
        {},
    ),
    "V beyond the day": (
        [channel(), day(tail="V,,,,"), "400,1,49,A,,"],
        {},
        [("300", 2, "quality_rows")],
        {},
    ),
    "V in a 400 row": (
        [channel(), day(tail="V,,,,"), "400,1,48,V,,"],
        {},
        [("300", 2, "quality_rows")],
        {},
    ),
    "a 400 row of words": (
        [channel(), day(tail="V,,,,"), "400,one,48,A,,"],
        {},
        [("300", 2, "quality_rows")],
        {},
    ),
    "V with 400 rows in any order": (
        [channel(), day(tail="V,,,,"), "400,21,48,A,,", "400,1,20,F14,76,"],
        {"E1": 72},
        [],
        {},
    ),
    "a blank line before the 400 rows": (
        [channel(), day(tail="V,,,,"), "", "400,1,48,A,,"],
        {"E1": 72},
        [],
        {},
    ),
    "a 400 row without a day": (
        [channel(), "400,1,48,A,,", ROW],
        {"E1": 72},
        [("400", 2, "orphan")],
        {},
    ),
    "a value is missing": (
        [channel(), f"300,20260301,,{','.join(['1'] * 47)},A,,,{VERSION},"],
        {"E1": 47},
        [],
        {},
    ),
    "quality N": ([channel(), day("0", tail="N,,,,")], {"E1": 0}, [], {}),
    "N in a 400 row": (
        [channel(), day("1", tail="V,,,,"), "400,1,10,N,,", "400,11,48,A,,"],
        {"E1": 38},
        [],
        {},
    ),
    "channels that begin on different days": (
        [channel(), ROW, day(on="20260302"), channel("B1"), day(on="20260302")],
        {"E1": 144, "B1": 72},
        [],
        {},
    ),
    "lengths that differ by channel": (
        [channel(), ROW, channel("B1", minutes="5"), day("1", 288), channel(), day(on="20260302")],
        {"E1": 144, "B1": 288},
        [],
        {},
    ),
    "a length that nobody has": (
        [channel(minutes="10"), day(count=144)],
        {},
        [("200", 1, "length"), ("300", 2, "length")],
        {},
    ),
    "a 300 row broken at a comma": (
        [channel(), ROW[:81], ROW[81:], ROW],
        {"E1": 144},
        [],
        {},
    ),
    "a 300 row broken in a number": ([channel(), ROW[:14], ROW[14:]], {"E1": 72}, [], {}),
    "a 300 row broken and cut": (
        [channel(), ROW[:40], ROW[44:]],
        {},
        [("300", 2, "count")],
        {},
    ),
    "a line of words behind a whole row": (
        [channel(), ROW, "total: 72"],
        {"E1": 72},
        [("", 3, "record")],
        {},
    ),
    "a line of words elsewhere": (
        [channel(), "hello", ROW],
        {"E1": 72},
        [("", 2, "record")],
        {},
    ),
    "the same day twice": ([channel(), ROW, ROW], {"E1": 144}, [], {}),
    "B2B details": ([channel(), ROW, "500,O,S01009,20260302120000,"], {"E1": 72}, [], {}),
    "other suffixes": (
        [channel("Q1", unit="kvarh"), ROW, channel("K1", nmi="?"), "300,x", channel(), ROW],
        {"E1": 72},
        [],
        {"suffix": 2},
    ),
    "another unit": ([channel(unit="kVArh"), ROW, channel("B1"), ROW], {"B1": 72}, [], {"unit": 1}),
    "no unit": ([channel(unit=""), ROW], {}, [("200", 1, "unit"), ("300", 2, "unit")], {}),
    "no suffix": ([channel(""), ROW], {}, [("200", 1, "suffix"), ("300", 2, "suffix")], {}),
    "a suffix in lower case": ([channel("b1"), ROW], {"B1": 72}, [], {}),
    "an NMI with an I": (
        [channel(nmi="NMI1234567"), ROW],
        {},
        [("200", 1, "nmi"), ("300", 2, "nmi")],
        {},
    ),
    "an NMI with a wrong check digit": (
        [channel(nmi="20019857321"), ROW],
        {},
        [("200", 1, "nmi_check_digit"), ("300", 2, "nmi_check_digit")],
        {},
    ),
    "no date": ([channel(), day(on="20260230")], {}, [("300", 2, "date")], {}),
    "a date with dashes": ([channel(), day(on="2026-03-01")], {}, [("300", 2, "date")], {}),
    "a version of words": (
        [channel(), day(tail="A,,,yesterday,")],
        {},
        [("300", 2, "version")],
        {},
    ),
    "a version that a spreadsheet shortened": (
        [channel(), day(tail="A,,,2.02603E+13,")],
        {},
        [("300", 2, "version")],
        {},
    ),
    "quoted cells": (
        [",".join(f'"{cell}"' for cell in line.split(",")) for line in (HEADER, channel(), ROW)],
        {"E1": 72},
        [],
        {},
    ),
    "a reason with commas in quotes": (
        [channel(), day(tail=f'S14,51,"no signal, no visit",{VERSION},')],
        {"E1": 72},
        [],
        {},
    ),
    "a reason with a quote that is not closed": (
        [channel(), day(tail=f'S14,51,5" pipe,{VERSION},')],
        {"E1": 72},
        [],
        {},
    ),
    "blanks around the first cell": ([channel(), f" {ROW}"], {"E1": 72}, [], {}),
    "nothing but a header": ([HEADER, "900"], {}, [], {}),
}


@pytest.mark.parametrize("name", WILD)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_met_in_the_wild(read: Reader, name: str, end: str) -> None:
    lines, kwh, rejected, ignored = WILD[name]
    got = read(*lines, end=end)
    assert (got.kwh, got.reasons, got.result.ignored) == (kwh, rejected, ignored)


def test_a_broken_row_is_listed_with_both_its_lines(read: Reader) -> None:
    got = read(channel(), ROW[:40], "0.1,A,,,", end="\r\n")
    assert got.result.rejected["row"].to_list() == [f"{ROW[:40]}\n0.1,A,,,"]


@pytest.mark.parametrize(
    ("header", "update", "version"),
    [
        (HEADER, "20260302120000", datetime.fromisoformat("2026-03-02T12:00:00")),
        (HEADER, "202603021200", datetime.fromisoformat("2026-03-02T12:00:00")),
        (HEADER, "", datetime.fromisoformat("2026-04-01T09:00:00")),
        ("100,NEM12,2.02604E+11,A,B", "", datetime.fromisoformat("2026-04-02T10:30:00")),
        ("", "", datetime.fromisoformat("2026-04-02T10:30:00")),
    ],
)
def test_the_version_and_what_stands_in_for_it(
    read: Reader, header: str, update: str, version: datetime
) -> None:
    [reading] = read(header, channel(), day(tail=f"A,,,{update},")).readings
    assert reading["version"] == version


def test_a_row_without_its_last_cells_has_the_version_of_its_block(read: Reader) -> None:
    later = "100,NEM12,202605010900,A,B"
    got = read(HEADER, channel(), day(tail="A"), later, channel(), day(tail="A,,"))
    assert [reading["version"] for reading in got.readings] == [
        datetime.fromisoformat("2026-04-01T09:00:00"),
        datetime.fromisoformat("2026-05-01T09:00:00"),
    ]


@pytest.mark.parametrize(
    ("tail", "rows", "quality", "counts"),
    [
        ("A,,,,", [], "A", (48, 0, 0, 0, 0)),
        ("E52,,,,", [], "E52", (0, 0, 0, 48, 0)),
        (
            "V,,,,",
            ["400,1,20,F14,76,", "400,21,24,A,,", "400,25,48,S14,1,"],
            "1-20 F14;21-24 A;25-48 S14",
            (4, 24, 20, 0, 0),
        ),
        ("V,,,,", ["400,1,47,A,,", "400,48,48,N,,"], "1-47 A;48-48 N", (47, 0, 0, 0, 1)),
        ("A,,,,", ["400,3,4,E52,,"], "A;3-4 E52", (46, 0, 0, 2, 0)),
        ("N,,,,", [], "N", (0, 0, 0, 0, 48)),
    ],
)
def test_quality_is_counted_by_interval(
    read: Reader, tail: str, rows: list[str], quality: str, counts: tuple[int, ...]
) -> None:
    [reading] = read(HEADER, channel(), day(tail=tail), *rows).readings
    assert reading["quality"] == quality
    names = ("actual", "substituted", "final", "estimated", "missing")
    assert tuple(reading[name] for name in names) == counts


@pytest.mark.parametrize(
    ("quality", "number", "code"),
    [
        ("A", 7, "A"),
        ("1-20 F14;21-24 A;25-48 S14", 20, "F14"),
        ("1-20 F14;21-24 A;25-48 S14", 24, "A"),
        ("A;3-4 E52", 4, "E52"),
        ("A;3-4 E52", 5, "A"),
    ],
)
def test_quality_of_interval(quality: str, number: int, code: str) -> None:
    assert quality_of_interval(quality, number) == code


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty: it has no rows"),
        (b"\n\r\n,,,\n", "empty: it has no rows"),
        (
            b"100,NEM13,202604010900,A,B\n250,6001000001,11\n",
            r"NEM13 \(line 1\): accumulated reads",
        ),
        (b"250,6001000001,11,1\n900\n", r"NEM13 \(line 1\)"),
        (b"100,NEM99,1\n", "the 100 row in line 1 says 'NEM99'"),
        (
            b"NMI,DATE,EVENT_TYPE\n6001000001,2026-03-01,Charge\n",
            "neither a 100 row that says NEM12",
        ),
        (b"I,TRADING,PRICE,3\nD,TRADING,PRICE,3\n", "neither a 100 row that says NEM12"),
        ("100,NEM12\n".encode("utf-16"), "UTF-16"),
        (b"100,NEM12,\0\n", "NUL bytes"),
        (b"100,NEM12\r200,\r", "CR alone"),
        (b"100,NEM12\n" + b"hello\n" * 2000, "2,000 of its lines are no records"),
    ],
)
def test_what_is_not_nem12_says_what_it_is(read: Reader, data: bytes, sentence: str) -> None:
    with pytest.raises(Unreadable, match=f"^meter-data/file.csv: .*{sentence}"):
        read(data=data)


def test_a_bad_byte_costs_its_row_alone(read: Reader) -> None:
    lines = f"{HEADER}\n{channel()}\n{day()}\n".encode()
    got = read(data=lines + day(on="20260302").encode().replace(b"1.5", b"\xff", 1) + b"\n")
    assert (got.kwh, got.reasons) == ({"E1": 72}, [("300", 4, "value")])


def test_many_chunks_are_read_as_one_file(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    days = [day(on=f"202603{number:02d}", tail="V,,,,") for number in range(1, 29)]
    lines = [line for row in days for line in (row, "400,1,48,A,,")]
    whole = read(HEADER, channel(), *lines, "", channel("B1"), *days)
    monkeypatch.setattr(nem12_structure, "_CHUNK_BYTES", 500)
    cut = read(HEADER, channel(), *lines, "", channel("B1"), *days)
    assert cut.readings == whole.readings
    assert cut.reasons == whole.reasons
    assert whole.result.imported == len(whole.reasons) == 28
