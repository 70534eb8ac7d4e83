"""Events that stand in two files: a file saved again, overlapping exports, an id that comes twice.

Equal rows of one file are two events, since a battery may well do the same thing twice. In two
files they are suspect:

- Two files with the same events of the month, in whatever spelling or order, count once: the first
  by key.
- Rows of two files that are equal in all five fields, or of the same site, moment and type with
  other values, refuse the month, unless the request allows them.
- Rows with an EVENT_ID are told apart by it: one id counts once, and two contents under one id
  refuse the month.

What has to be looked at is found in the daily sums: the site days on which two files overlap in
time. Single events are read of these alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from tasks.core import keys
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.request import SettlementRequest
from tasks.core.run_record import MOST_PINNED_ROWS, DuplicateFile, SharedRows
from tasks.io.object_store import ObjectStore
from tasks.io.warehouse import execute, rows, sql
from tasks.settlement.allocation import EVENTS_SCHEMA

_SHOWN = 10


@dataclass(frozen=True)
class Overlaps:
    """What two files of the month have in common.

    `duplicates` have the events of another file and do not count, nor do `repeats`, events that
    stand elsewhere under the same EVENT_ID (EVENTS_SCHEMA and `event_id`). `contradictions` says in
    sentences which ids have two contents.
    """

    month: Month
    duplicates: list[DuplicateFile] = field(default_factory=list)
    shared: list[SharedRows] = field(default_factory=list)
    repeats: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(schema={**EVENTS_SCHEMA, "event_id": pl.String})
    )
    contradictions: list[str] = field(default_factory=list)

    def require_none(self, request: SettlementRequest) -> None:
        """Refuse a month in which an event may count twice.

        Raises:
            Refused: two files share rows and the request does not allow it, or an EVENT_ID has two
                contents. The message names both files, the first rows and what they are worth.
        """
        if self.contradictions:
            raise Refused(
                f"{self.month} is not settled: {'; '.join(self.contradictions)}. One id "
                "is one event: correct the file that is wrong"
            )
        if self.shared and not request.allow_shared_rows:
            raise Refused(
                f"{self.month} is not settled, since events would count twice: "
                + "; ".join(map(_sentence, self.shared[:_SHOWN]))
                + ". Take them out of one of the files or delete it, or, if they are events of "
                "their own, run with allow_shared_rows"
            )


def find_overlaps(
    store: ObjectStore,
    connection: duckdb.DuckDBPyConnection,
    month: Month,
    files: pl.DataFrame,
    daily: list[Path],
) -> Overlaps:
    """Find what the files of a month have in common.

    Args:
        store: where single events are read.
        connection: has the tables `inputs` and `corrections`; gets others.
        month: which month.
        files: the catalog's rows of the files that count, with `events` of the month.
        daily: their daily sums, in the folder that events are brought to.
    """
    days = {"first_day": month.first_day, "last_day": month.last_day}
    folder = daily[0].parent
    repeats, contradictions = _find_repeats(store, connection, month, files, folder)
    if files.height < 2:
        return Overlaps(month, repeats=repeats, contradictions=contradictions)
    paths = [str(path) for path in daily]
    execute(
        connection,
        f"create table shared_days as {sql('overlaps/shared_days')}",
        {"daily": paths, **days},
    )
    [(site_days,)] = execute(connection, "select count(*) from shared_days").fetchall()
    if not site_days:
        return Overlaps(month, repeats=repeats, contradictions=contradictions)
    sharing = _files_of_shared_days(connection, paths, files)
    events = _bring_events(store, sharing, folder)
    execute(
        connection, f"create table shared_rows as {sql('overlaps/shared_rows')}", {"events": events}
    )
    pairs = rows(connection, sql("overlaps/pairs"))
    duplicates = _duplicates(pairs, dict(files.select("key", "events").iter_rows()))
    gone = {file.key for file in duplicates}
    shared = [
        SharedRows(**(pair | {"aud": float(round(pair["aud"], 2))}))
        for pair in pairs
        if not {pair["key"], pair["other_key"]} & gone
    ]
    return Overlaps(month, duplicates, shared, repeats, contradictions)


def _files_of_shared_days(
    connection: duckdb.DuckDBPyConnection, daily: list[str], files: pl.DataFrame
) -> pl.DataFrame:
    found = execute(
        connection,
        "select distinct inputs.key from read_parquet($daily, filename = true) as daily"
        " inner join inputs on parse_filename(daily.filename, true) = inputs.import_id"
        " and daily.source = inputs.source"
        " semi join shared_days on daily.nmi = shared_days.nmi and daily.day = shared_days.day",
        {"daily": daily},
    ).fetchall()
    return files.filter(pl.col("key").is_in([key for (key,) in found]))


def _bring_events(store: ObjectStore, files: pl.DataFrame, folder: Path) -> list[str]:
    """Bring the events of these files' imports here, each as events/<import id>.parquet."""
    imports = files["import_id"].unique().sort().to_list()
    (folder / "events").mkdir(exist_ok=True)
    paths = [folder / "events" / f"{import_id}.parquet" for import_id in imports]
    missing = [pair for pair in zip(imports, paths, strict=True) if not pair[1].exists()]
    store.download(
        [keys.import_part(import_id, "events.parquet") for import_id, _ in missing],
        [path for _, path in missing],
    )
    return [str(path) for path in paths]


