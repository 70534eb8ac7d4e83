"""Closing a month: its published revisions are fixed until somebody reopens it, for a reason.

A month is closed with the digest that a preview showed, so that what is fixed is what was approved.
Claims and closings are written to the same record, each only over what it has read. So a run that
publishes and a person who closes cannot both be first, and the second one sees the other.
"""

from datetime import UTC, datetime

from tasks.core import keys
from tasks.core.errors import LostRace, Refused
from tasks.core.month import Month
from tasks.core.month_record import Closing
from tasks.io.object_store import ObjectStore
from tasks.publication.published import PublishedMonth, is_current, read_published

_ROUNDS = 20  # of losing the race to write the month's record


def close(store: ObjectStore, month: Month, expect: str, by: str) -> Closing:
    """Close a month.

    Args:
        store: where it is published.
        month: which one.
        expect: the digest that was approved.
        by: who closes it.

    Raises:
        Refused: nothing is published, or not all of it yet; it is not what was approved; or the
            month is closed already.
    """
    for _ in range(_ROUNDS):
        published = read_published(store, month)
        record = published.record
        if record.closing:
            raise Refused(f"{month} was closed by {_when(record.closing)} already; nothing changed")
        if not record.revisions:
            raise Refused(f"{month} is not settled yet; run settle-month for it first")
        if expect != record.digest:
            raise Refused(
                f"expect: {expect!r} is not the digest of what is published for {month}, "
                f"{record.digest}; it may have changed since it was approved: look at a preview "
                "and, if that is right, settle the month and close it with its digest"
            )
        if missing := [vpp for vpp in record.revisions if not is_current(store, published, vpp)]:
            raise Refused(
                f"{month} is being published at this moment, or a run died while it did so: "
                f"{', '.join(missing)} is not there yet; run settle-month for it, then close it"
            )
        closing = Closing(action="close", at=datetime.now(UTC), by=by, digest=record.digest)
        if _append(store, published, closing):
            return closing
    raise _too_busy(month)


def reopen(store: ObjectStore, month: Month, reason: str, by: str) -> Closing:
    """Let a closed month be published again.

    Raises:
        Refused: it is not closed.
    """
    for _ in range(_ROUNDS):
        published = read_published(store, month)
        if not published.record.closing:
            raise Refused(f"{month} is not closed; settle-month publishes it")
        reopening = Closing(
            action="reopen",
            at=datetime.now(UTC),
            by=by,
            digest=published.record.digest,
            reason=reason,
        )
        if _append(store, published, reopening):
            return reopening
    raise _too_busy(month)


def _append(store: ObjectStore, published: PublishedMonth, closing: Closing) -> bool:
    closings = [*published.record.closings, closing]
    record = published.record.model_copy(update={"closings": closings})
    try:
        store.write_if(keys.month_record(published.month), record.to_bytes(), published.etag)
    except LostRace:
        return False
    return True


def _when(closing: Closing) -> str:
    return f"{closing.by} at {closing.at:%Y-%m-%d %H:%M} UTC"


def _too_busy(month: Month) -> Refused:
    return Refused(
        f"{keys.month_record(month)} was written by others {_ROUNDS} times in the meantime; "
        "nothing changed, run it again"
    )
