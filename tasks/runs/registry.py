"""What Prefect sees of the registry's flows: their stages, and what they say at their end."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from prefect import get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks.core.change_fields import day_of, shown
from tasks.core.errors import Refused
from tasks.core.inbox import inbox_key
from tasks.core.registry import Change, parse_change
from tasks.core.registry_list import Row, rows_on, to_csv
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import Recorded, append_changes, read_registry, redate_changes
from tasks.runs.stage import stage

UPLOADS = "registry/uploads/"
LISTS = "registry/lists/"
_MAX_FILE_BYTES = 100 << 20  # some 400,000 changes
_SHOWN_ROWS = 500
_SHOWN_LATER = 20
_FIRST_MOMENT, _LAST_MOMENT = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def record_change(change: str, **fields: Any) -> State[Any]:
    """Append one change of the fields that were given, and end the run with what was recorded."""
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    [recorded] = append([(1, parse_change({"change": change, **given}))])
    return recorded_state(recorded)


def assign(nmi: str, vpp: str | None, effective_from: Any) -> State[Any]:
    """Append that a site joins a VPP or, with None, leaves its own."""
    day = {} if effective_from in (None, "") else {"effective_from": effective_from}
    change = parse_change({"change": "assign-site", "nmi": nmi, "vpp": vpp, **day})
    return recorded_state(append([(1, change)])[0])


def withdraw(seq: Any, reason: str) -> State[Any]:
    """Append that a change is taken back."""
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 1:
        raise Refused(f"seq: must be the number of a change, like 7 (given: {shown(seq)})")
    return record_change("withdraw-change", withdraws=seq, reason=reason)


def recorded_state(recorded: Recorded) -> State[Any]:
    """End a run with the change that was recorded, and with what still holds after it."""
    change = recorded.change
    message = f"Change {change.seq} is recorded: {change.title()}.{_warning([recorded])}"
    return Completed(message=message, data={**_line(recorded), "later": _later([recorded])})


def imported_state(recorded: Sequence[Recorded]) -> State[Any]:
    """End a run with how many changes of a file were recorded, and what still holds after them."""
    first, last = recorded[0].change.seq, recorded[-1].change.seq
    what = f"Change {first} is" if first == last else f"Changes {first} to {last} are"
    data = {"changes": len(recorded), "last_seq": last, "later": _later(recorded)}
    return Completed(message=f"{what} recorded.{_warning(recorded)}", data=data)


def _line(recorded: Recorded) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(recorded.change.line())
    return line


def _later(recorded: Sequence[Recorded]) -> list[dict[str, Any]]:
    return [
        {
            "seq": later.seq,
            "effective_from": str(later.effective_from),
            "values": {
                name: value if value is None else f"{value:f}" if name in _NUMBERS else str(value)
                for name, value in later.values.items()
            },
            "after": of.change.seq,
        }
        for of in recorded
        for later in of.later
    ]


_NUMBERS = {"revenue_percentage", "daily_fee_aud", "capacity_kwh"}


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


@stage("append to the registry")
def append(changes: list[tuple[int, Change | Refused]]) -> list[Recorded]:
    """Append changes, all of them or none."""
    if not changes:
        raise Refused("key: the file holds no changes")
    by = f"flow-run/{runtime.flow_run.id}"
    recorded = append_changes(ObjectStore(Settings()), Settings(), changes, by)
    logger = get_run_logger()
    logger.info("changes %d to %d recorded", recorded[0].change.seq, recorded[-1].change.seq)
    for later in (later for of in recorded for later in of.later):
        logger.warning("%s", later)
    return recorded


@stage("read {key}")
def read_upload(key: str) -> bytes:
    """Return an uploaded file's bytes."""
    store, key = ObjectStore(Settings()), inbox_key(UPLOADS, key, "key")
    sizes = {version.key: version.size for version in store.versions(key)}
    if sizes.get(key, 0) > _MAX_FILE_BYTES:
        raise Refused(
            f"key: {shown(key)} has {sizes[key] >> 20} MB; a file of changes may have at most "
            f"{_MAX_FILE_BYTES >> 20} MB: cut it into several"
        )
    found = store.read(key)
    if found is None:
        raise Refused(
            f"key: there is no {key!r} in the bucket; request-registry-upload gives a link to "
            "upload it with"
        )
    return found[0]


