"""The registry: what each change does, what is refused in which words, and what the log holds."""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tasks.core import keys
from tasks.core.change_file import read_changes
from tasks.core.changes import Change, parse_change, recorded_change, slug
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.registry import LaterChange, Registry
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import (
    append_changes,
    read_log,
    read_registry,
    redate_changes,
)

AT = datetime(2025, 8, 30, 1, 2, 3, tzinfo=UTC)
TODAY = date(2025, 8, 30)

Json = dict[str, Any]


def vpp(name: str, **fields: Any) -> Json:
    return {"change": "create-vpp", "name": name, "revenue_percentage": "20", **fields}


def update_vpp(reference: str, **fields: Any) -> Json:
    return {"change": "update-vpp", "vpp": reference, **fields}


def site(nmi: str, reference: str, **fields: Any) -> Json:
    return {"change": "create-site", "nmi": nmi, "vpp": reference, "address": "1 King St", **fields}


def assign(nmi: str, reference: str | None, **fields: Any) -> Json:
    return {"change": "assign-site", "nmi": nmi, "vpp": reference, **fields}


def battery(serial: str, nmi: str, capacity_kwh: Any = "13.5", **fields: Any) -> Json:
    added = {"change": "add-battery", "serial": serial, "nmi": nmi, "manufacturer": "Tesla"}
    return {**added, "capacity_kwh": capacity_kwh, **fields}


def update_battery(serial: str, **fields: Any) -> Json:
    return {"change": "update-battery", "serial": serial, **fields}


def remove(serial: str, **fields: Any) -> Json:
    return {"change": "remove-battery", "serial": serial, **fields}


# What the tests start from.
BASE = [
    vpp("Test VPP One", daily_fee_aud="0.30"),
    vpp("Late VPP", effective_from="2025-10-01"),
    site("6001000001", "test-vpp-one"),
    site("6001000002", "test-vpp-one", effective_from="2025-09-10"),
    battery("S1", "6001000001"),
    battery("S2", "6001000001"),
    remove("S2", effective_from="2025-08-15"),
]


def parsed(changes: Iterable[Json]) -> list[tuple[int, Change | Refused]]:
    numbered: list[tuple[int, Change | Refused]] = []
    for number, fields in enumerate(changes, 1):
        try:
            numbered.append((number, parse_change(fields)))
        except Refused as problem:
            numbered.append((number, problem))
    return numbered


def append(
    store: ObjectStore, settings: Settings, *changes: Json, now: datetime = AT
) -> list[Change]:
    recorded = append_changes(store, settings, parsed(changes), "flow-run/1", lambda: now)
    return [one.change for one in recorded]


def registry(*changes: Json) -> Registry:
    known = Registry(today=TODAY)
    for change in changes:
        known.add(parse_change(change), AT, "test")
    return known


def log_lines(store: ObjectStore) -> list[Json]:
    return [json.loads(line) for line in read_log(store).splitlines()]


# A change on top of BASE, and what the log says of it.
RECORDED = [
    (
        vpp("VPP Two!", revenue_percentage=12.5),
        {
            "vpp": "vpp-two",
            "name": "VPP Two!",
            "revenue_percentage": "12.5",
            "daily_fee_aud": "0",
            "charge_events": "cost",
            "negative_balances": "site",
            "effective_from": None,
        },
    ),
    (
        vpp(
            " Two ",
            vpp="second",
            revenue_percentage="100.0000",
            daily_fee_aud=None,
            charge_events="revenue",
            negative_balances="vpp",
            effective_from="2024-02-29",
        ),
        {
            "vpp": "second",
            "name": "Two",
            "revenue_percentage": "100.0000",
            "daily_fee_aud": "0",
            "charge_events": "revenue",
            "negative_balances": "vpp",
            "effective_from": "2024-02-29",
        },
    ),
    (
        update_vpp("Test VPP One", revenue_percentage=0, daily_fee_aud="0.005"),
        {
            "vpp": "test-vpp-one",
            "revenue_percentage": "0",
            "daily_fee_aud": "0.005",
            "effective_from": "2025-08-30",
        },
    ),
    (
        update_vpp("test-vpp-one", name="New Name", effective_from=None),
        {"vpp": "test-vpp-one", "name": "New Name", "effective_from": None},
    ),
    (
        update_vpp("test-vpp-one", daily_fee_aud=None),  # no fee is a fee of zero
        {"vpp": "test-vpp-one", "daily_fee_aud": "0", "effective_from": "2025-08-30"},
    ),
    (
        update_vpp("test-vpp-one", daily_fee_aud="10"),
        {"vpp": "test-vpp-one", "daily_fee_aud": "10", "effective_from": "2025-08-30"},
    ),
    (
        update_vpp("test-vpp-one", charge_events="revenue", negative_balances="vpp"),
        {
            "vpp": "test-vpp-one",
            "charge_events": "revenue",
            "negative_balances": "vpp",
            "effective_from": "2025-08-30",
        },
    ),
    (
        site("20019857328", "TEST vpp one", address=' 426 King St, Büro \\ "3" '),
        {
            "nmi": "2001985732",
            "vpp": "test-vpp-one",
            "address": '426 King St, Büro \\ "3"',
            "effective_from": None,
        },
    ),
    (
        site("qaaavzzzzz", "Late VPP", effective_from="2025-10-01"),
        {
            "nmi": "QAAAVZZZZZ",
            "vpp": "late-vpp",
            "address": "1 King St",
            "effective_from": "2025-10-01",
        },
    ),
    (
        {"change": "update-site", "nmi": "6001000001", "address": "2 King St"},
        {"nmi": "6001000001", "address": "2 King St", "effective_from": "2025-08-30"},
    ),
    (
        assign("6001000001", None),
        {"nmi": "6001000001", "vpp": None, "effective_from": "2025-08-30"},
    ),
    (
        assign("6001000001", "LATE VPP", effective_from="2025-10-16"),
        {"nmi": "6001000001", "vpp": "late-vpp", "effective_from": "2025-10-16"},
    ),
    (
        battery("S3", "6001000001", 0),
        {
            "nmi": "6001000001",
            "manufacturer": "Tesla",
            "serial": "S3",
            "capacity_kwh": "0",
            "effective_from": None,
        },
    ),
    (
        battery("S2", "6001000002", 10, effective_from="2025-09-10"),
        {
            "nmi": "6001000002",
            "manufacturer": "Tesla",
            "serial": "S2",
            "capacity_kwh": "10",
            "effective_from": "2025-09-10",
        },
    ),
    (
        update_battery("S1", capacity_kwh="999999999.999999", manufacturer="sonnen"),
        {
            "serial": "S1",
            "capacity_kwh": "999999999.999999",
            "manufacturer": "sonnen",
            "effective_from": "2025-08-30",
        },
    ),
    (remove("S1"), {"serial": "S1", "effective_from": "2025-08-30"}),
]


