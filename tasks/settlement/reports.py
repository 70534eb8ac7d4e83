"""From the tables of an allocation to reports: here whole cents become AUD, and rows become JSON.

There may be a million sites. So a report's head is a model, which is validated; its sites are
columns that become text, in the shape of `SiteStatement` (core/report.py) and byte for byte what
that model would write (the tests read every report back through it). What is written is kept in a
file of this machine until it is published.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from os import pread
from tempfile import TemporaryFile
from threading import Lock
from typing import Any
from weakref import finalize

import duckdb
import polars as pl

from tasks.core.money import aud
from tasks.core.month import Month
from tasks.core.report import Days, Report, Settlement, SiteStatement
from tasks.io.warehouse import execute, frame, rows, sql
from tasks.settlement.allocation import batches
from tasks.settlement.meter import ranges_of
from tasks.settlement.registry_tables import vpp_ids

_NO_SITES = b'\n  "sites": {},\n'
_REVISION = b'\n    "revision": 1'
# What a report says besides its totals and sites; each has one row per VPP, or none.
_RESTS_ON = (
    "report/inputs",
    "report/unassigned_events",
    "report/rejected",
    "report/terms",
    "report/registry_seq",
    "report/meter_inputs",
    "report/price_inputs",
    "report/reading_conflicts",
    "completeness/days_without_events",
)


class _Drafts:
    """A file without a name that is gone with this object, and with the process."""

    def __init__(self) -> None:
        file = TemporaryFile(buffering=0)  # noqa: SIM115  closed when nobody has it any more
        finalize(self, file.close)
        self._file = file
        self._lock = Lock()

    def append(self, data: bytes) -> int:
        """Write at the end; return where it begins."""
        with self._lock:
            begins, rest = self._file.tell(), memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
            return begins

    def read(self, begins: int, size: int) -> bytes:
        parts = []
        while size:
            parts.append(pread(self._file.fileno(), size, begins))
            begins, size = begins + len(parts[-1]), size - len(parts[-1])
        return b"".join(parts)


@dataclass(frozen=True)
class DraftReport:
    """A report that is not published yet: what a run needs to know of it, and where its bytes are.

    `sites` is how many it has, `totals` is in AUD, `digest` is that of the `Report`.
    """

    vpp_id: str
    name: str
    sites: int
    totals: dict[str, float]
    days_without_events: list[Days]
    digest: str
    _drafts: _Drafts = field(repr=False)
    _place: tuple[int, int, int]  # where it begins, its size, and where in it its revision is

    def to_bytes(self, revision: int = 1) -> bytes:
        """Return the report as it is published under a revision number."""
        begins, size, place = self._place
        data = self._drafts.read(begins, size)
        return b"".join((data[:place], str(revision).encode(), data[place + 1 :]))

    def read(self, revision: int = 1) -> Report:
        """Return the report itself."""
        return Report.model_validate_json(self.to_bytes(revision))

    def saying(self, report: Report) -> DraftReport:
        """Return a draft that says this instead."""
        return _draft(report, len(report.sites), report.revised(1).to_bytes(), self._drafts)


def reports_on(
    connection: duckdb.DuckDBPyConnection, month: Month, vpps: Sequence[str]
) -> list[DraftReport]:
    """Return the reports on these VPPs (empty: on all), as revision 1, in order of id.

    Leaves its tables behind, named `report_...`.

    Raises:
        Refused: a named VPP is unknown.
    """
    wanted = vpp_ids(connection, vpps)
    for name in (*_RESTS_ON, "report/site_meters", "report/stand_in_prices"):
        statement = f"create or replace temp table {_table(name)} as {sql(name)}"
        execute(connection, statement, {"vpps": wanted})
    drafts = _Drafts()
    return [
        draft
        for batch in batches(connection, wanted)
        for draft in _drafts_on(connection, month, batch, drafts)
    ]


def _table(name: str) -> str:
    return f"report_{name.split('/')[1]}"


def _drafts_on(
    connection: duckdb.DuckDBPyConnection, month: Month, vpps: list[str], drafts: _Drafts
) -> Iterator[DraftReport]:
    """Write the reports on some VPPs."""
    chosen = {"vpps": vpps}

    def rows_of(table: str) -> list[dict[str, Any]]:
        found = f"from {table} where vpp in (select unnest($vpps::varchar[])) order by all"
        return rows(connection, found, chosen)

    rests_on: dict[str, dict[str, Any]] = {
        vpp: {"inputs": [], "unassigned_events": 0, "rejected_rows": 0} for vpp in vpps
    }
    for name in _RESTS_ON:
        for row in rows_of(_table(name)):
            rests_on[row["vpp"]] |= {k: v for k, v in row.items() if k in Settlement.model_fields}
    for row in rows_of("report_stand_in_prices"):
        stand_in = {
            "region": row["region"],
            "day": row["day"],
            "intervals": ranges_of(row["slots"]),
        }
        rests_on[row["vpp"]].setdefault("stand_in_prices", []).append(stand_in)
    sites = {
        vpp: (count, text)
        for vpp, count, text in _site_texts(frame(connection, sql("report/sites"), chosen))
    }
    for statement in rows_of("vpp_statements"):
        vpp = statement["vpp"]
        head = _head(month, statement, rests_on[vpp])
        count, text = sites.get(vpp, (0, ""))
        data = head.to_bytes()
        if count:
            data = data.replace(_NO_SITES, f'\n  "sites": {{\n{text}\n  }},\n'.encode(), 1)
        yield _draft(head, count, data, drafts)


def _head(month: Month, statement: dict[str, Any], rests_on: dict[str, Any]) -> Report:
    """Return a report without its sites."""
    totals = {
        "total_revenue": aud(statement["total_revenue_cents"]),
        "vpp_ad_valorem_fee": aud(statement["ad_valorem_cents"]),
        "vpp_cost_only": aud(statement["cost_only_cents"]),
        "vpp_total_revenue": aud(statement["vpp_total_revenue_cents"]),
        "site_total_revenue_after_fees": aud(statement["sites_after_fees_cents"]),
        "vpp_daily_fees": aud(statement["fee_cents"]),
    }
    if statement["negative_balances"] == "vpp":
        totals["vpp_loss_absorbed"] = aud(statement["loss_absorbed_cents"])
    return Report.model_validate(
        {
            "vpp": statement["name"],
            "month": str(month),
            "totals": totals,
            "sites": {},
            "settlement": {"revision": 1, "vpp_id": statement["vpp"], **rests_on},
        }
    )


def _draft(report: Report, sites: int, data: bytes, drafts: _Drafts) -> DraftReport:
    """Keep a report's bytes; `report` may lack its sites."""
    return DraftReport(
        vpp_id=report.settlement.vpp_id,
        name=report.vpp,
        sites=sites,
        totals=report.totals.model_dump(mode="json", exclude_none=True),
        days_without_events=report.settlement.days_without_events or [],
        digest=sha256(data).hexdigest(),
        _drafts=drafts,
        _place=(drafts.append(data), len(data), data.index(_REVISION) + len(_REVISION) - 1),
    )


