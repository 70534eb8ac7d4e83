"""The registry's log: what appends to it, dates it again, lists it and looks things up in it.

How it is kept on S3 is in `registry_segments.py`. What is asked of it is asked of the few changes
that bear on the answer, so that a change costs the same in a registry of a million sites.

Changes are dated by the clock of the machine that appends. One that is ahead would hide its change
from every settlement until that time, and all later changes with it, since time never goes back in
the log. So a clock that is far from the store's is refused; and where such a change is in the log
already, `redate_changes` is the way out.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from tasks.core import keys
from tasks.core.changes import Change, WithdrawChange, recorded_change
from tasks.core.difference import RegistryChange
from tasks.core.errors import LostRace, Refused
from tasks.core.registry import LaterChange, Registry
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.io.registry_columns import list_on, to_csv
from tasks.io.registry_segments import Log, read_log, segment_keys
from tasks.io.workspace import workspace

# AWS refuses signed requests at 15 minutes; ordinary clocks differ by less than a second.
MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)
MAX_UPLOAD_BYTES = 100 << 20  # some 400,000 changes
_SHOWN_PROBLEMS = 50
_ROUNDS = 50  # of losing the race to append


@dataclass(frozen=True)
class Recorded:
    """A change as it was recorded, and what was recorded before and holds from a later day on."""

    change: Change
    later: list[LaterChange]


def read_upload(store: ObjectStore, key: str) -> bytes:
    """Return an uploaded file of changes.

    Raises:
        Refused: it is not there, or is so large that it must be a mistake.
    """
    sizes = {version.key: version.size for version in store.versions(key)}
    if sizes.get(key, 0) > MAX_UPLOAD_BYTES:
        raise Refused(
            f"key: {key} has {sizes[key] >> 20} MB; a file of changes may have at most "
            f"{MAX_UPLOAD_BYTES >> 20} MB: cut it into several"
        )
    found = store.read(key)
    if found is None:
        raise Refused(
            f"key: there is no {key!r} in the bucket; request-registry-upload gives a command "
            "to upload it with"
        )
    return found[0]


def append_changes(
    store: ObjectStore,
    settings: Settings,
    changes: Iterable[tuple[int, Change | Refused]],
    recorded_by: str,
    now: Callable[[], datetime] | None = None,
) -> list[Recorded]:
    """Append changes, each with its line number, as one step: all of them or none. Line 0: no file.

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
        log = Log(store)
        at = _moment(log.last_change, now() if now else _machine_time(store), store.clock)
        about = [change for _, change in numbered if not isinstance(change, Refused)]
        registry = _registry_about(log, about, _today(at, settings))
        recorded = _added(registry, numbered, at, recorded_by)
        lines = "".join(f"{change.line()}\n" for change in recorded)
        try:
            log.append(lines.encode())
        except LostRace:
            continue
        return [Recorded(change, registry.later_than(change)) for change in recorded]
    raise _too_busy()


def _registry_about(log: Log, changes: Sequence[Change], today: date) -> Registry:
    """Return the registry as far as it bears on some changes: all VPPs, and what these are about.

    Of a site that is all of its batteries, of a battery all sites where it ever was, and so on:
    what else is there can neither allow nor forbid the changes.
    """
    named = log.scan().select("seq", "change", "vpp", "nmi", "serial").collect()
    withdraws = [change.withdraws for change in changes if isinstance(change, WithdrawChange)]
    withdrawn = named.filter(pl.col("seq").is_in(withdraws))
    of_vpps = withdrawn.filter(pl.col("change") == "create-vpp")["vpp"].to_list()
    start = pl.concat([withdrawn, named.filter(pl.col("vpp").is_in(of_vpps))])
    nmis = {getattr(change, "nmi", None) for change in changes} | {*start["nmi"]}
    serials = {getattr(change, "serial", None) for change in changes} | {*start["serial"]}
    while True:
        is_about = pl.col("nmi").is_in([*nmis - {None}]) | pl.col("serial").is_in(
            [*serials - {None}]
        )
        about = named.filter(is_about)
        found = nmis | {*about["nmi"]}, serials | {*about["serial"]}
        if found == (nmis, serials):
            break
        nmis, serials = found
    of_vpp = named.filter(pl.col("nmi").is_null() & pl.col("serial").is_null())
    seqs = pl.concat([of_vpp["seq"], about["seq"]])
    lines = log.lines(pl.col("seq").is_in(seqs.implode()))
    registry = Registry(map(recorded_change, lines), today)
    registry.seq = log.seq  # those that are left out count, too
    return registry


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
            problems.append(f"line {line}: {problem}" if line else str(problem))
    if problems:
        more = len(problems) - _SHOWN_PROBLEMS
        raise Refused(
            "\n".join(problems[:_SHOWN_PROBLEMS] + ([f"and {more} more"] if more > 0 else []))
        )
    return recorded