@pytest.mark.parametrize(("change", "line"), RECORDED)
def test_a_change_is_recorded(
    store: ObjectStore, settings: Settings, change: Json, line: Json
) -> None:
    append(store, settings, *BASE)
    before = read_log(store)
    (recorded,) = append(store, settings, change)
    log = read_log(store)
    assert log.startswith(before)
    added = json.loads(log.removeprefix(before))
    assert added == {
        "seq": 8,
        "recorded_at": "2025-08-30T01:02:03Z",
        "recorded_by": "flow-run/1",
        "change": change["change"],
        **line,
    }
    assert recorded_change(recorded.line()) == recorded


def test_a_line_of_the_log_begins_with_when_and_what_and_ends_with_since_when(
    store: ObjectStore, settings: Settings
) -> None:
    append(store, settings, *BASE, *(change for change, _ in RECORDED[2:7]))
    for line in log_lines(store):
        assert list(line)[:4] == ["seq", "recorded_at", "recorded_by", "change"]
        assert list(line)[-1] == "effective_from"


REFUSED: list[tuple[Json, str]] = [
    # What is not there.
    (
        site("6001000003", "VPP Three"),
        "vpp: there is no VPP 'VPP Three'; make it with create-vpp first",
    ),
    (
        update_vpp("three", name="x"),
        "vpp: there is no VPP 'three'; make it with create-vpp first",
    ),
    (assign("6001000001", "three"), "vpp: there is no VPP 'three'; make it with create-vpp first"),
    (
        assign("6001000003", "test-vpp-one"),
        "nmi: there is no site 6001000003; make it with create-site first",
    ),
    (
        {"change": "update-site", "nmi": "6001000003", "address": "x"},
        "nmi: there is no site 6001000003; make it with create-site first",
    ),
    (
        battery("S3", "6001000003"),
        "nmi: there is no site 6001000003; make it with create-site first",
    ),
    (
        update_battery("S3", capacity_kwh="1"),
        "serial: there is no battery S3; make it with add-battery first",
    ),
    (remove("S3"), "serial: there is no battery S3; make it with add-battery first"),
    (remove("S2"), "serial: battery S2 is not installed on 2025-08-30"),
    # What is there already.
    (vpp("Test VPP One"), "VPP test-vpp-one exists already; to change it use update-vpp"),
    (
        vpp("TEST  VPP (one)"),
        "name: 'TEST  VPP (one)' would get the id test-vpp-one, which VPP 'Test VPP One' "
        "has; choose another name, or 'Test VPP One' to change that VPP",
    ),
    (
        vpp("TEST VPP ONE", vpp="other"),
        "name: 'TEST VPP ONE' is the name or id of VPP test-vpp-one; choose another",
    ),
    (
        vpp("test-vpp-one", vpp="other"),
        "name: 'test-vpp-one' is the name or id of VPP test-vpp-one; choose another",
    ),
    (
        update_vpp("late-vpp", name="test vpp one", effective_from="2025-10-01"),
        "name: 'test vpp one' is the name or id of VPP test-vpp-one; choose another",
    ),
    (
        site("6001000001", "test-vpp-one"),
        "nmi: site 6001000001 exists already, today as a member of VPP test-vpp-one; to "
        "move it use assign-site, to change its address, region, channels or basis "
        "update-site",
    ),
    (
        battery("S1", "6001000002", effective_from="2025-09-10"),
        "serial: battery S1 is installed at site 6001000001 on 2025-09-10; to change it "
        "use update-battery, to move it remove-battery first",
    ),
    (
        battery("S2", "6001000001", effective_from="2025-08-14"),
        "serial: battery S2 is installed at site 6001000001 until it is removed on "
        "2025-08-15; to install it again give an effective_from of 2025-08-15 or later",
    ),
    # Before the beginning.
    (
        site("6001000003", "late-vpp"),
        "effective_from: vpp late-vpp starts on 2025-10-01, which is after the beginning; "
        "give 2025-10-01 or later",
    ),
    (
        assign("6001000001", "Late VPP", effective_from="2025-09-30"),
        "effective_from: vpp late-vpp starts on 2025-10-01, which is after 2025-09-30; "
        "give 2025-10-01 or later",
    ),
    (
        update_vpp("late-vpp", revenue_percentage="5"),
        "effective_from: vpp late-vpp starts on 2025-10-01, which is after 2025-08-30; "
        "give 2025-10-01 or later",
    ),
    (
        assign("6001000002", None),
        "effective_from: site 6001000002 starts on 2025-09-10, which is after 2025-08-30; "
        "give 2025-09-10 or later",
    ),
    (
        battery("S3", "6001000002"),
        "effective_from: site 6001000002 starts on 2025-09-10, which is after the beginning; "
        "give 2025-09-10 or later",
    ),
    # Nothing.
    (update_vpp("test-vpp-one"), "update-vpp of test-vpp-one changes nothing; give at least one"),
    (update_battery("S1"), "update-battery of S1 changes nothing; give at least one field"),
    (
        {"change": "update-site", "nmi": "6001000001"},
        "update-site of 6001000001 changes nothing; give at least one field",
    ),
    ({"change": "assign-site", "nmi": "6001000001"}, "vpp: must be given"),
    (
        vpp("!?"),
        "name: '!?' has no letter from a to z and no digit, and the VPP's id is made of "
        "these; choose another name",
    ),
    (vpp(" "), "name: must not be empty (given: ' ')"),
    (site("6001000003", "test-vpp-one", address=""), "address: must not be empty (given: '')"),
    # Numbers.
    (
        vpp("x", revenue_percentage="100.0001"),
        "revenue_percentage: must be 100 or less (given: '100.0001')",
    ),
    (
        vpp("x", revenue_percentage="-1"),
        "revenue_percentage: must be 0 or more (given: '-1')",
    ),
    (
        vpp("x", revenue_percentage="NaN"),
        "revenue_percentage: must be a number in plain digits, like 13.5 (given: 'NaN')",
    ),
    (
        vpp("x", revenue_percentage="20%"),
        "revenue_percentage: must be a number in plain digits, like 13.5 (given: '20%')",
    ),
    (
        update_vpp("test-vpp-one", revenue_percentage="33.33333"),
        "revenue_percentage: must have at most 4 decimals (given: '33.33333')",
    ),
    (
        vpp("x", daily_fee_aud="-0.01"),
        "daily_fee_aud: must be 0 or more (given: '-0.01')",
    ),
    (
        vpp("x", daily_fee_aud="0.00005"),
        "daily_fee_aud: must have at most 4 decimals (given: '0.00005')",
    ),
    (
        vpp("x", daily_fee_aud="Infinity"),
        "daily_fee_aud: must be a number in plain digits, like 13.5 (given: 'Infinity')",
    ),
    (
        vpp("x", daily_fee_aud="1000000"),
        "daily_fee_aud: must be less than 1000000 (given: '1000000')",
    ),
    (
        battery("S3", "6001000001", "-13.5"),
        "capacity_kwh: must be 0 or more (given: '-13.5')",
    ),
    (
        update_battery("S1", capacity_kwh="0.0000001"),
        "capacity_kwh: must have at most 6 decimals (given: '0.0000001')",
    ),
    (
        battery("S3", "6001000001", "nan"),
        "capacity_kwh: must be a number in plain digits, like 13.5 (given: 'nan')",
    ),
    (
        battery("S3", "6001000001", "1000000000"),
        "capacity_kwh: must be less than 1000000000 (given: '1000000000')",
    ),
    # NMIs, fields and kinds.
    (
        site("600100000O", "test-vpp-one"),
        "nmi: '600100000O' is not an NMI: 10 letters (without I and O) and digits, "
        "or 11 with the check digit",
    ),
    (
        site("20019857327", "test-vpp-one"),
        "nmi: '20019857327' has the wrong check digit: 2001985732 takes 8",
    ),
    (vpp("x", fee="1"), "fee: is no field of create-vpp; leave it out"),
    (assign("6001000001", None, address="x"), "address: is no field of assign-site; leave it out"),
    (vpp("x", charge_events="free"), "charge_events: must be 'cost' or 'revenue' (given: 'free')"),
    (
        vpp("x", vpp="No Id"),
        "vpp: must be small letters, digits and dashes, like test-vpp-one (given: 'No Id')",
    ),
    (
        vpp("x", effective_from="2025-09-31"),
        "effective_from: must be a day that the calendar has (given: '2025-09-31')",
    ),
    ({"change": "delete-site", "nmi": "6001000001"}, "change: must be one of create-vpp, update-"),
    ({"nmi": "6001000001"}, "change: must be one of create-vpp, update-vpp, create-site, update-"),
    (
        {"change": "create-site", "nmi": "1"},
        "nmi: '1' is not an NMI: 10 letters (without I and O) and digits, or 11 with the "
        "check digit; vpp: must be given; address: must be given",
    ),
]


