"""What the runs say at their end that change, list and load the registry, and list the months."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks.core.change_fields import FIRST_DAY
from tasks.core.changes import Change
from tasks.core.month_record import MonthRecord
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import Recorded
from tasks.runs.links import read_link

_SHOWN_ROWS = 500
_SHOWN_LATER = 20
_SHOWN_MONTHS = 240  # twenty years


def end_with_change(recorded: Recorded) -> State[Any]:
    """End a run with the change that was recorded, and with what still holds after it."""
    change = recorded.change
    message = f"Change {change.seq} is recorded: {change.title()}.{_warning([recorded])}"
    data = {**json.loads(change.line()), "later": _later([recorded])}
    return Completed(message=message, data=data)


def end_with_import(recorded: Sequence[Recorded]) -> State[Any]:
    """End a run with how many changes of a file were recorded, and what still holds after them."""
    changes = [of.change for of in recorded]
    data = {"changes": len(changes), "last_seq": changes[-1].seq, "later": _later(recorded)}
    message = f"{_numbers(changes)} recorded.{_warning(recorded)}"
    return Completed(message=message, data=data)


def end_with_dates(changes: Sequence[Change]) -> State[Any]:
    """End a run with which changes were dated again."""
    if not changes:
        return Completed(message="No change is dated in the future; nothing was done.", data=[])
    message = (
        f"{_numbers(changes)} dated {changes[0].recorded_at:%Y-%m-%d %H:%M} UTC now. Settlements "
        "that were run since they were recorded did not see them: settle their months again."
        + _later_days(changes)
    )
    return Completed(message=message, data=[json.loads(change.line()) for change in changes])


def _later_days(changes: Sequence[Change]) -> str:
    """Name those that hold from a day to come: where none was given, it is the clock's, too."""
    found = [
        f"change {change.seq} from {change.effective_from}"
        for change in changes
        if change.recorded_at and (change.effective_from or FIRST_DAY) > change.recorded_at.date()
    ]
    if not found:
        return ""
    more = [f"{len(found) - _SHOWN_LATER} more"] * (len(found) > _SHOWN_LATER)
    return (
        f" Not yet in force: {', '.join(found[:_SHOWN_LATER] + more)}. If that day is the clock's, "
        "take the change back by withdraw-change, and make it again."
    )


def _numbers(changes: Sequence[Change]) -> str:
    first, last = changes[0].seq, changes[-1].seq
    return f"Change {first} is" if first == last else f"Changes {first} to {last} are"


def _later(recorded: Sequence[Recorded]) -> list[dict[str, Any]]:
    return [
        {
            "seq": later.seq,
            "effective_from": str(later.effective_from),
            "values": {
                name: format(value, "f") if isinstance(value, Decimal) else value
                for name, value in later.values.items()
            },
            "after": of.change.seq,
        }
        for of in recorded
        for later in of.later
    ]


def _warning(recorded: Sequence[Recorded]) -> str:
    """Name the changes that undo these from a later day on, since nobody might mean them to."""
    sentences = [
        str(later) if len(recorded) == 1 else f"After change {of.change.seq}: {later}"
        for of in recorded
        for later in of.later
    ]
    if not sentences:
        return ""
    more = len(sentences) - _SHOWN_LATER
    sentences = sentences[:_SHOWN_LATER] + [f"And {more} more like this."] * (more > 0)
    return " " + " ".join([*sentences, "What is not meant can be taken back by withdraw-change."])


def end_with_list(
    store: ObjectStore, listed: pl.DataFrame, day: date, as_of: datetime | None, key: str
) -> State[Any]:
    """End a run with the registry on a day, as a table and as a link to a CSV file."""
    url = read_link(store, key).url
    of_kind = dict(listed["kind"].value_counts().iter_rows())
    counts = {kind: of_kind.get(kind, 0) for kind in ("vpp", "site", "battery")}
    known = f", as it was known at {as_of.isoformat(timespec='seconds')}" if as_of else ""
    what = (
        f"VPPs: {counts['vpp']}, sites: {counts['site']}, batteries: {counts['battery']} "
        f"on {day}{known}."
    )
    first = f" The first {_SHOWN_ROWS} of them are here." if listed.height > _SHOWN_ROWS else ""
    create_table_artifact(
        listed.head(_SHOWN_ROWS).fill_null("").to_dicts(),
        key="registry",
        description=f"{what}{first} All of them as CSV: [{key}]({url})",
    )
    return Completed(
        message=f"{what} All of them as CSV are in {key}; the artifact registry links it.",
        data={"day": str(day), **counts, "key": key, "url": url},
    )


def end_with_months(records: Sequence[MonthRecord]) -> State[Any]:
    """End a run with the months that are settled, the newest first, as a table and a sentence."""
    months = [_month(record) for record in reversed(records)]
    closed = sum(month["state"] == "closed" for month in months)
    message = (
        f"Months settled: {len(months)}, from {months[-1]['month']} to {months[0]['month']}; "
        f"closed: {closed}."
        if months
        else "No month is settled yet; settle-month settles one."
    )
    create_table_artifact(months[:_SHOWN_MONTHS], key="months", description=message)
    return Completed(message=message, data=months)


def _month(record: MonthRecord) -> dict[str, Any]:
    last = record.closings[-1] if record.closings else None
    return {
        "month": record.month,
        "settled": "all VPPs" if record.last_settlement else "some VPPs by themselves",
        "vpps": len(record.revisions),
        "state": "open" if last is None else "closed" if record.closing else "reopened",
        "by": last.by if last else "",
        "at": f"{last.at:%Y-%m-%d %H:%M} UTC" if last else "",
        "reason": last.reason if last else "",
        "digest": record.digest,
    }
