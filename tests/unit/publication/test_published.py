"""What is published for a month: its record, what is there of it, and what it was settled from."""

import pytest

from tasks.core import keys
from tasks.core.month import Month
from tasks.core.month_record import MonthRecord
from tasks.core.run_record import RunRecord, SettledRunRecord
from tasks.io.object_store import ObjectStore
from tasks.publication.published import (
    PublishedMonth,
    is_current,
    read_month_record,
    read_month_records,
    read_published,
    read_same_settlement,
)
from tasks.publication.run_records import write_run_record
from tests.unit.core.run_records import FACTS, RUN
from tests.unit.publication.months import MONTH, RUN_RECORD, put_month


def test_a_month_without_anything_is_empty(store: ObjectStore) -> None:
    published = read_published(store, MONTH)
    assert published == PublishedMonth(MonthRecord(month="2025-09"), None, {})
    assert (published.month, published.last_revision("one")) == (MONTH, 0)
    assert read_month_records(store) == []


def test_a_months_record_is_read_with_its_etag_and_what_is_there(store: ObjectStore) -> None:
    record = put_month(store, one=["a", "b"])
    put_month_before(store)
    published = read_published(store, MONTH)
    assert published.record == record
    assert published.etag == read_month_record(store, MONTH)[1] is not None
    assert sorted(published.objects) == [
        "reports/2025-09/one.json",
        "reports/2025-09/one/r1.json",
        "reports/2025-09/one/r2.json",
    ]
    assert [of.month for of in read_month_records(store)] == ["2025-08", "2025-09"]


def put_month_before(store: ObjectStore) -> None:
    store.write("months/2025-08.json", MonthRecord(month="2025-08").to_bytes())
    store.write("reports/2025-08/one.json", b"{}")


def test_a_revision_number_is_never_used_again_though_its_claim_was_lost(
    store: ObjectStore,
) -> None:
    put_month(store, one=["a"], two=["b"])
    for key in ("one/r12.json", "one/r9.json", "one/r13.diff.json", "one-b/r99.json"):
        store.write(f"reports/2025-09/{key}", b"{}")
    published = read_published(store, MONTH)
    assert [published.last_revision(vpp) for vpp in ("one", "two", "three")] == [12, 1, 0]


def test_a_revision_is_current_if_it_is_there_and_the_report_is_it(store: ObjectStore) -> None:
    put_month(store, one=["a", "b"])
    assert is_current(store, read_published(store, MONTH), "one")
    store.write(keys.report(MONTH, "one"), b"a")  # still the one before
    assert not is_current(store, read_published(store, MONTH), "one")
    store.write(keys.report(MONTH, "one"), b"b")
    store.delete(keys.report(MONTH, "one", 2))  # claimed, and not written yet
    assert not is_current(store, read_published(store, MONTH), "one")


def test_where_etags_say_nothing_the_bytes_do(store: ObjectStore) -> None:
    """As of a store that encrypts: the same bytes twice have two ETags."""
    put_month(store, one=["a"])
    found = read_published(store, MONTH)
    other = PublishedMonth(found.record, found.etag, {key: key for key in found.objects})
    assert is_current(store, other, "one")
    store.write(keys.report(MONTH, "one"), b"b")
    assert not is_current(store, other, "one")


def test_a_settlement_is_the_same_if_all_of_it_is_published(store: ObjectStore) -> None:
    put_month(store, "inputs", one=["a"])
    record = SettledRunRecord(**RUN, **FACTS).model_copy(update={"reports": []})
    write_run_record(store, RUN_RECORD, record)
    found = read_same_settlement(store, read_published(store, MONTH), "inputs")
    assert found is not None
    assert found.to_bytes() == record.to_bytes()
    assert read_same_settlement(store, read_published(store, MONTH), "others") is None
    store.delete(keys.report(MONTH, "one"))
    assert read_same_settlement(store, read_published(store, MONTH), "inputs") is None


@pytest.mark.parametrize("record", [None, RunRecord(**RUN), SettledRunRecord(**RUN, **FACTS)])
def test_without_a_whole_run_record_it_is_settled_again(
    store: ObjectStore, record: RunRecord | None
) -> None:
    """The record is missing, or its run died before it had reports."""
    put_month(store, "inputs", one=["a"])
    if record:
        write_run_record(store, RUN_RECORD, record)
    assert read_same_settlement(store, read_published(store, MONTH), "inputs") is None


def test_months_are_in_order(store: ObjectStore) -> None:
    months = [Month(2025, 10), Month(2024, 12), Month(2025, 9)]
    for month in months:
        store.write(keys.month_record(month), MonthRecord(month=str(month)).to_bytes())
    assert [of.month for of in read_month_records(store)] == ["2024-12", "2025-09", "2025-10"]
