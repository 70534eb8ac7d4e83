"""Explaining a site's month: from the cents on its current report down to its events.

The tables are built again from what the report's run record pins; the statement that values the
daily sums values the single events; the exact amounts are those that the cents were allotted by.
What happened to a site's cents in between (its own part, its parts of the pools, its rank and its
cent of rounding) is computed a second time here, day by day, to be compared with what was allotted
and published. An explanation that does not add up to it, exactly, is not given.

    events -> days (own part, part of the pool, fee) -> exact amount -> cents -> the report
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal

import duckdb
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from tasks.core import keys
from tasks.core.errors import CheckFailed, Refused
from tasks.core.money import aud
from tasks.core.month import Month
from tasks.core.report import Report
from tasks.core.words import count
from tasks.evidence.verification import (
    Pinned,
    claimed_by,
    read_pinned,
    read_report,
    rebuild,
    rebuilt_report,
    revision_of,
)
from tasks.io.object_store import ObjectStore
from tasks.io.rendering import render
from tasks.io.warehouse import execute, rows, sql
from tasks.io.workspace import workspace
from tasks.settlement.allocation import Allotment, allotments
from tasks.settlement.meter import reading_paths

_SHOWN_EVENTS = 200
_MOST_PLACES = 40
_WIDE = Context(prec=200)


def exact(amount: Fraction) -> str:
    """Write a number without loss: as a plain decimal where it is one, else as a fraction."""
    places = _places(amount.denominator)
    if places is None:
        return str(amount)
    digits = Decimal(amount.numerator * 10**places // amount.denominator)
    return format(digits.scaleb(-places, _WIDE), "f")


@lru_cache(maxsize=1024)
def _places(denominator: int) -> int | None:
    """Return how many decimals a number with this denominator has, if it ends."""
    return next((n for n in range(_MOST_PLACES) if 10**n % denominator == 0), None)


def shown(amount: Fraction, places: int = 4) -> str:
    """Write a number for display, rounded; sums are not made of what is shown."""
    scaled = Decimal(round(amount * 10**places))
    return format(scaled.scaleb(-places, _WIDE), ",f")


# JSON has it as text: "401.25", or "2500/3" where the pool was split by thirds.
Exact = Annotated[Fraction, PlainSerializer(exact, return_type=str)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Event(_Model):
    """One event on a member day."""

    file: str
    line: int = Field(description="Its line in the file; the header is line 1.")
    event_type: Literal["Charge", "Discharge"]
    energy_kwh: Exact
    tariff_cents_per_kwh: Exact
    value_cents: Exact = Field(description="Energy x tariff, with the sign that it counts with.")
    is_cost_only: bool = Field(description="A discharge worth less than zero: the VPP's alone.")


class Interval(_Model):
    """One interval of a meter on a member day."""

    file: str
    member: str = Field(description="The file in it, where it is a zip; else empty.")
    line: int = Field(description="The line of the 300 row that it stands in.")
    suffix: str
    serial: str = Field(description="The meter's.")
    number: int = Field(description="Of the day's intervals, from 1.")
    ends: datetime = Field(description="The end of the interval, in market time (UTC+10).")
    event_type: Literal["Charge", "Discharge"]
    energy_kwh: Exact
    quality: str
    tariff_cents_per_kwh: Exact = Field(
        description="The market's price: of an interval of 15 or 30 minutes the mean of 3 or 6."
    )
    price_files: list[str]
    value_cents: Exact = Field(description="Energy x price, with the sign that it counts with.")
    is_cost_only: bool = Field(description="A discharge worth less than zero: the VPP's alone.")


class Day(_Model):
    """One member day. Money in cents, capacity in kWh."""

    day: date
    revenue_percentage: Exact
    daily_fee_aud: Exact
    charge_events: str
    events: list[Event]
    intervals: list[Interval] = Field(
        default=[], description="Instead of events, from a meter: those that have a value."
    )
    shared_cents: Exact = Field(description="What the site's events are worth, cost only aside.")
    cost_only_cents: Exact
    vpp_share_cents: Exact = Field(description="The VPP's percentage of shared_cents.")
    own_cents: Exact = Field(description="The part of shared_cents that stays with the site.")
    to_pool_cents: Exact = Field(description="The rest of shared_cents, which went into the pool.")
    vpp_cents: Exact = Field(description="The shared revenue of all sites of the VPP.")
    pool_cents: Exact = Field(description="What all sites split by capacity.")
    site_capacity_kwh: Exact
    vpp_capacity_kwh: Exact = Field(description="Of all sites of the VPP.")
    pool_share_cents: Exact = Field(description="pool_cents x site / VPP capacity.")
    fee_cents: Exact = Field(description="daily_fee_aud x 28 / days in the month, in cents.")

    @property
    def events_and_intervals(self) -> list[Event | Interval]:
        return [*self.events, *self.intervals]


class Explanation(_Model):
    """A site's month in a VPP, as its report has it. Money in cents."""

    vpp: str
    vpp_id: str
    month: str
    nmi: str
    address: str
    revision: int
    run_record: str
    days: list[Day] = Field(description="Its member days, in order.")
    events_elsewhere: int = Field(
        description="Its events, or settled intervals, on days on which it was no member: not "
        "counted here."
    )
    own_cents: Exact
    pool_share_cents: Exact
    exact_cents: Exact = Field(description="own_cents + pool_share_cents, before any rounding.")
    floor_cents: int
    cents_handed_out: int = Field(
        description="What was missing in the VPP after all floors: one cent each to the sites with "
        "the largest fractions. Negative: taken from the smallest."
    )
    rank: int = Field(description="The site's place by its fraction, the largest first.")
    sites: int = Field(description="How many sites were ranked.")
    rounding_cents: Literal[-1, 0, 1]
    loss_lifted_cents: int = Field(description="A negative amount that the VPP bears, as positive.")
    before_fees_cents: int
    fee_exact_cents: Exact
    fee_due_cents: int = Field(description="fee_exact_cents, rounded half up.")
    fee_cents: int = Field(description="What was collected of it.")
    after_fees_cents: int


