"""Reproducing what was published, from what its run record pins and not from what is there now.

A revision is a function of the files that counted (by key and ETag: the catalog keeps the rows of
files that were replaced or deleted since), the registry as the run saw it, and the rule. The
registry is pinned twice, since neither is enough: by the lines that the log had (`registry_seq`),
as clocks may differ and an `as_of` may be later than changes recorded after the run; and by
`as_of`, as a run may have looked at an earlier state than that of its day.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version

import duckdb
import polars as pl

from tasks.core import keys
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.run_record import SettledFile, SettledRunRecord
from tasks.imports.catalog import read_catalog
from tasks.io.object_store import ObjectStore
from tasks.io.registry_segments import Log
from tasks.io.workspace import workspace
from tasks.publication.published import read_month_record
from tasks.publication.run_records import read_run_record
from tasks.settlement.allocation import EVENTS_SCHEMA, REJECTED_SCHEMA, RULE_VERSION
from tasks.settlement.rejected_rows import CORRECTIONS_SCHEMA, read_corrections, read_events
from tasks.settlement.reports import reports_on
from tasks.settlement.settlement import Basis, open_allocation

_SHOWN_DIFFERENCES = 5


@dataclass(frozen=True)
class Pinned:
    """All inputs of a run's settlement, and the run's record with its key.

    `files`, `meter_files` and `price_files` are the catalog's rows of the files that counted; of
    the registry's `log`, the changes that the record says.
    """

    key: str
    record: SettledRunRecord
    files: pl.DataFrame
    meter_files: pl.DataFrame
    price_files: pl.DataFrame
    log: Log
    store: ObjectStore

    @property
    def month(self) -> Month:
        return Month.parse(self.record.month)

    def read_registry_lines(self) -> list[str]:
        """Read the lines of the registry's log that the run saw."""
        return self.log.lines(pl.col("seq") <= self.record.registry_seq)


@dataclass(frozen=True)
class Verdict:
    """Whether a published revision is what its inputs give; `differences` is empty if so."""

    key: str
    run_record: str
    differences: tuple[str, ...]
    software: tuple[str, ...]  # what has another version here than it had then

    @property
    def is_same(self) -> bool:
        return not self.differences

    def __str__(self) -> str:
        """Say it in a sentence."""
        if self.is_same:
            return f"{self.key}: same bytes, recomputed from what {self.run_record} pins"
        return "; ".join(
            [
                f"{self.key} is not what the inputs in {self.run_record} give: "
                + "; ".join(self.differences),
                *self.software,
            ]
        )


def verify(store: ObjectStore, month: Month, vpp: str, revision: int = 0) -> Verdict:
    """Recompute a revision of a VPP's report (0: the current one) and compare the bytes.

    Raises:
        Refused: it was never published, or what its run record pins is not there any more.
    """
    key, published = read_report(store, month, vpp, revision)
    number = revision or revision_of(key, published)
    pins = read_pinned(store, claimed_by(store, month, vpp, number))
    with rebuild(store, pins, [vpp]) as connection:
        recomputed = rebuilt_report(connection, month, vpp, number)
    return Verdict(
        key,
        pins.key,
        tuple(_differences(published, recomputed)),
        tuple(_software_differences(pins.record)),
    )


def _software_differences(record: SettledRunRecord) -> Iterator[str]:
    """Yield what has another version here than it had in the run."""
    versions: list[tuple[str, object, object]] = [("the rule", record.rule_version, RULE_VERSION)]
    for name in ("vpp-settlement", "duckdb", "polars"):
        versions.append((name, record.software.get(name), version(name)))
    for name, old, new in versions:
        if old not in {None, new}:
            yield f"{name} was {old} then and is {new} here"


def read_report(store: ObjectStore, month: Month, vpp: str, revision: int = 0) -> tuple[str, bytes]:
    """Return the key and the bytes of a published revision; 0: of the current report.

    Raises:
        Refused: there is none; the message says which is the last one.
    """
    key = keys.report(month, vpp, revision or None)
    found = store.read(key)
    if found is None:
        current = store.read(keys.report(month, vpp))
        if current is None:
            raise Refused(f"{vpp} in {month} is not published; run settle-month for it first")
        last = revision_of(keys.report(month, vpp), current[0])
        raise Refused(
            f"revision: {vpp} in {month} has no revision {revision}; the last one is {last}"
        )
    return key, found[0]


def revision_of(key: str, published: bytes) -> int:
    """Return the revision number that is in a report.

    Raises:
        Refused: there is none in it, so this program did not write it.
    """
    try:
        return int(json.loads(published)["settlement"]["revision"])
    except (ValueError, KeyError, TypeError):
        raise Refused(f"{key} is no report; name the revision to verify that one") from None


def claimed_by(store: ObjectStore, month: Month, vpp: str, revision: int) -> str:
    """Return the key of the record of the run that claimed a revision.

    Raises:
        Refused: the month's record does not have the revision.
    """
    record, _ = read_month_record(store, month)
    claimed = record.revisions.get(vpp, {}).get(revision)
    if claimed is None:
        raise Refused(
            f"{keys.month_record(month)} does not have revision {revision} of {vpp}, so what it "
            f"was made from is not known; run settle-month for {month} and verify the revision "
            "that this leaves"
        )
    return claimed.run_record


