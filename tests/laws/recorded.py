"""Publications with their run records, as settle-month leaves them, without Prefect."""

from datetime import UTC, datetime
from uuid import uuid4

from tasks.core.month import Month
from tasks.publication import publish, standing, write_run_record
from tests.through_s3 import Place


def publish_recorded(place: Place, month: str, as_of: datetime | None = None) -> None:
    """Import, settle, publish, and write the run record."""
    started = datetime.now(UTC)
    before = standing(place.store, Month.parse(month))
    place.import_new()
    settled = place.settle(month, as_of)
    published = publish(place.store, settled.month, settled.reports, before)
    outcomes = {report.outcome for report in published}
    write_run_record(
        place.store,
        settled.month,
        started,
        run_id=str(uuid4()),
        started_by="test",
        outcome="published" if "published" in outcomes else "unchanged",
        facts={**settled.facts, "reports": [vars(report) for report in published]},
    )


def revisions(place: Place) -> list[tuple[str, int]]:
    """Return all that was ever published: VPP and revision."""
    keys = [version.key.split("/") for version in place.store.versions("reports/")]
    return [(key[2], int(key[3][1:-5])) for key in keys if len(key) == 4]
