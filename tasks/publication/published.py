"""What is published for a month, as it was when it was read."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TypeGuard

from tasks.core import keys
from tasks.core.month import Month
from tasks.core.month_record import MonthRecord
from tasks.core.run_record import AnyRunRecord, SettledRunRecord
from tasks.io.object_store import ObjectStore
from tasks.publication.run_records import read_run_record

_REVISION = re.compile("/([^/]+)/r([0-9]+)[.]json$")


@dataclass(frozen=True)
class PublishedMonth:
    """A month's record and its ETag, and the ETags of what is below `reports/<month>/`, by key."""

    record: MonthRecord
    etag: str | None
    objects: dict[str, str]

    @property
    def month(self) -> Month:
        return Month.parse(self.record.month)

    def last_revision(self, vpp: str) -> int:
        """Return the highest revision number of a VPP, even of one that is in no record."""
        return max(self.record.last_revision(vpp), self._revisions_present.get(vpp, 0))

    @cached_property
    def _revisions_present(self) -> dict[str, int]:
        """Return the highest revision that is there, by VPP."""
        highest: dict[str, int] = {}
        for key in self.objects:
            if found := _REVISION.search(key):
                vpp, number = found.groups()
                highest[vpp] = max(highest.get(vpp, 0), int(number))
        return highest


def read_published(store: ObjectStore, month: Month) -> PublishedMonth:
    """Read what is published for a month: a read and a listing."""
    record, etag = read_month_record(store, month)
    objects = {version.key: version.etag for version in store.versions(keys.reports(month))}
    return PublishedMonth(record, etag, objects)


def read_month_record(store: ObjectStore, month: Month) -> tuple[MonthRecord, str | None]:
    """Return a month's record and its ETag; an empty one where nothing was published yet."""
    found = store.read(keys.month_record(month))
    if found is None:
        return MonthRecord(month=str(month)), None
    return MonthRecord.model_validate_json(found[0]), found[1]


def read_month_records(store: ObjectStore) -> list[MonthRecord]:
    """Return the records of all months that were ever published, oldest first."""
    found = (store.read(version.key) for version in store.versions(keys.MONTH_RECORDS))
    return [MonthRecord.model_validate_json(record[0]) for record in found if record]


def is_current(store: ObjectStore, published: PublishedMonth, vpp: str) -> bool:
    """Say whether a VPP's last claimed revision is there, and is the current report."""
    last = published.record.last_revision(vpp)
    both = (keys.report(published.month, vpp), keys.report(published.month, vpp, last))
    etags = [published.objects.get(key) for key in both]
    if None in etags:
        return False
    # The same bytes have the same ETag on most stores; on the others they must be read.
    return etags[0] == etags[1] or len({(store.read(key) or (b"",))[0] for key in both}) == 1


def read_same_settlement(
    store: ObjectStore, published: PublishedMonth, inputs_digest: str
) -> SettledRunRecord | None:
    """Return the record of the run that settled the month from these inputs.

    None if the last settlement of all VPPs had other inputs, or if not all of it is published.
    """
    last = published.record.last_settlement
    is_publishing = published.record.state == "publishing"
    if last is None or last.inputs != inputs_digest or is_publishing:
        return None
    if not all(is_current(store, published, vpp) for vpp in published.record.revisions):
        return None
    record = read_run_record(store, last.run_record)
    return record if is_complete(record) else None


def is_complete(record: AnyRunRecord | None) -> TypeGuard[SettledRunRecord]:
    """Say whether a run's record is one of a run that got to its end."""
    return isinstance(record, SettledRunRecord) and record.reports is not None
