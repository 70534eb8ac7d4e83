"""The registry's flows: what fits is recorded with who did it, what does not changes nothing."""

import json
from datetime import date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient

from flows.registry import (
    add_battery,
    assign_site,
    create_site,
    create_vpp,
    import_registry,
    remove_battery,
    update_battery,
    update_site,
    update_vpp,
)
from tasks.core.registry import parse_change
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
            "revenue_percentage": "100.0",
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
            "daily_fee_aud": "0.0",
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
            "revenue_percentage": "0.0",
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
            "capacity_kwh": "13.0",
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
    assert state.result() == line
    recorded = {"seq": line.pop("seq"), "recorded_by": line.pop("recorded_by")}
    id = state.state_details.flow_run_id
    assert recorded == {"seq": len(BEFORE) + 1, "recorded_by": f"flow-run/{id}"}
    assert datetime.fromisoformat(line.pop("recorded_at")).tzinfo is not None
    assert set(line) == set(case.line)
    if case.line["effective_from"] == TODAY:
        assert line["effective_from"] in days
    # Compared as changes: 20 and 20.0 percent are the same.
    wanted = {**case.line, "effective_from": line["effective_from"]}
    assert parse_change(line) == parse_change(wanted)
    assert case.line["effective_from"] in (line["effective_from"], TODAY)
    assert id is not None
    assert client.read_flow_run(id).name == case.run_name


def _today() -> str:
    return str(datetime.now(ZoneInfo("Australia/Brisbane")).date())


PREFIX = (
    "Validation of flow parameters failed with error: ParameterTypeError: "
    "Flow run received invalid parameters:\n - "
)
REFUSED: list[tuple[Flow[..., Any], dict[str, Any], str]] = [
    (
        create_vpp,
        {"name": "test VPP one", "revenue_percentage": 20},
        "vpp test-vpp-one exists already; use update-vpp",
    ),
    (
        create_vpp,
        {"name": "Three", "revenue_percentage": 100.5},
        f"{PREFIX}revenue_percentage: Input should be less than or equal to 100",
    ),
    (
        create_vpp,
        {"name": "Three", "revenue_percentage": 20, "daily_fee_aud": -1},
        f"{PREFIX}daily_fee_aud: Input should be greater than or equal to 0",
    ),
    (
        create_vpp,
        {"name": "Three", "revenue_percentage": 12.34567},
        "revenue_percentage: Decimal input should have no more than 4 decimal places "
        "(given: '12.34567')",
    ),
    (
        create_vpp,
        {"name": "Three", "revenue_percentage": float("nan")},
        f"{PREFIX}revenue_percentage: Input should be",
    ),
    (create_vpp, {"name": " ", "revenue_percentage": 20}, "name: "),
    (create_vpp, {"name": "?!", "revenue_percentage": 20}, "name: '?!' has no letter or digit"),
    (
        create_vpp,
        {"name": "Three", "revenue_percentage": 20, "charge_events": "free"},
        f"{PREFIX}charge_events: Input should be 'cost' or 'revenue'",
    ),
    (
        update_vpp,
        {"vpp": "Nobody", "name": "X"},
        "vpp: there is no VPP 'Nobody'; make it with create-vpp first",
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
        "vpp: there is no VPP 'Nobody'; make it with create-vpp first",
    ),
    (
        create_site,
        {"vpp": "two", "nmi": "98765432101", "address": "1 Side St"},
        "nmi: '98765432101' has the wrong check digit: 9876543210 takes 7",
    ),
    (
        create_site,
        {"vpp": "two", "nmi": "9876543210", "address": "1 Side St"},
        "site 9876543210 exists already; use update-site",
    ),
    (
        create_site,
        {"vpp": "two", "nmi": "2001985732", "address": ""},
        "address: Field required",
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
        "vpp: there is no VPP 'Nobody'; make it with create-vpp first",
    ),
    (
        add_battery,
        {
            "nmi": "9876543210",
            "manufacturer": "BYD",
            "serial": "38764527113388",
            "capacity_kwh": 5,
        },
        "serial: battery 38764527113388 is installed at site 9876543210; use update-battery, or "
        "remove-battery there first",
    ),
    (
        add_battery,
        {"nmi": "9876543210", "manufacturer": "BYD", "serial": "B1", "capacity_kwh": -1},
        f"{PREFIX}capacity_kwh: Input should be greater than or equal to 0",
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
    assert run(import_registry, KEY) == {"changes": 3, "last_seq": 3}
    place.store.write(KEY, CSV.encode())
    assert run(import_registry, KEY) == {"changes": 2, "last_seq": 5}
    lines = [json.loads(line) for line in bytes_at(place, LOG).splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5]
    assert len({line["recorded_by"] for line in lines}) == 2
    assert lines[3]["address"] == "1 Side St, Newcastle"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (
            CSV + "9876543210,test-vpp-one,3 Side St\n98765,test-vpp-one,4 Side St\n6001000002,a\n",
            "line 4: site 9876543210 exists already; use update-site\n"
            "line 5: nmi: '98765' is not an NMI: 10 letters (without I and O) and digits, or 11 "
            "with the check digit (given: '98765')\n"
            "line 6: has 2 fields; the header has 3",
        ),
        (
            '{"change": "create-vpp", "name": "Three", "revenue_percentage": "20"}\n\n'
            '{"change": "create-vpp", "name": "Three", "revenue_percentage": "21"}\n',
            "line 3: vpp three exists already; use update-vpp",
        ),
        ("a,b\n1,2\n", "line 1: the header is a, b; expected nmi, vpp, address (sites)"),
        ("nmi,vpp,address\n", "the file holds no changes"),
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
        "key: there is no 'registry/uploads/none.csv' in the bucket; upload it first"
    )
    assert place.objects() == {}


def test_a_missing_bucket_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPP_BUCKET", "nobody-made-this")
    assert refusal(create_vpp, "Three", 20) == (
        "there is no bucket 'nobody-made-this'; make it, or set VPP_BUCKET to the right one"
    )
