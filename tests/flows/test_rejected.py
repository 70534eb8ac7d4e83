"""Rejected rows come back: listed in one place, corrected, uploaded, and the month is whole."""

import csv
import io
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from flows.settle import settle_month
from flows.watch import watch_months
from tasks.core.month import Month
from tasks.evidence.verification import verify
from tasks.imports.spool import COLUMNS
from tests.flows.sample import bytes_at, json_at, keys, lay_out, refusal, run
from tests.through_s3 import HEADER, Place

pytestmark = pytest.mark.usefixtures("prefect_api")

MONTH = "2025-09"
LISTED = f"rejected/{MONTH}.csv"
VPP, NMI = "test-vpp-one", "9876543210"
GOOD = f"{NMI},2025-09-03,Discharge,1,1\n"
# What is wrong is the third row's date, the fifth's energy, and the sixth's number of fields.
DIRTY = (
    f"{HEADER}{GOOD}{NMI},03/09/2025,Discharge,2,12.5\n{GOOD}{NMI},2025-09-04,Discharge,much,1\n"
    f'"{NMI}",2025-09-05,Discharge,"1,500.5",1,5\n'
)


def listed(place: Place) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(bytes_at(place, LISTED).decode())))


def corrected(
    place: Place, fields: Callable[[dict[str, str]], dict[str, str]], name: str = "corrected.csv"
) -> None:
    """Correct the list of rejected rows as a person would, and upload it."""
    rows = [row | fields(row) for row in listed(place)]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    place.store.write(f"events/{name}", text.getvalue().encode())


def all_of_them(row: dict[str, str]) -> dict[str, str]:
    values = (NMI, "2025-09-05", "Discharge", "1500.5", "1.5")
    return {
        "3": {"DATE": "2025-09-03"},
        "5": {"ENERGY": "3"},
        "6": dict(zip(COLUMNS, values, strict=True)),
    }[row["LINE"]]


@pytest.fixture
def dirty(place: Place) -> Place:
    """Give a month that is refused for its rejected rows."""
    lay_out(place)
    place.store.write("events/dirty.csv", DIRTY.encode())
    message = refusal(settle_month, MONTH)
    assert "3 of its 7 rows were rejected" in message
    assert f"Correct them in {LISTED} and upload that to the inbox" in message
    return place


def test_a_refused_month_is_healed_by_the_corrected_list_alone(dirty: Place) -> None:
    assert [row["AT_STAKE_AUD"] for row in listed(dirty)] == ["0.25", "", ""]
    corrected(dirty, all_of_them)
    result = run(settle_month, MONTH)
    assert result["outcome"] == "published"
    record = json_at(dirty, result["run_record"])
    assert (record["rejected_rows"], record["corrected_rows"]) == (0, 3)
    assert (record["rejected"], record["at_stake"]) == ([], {"rows": 0, "aud": 0.0})
    # 1.75 of the sample, 2 x 0.01, and of the corrected ones 0.25, 0.03 and 22.5075.
    [report] = result["reports"]
    assert report["totals"]["total_revenue"] == 24.56
    assert listed(dirty) == []


def test_the_next_revision_says_that_rows_were_corrected(dirty: Place) -> None:
    first = run(settle_month, MONTH, max_rejected_percent=100)
    assert json_at(dirty, first["run_record"])["at_stake"] == {"rows": 1, "aud": 0.25}

    corrected(dirty, lambda row: {"DATE": "2025-09-03"} if row["LINE"] == "3" else {})
    [late] = run(watch_months)
    assert "could not be settled now" in late  # 2 of 7 rows are still too many
    run(settle_month, MONTH, max_rejected_percent=100)
    diff = json_at(dirty, f"reports/{MONTH}/{VPP}/r2.diff.json")
    assert [cause["cause"] for cause in diff["causes"]] == ["file added", "rows corrected"]
    assert diff["causes"][0]["key"] == "events/corrected.csv"
    assert diff["causes"][1]["rows"] == {"before": 2, "after": 1}
    assert diff["totals"]["total_revenue"] == {"before": 1.77, "after": 2.02}
    assert [row["LINE"] for row in listed(dirty)] == ["5", "6"]
    for revision in (1, 2):
        assert verify(dirty.store, Month.parse(MONTH), VPP, revision).is_same


def test_a_row_that_is_corrected_in_two_ways_refuses_the_month(dirty: Place) -> None:
    corrected(dirty, all_of_them)
    corrected(dirty, lambda row: all_of_them(row) | {"TARIFF": "2"}, "again.csv")
    assert "is corrected in 2 ways: line 2 of events/again.csv and line 2 of" in refusal(
        settle_month, MONTH
    )
    assert keys(dirty, "reports/") == []
    dirty.store.delete("events/again.csv")
    assert run(settle_month, MONTH)["outcome"] == "published"


def test_a_preview_writes_no_list(place: Place) -> None:
    lay_out(place)
    place.store.write("events/dirty.csv", DIRTY.encode())
    before = place.objects()
    result = run(settle_month, MONTH, preview=True, max_rejected_percent=100)
    after = place.objects()
    record: Any = after.pop(result["run_record"])
    assert record
    assert after == before


@pytest.mark.parametrize("is_md5", [True, False], ids=["ETag is MD5", "ETag is not MD5"])
def test_a_rerun_leaves_the_list_as_it_was(dirty: Place, is_md5: bool) -> None:
    if not is_md5:  # as of what was uploaded in parts
        with tempfile.NamedTemporaryFile() as file:
            file.write(bytes_at(dirty, LISTED))
            file.flush()
            dirty.store.client.upload_file(
                file.name,
                dirty.store.bucket,
                dirty.store.prefix + LISTED,
                Config=TransferConfig(multipart_threshold=1),
            )
    [before] = dirty.store.versions(LISTED)
    assert ("-" in before.etag) is not is_md5
    run(settle_month, MONTH, max_rejected_percent=100)
    [after] = dirty.store.versions(LISTED)
    assert before == after
