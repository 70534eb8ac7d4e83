"""What is kept of rejected rows: why, what is at stake, and the row as it was."""

import csv
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tasks.core.errors import Unreadable
from tasks.imports.event_rows import Sites, read_events
from tasks.imports.rejected import REJECTED_SCHEMA, RejectedRows, rejected_text
from tasks.imports.rejected_id import content_of, rejected_id
from tasks.imports.spool import COLUMNS
from tests.unit.imports.blocks import block_of

NMI = "6001000001"


def written(folder: Path, *texts: str, columns: tuple[str, ...] = COLUMNS) -> list[dict[str, str]]:
    """Write the rejected rows of blocks, and read them back."""
    rows = RejectedRows()
    for text in texts:
        block = block_of(text, columns=columns)
        _, _, bad = read_events(block, "Australia/Brisbane", Sites())
        rows.add(rejected_text(block, bad))
    path = folder / "rejected.csv"
    rows.write(path)
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        found = list(reader)
        assert reader.fieldnames == list(REJECTED_SCHEMA)
    assert pl.read_csv(path, schema=REJECTED_SCHEMA).height == len(found)
    return found


def test_a_rejected_row_is_kept_with_its_fields_and_as_it_was(tmp_path: Path) -> None:
    text = f'{NMI},2025-09-01,Discharge,1.5,25\n"{NMI}",x,Charge, -2,12.5\r\n'
    [row] = written(tmp_path, text)
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
    ],
)
def test_what_is_at_stake_is_a_number_or_not_said(
    tmp_path: Path, energy: str, tariff: str, aud: str
) -> None:
    text = f"O,2025-09-01,Discharge,{energy},{tariff}\n"
    [row] = written(tmp_path, text)
    assert row["day"] == "2025-09-01"
    assert (row["at_stake_aud"] and Decimal(row["at_stake_aud"])) == (aud and Decimal(aud))


def test_of_a_row_with_too_many_fields_none_is_named(tmp_path: Path) -> None:
    text = f"{NMI},2025-09-01,Discharge,1,234.5,25\n"
    [row] = written(tmp_path, text)
    assert [row[name.lower()] for name in COLUMNS] == [""] * 5
    assert (row["row"], row["at_stake_aud"]) == (text.strip(), "")
    assert row["content"] == content_of([text.strip()])


def test_open_rows_are_not_kept_and_the_name_that_was_given_is(tmp_path: Path) -> None:
    columns = ("REJECTED_ID", *COLUMNS)
    bad = (NMI, "x", "Charge", "1", "1")
    names = (rejected_id(content_of(bad), 1), "rej-b-1", "")
    text = "".join(f" {name} ,{','.join(bad)}\n" for name in names)
    found = written(tmp_path, text, columns=columns)
    assert [(row["line"], row["given_id"]) for row in found] == [("3", "rej-b-1"), ("4", "")]


def test_the_right_lines_are_found_among_very_many(tmp_path: Path) -> None:
    rows = [f"{NMI},2025-09-01,Charge,1,{number}\n" for number in range(50_000)]
    wanted = [0, 1, 24_999, 25_000, 49_999]
    for number in wanted:
        rows[number] = rows[number].replace(NMI, "O")
    found = written(tmp_path, "".join(rows))
    assert [int(row["tariff"]) for row in found] == wanted
    assert [int(row["row"].split(",")[4]) for row in found] == wanted
    assert [int(row["line"]) - 2 for row in found] == wanted


def test_blocks_follow_each_other(tmp_path: Path) -> None:
    found = written(tmp_path, *(f"{name},x,Charge,1,1\n" for name in "ab"))
    assert [row["nmi"] for row in found] == ["a", "b"]
    assert written(tmp_path) == []


def test_rejected_rows_have_a_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tasks.imports.rejected.MOST_REJECTED_BYTES", 1000)
    with pytest.raises(Unreadable, match="its rejected rows have more than"):
        written(tmp_path, *["x\n" * 10] * 10)