def _site_texts(sites: pl.DataFrame) -> Iterator[tuple[str, int, str]]:
    """Yield each VPP with the number of its sites, and their text in its report."""
    fields = SiteStatement.model_fields
    assert sites.columns == ["vpp", *fields]
    of_site = _object(
        [(n, pl.col(n), sites.schema[n], fields[n].is_required()) for n in fields], indent=4
    )
    texts = sites.select("vpp", text=pl.concat_str(pl.lit('    "'), "nmi", pl.lit('": '), of_site))
    assert not texts["text"].null_count(), "a site lacks a value"
    of_vpps = texts.group_by("vpp", maintain_order=True)
    yield from of_vpps.agg(pl.len(), pl.col("text").str.join(",\n")).iter_rows()


def _object(fields: Iterable[tuple[str, pl.Expr, pl.DataType, bool]], indent: int) -> pl.Expr:
    """Return the text of a JSON object: of each field its name, value, type, whether it must be.

    A row that lacks one that must be has no text at all.
    """
    line = "\n" + " " * indent
    parts: list[pl.Expr] = []
    for name, value, dtype, is_required in fields:
        comma = "," if parts else ""
        text = pl.concat_str(pl.lit(f'{comma}{line}  "{name}": '), _value(value, dtype, indent + 2))
        parts.append(text if is_required else text.fill_null(""))
    return pl.concat_str(pl.lit("{"), *parts, pl.lit(line + "}"))


def _value(value: pl.Expr, dtype: pl.DataType, indent: int) -> pl.Expr:
    """Return a value's text in JSON; a decimal is the number that is nearest to it."""
    if isinstance(dtype, pl.Struct):
        parts = ((f.name, value.struct.field(f.name), f.dtype, True) for f in dtype.fields)
        return _object(parts, indent)  # type: ignore[arg-type]
    if dtype == pl.String:
        encoded = pl.struct(value.alias("_")).struct.json_encode()
        text = encoded.str.strip_prefix('{"_":').str.strip_suffix("}")
        return pl.when(value.is_not_null()).then(text)
    if dtype.is_decimal():
        return value.cast(pl.String).cast(pl.Float64).cast(pl.String)
    return value.cast(pl.String)
