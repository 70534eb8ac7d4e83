"""Revisions: claimed, written once, made current; and what a run that died leaves to the next."""

from dataclasses import replace
from typing import Any

import pytest

from tasks.core.difference import Difference
from tasks.core.errors import LostRace, Refused
from tasks.core.month import Month
from tasks.publication.closing import close
from tasks.publication.published import (
    is_current,
    read_month_record,
    read_published,
    read_same_settlement,
)
from tasks.publication.revisions import Revisions, draft_revisions, publish
from tasks.publication.run_records import read_run_record
from tasks.runs.run import Run
from tasks.settlement.settlement import Settlement, settle
from tests.through_s3 import Place

MONTH = Month(2025, 9)
ONE, TWO = "6001000001", "6001000002"
REGISTRY: list[dict[str, Any]] = [
    {"change": "create-vpp", "name": "One", "revenue_percentage": "20"},
    {"change": "create-vpp", "name": "Two", "revenue_percentage": "10"},
    {"change": "create-site", "nmi": ONE, "vpp": "one", "address": "1 King St"},
    {"change": "create-site", "nmi": TWO, "vpp": "two", "address": "2 King St"},
]
LATE = f"{ONE},2025-09-03,Discharge,1,100"


@pytest.fixture
def place(s3_endpoint: str) -> Place:
    place = Place()
    place.record(REGISTRY)
    place.put("a.csv", [f"{ONE},2025-09-01,Discharge,4,25", f"{TWO},2025-09-01,Discharge,8,25"])
    place.publish("2025-09")
    return place


def draft(place: Place, settlement: Settlement) -> Revisions:
    published = read_published(place.store, MONTH)
    return draft_revisions(place.store, published, settlement, "runs/2025-09/x.json")


def reports(place: Place) -> list[str]:
    folder = "reports/2025-09/"
    return [key.removeprefix(folder) for key in place.objects() if key.startswith(folder)]


FIRST = ["one.json", "one/r1.json", "two.json", "two/r1.json"]
SECOND = ["one.json", "one/r1.json", "one/r2.diff.json", "one/r2.json", "two.json", "two/r1.json"]


def test_a_draft_writes_nothing_and_says_what_would_change(place: Place) -> None:
    place.put("late.csv", [LATE])
    settlement = place.settle("2025-09")
    before = place.objects()
    found = draft(place, settlement)
    assert place.objects() == before
    assert found.new == ["one"]
    assert list(found.differences) == ["one"]
    outcomes = [found.outcome(report, "preview") for report in found.reports]
    assert [(of.vpp, of.revision, of.key) for of in outcomes] == [
        ("one", 2, "reports/2025-09/one/r2.json"),
        ("two", 1, "reports/2025-09/two/r1.json"),
    ]
    assert outcomes[0].changed[0] == "total_revenue 1.00 -> 2.00 (+1.00)"


def test_what_is_the_same_is_not_published_again(place: Place) -> None:
    before = {key: etag for key, etag in place.objects().items() if key.startswith("reports/")}
    again = place.publish("2025-09")
    assert [(of.outcome, of.revision, of.changed) for of in again] == [("unchanged", 1, [])] * 2
    after = {key: etag for key, etag in place.objects().items() if key.startswith("reports/")}
    assert after == before


def test_a_later_revision_is_written_beside_the_first_with_its_difference(place: Place) -> None:
    first = place.store.read("reports/2025-09/one/r1.json")
    place.put("late.csv", [LATE])
    one, two = place.publish("2025-09")
    assert (one.outcome, one.revision, two.outcome, two.revision) == (
        "published",
        2,
        "unchanged",
        1,
    )
    assert reports(place) == SECOND
    assert place.store.read("reports/2025-09/one/r1.json") == first
    found = place.store.read("reports/2025-09/one/r2.diff.json")
    assert found is not None
    difference = Difference.model_validate_json(found[0])
    assert [str(cause) for cause in difference.causes] == [
        "file added: events/late.csv (rows 0 -> 1)"
    ]
    assert is_current(place.store, read_published(place.store, MONTH), "one")


def test_a_file_replaced_by_one_that_says_the_same_of_a_vpp_makes_it_no_revision(
    place: Place,
) -> None:
    rows = [f"{ONE},2025-09-01,Discharge,4,25", f"{TWO},2025-09-01,Discharge,9,25"]
    place.put("a.csv", rows)
    assert [of.outcome for of in place.publish("2025-09")] == ["unchanged", "published"]


def test_who_settled_from_older_inputs_publishes_nothing(place: Place) -> None:
    published = read_published(place.store, MONTH)
    place.put("late.csv", [LATE])
    place.publish("2025-09")
    place.put("late.csv", [LATE, LATE.replace("-03", "-04")])
    with pytest.raises(LostRace):
        place.publish_settlement(published, place.settle("2025-09"))
    assert reports(place) == SECOND


