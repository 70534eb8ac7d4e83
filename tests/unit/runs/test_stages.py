"""Stages: what each logs, outside a flow run; what they do is proved in the rooms below."""

import logging
from datetime import UTC, datetime

import pytest

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.request import SettlementRequest
from tasks.io.object_store import ObjectStore
from tasks.runs import stages
from tasks.runs.stage import Stage
from tests.through_s3 import HEADER
from tests.unit.core.registries import BASE, assign, parsed

ROW = "6001000001,2025-09-01,Discharge,1,25\n"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="vpp")
    return caplog


def said(log: pytest.LogCaptureFixture, level: str) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelname == level]


def test_a_listing_says_how_much_is_new_and_what_is_not_read(
    store: ObjectStore, log: pytest.LogCaptureFixture
) -> None:
    for name in ("a.csv", "b.csv", *(f"{number:02d}.xls" for number in range(12))):
        store.write(f"events/{name}", HEADER.encode())
    inbox = stages.list_inbox(store, "")
    assert said(log, "INFO") == ["2 files in the inbox, 2 new"]
    [warning] = said(log, "WARNING")
    assert warning.startswith("12 objects not read: events/00.xls, ")
    assert warning.endswith("events/09.xls")
    assert stages.import_each(store, []) == []
    [rows] = stages.import_each(store, [inbox.new])
    assert rows["key"].to_list() == ["events/a.csv", "events/b.csv"]
    assert stages.list_inbox(store, "events/").new == []
    assert said(log, "INFO")[-1] == "2 files in events/, 0 new"


def test_an_import_names_files_that_failed_and_rows_that_were_rejected(
    store: ObjectStore, log: pytest.LogCaptureFixture
) -> None:
    store.write("events/a.csv", b"x")
    dirty = f"note,{HEADER}y,{ROW}y,{ROW.replace(',25', ',x')}y,O{ROW}"
    store.write("events/b.csv", dirty.encode())
    rows = stages.import_files(store, stages.list_inbox(store, "").new)
    [failed] = said(log, "ERROR")
    assert failed.startswith("events/a.csv could not be read: missing column NMI, DATE")
    [rejected] = said(log, "WARNING")
    assert rejected == (
        "events/b.csv: 2 of 3 rows rejected (1 nmi, 1 tariff), listed in "
        f"imports/{rows['import_id'][0]}/rejected.csv"
    )
    assert said(log, "INFO")[1:] == [
        "events/b.csv: columns ignored: NOTE",
        "2 files, 1 row imported",
    ]


def test_inputs_and_settlement_are_counted(
    store: ObjectStore, log: pytest.LogCaptureFixture
) -> None:
    store.write("events/a.csv", (HEADER + ROW * 3).encode())
    stages.append_to_registry(store, parsed(BASE), "test")
    inbox = stages.list_inbox(store, "")
    inbox = inbox.with_imported(stages.import_files(store, inbox.new))
    request = SettlementRequest(datetime.now(UTC), max_rejected_percent=5)
    inputs = stages.select_inputs(store, Month(2025, 9), inbox, request)
    stages.settle(store, inputs, request)
    assert said(log, "INFO")[-2:] == [
        "1 file, 3 rows: 0 rejected",
        "3 events settled, 0 unassigned; 1 report",
    ]


def test_changes_are_recorded_and_what_holds_later_is_a_warning(
    store: ObjectStore, log: pytest.LogCaptureFixture
) -> None:
    days = ("2099-09-20", "2099-09-10")
    leaving = [assign("6001000001", None, effective_from=day) for day in days]
    stages.append_to_registry(store, parsed([*BASE, *leaving]), "test")
    assert said(log, "INFO") == ["changes 1 to 9 recorded"]
    assert said(log, "WARNING") == ["Change 8 still holds from 2099-09-20 on: vpp none."]
    with pytest.raises(Refused, match=r"^key: the file holds no changes$"):
        stages.append_to_registry(store, [], "test")


def test_every_stage_has_a_name_and_a_sentence() -> None:
    found = [of for of in vars(stages).values() if isinstance(of, Stage)]
    assert len(found) >= 25
    assert all(of.run_name and of.function.__doc__ for of in found)
    names = [of.run_name for of in found]
    assert len(set(names)) == len(names)