@pytest.fixture(scope="module")
def base(s3_endpoint: str) -> ObjectStore:
    """Give a log that holds BASE, for tests that write nothing."""
    settings = Settings(prefix="test-registry-base/")
    store = ObjectStore(settings)
    append(store, settings, *BASE)
    return store


@pytest.mark.parametrize(("change", "sentence"), REFUSED)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    base: ObjectStore, change: Json, sentence: str
) -> None:
    before = base.read(keys.REGISTRY_LOG)
    with pytest.raises(Refused) as refused:
        append(base, Settings(prefix=base.prefix), change)
    assert sentence in str(refused.value)
    assert base.read(keys.REGISTRY_LOG) == before


def test_a_refused_change_leaves_the_registry_as_it_was() -> None:
    known = registry(*BASE)
    with pytest.raises(Refused):
        known.add(parse_change(update_vpp("late-vpp", name="New")), AT, "test")
    assert known.seq == len(BASE)
    assert known.vpp_id("Late VPP") == "late-vpp"
    with pytest.raises(Refused):
        known.vpp_id("New")


CREATING = [vpp("Another"), site("6001000003", "test-vpp-one"), battery("S3", "6001000001")]
ALTERING = [
    update_vpp("test-vpp-one", revenue_percentage="5"),
    {"change": "update-site", "nmi": "6001000001", "address": "2 King St"},
    assign("6001000001", None),
    update_battery("S1", capacity_kwh="5"),
    remove("S1"),
]


@pytest.mark.parametrize(
    ("now", "today"),
    [
        ("2025-09-30T13:59:59.999999+00:00", "2025-09-30"),
        ("2025-09-30T14:00:00+00:00", "2025-10-01"),  # midnight in Brisbane
        ("2025-10-05T14:30:00+00:00", "2025-10-06"),  # daylight saving in Sydney, not in the market
        ("2025-12-31T14:00:00+00:00", "2026-01-01"),
        ("2025-10-01T02:00:00+11:00", "2025-10-01"),
    ],
)
def test_what_creates_holds_from_the_beginning_and_what_alters_from_today_in_market_time(
    store: ObjectStore, settings: Settings, now: str, today: str
) -> None:
    append(store, settings, *BASE)
    recorded = append(store, settings, *CREATING, *ALTERING, now=datetime.fromisoformat(now))
    assert [change.effective_from for change in recorded] == [
        *[None] * len(CREATING),
        *[date.fromisoformat(today)] * len(ALTERING),
    ]


@pytest.mark.parametrize("given", [None, "2025-08-01", "2030-01-01"])
@pytest.mark.parametrize("change", CREATING + ALTERING, ids=lambda change: change["change"])
def test_a_given_effective_from_is_taken(change: Json, given: str | None) -> None:
    added = registry(*BASE).add(parse_change({**change, "effective_from": given}), AT, "test")
    assert added.effective_from == (None if given is None else date.fromisoformat(given))


def test_slugs() -> None:
    assert [slug(name) for name in ("Test VPP One", " Größe -- 2 ", "A/B", "!?")] == [
        "test-vpp-one",
        "gr-e-2",
        "a-b",
        "",
    ]


def test_a_vpp_is_named_by_its_current_name_in_any_case_and_always_by_its_id() -> None:
    known = registry(vpp("First Name"))
    for reference in ("First Name", " first name ", "FIRST NAME", "first-name", " first-name"):
        assert known.vpp_id(reference) == "first-name"
    known.add(parse_change(update_vpp("First Name", name="Second Name")), AT, "test")
    known.add(parse_change(update_vpp("second name", revenue_percentage="5")), AT, "test")
    assert known.vpp_id("Second Name") == known.vpp_id("first-name") == "first-name"
    with pytest.raises(Refused, match="there is no VPP 'First Name'"):
        known.vpp_id("First Name")
    # The old name is free again, its id is not.
    known.add(parse_change(vpp("First Name", vpp="another")), AT, "test")
    assert known.vpp_id("First Name") == "another"
    assert known.vpp_id("first-name") == "first-name"


