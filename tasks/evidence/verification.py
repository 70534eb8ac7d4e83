"""Reproducing what was published, from what its run record pins and not from what is there now.

A revision is a function of the files that counted (by key and ETag: the catalog keeps the rows of
files that were replaced or deleted since), the registry as the run saw it, and the rule. The
registry is pinned twice, since neither would do: by the lines that the log had (`registry_seq`),
as clocks may differ and an `as_of` may lie ahead of what was recorded later; and by `as_of`, as a
run may have looked at an earlier state than that of its day.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.month_record import Ledger
from tasks.core.report import Report
from tasks.imports.catalog import read_catalog
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import LOG_KEY, read_log
from tasks.publication.revisions import ledger_key, report_key, run_records
from tasks.settlement.allocation import RULE_VERSION
from tasks.settlement.settlement import PINNED, allocated, reports_on

_SHOWN_DIFFERENCES = 5


@dataclass(frozen=True)
class Pinned:
    """All that a run's settlement was a function of, and the run's record itself."""

    record: dict[str, Any]
    month: Month
    as_of: datetime
    files: pl.DataFrame  # the catalog's rows of the files that counted
    log: bytes


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
    pins = pinned(store, run_record_of(store, month, vpp, number))
    with rebuilt(store, pins) as connection:
        recomputed = rebuilt_report(connection, month, vpp, number).to_bytes()
    then = pins.record.get("software", {})
    return Verdict(
        key,
        pins.record["key"],
        tuple(_differences(published, recomputed)),
        tuple(
            f"{name} was {was} then and is {is_} here"
            for name, was, is_ in (
                ("the rule", pins.record["rule_version"], RULE_VERSION),
                *(
                    (name, then.get(name), version(name))
                    for name in ("vpp-settlement", "duckdb", "polars")
                ),
            )
            if was not in {None, is_}
        ),
    )


def read_report(store: ObjectStore, month: Month, vpp: str, revision: int = 0) -> tuple[str, bytes]:
    """Return the key and the bytes of a published revision; 0: of the current report.

    Raises:
        Refused: there is none.
    """
    key = report_key(month, vpp, revision or None)
    found = store.read(key)
    if found is None:
        what = f"revision {revision} of {vpp} in {month}" if revision else f"{vpp} in {month}"
        raise Refused(f"{what} is not published: there is no {key}; settle the month first")
    return key, found[0]


def revision_of(key: str, published: bytes) -> int:
    """Return the revision number that a report gives itself.

    Raises:
        Refused: it gives none, so it is no report of ours.
    """
    try:
        return int(json.loads(published)["settlement"]["revision"])
    except (ValueError, KeyError, TypeError):
        raise Refused(f"{key} is no report; name the revision to verify that one") from None


def run_record_of(store: ObjectStore, month: Month, vpp: str, revision: int) -> dict[str, Any]:
    """Return the record of the run that claimed a revision.

    Raises:
        Refused: the month's ledger does not know the revision, or the record is gone.
    """
    found = store.read(ledger_key(month))
    ledger = Ledger.model_validate_json(found[0]) if found else Ledger(month=str(month))
    claimed = ledger.revisions.get(vpp, {}).get(revision)
    if claimed is None:
        raise Refused(
            f"{ledger_key(month)} does not know revision {revision} of {vpp}, so what it was made "
            f"from is not known; run settle-month for {month} and verify the one that it leaves"
        )
    return _record(store, claimed.run_record)


def _record(store: ObjectStore, key: str) -> dict[str, Any]:
    found = store.read(key)
    if found is None:
        raise Refused(f"{key} is missing; it was deleted by hand and must be restored")
    return {"key": key, **json.loads(found[0])}


def pinned(store: ObjectStore, record: dict[str, Any]) -> Pinned:
    """Find again what a run record names.

    Raises:
        Refused: a file's rows or lines of the registry are gone, or are not those of then.
    """
    named = pl.DataFrame(
        [[file[name] for name in PINNED] for file in record["files"]],
        schema=dict(zip(PINNED, (pl.String, pl.String, pl.String, pl.Int64), strict=True)),
        orient="row",
    ).rename({"import_id": "pinned"})
    catalog, _ = read_catalog(store)
    files = named.join(catalog, on=["key", "etag"], how="left", maintain_order="left")
    for file in files.iter_rows(named=True):
        if file["import_id"] != file["pinned"]:
            raise Refused(
                f"{file['key']} (ETag {file['etag']}) was import {file['pinned']} for "
                f"{record['key']}; the catalog has {file['import_id'] or 'none of it'}: restore "
                "imports/catalog.parquet"
            )
    lines = read_log(store).splitlines(keepends=True)
    if len(lines) < record["registry_seq"]:
        raise Refused(
            f"{record['key']} saw {record['registry_seq']} lines of {LOG_KEY}, which has "
            f"{len(lines)} now: it was cut by hand and must be restored"
        )
    return Pinned(
        record,
        Month.parse(record["month"]),
        datetime.fromisoformat(record["as_of"]),
        files,
        b"".join(lines[: record["registry_seq"]]),
    )


def rebuilt(store: ObjectStore, pins: Pinned) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    """Build all of a run's tables again, in a database that is gone after the block."""
    return allocated(store, pins.month, pins.as_of, pins.files, pins.log)


