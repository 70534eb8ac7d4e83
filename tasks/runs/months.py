"""What Prefect sees of list-months: its stage, and what it says at its end."""

from typing import Any

from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks.core.month_record import Ledger
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.publication.closing import ledgers
from tasks.runs.stage import stage

_SHOWN_MONTHS = 240  # twenty years


@stage("read the months' records")
def read_months() -> list[dict[str, Any]]:
    """Return a row per month that anything is published for, the newest first."""
    return [_row(record) for record in reversed(ledgers(ObjectStore(Settings())))]


def _row(record: Ledger) -> dict[str, Any]:
    last = record.closings[-1] if record.closings else None
    return {
        "month": record.month,
        "settled": "all VPPs" if record.settled else "some VPPs by themselves",
        "vpps": len(record.revisions),
        "state": "open" if last is None else "closed" if record.closed else "reopened",
        "by": last.by if last else "",
        "at": f"{last.at:%Y-%m-%d %H:%M} UTC" if last else "",
        "reason": last.reason if last else "",
        "digest": record.digest,
    }


def months_state(months: list[dict[str, Any]]) -> State[Any]:
    """End a run with the months, as a table and in a sentence."""
    closed = sum(month["state"] == "closed" for month in months)
    message = (
        f"Months settled: {len(months)}, from {months[-1]['month']} to {months[0]['month']}; "
        f"closed: {closed}."
        if months
        else "No month is settled yet; settle-month settles one."
    )
    create_table_artifact(months[:_SHOWN_MONTHS], key="months", description=message)
    return Completed(message=message, data=months)
