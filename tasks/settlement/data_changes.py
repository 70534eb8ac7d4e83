"""Why meter data gives other cents than before: what was replaced, and which prices changed.

What a report rests on names files. Whether a file that came brought a later version of a day, or
another price, is seen in the winners of both settlements, which are made again from the files that
the run records pin. That is only done where a report changed and its meter data or prices did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from tasks.core import keys
from tasks.core.difference import Cause, MeterChange, PriceChange, Values
from tasks.core.month import Month
from tasks.core.report import Report
from tasks.core.run_record import SettledFile, SettlementFacts
from tasks.imports.catalog import read_catalog
from tasks.io.object_store import ObjectStore
from tasks.io.warehouse import execute, rows, sql, warehouse
from tasks.io.workspace import workspace
from tasks.settlement.allocation import load
from tasks.settlement.meter import FILES_SCHEMA, MeterInputs, days_of, ranges_of, read_meter


@dataclass(frozen=True)
class DataChanges:
    """What changed in the data between two settlements of a month.

    `sites` are those with other events in files that were replaced; None where that cannot be
    said, since rows of these files are corrected, or stand elsewhere too.
    """

    connection: duckdb.DuckDBPyConnection
    sites: set[str] | None

    def spare(self, report: Report) -> bool:
        """Say that nothing in files that were replaced bears on a VPP's report."""
        if self.sites is None or not self.sites.isdisjoint(report.sites):
            return False
        return not report.settlement.meter_inputs or not self.causes(report, report)

    def causes(self, before: Report, after: Report) -> list[Cause]:
        """Return what of it bears on a VPP's report; may be called by several threads at once."""
        own = self.connection.cursor()
        readings = rows(
            own,
            sql("meter/replaced_readings"),
            {"nmis": sorted({*before.sites, *after.sites})},
        )
        prices = rows(
            own,
            sql("meter/changed_prices"),
            {"regions": after.settlement.regions or []},
        )
        return [
            *(
                Cause(
                    cause="meter data replaced",
                    meter=MeterChange(
                        nmis=row["nmis"],
                        days=days_of(row["days"]),
                        version=Values(
                            before=str(row["old_version"]), after=str(row["new_version"])
                        ),
                        quality=Values(before=row["old_quality"], after=row["new_quality"]),
                    ),
                )
                for row in readings
            ),
            *(
                Cause(
                    cause="price changed",
                    price=PriceChange(
                        region=row["region"],
                        day=row["day"],
                        intervals=ranges_of(row["slots"]),
                        first_aud_per_mwh=Values(
                            before=float(row["old_price"]), after=float(row["new_price"])
                        ),
                    ),
                )
                for row in prices
            ),
        ]


@contextmanager
def data_changes(
    store: ObjectStore, month: Month, before: SettlementFacts, after: SettlementFacts
) -> Iterator[DataChanges]:
    """Give what changed between what two settlements of a month pin, until the block ends."""
    catalog, _ = read_catalog(store)
    with workspace("changes") as folder, warehouse(folder) as connection:
        for schema, facts in (("before", before), ("after", after)):
            (folder / schema).mkdir()
            execute(connection, f"create schema {schema}")
            execute(connection, f"set schema = '{schema}'")
            inputs = _meter_inputs(store, catalog, month, facts, folder / schema)
            read_meter(connection, inputs)
        execute(connection, "set schema = 'main'")
        sites = _changed_sites(store, connection, catalog, month, before, after, folder)
        yield DataChanges(connection, sites)


def _changed_sites(
    store: ObjectStore,
    connection: duckdb.DuckDBPyConnection,
    catalog: pl.DataFrame,
    month: Month,
    before: SettlementFacts,
    after: SettlementFacts,
    folder: Path,
) -> set[str] | None:
    """Return the sites with other daily sums in the event files that were replaced."""
    old_etags = {file["key"]: file["etag"] for file in before.files}
    replaced = {
        file["key"]
        for file in after.files
        if old_etags.get(file["key"], file["etag"]) != file["etag"]
    }
    if any(
        row["key"] in replaced
        for facts in (before, after)
        for row in (*facts.corrections, *facts.repeats)
    ):
        return None
    parameters: dict[str, Any] = {"first_day": month.first_day, "last_day": month.last_day}
    for schema, facts in (("before", before), ("after", after)):
        named = [file for file in facts.files if file["key"] in replaced]
        paths, files = _bring(store, catalog, named, "daily", folder / schema)
        load(connection, folder, f"{schema}.inputs", files)
        parameters[schema] = [str(path) for path in paths]
    if not replaced:
        return set()
    return {row["nmi"] for row in rows(connection, sql("events/changed_sites"), parameters)}


def _meter_inputs(
    store: ObjectStore, catalog: pl.DataFrame, month: Month, facts: SettlementFacts, folder: Path
) -> MeterInputs:
    readings, reading_files = _bring(store, catalog, facts.meter_files, "readings", folder)
    prices, price_files = _bring(store, catalog, facts.price_files, "prices", folder)
    return MeterInputs(month, readings, reading_files, prices, price_files, folder)


def _bring(
    store: ObjectStore,
    catalog: pl.DataFrame,
    named: Sequence[SettledFile],
    part: str,
    folder: Path,
) -> tuple[list[Path], pl.DataFrame]:
    """Bring a part of the imports of some files here; return it with the catalog's rows."""
    versions = pl.DataFrame(
        [(file["key"], file["etag"], file["import_id"]) for file in named],
        schema=dict.fromkeys(["key", "etag", "import_id"], pl.String),
        orient="row",
    )
    files = versions.join(catalog, on=["key", "etag", "import_id"])
    imports = files["import_id"].unique().sort().to_list()
    (folder / part).mkdir()
    paths = [folder / part / f"{import_id}.parquet" for import_id in imports]
    store.download([keys.import_part(name, f"{part}.parquet") for name in imports], paths)
    return paths, files.select(list(FILES_SCHEMA))