def rebuilt_report(
    connection: duckdb.DuckDBPyConnection, month: Month, vpp: str, revision: int
) -> Report:
    """Return a VPP's report as the rebuilt tables have it."""
    [report] = reports_on(connection, month, [vpp])
    return report.revised(revision)


def put_tables(store: ObjectStore, month: Month) -> str:
    """Put a month's tables on S3 as one DuckDB file, and return its key.

    They are those of the newest run that settled the month, preferably for all VPPs; the table
    `settled_by` says which, and what it saw of the registry.

    Raises:
        Refused: no run has settled the month.
    """
    records = [
        record
        for record in run_records(store, str(month))
        if record["outcome"] in ("published", "unchanged") and "files" in record
    ]
    if not records:
        raise Refused(f"{month} is not settled yet; run settle-month for it first")
    whole = [record for record in records if not record.get("parameters", {}).get("vpps")]
    pins = pinned(store, (whole or records)[-1])
    key = f"tables/{month}.duckdb"
    with (
        tempfile.TemporaryDirectory(prefix="vpp-tables-") as temporary,
        rebuilt(store, pins) as connection,
    ):
        path = Path(temporary) / "month.duckdb"
        connection.execute(
            "create table settled_by as select $key as run_record,"
            " $as_of::timestamptz as as_of, $seq::bigint as registry_seq",
            {"key": pins.record["key"], "as_of": pins.as_of, "seq": pins.record["registry_seq"]},
        )
        # The oldest format that DuckDB still writes: analysts have whatever version they have.
        connection.execute(f"attach '{path}' as file (storage_version 'v1.0.0')")
        connection.execute("copy from database memory to file")
        connection.execute("detach file")
        store.upload(path, key)
    return key


def _differences(published: bytes, recomputed: bytes) -> Iterator[str]:
    """Yield the first lines that differ, with their numbers."""
    if published == recomputed:
        return
    there, here = (data.decode(errors="replace").split("\n") for data in (published, recomputed))
    differing = [
        f"line {number}: {one.strip()!r} is published, {other.strip()!r} recomputed"
        for number, (one, other) in enumerate(zip(there, here, strict=False), 1)
        if one != other
    ]
    yield from differing[:_SHOWN_DIFFERENCES]
    if len(there) != len(here):
        yield f"{len(there)} lines are published, {len(here)} recomputed"
    elif not differing:
        yield "bytes that are not text are published"
    if len(differing) > _SHOWN_DIFFERENCES:
        yield f"and {len(differing) - _SHOWN_DIFFERENCES} more lines"
