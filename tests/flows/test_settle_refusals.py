"""settle-month on inputs that cannot be trusted: nothing published, a sentence, a run record."""

from typing import Any, NamedTuple

import pytest

from flows.settle import settle_month
from tests.flows.sample import json_at, keys, lay_out, refusal, run
from tests.through_s3 import HEADER, Place

pytestmark = pytest.mark.usefixtures("prefect_api")

GOOD = "9876543210,2025-09-03,Discharge,1,1"
BAD = "9876543210,2025-09-03,Discharge,much,1"
WHAT_TO_DO = (
    "Correct them in rejected/2025-09.csv and upload that to the inbox, replace the files, or run "
    "with a higher max_rejected_percent"
)
SCHEMA_MESSAGE = "missing column NMI, DATE, EVENT_TYPE, ENERGY, TARIFF in the first line"


class Case(NamedTuple):
    """Files beside the sample's, parameters, and what the run says."""

    files: dict[str, str]
    parameters: dict[str, Any]
    sentence: str


REFUSED = {
    "a file that cannot be read": Case(
        {"broken.csv": "NMI;DATE\n"},
        {},
        "2025-09 is not settled: 1 file that could matter to it could not be read: "
        f"events/broken.csv: {SCHEMA_MESSAGE} 'NMI;DATE'; it is separated by ';', export it with "
        "commas. Replace or delete them, or run with allow_failed_imports",
    ),
    "more rejected rows than the default of 5%": Case(
        {"more.csv": HEADER + f"{GOOD}\n" * 16 + f"{BAD}\n"},
        {},
        "2025-09 is not settled: 1 of its 19 rows were rejected (5.3%, at most 5% are allowed): "
        "events/more.csv: 1 energy. " + WHAT_TO_DO,
    ),
    "more rejected rows than asked for": Case(
        {"more.csv": HEADER + f"{GOOD}\n" * 5 + f"{BAD}\n" + ",2025-09-04,Charge,1,1\n"},
        {"max_rejected_percent": 20},
        "2025-09 is not settled: 2 of its 9 rows were rejected (22.2%, at most 20% are allowed): "
        "events/more.csv: 1 energy, 1 missing. " + WHAT_TO_DO,
    ),
    "too many rejected rows of one file": Case(
        {"more.csv": HEADER + f"{BAD}\n", "good.csv": HEADER + f"{GOOD}\n" * 97},
        {},
        "2025-09 is not settled: 1 of the 1 rows of events/more.csv in it were rejected (100.0%, "
        "at most 5% are allowed): events/more.csv: 1 energy. " + WHAT_TO_DO,
    ),
    "all rows rejected, so that nobody knows of which month": Case(
        {"more.csv": f"{HEADER}9876543210,yesterday,Discharge,1,1\n"},
        {},
        "2025-09 is not settled: 1 of its 3 rows were rejected (33.3%, at most 5% are allowed): "
        "events/more.csv: 1 date. " + WHAT_TO_DO,
    ),
    "a VPP that there is not": Case(
        {},
        {"vpps": ["Test VPP One", "Nobody's"]},
        'vpps: there is no VPP "Nobody\'s"; list-registry lists all, create-vpp makes one',
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_refused_month_publishes_nothing_and_says_why(
    place: Place, caplog: pytest.LogCaptureFixture, case: Case
) -> None:
    lay_out(place)
    for name, text in case.files.items():
        place.store.write(f"events/{name}", text.encode())

    assert refusal(settle_month, "2025-09", **case.parameters) == case.sentence

    assert not any(record.exc_info for record in caplog.records)
    assert keys(place, "reports/") == []
    [record] = [json_at(place, key) for key in keys(place, "runs/")]
    assert (record["month"], record["outcome"], record["reason"]) == (
        "2025-09",
        "refused",
        case.sentence,
    )


def test_a_refusal_leaves_what_is_published(place: Place) -> None:
    lay_out(place)
    run(settle_month, "2025-09")
    before = place.objects()
    place.store.write("events/broken.csv", b"x\n")
    refusal(settle_month, "2025-09")
    after = place.objects()
    assert {key: after[key] for key in before if key.startswith("reports/")} == {
        key: etag for key, etag in before.items() if key.startswith("reports/")
    }
    assert len(keys(place, "reports/")) == 2

    place.store.delete("events/broken.csv")
    assert run(settle_month, "2025-09")["outcome"] == "unchanged"


PUBLISHED = {
    "a file that cannot be read, allowed": Case(
        {"broken.csv": "x\n"}, {"allow_failed_imports": True}, ""
    ),
    "just as many rejected rows as are allowed": Case(
        {"more.csv": HEADER + f"{GOOD}\n" * 19 + f"{BAD}\n"}, {}, ""
    ),
    "more rejected rows, allowed": Case(
        {"more.csv": f"{HEADER}{BAD}\n"}, {"max_rejected_percent": 100}, ""
    ),
    "rejected rows of another month": Case(
        {"more.csv": HEADER + BAD.replace("2025-09", "2025-08")}, {}, ""
    ),
}


@pytest.mark.parametrize("case", PUBLISHED.values(), ids=PUBLISHED)
def test_what_is_within_bounds_or_allowed_is_published(place: Place, case: Case) -> None:
    lay_out(place)
    for name, text in case.files.items():
        place.store.write(f"events/{name}", text.encode())
    result = run(settle_month, "2025-09", **case.parameters)
    assert result["outcome"] == "published"
    record = json_at(place, result["run_record"])
    if "broken.csv" in case.files:
        assert record["failed_imports"] == [
            {"key": "events/broken.csv", "failed": f"{SCHEMA_MESSAGE} 'x'"}
        ]


def test_the_setting_holds_where_no_parameter_is_given(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(place)
    place.put("more.csv", [*[GOOD] * 2, BAD])
    monkeypatch.setenv("VPP_MAX_REJECTED_PERCENT", "34")
    assert run(settle_month, "2025-09")["outcome"] == "published"
    monkeypatch.setenv("VPP_MAX_REJECTED_PERCENT", "33")
    assert "(33.3%, at most 33% are allowed)" in refusal(settle_month, "2025-09")


def test_a_run_record_names_what_was_allowed(place: Place) -> None:
    lay_out(place)
    parameters: dict[str, Any] = {"max_rejected_percent": 50.0, "allow_failed_imports": True}
    result = run(settle_month, "2025-09", **parameters)
    recorded = json_at(place, result["run_record"])["parameters"]
    assert {name: recorded.get(name) for name in parameters} == parameters


def test_a_missing_bucket_is_named(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VPP_BUCKET", "nobody-made-this")
    assert refusal(settle_month, "2025-09") == (
        "there is no bucket 'nobody-made-this'; make it, or set VPP_BUCKET to the right one"
    )
    assert not any(record.exc_info for record in caplog.records)
