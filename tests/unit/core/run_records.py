"""What a run records, for tests that need some but no run."""

from datetime import date, datetime, timedelta, timezone
from typing import Any

from tasks.core.run_record import AtStake, FileRejects, SettlementFacts, UnassignedSite

BRISBANE = timezone(timedelta(hours=10))
RUN: dict[str, Any] = {
    "month": "2025-09",
    "run_id": "1",
    "started_by": "a test",
    "started": datetime(2025, 10, 2, 6, 0, 0, 123_456, tzinfo=BRISBANE),
    "seconds": 1.5,
    "outcome": "published",
}
FACTS: dict[str, Any] = dict(
    SettlementFacts(
        rejected=[FileRejects(key="events/a.csv", reasons={"nmi": 1})],
        rejected_rows=1,
        at_stake=AtStake(rows=1, aud=0.25),
        corrected_rows=0,
        duplicates=[],
        failed_imports=[],
        inputs="digest",
        as_of=datetime(2025, 10, 2, 6, 0, 0, 123_456, tzinfo=BRISBANE),
        registry_seq=3,
        rule_version=1,
        files=[
            {
                "key": "events/a.csv",
                "etag": "e",
                "import_id": "i",
                "rejected_rows": 1,
                "rows": 3,
                "imported": 2,
            }
        ],
        rows=3,
        settled_events=2,
        unassigned_events=1,
        unassigned=[
            UnassignedSite(
                nmi="6001000001",
                is_known=False,
                first_day=date(2025, 9, 1),
                last_day=date(2025, 9, 2),
                events=1,
                energy_kwh=0.1,
            )
        ],
    )
)
