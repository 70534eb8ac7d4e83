"""Rejected rows and their corrections: no event is counted twice, and none is lost.

All cases are about one row worth 0.25 AUD beside good rows of 0.01: right is the sum of the good
rows while it is rejected, and 0.25 more once it is corrected, however that comes about.
"""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.request import SettlementRequest
from tasks.evidence.explanation import explain
from tasks.evidence.verification import verify
from tasks.imports.spool import COLUMNS
from tasks.settlement import inputs
from tasks.settlement.settlement import settle
from tests.flows.sample import bytes_at
from tests.through_s3 import HEADER, Place, reports_of

pytestmark = pytest.mark.usefixtures("s3_endpoint")

NMI = "9876543210"
GOOD = f"{NMI},2025-09-03,Discharge,1,1\n"
BAD = f"{NMI},03/09/2025,Discharge,2,12.5\n"
REGISTRY: list[dict[str, Any]] = [
    {"change": "create-vpp", "name": "v", "revenue_percentage": "0"},
    {"change": "create-site", "nmi": NMI, "vpp": "v", "address": "1 A St"},
]
Rows = list[dict[str, str]]


class Books:
    """A place with one VPP and one site, and the list of rejected rows as people handle it."""

    def __init__(self) -> None:
        self.place = Place()
        self.place.record(REGISTRY)

    def put(self, name: str, text: str) -> None:
        self.place.store.write(f"events/{name}", text.encode())

    def move(self, old: str, new: str) -> None:
        self.put(new, bytes_at(self.place, f"events/{old}").decode())
        self.place.store.delete(f"events/{old}")

    def total(self, month: str = "2025-09", limit: float = 100) -> str:
        """Settle, write the list of rejected rows, and return the total revenue."""
        inputs = self.place.inputs(month)
        request = SettlementRequest(inputs.as_of, max_rejected_percent=limit)
        inputs.require_settleable(request)
        [report] = reports_of(settle(self.place.store, inputs, request))
        return f"{report.totals.total_revenue:.2f}"

    def listed(self, month: str = "2025-09") -> Rows:
        text = bytes_at(self.place, f"rejected/{month}.csv").decode()
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def upload(self, name: str, rows: Rows) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self.put(name, text.getvalue())

    def refusal(self) -> str:
        with pytest.raises(Refused) as refused:
            self.total()
        return str(refused.value)


@pytest.fixture
def books() -> Books:
    books = Books()
    books.put("dirty.csv", HEADER + GOOD * 3 + BAD + GOOD * 27)
    assert books.total() == "0.30"
    return books


def corrected(row: dict[str, str], **fields: str) -> dict[str, str]:
    return row | ({"DATE": "2025-09-03"} | fields)


def test_a_list_names_each_row_by_its_content_and_says_what_is_at_stake(books: Books) -> None:
    [row] = books.listed()
    assert row["REJECTED_ID"].startswith("REJ-")
    assert not row["REJECTED_ID"].removeprefix("REJ-").isdigit()
    assert [row[name] for name in COLUMNS] == BAD.strip().split(",")
    assert row["AT_STAKE_AUD"] == "0.25"
    assert (row["FILE"], row["LINE"], row["ROW"]) == ("events/dirty.csv", "5", BAD.strip())
    assert row["REASON"].startswith("DATE is not an ISO date")


def test_a_corrected_row_counts_once_and_the_list_is_empty(books: Books) -> None:
    books.upload("corrected.csv", [corrected(row) for row in books.listed()])
    assert books.total(limit=0) == "0.55"
    assert books.listed() == []


def test_a_correction_that_is_bad_again_stands_for_its_row(books: Books) -> None:
    [row] = books.listed()
    books.upload("first.csv", [row | {"DATE": "2025-09-03", "TARIFF": "12.5c"}])
    assert books.total() == "0.30"
    [again] = books.listed()
    assert (again["REJECTED_ID"], again["TARIFF"]) == (row["REJECTED_ID"], "12.5c")
    assert (again["FILE"], again["LINE"]) == ("events/dirty.csv", "5")
    # Both lists are corrected: it is still one event.
    books.upload("second.csv", [again | {"TARIFF": "12.5"}])
    assert books.total() == "0.55"
    books.upload("third.csv", [corrected(row)])
    assert books.total() == "0.55"
    assert books.listed() == []


