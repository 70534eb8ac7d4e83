"""A month's settlement: from its inputs to the reports.

A pure function of the inputs, the request and the rule: it reads from S3 what the inputs name, and
writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl

from tasks.core import keys
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.request import SettlementRequest, WhatIf
from tasks.core.run_record import (
    Correction,
    Missing,
    MissingIntervals,
    ReadingConflict,
    ReadingCounts,
    Repeat,
    SettledFile,
    SettlementFacts,
    UnassignedSite,
)
from tasks.imports.daily_sums import DAILY_SCHEMA
from tasks.io.object_store import ObjectStore
from tasks.io.registry_segments import Log
from tasks.io.warehouse import execute, rows, sql, warehouse
from tasks.io.workspace import workspace
from tasks.settlement.allocation import FILES_SCHEMA, RULE_VERSION, AllocationInputs, allocate, load
from tasks.settlement.completeness import find_missing
from tasks.settlement.inputs import MonthInputs
from tasks.settlement.meter import FILES_SCHEMA as METER_FILES_SCHEMA
from tasks.settlement.meter import MeterInputs, first_conflicts, stand_in_prices
from tasks.settlement.overlaps import Overlaps, find_overlaps
from tasks.settlement.reports import DraftReport, reports_on

_MOST_LISTED = 1_000  # in a run's record, of what others decide how much there is of


@dataclass(frozen=True)
class Settlement:
    """A month as it was settled: the reports (revision 1, until published) and the facts."""

    inputs: MonthInputs
    request: SettlementRequest
    reports: list[DraftReport]
    facts: SettlementFacts


def settle(store: ObjectStore, inputs: MonthInputs, request: SettlementRequest) -> Settlement:
    """Settle a month for the VPPs of the request; place the events of all.

    Raises:
        Refused: a VPP of the request is unknown (the message names those that there are), or too
            many of a VPP's rows are rejected, a price is missing; a site has both events and
            readings on a day.
        CheckFailed: the books do not balance.
    """
    with workspace("settle") as folder, warehouse(folder, _most_rows(inputs)) as connection:
        daily = _bring_daily(store, inputs.files, folder)
        load(connection, folder, "inputs", inputs.files.select(list(FILES_SCHEMA)))
        load(connection, folder, "corrections", inputs.corrections)
        overlaps = find_overlaps(store, connection, inputs.month, inputs.files, daily)
        overlaps.require_none(request)
        duplicates = [file.key for file in overlaps.duplicates]
        files = inputs.files.filter(~pl.col("key").is_in(duplicates))
        basis = Basis(
            month=inputs.month,
            as_of=inputs.as_of,
            log=inputs.log,
            registry_seq=inputs.registry_seq,
            files=files,
            meter_files=inputs.meter_files,
            price_files=inputs.price_files,
            corrections=inputs.corrections,
            repeats=overlaps.repeats,
            rejected=inputs.rejected_by_site,
        )
        _bring_meter(store, basis, folder)
        _allocate(connection, basis, daily, folder, request.vpps, request.what_if)
        _require_few_rejected(connection, inputs, request.max_rejected_percent)
        reports = reports_on(connection, inputs.month, request.vpps)
        missing = find_missing(store, connection, inputs, reports, folder)
        reported = {report.vpp_id for report in reports}
        facts = _facts(inputs, files, overlaps, missing, reported, connection)
    return Settlement(inputs, request, reports, facts)


def _require_few_rejected(
    connection: duckdb.DuckDBPyConnection, inputs: MonthInputs, limit: float
) -> None:
    """Refuse a month in which too many of one VPP's rows are rejected."""
    over = [
        f"{row['vpp']}: {row['rejected_rows']} of {row['rejected_rows'] + row['events']}"
        for row in rows(connection, sql("report/rejected"))
        if row["rejected_rows"] * 100 > limit * (row["rejected_rows"] + row["events"])
    ]
    if over:
        raise Refused(
            f"{inputs.month} is not settled: of the rows of a VPP's sites, at most {limit:g}% may "
            f"be rejected ({'; '.join(over)}). {inputs.how_to_correct}, or run with a higher "
            "max_rejected_percent"
        )


