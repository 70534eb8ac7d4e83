"""Import event files: from objects in the inbox to typed events, daily sums and rejected rows.

One streaming pass of Polars over a group of files; every data row ends in exactly one of
`events.parquet` and `rejected.csv`, with the file and the line that it came from.

    spool (bytes to lines) -> event_rows (lines to events) -> events.parquet -> daily.parquet
                                         faulty lines      -> rejected.csv
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from tasks.core import keys
from tasks.core.errors import Unreadable
from tasks.imports.catalog import READER_VERSION, SCHEMA
from tasks.imports.event_rows import BLANK, NO_EVENTS, NO_FAULTS, OPEN, Faults, good_rows
from tasks.imports.rejected import write_rejected
from tasks.imports.spool import Source, SpoolFile, spool
from tasks.io.object_store import ObjectStore, ObjectVersion
from tasks.io.warehouse import sql, warehouse
from tasks.io.workspace import workspace

# What the catalog says of a file that its rows do not.
_OF_SOURCE = (
    "key",
    "etag",
    "size",
    "sha256",
    "import_id",
    "source",
    "failed",
    "ignored_columns",
)

_GROUP_OBJECTS = 1000
_GROUP_BYTES = 32 << 20
_SMALL_BYTES = 4 << 20


def group_objects(objects: list[ObjectVersion]) -> list[list[ObjectVersion]]:
    """Split objects into imports: a big one alone, small ones together, in key order."""
    groups = [[version] for version in objects if version.size > _SMALL_BYTES]
    group: list[ObjectVersion] = []
    size = 0
    for version in objects:
        if version.size > _SMALL_BYTES:
            continue
        if len(group) == _GROUP_OBJECTS or size + version.size > _GROUP_BYTES:
            groups.append(group)
            group, size = [], 0
        group.append(version)
        size += version.size
    return groups + [group] * bool(group)


def import_id(objects: list[ObjectVersion]) -> str:
    """Name an import by what it reads: the same objects always make the same import."""
    text = "\n".join([str(READER_VERSION), *(f"{o.key}\t{o.etag}" for o in sorted(objects))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _UnexpectedError(Exception):
    """A group of files could not be parsed, for a reason that nobody has thought of."""


def import_objects(store: ObjectStore, timezone: str, objects: list[ObjectVersion]) -> pl.DataFrame:
    """Read a group of event files and put what is in them under `imports/<import id>/`.

    The import does not exist until its rows are added to the catalog. Doing it twice, or on two
    machines at once, writes the same things to the same keys. Where a file fails that nobody has
    foreseen, the group is read again one by one, so that it takes no other file with it.
    """
    try:
        return _import_group(store, timezone, objects)
    except _UnexpectedError:
        return pl.concat([_import_group(store, timezone, [version]) for version in objects])


def _import_group(store: ObjectStore, timezone: str, objects: list[ObjectVersion]) -> pl.DataFrame:
    with workspace("import") as folder, warehouse(folder) as connection:
        events, daily, rejected = (
            folder / name for name in ("events.parquet", "daily.parquet", "rejected.csv")
        )
        sources, files = spool(store, objects, folder)
        # What was read: an object that was replaced since the listing is not part of it.
        name = import_id([source.object for source in sources])

        def upload(path: Path) -> None:
            store.upload(path, keys.import_part(name, path.name))

        try:
            faults = _parse(files, timezone, events)
            write_rejected(files, faults, rejected)
        except (OSError, MemoryError):
            raise
        except Exception as problem:
            if len(objects) > 1:
                raise _UnexpectedError from problem
            is_known = isinstance(problem, Unreadable)
            sources[0].failed = str(problem) if is_known else _unforeseen(problem)
            faults = NO_FAULTS
            NO_EVENTS.write_parquet(events)
            write_rejected([], faults, rejected)
        with ThreadPoolExecutor(1) as beside:
            uploaded = [beside.submit(upload, path) for path in (events, rejected)]
            connection.execute(
                f"copy ({sql('events/daily')}) to '{daily}' (format parquet, compression zstd)",
                {"events": str(events)},
            )
            upload(daily)
            for done in uploaded:
                done.result()
        return _catalog_rows(name, sources, events, faults)


def _unforeseen(problem: Exception) -> str:
    said = (str(problem) or repr(problem)).splitlines()[0][:200]
    return (
        f"an unforeseen error, {type(problem).__name__}: {said}; please report it with the file, "
        "and replace or delete it meanwhile"
    )


def _parse(files: list[SpoolFile], timezone: str, events: Path) -> pl.DataFrame:
    """Write the good rows to `events`; return the faulty ones, as NO_FAULTS has them, in order.

    Raises:
        Unreadable: too many rows would be rejected.
        AssertionError: a line was neither. That is a fault of this program; nothing is imported.
    """
    faults = Faults([NO_FAULTS])
    good = [good_rows(file, number, timezone, faults) for number, file in enumerate(files)]
    # As fast as lz4 at this level, and 40% smaller, which the upload gains.
    pl.concat([NO_EVENTS.lazy(), *good]).sink_parquet(
        events, compression="zstd", compression_level=1
    )
    if faults.are_too_many:
        raise Unreadable(faults.another_format())
    faulty = pl.concat(faults.found).sort("file", "row")
    read = pl.scan_parquet(events).select(pl.len()).collect().item() + faulty.height
    lines = sum(file.rows for file in files)
    assert read == lines, f"{lines} lines were spooled and {read} read"
    return faulty.filter(pl.col("reason") != BLANK)


def _catalog_rows(
    import_id: str, sources: list[Source], events: Path, faults: pl.DataFrame
) -> pl.DataFrame:
    """Return one row per source, as SCHEMA has it."""
    read = pl.DataFrame(
        [
            {
                "key": source.object.key,
                "etag": source.object.etag,
                "size": source.object.size,
                "sha256": source.sha256,
                "import_id": import_id,
                "source": source.number,
                "failed": source.failed,
                "ignored_columns": ", ".join(source.ignored_columns),
            }
            for source in sources
        ],
        schema={name: SCHEMA[name] for name in _OF_SOURCE},
    )
    good = _count_events(events)
    rejected = faults.filter(pl.col("reason") != OPEN)
    counted = (
        rejected.group_by("source", "reason")
        .agg(pl.len().cast(pl.Int64).alias("rows"))
        .sort("source", "reason")
        .group_by("source")
        .agg(pl.struct("reason", "rows").alias("rejected"), pl.col("rows").sum().alias("faulty"))
    )
    opened = faults.filter(pl.col("reason") == OPEN).group_by("source").agg(open=pl.len())
    days = (
        pl.concat([good.select("source", "day"), rejected.select("source", "day")])
        .group_by("source")
        .agg(first_day=pl.col("day").min(), last_day=pl.col("day").max())
    )
    imported = good.group_by("source").agg(
        pl.col("events").sum().alias("imported"),
        pl.col("corrections").sum(),
        pl.col("identified").sum(),
    )
    months = (
        good.group_by("source", pl.col("day").dt.strftime("%Y-%m").alias("month"))
        .agg(events=(pl.col("events") - pl.col("corrections")).sum())
        .sort("source", "month")
        .group_by("source")
        .agg(months=pl.struct("month", "events"))
    )
    joined = read
    for part in (imported, counted, opened, days, months):
        joined = joined.join(part, on="source", how="left")
    return (
        joined.with_columns(
            pl.col("imported", "faulty", "corrections", "identified", "open").fill_null(0),
            pl.col("rejected").fill_null(pl.lit([], dtype=SCHEMA["rejected"])),
            pl.col("months").fill_null(pl.lit([], dtype=SCHEMA["months"])),
            pl.lit(READER_VERSION).alias("reader"),
        )
        .with_columns(rows=pl.col("imported") + pl.col("faulty"))
        .select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
        .sort("source")
    )


def _count_events(events: Path) -> pl.DataFrame:
    """Count an import's events: source, day, events, and how many of them have which identity."""
    return (
        pl.scan_parquet(events)
        .group_by("source", "day")
        .agg(
            events=pl.len().cast(pl.Int64),
            corrections=pl.col("rejected_id").count().cast(pl.Int64),
            identified=pl.col("event_id").count().cast(pl.Int64),
        )
        .collect(engine="streaming")
    )
