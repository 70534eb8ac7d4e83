"""The registry's flows: what fits is recorded with who did it, what does not changes nothing."""

import json
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import httpx
import pytest
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from flows.registry import (
    add_battery,
    assign_site,
    create_site,
    create_vpp,
    import_registry,
    list_registry,
    redate_changes,
    remove_battery,
    request_registry_upload,
    update_battery,
    update_site,
    update_vpp,
    withdraw_change,
)
from tests.flows.sample import REGISTRY, bytes_at, end, refusal, run
from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("prefect_api")

LOG = "registry/changes.jsonl"
MARCH = date(2026, 3, 1)
TODAY = "today"
BEFORE = [
    *REGISTRY,
    {"change": "create-vpp", "name": "Two", "revenue_percentage": "5", "daily_fee_aud": "1"},
]


class Case(NamedTuple):
    """A call of a flow, its run's name, and the line that it adds to the log."""

    flow: Flow[..., Any]
    parameters: dict[str, Any]
    run_name: str
    line: dict[str, Any]


RECORDED = [
    Case(
        create_vpp,
        {"name": "Three", "revenue_percentage": 12.5},
        "create VPP Three",
        {
            "change": "create-vpp",
            "vpp": "three",
            "name": "Three",
            "revenue_percentage": "12.5",
            "daily_fee_aud": "0",
            "charge_events": "cost",
            "negative_balances": "site",
            "effective_from": None,
        },
    ),
    Case(
        create_vpp,
        {
            "name": "Drei & Söhne",
            "revenue_percentage": 100,
            "daily_fee_aud": 0.3,
            "charge_events": "revenue",
            "negative_balances": "vpp",
            "effective_from": MARCH,
        },
        "create VPP Drei & Söhne",
        {
            "change": "create-vpp",
            "vpp": "drei-s-hne",
            "name": "Drei & Söhne",
            "revenue_percentage": "100",
            "daily_fee_aud": "0.3",
            "charge_events": "revenue",
            "negative_balances": "vpp",
            "effective_from": "2026-03-01",
        },
    ),
    Case(
        update_vpp,
        {"vpp": "test vpp one", "daily_fee_aud": 0, "effective_from": MARCH},
        "update VPP test vpp one",
        {
            "change": "update-vpp",
            "vpp": "test-vpp-one",
            "daily_fee_aud": "0",
            "effective_from": "2026-03-01",
        },
    ),
    Case(
        update_vpp,
        {
            "vpp": "two",
            "name": "Zwei",
            "revenue_percentage": 0,
            "charge_events": "revenue",
            "negative_balances": "vpp",
        },
        "update VPP two",
        {
            "change": "update-vpp",
            "vpp": "two",
            "name": "Zwei",
            "revenue_percentage": "0",
            "charge_events": "revenue",
            "negative_balances": "vpp",
            "effective_from": TODAY,
        },
    ),
    Case(
        create_site,
        {"vpp": "Two", "nmi": "20019857328", "address": " 1 Side St "},
        "create site 20019857328",
        {
            "change": "create-site",
            "nmi": "2001985732",
            "vpp": "two",
            "address": "1 Side St",
            "effective_from": None,
        },
    ),
    Case(
        create_site,
        {
            "vpp": "Two",
            "nmi": "2001985732",
            "address": "1 Side St",
            "region": "SA1",
            "channels": "e1,b1",
            "basis": "meter",
            "effective_from": "2026-03-01",
        },
        "create site 2001985732",
        {
            "change": "create-site",
            "nmi": "2001985732",
            "vpp": "two",
            "address": "1 Side St",
            "region": "SA1",
            "channels": "B1 E1",
            "basis": "meter",
            "effective_from": "2026-03-01",
        },
    ),
    Case(
        update_site,
        {"nmi": "9876543210", "region": "QLD1", "channels": "all"},
        "update site 9876543210",
        {
            "change": "update-site",
            "nmi": "9876543210",
            "region": "QLD1",
            "channels": "all",
            "effective_from": TODAY,
        },
    ),
    Case(
        update_site,
        {"nmi": "9876543210", "address": "428 King St"},
        "update site 9876543210",
        {
            "change": "update-site",
            "nmi": "9876543210",
            "address": "428 King St",
            "effective_from": TODAY,
        },
    ),
    Case(
        assign_site,
        {"nmi": "9876543210", "vpp": "two", "effective_from": MARCH},
        "assign site 9876543210",
        {
            "change": "assign-site",
            "nmi": "9876543210",
            "vpp": "two",
            "effective_from": "2026-03-01",
        },
    ),
    Case(
        assign_site,
        {"nmi": "9876543210", "leaves": True},
        "assign site 9876543210",
        {"change": "assign-site", "nmi": "9876543210", "vpp": None, "effective_from": TODAY},
    ),
    Case(
        add_battery,
        {"nmi": "9876543210", "manufacturer": "BYD", "serial": "B 1", "capacity_kwh": 9.8},
        "add battery B 1",
        {
            "change": "add-battery",
            "serial": "B 1",
            "nmi": "9876543210",
            "manufacturer": "BYD",
            "capacity_kwh": "9.8",
            "effective_from": None,
        },
    ),
    Case(
        update_battery,
        {"serial": "38764527113388", "capacity_kwh": 13, "effective_from": MARCH},
        "update battery 38764527113388",
        {
            "change": "update-battery",
            "serial": "38764527113388",
            "capacity_kwh": "13",
            "effective_from": "2026-03-01",
        },
    ),
    Case(
        update_battery,
        {"serial": "38764527113388", "manufacturer": "BYD"},
        "update battery 38764527113388",
        {
            "change": "update-battery",
            "serial": "38764527113388",
            "manufacturer": "BYD",
            "effective_from": TODAY,
        },
    ),
    Case(
        remove_battery,
        {"serial": "38764527113388"},
        "remove battery 38764527113388",
        {"change": "remove-battery", "serial": "38764527113388", "effective_from": TODAY},
    ),
]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case.run_name)
def test_a_change_that_fits_is_recorded(
    place: Place, client: SyncPrefectClient, case: Case
) -> None:
    place.record(BEFORE)
    before = bytes_at(place, LOG)
    days = {_today()}

    state = end(case.flow, **case.parameters)

    days.add(_today())
    assert state.is_completed(), state.message
    log = bytes_at(place, LOG)
    assert log.startswith(before)
    [line] = [json.loads(line) for line in log[len(before) :].splitlines()]
    told = state.result()
    assert told.pop("later") == []
    assert told == line
    assert state.message is not None
    assert state.message.startswith(f"Change {len(BEFORE) + 1} is recorded: {case.line['change']} ")
    recorded = {"seq": line.pop("seq"), "recorded_by": line.pop("recorded_by")}
    id = state.state_details.flow_run_id
    assert recorded == {"seq": len(BEFORE) + 1, "recorded_by": f"flow-run/{id}"}
    assert datetime.fromisoformat(line.pop("recorded_at")).tzinfo is not None
    assert set(line) == set(case.line)
    if case.line["effective_from"] == TODAY:
        assert line["effective_from"] in days
    wanted = {**case.line, "effective_from": line["effective_from"]}
    assert line == wanted
    assert case.line["effective_from"] in (line["effective_from"], TODAY)
    assert id is not None
    assert client.read_flow_run(id).name == case.run_name


