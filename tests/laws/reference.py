"""Settle a month the slow and obvious way, as the yardstick for the real thing.

Every sum is an exact fraction, every day is looked at on its own, and every question to the
registry scans the changes that answer it. It has no line in common with the code under test: it
is the allocation rule read out loud, and the step numbers in the comments are the rule's.

Definitions:
    A registry attribute has, on a day, the value of the change with the latest `effective_from`
    that is not after the day; of several on one date the one recorded last wins. A null
    `effective_from` means from the beginning. A change that a withdraw-change names by its place in
    the log, counted from 1, is as if it had never been made.
    A VPP exists on the days on which its `revenue_percentage` is set.
    Money inside is a fraction of cents; money in the result is whole cents.

Known drawbacks:
    It trusts its input. A change that a registry would refuse is not refused here, except that a
    site cannot be a member of a VPP on a day before the VPP exists.
"""

from __future__ import annotations

import calendar
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, TypedDict

Change = Mapping[str, Any]
EventType = Literal["Charge", "Discharge"]

FEES_A_MONTH = 28
OWN_SHARE = Fraction(80, 100)
POOL_SHARE = Fraction(20, 100)

VPP_ATTRIBUTES = (
    "name",
    "revenue_percentage",
    "daily_fee_aud",
    "charge_events",
    "negative_balances",
)
METER_ATTRIBUTES = ("region", "channels", "basis")
VPP_DEFAULTS = {"daily_fee_aud": None, "charge_events": "cost", "negative_balances": "site"}


@dataclass(frozen=True)
class Event:
    """One row of an event file: what a site charged or discharged, at which tariff."""

    nmi: str
    day: date
    event_type: EventType
    energy_kwh: Decimal
    tariff_cents_per_kwh: Decimal


class SiteResult(TypedDict):
    """One site's month in one VPP. Money in cents."""

    site_capacity_kwh: Decimal
    site_revenue_before_fees: int
    site_daily_fee: int
    site_revenue_after_fees: int
    member_days: int
    events: int
    energy_charged_kwh: Decimal
    energy_discharged_kwh: Decimal


class VppResult(TypedDict):
    """One VPP's month: totals in the report's order, sites in NMI order. Money in cents."""

    name: str
    totals: dict[str, int]
    sites: dict[str, SiteResult]


@dataclass(frozen=True)
class Settlement:
    """All VPPs that exist in the month, by id, and the month's events that were nobody's."""

    vpps: dict[str, VppResult]
    unassigned_events: int


class Registry:
    """What the registry says about each entity on each day."""

    def __init__(self, changes: Iterable[Change]) -> None:
        """Spread each change over the attributes it sets, in the order of recording."""
        self._entities: dict[str, set[str]] = {"vpp": set(), "site": set(), "battery": set()}
        self._settings: dict[tuple[str, str, str], list[tuple[date, int, Any]]] = defaultdict(list)
        log = list(changes)
        withdrawn = {c["withdraws"] for c in log if c["change"] == "withdraw-change"}
        for seq, change in enumerate(log, 1):
            if seq in withdrawn or change["change"] == "withdraw-change":
                continue
            text = change["effective_from"]
            effective = date.min if text is None else date.fromisoformat(text)
            kind, entity, attributes = attributes_set(change)
            self._entities[kind].add(entity)
            for attribute, value in attributes.items():
                self._settings[kind, entity, attribute].append((effective, seq, value))

    def value(self, kind: str, entity: str, attribute: str, day: date) -> Any:
        """Give an attribute's value on a day, None where it was never set."""
        in_force = [
            (effective, seq, value)
            for effective, seq, value in self._settings.get((kind, entity, attribute), [])
            if effective <= day
        ]
        return max(in_force, key=lambda s: (s[0], s[1]))[2] if in_force else None

    def vpps(self) -> list[str]:
        """List the ids of all VPPs ever recorded."""
        return sorted(self._entities["vpp"])

    def exists(self, vpp: str, day: date) -> bool:
        """Tell whether a VPP has been created by a day."""
        return self.value("vpp", vpp, "revenue_percentage", day) is not None

    def members(self, vpp: str, day: date) -> list[str]:
        """List the NMIs of a VPP's sites on a day, in order.

        Raises:
            ValueError: A site is a member before the VPP exists.
        """
        sites = sorted(self._entities["site"])
        members = [nmi for nmi in sites if self.value("site", nmi, "vpp", day) == vpp]
        if members and not self.exists(vpp, day):
            raise ValueError(f"{members} are members of {vpp} on {day}, before it exists")
        return members

    def capacity_kwh(self, nmi: str, day: date) -> Decimal:
        """Add up the batteries installed at a site on a day."""
        return sum(
            (
                Decimal(self.value("battery", serial, "capacity_kwh", day))
                for serial in self._entities["battery"]
                if self.value("battery", serial, "nmi", day) == nmi
            ),
            Decimal(0),
        )


