"""A month's settlement: whether it may be published, and the reports.

A pure function of what was taken in, the registry as it was known at a moment, and the rule. It
reads S3 and writes nothing; `publication` does.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

import tasks
from tasks.core import month_record as ledger
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.report import Report, Totals, aud
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import read_log
from tasks.io.warehouse import rows, sql, warehouse
from tasks.settlement.allocation import RULE_VERSION, Inputs, WhatIf, allocate
from tasks.settlement.inputs import Intake, guard

PROGRAM = Path(tasks.__file__).parent
PINNED = ("key", "etag", "import_id", "rejected_rows")  # what a run record says of a file
FACTS = (
    "inputs",
    "as_of",
    "registry_seq",
    "rule_version",
    "files",
    "rejected",
    "duplicates",
    "failed_imports",
    "rows",
    "rejected_rows",
    "at_stake",
    "corrected_rows",
    "settled_events",
    "unassigned_events",
    "unassigned",
)


@dataclass
class Settled:
    """A month as it was settled: the reports (revision 1, until published) and the facts.

    `facts` is the part of the run record that says what was read and what became of each row.
    One that `is_known` was settled from the same inputs before: its facts are those of that run,
    and there are no reports.
    """

    month: Month
    reports: list[Report]
    facts: dict[str, Any] = field(default_factory=dict)
    is_known: bool = False


def settle(
    store: ObjectStore,
    settings: Settings,
    intake: Intake,
    vpps: list[str],
    as_of: datetime,
    max_rejected_percent: float,
    allow_failed_imports: bool,
    known: ledger.Settled | None = None,
    what_if: Sequence[WhatIf] = (),
) -> Settled:
    """Settle a month for all VPPs, and report on those named (all, where none is).

    Nothing is computed where the inputs are those of the run that is `known`. Under `what_if`, some
    VPPs have other terms than the registry says.

    Raises:
        Refused: a named VPP is unknown, a file that could matter could not be read, or too many of
            the month's rows were rejected. The message says what to do.
        CheckFailed: the books do not balance.
    """
    guard(intake, max_rejected_percent, allow_failed_imports)
    month, counting = intake.month, intake.counting
    log = seen(read_log(store), as_of)
    inputs = _digest(settings, month, counting, log)
    of_intake = {
        "rejected": intake.reasons,
        "rejected_rows": intake.rejected_rows,
        "at_stake": intake.at_stake,
        "corrected_rows": intake.corrected_rows,
        "duplicates": intake.duplicates,
        "failed_imports": intake.failed,
    }
    if known is not None and known.inputs == inputs and (facts := _facts_of(store, known)):
        return Settled(month, [], facts | of_intake, is_known=True)
    with allocated(store, month, as_of, counting, log, what_if) as connection:
        unassigned = rows(connection, sql("allocation/unassigned"))
        reports = reports_on(connection, month, vpps)
        settled_events = _one(connection, "select coalesce(sum(events), 0) from site_months")
    facts = {
        "inputs": inputs,
        "as_of": as_of.astimezone(UTC).isoformat(),
        "registry_seq": log.count(b"\n"),
        "rule_version": RULE_VERSION,
        "files": counting.select(*PINNED, "rows", "imported").to_dicts(),
        "rows": int(counting["rows"].sum()),
        "settled_events": int(settled_events),
        "unassigned_events": sum(site["events"] for site in unassigned),
        "unassigned": [{**site, "energy_kwh": float(site["energy_kwh"])} for site in unassigned],
    }
    return Settled(month, reports, facts | of_intake)


def seen(log: bytes, as_of: datetime) -> bytes:
    """Return the lines of the registry's log that were recorded by a moment: its beginning."""
    lines = log.splitlines(keepends=True)
    while lines and datetime.fromisoformat(json.loads(lines[-1])["recorded_at"]) > as_of:
        lines.pop()
    return b"".join(lines)


def _digest(settings: Settings, month: Month, counting: pl.DataFrame, log: bytes) -> str:
    """Name all that a month's reports on all VPPs are a function of, this program included."""
    digest = sha256(f"{month} {settings.timezone} {_program()}".encode())
    for file in counting.select(*PINNED, "source").iter_rows():
        digest.update(f"\n{file}".encode())
    digest.update(log)
    return digest.hexdigest()


@cache
def _program() -> str:
    """Name the version of this program: its own files, and the engines'."""
    files = (path for path in PROGRAM.rglob("*") if path.suffix in {".py", ".sql"})
    sources = sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()
    return f"{sources} {version('duckdb')} {version('polars')} {version('pydantic')}"