def _today() -> str:
    return str(datetime.now(ZoneInfo("Australia/Brisbane")).date())


REFUSED: list[tuple[Flow[..., Any], dict[str, Any], str]] = [
    (
        create_vpp,
        {"name": "test VPP one", "revenue_percentage": 20},
        "VPP test-vpp-one exists already; to change it use update-vpp",
    ),
    (
        create_vpp,
        {"name": "Three", "revenue_percentage": 100.5},
        "revenue_percentage: must be 100 or less (given: 100.5)",
    ),
    (
        create_vpp,
        {"name": "Three", "revenue_percentage": 20, "daily_fee_aud": -1},
        "daily_fee_aud: must be 0 or more (given: -1)",
    ),
    (
        create_vpp,
        {"name": "Three", "revenue_percentage": 12.34567},
        "revenue_percentage: must have at most 4 decimals (given: 12.34567)",
    ),
    (
        create_vpp,
        {"name": "Three", "revenue_percentage": float("nan")},
        "revenue_percentage: must be a number in plain digits, like 13.5 (given: nan)",
    ),
    (create_vpp, {"name": " ", "revenue_percentage": 20}, "name: "),
    (
        create_vpp,
        {"name": "?!", "revenue_percentage": 20},
        "name: '?!' has no letter from a to z and no digit",
    ),
    (
        create_vpp,
        {"name": "Three\nFour", "revenue_percentage": 20},
        "name: must not hold the character U+000A",
    ),
    (
        create_vpp,
        {"name": "Three", "revenue_percentage": "2_0"},
        "revenue_percentage: must be a number in plain digits, like 13.5 (given: '2_0')",
    ),
    *(
        (
            create_vpp,
            {"name": "Three", "revenue_percentage": 20, "effective_from": day},
            f"effective_from: must be a day written as YYYY-MM-DD, like 2025-09-01 (given: {day!r}",
        )
        for day in (0, 1.5, "1/9/2025", "2025-09-01T00:00:00", "20250901", False)
    ),
    (withdraw_change, {"seq": 9, "reason": "x"}, "there is no change 9 to take back; the last one"),
    (
        withdraw_change,
        {"seq": 2, "reason": "x"},
        "change 2 (create-site 9876543210, from the beginning) is needed by change 3 (add-battery "
        "38764527113388, from the beginning); take these back first, in this order",
    ),
    (
        withdraw_change,
        {"seq": "1_0", "reason": "x"},
        "seq: must be the number of a change, like 7 (given: '1_0')",
    ),
    (withdraw_change, {"seq": 4, "reason": ""}, "reason: must be given"),
    *(
        (list_registry, {"day": day}, "day: must be a day written as YYYY-MM-DD, like 2025-09-01")
        for day in (0, "30/09/2025")
    ),
    (
        list_registry,
        {"as_of": datetime(1, 1, 1, tzinfo=UTC)},
        "as_of: must be a moment from 1901 to now",
    ),
    *(
        (request_registry_upload, {"name": name}, f"name: {name!r} is no name in registry/uploads/")
        for name in ("../changes.jsonl", "a//b.csv", "/a.csv", "a/../b.csv", "a\nb.csv", ".csv")
    ),
    (request_registry_upload, {"name": ""}, "name: must not be empty; give a name like sites.csv"),
    (request_registry_upload, {"name": "a.xlsx"}, "name: 'a.xlsx' must end in .csv or .jsonl"),
    (request_registry_upload, {"name": "a" * 300}, "name: must have at most 200 characters"),
    (import_registry, {"key": ""}, "key: must not be empty; give a name like sites.csv"),
    (import_registry, {"key": "../x"}, "key: '../x' is no name in registry/uploads/; write it as"),
    (
        create_vpp,
        {"name": "Three", "revenue_percentage": 20, "charge_events": "free"},
        "charge_events: must be 'cost' or 'revenue' (given: 'free')",
    ),
    (
        update_vpp,
        {"vpp": "Nobody", "name": "X"},
        "vpp: there is no VPP 'Nobody'; list-registry lists all, create-vpp makes one",
    ),
    (update_vpp, {"vpp": "two"}, "update-vpp of two changes nothing; give at least one field"),
    (
        update_vpp,
        {"vpp": "two", "name": "TEST VPP ONE"},
        "name: 'TEST VPP ONE' is the name or id of VPP test-vpp-one; choose another",
    ),
    (
        create_site,
        {"vpp": "Nobody", "nmi": "2001985732", "address": "1 Side St"},
        "vpp: there is no VPP 'Nobody'; list-registry lists all, create-vpp makes one",
    ),
    (
        create_site,
        {"vpp": "two", "nmi": "98765432101", "address": "1 Side St"},
        "nmi: '98765432101' has the wrong check digit: 9876543210 takes 7",
    ),
    (
        create_site,
        {"vpp": "two", "nmi": "9876543210", "address": "1 Side St"},
        "nmi: site 9876543210 exists already, today as a member of VPP test-vpp-one; to move it "
        "use assign-site, to change its address, region, channels or basis update-site",
    ),
    (
        create_site,
        {"vpp": "two", "nmi": "2001985732", "address": ""},
        "address: must be given",
    ),
    (
        update_site,
        {"nmi": "2001985732", "address": "1 Side St"},
        "nmi: there is no site 2001985732; make it with create-site first",
    ),
    (
        assign_site,
        {"nmi": "9876543210"},
        "vpp: name the VPP that the site joins, or set leaves, but not both",
    ),
    (
        assign_site,
        {"nmi": "9876543210", "vpp": "two", "leaves": True},
        "vpp: name the VPP that the site joins, or set leaves, but not both",
    ),
    (
        assign_site,
        {"nmi": "9876543210", "vpp": "Nobody"},
        "vpp: there is no VPP 'Nobody'; list-registry lists all, create-vpp makes one",
    ),
    (
        add_battery,
        {
            "nmi": "9876543210",
            "manufacturer": "BYD",
            "serial": "38764527113388",
            "capacity_kwh": 5,
        },
        "serial: battery 38764527113388 is installed at site 9876543210 in the beginning; to "
        "change it use update-battery, to move it remove-battery first",
    ),
    (
        add_battery,
        {"nmi": "9876543210", "manufacturer": "BYD", "serial": "B1", "capacity_kwh": -1},
        "capacity_kwh: must be 0 or more (given: -1)",
    ),
    (
        add_battery,
        {"nmi": "2001985732", "manufacturer": "BYD", "serial": "B1", "capacity_kwh": 1},
        "nmi: there is no site 2001985732; make it with create-site first",
    ),
    (
        update_battery,
        {"serial": "B1", "capacity_kwh": 1},
        "serial: there is no battery B1; make it with add-battery first",
    ),
    (
        update_battery,
        {"serial": "38764527113388"},
        "update-battery of 38764527113388 changes nothing; give at least one field",
    ),
    (
        remove_battery,
        {"serial": "B1"},
        "serial: there is no battery B1; make it with add-battery first",
    ),
]