def attributes_set(change: Change) -> tuple[str, str, dict[str, Any]]:
    """Say which entity a change is about (kind, key) and which attributes it sets to what.

    Raises:
        ValueError: The kind of change is unknown.
    """
    match change["change"]:
        case "create-vpp":
            return "vpp", change["vpp"], VPP_DEFAULTS | present(change, VPP_ATTRIBUTES)
        case "update-vpp":
            return "vpp", change["vpp"], present(change, VPP_ATTRIBUTES)
        case "create-site":
            return "site", change["nmi"], present(change, ("vpp", "address", *METER_ATTRIBUTES))
        case "assign-site":
            return "site", change["nmi"], {"vpp": change["vpp"]}
        case "update-site":
            return "site", change["nmi"], present(change, ("address", *METER_ATTRIBUTES))
        case "add-battery":
            added = present(change, ("nmi", "manufacturer", "capacity_kwh"))
            return "battery", change["serial"], added
        case "update-battery":
            updated = present(change, ("manufacturer", "capacity_kwh"))
            return "battery", change["serial"], updated
        case "remove-battery":
            return "battery", change["serial"], {"nmi": None}
        case unknown:
            raise ValueError(f"unknown change {unknown!r}")


def present(change: Change, keys: Iterable[str]) -> dict[str, Any]:
    """Keep the keys that a change has: an absent key leaves its attribute as it was."""
    return {key: change[key] for key in keys if key in change}


def round_half_away(value: Fraction) -> int:
    """Round to a whole number, halves away from zero."""
    nearest = math.floor(abs(value) + Fraction(1, 2))
    return nearest if value >= 0 else -nearest


def largest_remainder(exact: Mapping[str, Fraction], total: int) -> dict[str, int]:
    """Allot whole cents that add up to exactly `total`, each close to its exact amount (step 8)."""
    allotted = {nmi: math.floor(amount) for nmi, amount in exact.items()}
    fraction = {nmi: amount - math.floor(amount) for nmi, amount in exact.items()}
    largest_first = sorted(sorted(exact), key=lambda nmi: fraction[nmi], reverse=True)
    missing = total - sum(allotted.values())
    if missing >= 0:
        for nmi in largest_first[:missing]:
            allotted[nmi] += 1
    else:
        # A stable sort keeps ties in NMI order, so the end of the list is the smallest fraction
        # and, among equals, the larger NMI.
        for nmi in largest_first[missing:]:
            allotted[nmi] -= 1
    assert sum(allotted.values()) == total
    return allotted


def worth(event: Event, charge_events: str) -> Fraction:
    """Give what an event is worth in cents under a VPP's terms (step 1)."""
    amount = Fraction(event.energy_kwh) * Fraction(event.tariff_cents_per_kwh)
    is_cost = event.event_type == "Charge" and charge_events == "cost"
    return -amount if is_cost else amount


def days_of(month: str) -> list[date]:
    """List the days of a month given as YYYY-MM."""
    year, number = int(month[:4]), int(month[5:])
    last = calendar.monthrange(year, number)[1]
    return [date(year, number, day) for day in range(1, last + 1)]


def settle(changes: Iterable[Change], events: Iterable[Event], month: str) -> Settlement:
    """Settle one month of every VPP that exists on any of its days.

    Args:
        changes: The registry's log, in the order of recording.
        events: In any order; those of other months do not count.
        month: As YYYY-MM.

    Raises:
        ValueError: An unknown change, or a site in a VPP before the VPP exists.
    """
    registry = Registry(changes)
    days = days_of(month)
    in_month = [event for event in events if event.day in days]
    results = {
        vpp: settle_vpp(registry, vpp, in_month, days)
        for vpp in registry.vpps()
        if any(registry.exists(vpp, day) for day in days)
    }
    unassigned = [
        event
        for event in in_month
        if not any(event.nmi in registry.members(vpp, event.day) for vpp in registry.vpps())
    ]
    return Settlement(vpps=results, unassigned_events=len(unassigned))


