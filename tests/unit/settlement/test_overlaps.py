"""Events that stand in two files: what counts once, what counts twice, and what is refused."""

import gzip
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.request import SettlementRequest
from tasks.evidence.explanation import explain
from tasks.evidence.verification import verify
from tasks.settlement import overlaps
from tasks.settlement.settlement import Settlement, settle
from tests.through_s3 import HEADER, Place, reports_of

pytestmark = pytest.mark.usefixtures("s3_endpoint")

NMI, OTHER = "9876543210", "6001000001"
REGISTRY: list[dict[str, Any]] = [
    {"change": "create-vpp", "name": "v", "revenue_percentage": "0"},
    {"change": "create-site", "nmi": NMI, "vpp": "v", "address": "1 A St"},
    {"change": "create-site", "nmi": OTHER, "vpp": "v", "address": "2 A St"},
]


def event(
    minute: int, aud: int = 1, nmi: str = NMI, day: int = 1, event_type: str = "Discharge"
) -> str:
    """Return an event worth so many AUD at a minute of a day in September."""
    moment = f"2025-09-{day:02d}T{minute // 60:02d}:{minute % 60:02d}"
    return f"{nmi},{moment},{event_type},{aud},100\n"


FILE = event(0) + event(5)


def settled(files: dict[str, str | bytes], **request: Any) -> tuple[Place, Settlement]:
    place = Place()
    place.record(REGISTRY)
    for name, text in files.items():
        place.store.write(f"events/{name}", text.encode() if isinstance(text, str) else text)
    inputs = place.inputs("2025-09")
    asked = replace(SettlementRequest(inputs.as_of, max_rejected_percent=100), **request)
    inputs.require_settleable(asked)
    return place, settle(place.store, inputs, asked)


def total(files: dict[str, str | bytes], **request: Any) -> str:
    [report] = reports_of(settled(files, **request)[1])
    return f"{report.totals.total_revenue:.2f}"


