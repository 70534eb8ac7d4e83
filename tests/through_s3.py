"""The whole path without Prefect, for tests: registry and files on S3 in, reports on S3 out."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tasks.core.month import Month
from tasks.core.registry import parse_change
from tasks.core.report import Report
from tasks.core.settings import Settings
from tasks.imports.catalog import add_to_catalog, current, list_inbox, read_catalog
from tasks.imports.event_files import grouped, import_objects
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import append_changes
from tasks.publication.revisions import (
    Published,
    Standing,
    plan,
    publish,
    run_record_key,
    standing,
    write_run_record,
)
from tasks.settlement.inputs import take_in
from tasks.settlement.settlement import Settled, settle

HEADER = "NMI,DATE,EVENT_TYPE,ENERGY,TARIFF\n"


class Place:
    """An empty place on the S3 server that the environment points at."""

    def __init__(self) -> None:
        self.settings = Settings(prefix=f"{uuid4().hex}/")
        self.store = ObjectStore(self.settings)

    def record(self, changes: Iterable[dict[str, Any]], now: datetime | None = None) -> None:
        """Append changes to the registry, as one step."""
        numbered = [(n, parse_change(change)) for n, change in enumerate(changes, 1)]
        at = now or datetime.now(UTC)
        append_changes(self.store, self.settings, numbered, "test", now=lambda: at)

    def put(self, name: str, rows: Iterable[str]) -> None:
        """Put an event file of these rows into the inbox."""
        self.store.write(f"events/{name}", (HEADER + "".join(f"{r}\n" for r in rows)).encode())

    def import_new(self) -> None:
        """Import what is not imported yet."""
        inbox = list_inbox(self.store)
        files = current(read_catalog(self.store)[0], inbox)
        new = set(files.filter(files["import_id"].is_null())["key"])
        for group in grouped([version for version in inbox if version.key in new]):
            add_to_catalog(self.store, import_objects(self.store, self.settings.timezone, group))

    def settle(self, month: str, as_of: datetime | None = None) -> Settled:
        """Settle what is imported; publish nothing."""
        return settle(
            self.store,
            self.settings,
            take_in(self.store, self.settings, Month.parse(month), list_inbox(self.store)),
            [],
            as_of or datetime.now(UTC),
            max_rejected_percent=100,
            allow_failed_imports=False,
        )

    def publish(
        self, month: str, as_of: datetime | None = None, before: Standing | None = None
    ) -> list[Published]:
        """Import, settle and publish, with the run's record."""
        stood = before or standing(self.store, Month.parse(month))
        self.import_new()
        return self.publish_settled(stood, self.settle(month, as_of))

    def publish_settled(self, before: Standing, settled: Settled) -> list[Published]:
        """Publish what was settled, with the run's record."""
        started, run_id = datetime.now(UTC), str(uuid4())
        key = run_record_key(settled.month, started, run_id)
        planned = plan(self.store, before, settled.reports, settled.facts, key, is_whole=True)
        facts = settled.facts

        def record() -> None:
            write_run_record(
                self.store, key, settled.month, started, run_id, "test", "published", facts
            )

        published = publish(self.store, planned, record)
        facts = {**facts, "reports": [vars(report) for report in published], "parameters": {}}
        record()
        return published

    def report(self, month: str, vpp: str) -> Report:
        """Read a published report back."""
        found = self.store.read(f"reports/{month}/{vpp}.json")
        assert found is not None
        return Report.model_validate_json(found[0])

    def objects(self) -> dict[str, str]:
        """Return all keys there are, with their ETags."""
        return {version.key: version.etag for version in self.store.versions("")}