@dataclass(frozen=True)
class Explained:
    """An explanation, the report that it explains, and what both rest on."""

    explanation: Explanation
    report: Report
    pins: Pinned


def explain(
    store: ObjectStore, month: Month, vpp: str, nmis: list[str], revision: int = 0
) -> list[Explained]:
    """Explain some sites' parts of a revision of a VPP's report (its id); 0: of the current one.

    Raises:
        Refused: it is not published, a site is not in it, or it is not what its inputs give.
        CheckFailed: the explanation does not add up to the report: a fault of this program.
    """
    key, published = read_report(store, month, vpp, revision)
    number = revision or revision_of(key, published)
    pins = read_pinned(store, claimed_by(store, month, vpp, number))
    with rebuild(store, pins, [vpp]) as connection:
        if rebuilt_report(connection, month, vpp, number) != published:
            raise Refused(
                f"{key} is not what its inputs give; see verify-report for how it differs"
            )
        report = Report.model_validate_json(published)
        for nmi in nmis:
            if nmi not in report.sites:
                raise Refused(
                    f"nmi: site {nmi} was no member of {report.vpp} in {month}; "
                    f"its report has {count(len(report.sites), 'other')}"
                )
        return [
            Explained(_explained(store, connection, report, nmi, pins, allotment), report, pins)
            for allotment in allotments(connection, [vpp])
            for nmi in nmis
        ]


