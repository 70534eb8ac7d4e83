"""The registry: VPPs, sites and batteries, as the changes so far say.

The value of an attribute on a day is that of the change with the greatest `effective_from` up to
that day; among equals the last one recorded wins.

`sql/registry/spans.sql` reads the same log by the same rule for a settlement; this module is what
decides whether a change may be added.
"""

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from tasks.core.change_fields import MAX_NAME_CHARACTERS, shown
from tasks.core.changes import (
    FIELDS,
    KINDS,
    AddBattery,
    AssignSite,
    Change,
    CreateSite,
    CreateVpp,
    RemoveBattery,
    UpdateBattery,
    UpdateSite,
    UpdateVpp,
    WithdrawChange,
    day_text,
    slug,
)
from tasks.core.errors import Refused
from tasks.core.month import Month

_ALTERING = (UpdateVpp, UpdateSite, AssignSite, UpdateBattery, RemoveBattery)
_SHOWN_DEPENDENTS = 10
_SHOWN_VPPS = 3


def _on(day: date) -> str:
    return "in the beginning" if day == date.min else f"on {day}"


@dataclass(frozen=True)
class LaterChange:
    """A change that was recorded before another one, and still holds from a later day on."""

    seq: int
    effective_from: date
    values: dict[str, Any]  # by attribute

    def __str__(self) -> str:
        """Say it in a sentence."""
        said = ", ".join(
            f"{name} {'none' if value is None else _text(value)}"
            for name, value in self.values.items()
        )
        return f"Change {self.seq} still holds from {self.effective_from} on: {said}."


def _text(value: Any) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)


_Timeline = list[tuple[date, int, Any]]
_Entity = tuple[str, str]