def test_a_correction_of_an_older_name_does_not_change_the_current_one() -> None:
    known = registry(
        vpp("First"),
        update_vpp("first", name="Now", effective_from="2025-08-01"),
        update_vpp("first", name="Then", effective_from="2025-07-01"),
    )
    assert known.vpp_id("Now") == "first"
    with pytest.raises(Refused):
        known.vpp_id("Then")


def test_until_a_rename_takes_effect_the_name_is_the_old_one() -> None:
    known = registry(
        vpp("Old", vpp="id"), update_vpp("id", name="New", effective_from="2030-01-01")
    )
    assert known.vpp_id("Old") == "id"


@pytest.mark.parametrize(
    "changes",
    [
        # A name in capitals is not the id in small letters ...
        [vpp("Alpha"), update_vpp("alpha", name="Beta"), vpp("ALPHA", vpp="other")],
        [
            vpp("Alpha"),
            update_vpp("alpha", name="Beta"),
            vpp("Other"),
            update_vpp("other", name="ALPHA"),
        ],
        # ... and an id is not to be what another is called.
        [vpp("Gamma"), update_vpp("gamma", name="Alpha"), vpp("Other", vpp="alpha")],
        [vpp("Gamma"), update_vpp("gamma", name="Alpha"), vpp("Alpha!")],
    ],
)
def test_an_id_never_comes_to_mean_another_vpp(changes: list[Json]) -> None:
    """Either the change that makes it ambiguous is refused, or the id still wins."""
    known = Registry(today=TODAY)
    for change in changes:
        try:
            known.add(parse_change(change), AT, "test")
        except Refused as problem:
            assert "choose another" in str(problem)
    if known.knows("vpp", "alpha"):
        assert known.vpp_id("alpha") == "alpha"


def test_an_eleven_character_nmi_is_the_same_site(store: ObjectStore, settings: Settings) -> None:
    append(store, settings, vpp("One"), site("2001985732", "One"))
    with pytest.raises(Refused, match="site 2001985732 exists already"):
        append(store, settings, site("20019857328", "One"))
    append(store, settings, battery("S1", "20019857328"), assign("20019857328", None))
    assert [line["nmi"] for line in log_lines(store)[1:]] == ["2001985732"] * 3


def test_a_battery_moves_by_being_removed_and_added(store: ObjectStore, settings: Settings) -> None:
    append(
        store,
        settings,
        *BASE,
        remove("S1", effective_from="2025-09-12"),
        battery("S1", "6001000002", effective_from="2025-09-12"),
        remove("S1", effective_from="2025-09-20"),
        battery("S1", "6001000001", effective_from="2025-09-25"),
        update_battery("S1", capacity_kwh="10", effective_from="2025-09-22"),
    )
    assert len(log_lines(store)) == len(BASE) + 5
    # Also within a day, and back again.
    day = {"effective_from": "2025-09-15"}
    append(
        store,
        settings,
        battery("S3", "6001000001", **day),
        remove("S3", **day),
        battery("S3", "6001000002", **day),
        remove("S3", **day),
        battery("S3", "6001000001", **day),
    )
    # It will be at another site later, also if it is nowhere on the day itself.
    with pytest.raises(Refused, match="battery S1 is installed at site 6001000001"):
        append(store, settings, battery("S1", "6001000002", effective_from="2025-09-21"))


# What entered is plain.


@pytest.mark.parametrize(
    "day",
    [
        *(0, 1, 20250901, 1.5, True, "0", "", "2025-9-1", "20250901", "01/09/2025", AT),
        *("2025-09-01T00:00:00", "2025-09-01 ", "\uff12025-09-01", "2025-W36-1"),
    ],
)
def test_a_day_is_a_date_or_yyyy_mm_dd_and_nothing_else(day: Any) -> None:
    with pytest.raises(
        Refused, match=r"^effective_from: must be a day written as YYYY-MM-DD, like"
    ):
        parse_change(vpp("x", effective_from=day))


@pytest.mark.parametrize("day", ["1899-12-31", "2100-01-01", "0001-01-01", "9999-12-31"])
def test_a_day_is_of_this_age(day: str) -> None:
    with pytest.raises(Refused, match="must be a day from 1900-01-01 to 2099-12-31"):
        parse_change(vpp("x", effective_from=day))


@pytest.mark.parametrize(
    "number",
    [
        *("1_0", "1e1", "1E+1", " 10", "10 ", ".5", "5.", "+5", "\uff11", "0x10", "1,5", "", "-"),
        *(True, float("inf"), float("nan"), Decimal("NaN"), None, [1], "1" * 41),
    ],
)
def test_a_number_is_written_in_plain_digits(number: Any) -> None:
    with pytest.raises(
        Refused, match=r"^capacity_kwh: must be a number in plain digits, like 13.5"
    ):
        parse_change(battery("S9", "6001000001", number))