def test_a_list_that_was_uploaded_as_it_was_and_then_corrected(books: Books) -> None:
    rows = books.listed()
    books.upload("untouched.csv", rows)
    assert books.total() == "0.30"
    inputs = books.place.inputs("2025-09")
    assert (inputs.facts.rejected_rows, inputs.facts.open_rows) == (1, 1)
    assert books.listed() == rows
    books.upload("untouched.csv", [corrected(row) for row in books.listed()])
    assert books.total() == "0.55"


SPREADSHEETS: dict[str, Callable[[Rows], Rows]] = {
    "in small letters": lambda rows: [
        row | {"REJECTED_ID": row["REJECTED_ID"].lower()} for row in rows
    ],
    "with blanks": lambda rows: [row | {"REJECTED_ID": f" {row['REJECTED_ID']} "} for row in rows],
    "without what is for people alone": lambda rows: [
        {name: row[name] for name in ("REJECTED_ID", *COLUMNS)} for row in rows
    ],
    "in another order of columns": lambda rows: [dict(reversed(row.items())) for row in rows],
    "with the file's name changed": lambda rows: [row | {"FILE": "dirty.csv"} for row in rows],
    "with the line's number as 5.0": lambda rows: [row | {"LINE": "5.0"} for row in rows],
}


@pytest.mark.parametrize("change", SPREADSHEETS.values(), ids=SPREADSHEETS)
def test_what_a_spreadsheet_makes_of_the_list(books: Books, change: Callable[[Rows], Rows]) -> None:
    books.upload("corrected.csv", change([corrected(row) for row in books.listed()]))
    assert books.total() == "0.55"


