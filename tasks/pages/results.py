"""Results for analysts: three tables as Parquet, one file a month in a hive layout.

`read_parquet('results/site_months/**')` is every month that pages were made for, with `month` as a
column, which the layout gives. Each month's file has the current revisions. What the columns are
is in data/results.md, which is made from COLUMNS.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl
from polars._typing import PolarsDataType

from tasks.core import keys
from tasks.core.month import Month
from tasks.core.report import Report, SiteStatement
from tasks.io.object_store import ObjectStore

_UNITS = {"aud": "AUD", "kwh": "kWh", "cents": "cents (AUD)"}
_AUD, _KWH, _EXACT = pl.Decimal(18, 2), pl.Decimal(18, 6), pl.Decimal(31, 12)


@dataclass(frozen=True)
class Column:
    """A column of a table: its name with the unit last, its type, and what it has."""

    name: str
    type: PolarsDataType
    meaning: str

    @property
    def unit(self) -> str:
        """Return its unit, which its name ends with; empty: it has none."""
        return _UNITS.get(self.name.rsplit("_", 1)[-1], "")

    @property
    def comment(self) -> str:
        """Return what the Parquet files say of it."""
        return f"{self.unit}: {self.meaning}" if self.unit else self.meaning


@dataclass(frozen=True)
class Table:
    """A table of the results, and what one row of it is."""

    name: str
    grain: str
    columns: tuple[Column, ...]

    @property
    def schema(self) -> dict[str, PolarsDataType]:
        return {column.name: column.type for column in self.columns}

    @property
    def comments(self) -> dict[str, str]:
        """Return what its Parquet files say of it and of each column, as key-value metadata."""
        of_table = {"title": f"{self.name}: {self.grain}"}
        return of_table | {column.name: column.comment for column in self.columns}


_VPP = Column("vpp", pl.String, "The VPP's id.")
_NMI = Column("nmi", pl.String, "The site's NMI, 10 characters.")
_REVISION = Column("revision", pl.Int32, "The revision of the report that the row is from.")
_CHARGED = Column("energy_charged_kwh", _KWH, "Energy taken in.")
_DISCHARGED = Column("energy_discharged_kwh", _KWH, "Energy given out.")

VPP_MONTHS = Table(
    "vpp_months",
    "one row per VPP and month: its current report",
    (
        _VPP,
        Column("name", pl.String, "The VPP's name on its last day in the month."),
        _REVISION,
        Column(
            "digest",
            pl.String,
            "What the report says, in 64 characters, as the month's record has it.",
        ),
        Column("sites", pl.Int64, "Sites that were members on a day of the month."),
        Column("events", pl.Int64, "Events that count in the report."),
        _CHARGED,
        _DISCHARGED,
        Column("total_revenue_aud", _AUD, "Shared revenue of all sites, before any fee."),
        Column("vpp_ad_valorem_fee_aud", _AUD, "The VPP's percentage of it."),
        Column("vpp_cost_only_aud", _AUD, "Discharges worth less than zero: the VPP's alone."),
        Column("vpp_daily_fees_aud", _AUD, "Daily fees collected from the sites."),
        Column(
            "vpp_loss_absorbed_aud",
            _AUD,
            "Sites' negative amounts that the VPP bears; never positive.",
        ),
        Column(
            "vpp_total_revenue_aud", _AUD, "What the VPP gets: the four amounts before, added up."
        ),
        Column("site_total_revenue_after_fees_aud", _AUD, "What the sites get, all together."),
        Column("rejected_rows", pl.Int64, "Rejected rows of the month that name one of its sites."),
        Column(
            "unassigned_events",
            pl.Int64,
            "Events of its sites on days on which they were in no VPP.",
        ),
        Column(
            "registry_seq", pl.Int64, "The last change of the registry that bears on the report."
        ),
    ),
)
SITE_MONTHS = Table(
    "site_months",
    "one row per site, VPP and month; a site that moved within the month has a row for each VPP",
    (
        _VPP,
        _NMI,
        Column("vpp_name", pl.String, "The VPP's name on its last day in the month."),
        Column("address", pl.String, "The site's address."),
        _REVISION,
        Column("member_days", pl.Int32, "Days of the month in this VPP."),
        Column(
            "site_capacity_kwh", _KWH, "Batteries installed on its last member day of the month."
        ),
        Column("events", pl.Int64, "Its events on those days."),
        _CHARGED,
        _DISCHARGED,
        Column("site_revenue_before_fees_aud", _AUD, "Its part of the revenue."),
        Column(
            "site_daily_fee_aud", _AUD, "The daily fee collected: never more than the site earned."
        ),
        Column(
            "site_revenue_after_fees_aud", _AUD, "What the site gets; below zero, what it owes."
        ),
        Column(
            "basis",
            pl.String,
            "What it was settled by, events or meter data; null in older reports.",
        ),
        Column(
            "intervals_expected",
            pl.Int64,
            "Intervals of meter data that there should be; null where none are used.",
        ),
        Column(
            "intervals_missing", pl.Int64, "Intervals without meter data; null where none are used."
        ),
    ),
)
SITE_DAYS = Table(
    "site_days",
    "one row per site, VPP and member day; no rows for reports whose inputs are not there any more",
    (
        _VPP,
        _NMI,
        Column("day", pl.Date, "The day, in market time (UTC+10 all year)."),
        Column("site_capacity_kwh", _KWH, "Batteries installed that day."),
        Column("events", pl.Int64, "Its events that day."),
        _CHARGED,
        _DISCHARGED,
        Column(
            "shared_revenue_cents",
            _EXACT,
            "What its events are worth, to 12 decimals, but for the next column.",
        ),
        Column(
            "cost_only_cents",
            _EXACT,
            "Discharges worth less than zero, to 12 decimals: the VPP's alone.",
        ),
    ),
)
TABLES = (VPP_MONTHS, SITE_MONTHS, SITE_DAYS)


def vpp_months(reports: Iterable[Report]) -> pl.DataFrame:
    """Return the rows of some reports in the table vpp_months."""
    rows = [_vpp_month(report) for report in reports]
    return pl.DataFrame(rows, schema=VPP_MONTHS.schema, orient="row")


def _vpp_month(report: Report) -> tuple[Any, ...]:
    totals, sites, of = report.totals, report.sites.values(), report.settlement
    return (
        of.vpp_id,
        report.vpp,
        of.revision,
        report.digest,
        len(sites),
        sum(site.events for site in sites),
        sum(site.energy_charged_kwh for site in sites),
        sum(site.energy_discharged_kwh for site in sites),
        totals.total_revenue,
        totals.vpp_ad_valorem_fee,
        totals.vpp_cost_only,
        totals.vpp_daily_fees,
        totals.vpp_loss_absorbed or 0,
        totals.vpp_total_revenue,
        totals.site_total_revenue_after_fees,
        of.rejected_rows,
        of.unassigned_events,
        of.registry_seq,
    )


def site_months(reports: Iterable[Report]) -> pl.DataFrame:
    """Return the rows of some reports in the table site_months."""
    rows = [_site_month(report, site) for report in reports for site in report.sites.values()]
    return pl.DataFrame(rows, schema=SITE_MONTHS.schema, orient="row")


def _site_month(report: Report, site: SiteStatement) -> tuple[Any, ...]:
    return (
        report.settlement.vpp_id,
        site.nmi,
        report.vpp,
        site.address,
        report.settlement.revision,
        site.member_days,
        site.site_capacity_kwh,
        site.events,
        site.energy_charged_kwh,
        site.energy_discharged_kwh,
        site.site_revenue_before_fees,
        site.site_daily_fee,
        site.site_revenue_after_fees,
        getattr(site, "basis", None),
        getattr(site, "intervals_expected", None),
        getattr(site, "intervals_missing", None),
    )


def site_days(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of some VPPs in the table site_days, in order."""
    schema = pl.Schema(SITE_DAYS.schema)
    empty = pl.DataFrame(schema=schema)
    return pl.concat([empty, *(part.cast(schema) for part in parts)]).sort("vpp", "nmi", "day")