def upload_state(name: str) -> State[Any]:
    """End a run with a link to upload a file of changes with, and how it is used."""
    key = inbox_key(UPLOADS, name)
    if not key.endswith((".csv", ".jsonl")):
        raise Refused(f"name: {shown(name)} must end in .csv or .jsonl")
    seconds = Settings().presign_seconds
    url = ObjectStore(Settings()).link("put_object", key, seconds)
    command = f"curl -T '{key.rsplit('/', 1)[1]}' '{url}'"
    create_markdown_artifact(
        f"Upload the file within {seconds // 60} minutes:\n\n```\n{command}\n```\n\n"
        f"Then run `import-registry` with the key `{key}`.",
        key="registry-upload",
        description=f"upload {key}",
    )
    return Completed(
        message=f"Upload the file within {seconds // 60} minutes: {command}\n"
        f"Then run import-registry with the key {key}",
        data={"key": key, "url": url},
    )


@stage("date changes again")
def redate() -> list[dict[str, Any]]:
    """Date the changes that are dated in the future with the present moment."""
    return [json.loads(change.line()) for change in redate_changes(ObjectStore(Settings()))]


def redated_state(lines: list[dict[str, Any]]) -> State[Any]:
    """End a run with which changes were dated again."""
    first, last, at = lines[0]["seq"], lines[-1]["seq"], lines[0]["recorded_at"]
    what = f"Change {first} is" if first == last else f"Changes {first} to {last} are"
    message = (
        f"{what} dated {at} now. Settlements that were run since they were recorded did not see "
        "them: settle their months again."
    )
    return Completed(message=message, data=lines)


def list_state(day: Any, as_of: datetime | None) -> State[Any]:
    """End a run with the registry on a day, as a table and as a link to a CSV file."""
    market = ZoneInfo(Settings().timezone)
    on = day_of("day", day) or datetime.now(market).date()
    if as_of and not as_of.tzinfo:
        as_of = as_of.replace(tzinfo=market)
    if as_of and not _FIRST_MOMENT <= as_of <= _LAST_MOMENT:
        raise Refused(f"as_of: must be a moment from the year 2000 to 2099 (given: {as_of})")
    rows, key = write_list(on, as_of)
    url = ObjectStore(Settings()).link("get_object", key, Settings().presign_seconds)
    counts = {kind: sum(row.kind == kind for row in rows) for kind in ("vpp", "site", "battery")}
    known = f", as it was known at {as_of.isoformat(timespec='seconds')}" if as_of else ""
    what = (
        f"VPPs: {counts['vpp']}, sites: {counts['site']}, batteries: {counts['battery']} "
        f"on {on}{known}."
    )
    first = f" The first {_SHOWN_ROWS} of them are here." if len(rows) > _SHOWN_ROWS else ""
    create_table_artifact(
        [asdict(row) for row in rows[:_SHOWN_ROWS]],
        key="registry",
        description=f"{what}{first} All of them as CSV: [{key}]({url})",
    )
    return Completed(
        message=f"{what} All of them as CSV: {url}",
        data={"day": str(on), **counts, "key": key, "url": url},
    )


@stage("list the registry on {day}")
def write_list(day: date, as_of: datetime | None) -> tuple[list[Row], str]:
    """Write the registry's rows on a day as CSV; return them and its key."""
    store = ObjectStore(Settings())
    rows = rows_on(read_registry(store, Settings(), as_of), day)
    known = f"-as-of-{as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}" if as_of else ""
    key = f"{LISTS}{day}{known}.csv"
    store.write(key, to_csv(rows), "text/csv")
    get_run_logger().info("%d rows in %s", len(rows), key)
    return rows, key
