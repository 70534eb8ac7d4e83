"""What the pages of a month are made of: its reports as they are published, and what explains them.

The reports are read from S3, never taken from a run's memory, and must be what the month's record
says of them. What a report does not have (days, how a site's amount is made up) comes from tables
that are built again from what the report's run pins. They are used only if they give the published
report, byte for byte. Where that cannot be, the pages do without and say why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import duckdb
import polars as pl

from tasks.core import keys
from tasks.core.difference import Difference
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.month_record import MonthRecord
from tasks.core.report import Report
from tasks.core.run_record import SettledRunRecord
from tasks.evidence.verification import read_pinned, rebuild
from tasks.io.object_store import ObjectStore
from tasks.io.warehouse import execute, rows, sql
from tasks.io.workspace import workspace
from tasks.publication.published import read_month_record
from tasks.publication.run_records import read_run_record
from tasks.settlement.reports import reports_on

_PARALLEL_READS = 16


@dataclass(frozen=True)
class Detail:
    """What stands behind a report.

    `days` has a row per day of the VPP (sql/pages/vpp_days.sql), `site_days` one per site and day
    (sql/pages/site_days.sql), `parts` one per site, by NMI (sql/pages/site_parts.sql).
    """

    days: list[dict[str, Any]]
    site_days: pl.DataFrame
    parts: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Source:
    """A published report with what explains it.

    `run` is the record of the run that settled it, `difference` how it differs from the revision
    before. `detail` is None for the reason in `no_detail`.
    """

    report: Report
    run_record: str
    run: SettledRunRecord | None
    difference: Difference | None
    detail: Detail | None = None
    no_detail: str = ""

    @property
    def month(self) -> Month:
        return Month.parse(self.report.month)

    @property
    def vpp(self) -> str:
        """Return the VPP's id."""
        return self.report.settlement.vpp_id

    @property
    def revision(self) -> int:
        return self.report.settlement.revision


@dataclass(frozen=True)
class PublishedReports:
    """A month's current reports in order of VPP id; `missing` are claimed and not there."""

    record: MonthRecord
    reports: list[Report]
    missing: list[str]

    @property
    def month(self) -> Month:
        return Month.parse(self.record.month)


def read_reports(
    store: ObjectStore,
    month: Month,
    vpps: Sequence[str] | None = None,
    revision: int | None = None,
) -> PublishedReports:
    """Read the current reports of a month, or of some of its VPPs (ids), or a revision of them.

    Raises:
        Refused: none is published, or one is not what the month's record says of it.
    """
    record, _ = read_month_record(store, month)
    wanted = sorted(record.revisions) if vpps is None else list(vpps)

    def read(vpp: str) -> Report | None:
        key = keys.report(month, vpp, revision)
        found = store.read(key)
        if found is None:
            return None
        report = Report.model_validate_json(found[0])
        claim = record.revisions.get(vpp, {}).get(report.settlement.revision)
        if claim is None or claim.digest != report.digest:
            raise Refused(
                f"{key} is not what {keys.month_record(month)} says of it; no "
                f"page is made of it. Run settle-month for {month}, then this again"
            )
        return report

    with ThreadPoolExecutor(_PARALLEL_READS) as pool:
        found = list(pool.map(read, wanted))
    reports = [report for report in found if report]
    if not reports:
        what = f"{', '.join(vpps)} is not" if vpps else "nothing is"
        if revision:
            what = f"revision {revision} of {what}"
        raise Refused(f"{what} published for {month} yet; run settle-month for it first")
    missing = [vpp for vpp, report in zip(wanted, found, strict=True) if report is None]
    return PublishedReports(record, reports, missing)


def read_sources(store: ObjectStore, published: PublishedReports) -> Iterator[Source]:
    """Yield each report with what explains it; those that one run settled follow each other."""

    def claimed_by(report: Report) -> str:
        of_vpp = published.record.revisions[report.settlement.vpp_id]
        return of_vpp[report.settlement.revision].run_record

    for key, group in groupby(sorted(published.reports, key=claimed_by), key=claimed_by):
        record = read_run_record(store, key)
        run = record if isinstance(record, SettledRunRecord) else None
        sources = [
            Source(report, key, run, _difference(store, published.month, report))
            for report in group
        ]
        yield from _explained(store, key, sources)


def _difference(store: ObjectStore, month: Month, report: Report) -> Difference | None:
    vpp, revision = report.settlement.vpp_id, report.settlement.revision
    found = store.read(keys.difference(month, vpp, revision)) if revision > 1 else None
    return Difference.model_validate_json(found[0]) if found else None


def _explained(store: ObjectStore, key: str, sources: list[Source]) -> Iterator[Source]:
    """Yield the sources of one run, with their details as far as they can be had."""
    with ExitStack() as stack:
        try:
            pins = read_pinned(store, key)
            connection = stack.enter_context(rebuild(store, pins))
        except Refused as problem:  # what the run pins is not there any more
            yield from (replace(source, no_detail=str(problem)) for source in sources)
            return
        rebuilt = reports_on(connection, pins.month, [source.vpp for source in sources])
        by_vpp = {report.vpp_id: report for report in rebuilt}
        for source in sources:
            if by_vpp[source.vpp].to_bytes(source.revision) == source.report.to_bytes():
                yield replace(source, detail=_detail(connection, source.vpp))
            else:
                why = "the report is not what its inputs give (verify-report says how it differs)"
                yield replace(source, no_detail=why)


def _detail(connection: duckdb.DuckDBPyConnection, vpp: str) -> Detail:
    parts = rows(connection, sql("pages/site_parts"), {"vpp": vpp})
    return Detail(
        days=rows(connection, sql("pages/vpp_days"), {"vpp": vpp}),
        site_days=_site_days(connection, vpp),
        parts={row.pop("nmi"): row for row in parts},
    )


def _site_days(connection: duckdb.DuckDBPyConnection, vpp: str) -> pl.DataFrame:
    """Return a VPP's row per site and day, by way of a Parquet file."""
    statement = f"create or replace temp table of_vpp as {sql('pages/site_days')}"
    execute(connection, statement, {"vpp": vpp})
    with workspace("pages") as folder:
        path = folder / "site-days.parquet"
        connection.execute(f"copy of_vpp to '{path}' (format parquet)")
        return pl.read_parquet(path)