def put_table(store: ObjectStore, table: Table, month: Month, rows: pl.DataFrame) -> str:
    """Put a month's part of a table on S3, and return its key."""
    key = keys.results_table(table.name, month)
    buffer = io.BytesIO()
    rows.select(list(table.schema)).write_parquet(
        buffer, compression="zstd", statistics=True, metadata=table.comments
    )
    store.write(key, buffer.getvalue(), "application/vnd.apache.parquet")
    return key


def read_vpp_months(store: ObjectStore) -> dict[str, pl.DataFrame]:
    """Return the table vpp_months by month, of all months that it was written for."""
    months = {}
    for version in store.versions(f"{keys.RESULTS}{VPP_MONTHS.name}/"):
        month = version.key.split("/month=")[1].split("/")[0]
        if found := store.read(version.key):
            months[month] = pl.read_parquet(found[0])
    return months


def dictionary() -> str:
    """Return the data dictionary: what each column of each table is, as Markdown."""
    lines = [
        "# Results",
        "",
        "What the tables under `results/` on S3 have. Written by `make golden` from",
        "`tasks/pages/results.py`; nothing in it is edited by hand.",
        "",
        "    select month, sum(site_revenue_after_fees_aud)",
        "    from read_parquet('results/site_months/**') group by month order by month",
        "",
        "Each table is one Parquet file a month, `results/<table>/month=<month>/<table>.parquet`.",
        "The layout gives each row one column more: `month`, text, YYYY-MM. Money is decimal,",
        "never floating point. A month's files have its current revisions, and are written again",
        "by `make-statements`. Each file says of its columns what stands here:",
        "",
        "    select decode(key), decode(value)",
        "    from parquet_kv_metadata('results/site_months/**')",
    ]
    for table in TABLES:
        lines += [
            "",
            f"## {table.name}: {table.grain}",
            "",
            "| column | type | unit | what |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {c.name} | {_type_name(c.type)} | {c.unit} | {c.meaning} |" for c in table.columns
        ]
    return "\n".join(lines) + "\n"


def _type_name(of: PolarsDataType) -> str:
    if isinstance(of, pl.Decimal):
        return f"decimal({of.precision}, {of.scale})"
    names = {pl.String: "text", pl.Int32: "int32", pl.Int64: "int64", pl.Date: "date"}
    return names[of]  # type: ignore[index]
