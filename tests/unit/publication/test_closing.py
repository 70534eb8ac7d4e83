"""Closing a month: with the digest that was approved, all of it published, one after the other."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tasks.core import keys
from tasks.core.errors import Refused
from tasks.core.month_record import MonthRecord, Revision
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.publication import closing
from tasks.publication.closing import close, reopen
from tasks.publication.published import read_month_record
from tests.unit.publication.months import MONTH, put_month


def test_a_closing_is_added_to_what_the_record_has(store: ObjectStore) -> None:
    record = put_month(store, "inputs", one=["a", "b"])
    closed = close(store, MONTH, record.digest, "Ada")
    assert (closed.action, closed.by, closed.digest, closed.reason) == (
        "close",
        "Ada",
        record.digest,
        "",
    )
    assert abs(closed.at - datetime.now(UTC)) < timedelta(minutes=1)
    reopened = reopen(store, MONTH, "a late file", "Bob")
    assert (reopened.action, reopened.by, reopened.reason) == ("reopen", "Bob", "a late file")
    found, _ = read_month_record(store, MONTH)
    assert found == record.model_copy(update={"closings": [closed, reopened]})
    assert close(store, MONTH, record.digest, "Ada").action == "close"


def test_what_is_closed_is_not_closed_again_and_what_is_open_not_opened(
    store: ObjectStore,
) -> None:
    record = put_month(store, one=["a"])
    with pytest.raises(Refused, match=r"^2025-09 is not closed; settle-month publishes it$"):
        reopen(store, MONTH, "why", "Ada")
    close(store, MONTH, record.digest, "Ada")
    with pytest.raises(Refused, match=r"^2025-09 was closed by Ada at .* UTC already; nothing"):
        close(store, MONTH, record.digest, "Bob")


def test_only_what_was_approved_is_closed(store: ObjectStore) -> None:
    with pytest.raises(Refused, match=r"^2025-09 is not settled yet; run settle-month"):
        close(store, MONTH, MonthRecord(month="2025-09").digest, "Ada")
    record = put_month(store, one=["a"])
    with pytest.raises(Refused) as refused:
        close(store, MONTH, "other", "Ada")
    assert str(refused.value).startswith(
        f"expect: 'other' is not the digest of what is published for 2025-09, {record.digest}; "
    )
    assert read_month_record(store, MONTH)[0] == record


@pytest.mark.parametrize("revision", [None, 2])
def test_a_month_is_closed_once_all_of_it_is_there(
    store: ObjectStore, revision: int | None
) -> None:
    record = put_month(store, one=["a"], two=["b", "c"])
    store.delete(keys.report(MONTH, "two", revision))
    with pytest.raises(Refused) as refused:
        close(store, MONTH, record.digest, "Ada")
    assert str(refused.value) == (
        "2025-09 is being published at this moment, or a run died while it did so: two is not "
        "there yet; run settle-month for it, then close it"
    )


class Beaten(ObjectStore):
    """A store on which somebody else writes just before each conditional write."""

    other: Callable[[], None]

    def write_if(self, key: str, data: bytes, etag: str | None) -> str:
        self.other()
        return super().write_if(key, data, etag)


@pytest.fixture
def beaten(settings: Settings) -> Iterator[Beaten]:
    store = Beaten(settings)
    yield store
    store.client.close()


def test_who_closes_sees_what_was_published_meanwhile(store: ObjectStore, beaten: Beaten) -> None:
    record = put_month(store, one=["a"])

    def publish() -> None:
        put_month(store, one=["a", "b"])

    beaten.other = publish
    with pytest.raises(Refused, match="is not the digest of what is published"):
        close(beaten, MONTH, record.digest, "Ada")
    found, _ = read_month_record(store, MONTH)
    assert found.closings == []


def test_who_loses_every_race_is_told_so(
    store: ObjectStore, beaten: Beaten, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "_ROUNDS", 3)
    record = put_month(store, one=["a"])
    tries: list[int] = []

    def note() -> None:
        """Claim a revision of the same content, which changes no digest."""
        tries.append(len(tries))
        claim = Revision(digest="a", run_record=f"runs/{len(tries)}")
        changed = record.model_copy(update={"revisions": {"one": {1: claim}}})
        store.write(keys.month_record(MONTH), changed.to_bytes())

    beaten.other = note
    with pytest.raises(Refused, match=r"months/2025-09\.json was written by others 3 times in"):
        close(beaten, MONTH, record.digest, "Ada")
    assert len(tries) == 3
