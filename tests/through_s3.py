"""The whole path without Prefect, for tests: registry and files on S3 in, reports on S3 out."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from flows.story import import_new_files
from tasks.core import keys
from tasks.core.changes import parse_change
from tasks.core.month import Month
from tasks.core.report import Report
from tasks.core.request import SettlementRequest
from tasks.core.run_record import ReportOutcome
from tasks.core.settings import Settings
from tasks.imports.catalog import Inbox
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import append_changes
from tasks.publication.published import PublishedMonth, read_published
from tasks.publication.revisions import draft_revisions, publish
from tasks.runs.run import Run
from tasks.settlement.inputs import MonthInputs, select_inputs
from tasks.settlement.settlement import Settlement, settle

HEADER = "NMI,DATE,EVENT_TYPE,ENERGY,TARIFF\n"


def reports_of(settlement: Settlement) -> list[Report]:
    """Read the reports of a settlement; their model writes the very same bytes."""
    reports = [draft.read() for draft in settlement.reports]
    for report, draft in zip(reports, settlement.reports, strict=True):
        assert report.to_bytes() == draft.to_bytes()
        assert report.revised(12).to_bytes() == draft.to_bytes(12)
        assert (report.digest, report.vpp) == (draft.digest, draft.name)
    return reports


def empty_place() -> Settings:
    """Make a bucket on the S3 server that the environment points at.

    The server looks through all of a bucket's keys for each listing, so each test has its own.
    """
    settings = Settings(bucket=uuid4().hex, prefix="test/")
    httpx.put(f"{os.environ['AWS_ENDPOINT_URL_S3']}/{settings.bucket}").raise_for_status()
    return settings


class Place:
    """A place on the S3 server that the environment points at; an empty one, unless named."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or empty_place()
        self.store = ObjectStore(self.settings)

    @property
    def environment(self) -> dict[str, str]:
        """Return what lets a process look here."""
        return {"VPP_BUCKET": self.settings.bucket, "VPP_PREFIX": self.settings.prefix}

    def point_at(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let flows look here."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    def record(self, changes: Iterable[dict[str, Any]], now: datetime | None = None) -> None:
        """Append changes to the registry, as one step."""
        numbered = [(n, parse_change(change)) for n, change in enumerate(changes, 1)]
        at = now or datetime.now(UTC)
        append_changes(self.store, self.settings, numbered, "test", now=lambda: at)

    def put(self, name: str, rows: Iterable[str]) -> None:
        """Put an event file of these rows into the inbox."""
        self.store.write(f"events/{name}", (HEADER + "".join(f"{r}\n" for r in rows)).encode())

    def put_text(self, key: str, text: str) -> None:
        """Put a meter data or price file into the inbox."""
        self.store.write(key, text.encode())

    def import_new(self) -> Inbox:
        """Import what is not imported yet; return the inbox."""
        return import_new_files(self.store)[0]

    def inputs(self, month: str, as_of: datetime | None = None) -> MonthInputs:
        """Import what is new, and select what counts for a month."""
        moment = as_of or datetime.now(UTC)
        inbox = self.import_new()
        return select_inputs(self.store, self.settings, Month.parse(month), inbox, moment)

    def settle(self, month: str, as_of: datetime | None = None) -> Settlement:
        """Import and settle, whatever was rejected, is in two files or missing; publish nothing."""
        return self.settle_inputs(self.inputs(month, as_of))

    def settle_inputs(self, inputs: MonthInputs, vpps: tuple[str, ...] = ()) -> Settlement:
        """Settle what was selected, as `settle` does."""
        request = SettlementRequest(
            inputs.as_of, 100, allow_shared_rows=True, allow_missing=True, vpps=vpps
        )
        inputs.require_settleable(request)
        return settle(self.store, inputs, request)

    def publish(self, month: str, as_of: datetime | None = None) -> list[ReportOutcome]:
        """Import, settle and publish once, with the run's record; who loses a race has lost."""
        published = read_published(self.store, Month.parse(month))
        return self.publish_settlement(published, self.settle(month, as_of))

    def publish_settlement(
        self, published: PublishedMonth, settlement: Settlement
    ) -> list[ReportOutcome]:
        """Publish what was settled, with the run's record."""
        month = published.month
        run = Run(self.store, month, settlement.request, str(uuid4()), "test", parameters={})
        run.note_settlement(settlement.facts)
        draft = draft_revisions(self.store, published, settlement, run.key)
        reports = publish(self.store, draft, run.record_now(outcome="publishing"))
        run.end_published(draft, reports)
        run.write_record()
        return reports

    def report(self, month: str, vpp: str) -> Report:
        """Read a published report back."""
        found = self.store.read(keys.report(Month.parse(month), vpp))
        assert found is not None
        return Report.model_validate_json(found[0])

    def objects(self) -> dict[str, str]:
        """Return all keys there are, with their ETags."""
        return {version.key: version.etag for version in self.store.versions("")}