def _explained(
    store: ObjectStore,
    connection: duckdb.DuckDBPyConnection,
    report: Report,
    nmi: str,
    pins: Pinned,
    allotment: Allotment,
) -> Explanation:
    vpp = report.settlement.vpp_id
    site = {"vpp": vpp, "nmi": nmi}
    valued = _valued_items(store, connection, pins.month, nmi)
    by_day = {
        day: [_item(event) for event in events]
        for day, events in groupby(
            (event for event in valued if event["vpp"] == vpp), key=lambda event: event["day"]
        )
    }
    days = [
        _day(of_day, by_day.pop(of_day["day"], []), pins.month)
        for of_day in rows(connection, sql("explanation/member_days"), site)
    ]
    [of_month] = rows(connection, sql("explanation/site_month"), site)
    place = allotment.nmis.index(nmi)
    order = sorted(
        range(len(allotment.nmis)),
        key=lambda i: (-(allotment.numerators[i] % allotment.denominator), i),
    )
    floors = sum(numerator // allotment.denominator for numerator in allotment.numerators)
    missing, rank = allotment.total_cents - floors, order.index(place) + 1
    own = _sum(day.own_cents for day in days)
    pool_share = _sum(day.pool_share_cents for day in days)
    fee = _sum(day.fee_cents for day in days)
    case = Explanation(
        vpp=report.vpp,
        vpp_id=vpp,
        month=report.month,
        nmi=nmi,
        address=of_month["address"],
        revision=report.settlement.revision,
        run_record=pins.key,
        days=days,
        events_elsewhere=sum(event["vpp"] != vpp for event in valued),
        own_cents=own,
        pool_share_cents=pool_share,
        exact_cents=own + pool_share,
        floor_cents=(own + pool_share).__floor__(),
        cents_handed_out=missing,
        rank=rank,
        sites=len(order),
        rounding_cents=1 if rank <= missing else -1 if rank > len(order) + missing else 0,
        loss_lifted_cents=-of_month["loss_absorbed_cents"],
        before_fees_cents=of_month["before_fees_cents"],
        fee_exact_cents=fee,
        fee_due_cents=(fee + Fraction(1, 2)).__floor__(),
        fee_cents=of_month["fee_cents"],
        after_fees_cents=of_month["after_fees_cents"],
    )
    allotted = Fraction(allotment.numerators[place], allotment.denominator)
    _check(case, report, of_month, allotted, list(by_day))
    return case


def _valued_items(
    store: ObjectStore, connection: duckdb.DuckDBPyConnection, month: Month, nmi: str
) -> list[dict[str, Any]]:
    """Return a site's events and intervals of the month, by day and line, with VPP and worth."""
    execute(connection, "create schema if not exists single")
    readings = {"readings": reading_paths(connection), "nmi": nmi}
    valued = [
        *_valued_events(store, connection, month, nmi),
        *_valued(connection, "explanation/site_intervals", readings),
    ]
    return sorted(
        valued,
        key=lambda e: (e["day"], e["key"]["file"], e["key"]["line"], e["key"].get("number", 0)),
    )


def _valued_events(
    store: ObjectStore, connection: duckdb.DuckDBPyConnection, month: Month, nmi: str
) -> list[dict[str, Any]]:
    imports = [
        row["import_id"]
        for row in rows(
            connection,
            "select distinct inputs.import_id from month_events"
            " inner join inputs on month_events.key = inputs.key where month_events.nmi = $nmi",
            {"nmi": nmi},
        )
    ]
    if not imports:
        return []
    with workspace("explain") as folder:
        paths = [folder / f"{import_id}.parquet" for import_id in imports]
        store.download(
            [keys.import_part(import_id, "events.parquet") for import_id in imports], paths
        )
        for path in paths:
            _add_rejected_id(path)
        parameters = {
            "events": [str(path) for path in paths],
            "nmi": nmi,
            "first_day": month.first_day,
            "last_day": month.last_day,
        }
        return _valued(connection, "explanation/site_events", parameters)


def _valued(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: dict[str, Any]
) -> list[dict[str, Any]]:
    """Value what a statement gives in the shape of month_events.

    The statement that values the daily sums finds the single events in their place.
    """
    execute(
        connection, f"create or replace table single.month_events as {sql(statement)}", parameters
    )
    execute(connection, "set search_path = 'single,main'")
    valued = rows(connection, sql("events/valued_days"))
    execute(connection, "set search_path = 'main'")
    return valued


def _add_rejected_id(path: Path) -> None:
    """Add the column to the events of the first reader, which did not keep it."""
    if "rejected_id" not in pl.read_parquet_schema(path):
        events = pl.read_parquet(path)
        events.with_columns(pl.lit(None, pl.String).alias("rejected_id")).write_parquet(path)


def _item(valued: dict[str, Any]) -> Event | Interval:
    common = {
        "file": valued["key"]["file"],
        "line": valued["key"]["line"],
        "event_type": "Discharge" if valued["is_discharge"] else "Charge",
        "energy_kwh": Fraction(valued["energy_kwh"]),
        "value_cents": Fraction(valued["value_sixth_cents"]) / 6,
        "is_cost_only": valued["is_cost_only"],
    }
    origin = valued["key"]
    if not valued["is_metered"]:
        return Event(tariff_cents_per_kwh=Fraction(origin["tariff"]), **common)
    return Interval(
        **common,
        # Sixfold, in 10^-5 AUD per MWh; a cent per kWh is 10 AUD per MWh.
        tariff_cents_per_kwh=Fraction(origin["price"]) / (6 * 10**6),
        quality=_quality_of(origin["quality"], origin["number"]),
        **{
            name: origin[name]
            for name in ("member", "suffix", "serial", "number", "ends", "price_files")
        },
    )


def _quality_of(text: str, number: int) -> str:
    """Return an interval's quality: number 21 of '1-20 F14;21-48 A' -> 'A'."""
    own = ""
    for part in text.split(";"):
        span, _, quality = part.rpartition(" ")
        first, _, last = span.partition("-")
        if span and int(first) <= number <= int(last):
            return quality
        own = own if span else quality
    return own


def _day(row: dict[str, Any], events: list[Event | Interval], month: Month) -> Day:
    """Take a day apart. Raises CheckFailed where its events are not what was settled."""
    numbers = {name: Fraction(value) for name, value in row.items() if isinstance(value, Decimal)}
    of_day = {
        name.replace("sixth_cents", "cents"): value / 6 if "sixth_cents" in name else value
        for name, value in numbers.items()
    }
    for name, is_cost_only in (("shared_cents", False), ("cost_only_cents", True)):
        found = _sum(event.value_cents for event in events if event.is_cost_only == is_cost_only)
        if found != of_day[name]:
            raise CheckFailed(
                f"on {row['day']} the events' {name} are {exact(found)}; "
                f"{exact(of_day[name])} were settled"
            )
    share, own_share = of_day.pop("revenue_share"), of_day.pop("own_share_of_worth")
    shared, capacity = of_day["shared_cents"], of_day["vpp_capacity_kwh"]
    return Day(
        day=row["day"],
        charge_events=row["charge_events"],
        events=[event for event in events if isinstance(event, Event)],
        intervals=[event for event in events if isinstance(event, Interval)],
        vpp_share_cents=shared * share,
        own_cents=shared * own_share,
        to_pool_cents=shared * (1 - share - own_share),
        pool_share_cents=of_day["pool_cents"] * of_day["site_capacity_kwh"] / capacity
        if capacity
        else Fraction(0),
        fee_cents=of_day["daily_fee_aud"] * 100 * 28 / month.days,
        **of_day,
    )


def _check(
    case: Explanation,
    report: Report,
    of_month: dict[str, Any],
    allotted: Fraction,
    other_days: list[date],
) -> None:
    """Raise CheckFailed unless all of it adds up to what was settled and published."""
    site = report.sites[case.nmi]
    events = [event for day in case.days for event in day.events_and_intervals]

    def kwh(event_type: str) -> float:
        return float(_sum(e.energy_kwh for e in events if e.event_type == event_type))

    whole_cents = case.floor_cents + case.rounding_cents
    claims: list[tuple[str, Any, Any]] = [
        ("days with events but without membership", other_days, []),
        ("own part", case.own_cents, Fraction(of_month["own_sixth_cents"]) / 6),
        ("exact amount", case.exact_cents, allotted),
        ("whole cents", whole_cents, of_month["allotted_cents"]),
        ("before fees", whole_cents + case.loss_lifted_cents, case.before_fees_cents),
        (
            "before fees, AUD",
            shown_aud(case.before_fees_cents),
            f"{site.site_revenue_before_fees:,.2f}",
        ),
        ("fee due", case.fee_due_cents, of_month["fee_due_cents"]),
        (
            "fee",
            case.fee_cents,
            min(max(case.before_fees_cents, 0), case.fee_due_cents),
        ),
        ("fee, AUD", shown_aud(case.fee_cents), f"{site.site_daily_fee:,.2f}"),
        (
            "after fees",
            case.before_fees_cents - case.fee_cents,
            case.after_fees_cents,
        ),
        (
            "after fees, AUD",
            shown_aud(case.after_fees_cents),
            f"{site.site_revenue_after_fees:,.2f}",
        ),
        ("member days", len(case.days), site.member_days),
        ("events", len(events), site.events),
        ("kWh charged", kwh("Charge"), float(site.energy_charged_kwh)),
        ("kWh discharged", kwh("Discharge"), float(site.energy_discharged_kwh)),
    ]
    if wrong := [claim for claim in claims if claim[1] != claim[2]]:
        raise CheckFailed(
            f"{case.nmi} in {case.month} does not add up: "
            + "; ".join(
                f"{name}: {found} explained, {published} published"
                for name, found, published in wrong
            )
        )


def _sum(amounts: Any) -> Fraction:
    return sum(amounts, start=Fraction(0))


def explanation_in_words(case: Explanation) -> bytes:
    """Show an explanation as Markdown: the month's steps, its days, and the first of its events."""
    return render(
        "evidence",
        "explanation.md",
        case=case,
        events=[(day.day, event) for day in case.days for event in day.events],
        intervals=[(day.day, interval) for day in case.days for interval in day.intervals],
        most=_SHOWN_EVENTS,
        exact=exact,
        shown=shown,
        in_aud=shown_aud,
    )


def shown_aud(cents: int) -> str:
    """Write cents as AUD for display."""
    return f"{aud(cents):,f}"
