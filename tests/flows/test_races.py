"""Runs that meet others on the way, or what others left half done: the newest inputs win."""

import json

import pytest

from flows.settle import settle_month
from tasks.core.errors import LostRace
from tasks.core.month import Month
from tasks.publication.published import read_published
from tests.flows.failing_s3 import FailingS3
from tests.flows.sample import EVENTS, bytes_at, json_at, keys, lay_out, refusal, run
from tests.through_s3 import Place

SEPTEMBER = Month.parse("2025-09")
REPORT = "reports/2025-09/test-vpp-one.json"
R1, R2, R3 = (f"reports/2025-09/test-vpp-one/r{n}.json" for n in (1, 2, 3))
NEWER = [*EVENTS, "9876543210,2025-09-03,Discharge,1,100"]


def publish_newer(place: Place, rows: list[str] = NEWER) -> None:
    """Do what another machine might do in the meantime: settle and publish with other events."""
    place.put("events_file.csv", rows)
    while True:
        try:
            place.publish("2025-09")
        except LostRace:
            continue
        return


def but_records(place: Place) -> dict[str, str]:
    return {key: etag for key, etag in place.objects().items() if not key.startswith("runs/")}


# Publication by itself.


def test_what_was_settled_from_older_inputs_loses(place: Place) -> None:
    lay_out(place)
    place.import_new()
    published = read_published(place.store, SEPTEMBER)
    older = place.settle("2025-09")
    publish_newer(place)
    objects = but_records(place)

    with pytest.raises(LostRace):
        place.publish_settlement(published, older)

    assert but_records(place) == objects
    assert json_at(place, REPORT)["totals"]["total_revenue"] == 2.75


def test_an_older_correction_loses_against_a_newer_one(place: Place) -> None:
    lay_out(place)
    place.publish("2025-09")
    published = read_published(place.store, SEPTEMBER)
    place.put("events_file.csv", EVENTS[:1])
    place.import_new()
    older = place.settle("2025-09")
    publish_newer(place)
    objects = but_records(place)

    with pytest.raises(LostRace):
        place.publish_settlement(published, older)

    assert but_records(place) == objects
    assert bytes_at(place, REPORT) == bytes_at(place, R2)


def test_of_two_with_the_same_report_the_second_finds_it_done(place: Place) -> None:
    lay_out(place)
    place.import_new()
    published = read_published(place.store, SEPTEMBER)
    settlement = place.settle("2025-09")
    [report] = place.publish_settlement(published, settlement)
    assert (report.outcome, report.revision, report.key) == ("published", 1, R1)
    with pytest.raises(LostRace):
        place.publish_settlement(published, settlement)
    [report] = place.publish("2025-09")
    assert (report.outcome, report.revision, report.key) == ("unchanged", 1, R1)
    assert keys(place, "reports/") == [REPORT, R1]


# The flow, when somebody is faster at the worst moment.


@pytest.mark.parametrize(
    ("moment", "has_settled_before"),
    [
        (r"PUT .*/r1\.json", False),
        (r"PUT .*/test-vpp-one\.json", False),
        (r"PUT .*/r2\.json", True),
    ],
)
@pytest.mark.usefixtures("prefect_api")
def test_a_run_that_lost_settles_again(
    place: Place, proxy: FailingS3, moment: str, has_settled_before: bool
) -> None:
    lay_out(place)
    if has_settled_before:
        place.publish("2025-09")
        place.put("events_file.csv", EVENTS[:1])
    proxy.before(moment, lambda: publish_newer(place))

    run(settle_month, "2025-09")

    assert proxy.is_used_up()
    last = keys(place, "reports/")[-1]
    assert bytes_at(place, REPORT) == bytes_at(place, last)
    report = json_at(place, REPORT)
    assert report["totals"]["total_revenue"] == 2.75
    assert last == f"reports/2025-09/test-vpp-one/r{report['settlement']['revision']}.json"


@pytest.mark.usefixtures("prefect_api")
def test_a_run_that_loses_again_and_again_gives_up_with_a_sentence(
    place: Place, proxy: FailingS3
) -> None:
    lay_out(place)
    rivals = [[*EVENTS, f"9876543210,2025-09-03,Discharge,{n},100"] for n in range(20)]

    def publish_another() -> None:
        """The run has listed the inbox, so what it settles is not what is there next."""
        publish_newer(place, rivals.pop())
        place.put("events_file.csv", rivals.pop())
        place.import_new()

    for _ in range(len(rivals) // 2):
        proxy.before(r"GET .*/daily\.parquet", publish_another)
    message = refusal(settle_month, "2025-09")
    assert message == "2025-09 was published by others 5 times in the meantime; run it again later"
    assert bytes_at(place, REPORT) == bytes_at(place, keys(place, "reports/")[-1])


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        pytest.param(r"GET .*prefix=\S*reports/", "late.csv", id="new, before the settlement"),
        pytest.param(r"GET .*prefix=\S*reports/", "events_file.csv", id="replaced, before it"),
        pytest.param(r"GET .*/events_file\.csv", "events_file.csv", id="replaced, while read"),
    ],
)
@pytest.mark.usefixtures("prefect_api")
def test_a_file_that_arrives_or_is_replaced_meanwhile_does_not_stop_a_run(
    place: Place, proxy: FailingS3, moment: str, name: str
) -> None:
    lay_out(place)
    proxy.before(moment, lambda: place.put(name, NEWER[-1:]))
    assert run(settle_month, "2025-09")["outcome"] == "published"
    assert proxy.is_used_up()
    assert bytes_at(place, REPORT) == bytes_at(place, keys(place, "reports/")[-1])

    run(settle_month, "2025-09")
    files = [file["key"] for file in json_at(place, REPORT)["settlement"]["inputs"]]
    assert files == sorted({"events/events_file.csv", f"events/{name}"})


