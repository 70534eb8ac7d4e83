"""The registry's log on S3: one object of JSON lines, only ever appended to."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from tasks.core import keys
from tasks.core.errors import LostRace, Refused
from tasks.core.registry import Change, Registry, parse_change
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore

_SHOWN_PROBLEMS = 50
_ROUNDS = 50  # of losing the race to append


def read_log(store: ObjectStore) -> bytes:
    """Return the whole log, one change a line; empty before the first change."""
    found = store.read(keys.REGISTRY_LOG)
    return found[0] if found else b""


def append_changes(
    store: ObjectStore,
    settings: Settings,
    changes: Iterable[tuple[int, Change | Refused]],
    recorded_by: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[Change]:
    """Append changes, each with its line number, as one step: all of them or none.

    A race that is lost against another writer is run again on the new state.

    Returns:
        The changes as they were recorded.

    Raises:
        Refused: some do not fit, and the message lists them by line; or others were faster too
            many times. Nothing was written.
    """
    numbered = list(changes)
    for _ in range(_ROUNDS):
        found = store.read(keys.REGISTRY_LOG)
        log, etag = found if found else (b"", None)
        changes_so_far = [parse_change(line) for line in log.splitlines()]
        # Never earlier than what is there, whatever the clocks of two machines say: what was
        # visible to an as-of stays visible to it, and nothing is slipped in behind it.
        at = max([now(), *(change.recorded_at for change in changes_so_far[-1:])])  # type: ignore[type-var]
        registry = Registry(changes_so_far, _today(at, settings))  # type: ignore[arg-type]
        recorded, problems = [], []
        for line, change in numbered:
            try:
                if isinstance(change, Refused):
                    raise change
                recorded.append(registry.add(change, at, recorded_by))  # type: ignore[arg-type]
            except Refused as problem:
                problems.append(f"line {line}: {problem}" if len(numbered) > 1 else str(problem))
        if problems:
            more = len(problems) - _SHOWN_PROBLEMS
            raise Refused(
                "\n".join(problems[:_SHOWN_PROBLEMS] + ([f"and {more} more"] if more > 0 else []))
            )
        lines = "".join(f"{change.line()}\n" for change in recorded)
        try:
            store.write_if(keys.REGISTRY_LOG, log + lines.encode(), etag)
        except LostRace:
            # Unless it was won, the answer got lost, and somebody has appended behind it.
            if not read_log(store).startswith(log + lines.encode()):
                continue
        return recorded
    raise Refused(
        f"{keys.REGISTRY_LOG} was written by others {_ROUNDS} times meanwhile; nothing was "
        "recorded, run it again"
    )


def read_registry(store: ObjectStore, settings: Settings) -> Registry:
    """Return the registry as it is known now."""
    changes = (parse_change(line) for line in read_log(store).splitlines())
    return Registry(changes, _today(datetime.now(UTC), settings))


def _today(moment: datetime, settings: Settings) -> date:
    return moment.astimezone(ZoneInfo(settings.timezone)).date()