def _facts(
    inputs: MonthInputs,
    files: pl.DataFrame,
    overlaps: Overlaps,
    missing: Missing,
    reported: set[str],
    connection: duckdb.DuckDBPyConnection,
) -> SettlementFacts:
    execute(connection, f"create table unassigned as {sql('report/unassigned')}")
    [unassigned] = rows(
        connection, "select count(*) as sites, coalesce(sum(events), 0) as events from unassigned"
    )
    listed = rows(connection, sql("report/unassigned_listed"), {"most": _MOST_LISTED})
    [settled] = rows(
        connection,
        "select coalesce(sum(events), 0) + (select events from elsewhere_events) as events"
        " from valued_days where vpp is not null",
    )
    repeats = overlaps.repeats.select(list(Repeat.__annotations__)).to_dicts()
    corrections = inputs.corrections.select(list(Correction.__annotations__)).to_dicts()
    [readings] = rows(connection, sql("report/reading_counts"))
    [(conflicts,)] = execute(connection, "select count(*) from reading_conflicts").fetchall()
    of_registry = execute(
        connection,
        "select nmi, rows from rejected where nmi in (select id from spans where kind = 'site')"
        " order by nmi",
    ).fetchall()
    return SettlementFacts(
        **(dict(inputs.facts) | {"duplicates": inputs.facts.duplicates + overlaps.duplicates}),
        inputs=inputs.digest,
        as_of=inputs.as_of,
        registry_seq=inputs.registry_seq,
        rule_version=RULE_VERSION,
        files=_pinned(files),
        rows=inputs.month_rows,
        corrections=[Correction(**row) for row in corrections],  # type: ignore[typeddict-item]
        repeats=[Repeat(**row) for row in repeats],  # type: ignore[typeddict-item]
        shared_rows=overlaps.shared[:_MOST_LISTED],
        shared_pairs=len(overlaps.shared),
        rejected_by_site=dict(of_registry),
        rejected_other_sites=inputs.rejected_by_site.height - len(of_registry),
        settled_events=int(settled["events"]),
        unassigned_events=int(unassigned["events"]),
        unassigned=[UnassignedSite(**site) for site in listed],
        unassigned_sites=unassigned["sites"],
        meter_files=_pinned(inputs.meter_files),
        price_files=_pinned(inputs.price_files),
        readings=ReadingCounts(**readings),
        missing_intervals=[
            MissingIntervals(**row)
            for row in rows(connection, sql("report/missing_intervals"))
            if row["vpp"] in reported
        ],
        stand_in_prices=stand_in_prices(connection),
        reading_conflicts=[
            ReadingConflict(**row)  # type: ignore[typeddict-item]
            for row in first_conflicts(connection, _MOST_LISTED)
        ],
        reading_conflict_rows=conflicts,
        missing=missing,
    )


def _pinned(files: pl.DataFrame) -> list[SettledFile]:
    pinned = files.select(list(SettledFile.__annotations__)).to_dicts()
    return [SettledFile(**file) for file in pinned]  # type: ignore[typeddict-item]


@dataclass(frozen=True)
class Basis:
    """All that the tables of a month are built from.

    Of the registry's `log` the first `registry_seq` changes count, as far as they were recorded by
    `as_of`.
    `files`, `meter_files` and `price_files` are the catalog's rows of the files that do;
    `corrections`, `repeats` and `rejected` as allocation has them.
    """

    month: Month
    as_of: datetime
    log: Log
    registry_seq: int
    files: pl.DataFrame
    meter_files: pl.DataFrame
    price_files: pl.DataFrame
    corrections: pl.DataFrame
    repeats: pl.DataFrame
    rejected: pl.DataFrame


@contextmanager
def open_allocation(
    store: ObjectStore, basis: Basis, vpps: Sequence[str] = ()
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Allocate a month, for these VPPs (none given: for all).

    Yields:
        The database with all tables, checked. It is gone after the block.
    """
    with workspace("settle") as folder, warehouse(folder, _most_rows(basis)) as connection:
        daily = _bring_daily(store, basis.files, folder)
        _bring_meter(store, basis, folder)
        _allocate(connection, basis, daily, folder, vpps)
        yield connection


def _most_rows(inputs: MonthInputs | Basis) -> int:
    """Return how many rows are read at most: changes, events, and intervals of meters."""
    events, days = (int(of["imported"].sum()) for of in (inputs.files, inputs.meter_files))
    return inputs.registry_seq + events + 288 * days


def _allocate(
    connection: duckdb.DuckDBPyConnection,
    basis: Basis,
    daily: list[Path],
    folder: Path,
    vpps: Sequence[str],
    what_if: Sequence[WhatIf] = (),
) -> None:
    inputs = AllocationInputs(
        month=basis.month,
        as_of=basis.as_of,
        changes=basis.log.paths,
        registry_seq=basis.registry_seq,
        files=basis.files,
        daily=daily,
        meter=_meter_inputs(basis, folder),
        corrections=basis.corrections,
        repeats=basis.repeats,
        rejected=basis.rejected,
        what_if=tuple(what_if),
        vpps=tuple(vpps),
    )
    allocate(connection, inputs)


def _bring_meter(store: ObjectStore, basis: Basis, folder: Path) -> None:
    """Bring the readings and prices of the imports to where `_meter_inputs` has them."""
    for name, files in (("readings", basis.meter_files), ("prices", basis.price_files)):
        (folder / name).mkdir()
        imports = files["import_id"].unique().sort().to_list()
        store.download(
            [keys.import_part(import_id, f"{name}.parquet") for import_id in imports],
            [folder / name / f"{import_id}.parquet" for import_id in imports],
        )


def _meter_inputs(basis: Basis, folder: Path) -> MeterInputs:
    return MeterInputs(
        month=basis.month,
        readings=sorted((folder / "readings").iterdir()),
        reading_files=basis.meter_files.select(list(METER_FILES_SCHEMA)),
        prices=sorted((folder / "prices").iterdir()),
        price_files=basis.price_files.select(list(METER_FILES_SCHEMA)),
        folder=folder,
    )


def _bring_daily(store: ObjectStore, files: pl.DataFrame, folder: Path) -> list[Path]:
    """Bring the daily sums of the imports here, each as <import id>.parquet."""
    imports = files["import_id"].unique().sort().to_list()
    paths = [folder / f"{import_id}.parquet" for import_id in imports]
    store.download([keys.import_part(import_id, "daily.parquet") for import_id in imports], paths)
    if not paths:
        paths = [folder / "none.parquet"]
        pl.DataFrame(schema=DAILY_SCHEMA).write_parquet(paths[0])
    return paths