def test_a_run_that_died_between_claim_and_writing_is_made_good_by_the_next(
    place: Place,
) -> None:
    place.put("late.csv", [LATE])
    settlement = place.settle("2025-09")
    run = Run(place.store, MONTH, settlement.request, "died", "test", parameters={})
    run.note_settlement(settlement.facts)
    claimed = draft_revisions(place.store, read_published(place.store, MONTH), settlement, run.key)
    run.write_record()
    place.store.write("months/2025-09.json", claimed.record.to_bytes())
    assert not is_current(place.store, read_published(place.store, MONTH), "one")
    assert [of.outcome for of in place.publish("2025-09")] == ["published", "unchanged"]
    assert reports(place) == SECOND
    assert read_month_record(place.store, MONTH)[0].revisions["one"][2].run_record == run.key


def test_a_revision_that_was_written_by_hand_is_not_replaced(place: Place) -> None:
    place.put("late.csv", [LATE])
    settlement = place.settle("2025-09")
    published = read_published(place.store, MONTH)
    place.store.write("reports/2025-09/one/r2.json", b"by hand")
    with pytest.raises(Refused, match=r"one/r2\.json is not what months/2025-09\.json says of it"):
        place.publish_settlement(published, settlement)
    found = place.store.read("reports/2025-09/one/r2.json")
    assert found is not None
    assert found[0] == b"by hand"


def test_a_closed_month_stays_as_it_is_and_names_who_would_change(place: Place) -> None:
    close(place.store, MONTH, read_month_record(place.store, MONTH)[0].digest, "Ada")
    assert {of.outcome for of in place.publish("2025-09")} == {"unchanged"}
    place.put("late.csv", [LATE])
    with pytest.raises(Refused, match=r"was closed by Ada at .* though one would change"):
        place.publish("2025-09")
    assert reports(place) == FIRST


def test_a_month_settled_for_one_vpp_alone_is_not_settled_for_all(place: Place) -> None:
    """Whether all of it is settled from the same inputs is then not known."""
    record, _ = read_month_record(place.store, MONTH)
    assert record.last_settlement is not None
    place.put("late.csv", [LATE])
    whole = place.settle("2025-09")
    request = replace(whole.request, vpps=("one",))
    some = settle(place.store, whole.inputs, request)
    assert draft(place, some).record.last_settlement is None
    assert draft(place, whole).record.last_settlement is not None
    assert [of.vpp_id for of in some.reports] == ["one"]


def test_the_run_record_that_a_claim_names_is_there_before_it(place: Place) -> None:
    place.put("late.csv", [LATE])
    settlement = place.settle("2025-09")
    run = Run(place.store, MONTH, settlement.request, "x", "test", parameters={})
    run.note_settlement(settlement.facts)
    drafted = draft_revisions(place.store, read_published(place.store, MONTH), settlement, run.key)
    found = place.store.read("months/2025-09.json")
    assert found is not None
    place.store.write("months/2025-09.json", found[0] + b"\n")  # so that the claim is lost
    with pytest.raises(LostRace):
        publish(place.store, drafted, run.record_now(outcome="publishing"))
    assert drafted.record.revisions["one"][2].run_record == run.key
    found = place.store.read(run.key)
    assert found is not None
    assert b'"outcome": "publishing"' in found[0]


def _die_after_the_claim(place: Place) -> str:
    """Do what a run does that is killed once it has claimed; return the key of its record."""
    settlement = place.settle("2025-09")
    run = Run(place.store, MONTH, settlement.request, "died", "test", parameters={})
    run.note_settlement(settlement.facts)
    run.note(outcome="publishing")
    claimed = draft_revisions(place.store, read_published(place.store, MONTH), settlement, run.key)
    run.write_record()
    place.store.write("months/2025-09.json", claimed.record.to_bytes())
    return run.key


def test_the_months_record_says_whether_all_of_it_is_published(place: Place) -> None:
    assert read_month_record(place.store, MONTH)[0].state == "whole"
    place.put("late.csv", [LATE])
    _die_after_the_claim(place)
    assert read_month_record(place.store, MONTH)[0].state == "publishing"
    place.publish("2025-09")
    record = read_month_record(place.store, MONTH)[0]
    assert (record.state, record.unpublished) == ("whole", {})


def test_after_a_run_that_died_the_next_is_not_computed_again_and_again(place: Place) -> None:
    place.put("late.csv", [LATE])
    dead = _die_after_the_claim(place)
    place.publish("2025-09")
    published = read_published(place.store, MONTH)
    last = read_same_settlement(place.store, published, place.inputs("2025-09").digest)
    assert last is not None
    assert last.run_id != "died"
    record = read_run_record(place.store, dead)
    assert record is not None
    assert record.outcome == "failed"
    assert str(record.reason).startswith("it died while it published; runs/2025-09/")


def test_a_revision_that_was_claimed_and_never_written_is_named(place: Place) -> None:
    """By the time of the next run, the inputs are others."""
    place.put("late.csv", [LATE])
    _die_after_the_claim(place)
    place.put("late.csv", [LATE, LATE.replace("-03", "-04")])
    one, _ = place.publish("2025-09")
    assert (one.outcome, one.revision) == ("published", 3)
    record = read_month_record(place.store, MONTH)[0]
    assert (record.state, record.unpublished) == ("whole", {"one": [2]})
    assert reports(place) == [name.replace("r2", "r3") for name in SECOND]
