"""Run records on S3: what every settlement run did, and the history of all."""

from collections.abc import Iterator

from tasks.core import keys
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.run_record import (
    AnyRunRecord,
    RunRecord,
    SettledRunRecord,
    parse_run_record,
)
from tasks.io.object_store import ObjectStore


def write_run_record(store: ObjectStore, key: str, record: RunRecord) -> None:
    """Write a run's record; a later one of the same run replaces it."""
    store.write(key, record.to_bytes())


def read_run_record(store: ObjectStore, key: str) -> AnyRunRecord | None:
    """Return a run's record, or None where there is none."""
    found = store.read(key)
    return parse_run_record(found[0]) if found else None


def find_settled_run(store: ObjectStore, month: Month) -> str:
    """Return the key of the record of a run that settled a month for all VPPs.

    Raises:
        Refused: no run did, or those that did had nothing to settle.
    """
    void = ""
    for key, record in read_run_records(store, str(month)):
        if record.outcome in ("published", "unchanged") and not record.parameters.get("vpps"):
            if _has_settled_something(record):
                return key
            void = key
    if void:
        raise Refused(
            f"{month} was settled without any report or event ({void}); look whether VPP_BUCKET "
            "and VPP_PREFIX are right, and whether the inbox has the month's files"
        )
    raise Refused(f"{month} is not settled yet; run settle-month for it, or see why it was refused")


def _has_settled_something(record: AnyRunRecord) -> bool:
    """Say whether a run made a report, and from any events."""
    return (
        isinstance(record, SettledRunRecord) and bool(record.reports) and record.settled_events > 0
    )


def read_run_records(store: ObjectStore, month: str = "") -> Iterator[tuple[str, AnyRunRecord]]:
    """Yield the records of all runs, or of a month's, oldest first, each with its key."""
    for version in store.versions(keys.run_records(month)):
        record = read_run_record(store, version.key)
        if record is not None:
            yield version.key, record