SPELLINGS: dict[str, str | bytes] = {
    "as it was": HEADER + FILE,
    "with CRLF": (HEADER + FILE).replace("\n", "\r\n"),
    "with a byte order mark": b"\xef\xbb\xbf" + (HEADER + FILE).encode(),
    "quoted": HEADER + '"' + FILE.strip().replace(",", '","').replace("\n", '"\n"') + '"\n',
    "in another order": HEADER + "".join(reversed(FILE.splitlines(keepends=True))),
    "with a header in small letters": HEADER.lower() + FILE,
    "without its last line end": (HEADER + FILE).rstrip("\n"),
    "with other numbers of zeros": HEADER + FILE.replace(",100\n", ",100.00\n"),
    "with seconds and an offset": HEADER
    + FILE.replace("T00:00", "T00:00:00+10:00").replace("T00:05", "T00:05:00+10:00"),
    "with a further column": "NOTE," + HEADER + "x," + FILE.replace("\n9", "\nx,9"),
    "packed": gzip.compress((HEADER + FILE).encode()),
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_a_file_saved_again_counts_once_and_the_run_says_which(text: str | bytes) -> None:
    name = "b.csv.gz" if isinstance(text, bytes) and text.startswith(b"\x1f\x8b") else "b.csv"
    _, settlement = settled({"a.csv": HEADER + FILE, name: text})
    assert f"{reports_of(settlement)[0].totals.total_revenue:.2f}" == "2.00"
    assert [(file.key, file.same_as) for file in settlement.facts.duplicates] == [
        (f"events/{name}", "events/a.csv")
    ]
    assert [file["key"] for file in settlement.facts.files] == ["events/a.csv"]


class Case(NamedTuple):
    """Two files, what both come to where that is allowed, and what the refusal says of them."""

    one: str
    other: str
    total: str
    sentence: str


REFUSED = {
    "overlapping exports": Case(
        event(0) + event(5) + event(10),
        event(5) + event(10) + event(15),
        "6.00",
        "rows in common, 2 equal, worth 2.00 AUD, first line 3 of the one and line 2 of the other",
    ),
    "a part of a file": Case(
        event(0) + event(5), event(5), "3.00", "1 equal, worth 1.00 AUD, first line 3"
    ),
    "other values at the same moment": Case(
        event(0) + event(5),
        event(5, aud=3),
        "5.00",
        "1 of the same site, moment and type with other values, worth 3.00 AUD, first line 3",
    ),
    "a row twice in each file": Case(
        event(0) * 2 + event(5), event(0) * 2, "5.00", "2 equal, worth 2.00 AUD"
    ),
    "equal rows without a time of day": Case(
        f"{NMI},2025-09-01,Discharge,1,100\n" * 2,
        f"{NMI},2025-09-01,Discharge,1,100\n",
        "3.00",
        "1 equal, worth 1.00 AUD",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_rows_in_two_files_refuse_the_month_unless_they_are_allowed(case: Case) -> None:
    files: dict[str, str | bytes] = {"a.csv": HEADER + case.one, "b.csv": HEADER + case.other}
    with pytest.raises(Refused) as refused:
        settled(files)
    message = str(refused.value)
    assert message.startswith(
        "2025-09 is not settled, since events would count twice: events/a.csv and events/b.csv "
    )
    assert case.sentence in message
    assert "Take them out of one of the files" in message
    _, settlement = settled(files, allow_shared_rows=True)
    assert f"{reports_of(settlement)[0].totals.total_revenue:.2f}" == case.total
    assert len(settlement.facts.shared_rows) == 1


COUNTED = {
    "cut by time": Case(event(0) + event(5), event(10) + event(15), "4.00", ""),
    "cut by day": Case(FILE, event(0, day=2), "3.00", ""),
    "cut by site": Case(FILE, event(0, nmi=OTHER), "3.00", ""),
    "interleaved in time": Case(event(0) + event(10), event(5) + event(15), "4.00", ""),
    "a charge at the same moment": Case(FILE, event(5, event_type="Charge"), "1.00", ""),
    "other rows without a time of day": Case(
        f"{NMI},2025-09-01,Discharge,1,100\n", f"{NMI},2025-09-01,Discharge,2,100\n", "3.00", ""
    ),
    "equal rows of one file": Case(event(0) * 2, event(30), "3.00", ""),
}


@pytest.mark.parametrize("case", COUNTED.values(), ids=COUNTED)
def test_how_events_are_cut_into_files_changes_nothing(case: Case) -> None:
    files: dict[str, str | bytes] = {"a.csv": HEADER + case.one, "b.csv": HEADER + case.other}
    assert total(files) == case.total
    assert total({"a.csv": HEADER + case.one + case.other}) == case.total


def test_a_correction_of_an_event_that_another_file_has_is_shared() -> None:
    place = Place()
    place.record(REGISTRY)
    place.store.write("events/a.csv", (HEADER + event(0) + event(5).replace("100", "1OO")).encode())
    place.inputs("2025-09")
    found = place.store.read("rejected/2025-09.csv")
    assert found is not None
    place.store.write("events/list.csv", found[0].replace(b",1OO,", b",100,", 1))
    place.store.write("events/b.csv", (HEADER + event(5)).encode())
    [shared] = place.settle("2025-09").facts.shared_rows
    assert (shared.key, shared.other_key) == ("events/b.csv", "events/list.csv")


# EVENT_ID.

WITH_ID = "EVENT_ID," + HEADER


def test_one_id_counts_once_wherever_it_stands() -> None:
    files: dict[str, str | bytes] = {
        "a.csv": f"{WITH_ID}e1,{event(0)}e2,{event(5)}e2,{event(5)}",
        "b.csv": f"{WITH_ID}e2,{event(5)}e3,{event(10)}",
    }
    place, settlement = settled(files)
    [report] = reports_of(settlement)
    assert f"{report.totals.total_revenue:.2f}" == "3.00"
    assert report.sites[NMI].events == 3
    assert [(row["key"], row["line"]) for row in settlement.facts.repeats] == [
        ("events/a.csv", 4),
        ("events/b.csv", 2),
    ]
    place.publish("2025-09")
    assert verify(place.store, Month(2025, 9), "v", 1).is_same
    [explained] = explain(place.store, Month(2025, 9), "v", [NMI])
    assert sum(len(day.events) for day in explained.explanation.days) == 3


def test_two_ids_are_two_events_also_in_two_files() -> None:
    files: dict[str, str | bytes] = {
        "a.csv": f"{WITH_ID}e1,{event(0)}",
        "b.csv": f"{WITH_ID}e2,{event(0)}e3,{event(0, aud=5)}",
    }
    assert total(files) == "7.00"


@pytest.mark.parametrize("other", [event(0, aud=2), event(0, day=2), event(0, nmi=OTHER)])
def test_another_content_under_the_same_id_is_refused(other: str) -> None:
    files: dict[str, str | bytes] = {
        "a.csv": f"{WITH_ID}e1,{event(0)}",
        "b.csv": f"{WITH_ID}e1,{other}",
    }
    with pytest.raises(Refused, match=r"EVENT_ID 'e1' has two contents \(events/a\.csv, line 2; "):
        settled(files, allow_shared_rows=True)


def test_of_many_contradictions_the_first_are_named() -> None:
    ids = [f"e{number:03}" for number in range(20)]
    files: dict[str, str | bytes] = {
        "a.csv": WITH_ID + "".join(f"{id},{event(0)}" for id in ids),
        "b.csv": WITH_ID + "".join(f"{id},{event(minute)}" for id in ids for minute in range(30)),
    }
    with pytest.raises(Refused) as refused:
        settled(files, allow_shared_rows=True)
    said = str(refused.value)
    assert said.count("has two contents") == 10
    assert said.count(", line ") == 100


def test_more_repeats_than_a_record_can_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlaps, "MOST_PINNED_ROWS", 2)
    files: dict[str, str | bytes] = {"a.csv": WITH_ID + f"e1,{event(0)}" * 3}
    assert total(files) == "1.00"
    files["a.csv"] = WITH_ID + f"e1,{event(0)}" * 4
    with pytest.raises(Refused, match="over 2 events stand twice under their EVENT_ID"):
        settled(files)


def test_an_id_that_is_blank_is_none() -> None:
    assert total({"a.csv": f"{WITH_ID},{event(0)} ,{event(5)}"}) == "2.00"