# What a run that died left behind.


def _settled(place: Place) -> bytes:
    """Settle the sample, take the published bytes, and make it unpublished again."""
    lay_out(place)
    place.publish("2025-09")
    data = bytes_at(place, R1)
    for key in keys(place, "reports/"):
        place.store.delete(key)
    return data


@pytest.mark.usefixtures("prefect_api")
def test_an_orphan_that_says_the_same_becomes_current(place: Place) -> None:
    data = _settled(place)
    place.store.write(R1, data)
    result = run(settle_month, "2025-09")
    assert (result["outcome"], result["reports"][0]["revision"]) == ("published", 1)
    assert keys(place, "reports/") == [REPORT, R1]
    assert bytes_at(place, REPORT) == bytes_at(place, R1) == data


@pytest.mark.usefixtures("prefect_api")
def test_a_revision_that_was_written_by_hand_is_never_replaced(place: Place) -> None:
    data = _settled(place)
    other = data.replace(b"426 King St", b"1 Other St")
    place.store.write(R1, other)
    message = refusal(settle_month, "2025-09")
    assert message.startswith(f"{R1} is not what months/2025-09.json says of it")
    assert bytes_at(place, R1) == other


@pytest.mark.usefixtures("prefect_api")
def test_without_the_months_record_such_a_revision_is_followed_by_the_next(place: Place) -> None:
    data = _settled(place)
    place.store.write(R1, data.replace(b"426 King St", b"1 Other St"))
    place.store.delete("months/2025-09.json")
    result = run(settle_month, "2025-09")
    assert (result["outcome"], result["reports"][0]["revision"]) == ("published", 2)
    assert keys(place, "reports/") == [REPORT, R1, R2]
    assert bytes_at(place, REPORT) == bytes_at(place, R2)
    assert bytes_at(place, R2).replace(b'"revision": 2', b'"revision": 1') == data


@pytest.mark.usefixtures("prefect_api")
def test_an_orphan_behind_a_current_report_is_kept_and_passed_over(place: Place) -> None:
    lay_out(place)
    place.publish("2025-09")
    orphan = bytes_at(place, R1).replace(b"426 King St", b"1 Other St")
    orphan = orphan.replace(b'"revision": 1', b'"revision": 2')
    place.store.write(R2, orphan)

    assert run(settle_month, "2025-09")["outcome"] == "unchanged"
    assert bytes_at(place, REPORT) == bytes_at(place, R1)

    place.put("events_file.csv", NEWER)
    assert run(settle_month, "2025-09")["reports"][0]["revision"] == 3
    assert keys(place, "reports/") == [REPORT, R1, R2, R3.replace("r3", "r3.diff"), R3]
    assert bytes_at(place, R2) == orphan
    assert bytes_at(place, REPORT) == bytes_at(place, R3)
    assert json_at(place, REPORT)["totals"]["total_revenue"] == 2.75


@pytest.mark.usefixtures("prefect_api")
def test_a_current_report_that_was_deleted_comes_back(place: Place) -> None:
    lay_out(place)
    place.publish("2025-09")
    publish_newer(place)
    before = place.objects()
    place.store.delete(REPORT)
    result = run(settle_month, "2025-09")
    assert {key: etag for key, etag in place.objects().items() if key in before} == before
    assert keys(place, "reports/") == [REPORT, R1, R2.replace("r2", "r2.diff"), R2]
    assert result["reports"][0]["revision"] == 2


@pytest.mark.parametrize("is_deleted", [False, True])
@pytest.mark.usefixtures("prefect_api")
def test_a_run_that_died_after_publishing_hinders_none_behind_it(
    place: Place, is_deleted: bool
) -> None:
    """Its record is the one from before it published, or lost; both name no reports."""
    lay_out(place)
    key = run(settle_month, "2025-09")["run_record"]
    record = json_at(place, key)
    del record["reports"]
    place.store.write(key, json.dumps(record | {"outcome": "publishing"}).encode())
    if is_deleted:
        place.store.delete(key)
    again = run(settle_month, "2025-09")
    assert (again["outcome"], again["reports"][0]["revision"]) == ("unchanged", 1)
    assert json_at(place, again["run_record"])["settled_events"] == 2
