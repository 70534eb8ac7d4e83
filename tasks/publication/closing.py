"""Closing a month: its published revisions are fixed until somebody reopens it, for a reason.

A month is closed with the digest that a preview showed, so that what is fixed is what was approved.
Claims and closings are written to the same ledger, each only over what it has read; so a run that
publishes and a person who closes can't both be first, and the second one sees the other.
"""

from datetime import UTC, datetime

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.month_record import Closing, Ledger
from tasks.io.object_store import LostRace, ObjectStore
from tasks.publication.revisions import Standing, is_made, ledger_key, standing


def close(store: ObjectStore, month: Month, expect: str, by: str) -> Closing:
    """Close a month.

    Args:
        store: where it is published.
        month: which one.
        expect: the digest that was approved.
        by: who closes it.

    Raises:
        Refused: nothing is published, or not all of it yet; it says something else than what was
            approved; or the month is closed.
    """
    while True:
        before = standing(store, month)
        ledger = before.ledger
        if ledger.closed:
            raise Refused(f"{month} was closed by {_when(ledger.closed)} already; nothing was done")
        if not ledger.revisions:
            raise Refused(f"{month} is not settled yet; run settle-month for it first")
        if expect != ledger.digest:
            raise Refused(
                f"expect: {expect!r} is not the digest of what is published for {month}, "
                f"{ledger.digest}; it may have changed since it was approved: look at a preview "
                "and, if that is right, settle the month and close it with its digest"
            )
        if missing := [vpp for vpp in ledger.revisions if not is_made(store, before, vpp)]:
            raise Refused(
                f"{month} is being published at this moment, or a run died over it: "
                f"{', '.join(missing)} is not there yet; run settle-month for it, then close it"
            )
        closing = Closing(action="close", at=datetime.now(UTC), by=by, digest=ledger.digest)
        if _appended(store, before, closing):
            return closing


def reopen(store: ObjectStore, month: Month, reason: str, by: str) -> Closing:
    """Let a closed month be published again.

    Raises:
        Refused: it is not closed.
    """
    while True:
        before = standing(store, month)
        if not before.ledger.closed:
            raise Refused(f"{month} is not closed; settle-month publishes it")
        reopening = Closing(
            action="reopen",
            at=datetime.now(UTC),
            by=by,
            digest=before.ledger.digest,
            reason=reason,
        )
        if _appended(store, before, reopening):
            return reopening


def _appended(store: ObjectStore, before: Standing, closing: Closing) -> bool:
    ledger = before.ledger.model_copy(update={"closings": [*before.ledger.closings, closing]})
    try:
        store.write_if(ledger_key(before.month), ledger.to_bytes(), before.etag)
    except LostRace:
        return False
    return True


def _when(closing: Closing) -> str:
    return f"{closing.by} at {closing.at:%Y-%m-%d %H:%M} UTC"


def ledgers(store: ObjectStore) -> list[Ledger]:
    """Return the ledgers of all months that were ever published, oldest first."""
    found = (store.read(version.key) for version in store.versions("months/"))
    return [Ledger.model_validate_json(one[0]) for one in found if one]