@pytest.mark.parametrize(
    ("number", "text"),
    [("007.50", "7.50"), (0.1, "0.1"), (1e-05, "0.00001"), (13, "13"), (Decimal("1E+1"), "10")],
)
def test_a_number_is_taken_as_it_is(number: Any, text: str) -> None:
    line = parse_change(battery("S9", "6001000001", number)).line()
    assert json.loads(line)["capacity_kwh"] == text


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (vpp("A\nB"), "name: must not hold the character U+000A, which is a line break or is not "
         "shown (character 2); leave it out"),
        (site("6001000003", "One", address="1 King\u2028St"), "address: must not hold the "
         "character U+2028"),
        (battery("S\x00", "6001000001"), "serial: must not hold the character U+0000"),
        (battery("S", "6001000001", manufacturer="a\u202eb"), "manufacturer: must not hold the "
         "character U+202E"),
        (vpp("A" * 101), "name: must have at most 100 characters, not 101"),
        (vpp("A", vpp="a" * 101), "vpp: must have at most 100 characters, not 101"),
        (battery("S" * 101, "6001000001"), "serial: must have at most 100 characters, not 101"),
        (site("6001000003", "One", address="x" * 501), "address: must have at most 500 characters"),
        (site("6" * 10_000, "One"), "nmi: an NMI has 10 or 11 characters, not 10000"),
        (vpp("x", charge_events="y" * 10_000), "charge_events: must be 'cost' or 'revenue' (given: "
         "'" + "y" * 59 + "...)"),
    ],
)  # fmt: skip
def test_text_is_short_and_of_characters_that_are_seen(fields: Json, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_change(fields)
    assert str(refused.value).startswith(sentence)
    assert len(str(refused.value)) < 200


def test_a_name_that_grows_in_small_letters_makes_no_long_id() -> None:
    with pytest.raises(Refused, match="its id would have 198 characters; choose a shorter name"):
        registry(vpp("a" + "İ" * 99))


def test_what_is_in_the_log_is_read_whatever_the_limits_are_by_now() -> None:
    line = json.dumps({**vpp("A\n" + "B" * 300, vpp="a" * 300), "effective_from": "1850-01-01"})
    change = recorded_change(line)
    assert change.effective_from == date(1850, 1, 1)
    with pytest.raises(Refused):
        parse_change(line)


def test_a_line_of_the_log_that_is_no_change_is_named() -> None:
    with pytest.raises(Refused, match=r"^the registry's log has a line that is no change: "):
        recorded_change(b'{"change": "create-vpp"}')


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"change": "create-vpp"', "is not JSON: Expecting ',' delimiter (character 24)"),
        ("[1]", "is not a JSON object with the fields of a change, in braces"),
        ('{"a":' * 100_000, "is not JSON of a change, but something much larger"),
        ('{"a": ' + "9" * 5000 + "}", "is not JSON of a change, but something much larger"),
        ('{"change": "create-vpp", "name": "A", "revenue_percentage": 33.33333333333333333}',
         "revenue_percentage: must have at most 4 decimals"),
    ],
)  # fmt: skip
def test_a_line_of_json_is_read_as_it_is_written(line: str, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_change(line)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    ("given", "channels"),
    [("b1, e1", "B1 E1"), ("E1;E2 E1", "E1 E2"), (" ALL ", "all"), ("B1", "B1"), ("all", "all")],
)
def test_channels_are_suffixes_in_order(given: str, channels: str) -> None:
    change = parse_change(site("6001000003", "One", channels=given))
    assert change.facts()["channels"] == channels


@pytest.mark.parametrize("channels", ["", "Q1", "E", "E1 B", "all E1", "E1|B1", "A1", "NET"])
def test_other_channels_are_refused(channels: str) -> None:
    with pytest.raises(Refused, match=r"^channels: must be 'all', or NMI suffixes like 'E1 B1'"):
        parse_change(site("6001000003", "One", channels=channels))


def test_a_region_is_one_of_the_five() -> None:
    with pytest.raises(Refused, match=r"^region: must be 'NSW1', 'QLD1', 'VIC1', 'SA1' or 'TAS1'"):
        parse_change(site("6001000003", "One", region="NSW"))


def test_how_a_sites_meter_counts_has_its_day() -> None:
    known = registry(
        *BASE,
        {"change": "update-site", "nmi": "6001000001", "region": "QLD1", "channels": "E1 B1"},
        {
            "change": "update-site",
            "nmi": "6001000001",
            "channels": "all",
            "basis": "meter",
            "effective_from": "2025-09-10",
        },
    )
    on = [known.values("site", "6001000001", date(2025, month, 15)) for month in (8, 9)]
    told = [(of[0].get("region"), of[0].get("channels"), of[0].get("basis")) for of in on if of]
    assert told == [(None, None, None), ("QLD1", "all", "meter")]


# What holds later, whatever is recorded now.


def later(known: Registry, change: Json) -> list[str]:
    return [str(one) for one in known.later_than(known.add(parse_change(change), AT, "test"))]


def test_a_change_names_what_was_recorded_before_and_holds_from_a_later_day_on() -> None:
    # A removal for the 20th is corrected to the 10th, and the battery is elsewhere from the 12th.
    known = registry(*BASE, remove("S1", effective_from="2025-09-20"))
    again = [remove("S1", effective_from="2025-09-10")]
    again += [battery("S1", "6001000002", "10", effective_from="2025-09-12")]
    told = ["Change 8 still holds from 2025-09-20 on: nmi none."]
    assert [later(known, change) for change in again] == [told, told]
    # Leaving and rejoining.
    known = registry(
        *BASE,
        assign("6001000001", None, effective_from="2025-09-09"),
        update_vpp("test-vpp-one", revenue_percentage="25.0", daily_fee_aud=0),
    )
    assert later(known, assign("6001000001", None, effective_from="2025-09-01")) == [
        "Change 8 still holds from 2025-09-09 on: vpp none."
    ]
    assert later(known, assign("6001000001", "test-vpp-one", effective_from="2025-09-05")) == [
        "Change 8 still holds from 2025-09-09 on: vpp none."
    ]
    terms = update_vpp("test-vpp-one", effective_from="2025-08-01", revenue_percentage=9)
    assert later(known, terms) == [
        "Change 9 still holds from 2025-08-30 on: revenue_percentage 25.0."
    ]
    # Of one day the last recorded holds, and what comes after it in the log is no surprise.
    assert later(known, assign("6001000001", None, effective_from="2025-09-09")) == []
    assert known.later_than(known._changes[3]) == []


def test_what_is_still_to_come_has_its_number_its_day_and_its_values() -> None:
    known = registry(*BASE, update_battery("S1", capacity_kwh="5", effective_from="2025-09-20"))
    change = known.add(parse_change(update_battery("S1", capacity_kwh="7")), AT, "test")
    assert known.later_than(change) == [
        LaterChange(8, date(2025, 9, 20), {"capacity_kwh": Decimal(5)})
    ]


# Taking back.


def withdraw(seq: Any, **fields: Any) -> Json:
    return {"change": "withdraw-change", "withdraws": seq, "reason": "a mistake", **fields}


def test_a_change_is_taken_back_by_appending(store: ObjectStore, settings: Settings) -> None:
    append(store, settings, *BASE, assign("6001000001", None, effective_from="2025-09-20"))
    before = read_log(store)
    append(store, settings, withdraw(8), now=AT + timedelta(days=1))
    log = read_log(store)
    assert log.startswith(before)
    assert json.loads(log.removeprefix(before)) == {
        "seq": 9,
        "recorded_at": "2025-08-31T01:02:03Z",
        "recorded_by": "flow-run/1",
        "change": "withdraw-change",
        "withdraws": 8,
        "reason": "a mistake",
        "nmi": "6001000001",
        "effective_from": "2025-09-20",
    }
    day = date(2025, 9, 25)
    known = read_registry(store, settings)
    assert known._value("site", "6001000001", "vpp", day) == "test-vpp-one"
    # As it was known before, it still counts.
    known = read_registry(store, settings, AT)
    assert known._value("site", "6001000001", "vpp", day) is None


