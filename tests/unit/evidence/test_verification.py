"""Verifying a revision: the same bytes from what its run pins, or what differs, or what is lost."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.core import keys
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.evidence.tables import put_tables
from tasks.evidence.verification import verify
from tasks.io.registry_segments import read_log
from tasks.publication.run_records import read_run_records
from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("s3_endpoint")

MONTH = Month(2025, 9)
NMI = "6001000001"
VPP = {"change": "create-vpp", "name": "One", "revenue_percentage": "20"}
SITE = {"change": "create-site", "nmi": NMI, "vpp": "one", "address": "1 King St"}
AHEAD = datetime.now(UTC) + timedelta(days=365)


@pytest.fixture
def place() -> Place:
    place = Place()
    place.record([VPP, SITE])
    place.put("a.csv", [f"{NMI},2025-09-01,Discharge,3,25"])
    place.publish("2025-09")
    return place


def test_what_was_recorded_later_does_not_count_though_its_moment_does(place: Place) -> None:
    place.put("b.csv", [f"{NMI},2025-09-02,Discharge,3,25"])
    place.publish("2025-09", as_of=AHEAD)
    terms = {"change": "update-vpp", "vpp": "one", "revenue_percentage": "90"}
    place.record([{**terms, "effective_from": None}])
    for revision in (0, 1, 2):
        assert verify(place.store, MONTH, "one", revision).is_same


def test_a_tampered_report_differs_and_says_where(place: Place) -> None:
    key = keys.report(MONTH, "one", 1)
    found = place.store.read(key)
    assert found is not None
    for old, new, difference in (
        (
            b'"member_days": 30',
            b'"member_days": 31',
            "line 20: '\"member_days\": 31,' is published, '\"member_days\": 30,' recomputed",
        ),
        (b'"month": "2025-09",\n', b"", "lines are published"),
        (b"}\n", b"}", "lines are published"),
        (b"King", b"\xff", "is published"),
    ):
        place.store.write(key, found[0].replace(old, new))
        verdict = verify(place.store, MONTH, "one", 1)
        assert not verdict.is_same
        assert difference in str(verdict)
        assert verdict.key == key
        assert verify(place.store, MONTH, "one").is_same
    place.store.write(keys.report(MONTH, "one"), b"[]")
    with pytest.raises(Refused, match=r"one\.json is no report; name the revision"):
        verify(place.store, MONTH, "one")


def test_other_software_is_named_where_the_bytes_differ(place: Place) -> None:
    key = keys.report(MONTH, "one", 1)
    [(record_key, record)] = read_run_records(place.store, "2025-09")
    place.store.write(key, b"{}")
    assert " then and is " not in str(verify(place.store, MONTH, "one", 1))
    forged = record.model_copy(update={"software": {**record.software, "duckdb": "1.0"}})
    place.store.write(record_key, forged.to_bytes())
    assert "duckdb was 1.0 then and is " in str(verify(place.store, MONTH, "one", 1))


def test_without_its_run_record_or_month_record_a_revision_is_refused(place: Place) -> None:
    [(record, _)] = read_run_records(place.store, "2025-09")
    place.store.delete(record)
    with pytest.raises(Refused, match=r"runs/2025-09/.* is missing"):
        verify(place.store, MONTH, "one", 1)
    place.store.delete("months/2025-09.json")
    with pytest.raises(Refused, match=r"months/2025-09\.json does not have revision 1 of one"):
        verify(place.store, MONTH, "one", 1)
    with pytest.raises(Refused, match="2025-09 is not settled yet"):
        put_tables(place.store, MONTH)


def test_a_lost_month_record_comes_back_with_the_next_settlement(place: Place) -> None:
    place.store.delete("months/2025-09.json")
    [published] = place.publish("2025-09")
    assert (published.outcome, published.revision) == ("unchanged", 1)
    assert verify(place.store, MONTH, "one", 1).is_same


def test_what_was_lost_is_named(place: Place) -> None:
    log = read_log(place.store)
    place.store.write(keys.REGISTRY_LOG, log.splitlines(keepends=True)[0])
    with pytest.raises(Refused, match=r"saw 2 lines of registry/changes\.jsonl, which has 1 now"):
        verify(place.store, MONTH, "one", 1)
    place.store.write(keys.REGISTRY_LOG, log)
    catalog = place.store.read(keys.CATALOG)
    assert catalog is not None
    place.store.delete(keys.CATALOG)
    with pytest.raises(Refused, match=r"events/a\.csv \(ETag [0-9a-f]+\) was import .* none of it"):
        verify(place.store, MONTH, "one", 1)
    place.store.write(keys.CATALOG, catalog[0])
    for version in place.store.versions("imports/"):
        if version.key.endswith("daily.parquet"):
            place.store.delete(version.key)
    with pytest.raises(Refused, match=r"daily\.parquet is missing"):
        verify(place.store, MONTH, "one", 1)
    with pytest.raises(Refused, match="one in 2025-09 has no revision 2; the last one is 1"):
        verify(place.store, MONTH, "one", 2)