class Registry:
    """All entities with their attributes' values by day, as the changes so far say.

    `today` (market time) decides which of a VPP's names is its current one.
    """

    def __init__(self, changes: Iterable[Change] = (), today: date = date.max) -> None:
        self.seq = 0
        self.today = today
        self._timelines: dict[_Entity, dict[str, _Timeline]] = defaultdict(dict)
        self._vpp_by_name: dict[str, str] = {}
        self._noted_names: dict[str, list[str]] = {}  # by VPP, those of _vpp_by_name
        self._changes: dict[int, Change] = {}  # by seq, without those that are withdrawn
        self._withdrawn: dict[int, int] = {}  # by seq, the seq of what withdrew it
        self._names_in: dict[Month, dict[str, set[str]]] = {}  # VPPs by name, made when asked for
        self._about: dict[_Entity, set[int]] | None = None  # seqs, made when asked for
        for change in changes:
            self._record(change)

    def add(self, change: Change, at: datetime, by: str) -> Change:
        """Take in one more change and return it as it goes into the log.

        Names become ids, and a missing `effective_from` becomes its default: the beginning for
        what creates, today for what alters.

        Raises:
            Refused: the change does not fit what the registry says; the registry is as before.
        """
        entered: dict[str, Any] = {
            "seq": self.seq + 1,
            "recorded_at": at,
            "recorded_by": by,
            "clock_said": None,
        }
        if isinstance(change, _ALTERING) and "effective_from" not in change.model_fields_set:
            entered["effective_from"] = self.today
        if isinstance(change, WithdrawChange):
            entered |= self._of_withdrawn(change)
        elif isinstance(change, CreateVpp):
            entered["vpp"] = change.vpp or slug(change.name)
        elif reference := getattr(change, "vpp", None):
            since = entered.get("effective_from", change.effective_from)
            entered["vpp"] = self.vpp_id(
                reference, Month(since.year, since.month) if since else None
            )
        change = change.model_copy(update=entered)
        if isinstance(change, WithdrawChange):
            self._check_withdrawal(change)
        else:
            self._check(change)
        self._record(change)
        return change

    def vpp_id(self, reference: str, month: Month | None = None) -> str:
        """Return the id of a VPP by its id, its current name, or a name that it had in a month.

        Raises:
            Refused: there is none, or the name is one VPP's now and was another's in that month.
        """
        wanted = reference.strip()
        if self.knows("vpp", wanted):
            return wanted
        name = wanted.casefold()
        now = self._vpp_by_name.get(name)
        then = self._vpps_named_in(month).get(name, set()) if month else set()
        found = sorted({*then, *([now] if now else [])})
        if len(found) > 1:
            raise Refused(
                f"vpp: {shown(wanted)} is the name of more than one VPP, in {month} or now; give "
                f"the id of the one that you mean: {' or '.join(found)}"
            )
        if not found:
            raise Refused(f"vpp: there is no VPP {shown(wanted)}; {self._like(name)}")
        return found[0]

    def _like(self, name: str) -> str:
        """Say which VPPs may be meant by a name that none has."""
        having = [known for known in self._vpp_by_name if name and name in known]
        known = having or get_close_matches(name, self._vpp_by_name, cutoff=0.8)
        ids = sorted({self._vpp_by_name[one] for one in known})[:_SHOWN_VPPS]
        meant = f"is {' or '.join(ids)} meant? " if ids else ""
        return f"{meant}list-registry lists all, create-vpp makes one"

    def knows(self, kind: str, id: str) -> bool:
        """Say whether there is such a 'vpp', 'site' or 'battery', on whatever day."""
        return (kind, id) in self._timelines

    def later_than(self, change: Change) -> list[LaterChange]:
        """Return the changes that were recorded before this one and hold from a later day on."""
        since = change.effective_from or date.min
        found: dict[tuple[date, int], dict[str, Any]] = defaultdict(dict)
        timelines = self._timelines.get(change.entity(), {})
        for attribute in change.facts():
            timeline = timelines.get(attribute, [])
            for day, seq, value in timeline[_position(timeline, since) :]:
                if seq < change.seq:
                    found[day, seq][attribute] = value
        return [LaterChange(seq, day, values) for (day, seq), values in sorted(found.items())]

    def entities(self, kind: str) -> list[str]:
        """Return the ids of all entities of a kind, in order."""
        return sorted(id for of, id in self._timelines if of == kind)

    def _value(self, kind: str, id: str, attribute: str, day: date) -> Any:
        fact = _in_force(self._timelines[kind, id].get(attribute, []), day)
        return fact[2] if fact else None

    def _record(self, change: Change) -> None:
        self.seq = change.seq
        if isinstance(change, WithdrawChange):
            self._withdraw(change)
            return
        entity = change.entity()
        timelines = self._timelines[entity]
        since = change.effective_from or date.min
        for attribute, value in change.facts().items():
            fact = (since, change.seq, value)
            insort(timelines.setdefault(attribute, []), fact, key=lambda fact: fact[:2])
        self._changes[change.seq] = change
        if self._about is not None:
            self._index(change)
        if "name" in change.facts():
            self._note_names(entity[1])

    def _withdraw(self, withdrawal: WithdrawChange) -> None:
        """Take a change out of the timelines."""
        change = self._changes.pop(withdrawal.withdraws)
        self._withdrawn[change.seq] = withdrawal.seq
        entity = change.entity()
        timelines = self._timelines[entity]
        for attribute in change.facts():
            rest = [fact for fact in timelines[attribute] if fact[1] != change.seq]
            timelines[attribute] = rest
            if not rest:
                del timelines[attribute]
        if not timelines:
            del self._timelines[entity]
        if self._about is not None:
            for about in (entity, change.refers_to()):
                if about:
                    self._about[about].discard(change.seq)
        if "name" in change.facts():
            self._note_names(entity[1])

    def _note_names(self, id: str) -> None:
        """Note a VPP's names; one that it will have is taken too, and already leads to it."""
        self._names_in.clear()
        for name in self._noted_names.pop(id, []):
            if self._vpp_by_name.get(name) == id:
                del self._vpp_by_name[name]
        self._noted_names[id] = [name.casefold() for name in self._names(id)]
        self._vpp_by_name |= dict.fromkeys(self._noted_names[id], id)

    def _names(self, vpp: str) -> list[str]:
        """Return a VPP's current name, and those that it will have."""
        timeline = self._timelines.get(("vpp", vpp), {}).get("name", [])
        return [fact[2] for fact in timeline[max(_position(timeline, self.today) - 1, 0) :]]

    def _vpps_named_in(self, month: Month) -> dict[str, set[str]]:
        """Return which VPPs had which names on any day of a month."""
        if month not in self._names_in:
            names: dict[str, set[str]] = defaultdict(set)
            for id in self.entities("vpp"):
                timeline = self._timelines["vpp", id].get("name", [])
                first = max(_position(timeline, month.first_day) - 1, 0)
                for fact in timeline[first : _position(timeline, month.last_day)]:
                    names[fact[2].casefold()].add(id)
            self._names_in[month] = dict(names)
        return self._names_in[month]

    def _check(self, change: Change) -> None:
        """Refuse a change that does not fit."""
        kind, id = change.entity()
        since = change.effective_from or date.min
        if isinstance(change, CreateVpp):
            self._check_new_vpp(change)
        elif isinstance(change, CreateSite):
            if self.knows(kind, id):
                raise Refused(self._site_exists(id))
        elif not isinstance(change, AddBattery):
            self._check_started(kind, id, since)
        if name := getattr(change, "name", None):
            self._check_name(id, name)
        if needed := change.refers_to():
            self._check_started(*needed, since)
        if isinstance(change, AddBattery):
            self._check_free(id, since)
        if isinstance(change, RemoveBattery) and self._value(kind, id, "nmi", since) is None:
            raise Refused(
                f"serial: battery {id} is not installed {_on(since)}, so there is nothing to "
                f"remove{self._removed(id, since)}"
            )
        if isinstance(change, UpdateBattery) and self._is_gone(id, since):
            raise Refused(
                f"serial: battery {id} is not installed {_on(since)} or later, so there is nothing "
                f"to change{self._removed(id, since)}"
            )
        if isinstance(change, UpdateVpp | UpdateBattery | UpdateSite) and not change.facts():
            raise Refused(f"{change.change} of {id} changes nothing; give at least one field")

    def _check_new_vpp(self, change: CreateVpp) -> None:
        id = change.vpp
        if not id:
            raise Refused(
                f"name: {shown(change.name)} has no letter from a to z and no digit, and the "
                "VPP's id is made of these; choose another name"
            )
        if len(id) > MAX_NAME_CHARACTERS:
            raise Refused(f"name: its id would have {len(id)} characters; choose a shorter name")
        if self.knows("vpp", id):
            named = {name.casefold() for name in self._names(id)}
            if change.name.casefold() in {id, *named}:
                raise Refused(f"VPP {id} exists already; to change it use update-vpp")
            name = self._names(id)[0]
            raise Refused(
                f"name: {shown(change.name)} would get the id {id}, which VPP {shown(name)} has; "
                f"choose another name, or {shown(name)} to change that VPP"
            )

    def _check_name(self, id: str, name: str) -> None:
        """Refuse a name that would make it unclear which VPP is meant."""
        for claimed in {name.casefold(), id.casefold()}:
            owner = claimed if self.knows("vpp", claimed) else self._vpp_by_name.get(claimed)
            if owner not in (None, id):
                raise Refused(
                    f"name: {shown(name)} is the name or id of VPP {owner}; choose another"
                )

    def _site_exists(self, nmi: str) -> str:
        vpp = self._value("site", nmi, "vpp", self.today)
        where = f"a member of VPP {vpp}" if vpp else "a member of no VPP"
        return (
            f"nmi: site {nmi} exists already, today as {where}; to move it use assign-site, to "
            "change its address, region, channels or basis update-site"
        )

    def _check_free(self, serial: str, since: date) -> None:
        """Refuse to install a battery that is installed, then or later."""
        timeline = self._timelines.get(("battery", serial), {}).get("nmi", [])
        position = _position(timeline, since)
        now, later = timeline[max(position - 1, 0) : position], timeline[position:]
        if now and now[0][2] is not None:
            end = next((day for day, _, nmi in later if nmi is None), None)
            where = f"serial: battery {serial} is installed at site {now[0][2]}"
            if end is None or any(nmi is not None for _, _, nmi in later):
                raise Refused(
                    f"{where} {_on(since)}; to change it use update-battery, to move it "
                    "remove-battery first"
                )
            raise Refused(
                f"{where} until it is removed on {end}; to install it again give an "
                f"effective_from of {end} or later"
            )
        for day, seq, nmi in later:
            if nmi is not None:
                raise Refused(
                    f"serial: battery {serial} is installed at site {nmi} from {day} on (change "
                    f"{seq}); remove it from that day on with remove-battery first, or take that "
                    "change back with withdraw-change"
                )

    def _is_gone(self, serial: str, since: date) -> bool:
        """Say whether a battery is at no site on a day or later."""
        timeline = self._timelines["battery", serial].get("nmi", [])
        return all(nmi is None for _, _, nmi in timeline[max(_position(timeline, since) - 1, 0) :])

    def _removed(self, serial: str, since: date) -> str:
        fact = _in_force(self._timelines["battery", serial].get("nmi", []), since)
        return f"; it was removed from {day_text(fact[0])} on (change {fact[1]})" if fact else ""

    def _check_started(self, kind: str, id: str, since: date) -> None:
        """Refuse what is said of an entity that is not there (yet, on that day)."""
        if not self.knows(kind, id):
            create = "add-battery" if kind == "battery" else f"create-{kind}"
            raise Refused(f"{FIELDS[kind]}: there is no {kind} {id}; make it with {create} first")
        timelines = self._timelines[kind, id]
        start = min(timeline[0][0] for timeline in timelines.values())
        if since < start:
            raise Refused(
                f"effective_from: {kind} {id} starts on {start}, which is after {day_text(since)}; "
                f"give {start} or later"
            )

    def _of_withdrawn(self, withdrawal: WithdrawChange) -> dict[str, Any]:
        """Return what the log says of the change that is withdrawn."""
        seq = withdrawal.withdraws
        given = {"effective_from", *KINDS} & withdrawal.model_fields_set
        if field := next((f for f in sorted(given) if getattr(withdrawal, f) is not None), None):
            raise Refused(f"{field}: is not to be given; it is that of the change taken back")
        if seq in self._withdrawn:
            raise Refused(f"change {seq} is taken back already, by change {self._withdrawn[seq]}")
        if seq > self.seq:
            raise Refused(f"there is no change {seq} to take back; the last one is {self.seq}")
        if seq not in self._changes:
            raise Refused(
                f"change {seq} takes another one back itself; record again what that one said"
            )
        change = self._changes[seq]
        kind, id = change.entity()
        return {FIELDS[kind]: id, "effective_from": change.effective_from}

    def _check_withdrawal(self, withdrawal: WithdrawChange) -> None:
        """Refuse to take back what others need, naming them."""
        change = self._changes[withdrawal.withdraws]
        if needing := self._all_needing(change):
            named = [f"change {other.seq} ({other.title()})" for other in needing]
            more = len(named) - _SHOWN_DEPENDENTS
            named = named[:_SHOWN_DEPENDENTS] + ([f"{more} more"] if more > 0 else [])
            raise Refused(
                f"change {change.seq} ({change.title()}) is needed by {', '.join(named)}; take "
                "these back first, in this order"
            )
        if isinstance(change, UpdateVpp) and change.name is not None:
            timeline = self._timelines["vpp", change.vpp]["name"]
            rest = [fact for fact in timeline if fact[1] != change.seq]
            for _, _, name in rest[max(_position(rest, self.today) - 1, 0) :]:
                owner = self._vpp_by_name.get(name.casefold())
                if owner not in (None, change.vpp):
                    raise Refused(
                        f"change {change.seq} ({change.title()}) cannot be taken back: "
                        f"{shown(name)} is the name of VPP {owner} by now; give one of them "
                        "another name with update-vpp first"
                    )

    def _all_needing(self, change: Change) -> list[Change]:
        """Return all changes that would not hold without this one, the latest first."""
        found: dict[int, Change] = {}
        pending = [change]
        while pending:
            new = [other for other in self._needing(pending.pop()) if other.seq not in found]
            found |= {other.seq: other for other in new}
            pending += new
        return [found[seq] for seq in sorted(found, reverse=True)]

    def _needing(self, change: Change) -> Iterator[Change]:
        """Yield the changes that would not hold without this one."""
        kind, id = change.entity()
        others = [c for c in self._all_about((kind, id)) if c.seq != change.seq]
        if isinstance(change, CreateVpp | CreateSite):
            yield from others
        elif kind == "battery":
            # Its whole history is told again without the change, at the sites as they are.
            trial = Registry(today=self.today)
            for other in others:
                if site := other.refers_to():
                    trial._timelines[site] = self._timelines[site]
            for other in others:
                try:
                    trial._check(other)
                    trial._record(other)
                except Refused:
                    yield other

    def _all_about(self, entity: _Entity) -> list[Change]:
        """Return the changes of an entity and those that refer to it, as they were recorded."""
        if self._about is None:
            self._about = defaultdict(set)
            for change in self._changes.values():
                self._index(change)
        return [self._changes[seq] for seq in sorted(self._about[entity])]

    def _index(self, change: Change) -> None:
        assert self._about is not None
        for about in (change.entity(), change.refers_to()):
            if about:
                self._about[about].add(change.seq)


def _position(timeline: _Timeline, day: date) -> int:
    """Return how many facts of a timeline have begun by a day."""
    return bisect_right(timeline, day, key=lambda fact: fact[0])


def _in_force(timeline: _Timeline, day: date) -> tuple[date, int, Any] | None:
    position = _position(timeline, day)
    return timeline[position - 1] if position else None