def test_what_was_taken_back_can_be_made_again_as_it_should_be() -> None:
    known = registry(*BASE, withdraw(2), vpp("Late VPP", revenue_percentage="5"))
    assert known.vpp_id("Late VPP") == "late-vpp"
    known = registry(
        *BASE, withdraw(7), withdraw(6), withdraw(4), site("6001000002", "Late VPP",
        effective_from="2025-10-01"), battery("S2", "6001000002", effective_from="2025-10-01"),
    )  # fmt: skip
    assert known._value("battery", "S2", "nmi", date(2025, 10, 1)) == "6001000002"


NOT_WITHDRAWN = [
    (
        [],
        withdraw(3),
        "change 3 (create-site 6001000001, from the beginning) is needed by change 7 "
        "(remove-battery S2, from 2025-08-15), change 6 (add-battery S2, from the beginning), "
        "change 5 (add-battery S1, from the beginning); take these back first, in this order",
    ),
    (
        [],
        withdraw(1),
        "change 1 (create-vpp test-vpp-one, from the beginning) is needed by change 7 "
        "(remove-battery S2, from 2025-08-15), change 6 (",
    ),
    (
        [],
        withdraw(6),
        "change 6 (add-battery S2, from the beginning) is needed by change 7 (remove-battery S2, "
        "from 2025-08-15); take these back first, in this order",
    ),
    (
        [battery("S2", "6001000002", effective_from="2025-09-10")],
        withdraw(7),
        "change 7 (remove-battery S2, from 2025-08-15) is needed by change 8 (add-battery S2, from "
        "2025-09-10); take these back first, in this order",
    ),
    ([], withdraw(8), "there is no change 8 to take back; the last one is 7"),
    ([withdraw(7)], withdraw(7), "change 7 is taken back already, by change 8"),
    (
        [withdraw(7)],
        withdraw(8),
        "change 8 takes another one back itself; record again what that one said",
    ),
    (
        [],
        withdraw(7, effective_from="2025-09-01"),
        "effective_from: is not to be given; it is that of the change taken back",
    ),
    ([], withdraw(7, serial="S2"), "serial: is not to be given; it is that of the change taken"),
]


@pytest.mark.parametrize(("changes", "change", "sentence"), NOT_WITHDRAWN)
def test_what_others_need_is_not_taken_back(
    changes: list[Json], change: Json, sentence: str
) -> None:
    known = registry(*BASE, *changes)
    timelines = deepcopy(known._timelines)
    with pytest.raises(Refused) as refused:
        known.add(parse_change(change), AT, "test")
    assert str(refused.value).startswith(sentence)
    assert known._timelines == timelines
    assert known.seq == len(BASE) + len(changes)


def test_a_name_that_another_vpp_has_by_now_does_not_come_back() -> None:
    known = registry(vpp("First", vpp="a"), update_vpp("a", name="Second"), vpp("First", vpp="b"))
    with pytest.raises(Refused) as refused:
        known.add(parse_change(withdraw(2)), AT, "test")
    assert str(refused.value) == (
        "change 2 (update-vpp a, from 2025-08-30) cannot be taken back: 'First' is the name of VPP "
        "b by now; give one of them another name with update-vpp first"
    )


def test_many_that_need_it_are_not_all_named() -> None:
    sites = [site(f"60010000{number}", "One") for number in range(10, 30)]
    known = registry(vpp("One"), *sites)
    with pytest.raises(Refused, match=", 10 more; take these back first"):
        known.add(parse_change(withdraw(1)), AT, "test")


def test_a_file_may_take_back_many(store: ObjectStore, settings: Settings) -> None:
    sites = [site(f"6{number:09d}", "One") for number in range(2000)]
    append(store, settings, vpp("One"), *sites)
    append(store, settings, *(withdraw(seq) for seq in range(2001, 0, -1)))
    known = read_registry(store, settings)
    assert (known.seq, known.entities("vpp"), known.entities("site")) == (4002, [], [])


# The name of a VPP in a month.


def test_a_vpp_is_named_by_what_it_was_called_in_the_month() -> None:
    known = registry(
        vpp("Old", vpp="a"),
        update_vpp("a", name="Middle", effective_from="2025-07-10"),
        update_vpp("a", name="New", effective_from="2025-08-01"),
    )
    june, july, august = Month(2025, 6), Month(2025, 7), Month(2025, 8)
    named = {
        name: [month for month in (june, july, august) if _names(known, name, month)]
        for name in ("Old", "old ", "Middle", "New", "a", "Other")
    }
    every = [june, july, august]
    assert named == {
        "Old": [june, july],
        "old ": [june, july],
        "Middle": [july],
        "New": every,  # its current name
        "a": every,
        "Other": [],
    }
    known.add(parse_change(update_vpp("a", name="Newest")), AT, "test")
    assert known.vpp_id("New", august) == "a"


def _names(known: Registry, reference: str, month: Month) -> bool:
    try:
        return known.vpp_id(reference, month) == "a"
    except Refused:
        return False


def test_a_name_that_means_two_vpps_is_refused_and_the_id_is_not() -> None:
    known = registry(
        vpp("Name", vpp="a"),
        update_vpp("a", name="Other", effective_from="2025-08-01"),
        vpp("Name", vpp="b"),
    )
    assert known.vpp_id("Name") == "b"
    with pytest.raises(Refused) as refused:
        known.vpp_id("name", Month(2025, 7))
    assert str(refused.value) == (
        "vpp: 'name' is the name of more than one VPP, in 2025-07 or now; give the id of the one "
        "that you mean: a or b"
    )
    assert known.vpp_id("a", Month(2025, 7)) == "a"


def test_a_change_may_name_a_vpp_as_it_was_called_then() -> None:
    known = registry(vpp("Old", vpp="a"), update_vpp("a", name="New", effective_from="2025-08-01"))
    then = known.add(
        parse_change(site("6001000001", "Old", effective_from="2025-07-15")), AT, "test"
    )
    assert then.facts()["vpp"] == "a"
    with pytest.raises(Refused, match="there is no VPP 'Old'"):
        known.add(parse_change(site("6001000002", "Old")), AT, "test")


# Files of changes.

JSON_LINES = b"""\xef\xbb\xbf
{"change": "create-vpp", "name": "One", "revenue_percentage": 20}\r

  {"change": "create-site", "nmi": "6001000001", "vpp": "One", "address": "1 King St"}
{"change": "assign-site", "nmi": "6001000001", "vpp": null, "effective_from": "2025-09-01"}"""

