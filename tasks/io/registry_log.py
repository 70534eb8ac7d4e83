"""The registry's log on S3: one object of JSON lines, only ever appended to.

Changes are dated by the clock of the machine that appends. One that is ahead would hide its change
from every settlement until that time, and all later changes with it, since time never goes back in
the log. So a clock that is far from the store's is refused; and where such a change is in the log
already, `redate_changes` is the way out.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from tasks.core import keys
from tasks.core.changes import Change, recorded_change
from tasks.core.errors import LostRace, Refused
from tasks.core.registry import LaterChange, Registry
from tasks.core.registry_list import Row, rows_on, to_csv
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore

# AWS refuses signed requests at 15 minutes; ordinary clocks differ by less than a second.
MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)
_MAX_FILE_BYTES = 100 << 20  # some 400,000 changes
_SHOWN_PROBLEMS = 50
_ROUNDS = 50  # of losing the race to append


@dataclass(frozen=True)
class Recorded:
    """A change as it was recorded, and what was recorded before and holds from a later day on."""

    change: Change
    later: list[LaterChange]


def read_log(store: ObjectStore) -> bytes:
    """Return the whole log, one change a line; empty before the first change."""
    found = store.read(keys.REGISTRY_LOG)
    return found[0] if found else b""


def read_upload(store: ObjectStore, key: str) -> bytes:
    """Return an uploaded file of changes.

    Raises:
        Refused: it is not there, or is so large that it must be a mistake.
    """
    sizes = {version.key: version.size for version in store.versions(key)}
    if sizes.get(key, 0) > _MAX_FILE_BYTES:
        raise Refused(
            f"key: {key} has {sizes[key] >> 20} MB; a file of changes may have at most "
            f"{_MAX_FILE_BYTES >> 20} MB: cut it into several"
        )
    found = store.read(key)
    if found is None:
        raise Refused(
            f"key: there is no {key!r} in the bucket; request-registry-upload gives a link to "
            "upload it with"
        )
    return found[0]


def append_changes(
    store: ObjectStore,
    settings: Settings,
    changes: Iterable[tuple[int, Change | Refused]],
    recorded_by: str,
    now: Callable[[], datetime] | None = None,
) -> list[Recorded]:
    """Append changes, each with its line number, as one step: all of them or none.

    A race that is lost against another writer is run again on the new state.

    Args:
        store: where the log is.
        settings: the market's time zone.
        changes: what to append, or what is wrong with a line.
        recorded_by: who does.
        now: the moment; by default this machine's clock, which must be near the store's.

    Raises:
        Refused: some do not fit, and the message lists them by line; or a clock is off; or others
            were faster too many times. Nothing was written.
    """
    numbered = list(changes)
    for _ in range(_ROUNDS):
        found = store.read(keys.REGISTRY_LOG)
        log, etag = found if found else (b"", None)
        known = [recorded_change(line) for line in log.splitlines()]
        at = _moment(known, now() if now else _machine_time(store), store.clock)
        registry = Registry(known, _today(at, settings))
        recorded = _added(registry, numbered, at, recorded_by)
        lines = "".join(f"{change.line()}\n" for change in recorded)
        try:
            store.write_if(keys.REGISTRY_LOG, log + lines.encode(), etag)
        except LostRace:
            # Unless it was won, the answer got lost, and somebody has appended behind it.
            if not read_log(store).startswith(log + lines.encode()):
                continue
        return [Recorded(change, registry.later_than(change)) for change in recorded]
    raise _too_busy()


def _added(
    registry: Registry,
    numbered: list[tuple[int, Change | Refused]],
    at: datetime,
    recorded_by: str,
) -> list[Change]:
    """Take changes into the registry; refuse all of them if any does not fit."""
    recorded, problems = [], []
    for line, change in numbered:
        try:
            if isinstance(change, Refused):
                raise change
            recorded.append(registry.add(change, at, recorded_by))
        except Refused as problem:
            problems.append(f"line {line}: {problem}" if len(numbered) > 1 else str(problem))
    if problems:
        more = len(problems) - _SHOWN_PROBLEMS
        raise Refused(
            "\n".join(problems[:_SHOWN_PROBLEMS] + ([f"and {more} more"] if more > 0 else []))
        )
    return recorded


def _moment(known: list[Change], now: datetime, store_time: datetime | None) -> datetime:
    """Return the time to record: never earlier than what is in the log.

    What was visible to an as-of stays visible to it, and nothing is slipped in behind it.

    Raises:
        Refused: the last change is dated in the future.
    """
    last = known[-1].recorded_at if known else None
    if last is None:
        return now
    if _is_ahead(known[-1], max(now, store_time or now)):
        raise Refused(
            f"change {known[-1].seq} is dated {_utc(last)}, but it is {_utc(now)}: the clock that "
            "dated it was ahead, and no settlement sees it yet; run redate-changes, then run this "
            "again"
        )
    return max(now, last)


def _is_ahead(change: Change, now: datetime) -> bool:
    return bool(change.recorded_at and change.recorded_at > now + MAX_CLOCK_DIFFERENCE)


def _machine_time(store: ObjectStore) -> datetime:
    """Return this machine's time, if it is near what the store has just said."""
    now, there = datetime.now(UTC), store.clock
    if there and abs(now - there) > MAX_CLOCK_DIFFERENCE:
        raise Refused(
            f"this machine's clock says {_utc(now)} and the object store's {_utc(there)}; a change "
            f"is dated by this clock, so they must be within "
            f"{MAX_CLOCK_DIFFERENCE // timedelta(minutes=1)} minutes of each other: set it right, "
            "then run this again"
        )
    return now