def _moment(last: Change | None, now: datetime, store_time: datetime | None) -> datetime:
    """Return the time to record: never earlier than what is in the log.

    What was visible to an as-of stays visible to it, and nothing is slipped in behind it.

    Raises:
        Refused: the last change is dated in the future.
    """
    if last is None or last.recorded_at is None:
        return now
    if _is_ahead(last, max(now, store_time or now)):
        raise Refused(
            f"change {last.seq} is dated {_utc(last.recorded_at)}, but it is {_utc(now)}: the "
            "clock that dated it was ahead, and no settlement sees it yet; run redate-changes, "
            "then run this again"
        )
    return max(now, last.recorded_at)


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
    clock said. Segments are rewritten in order, so time never goes back in the log, and where it
    ends in between, the next one goes on; what was appended together is in one segment.

    Returns:
        The changes with their new dates; none, where none is dated in the future.

    Raises:
        Refused: this machine's clock is off, or others were faster too many times.
    """
    redated: list[Change] = []
    for _ in range(_ROUNDS):
        log = Log(store)
        last, now = log.last_change, _machine_time(store)
        if last is None or not _is_ahead(last, now):
            return redated
        first = log.seq_as_of(now) + 1
        try:
            for key in segment_keys(store, first):
                redated += _redate_segment(store, key, now)
        except LostRace:
            continue
        return redated
    raise _too_busy()


def _redate_segment(store: ObjectStore, key: str, now: datetime) -> list[Change]:
    found = store.read(key)
    assert found, key
    lines = found[0].splitlines(keepends=True)
    redated = []
    for position, change in enumerate(map(recorded_change, lines)):
        if change.recorded_at and change.recorded_at > now:
            dates = {"recorded_at": now, "clock_said": change.recorded_at}
            redated.append(change.model_copy(update=dates))
            lines[position] = f"{redated[-1].line()}\n".encode()
    if redated:
        store.write_if(key, b"".join(lines), found[1])
    return redated


def _too_busy() -> Refused:
    return Refused(
        f"{keys.REGISTRY_LOG} was written by others {_ROUNDS} times meanwhile; nothing was "
        "recorded, run it again"
    )


def read_registry(store: ObjectStore, settings: Settings) -> Registry:
    """Return the registry as it is known now."""
    changes = (recorded_change(line) for line in read_log(store).splitlines())
    return Registry(changes, _today(datetime.now(UTC), settings))


def read_vpps(store: ObjectStore, settings: Settings) -> Registry:
    """Return the registry as it is known now, with VPPs alone: to find one by its name."""
    return _registry_about(Log(store), (), _today(datetime.now(UTC), settings))


def changes_between(log: Log, first: int, last: int) -> list[RegistryChange]:
    """Return the changes from one number to another, as the log has them, each with its site.

    That of a battery is where it was last installed; of a VPP there is none.
    """
    lines = log.lines(pl.col("seq").is_between(first, last))
    changes = [json.loads(line) for line in lines]
    installed = (pl.col("change") == "add-battery") & pl.col("serial").is_in(
        [change["serial"] for change in changes if "serial" in change]
    )
    places = dict(log.scan().filter(installed).select("serial", "nmi").collect().iter_rows())
    return [
        (change, change.get("nmi") or places.get(change.get("serial"), "")) for change in changes
    ]


def put_list(
    store: ObjectStore, settings: Settings, day: date | None, as_of: datetime | None
) -> tuple[pl.DataFrame, date, str]:
    """Write what holds on a day (None: today) as CSV; return the list, the day, and its key."""
    on = day or _today(datetime.now(UTC), settings)
    log = Log(store)
    with workspace("list") as folder:
        listed = list_on(log.paths, folder, on, as_of)
    key = keys.registry_list(on, as_of)
    store.write(key, to_csv(listed), "text/csv")
    return listed, on, key


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _today(moment: datetime, settings: Settings) -> date:
    return moment.astimezone(ZoneInfo(settings.timezone)).date()
