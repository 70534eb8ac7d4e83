"""Import event files: from objects in the inbox to typed events, daily sums and rejected rows.

One pass over the bytes, block by block; every data row ends in exactly one of `events.parquet` and
`rejected.csv`, with the file and the line that it came from. Nothing is written to be read again.

    spool (bytes to lines) -> event_rows (lines to events) -> events.parquet
                                                           -> daily_sums -> daily.parquet
                                         faulty lines      -> rejected.csv
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from tasks.core import keys
from tasks.core.errors import ChangedMeanwhile, Unreadable
from tasks.imports.catalog import EVENTS
from tasks.imports.daily_sums import DailySums, key_events
from tasks.imports.event_rows import NO_EVENTS, NO_FAULTS, Faults, Sites, read_events
from tasks.imports.import_record import ReadObject, catalog_rows, import_id, sentence_of
from tasks.imports.limits import NotTogether
from tasks.imports.rejected import RejectedRows, rejected_text
from tasks.imports.spool import EVENT_ID, REJECTED_ID, Block, Source, read_blocks
from tasks.io.object_store import ObjectStore, ObjectVersion
from tasks.io.workspace import workspace

_PARALLEL_BLOCKS = 3
_NO_IDENTITIES = pl.DataFrame(
    schema={"source": pl.Int32, "day": pl.Date, "corrections": pl.Int64, "identified": pl.Int64}
)


def import_event_files(
    store: ObjectStore, timezone: str, objects: list[ObjectVersion]
) -> pl.DataFrame:
    """Read a group of event files and put what is in them under `imports/<import id>/`.

    Raises:
        NotTogether: they are to be read one by one.
    """
    with workspace("import") as folder:
        try:
            return _Import(store, timezone, folder).read(objects)
        except ChangedMeanwhile:
            return _Import(store, timezone, folder).read([])
        except Unreadable as problem:
            if len(objects) > 1:
                raise NotTogether from problem
            failed = _Import(store, timezone, folder)
            failed.sources.append(Source(objects[0], 0, failed=str(problem)))
            return failed.read([])


@contextmanager
def _unforeseen_is_unreadable() -> Iterator[None]:
    """Take what nobody has foreseen for the fault of the file; but not what S3 or the disk do."""
    try:
        yield
    except (OSError, MemoryError, Unreadable):
        raise
    except Exception as problem:
        raise Unreadable(sentence_of(problem)) from problem


@dataclass(frozen=True)
class _BlockRead:
    """What is in a block: its events, what is summed of them, and its other rows."""

    events: pl.DataFrame
    keyed: pl.DataFrame
    identities: pl.DataFrame  # events with an identity: source, day, corrections, identified
    bad: pl.DataFrame  # as NO_FAULTS
    rejected: str


class _Import:
    """The files of an import, and what is counted while they are written."""

    def __init__(self, store: ObjectStore, timezone: str, folder: Path) -> None:
        self.sources: list[Source] = []
        self._store = store
        self._timezone = timezone
        self._folder = folder
        self._sites = Sites()
        self._faults = Faults(store.settings.max_rejected_rows)
        self._rejected = RejectedRows()
        self._identities = [_NO_IDENTITIES]

    def read(self, objects: list[ObjectVersion]) -> pl.DataFrame:
        """Read objects, put what is in them on S3, and return their rows of the catalog."""
        paths = [
            self._folder / name for name in ("events.parquet", "rejected.csv", "daily.parquet")
        ]
        events, rejected, daily = paths
        with ThreadPoolExecutor(_PARALLEL_BLOCKS) as pool:
            sums = DailySums(self._folder, pool)
            blocks = read_blocks(self._store, objects, self.sources)
            scan = register_io_source(
                lambda *_: self._events(blocks, sums, pool), schema=NO_EVENTS.schema
            )
            # As fast as lz4 at this level, and 40% smaller, which the upload gains.
            scan.sink_parquet(events, compression="zstd", compression_level=1, engine="streaming")
            self._rejected.write(rejected)
            # What was read: an object that was replaced since the listing is not part of it.
            name = import_id(EVENTS, [source.object for source in self.sources])
            uploads = [
                pool.submit(self._store.upload, path, keys.import_part(name, path.name))
                for path in (events, rejected)
            ]
            counts = self._count(sums, daily)
            self._store.upload(daily, keys.import_part(name, daily.name))
            for upload in uploads:
                upload.result()
        faults = pl.concat(self._faults.found)
        return catalog_rows(EVENTS, name, _read_objects(self.sources), counts, faults)

    def _events(
        self, blocks: Iterator[Block], sums: DailySums, pool: Executor
    ) -> Iterator[pl.DataFrame]:
        """Yield the events of blocks in order, and take what else is in them.

        Polars asks for them from a thread that it has for this alone, so they may be waited for.
        """
        yield NO_EVENTS
        ahead: deque[Future[_BlockRead]] = deque()
        for block in blocks:
            ahead.append(pool.submit(self._read, block))
            if len(ahead) == _PARALLEL_BLOCKS:
                yield self._take(ahead.popleft().result(), sums)
        while ahead:
            yield self._take(ahead.popleft().result(), sums)

    @_unforeseen_is_unreadable()
    def _read(self, block: Block) -> _BlockRead:
        events, sites, bad = read_events(block, self._timezone, self._sites)
        identities = _NO_IDENTITIES
        if EVENT_ID in block.columns or REJECTED_ID in block.columns:
            identities = events.group_by("source", "day").agg(
                corrections=pl.col("rejected_id").count().cast(pl.Int64),
                identified=pl.col("event_id").count().cast(pl.Int64),
            )
        return _BlockRead(
            events,
            key_events(events, sites),
            identities,
            bad.select(NO_FAULTS.columns),
            rejected_text(block, bad),
        )

    @_unforeseen_is_unreadable()
    def _take(self, read: _BlockRead, sums: DailySums) -> pl.DataFrame:
        sums.add(read.keyed, self._sites.nmis)
        self._faults.add(read.bad)
        self._rejected.add(read.rejected)
        self._identities.append(read.identities)
        return read.events

    @_unforeseen_is_unreadable()
    def _count(self, sums: DailySums, daily: Path) -> pl.DataFrame:
        """Write the daily sums; count events by source and day, as `catalog_rows` takes them."""
        summed = sums.write(self._sites.nmis, daily)
        identities = pl.concat(self._identities).group_by("source", "day").sum()
        counted = summed.join(identities, on=["source", "day"], how="full", coalesce=True)
        return counted.fill_null(0).select(
            "source",
            "day",
            (pl.col("events") + pl.col("corrections")).alias("imported"),
            "corrections",
            "identified",
        )


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