def read_pinned(store: ObjectStore, run_record: str) -> Pinned:
    """Find again what a run's record names.

    Raises:
        Refused: the record, a file's rows or lines of the registry are gone, or are no longer those
            of the run.
    """
    record = read_run_record(store, run_record)
    if not isinstance(record, SettledRunRecord):
        raise Refused(f"{run_record} is missing; it was deleted by hand and must be restored")
    catalog, _ = read_catalog(store)
    files, meter_files, price_files = (
        _of_catalog(catalog, named, run_record)
        for named in (record.files, record.meter_files, record.price_files)
    )
    log = Log(store)
    if log.seq < record.registry_seq:
        raise Refused(
            f"{run_record} saw {record.registry_seq} lines of {keys.REGISTRY_LOG}, which has "
            f"{log.seq} now: it was cut by hand and must be restored"
        )
    return Pinned(run_record, record, files, meter_files, price_files, log, store)


def _of_catalog(catalog: pl.DataFrame, named: list[SettledFile], run_record: str) -> pl.DataFrame:
    """Return the catalog's rows of the files that a run's record names."""
    pinned = pl.DataFrame(
        [[file["key"], file["etag"], file["import_id"]] for file in named],
        schema=dict.fromkeys(["key", "etag", "import_id"], pl.String),
        orient="row",
    )
    files = pinned.join(catalog, on=["key", "etag", "import_id"], how="left", maintain_order="left")
    for file in files.filter(pl.col("rows").is_null()).iter_rows(named=True):
        raise Refused(
            f"{file['key']} (ETag {file['etag']}) was import {file['import_id']} for {run_record}; "
            f"the catalog has none of it: restore {keys.CATALOG}"
        )
    return files


def rebuild(
    store: ObjectStore, pins: Pinned, vpps: Sequence[str] = ()
) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    """Build all of a run's tables again, in a database that is gone after the block."""
    record = pins.record
    basis = Basis(
        month=pins.month,
        as_of=record.as_of,
        log=pins.log,
        registry_seq=record.registry_seq,
        files=pins.files,
        meter_files=pins.meter_files,
        price_files=pins.price_files,
        corrections=_corrections(store, pins),
        repeats=_repeats(store, pins),
        rejected=pl.DataFrame(
            list(record.rejected_by_site.items()), schema=REJECTED_SCHEMA, orient="row"
        ),
    )
    return open_allocation(store, basis, vpps)


def _corrections(store: ObjectStore, pins: Pinned) -> pl.DataFrame:
    """Read the events that counted in the place of a rejected row."""
    pinned = pl.DataFrame(
        pins.record.corrections,
        schema={"key": pl.String, "line": pl.UInt32, "rejected_id": pl.String},
    )
    if pinned.is_empty():
        return pl.DataFrame(schema=CORRECTIONS_SCHEMA)
    with workspace("rebuild") as folder:
        found = read_corrections(store, pins.files, folder)
    return found.join(pinned, on=["key", "line"], how="semi")


def _repeats(store: ObjectStore, pins: Pinned) -> pl.DataFrame:
    """Read the events that did not count, since they stand elsewhere under the same EVENT_ID."""
    empty = pl.DataFrame(schema=EVENTS_SCHEMA)
    pinned = pl.DataFrame(
        pins.record.repeats, schema={"key": pl.String, "line": pl.UInt32, "event_id": pl.String}
    )
    if pinned.is_empty():
        return empty
    files = pins.files.filter(pl.col("key").is_in(pinned["key"].implode()))
    with workspace("rebuild") as folder:
        events = read_events(store, files, folder)
        found = events.join(pinned.lazy(), on=["key", "line"], how="semi")
        return found.select(list(EVENTS_SCHEMA)).collect()


def rebuilt_report(
    connection: duckdb.DuckDBPyConnection, month: Month, vpp: str, revision: int
) -> bytes:
    """Return a VPP's report as the rebuilt tables have it."""
    [report] = reports_on(connection, month, [vpp])
    return report.to_bytes(revision)


def _differences(published: bytes, recomputed: bytes) -> Iterator[str]:
    """Yield the first lines that differ, with their numbers."""
    if published == recomputed:
        return
    old, new = (data.decode(errors="replace").split("\n") for data in (published, recomputed))
    differing = [
        f"line {number}: {line.strip()!r} is published, {other.strip()!r} recomputed"
        for number, (line, other) in enumerate(zip(old, new, strict=False), 1)
        if line != other
    ]
    yield from differing[:_SHOWN_DIFFERENCES]
    if len(old) != len(new):
        yield f"{len(old)} lines are published, {len(new)} recomputed"
    elif not differing:
        yield "bytes that are not text are published"
    if len(differing) > _SHOWN_DIFFERENCES:
        yield f"and {len(differing) - _SHOWN_DIFFERENCES} more lines"
