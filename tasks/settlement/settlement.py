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
from tasks.core.month import Month
from tasks.core.report import Report
from tasks.core.request import SettlementRequest, WhatIf
from tasks.core.run_record import SettledFile, SettlementFacts, UnassignedSite
from tasks.io.object_store import ObjectStore
from tasks.io.warehouse import rows, sql, warehouse
from tasks.settlement.allocation import RULE_VERSION, AllocationInputs, allocate
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
        Refused: a VPP of the request is unknown. The message names those that exist.
        CheckFailed: the books do not balance.
    """
    with allocated(
        store, inputs.month, inputs.as_of, inputs.files, inputs.registry, request.what_if
    ) as connection:
        reports = reports_on(connection, inputs.month, request.vpps)
        facts = _facts(inputs, connection)
    return Settlement(inputs, request, reports, facts)


def _facts(inputs: MonthInputs, connection: duckdb.DuckDBPyConnection) -> SettlementFacts:
    unassigned = rows(connection, sql("report/unassigned"))
    [settled] = rows(connection, "select coalesce(sum(events), 0) as events from site_months")
    files = inputs.files.select(list(SettledFile.__annotations__)).to_dicts()
    return SettlementFacts(
        **dict(inputs.facts),
        inputs=inputs.digest,
        as_of=inputs.as_of,
        registry_seq=inputs.registry.count(b"\n"),
        rule_version=RULE_VERSION,
        files=[SettledFile(**file) for file in files],  # type: ignore[typeddict-item]
        rows=int(inputs.files["rows"].sum()),
        settled_events=int(settled["events"]),
        unassigned_events=sum(site["events"] for site in unassigned),
        unassigned=[UnassignedSite(**site) for site in unassigned],
    )


@contextmanager
def allocated(
    store: ObjectStore,
    month: Month,
    as_of: datetime,
    files: pl.DataFrame,
    registry: bytes,
    what_if: Sequence[WhatIf] = (),
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Allocate a month from these files of the catalog and these lines of the registry's log.

    Yields:
        The database with all tables, checked. It is gone after the block.
    """
    with tempfile.TemporaryDirectory(prefix="vpp-settle-") as temporary:
        folder = Path(temporary)
        log = folder / "changes.jsonl"
        log.write_bytes(registry)
        daily = _daily(store, files, folder)
        with warehouse(folder) as connection:
            inputs = AllocationInputs(month, as_of, files, daily, log, tuple(what_if))
            allocate(connection, inputs)
            yield connection


def _daily(store: ObjectStore, files: pl.DataFrame, folder: Path) -> list[Path]:
    """Download the daily sums of the imports, each to <import id>.parquet."""
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
            }
        ).write_parquet(paths[0])
    return paths