SITES = b"""\xef\xbb\xbfVPP, nmi ,Address,effective_from\r
One,6001000001,"1 King St, Newcastle",\r
\r
,,,
 one ,qaaavzzzzz3, 2 "King" St ,2025-09-01
"""

BATTERIES = b"""serial,NMI,capacity_kwh,manufacturer
007,6001000001,13.5,Tesla
8,6001000001,10,sonnen"""


def facts(changes: Iterable[Change]) -> list[Json]:
    hidden = {"seq", "recorded_at", "recorded_by"}
    return [change.model_dump(mode="json", exclude=hidden) for change in changes]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            JSON_LINES,
            [
                (2, vpp("One", revenue_percentage=20)),
                (4, site("6001000001", "One")),
                (5, assign("6001000001", None, effective_from="2025-09-01")),
            ],
        ),
        (
            SITES,
            [
                (2, site("6001000001", "One", address="1 King St, Newcastle")),
                (
                    5,
                    site("QAAAVZZZZZ", "one", address='2 "King" St', effective_from="2025-09-01"),
                ),
            ],
        ),
        (
            BATTERIES,
            [
                (2, battery("007", "6001000001")),
                (3, battery("8", "6001000001", "10", manufacturer="sonnen")),
            ],
        ),
        (b"nmi,vpp,address\n", []),
        (
            b"nmi,vpp,address,channels,basis\n6001000001,One,1 King St,E1 B1,\n",
            [(2, site("6001000001", "One", channels="E1 B1"))],
        ),
        (
            b"region,nmi,effective_from,address\nNSW1,6001000001,2025-09-01,\n",
            [
                (
                    2,
                    {
                        "change": "update-site",
                        "nmi": "6001000001",
                        "region": "NSW1",
                        "effective_from": "2025-09-01",
                    },
                )
            ],
        ),
    ],
)
def test_files_are_read(data: bytes, expected: list[tuple[int, Json]]) -> None:
    assert list(read_changes(data)) == [
        (number, parse_change(fields)) for number, fields in expected
    ]


def test_a_file_without_effective_from_has_the_defaults() -> None:
    sites = [change for _, change in read_changes(SITES) if not isinstance(change, Refused)]
    assert ["effective_from" in change.model_fields_set for change in sites] == [False, True]


HEADERS = (
    "expected nmi, vpp, address (new sites, with region, channels and basis if wanted), nmi and "
    "some of address, region, channels and basis (changes of sites), or nmi, manufacturer, serial, "
    "capacity_kwh (batteries), each with effective_from if wanted; or a file of JSON lines"
)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", f"line 1: the header is empty; {HEADERS}"),
        (b"\n\n", f"line 1: the header is empty; {HEADERS}"),
        (b"nmi;vpp;address\n", f"line 1: the header is nmi;vpp;address; {HEADERS}"),
        (b"nmi,vpp,address,note\n", f"line 1: the header is nmi, vpp, address, note; {HEADERS}"),
        (b"nmi,vpp,address,nmi\n", f"line 1: the header is nmi, vpp, address, nmi; {HEADERS}"),
        (b"nmi,vpp\n", HEADERS),
        (b"nmi\n", f"line 1: the header is nmi; {HEADERS}"),
        (b"nmi,effective_from\n", HEADERS),
        (b"nmi,vpp,address,chanels\n", HEADERS),
        (b'[{"change": "create-vpp"}]', HEADERS),
        ("nmi,vpp,address\n".encode("utf-16"), "the file is not UTF-8 text"),
        (b"nmi,vpp,address\n6001000001,One,caf\xe9\n", "the file is not UTF-8 text"),
    ],
)
def test_what_is_no_file_of_changes_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        list(read_changes(data))
    assert sentence in str(refused.value)


def test_a_file_is_recorded_whole_or_not_at_all(store: ObjectStore, settings: Settings) -> None:
    append(store, settings, vpp("One"))
    before = read_log(store)
    data = b"""NMI,VPP,ADDRESS,EFFECTIVE_FROM
6001000001,One,1 King St,
6001000002,One,2 King St,yesterday

6001000003,Two,3 King St,
600100000I,One,4 King St,
6001000005,One,5 King St
6001000001,One,6 King St,
"""
    with pytest.raises(Refused) as refused:
        append_changes(store, settings, read_changes(data), "test")
    problems = str(refused.value).split("\n")
    assert [problem.partition(": ")[0] for problem in problems] == [
        "line 3",
        "line 5",
        "line 6",
        "line 7",
        "line 8",
    ]
    assert problems == [
        "line 3: effective_from: must be a day written as YYYY-MM-DD, like 2025-09-01 "
        "(given: 'yesterday')",
        "line 5: vpp: there is no VPP 'Two'; make it with create-vpp first",
        "line 6: nmi: '600100000I' is not an NMI: 10 letters (without I and O) and digits, "
        "or 11 with the check digit",
        "line 7: has 3 fields, but the header has 4",
        "line 8: nmi: site 6001000001 exists already, today as a member of VPP one; to move it use "
        "assign-site, to change its address, region, channels or basis update-site",
    ]
    assert read_log(store) == before

    data = b"".join(data.splitlines(keepends=True)[:2])
    (recorded,) = append_changes(store, settings, read_changes(data), "test")
    assert recorded.change.seq == 2
    assert len(log_lines(store)) == 2


def test_later_lines_build_on_earlier_ones(store: ObjectStore, settings: Settings) -> None:
    recorded = append_changes(store, settings, read_changes(JSON_LINES), "test")
    assert [one.change.seq for one in recorded] == [1, 2, 3]
    assert [line["change"] for line in log_lines(store)] == [
        "create-vpp",
        "create-site",
        "assign-site",
    ]


def test_broken_json_is_named_by_its_line(store: ObjectStore, settings: Settings) -> None:
    data = b'{"change": "create-vpp", "name": "One", "revenue_percentage": 20}\n{"change": "up\n'
    with pytest.raises(Refused, match=r"^line 2: is not JSON: Unterminated string"):
        append_changes(store, settings, read_changes(data), "test")
    assert read_log(store) == b""


def test_many_errors_are_not_all_shown(store: ObjectStore, settings: Settings) -> None:
    data = b"nmi,vpp,address\n" + b"6001000001,One,x\n" * 60
    with pytest.raises(Refused) as refused:
        append_changes(store, settings, read_changes(data), "test")
    shown = str(refused.value).split("\n")
    assert len(shown) == 51
    assert shown[0].startswith("line 2: ")
    assert shown[-1] == "and 10 more"


