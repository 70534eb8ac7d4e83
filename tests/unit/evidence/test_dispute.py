"""The dispute bundle: all that one site's owner needs to check a statement, and no other site."""

import json
from datetime import datetime
from fractions import Fraction
from typing import Any

import pytest

from tasks.core.month import Month
from tasks.evidence.dispute import bundle, how_to_check, put_bundle
from tasks.evidence.explanation import Explanation, Interval, explain
from tests.through_s3 import Place
from tests.unit.evidence.bundles import check_bundle, contents
from tests.unit.evidence.conftest import EVENTS, ONE, QUEEN, TWO

MONTH = Month(2025, 9)


def test_a_bundle_says_what_there_is_to_say(settled: Place) -> None:
    [one] = explain(settled.store, MONTH, "one", [ONE])
    check_bundle(one, {TWO, QUEEN, "6001000009"})
    files = contents(bundle(one))
    assert next(iter(files)) == "HOW-TO-CHECK.md"
    assert files["events.csv"].splitlines() == [
        "nmi,day,event_type,energy_kwh,tariff_cents_per_kwh,value_cents,is_cost_only,file,line",
        f"{ONE},2025-09-01,Discharge,3,25,75,false,events/2025-09/all.csv,2",
        f"{ONE},2025-09-01,Charge,1,10,-10,false,file 2 (its name is another site's),2",
        f"{ONE},2025-09-02,Discharge,2,-5,-10,true,file 2 (its name is another site's),3",
    ]
    history = [json.loads(line) for line in files["registry.jsonl"].splitlines()]
    assert [(c["seq"], c["change"]) for c in history] == [
        (1, "create-vpp"),
        (3, "create-site"),
        (5, "add-battery"),
        (7, "remove-battery"),
        (9, "assign-site"),
    ]
    # 65 cents, of which 52 are left: 41.6 are its own; of a pool of 20% of 80% of 275 a third.
    guide = files["HOW-TO-CHECK.md"]
    for said in (
        "A site of One, on 28 days from 2025-09-01 to 2025-09-28",
        "`events.csv` has all 3 of them",
        "1 more are on days on which the site was no member",
        "    Discharge  3 kWh x 25 = 75\n    Charge     1 kWh x 10 = -10\n",
        "Shared together: 65. The VPP takes 20%: 13.",
        "the site's own: 41.6; 20% went into the day's pool: 10.4.",
        "so 44 x 5 / 15 = 14.6667.",
        "    exactly            844/15\n",
        "The whole cents of it are 56.",
        "28.0000 a day, 784.0000 for 28 days, rounded 784.",
        "    56 - 56 = 0\n",
    ):
        assert said in guide, said


def test_a_bundle_is_put_once_and_for_all(place: Place) -> None:
    [one] = explain(place.store, MONTH, "one", [ONE])
    key = put_bundle(place.store, one)
    assert key == f"disputes/2025-09/one/{ONE}-r1.zip"
    found = place.store.read(key)
    assert found is not None
    # Later files and changes, the inbox emptied: the report stands, and so does its explanation.
    for version in place.store.versions("events/"):
        place.store.delete(version.key)
    place.put("later.csv", EVENTS[2:])
    place.import_new()
    place.record([{"change": "update-site", "nmi": ONE, "address": "1 New St"}])
    [again] = explain(place.store, MONTH, "one", [ONE])
    assert bundle(again) == found[0]


@pytest.fixture(scope="module")
def case(settled: Place) -> Explanation:
    [explained] = explain(settled.store, MONTH, "one", [ONE])
    return explained.explanation


def changed(case: Explanation, **of_day: Any) -> Explanation:
    """Return the explanation of the first day alone, with other values."""
    return case.model_copy(update={"days": [case.days[0].model_copy(update=of_day)]})


def test_the_guide_says_what_a_day_without_batteries_is(case: Explanation) -> None:
    guide = how_to_check(changed(case, vpp_capacity_kwh=Fraction(0))).decode()
    assert "No site of the VPP had a battery that day, so there is no pool" in guide
    assert "80%" not in guide


def test_the_guide_says_how_cents_were_rounded_and_who_bears_a_loss(case: Explanation) -> None:
    taken = case.model_copy(update={"cents_handed_out": -1, "loss_lifted_cents": 1234})
    guide = how_to_check(taken).decode()
    assert "1 taken from the smallest fractions" in guide
    assert "The VPP bears its sites' losses: +1,234." in guide
    plain = how_to_check(case).decode()
    assert f"{case.cents_handed_out} went to the largest fractions" in plain
    assert "bears" not in plain


def test_the_guide_of_a_meter_is_about_its_intervals(case: Explanation) -> None:
    event = case.days[0].events[0]
    interval = Interval(
        **event.model_dump(include={"file", "line", "event_type", "energy_kwh", "value_cents"}),
        member="",
        suffix="B1",
        serial="M1",
        number=1,
        ends=datetime.fromisoformat("2025-09-01T00:30"),
        quality="A",
        tariff_cents_per_kwh=event.tariff_cents_per_kwh,
        price_files=["prices/a.csv"],
        is_cost_only=False,
    )
    guide = how_to_check(changed(case, events=[], intervals=[interval] * 60)).decode()
    assert "`readings.csv` has all 60 intervals of the meter" in guide
    assert "events.csv" not in guide
    assert guide.count("    Discharge  3 kWh x 25 = 75\n") == 50
    assert "    and 10 more\n" in guide


def test_the_note_on_a_withdrawal_is_not_in_a_bundle(place: Place) -> None:
    """It may name another site."""
    move = {"change": "update-site", "nmi": ONE, "address": "1 New St"}
    place.record([{**move, "effective_from": "2025-09-05"}])
    withdrawal = {"change": "withdraw-change", "withdraws": 10, "reason": f"it was {TWO}'s"}
    place.record([withdrawal])
    place.put("more.csv", [f"{ONE},2025-09-03,Discharge,1,1"])
    place.publish("2025-09")
    [one] = explain(place.store, MONTH, "one", [ONE])
    history = contents(bundle(one))["registry.jsonl"]
    last = json.loads(history.splitlines()[-1])
    assert (last["withdraws"], last["reason"]) == (10, "not shown here")
    assert TWO not in history
