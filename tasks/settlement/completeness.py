"""Completeness: what a month lacks, before it is published.

Looked for, of the VPPs that are reported on:

- VPPs that have sites, and no event of any of them;
- of the other VPPs, sites with a battery that had events in the month before and have none;
- and days on which no site of a VPP has an event, if it had some on most days of this month or of
  the month before.

- intervals that the meters of a VPP's sites should have, and have not.

The first is refused unless the request allows it, and the last where it is more than
VPP_MAX_MISSING_PERCENT; so are a month that is not over, and one in which
nothing would be settled. The others are facts of the run. A report has all days without an event,
and each site's number of events, which follow from the month's own inputs. It says nothing of the
month before: else a late file of that one would make a revision of this one.

What a site had in the month before comes from the daily sums of the files that have events of it.
They are small, and say the same whether or not that month was ever settled. They are read only
where a member site has no event, or a VPP none on most days.

Known drawback: a site that falls silent is listed in its first silent month alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path

import duckdb

from tasks.core import keys
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.report import Days
from tasks.core.request import SettlementRequest
from tasks.core.run_record import (
    Missing,
    MissingIntervals,
    ReportOutcome,
    RunRecord,
    SettledRunRecord,
    SettlementFacts,
    SilentDays,
    SilentSite,
    SilentVpp,
)
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.io.warehouse import execute, rows, sql
from tasks.settlement.allocation import load
from tasks.settlement.inputs import MonthInputs
from tasks.settlement.meter import days_of
from tasks.settlement.reports import DraftReport

_SHOWN = 10


def find_missing(
    store: ObjectStore,
    connection: duckdb.DuckDBPyConnection,
    inputs: MonthInputs,
    reports: Sequence[DraftReport],
    folder: Path,
) -> Missing:
    """Find what the month lacks of the VPPs that are reported on, in the tables of its allocation.

    Leaves its tables behind: `silent_sites`, `last_events` and `busy_before`.

    Args:
        store: where the daily sums of the month before are.
        connection: the tables.
        inputs: the month's inputs.
        reports: those on the VPPs that are looked at.
        folder: where daily sums are brought, each as <import id>.parquet, unless they are there.
    """
    execute(connection, f"create table silent_sites as {sql('completeness/silent_sites')}")
    longest = dict(
        execute(connection, "select vpp, max(member_days) from site_months group by vpp").fetchall()
    )
    # No event on half or more of the days of their longest member.
    sparse = [
        report.vpp_id
        for report in reports
        if _days(report.days_without_events) * 2 >= longest.get(report.vpp_id, 1)
    ]
    _load_last_month(store, connection, inputs, sparse, folder)
    reported = {report.vpp_id for report in reports}

    def rows_of_reported(name: str) -> list[dict[str, object]]:
        found = rows(connection, sql(f"completeness/{name}"))
        return [row for row in found if row["vpp"] in reported]

    vpps = [SilentVpp.model_validate(row) for row in rows_of_reported("vpps_without_events")]
    busy_before = {vpp for (vpp,) in execute(connection, "from busy_before").fetchall()}
    others = set(sparse) - busy_before | {vpp.vpp for vpp in vpps}
    return Missing(
        vpps=vpps,
        sites=[SilentSite.model_validate(row) for row in rows_of_reported("sites_without_events")],
        days=[
            SilentDays(vpp=report.vpp_id, days=report.days_without_events)
            for report in reports
            if report.days_without_events and report.vpp_id not in others
        ],
    )


def _load_last_month(
    store: ObjectStore,
    connection: duckdb.DuckDBPyConnection,
    inputs: MonthInputs,
    sparse_vpps: list[str],
    folder: Path,
) -> None:
    """Make the tables of what silent sites and sparse VPPs had in the month before."""
    execute(connection, "create table last_events (nmi varchar, events bigint, last_day date)")
    execute(connection, "create table busy_before (vpp varchar)")
    [(has_silent,)] = execute(connection, "select exists (from silent_sites)").fetchall()
    files, month = inputs.last_month, inputs.month.previous
    if files.is_empty() or not (has_silent or sparse_vpps):
        return
    paths = {name: folder / f"{name}.parquet" for name in files["import_id"].unique().sort()}
    absent = [name for name, path in paths.items() if not path.exists()]
    store.download(
        [keys.import_part(name, "daily.parquet") for name in absent],
        [paths[name] for name in absent],
    )
    load(connection, folder, "last_files", files)
    days = {
        "daily": [str(path) for path in paths.values()],
        "first_day": month.first_day,
        "last_day": month.last_day,
    }
    execute(connection, f"insert into last_events {sql('completeness/last_events')}", days)
    execute(
        connection,
        f"insert into busy_before {sql('completeness/busy_before')}",
        {**days, "vpps": sparse_vpps},
    )


def require_over(month: Month, now: datetime, timezone: str, request: SettlementRequest) -> None:
    """Refuse a month that is not over in market time, unless the request allows missing data.

    Raises:
        Refused: it is not over; the message says from which day on it can be settled.
    """
    if not request.allow_missing and (why := why_not_over(month, now, timezone)):
        raise Refused(
            f"{month} is not settled: {why}. Settle it from {month.next.first_day} on, preview it, "
            "or run with allow_missing"
        )


def why_not_over(month: Month, now: datetime, timezone: str) -> str:
    """Say that a month is not over in market time; empty: it is."""
    running = Month.of(now, timezone)
    if month < running:
        return ""
    return f"{month} {'is not over' if month == running else 'has not begun'}"


def require_complete(
    month: Month,
    facts: SettlementFacts,
    reports: Sequence[DraftReport | ReportOutcome],
    request: SettlementRequest,
) -> None:
    """Refuse a settlement of nothing, or of a VPP without an event, unless the request allows it.

    Raises:
        Refused: nothing was settled, or a VPP that has sites has no event. The message names the
            VPPs, and says what to do.
    """
    if not request.allow_missing and (why := why_incomplete(month, facts, reports)):
        raise Refused(f"{month} is not settled: {why}, or run settle-month with allow_missing")


def why_incomplete(
    month: Month, facts: SettlementFacts, reports: Sequence[DraftReport | ReportOutcome]
) -> str:
    """Say why a settlement is refused as incomplete, and what to do; empty: it is not."""
    if not reports:
        return (
            f"the registry has no VPP in {month}. Create VPPs, or look whether VPP_BUCKET and "
            "VPP_PREFIX are right"
        )
    files = "Put the missing files into the inbox (events/)"
    reasons = []
    silent = facts.missing.vpps if facts.missing else []
    if silent:
        named = "; ".join(_silent_vpp(month, vpp) for vpp in silent[:_SHOWN])
        more = f"; and {len(silent) - _SHOWN} more VPPs" if len(silent) > _SHOWN else ""
        reasons.append(f"no event of {named}{more}. {files}")
    limit = Settings().max_missing_percent
    over = [vpp for vpp in facts.missing_intervals if vpp.missing * 100 > limit * vpp.expected]
    if over:
        more = f"; and {len(over) - _SHOWN} more VPPs" if over[_SHOWN:] else ""
        reasons.append(
            f"of the intervals that a VPP's meters should have, at most {limit:g}% may be missing. "
            f"{'; '.join(map(_gaps, over[:_SHOWN]))}{more}. Put the missing meter data into the "
            f"inbox ({keys.METER_DATA})"
        )
    if not (reasons or facts.settled_events):
        reasons.append(f"no VPP has a site or an event in it. {files}")
    return ". Also, ".join(reasons)


def missing_sentences(record: RunRecord, timezone: str) -> list[str]:
    """Say what was missing in a run: that its month was not over, and a sentence a VPP and kind."""
    month = Month.parse(record.month)
    why = why_not_over(month, record.started, timezone)
    said = [why] * bool(why)
    if not isinstance(record, SettledRunRecord) or record.missing is None:
        return said
    return [
        *said,
        *(f"no event of {_silent_vpp(month, vpp)}" for vpp in record.missing.vpps),
        *(
            _silent_sites(month, vpp, [site.nmi for site in sites])
            for vpp, sites in groupby(record.missing.sites, key=lambda site: site.vpp)
        ),
        *(_silent_days(of_vpp) for of_vpp in record.missing.days),
        *(_gaps(of_vpp) for of_vpp in record.missing_intervals if of_vpp.missing),
    ]


def _silent_vpp(month: Month, vpp: SilentVpp) -> str:
    since = f", there from {vpp.first_day} on" if vpp.first_day > month.first_day else ""
    last = (
        f"the last one is of {vpp.last_event}"
        if vpp.last_event
        else (f"nor was there any in {month.previous}")
    )
    return f"{vpp.vpp} ({_count(vpp.sites, 'site')}{since}; {last})"


def _silent_sites(month: Month, vpp: str, nmis: list[str]) -> str:
    return (
        f"{vpp}: {_count(len(nmis), 'site')} with a battery had events in {month.previous}, "
        f"and none in {month}: {_listed(nmis)}"
    )


def _silent_days(silent: SilentDays) -> str:
    count = _count(_days(silent.days), "day")
    return f"{silent.vpp}: no event on {count}: {_listed(map(_run, silent.days))}"


def _days(runs: list[Days]) -> int:
    return sum((run.last_day - run.first_day).days + 1 for run in runs)


def _gaps(vpp: MissingIntervals) -> str:
    sites = "; ".join(
        f"{site['nmi']} {site['missing']:,} on {days_of(site['days'])}"
        for site in vpp.sites[:_SHOWN]
    )
    more = f"; and {len(vpp.sites) - _SHOWN} more sites" if vpp.sites[_SHOWN:] else ""
    return (
        f"{vpp.vpp}: {vpp.missing:,} of {vpp.expected:,} intervals of meters are missing "
        f"({sites}{more})"
    )


def _run(days: Days) -> str:
    if days.first_day == days.last_day:
        return str(days.first_day)
    return f"{days.first_day} to {days.last_day}"


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _SHOWN:,} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