@pytest.mark.parametrize("rows_behind", [2, 20_000])
def test_a_quote_that_is_not_closed_does_not_swallow_the_rows_behind_it(rows_behind: int) -> None:
    data = b'nmi,vpp,address\n6001000001,One,"1 King St\n' + b"6001000002,One,x\n" * rows_behind
    try:
        read = list(read_changes(data))
    except Refused as problem:
        assert "line 2" in str(problem)
    else:
        assert [number for number, change in read if isinstance(change, Refused)][:1] == [2]


# Clocks, races and size.


class Ahead(ObjectStore):
    """A store whose clock is not this machine's."""

    by = timedelta(0)

    @property
    def clock(self) -> datetime | None:
        there = super().clock
        assert there is not None
        return there + self.by


@pytest.mark.parametrize(
    ("minutes", "is_refused"), [(-6, True), (-4, False), (4, False), (6, True)]
)
def test_a_clock_far_from_the_stores_records_nothing(
    settings: Settings, minutes: int, is_refused: bool
) -> None:
    store = Ahead(settings)
    store.by = timedelta(minutes=minutes)
    if is_refused:
        with pytest.raises(Refused) as refused:
            append_changes(store, settings, parsed([vpp("One")]), "test")
        assert re.fullmatch(
            r"this machine's clock says \S+ \S+ UTC and the object store's \S+ \S+ UTC; a change "
            r"is dated by this clock, so they must be within 5 minutes of each other: set it "
            r"right, then run this again",
            str(refused.value),
        )
    else:
        append_changes(store, settings, parsed([vpp("One")]), "test")
    assert bool(read_log(store)) != is_refused
    store.client.close()


def test_a_change_dated_in_the_future_is_dated_again(
    store: ObjectStore, settings: Settings
) -> None:
    append(store, settings, *BASE)
    append(store, settings, vpp("Two"), now=datetime(2099, 1, 1, tzinfo=UTC))
    before = read_log(store)
    with pytest.raises(Refused) as refused:
        append_changes(store, settings, parsed([vpp("Three")]), "test")
    assert str(refused.value).startswith("change 8 is dated 2099-01-01 00:00:00 UTC, but it is 20")
    assert str(refused.value).endswith(
        "UTC: the clock that dated it was ahead, and no settlement sees it yet; run "
        "redate-changes, then run this again"
    )
    assert read_log(store) == before

    (change,) = redate_changes(store)
    assert change.recorded_at is not None
    assert abs(change.recorded_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert change.clock_said == datetime(2099, 1, 1, tzinfo=UTC)
    lines = read_log(store).splitlines()
    assert lines[:7] == before.splitlines()[:7]
    was, is_ = json.loads(before.splitlines()[7]), json.loads(lines[7])
    assert is_.pop("clock_said") == was.pop("recorded_at") == "2099-01-01T00:00:00Z"
    assert is_.pop("recorded_at") < "2099"
    assert is_ == was

    append_changes(store, settings, parsed([vpp("Three")]), "test")
    assert read_registry(store, settings, datetime.now(UTC)).vpp_id("Three") == "three"
    assert redate_changes(store) == []


def test_an_empty_log_has_nothing_to_date_again(store: ObjectStore) -> None:
    assert redate_changes(store) == []
    assert read_log(store) == b""


def test_time_never_goes_back_in_the_log(store: ObjectStore, settings: Settings) -> None:
    append(store, settings, *BASE, now=datetime(2025, 9, 30, 14, 0, tzinfo=UTC))
    slow = datetime(2025, 9, 30, 13, 0, tzinfo=UTC)
    (change,) = append(store, settings, remove("S1"), now=slow)
    assert change.recorded_at == datetime(2025, 9, 30, 14, 0, tzinfo=UTC)
    assert change.effective_from == date(2025, 10, 1)


def race(*writers: Callable[[], None]) -> None:
    barrier = threading.Barrier(len(writers))

    def start(writer: Callable[[], None]) -> None:
        barrier.wait()
        writer()

    with ThreadPoolExecutor(len(writers)) as pool:
        list(pool.map(start, writers))


def test_racing_writers_both_land(store: ObjectStore, settings: Settings) -> None:
    append_changes(store, settings, parsed([vpp("One")]), "test")

    def writer(first: int) -> Callable[[], None]:
        def write() -> None:
            mine = ObjectStore(settings)
            for number in range(first, first + 10):
                changes = parsed(
                    [site(f"60010000{number}", "One"), battery(f"S{number}", f"60010000{number}")]
                )
                append_changes(mine, settings, changes, f"writer {first}")
            mine.client.close()

        return write

    race(writer(10), writer(20), writer(30))
    lines = log_lines(store)
    assert [line["seq"] for line in lines] == list(range(1, 62))
    times = [datetime.fromisoformat(line["recorded_at"]) for line in lines]
    assert times == sorted(times)
    assert Counter(line["recorded_by"] for line in lines[1:]) == {
        f"writer {first}": 20 for first in (10, 20, 30)
    }
    for one, other in zip(lines[1::2], lines[2::2], strict=True):  # appended in one step
        assert (one["change"], other["change"]) == ("create-site", "add-battery")
        assert one["nmi"] == other["nmi"]


def test_of_racing_writers_of_the_same_site_one_lands(
    store: ObjectStore, settings: Settings
) -> None:
    append_changes(store, settings, parsed([vpp("One")]), "test")
    outcomes: list[str] = []

    def write() -> None:
        try:
            append_changes(store, settings, parsed([site("6001000001", "One")]), "test")
            outcomes.append("recorded")
        except Refused as problem:
            outcomes.append(str(problem))

    race(*[write] * 6)
    lost = "nmi: site 6001000001 exists already, today as a member of VPP one; "
    assert Counter(outcome.startswith(lost) for outcome in outcomes) == {False: 1, True: 5}
    assert "recorded" in outcomes
    assert len(log_lines(store)) == 2


def test_a_hundred_thousand_changes_go_in_as_one_step(
    store: ObjectStore, settings: Settings
) -> None:
    """No time is asserted; were any step to take longer as the log grows, this would not end."""
    nmis = [f"6{number:09d}" for number in range(50_000)]
    sites = [site(nmi, "One") for nmi in nmis]
    batteries = [battery(f"S{nmi}", nmi) for nmi in nmis]
    recorded = append(store, settings, vpp("One"), *sites, *batteries)
    assert [change.seq for change in recorded] == list(range(1, 100_002))
    lines = read_log(store).splitlines()
    assert len(lines) == 100_001
    assert json.loads(lines[-1])["serial"] == "S6000049999"