@pytest.mark.parametrize(("flow", "parameters", "sentence"), REFUSED)
def test_a_change_that_does_not_fit_changes_nothing(
    place: Place,
    caplog: pytest.LogCaptureFixture,
    flow: Flow[..., Any],
    parameters: dict[str, Any],
    sentence: str,
) -> None:
    place.record(BEFORE)
    before = place.objects()
    assert refusal(flow, **parameters).startswith(sentence)
    assert not any(record.exc_info for record in caplog.records)
    assert place.objects() == before


# import-registry

CSV = """nmi,vpp,address
2001985732,Test VPP One,"1 Side St, Newcastle"
6001000001,test-vpp-one,2 Side St
"""
KEY = "registry/uploads/changes"


def test_a_file_of_changes_is_recorded_in_one_step(place: Place) -> None:
    place.store.write(KEY, "".join(f"{json.dumps(change)}\n" for change in REGISTRY).encode())
    state = end(import_registry, KEY)
    assert state.message == "Changes 1 to 3 are recorded."
    assert state.result() == {"changes": 3, "last_seq": 3, "later": []}
    place.store.write(KEY, CSV.encode())
    named = KEY.removeprefix("registry/uploads/")
    assert run(import_registry, named) == {"changes": 2, "last_seq": 5, "later": []}
    lines = [json.loads(line) for line in bytes_at(place, LOG).splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5]
    assert len({line["recorded_by"] for line in lines}) == 2
    assert lines[3]["address"] == "1 Side St, Newcastle"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (
            CSV + "9876543210,test-vpp-one,3 Side St\n98765,test-vpp-one,4 Side St\n6001000002,a\n",
            "line 4: nmi: site 9876543210 exists already, today as a member of VPP test-vpp-one; "
            "to move it use assign-site, to change its address, region, channels or basis "
            "update-site\n"
            "line 5: nmi: '98765' is not an NMI: 10 letters (without I and O) and digits, or 11 "
            "with the check digit\n"
            "line 6: has 2 fields, but the header has 3",
        ),
        (
            '{"change": "create-vpp", "name": "Three", "revenue_percentage": "20"}\n\n'
            '{"change": "create-vpp", "name": "Three", "revenue_percentage": "21"}\n',
            "line 3: VPP three exists already; to change it use update-vpp",
        ),
        ("a,b\n1,2\n", "line 1: the header is a, b; expected nmi, vpp, address (new sites,"),
        ("nmi,vpp,address\n", "key: the file holds no changes"),
        ("", "line 1: the header is empty; expected"),
        ("\udcff", "the file is not UTF-8 text"),
    ],
)
def test_a_file_with_a_change_that_does_not_fit_changes_nothing(
    place: Place, caplog: pytest.LogCaptureFixture, data: str, sentence: str
) -> None:
    place.record(BEFORE)
    place.store.write(KEY, data.encode(errors="surrogateescape"))
    before = place.objects()
    assert refusal(import_registry, KEY).startswith(sentence)
    assert not any(record.exc_info for record in caplog.records)
    assert place.objects() == before


