"""What is kept of rejected rows: why, what is at stake, and the row as it was."""

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tasks.imports.event_rows import NO_FAULTS, OPEN
from tasks.imports.rejected import REJECTED_SCHEMA, write_rejected
from tasks.imports.rejected_id import content_of
from tasks.imports.spool import COLUMNS, SpoolFile
from tests.unit.imports.spooled import spooled

NMI = "6001000001"


def written(
    folder: Path, file: SpoolFile, *faults: tuple[int, str, date | None]
) -> list[dict[str, str]]:
    """Write faults of a file (row, reason, day) of one source, and read them back."""
    rows = pl.DataFrame(
        [(0, row, 0, row + 2, day, reason) for row, reason, day in faults],
        schema=NO_FAULTS.schema,
        orient="row",
    )
    path = folder / "rejected.csv"
    write_rejected([file], rows, path)
    with path.open(newline="") as text:
        reader = csv.DictReader(text)
        found = list(reader)
        assert reader.fieldnames == list(REJECTED_SCHEMA)
    assert pl.read_csv(path, schema=REJECTED_SCHEMA).height == len(found)
    return found


def test_a_rejected_row_is_kept_with_its_fields_and_as_it_was(tmp_path: Path) -> None:
    text = f'{NMI},2025-09-01,Discharge,1.5,25\n"{NMI}",x,Charge, -2,12.5\r\n'
    [row] = written(tmp_path, spooled(tmp_path, text), (1, "date", None))
    assert row == {
        "key": "events/0.csv",
        "line": "3",
        "reason": "date",
        "at_stake_aud": "0.250000000000000000",
        "day": "",
        "given_id": "",
        "content": content_of([NMI, "x", "Charge", "-2", "12.5"]),
        "nmi": NMI,
        "date": "x",
        "event_type": "Charge",
        "energy": "-2",
        "tariff": "12.5",
        "row": f'"{NMI}",x,Charge, -2,12.5',
    }


@pytest.mark.parametrize(
    ("energy", "tariff", "aud"),
    [
        ("2", "12.5", "0.25"),
        ("-2", "12.5", "0.25"),
        ("0.001", "-0.1", "0.000001"),
        ("999999999.99999999", "999999999", "9999999989999999.9"),
        ("1000000000", "1", ""),
        ("1e3", "1", ""),
        ("x", "1", ""),
        ("1", "", ""),
    ],
)
def test_what_is_at_stake_is_a_number_or_not_said(
    tmp_path: Path, energy: str, tariff: str, aud: str
) -> None:
    text = f"O,2025-09-01,Discharge,{energy},{tariff}\n"
    [row] = written(tmp_path, spooled(tmp_path, text), (0, "nmi", date(2025, 9, 1)))
    assert row["day"] == "2025-09-01"
    assert (row["at_stake_aud"] and Decimal(row["at_stake_aud"])) == (aud and Decimal(aud))


def test_of_a_row_with_too_many_fields_none_is_named(tmp_path: Path) -> None:
    text = f"{NMI},2025-09-01,Discharge,1,234.5,25\n"
    [row] = written(tmp_path, spooled(tmp_path, text), (0, "fields", None))
    assert [row[name.lower()] for name in COLUMNS] == [""] * 5
    assert (row["row"], row["at_stake_aud"]) == (text.strip(), "")
    assert row["content"] == content_of([text.strip()])


def test_open_rows_are_not_kept_and_the_name_that_was_given_is(tmp_path: Path) -> None:
    columns = ("REJECTED_ID", *COLUMNS)
    rows = "".join(f" {name} ,{NMI},x,Charge,1,1\n" for name in ("REJ-A-1", "rej-b-1", ""))
    file = spooled(tmp_path, rows, columns=columns)
    found = written(tmp_path, file, (0, OPEN, None), (1, "date", None), (2, "date", None))
    assert [(row["line"], row["given_id"]) for row in found] == [("3", "rej-b-1"), ("4", "")]


def test_the_right_lines_are_found_among_very_many(tmp_path: Path) -> None:
    text = "".join(f"{number},x,Charge,1,1\n" for number in range(50_000))
    wanted = [0, 1, 24_999, 25_000, 49_999]
    found = written(tmp_path, spooled(tmp_path, text), *((row, "nmi", None) for row in wanted))
    assert [int(row["nmi"]) for row in found] == wanted
    assert [int(row["row"].split(",")[0]) for row in found] == wanted


def test_files_follow_each_other(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    files = [spooled(folder, f"{folder.name},x,Charge,1,1\n") for folder in folders]
    faults = pl.DataFrame(
        [(number, 0, 0, 2, None, "nmi") for number in range(2)],
        schema=NO_FAULTS.schema,
        orient="row",
    )
    path = tmp_path / "rejected.csv"
    write_rejected(files, faults, path)
    assert pl.read_csv(path)["nmi"].to_list() == ["a", "b"]
    write_rejected([], NO_FAULTS, path)
    assert path.read_text().strip() == ",".join(REJECTED_SCHEMA)
