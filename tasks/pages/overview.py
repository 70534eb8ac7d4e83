"""A month at a glance, for whoever runs all VPPs: the index of all months, and a page for each.

Amounts are those of the results table vpp_months, so a month that no pages were made for yet is
listed without any. Links are relative: they work where the bucket's folders are served or copied as
they are, not behind a presigned link, which opens one object alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from tasks.core import keys
from tasks.core.month import Month
from tasks.core.month_record import MonthRecord
from tasks.core.run_record import AnyRunRecord, SettledRunRecord
from tasks.imports.event_rows import REASONS
from tasks.io.object_store import ObjectStore
from tasks.io.rendering import render
from tasks.pages.figures import Columns, columns
from tasks.publication.published import read_month_records
from tasks.publication.run_records import read_run_record

_CHART_MONTHS = 12
_NEWEST_RUNS = 30
_SUMS = ("total_revenue_aud", "vpp_total_revenue_aud", "site_total_revenue_after_fees_aud")


@dataclass(frozen=True)
class MonthEntry:
    """A month on the index. `rows` are its rows of vpp_months; None: no pages were made yet."""

    record: MonthRecord
    rows: pl.DataFrame | None

    @property
    def month(self) -> str:
        return self.record.month

    @property
    def are_pages_current(self) -> bool:
        """Say whether the pages show what is published."""
        if self.rows is None:
            return False
        shown = self.rows.select("vpp", "revision", "digest").rows()
        return shown == [
            (vpp, max(revisions), revisions[max(revisions)].digest)
            for vpp, revisions in sorted(self.record.revisions.items())
        ]

    @property
    def sums(self) -> list[Decimal]:
        """Return revenue, what VPPs receive and what sites receive, AUD; empty: not known."""
        return [] if self.rows is None else [sum(self.rows[name], Decimal(0)) for name in _SUMS]

    def state(self) -> dict[str, Any]:
        """Return what index.json says of the month."""
        closing = self.record.closing
        rows = [] if self.rows is None else self.rows.to_dicts()
        return {
            "month": self.month,
            "state": "closed" if closing else "open",
            "digest": self.record.digest,
            "are_pages_current": self.are_pages_current,
            "page": keys.statements_index(Month.parse(self.month)),
            "vpps": [_vpp_state(Month.parse(self.month), row) for row in rows],
        }


def _vpp_state(month: Month, row: dict[str, Any]) -> dict[str, Any]:
    vpp, revision = row["vpp"], row["revision"]
    return {
        **{name: float(v) if isinstance(v, Decimal) else v for name, v in row.items()},
        "statement": keys.vpp_statement(month, vpp, revision),
        "report": keys.report(month, vpp, revision),
    }


def read_entries(store: ObjectStore, tables: Mapping[str, pl.DataFrame]) -> list[MonthEntry]:
    """Return all months that were ever published, oldest first."""
    return [MonthEntry(record, tables.get(record.month)) for record in read_month_records(store)]


def stale_months(store: ObjectStore, entries: list[MonthEntry]) -> list[Month]:
    """Return the months whose pages do not show what is published, or how it is closed."""
    found = store.read(keys.statements_index(suffix="json"))
    shown = {of["month"]: of for of in json.loads(found[0])["months"]} if found else {}
    return [
        Month.parse(entry.month)
        for entry in entries
        if not entry.are_pages_current or shown.get(entry.month) != entry.state()
    ]


def put_month_page(store: ObjectStore, entries: list[MonthEntry], month: Month) -> str:
    """Put the page of a month on S3, and return its key."""
    key = keys.statements_index(month)
    store.write(key, month_page(store, entries, month), "text/html; charset=utf-8")
    return key


def put_index(store: ObjectStore, entries: list[MonthEntry]) -> str:
    """Put the index on S3, for people and for programs; return the key of the former."""
    state = {"months": [entry.state() for entry in reversed(entries)]}
    data = (json.dumps(state, indent=1, ensure_ascii=False) + "\n").encode(errors="replace")
    store.write(keys.statements_index(suffix="json"), data)
    key = keys.statements_index()
    store.write(key, index_page(store, entries), "text/html; charset=utf-8")
    return key


def index_page(store: ObjectStore, entries: list[MonthEntry]) -> bytes:
    """Return the page of all months, the newest first."""
    newest = _newest_runs(store, entries[-1].month) if entries else []
    charted = entries[-_CHART_MONTHS:]
    amounts = [entry.sums or [Decimal(0)] * len(_SUMS) for entry in charted]
    chart = columns([(("vpp", vpps), ("sites", sites)) for _, vpps, sites in amounts])
    return render(
        "pages",
        "index.html",
        entries=list(reversed(entries)),
        charted=charted,
        chart=chart,
        vpps=_vpp_charts(charted),
        vpps_month=next((of.month for of in reversed(charted) if of.rows is not None), ""),
        late=next((run.late_data for run in reversed(newest) if run.late_data is not None), None),
        unsettled=_unsettled(store, entries),
    )


def month_page(store: ObjectStore, entries: list[MonthEntry], month: Month) -> bytes:
    """Return the page of one month, which must be among the entries."""
    place = [entry.month for entry in entries].index(str(month))
    entry, runs = entries[place], _newest_runs(store, str(month))
    charts = {of["vpp"]: of["chart"] for of in _vpp_charts(entries[: place + 1][-_CHART_MONTHS:])}
    rows = [] if entry.rows is None else entry.rows.to_dicts()
    settled = [run for run in runs if isinstance(run, SettledRunRecord) and not _is_partial(run)]
    done = [run for run in settled if run.outcome in ("published", "unchanged")]
    return render(
        "pages",
        "month.html",
        entry=entry,
        month=month,
        rows=sorted(rows, key=lambda row: (-row["total_revenue_aud"], row["vpp"])),
        charts_of=charts,
        refused=[run for run in reversed(runs) if run.outcome in ("refused", "failed")],
        settled=done[-1] if done else None,
        reasons=REASONS,
        tables=("vpp_months", "site_months", "site_days"),
    )


def _is_partial(run: AnyRunRecord) -> bool:
    return bool(run.parameters.get("vpps"))


def _newest_runs(store: ObjectStore, month: str) -> list[AnyRunRecord]:
    """Return the records of a month's newest runs, oldest first; their keys begin with the time."""
    versions = store.versions(keys.run_records(f"{month}/"))
    found = (read_run_record(store, version.key) for version in versions[-_NEWEST_RUNS:])
    return [record for record in found if record]