def test_a_file_that_is_not_there_is_named(place: Place) -> None:
    assert refusal(import_registry, "registry/uploads/none.csv") == (
        "key: there is no 'registry/uploads/none.csv' in the bucket; request-registry-upload "
        "gives a command to upload it with"
    )
    assert place.objects() == {}


def test_a_missing_bucket_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPP_BUCKET", "nobody-made-this")
    assert refusal(create_vpp, "Three", 20) == (
        "there is no bucket 'nobody-made-this'; make it, or set VPP_BUCKET to the right one"
    )


# What still holds, taking back, and dating again.


def test_a_change_says_which_later_one_still_holds_and_that_one_is_taken_back(
    place: Place,
) -> None:
    """A removal for the 20th, corrected to the 10th, the battery elsewhere from the 12th."""
    site = {"change": "create-site", "nmi": "2001985732", "vpp": "Two", "address": "1 Side St"}
    place.record([*BEFORE, site])
    serial = REGISTRY[2]["serial"]
    run(remove_battery, serial, "2026-03-20")
    run(remove_battery, serial, "2026-03-10")
    state = end(add_battery, "2001985732", "Tesla", serial, 13.5, "2026-03-12")
    assert state.message == (
        f"Change 8 is recorded: add-battery {serial}, from 2026-03-12. Change 6 still holds from "
        "2026-03-20 on: nmi none. What is not meant can be taken back by withdraw-change."
    )
    assert state.result()["later"] == [
        {"seq": 6, "effective_from": "2026-03-20", "values": {"nmi": None}, "after": 8}
    ]

    state = end(withdraw_change, 6, "it was the 10th")
    assert state.message == (
        f"Change 9 is recorded: withdraw-change 6, which was about battery {serial} from "
        "2026-03-20."
    )
    rows = run(list_registry, "2026-03-25")
    listed = bytes_at(place, rows["key"]).decode().splitlines()
    assert listed[-1].startswith(f"battery,{serial},,,2001985732,")


