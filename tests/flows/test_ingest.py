"""import-events: what is new is imported once, and everything that is not has its reason."""

from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient

from flows.ingest import import_events, request_upload
from tests.flows.polling import task_runs
from tests.flows.sample import EVENTS, bytes_at, end, keys, refusal, run
from tests.through_s3 import HEADER, Place

pytestmark = pytest.mark.usefixtures("prefect_api")

# Two good rows, and one for each of five reasons, one of them twice; a blank line is no row.
DIRTY = f"""{HEADER}9876543210,2025-09-01,Charge,5,-20
987654321O,2025-09-01,Charge,5,-20
9876543210,2025-09-31,Charge,5,-20
9876543210,2025-09-01,Export,5,-20

9876543210,2025-09-01,Discharge,-5,-20
9876543210,2025-09-01,Discharge,5,
9876543210,2025-09-01,Discharge,5
9876543210,2025-09-02,discharge,3,25
"""
NOTHING = {
    "imported": 0,
    "skipped": 0,
    "skipped_by_reason": {},
    "files_imported": 0,
    "files_failed": [],
    "unread": [],
}


def result(**differences: Any) -> dict[str, Any]:
    return {**NOTHING, **differences}


def test_an_empty_inbox_is_no_error(place: Place) -> None:
    assert run(import_events) == NOTHING
    assert place.objects() == {}


def test_rows_are_counted_by_what_became_of_them(place: Place) -> None:
    place.put("clean.csv", EVENTS)
    place.store.write("events/dirty.csv", DIRTY.encode())
    reasons = {"date": 1, "energy_negative": 1, "event_type": 1, "missing": 2, "nmi": 1}

    first = run(import_events)

    assert first == result(imported=4, skipped=6, skipped_by_reason=reasons, files_imported=2)
    [rejected] = [key for key in keys(place, "imports/") if key.endswith("rejected.csv")]
    assert len(bytes_at(place, rejected).splitlines()) == 1 + 6

    before = place.objects()
    again = run(import_events)
    assert again == result(skipped=10, skipped_by_reason={"already imported": 10})
    assert place.objects() == before


def test_only_what_is_below_the_prefix_is_taken(place: Place, client: SyncPrefectClient) -> None:
    place.put("2025-08/a.csv", EVENTS[:1])
    place.put("2025-09/a.csv", EVENTS)

    state = end(import_events, "2025-09/")

    assert state.result() == result(imported=2, files_imported=1)
    id = state.state_details.flow_run_id
    assert id is not None
    assert client.read_flow_run(id).name == "import 2025-09/"
    assert [run.name for run in task_runs(client, id, "import events/2025-09/a.csv")] != []
    rest = run(import_events)
    assert rest == result(
        imported=1, skipped=2, skipped_by_reason={"already imported": 2}, files_imported=1
    )


def test_a_prefix_may_be_written_as_the_key_has_it(place: Place, client: SyncPrefectClient) -> None:
    place.put("2025-09/a.csv", EVENTS)
    state = end(import_events, "events/2025-09/")
    assert state.result()["imported"] == 2
    id = state.state_details.flow_run_id
    assert id is not None
    assert client.read_flow_run(id).name == "import events/2025-09/"


def test_a_file_that_cannot_be_read_is_named_and_stops_no_other(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.put("good.csv", EVENTS)
    place.store.write("events/broken.csv", f'{HEADER}9876543210,2025-09-01,"Charge,5,1\n'.encode())
    place.store.write("events/broken.csv.gz", b"this is no archive")
    place.store.write("events/notes.txt", b"not an event file")

    found = run(import_events)

    assert [file["key"] for file in found.pop("files_failed")] == [
        "events/broken.csv",
        "events/broken.csv.gz",
    ]
    assert (
        found.items() <= result(imported=2, files_imported=1, unread=["events/notes.txt"]).items()
    )
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert [error.split(": ")[:2] for error in errors] == [
        ["events/broken.csv could not be read", "broken quoting"],
        ["events/broken.csv.gz could not be read", "broken archive"],
    ]

    place.put("broken.csv", EVENTS[:1])
    found = run(import_events)
    assert (found["imported"], found["files_imported"], found["files_failed"]) == (1, 1, [])


def test_a_replaced_file_is_taken_in_again(place: Place) -> None:
    place.put("a.csv", EVENTS)
    run(import_events)
    place.put("a.csv", EVENTS[:1])
    assert run(import_events) == result(imported=1, files_imported=1)


NEM12 = f"""100,NEM12,202604010900,MDP,RETAILER
200,6001000001,E1Q1,1,E1,N1,M1,kWh,30,
300,20260301,{",".join(["1.5"] * 48)},A,,,20260302120000,
300,20260302,{",".join(["1.5"] * 47)},A,,,20260302120000,
200,6001000001,E1Q1,1,Q1,N1,M1,kvarh,30,
300,20260301,{",".join(["1.5"] * 48)},A,,,20260302120000,
900
"""
PRICES = "REGION,SETTLEMENTDATE,TOTALDEMAND,RRP,PERIODTYPE\nSA1,2026/03/01 00:05:00,1,9.5,TRADE\n"


def test_meter_data_and_prices_are_taken_in_beside_events(place: Place) -> None:
    place.put("2026/a.csv", EVENTS)
    place.store.write("meter-data/2026/a.csv", NEM12.encode())
    place.store.write("prices/2026/a.csv", PRICES.encode())
    place.store.write("prices/b.csv", PRICES.encode())
    only_prices = run(import_events, "prices/2026/")
    assert only_prices == result(imported=1, files_imported=1)
    reasons = {"already imported": 1, "count": 1, "ignored": 1}
    found = run(import_events, "2026/")
    assert found == result(imported=3, skipped=3, skipped_by_reason=reasons, files_imported=2)
    reasons = {"already imported": 6}
    found = run(import_events)
    assert found == result(imported=1, skipped=6, skipped_by_reason=reasons, files_imported=1)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("2025-09/a.csv.gz", "events/2025-09/a.csv.gz"),
        ("events/a.csv", "events/a.csv"),
        ("meter-data/2025-09/a.zip", "meter-data/2025-09/a.zip"),
        ("prices/a.CSV", "prices/a.CSV"),
    ],
)
def test_a_file_of_each_kind_can_be_uploaded(place: Place, name: str, key: str) -> None:
    found = run(request_upload, name)
    assert found["key"] == key
    assert found["fields"]["key"] == f"{place.settings.prefix}{key}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.zip", "events/a.zip would not be read: names in events/ end in .csv, .csv.gz or"),
        ("prices/a.gz", "prices/a.gz would not be read: names in prices/ end in .csv or .zip"),
        ("prices/../a.csv", "name: 'prices/../a.csv' is no name in prices/"),
    ],
)
def test_a_name_that_would_not_be_read_is_refused(place: Place, name: str, message: str) -> None:
    assert message in refusal(request_upload, name)