def _facts_of(store: ObjectStore, known: ledger.Settled) -> dict[str, Any]:
    """Return the facts of the run that settled the same inputs; none if it died before its end."""
    found = store.read(known.run_record)
    record = json.loads(found[0]) if found else {}
    return {name: record[name] for name in (*FACTS, "reports")} if "reports" in record else {}


@contextmanager
def allocated(
    store: ObjectStore,
    month: Month,
    as_of: datetime,
    counting: pl.DataFrame,
    log: bytes,
    what_if: Sequence[WhatIf] = (),
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Allocate a month from these files of the catalog and this log of the registry.

    Yields:
        The database with all tables, checked. It is gone after the block.
    """
    with tempfile.TemporaryDirectory(prefix="vpp-settle-") as temporary:
        folder = Path(temporary)
        changes = folder / "changes.jsonl"
        changes.write_bytes(log)
        daily = _daily(store, counting, folder)
        with warehouse(folder) as connection:
            allocate(connection, Inputs(month, as_of, counting, daily, changes, tuple(what_if)))
            yield connection


def _daily(store: ObjectStore, counting: pl.DataFrame, folder: Path) -> list[Path]:
    """Bring the daily sums of the imports here, each as <import id>.parquet."""
    imports = counting["import_id"].unique().sort().to_list()
    paths = [folder / f"{import_id}.parquet" for import_id in imports]
    store.download([f"imports/{import_id}/daily.parquet" for import_id in imports], paths)
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


def _wanted(connection: duckdb.DuckDBPyConnection, vpps: list[str]) -> list[str]:
    """Return the ids of the VPPs to report on, in order; names and ids are taken."""
    existing = connection.execute("select vpp, name from vpp_statements order by vpp").fetchall()
    ids = {vpp: vpp for vpp, _ in existing} | {name.casefold(): vpp for vpp, name in existing}
    if unknown := [vpp for vpp in vpps if vpp.strip().casefold() not in ids]:
        raise Refused(
            f"vpps: there is no VPP {', '.join(map(repr, unknown))} in that month; there are: "
            + (", ".join(vpp for vpp, _ in existing) or "none")
        )
    return sorted({ids[vpp.strip().casefold()] for vpp in vpps}) or [vpp for vpp, _ in existing]


def reports_on(
    connection: duckdb.DuckDBPyConnection, month: Month, vpps: list[str]
) -> list[Report]:
    """Return the reports on the VPPs named (all, where none is), as revision 1, in order of id.

    Raises:
        Refused: a named VPP is unknown.
    """

    def by_vpp(statement: str) -> dict[str, dict[str, Any]]:
        return {row.pop("vpp"): row for row in rows(connection, statement)}

    statements = by_vpp("select * from vpp_statements")
    sites = by_vpp(sql("allocation/report_sites"))
    files = by_vpp(sql("allocation/report_inputs"))
    terms = by_vpp(sql("allocation/report_terms"))
    seqs = by_vpp(sql("allocation/report_registry_seq"))
    return [
        _report(
            month,
            vpp,
            statements[vpp],
            **sites.get(vpp, {"sites": [], "unassigned_events": 0}),
            **files.get(vpp, {"inputs": [], "rejected_rows": 0}),
            **terms[vpp],
            **seqs[vpp],
        )
        for vpp in _wanted(connection, vpps)
    ]


def _report(
    month: Month,
    vpp: str,
    statement: dict[str, Any],
    sites: list[dict[str, Any]],
    **rests_on: Any,
) -> Report:
    """Return a report; `rests_on` is of its part `settlement`.

    All that is validated at once, since a portfolio has as many sites and files as it likes.
    """
    absorbs = statement["negative_balances"] == "vpp"
    totals = Totals(
        total_revenue=aud(statement["total_revenue_cents"]),
        vpp_ad_valorem_fee=aud(statement["ad_valorem_cents"]),
        vpp_cost_only=aud(statement["cost_only_cents"]),
        vpp_total_revenue=aud(statement["vpp_total_revenue_cents"]),
        site_total_revenue_after_fees=aud(statement["sites_after_fees_cents"]),
        vpp_daily_fees=aud(statement["fee_cents"]),
        vpp_loss_absorbed=aud(statement["loss_absorbed_cents"]) if absorbs else None,
    )
    return Report.model_validate(
        {
            "vpp": statement["name"],
            "month": str(month),
            "totals": totals,
            "sites": {site["nmi"]: site for site in sites},
            "settlement": {"revision": 1, "vpp_id": vpp, **rests_on},
        }
    )


def _one(connection: duckdb.DuckDBPyConnection, statement: str, parameters: Any = None) -> Any:
    found = connection.execute(statement, parameters).fetchone()
    assert found
    return found[0]