def test_an_import_names_what_still_holds_after_each_of_its_changes(place: Place) -> None:
    place.record(BEFORE)
    run(assign_site, "9876543210", leaves=True, effective_from="2026-03-20")
    place.store.write(KEY, b"nmi,address,effective_from\n9876543210,2 King St,2026-03-01\n")
    assert end(import_registry, KEY).message == "Change 6 is recorded."
    line = {"change": "assign-site", "nmi": "9876543210", "effective_from": "2026-03-01"}
    lines = [{**line, "vpp": "two"}, {**line, "vpp": None}]
    place.store.write(KEY, "".join(f"{json.dumps(line)}\n" for line in lines).encode())
    assert end(import_registry, KEY).message == (
        "Changes 7 to 8 are recorded. After change 7: Change 5 still holds from 2026-03-20 on: vpp "
        "none. After change 8: Change 5 still holds from 2026-03-20 on: vpp none. What is not "
        "meant can be taken back by withdraw-change."
    )


def test_a_change_from_a_clock_ahead_is_dated_again(place: Place) -> None:
    place.record(BEFORE)
    place.record(
        [{"change": "update-site", "nmi": "9876543210", "address": "2 King St"}],
        datetime(2099, 1, 1, tzinfo=UTC),
    )
    assert refusal(create_vpp, "Three", 20).startswith("change 5 is dated 2099-01-01 00:00:00 UTC")
    message = end(redate_changes).message
    assert message is not None
    assert message.startswith("Change 5 is dated 20")
    assert (
        " now. Settlements that were run since they were recorded did not see them: settle their "
        "months again. Not yet in force: change 5 from 2099-01-01."
    ) in message
    run(create_vpp, "Three", 20)
    assert end(redate_changes).message == "No change is dated in the future; nothing was done."