def _unsettled(store: ObjectStore, entries: list[MonthEntry]) -> list[AnyRunRecord]:
    """Return the last runs of the months that nothing was ever published for."""
    published = {entry.month for entry in entries}
    last = {
        version.key.split("/")[1]: version.key for version in store.versions(keys.run_records())
    }
    found = (
        read_run_record(store, last[month]) for month in sorted(last) if month not in published
    )
    return [record for record in found if record and record.outcome in ("refused", "failed")]


def _vpp_charts(entries: list[MonthEntry]) -> list[dict[str, Any]]:
    """Return each VPP of the newest month with its revenue of these months as a small chart."""
    tables = [entry.rows for entry in entries]
    known = [rows for rows in tables if rows is not None]
    if not known:
        return []
    by_month = [
        {} if rows is None else {row["vpp"]: row for row in rows.iter_rows(named=True)}
        for rows in tables
    ]

    def chart(vpp: str) -> Columns:
        amounts = [of.get(vpp, {}).get("total_revenue_aud", Decimal(0)) for of in by_month]
        return columns([((("total" if amount >= 0 else "cost"), amount),) for amount in amounts])

    newest = known[-1].sort("total_revenue_aud", "vpp", descending=[True, False])
    return [{**row, "chart": chart(row["vpp"])} for row in newest.iter_rows(named=True)]
