"""A month's settlement: from its inputs to the reports.

A pure function of the inputs, the request and the rule: it reads from S3 what the inputs name, and
writes nothing.
"""

import tempfile
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
from tasks.core.report import Report
from tasks.core.request import SettlementRequest, WhatIf
from tasks.core.run_record import (
    Correction,
    Missing,
    SettledFile,
    SettlementFacts,
    UnassignedSite,
)
from tasks.io.object_store import ObjectStore
from tasks.io.warehouse import rows, sql, warehouse
from tasks.settlement.allocation import RULE_VERSION, AllocationInputs, allocate
from tasks.settlement.completeness import find_missing
from tasks.settlement.inputs import MonthInputs
from tasks.settlement.reports import reports_on


@dataclass(frozen=True)
class Settlement:
    """A month as it was settled: the reports (revision 1, until published) and the facts."""

    inputs: MonthInputs
    request: SettlementRequest
    reports: list[Report]
    facts: SettlementFacts


def settle(store: ObjectStore, inputs: MonthInputs, request: SettlementRequest) -> Settlement:
    """Settle a month for all VPPs, and report on those of the request.

    Raises:
        Refused: a VPP of the request is unknown (the message names those that there are), or too
            many of a VPP's rows are rejected.
        CheckFailed: the books do not balance.
    """
    basis = Basis(
        month=inputs.month,
        as_of=inputs.as_of,
        registry=inputs.registry,
        files=inputs.files,
        corrections=inputs.corrections,
        rejected=inputs.rejected_by_site,
    )
    with allocated(store, basis, request.what_if) as connection:
        _require_few_rejected(connection, inputs.month, request.max_rejected_percent)
        reports = reports_on(connection, inputs.month, request.vpps)
        missing = find_missing(store, connection, inputs, reports)
        facts = _facts(inputs, connection, missing)
    return Settlement(inputs, request, reports, facts)


def _require_few_rejected(
    connection: duckdb.DuckDBPyConnection, month: Month, limit: float
) -> None:
    """Refuse a month in which too many of one VPP's rows are rejected."""
    over = [
        f"{row['vpp']}: {row['rejected_rows']} of {row['rejected_rows'] + row['events']}"
        for row in rows(connection, sql("report/rejected"))
        if row["rejected_rows"] * 100 > limit * (row["rejected_rows"] + row["events"])
    ]
    if over:
        raise Refused(
            f"{month} is not settled: of the rows of a VPP's sites, at most {limit:g}% may be "
            f"rejected ({'; '.join(over)}). Correct them in {keys.rejected_rows(month)} and upload "
            "that to the inbox, or run with a higher max_rejected_percent"
        )


def _facts(
    inputs: MonthInputs, connection: duckdb.DuckDBPyConnection, missing: Missing
) -> SettlementFacts:
    unassigned = rows(connection, sql("report/unassigned"))
    [settled] = rows(connection, "select coalesce(sum(events), 0) as events from site_months")
    files = inputs.files.select(list(SettledFile.__annotations__)).to_dicts()
    corrections = inputs.corrections.select(list(Correction.__annotations__)).to_dicts()
    return SettlementFacts(
        **dict(inputs.facts),
        inputs=inputs.digest,
        as_of=inputs.as_of,
        registry_seq=inputs.registry.count(b"\n"),
        rule_version=RULE_VERSION,
        files=[SettledFile(**file) for file in files],  # type: ignore[typeddict-item]
        rows=inputs.month_rows,
        corrections=[Correction(**row) for row in corrections],  # type: ignore[typeddict-item]
        rejected_by_site=dict(inputs.rejected_by_site.iter_rows()),
        settled_events=int(settled["events"]),
        unassigned_events=sum(site["events"] for site in unassigned),
        unassigned=[UnassignedSite(**site) for site in unassigned],
        missing=missing,
    )


@dataclass(frozen=True)
class Basis:
    """All that the tables of a month are built from.

    `registry` are the lines of its log that count, `files` the catalog's rows of the files that do;
    `corrections` and `rejected` as allocation has them.
    """

    month: Month
    as_of: datetime
    registry: bytes
    files: pl.DataFrame
    corrections: pl.DataFrame
    rejected: pl.DataFrame


@contextmanager
def allocated(
    store: ObjectStore, basis: Basis, what_if: Sequence[WhatIf] = ()
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Allocate a month.

    Yields:
        The database with all tables, checked. It is gone after the block.
    """
    with tempfile.TemporaryDirectory(prefix="vpp-settle-") as temporary:
        folder = Path(temporary)
        log = folder / "changes.jsonl"
        log.write_bytes(basis.registry)
        inputs = AllocationInputs(
            month=basis.month,
            as_of=basis.as_of,
            log=log,
            files=basis.files,
            daily=_daily(store, basis.files, folder),
            corrections=basis.corrections,
            rejected=basis.rejected,
            what_if=tuple(what_if),
        )
        with warehouse(folder) as connection:
            allocate(connection, inputs)
            yield connection


def _daily(store: ObjectStore, files: pl.DataFrame, folder: Path) -> list[Path]:
    """Bring the daily sums of the imports here, each as <import id>.parquet."""
    imports = files["import_id"].unique().sort().to_list()
    paths = [folder / f"{import_id}.parquet" for import_id in imports]
    store.download([keys.import_part(import_id, "daily.parquet") for import_id in imports], paths)
    if not paths:
        paths = [folder / "none.parquet"]
        pl.DataFrame(
            schema={
                "source": pl.Int32,
                "nmi": pl.String,
                "day": pl.Date,
                "is_discharge": pl.Boolean,
                "is_negative_tariff": pl.Boolean,
                "events": pl.Int64,
                "energy_kwh": pl.Decimal(38, 6),
                "value_cents": pl.Decimal(38, 12),
                "first_second": pl.Int32,
                "last_second": pl.Int32,
            }
        ).write_parquet(paths[0])
    return paths