# Files from outside, and lists.


def test_a_file_is_uploaded_by_a_link_and_imported_by_its_key(
    place: Place, client: SyncPrefectClient
) -> None:
    place.record(BEFORE)
    for name in ("2026/more sites.csv", "registry/uploads/2026/more sites.csv"):
        state = end(request_registry_upload, name)
        key, url, fields = (state.result()[name] for name in ("key", "url", "fields"))
        assert key == "registry/uploads/2026/more sites.csv"
        assert state.message is not None
        assert state.message.startswith(f"{key} can be uploaded until 20")
        assert state.message.endswith(" UTC: the command is in the artifact registry-upload")
        [artifact] = client.read_artifacts(
            artifact_filter=ArtifactFilter(
                flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id])
            )
        )
        assert artifact.key == "registry-upload"
        assert f'-F "file=@more sites.csv" "{url}"' in str(artifact.data)
        assert f"Then run `import-registry` with the key `{key}`." in str(artifact.data)
    assert httpx.post(url, data=fields, files={"file": CSV.encode()}).is_success
    assert run(import_registry, key)["changes"] == 2


def test_the_registry_is_listed_on_a_day_as_it_was_known(
    place: Place, client: SyncPrefectClient
) -> None:
    known = datetime(2026, 1, 1, tzinfo=UTC)
    place.record(BEFORE, known)
    place.record(
        [
            {
                "change": "update-site",
                "nmi": "9876543210",
                "address": "=HYPERLINK(1)",
                "effective_from": "2026-03-01",
            },
            {
                "change": "remove-battery",
                "serial": "38764527113388",
                "effective_from": "2026-03-02",
            },
        ]
    )
    state = end(list_registry, "2026-03-02")
    told = state.result()
    assert (told["vpp"], told["site"], told["battery"]) == (2, 1, 1)
    assert state.message == (
        "VPPs: 2, sites: 1, batteries: 1 on 2026-03-02. All of them as CSV are in "
        "registry/lists/2026-03-02.csv; the artifact registry links it."
    )
    assert httpx.get(told["url"]).content == bytes_at(place, "registry/lists/2026-03-02.csv")
    assert bytes_at(place, "registry/lists/2026-03-02.csv").decode().replace("\r\n", "\n") == (
        "kind,id,name,vpp,nmi,address,manufacturer,capacity_kwh,region,channels,basis,"
        "revenue_percentage,daily_fee_aud,charge_events,negative_balances,last_change\n"
        "vpp,test-vpp-one,Test VPP One,test-vpp-one,,,,,,,,20,0.30,cost,site,1\n"
        "vpp,two,Two,two,,,,,,,,5,1,cost,site,4\n"
        "site,9876543210,,test-vpp-one,9876543210,'=HYPERLINK(1),,0,,all,,,,,,5\n"
        "battery,38764527113388,,,,,Tesla,13.5,,,,,,,,6\n"
    )
    told = run(list_registry, "2026-03-02", as_of=known)
    assert told["key"] == "registry/lists/2026-03-02-as-of-20260101T000000Z.csv"
    assert bytes_at(place, told["key"]).decode().splitlines()[3:] == [
        "site,9876543210,,test-vpp-one,9876543210,426 King St Newcastle West NSW 2302,,13.5,,all,,"
        ",,,,2",
        "battery,38764527113388,,,9876543210,,Tesla,13.5,,,,,,,,3",
    ]
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    [table] = client.read_artifacts(
        artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    )
    assert table.key == "registry"
    assert isinstance(table.data, str)
    assert len(json.loads(table.data)) == 4
    assert "registry/lists/2026-03-02" in (table.description or "")
