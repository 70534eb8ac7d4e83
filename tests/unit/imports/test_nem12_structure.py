"""The structure of a NEM12 file: which line belongs to what, wherever a chunk ends."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.core.errors import Unreadable
from tasks.imports import nem12_structure
from tasks.imports.nem12_records import NO_CHANNEL, Run
from tasks.imports.nem12_structure import Structure, read_lines, read_structure

STORED = datetime(2026, 4, 2, 0, 30, 7, 999, tzinfo=UTC)  # 10:30:07 in market time
HEADER = "100,NEM12,202604010900,MDP,RETAILER"
E1 = "200,6001000001,E1B1,1,E1,N1,M1,kWh,30,"
B1 = "200,6001000001,E1B1,1,B1,N1,M1,kWh,30,"
DAY = "300,20260301,1,2,3"


def structure(folder: Path, *lines: str, end: str = "\n") -> Structure:
    path = folder / "a.csv"
    path.write_bytes("".join(line + end for line in lines).encode())
    return read_structure(path, "a.csv", STORED)


@pytest.mark.parametrize("size", [1, 7, 4 << 20])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_are_whole_whatever_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, end: str
) -> None:
    monkeypatch.setattr(nem12_structure, "_CHUNK_BYTES", size)
    path = tmp_path / "a.csv"
    texts = ["a,b", "", '"c', "\ufeffd", "e"]
    path.write_bytes(end.join(texts).encode())
    found = [row for lines in read_lines(path) for row in lines.rows()]
    assert [(row, line.rstrip("\r")) for row, line in found] == list(enumerate(texts))


@pytest.mark.parametrize("size", [1, 60, 4 << 20])
def test_days_are_in_the_channel_and_under_the_version_above_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(nem12_structure, "_CHUNK_BYTES", size)
    found = structure(
        tmp_path,
        *[HEADER, E1, DAY, DAY, B1, DAY, "900"],
        *["100,NEM12,x,MDP,RETAILER", E1, ' "300" ,20260302,1', "900"],
    )
    created = datetime.fromisoformat("2026-04-01T09:00")
    stored = datetime.fromisoformat("2026-04-02T10:30:07")
    assert found.contexts.rows() == [
        (0, 0, stored),
        (0, 0, created),
        (1, 1, created),
        (4, 2, created),
        (6, 0, created),
        (7, 0, stored),
        (8, 1, stored),
        (10, 0, stored),
    ]
    assert found.channels[0] == NO_CHANNEL
    assert [channel.suffix for channel in found.channels[1:]] == ["E1", "B1"]
    assert found.channel_rows.select("row", "channel").rows() == [(1, 1), (4, 2), (8, 1)]
    assert (found.days, found.odd_days.to_list()) == (4, [9])
    assert found.channel_table["suffix"].to_list() == [None, "E1", "B1"]
    assert found.loose.is_empty()


def test_quality_rows_and_rests_belong_to_the_day_above_them(tmp_path: Path) -> None:
    found = structure(
        tmp_path,
        *["400,1,2,A", HEADER, "400,1,2,A", E1, "400,1,2,A"],
        *[DAY, "4,5,A,,", "and more", "400,1,2,S14", "400,x,2,A", "500,O,,", "rest"],
        *[DAY, "", " , ", "400,3,3,E", "900", "end", "400,1,2,A"],
    )
    assert found.runs == {5: [Run(1, 2, "S14"), None], 12: [Run(3, 3, "E")]}
    assert found.rests == {5: [(6, "4,5,A,,"), (7, "and more")]}
    assert found.loose.rows() == [
        (0, "400", "400,1,2,A", "orphan"),
        (2, "400", "400,1,2,A", "orphan"),
        (4, "400", "400,1,2,A", "orphan"),
        (11, "", "rest", "record"),
        (17, "", "end", "record"),
        (18, "400", "400,1,2,A", "orphan"),
    ]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["100,NEM13,1"], r"^a\.csv: NEM13 \(line 1\): accumulated reads"),
        ([HEADER, E1, "100,nem13,1"], r"^a\.csv: NEM13 \(line 3\): "),
        (["100"], r"^a\.csv: not NEM12: the 100 row in line 1 says ''$"),
        (["100,CSV"], r"^a\.csv: not NEM12: the 100 row in line 1 says 'CSV'$"),
        (["250,1,2"], r"^a\.csv: NEM13 \(line 1\): "),
        (["NMI,DATE", DAY], r"neither a 100 row that says NEM12 nor a 200 row, and begins with 'N"),
        ([DAY], r"and begins with '300,20260301,1,2,3'$"),
        ([E1, *["x"] * 1001, DAY], r"1,001 of its lines are no records of it, and only 1 are days"),
    ],
)
def test_another_format_is_named(tmp_path: Path, lines: list[str], sentence: str) -> None:
    with pytest.raises(Unreadable, match=sentence):
        structure(tmp_path, *lines)


def test_a_few_lines_that_are_no_records_are_listed(tmp_path: Path) -> None:
    found = structure(tmp_path, E1, *["x"] * 1000, DAY)
    assert found.loose.height == 1000