DIRTY = HEADER + GOOD * 3 + BAD + GOOD * 27
MOVES: dict[str, Callable[[Books], None]] = {
    "a copy under a smaller key": lambda books: books.put("a.csv", DIRTY),
    "moved": lambda books: books.move("dirty.csv", "elsewhere/moved.csv"),
    "replaced: the row on another line": lambda books: books.put(
        "dirty.csv", HEADER + BAD + GOOD * 30
    ),
    "replaced: with CRLF, quotes and a further column": lambda books: books.put(
        "dirty.csv",
        "note,nmi,date,event_type,energy,tariff\r\n"
        + "".join(
            '"x","' + line.strip().replace(",", '","') + '"\r\n' for line in [*[GOOD] * 30, BAD]
        ),
    ),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_what_happens_to_the_file_of_a_corrected_row(
    books: Books, move: Callable[[Books], None]
) -> None:
    books.upload("corrected.csv", [corrected(row) for row in books.listed()])
    move(books)
    assert books.total() == "0.55"
    assert books.listed() == []


def test_where_another_row_is_bad_in_a_replaced_file_the_correction_does_not_meet_it(
    books: Books,
) -> None:
    books.upload("corrected.csv", [corrected(row) for row in books.listed()])
    other = f"{NMI},2025-09-03,Export,4,5\n"
    books.put("dirty.csv", HEADER + GOOD * 3 + other + GOOD * 27)
    assert books.total() == "0.30"
    rows = {row["EVENT_TYPE"]: row for row in books.listed()}
    assert set(rows) == {"Export", "Discharge"}
    assert rows["Discharge"]["REASON"].startswith("REJECTED_ID names no row that is rejected")
    assert rows["Discharge"]["AT_STAKE_AUD"] == "0.25"


@pytest.mark.parametrize("id", ["REJ-AAAAAAAAAAAAAAAA-1", "2.0", "events/dirty.csv:5", "=1+1"])
def test_a_correction_that_names_no_rejected_row_is_rejected_with_the_reason(
    books: Books, id: str
) -> None:
    [row] = books.listed()
    books.upload("corrected.csv", [corrected(row, REJECTED_ID=id)])
    assert books.total() == "0.30"
    assert {row["REASON"][:29] for row in books.listed()} == {
        "DATE is not an ISO date (2025",
        "REJECTED_ID names no row that",
    }


def test_a_row_without_an_id_is_an_event_of_its_own(books: Books) -> None:
    [row] = books.listed()
    books.upload("corrected.csv", [corrected(row, REJECTED_ID="")])
    assert books.total() == "0.55"
    assert len(books.listed()) == 1


def test_a_row_that_is_corrected_in_two_ways_refuses_the_month(books: Books) -> None:
    [row] = books.listed()
    books.upload("a.csv", [corrected(row)])
    books.upload("b.csv", [corrected(row, ENERGY="3")])
    assert books.refusal() == (
        f"2025-09 is not settled: {row['REJECTED_ID']} is corrected in 2 ways: line 2 of "
        "events/a.csv and line 2 of events/b.csv. Only one of them can be right: take the others "
        "out of their files"
    )
    books.place.store.delete("events/b.csv")
    assert books.total() == "0.55"


def test_a_row_that_is_corrected_in_many_ways_is_named_with_the_first(books: Books) -> None:
    [row] = books.listed()
    for number in range(20):
        books.upload(f"{number}.csv", [corrected(row, ENERGY=str(number + 1))])
    assert books.refusal().count(" of events/") == 10


def test_more_corrections_than_a_record_can_name_are_refused(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "MOST_PINNED_ROWS", 0)
    [row] = books.listed()
    books.upload("a.csv", [corrected(row)])
    assert books.refusal() == (
        "2025-09 is not settled: 1 rejected rows are corrected one by one, and at most 0 may be. "
        "Correct them in the files that they came in, and take the corrections out of the inbox"
    )


def test_equal_rows_of_one_file_are_two_events_with_a_name_each(books: Books) -> None:
    books.put("dirty.csv", HEADER + GOOD * 30 + BAD + BAD)
    assert books.total() == "0.30"
    rows = books.listed()
    assert len({row["REJECTED_ID"] for row in rows}) == 2
    books.upload("corrected.csv", [corrected(row) for row in rows[:1]])
    assert books.total() == "0.55"
    books.upload("corrected.csv", [corrected(row) for row in rows])
    assert books.total() == "0.80"


def test_a_list_with_two_rows_corrected_leaves_the_others_open(books: Books) -> None:
    bad = "".join(f"{NMI},{day:02d}/09/2025,Discharge,2,12.5\n" for day in range(1, 25))
    books.put("dirty.csv", HEADER + GOOD * 30 + bad)
    books.total()
    rows = books.listed()
    books.upload("list.csv", [corrected(row) for row in rows[:2]] + rows[2:])
    assert books.total() == "0.80"
    facts = books.place.inputs("2025-09").facts
    assert (facts.corrected_rows, facts.rejected_rows, facts.open_rows) == (2, 22, 22)
    assert books.listed() == rows[2:]


def test_a_row_with_too_many_fields_is_corrected_by_filling_in_its_fields(books: Books) -> None:
    books.put("dirty.csv", HEADER + GOOD * 30 + f"{NMI},2025-09-03,Discharge,1,500,5\n")
    assert books.total() == "0.30"
    [row] = books.listed()
    assert [row[name] for name in COLUMNS] == [""] * 5
    books.upload("list.csv", [row])
    assert books.total() == "0.30"
    assert books.place.inputs("2025-09").facts.open_rows == 1
    values = dict(zip(COLUMNS, (NMI, "2025-09-03", "Discharge", "1.5", "10"), strict=True))
    books.upload("list.csv", [row | values])
    assert books.total() == "0.45"


def test_a_row_that_turns_out_to_be_of_another_month_counts_there(books: Books) -> None:
    books.upload("corrected.csv", [corrected(row, DATE="2025-08-31") for row in books.listed()])
    assert books.total("2025-09") == "0.30"
    assert books.total("2025-08") == "0.25"
    assert books.listed() == []


def test_what_was_published_with_corrections_is_made_and_explained_again(books: Books) -> None:
    place, september = books.place, Month(2025, 9)
    books.upload("corrected.csv", [corrected(row) for row in books.listed()])
    place.publish("2025-09")
    place.store.delete("events/dirty.csv")
    assert verify(place.store, september, "v", 1).is_same
    [explained] = explain(place.store, september, "v", [NMI])
    events = [event for day in explained.explanation.days for event in day.events]
    assert {(event.file, event.line) for event in events} >= {("events/corrected.csv", 2)}
    assert len(events) == 31
    # With its file gone, the correction corrects nothing, and is no event.
    assert books.total() == "0.00"


def test_a_list_of_an_earlier_version_is_refused_by_name(books: Books) -> None:
    books.put("old.csv", f"CORRECTS_FILE,CORRECTS_LINE,{HEADER}events/dirty.csv,5,{GOOD}")
    assert "a list of rejected rows of an earlier version" in books.refusal()


# How many rejected rows are too many.


def test_the_limit_holds_for_the_months_own_rows(books: Books) -> None:
    """Many months in one file: all rows of September are bad, and they are 4% of the file."""
    other = "".join(f"{NMI},2025-{month:02d}-03,Discharge,1,1\n" for month in range(1, 9))
    books.put("dirty.csv", HEADER + other * 6 + f"{NMI},2025-09-03,Discharge,x,1\n" * 2)
    with pytest.raises(Refused, match=r"2 of its 2 rows were rejected \(100\.0%"):
        books.total(limit=5)
    assert books.total("2025-08", limit=5) == "0.06"


def test_rows_of_another_month_do_not_count(books: Books) -> None:
    january = f"{NMI},2024-01-03,Discharge,x,1\n"
    books.put("dirty.csv", HEADER + GOOD * 30 + january * 40)
    assert books.total(limit=5) == "0.30"


def test_a_row_without_a_day_counts_for_each_month_of_its_file(books: Books) -> None:
    august = f"{NMI},2025-08-03,Discharge,1,1\n"
    books.put("dirty.csv", HEADER + GOOD * 30 + august * 3 + BAD)
    assert books.total("2025-09", limit=5) == "0.30"
    with pytest.raises(Refused, match="1 of its 4 rows were rejected"):
        books.total("2025-08", limit=5)


def test_the_limit_holds_for_each_file(books: Books) -> None:
    books.put("dirty.csv", HEADER + GOOD * 300)
    books.put("small.csv", HEADER + GOOD + BAD)
    with pytest.raises(Refused, match=r"1 of the 2 rows of events/small\.csv in it were rejected"):
        books.total(limit=5)


def test_the_limit_holds_for_each_vpp(books: Books) -> None:
    other = "6001000001"
    books.place.record(
        [
            {"change": "create-vpp", "name": "small", "revenue_percentage": "0"},
            {"change": "create-site", "nmi": other, "vpp": "small", "address": "2 A St"},
        ]
    )
    books.put("dirty.csv", HEADER + GOOD * 300 + f"{other},2025-09-03,Discharge,x,1\n" * 10)
    with pytest.raises(Refused, match=r"at most 5% may be rejected \(small: 10 of 10\)"):
        books.total(limit=5)
    reports = reports_of(books.place.settle("2025-09"))
    assert {r.settlement.vpp_id: r.settlement.rejected_rows for r in reports} == {
        "small": 10,
        "v": 0,
    }


def test_correcting_the_rows_of_another_vpp_makes_no_revision(books: Books) -> None:
    other = "6001000001"
    books.place.record(
        [
            {"change": "create-vpp", "name": "w", "revenue_percentage": "0"},
            {"change": "create-site", "nmi": other, "vpp": "w", "address": "2 A St"},
        ]
    )
    books.put("dirty.csv", HEADER + GOOD * 30 + f"{other},03/09/2025,Discharge,1,1\n")
    books.place.publish("2025-09")
    books.upload("corrected.csv", [corrected(row) for row in books.listed()])
    outcomes = {report.vpp: report for report in books.place.publish("2025-09")}
    assert (outcomes["v"].outcome, outcomes["v"].revision) == ("unchanged", 1)
    assert (outcomes["w"].outcome, outcomes["w"].revision) == ("published", 2)
