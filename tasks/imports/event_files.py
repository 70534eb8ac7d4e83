"""Import event files: from objects in the inbox to typed events, daily sums and rejected rows.

One streaming pass of Polars over a group of files; every data row ends in exactly one of
`events.parquet` and `rejected.csv`, with the file and the line that it came from.

    spool (bytes to lines) -> event_rows (lines to events) -> events.parquet -> daily.parquet
                                         faulty lines      -> rejected.csv
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from tasks.core import keys
from tasks.core.errors import Unreadable
from tasks.imports.catalog import EVENTS
from tasks.imports.event_rows import NO_EVENTS, NO_FAULTS, Faults, good_rows
from tasks.imports.import_record import ReadObject, catalog_rows, import_id, sentence_of
from tasks.imports.limits import NotTogether
from tasks.imports.rejected import write_rejected
from tasks.imports.spool import Source, SpoolFile, spool
from tasks.io.object_store import ObjectStore, ObjectVersion
from tasks.io.warehouse import sql, warehouse
from tasks.io.workspace import workspace


def import_event_files(
    store: ObjectStore, timezone: str, objects: list[ObjectVersion]
) -> pl.DataFrame:
    """Read a group of event files and put what is in them under `imports/<import id>/`.

    Raises:
        NotTogether: one of several files fails for a reason that nobody has foreseen.
    """
    with workspace("import") as folder, warehouse(folder) as connection:
        events, daily, rejected = (
            folder / name for name in ("events.parquet", "daily.parquet", "rejected.csv")
        )
        sources, files = spool(store, objects, folder)
        # What was read: an object that was replaced since the listing is not part of it.
        name = import_id(EVENTS, [source.object for source in sources])

        def upload(path: Path) -> None:
            store.upload(path, keys.import_part(name, path.name))

        try:
            faults = _parse(files, timezone, store.settings.max_rejected_rows, events)
            write_rejected(files, faults, rejected)
        except (OSError, MemoryError):
            raise
        except Exception as problem:
            if len(objects) > 1:
                raise NotTogether from problem
            is_known = isinstance(problem, Unreadable)
            sources[0].failed = str(problem) if is_known else sentence_of(problem)
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
        return catalog_rows(EVENTS, name, _read_objects(sources), _count_events(events), faults)


def _parse(files: list[SpoolFile], timezone: str, most: int, events: Path) -> pl.DataFrame:
    """Write the good rows to `events`; return the faulty ones, as NO_FAULTS has them, in order.

    Raises:
        Unreadable: too many rows would be rejected.
        AssertionError: a line was neither. That is a fault of this program; nothing is imported.
    """
    faults = Faults(most)
    good = [good_rows(file, number, timezone, faults) for number, file in enumerate(files)]
    # As fast as lz4 at this level, and 40% smaller, which the upload gains.
    try:
        pl.concat([NO_EVENTS.lazy(), *good]).sink_parquet(
            events, compression="zstd", compression_level=1
        )
    except pl.exceptions.ComputeError:
        if not faults.are_too_many:
            raise
    if faults.are_too_many:
        raise Unreadable(faults.another_format())
    faulty = pl.concat(faults.found).sort("file", "row")
    read = pl.scan_parquet(events).select(pl.len()).collect().item() + faulty.height + faults.blank
    lines = sum(file.rows for file in files)
    assert read == lines, f"{lines} lines were spooled and {read} read"
    return faulty


def _read_objects(sources: list[Source]) -> list[ReadObject]:
    return [
        ReadObject(
            source.object,
            source.number,
            source.sha256,
            source.failed,
            ", ".join(source.ignored_columns),
        )
        for source in sources
    ]


def _count_events(events: Path) -> pl.DataFrame:
    """Count an import's events by source and day, as `catalog_rows` takes them."""
    return (
        pl.scan_parquet(events)
        .group_by("source", "day")
        .agg(
            imported=pl.len().cast(pl.Int64),
            corrections=pl.col("rejected_id").count().cast(pl.Int64),
            identified=pl.col("event_id").count().cast(pl.Int64),
        )
        .collect(engine="streaming")
    )
