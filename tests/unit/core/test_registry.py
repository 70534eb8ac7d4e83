"""The registry: what each change does, and what is refused in which words."""

import json
from copy import deepcopy
from datetime import date
from decimal import Decimal

import pytest

from tasks.core.changes import parse_change, recorded_change
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.registry import LaterChange, Registry
from tests.unit.core.registries import (
    ALTERING,
    AT,
    BASE,
    CREATING,
    TODAY,
    Json,
    assign,
    battery,
    registry,
    remove,
    site,
    update_battery,
    update_vpp,
    vpp,
    withdraw,
)

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
def test_a_change_is_recorded(change: Json, line: Json) -> None:
    recorded = registry(*BASE).add(parse_change(change), AT, "flow-run/1")
    assert json.loads(recorded.line()) == {
        "seq": 8,
        "recorded_at": "2025-08-30T01:02:03Z",
        "recorded_by": "flow-run/1",
        "change": change["change"],
        **line,
    }
    assert recorded_change(recorded.line()) == recorded


def test_a_line_of_the_log_begins_with_when_and_what_and_ends_with_since_when() -> None:
    known = Registry(today=TODAY)
    for change in (*BASE, *(change for change, _ in RECORDED[2:7])):
        line = json.loads(known.add(parse_change(change), AT, "test").line())
        assert list(line)[:4] == ["seq", "recorded_at", "recorded_by", "change"]
        assert list(line)[-1] == "effective_from"


REFUSED: list[tuple[Json, str]] = [
    # What is not there.
    (
        site("6001000003", "VPP Three"),
        "vpp: there is no VPP 'VPP Three'; list-registry lists all, create-vpp makes one",
    ),
    (
        update_vpp("three", name="x"),
        "vpp: there is no VPP 'three'; list-registry lists all, create-vpp makes one",
    ),
    (
        assign("6001000001", "three"),
        "vpp: there is no VPP 'three'; list-registry lists all, create-vpp makes one",
    ),
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


@pytest.mark.parametrize(("change", "sentence"), REFUSED)
def test_what_does_not_fit_is_refused_in_a_sentence(change: Json, sentence: str) -> None:
    known = registry(*BASE)
    with pytest.raises(Refused) as refused:
        known.add(parse_change(change), AT, "test")
    assert sentence in str(refused.value)
    assert known.seq == len(BASE)


def test_a_refused_change_leaves_the_registry_as_it_was() -> None:
    known = registry(*BASE)
    with pytest.raises(Refused):
        known.add(parse_change(update_vpp("late-vpp", name="New")), AT, "test")
    assert known.seq == len(BASE)
    assert known.vpp_id("Late VPP") == "late-vpp"
    with pytest.raises(Refused):
        known.vpp_id("New")


@pytest.mark.parametrize("given", [None, "2025-08-01", "2030-01-01"])
@pytest.mark.parametrize("change", CREATING + ALTERING, ids=lambda change: change["change"])
def test_a_given_effective_from_is_taken(change: Json, given: str | None) -> None:
    added = registry(*BASE).add(parse_change({**change, "effective_from": given}), AT, "test")
    assert added.effective_from == (None if given is None else date.fromisoformat(given))


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


def test_an_eleven_character_nmi_is_the_same_site() -> None:
    known = registry(vpp("One"), site("2001985732", "One"))
    with pytest.raises(Refused, match="site 2001985732 exists already"):
        known.add(parse_change(site("20019857328", "One")), AT, "test")
    for change in (battery("S1", "20019857328"), assign("20019857328", None)):
        recorded = known.add(parse_change(change), AT, "test")
        assert json.loads(recorded.line())["nmi"] == "2001985732"


def test_a_battery_moves_by_being_removed_and_added() -> None:
    day = {"effective_from": "2025-09-15"}
    known = registry(
        *BASE,
        remove("S1", effective_from="2025-09-12"),
        battery("S1", "6001000002", effective_from="2025-09-12"),
        remove("S1", effective_from="2025-09-20"),
        battery("S1", "6001000001", effective_from="2025-09-25"),
        update_battery("S1", capacity_kwh="10", effective_from="2025-09-22"),
        # Also within a day, and back again.
        battery("S3", "6001000001", **day),
        remove("S3", **day),
        battery("S3", "6001000002", **day),
        remove("S3", **day),
        battery("S3", "6001000001", **day),
    )
    # It will be at another site later, also if it is nowhere on the day itself.
    with pytest.raises(Refused, match="battery S1 is installed at site 6001000001"):
        known.add(
            parse_change(battery("S1", "6001000002", effective_from="2025-09-21")), AT, "test"
        )


def test_a_battery_that_is_gone_has_nothing_to_change() -> None:
    known = registry(*BASE, remove("S1", effective_from="2025-09-12"))
    known.add(
        parse_change(update_battery("S1", capacity_kwh="9", effective_from="2025-09-11")),
        AT,
        "test",
    )
    with pytest.raises(Refused, match=r"not installed on 2025-09-12 or later, so there is nothing"):
        known.add(
            parse_change(update_battery("S1", capacity_kwh="9", effective_from="2025-09-12")),
            AT,
            "test",
        )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("one", "is test-vpp-one meant? "),
        ("Test VPP Oné", "is test-vpp-one meant? "),
        ("vpp", "is late-vpp or test-vpp-one meant? "),
        ("Nobody", ""),
        ("", ""),
    ],
)
def test_who_misspells_a_vpp_is_told_which_may_be_meant(name: str, meant: str) -> None:
    with pytest.raises(Refused) as refused:
        registry(*BASE).vpp_id(name)
    assert str(refused.value) == (
        f"vpp: there is no VPP {name!r}; {meant}list-registry lists all, create-vpp makes one"
    )


def test_a_name_that_grows_in_small_letters_makes_no_long_id() -> None:
    with pytest.raises(Refused, match="its id would have 198 characters; choose a shorter name"):
        registry(vpp("a" + "İ" * 99))


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
    on = [
        tuple(
            known._value("site", "6001000001", attribute, date(2025, month, 15))
            for attribute in ("region", "channels", "basis")
        )
        for month in (8, 9)
    ]
    assert on == [(None, None, None), ("QLD1", "all", "meter")]


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


def test_many_may_be_taken_back() -> None:
    sites = [site(f"6{number:09d}", "One") for number in range(2000)]
    known = registry(vpp("One"), *sites, *(withdraw(seq) for seq in range(2001, 0, -1)))
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