def redate_changes(store: ObjectStore) -> list[Change]:
    """Date changes that a clock ahead has dated in the future with the present moment.

    This is the one rewriting of lines that there is. No settlement as of a moment up to now has
    seen these changes, so all of those give the same bytes as before. Each line keeps what the
    clock said.

    Returns:
        The changes with their new dates; none, where none is dated in the future.

    Raises:
        Refused: this machine's clock is off, or others were faster too many times.
    """
    for _ in range(_ROUNDS):
        found = store.read(keys.REGISTRY_LOG)
        now = _machine_time(store)
        lines = found[0].splitlines(keepends=True) if found else []
        known = [recorded_change(line) for line in lines]
        if not known or not _is_ahead(known[-1], now):
            return []
        redated = []
        for position, change in enumerate(known):
            if change.recorded_at and change.recorded_at > now:
                dates = {"recorded_at": now, "clock_said": change.recorded_at}
                redated.append(change.model_copy(update=dates))
                lines[position] = f"{redated[-1].line()}\n".encode()
        try:
            store.write_if(keys.REGISTRY_LOG, b"".join(lines), found[1] if found else None)
        except LostRace:
            continue
        return redated
    raise _too_busy()


def _too_busy() -> Refused:
    return Refused(
        f"{keys.REGISTRY_LOG} was written by others {_ROUNDS} times meanwhile; nothing was "
        "recorded, run it again"
    )


def read_registry(
    store: ObjectStore, settings: Settings, as_of: datetime | None = None
) -> Registry:
    """Return the registry as it is known now, or was known at a moment."""
    changes = (recorded_change(line) for line in read_log(store).splitlines())
    if as_of is not None:
        changes = (c for c in changes if c.recorded_at and c.recorded_at <= as_of)
    return Registry(changes, _today(datetime.now(UTC), settings))


def put_list(
    store: ObjectStore, settings: Settings, day: date | None, as_of: datetime | None
) -> tuple[list[Row], date, str]:
    """Write what holds on a day (None: today) as CSV; return its rows, the day, and its key."""
    on = day or _today(datetime.now(UTC), settings)
    rows = rows_on(read_registry(store, settings, as_of), on)
    key = keys.registry_list(on, as_of)
    store.write(key, to_csv(rows), "text/csv")
    return rows, on, key


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _today(moment: datetime, settings: Settings) -> date:
    return moment.astimezone(ZoneInfo(settings.timezone)).date()