def _duplicates(pairs: list[dict[str, Any]], events: dict[str, int]) -> list[DuplicateFile]:
    """Return the files with just the events of another, which is the first of them by key."""
    found: dict[str, str] = {}
    for pair in pairs:
        one, other = pair["key"], pair["other_key"]
        if one not in found and pair["equal_rows"] == events[one] == events[other]:
            found.setdefault(other, one)
    return [DuplicateFile(key=key, same_as=same_as) for key, same_as in sorted(found.items())]


def _find_repeats(
    store: ObjectStore,
    connection: duckdb.DuckDBPyConnection,
    month: Month,
    files: pl.DataFrame,
    folder: Path,
) -> tuple[pl.DataFrame, list[str]]:
    """Return the events that stand elsewhere under the same id, and ids with two contents.

    Raises:
        Refused: there are more such events than a run's record can name.
    """
    repeats = pl.DataFrame(schema={**EVENTS_SCHEMA, "event_id": pl.String})
    with_ids = files.filter(pl.col("identified") > 0)
    if with_ids.is_empty():
        return repeats, []
    events = _bring_events(store, with_ids, folder)
    execute(
        connection, f"create table identified as {sql('overlaps/identified')}", {"events": events}
    )
    columns = ", ".join(repeats.columns)
    found = execute(
        connection,
        f"select {columns} from identified where is_same and not is_first"
        " and day between $first_day and $last_day order by key, line limit $most + 1",
        {"first_day": month.first_day, "last_day": month.last_day, "most": MOST_PINNED_ROWS},
    ).fetchall()
    if len(found) > MOST_PINNED_ROWS:
        raise Refused(
            f"{month} is not settled: over {MOST_PINNED_ROWS:,} events stand twice under their "
            "EVENT_ID. Take them out of one of the files"
        )
    contradicting = rows(connection, sql("overlaps/contradictions"), {"most": _SHOWN})
    return pl.DataFrame(found, schema=repeats.schema, orient="row"), [
        f"EVENT_ID {row['event_id']!r} has two contents ("
        + "; ".join(f"{place['key']}, line {place['line']}" for place in row["places"])
        + ")"
        for row in contradicting
    ]


def _sentence(shared: SharedRows) -> str:
    counts = [f"{shared.equal_rows:,} equal"] * (shared.equal_rows > 0)
    counts += [
        f"{shared.other_values_rows:,} of the same site, moment and type with other values"
    ] * (shared.other_values_rows > 0)
    return (
        f"{shared.key} and {shared.other_key} have rows in common, {' and '.join(counts)}, worth "
        f"{shared.aud:,.2f} AUD, first line {shared.first_line} of the one and line "
        f"{shared.first_other_line} of the other"
    )