def settle_vpp(
    registry: Registry, vpp: str, events: Sequence[Event], days: Sequence[date]
) -> VppResult:
    """Settle one VPP's month: exact day by day, then rounded once."""
    revenue = ad_valorem = cost_only = Fraction(0)
    before: dict[str, Fraction] = defaultdict(Fraction)
    fees_due: dict[str, Fraction] = defaultdict(Fraction)
    own_events: dict[str, list[Event]] = defaultdict(list)
    member_days: dict[str, list[date]] = defaultdict(list)

    for day in days:
        members = registry.members(vpp, day)
        if not members:
            continue
        rate = Fraction(registry.value("vpp", vpp, "revenue_percentage", day)) / 100
        daily_fee_cents = Fraction(registry.value("vpp", vpp, "daily_fee_aud", day) or 0) * 100
        charge_events = registry.value("vpp", vpp, "charge_events", day)
        capacity = {nmi: Fraction(registry.capacity_kwh(nmi, day)) for nmi in members}
        day_capacity = sum(capacity.values(), Fraction(0))

        for nmi in members:
            member_days[nmi].append(day)
            before[nmi] += 0
            fees_due[nmi] += daily_fee_cents * FEES_A_MONTH / len(days)  # step 6

        for event in events:
            if event.day != day or event.nmi not in members:
                continue
            own_events[event.nmi].append(event)
            value = worth(event, charge_events)
            if event.event_type == "Discharge" and value < 0:
                cost_only += value  # step 2
                continue
            revenue += value  # step 3
            ad_valorem += rate * value  # step 4
            left = value - rate * value  # step 5, to the end of the loop
            before[event.nmi] += OWN_SHARE * left
            if day_capacity == 0:
                before[event.nmi] += POOL_SHARE * left
            else:
                for nmi in members:
                    before[nmi] += POOL_SHARE * left * capacity[nmi] / day_capacity

    is_loss_absorbed = registry.value("vpp", vpp, "negative_balances", days[-1]) == "vpp"
    total_revenue, vpp_ad_valorem_fee = round_half_away(revenue), round_half_away(ad_valorem)
    allotted = largest_remainder(before, total_revenue - vpp_ad_valorem_fee)
    loss_absorbed = sum(min(cents, 0) for cents in allotted.values()) if is_loss_absorbed else 0

    sites: dict[str, SiteResult] = {}
    for nmi in sorted(member_days):
        before_fees = max(allotted[nmi], 0) if is_loss_absorbed else allotted[nmi]
        fee = min(max(before_fees, 0), round_half_away(fees_due[nmi]))  # step 9
        sites[nmi] = {
            "site_capacity_kwh": registry.capacity_kwh(nmi, member_days[nmi][-1]),
            "site_revenue_before_fees": before_fees,
            "site_daily_fee": fee,
            "site_revenue_after_fees": before_fees - fee,
            "member_days": len(member_days[nmi]),
            "events": len(own_events[nmi]),
            "energy_charged_kwh": energy_kwh(own_events[nmi], "Charge"),
            "energy_discharged_kwh": energy_kwh(own_events[nmi], "Discharge"),
        }

    vpp_cost_only = round_half_away(cost_only)
    fees = sum(site["site_daily_fee"] for site in sites.values())
    totals = {
        "total_revenue": total_revenue,
        "vpp_ad_valorem_fee": vpp_ad_valorem_fee,
        "vpp_cost_only": vpp_cost_only,
        "vpp_total_revenue": vpp_ad_valorem_fee + fees + vpp_cost_only + loss_absorbed,
        "site_total_revenue_after_fees": sum(s["site_revenue_after_fees"] for s in sites.values()),
        "vpp_daily_fees": fees,
    }
    if is_loss_absorbed:
        totals["vpp_loss_absorbed"] = loss_absorbed
    name = registry.value("vpp", vpp, "name", days[-1])
    return {"name": name, "totals": totals, "sites": sites}


def energy_kwh(events: Iterable[Event], event_type: EventType) -> Decimal:
    """Add up the energy of the events of one type."""
    return sum((e.energy_kwh for e in events if e.event_type == event_type), Decimal(0))
