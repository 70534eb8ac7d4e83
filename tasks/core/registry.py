"""The registry: VPPs, sites and batteries, as a log of changes.

A change sets some attributes of one entity from a day on (`effective_from`; None: since ever). The
log gives it a `seq` and a `recorded_at`. The value of an attribute on a day is that of the change
with the greatest `effective_from` up to that day; among equals the last one recorded wins. That is
all: creating, updating, moving and removing are the same thing said of other attributes.

`sql/registry/spans.sql` reads the same log by the same rule for a settlement; this module is what
decides whether a change may be added.
"""

import json
import re
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from tasks.core.errors import Refused
from tasks.core.nmi import canonical_nmi

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Nmi = Annotated[str, AfterValidator(canonical_nmi)]
_PlainDecimal = PlainSerializer(
    lambda number: None if number is None else format(number, "f"), return_type=str | None
)
Percentage = Annotated[Decimal, Field(ge=0, le=100, decimal_places=4), _PlainDecimal]
Kwh = Annotated[Decimal, Field(ge=0, lt=10**9, decimal_places=6), _PlainDecimal]
# No fee and a fee of zero are the same thing; the log says "0". None is only "not given".
_fee = (
    BeforeValidator(lambda fee: "0" if fee is None else fee),
    Field(ge=0, lt=10**6, decimal_places=4),
    _PlainDecimal,
)
Fee = Annotated[Decimal, *_fee]
ChargeEvents = Literal["cost", "revenue"]
NegativeBalances = Literal["site", "vpp"]


_KINDS = {"vpp": "vpp", "nmi": "site", "serial": "battery"}


class _Change(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    key: ClassVar[str]  # the field that names the entity

    seq: int = 0
    recorded_at: AwareDatetime | None = None
    recorded_by: str = ""
    effective_from: date | None = None

    def facts(self) -> dict[str, Any]:
        """Return the attributes that the change sets, with their values."""
        values = ((name, getattr(self, name)) for name in _attributes(type(self)))
        return {name: value for name, value in values if value is not None}

    def entity(self) -> tuple[str, str]:
        """Return what the change is about: its kind ('vpp', 'site', 'battery') and id."""
        return _KINDS[self.key], getattr(self, self.key)

    def line(self) -> str:
        """Return the change as its line in the log."""
        fields = self.model_dump(mode="json")
        facts = self.facts()  # a site assigned to no VPP says so: "vpp": null
        since = fields.pop("effective_from")
        names = ("seq", "recorded_at", "recorded_by", "change", *fields)  # each once, in this order
        said = {name: fields[name] for name in names if fields[name] is not None or name in facts}
        return json.dumps({**said, "effective_from": since}, ensure_ascii=False)


@cache
def _attributes(kind: type[_Change]) -> tuple[str, ...]:
    """Name the fields of a kind of change that are attributes of its entity."""
    others = {*_Change.model_fields, "change", kind.key}
    return tuple(name for name in kind.model_fields if name not in others)


class _VppChange(_Change):
    key = "vpp"
    vpp: Text = Field(description="The VPP: its id, or its current name.")


class _SiteChange(_Change):
    key = "nmi"
    nmi: Nmi = Field(description="The site's NMI, 10 characters or 11 with the check digit.")


class _BatteryChange(_Change):
    key = "serial"
    serial: Text = Field(description="The battery's serial number.")


class CreateVpp(_VppChange):
    change: Literal["create-vpp"] = "create-vpp"
    vpp: str = Field("", pattern="^([a-z0-9][a-z0-9-]*)?$", description="Made from the name.")
    name: Text
    revenue_percentage: Percentage
    daily_fee_aud: Fee = Decimal(0)
    charge_events: ChargeEvents = "cost"
    negative_balances: NegativeBalances = "site"


class UpdateVpp(_VppChange):
    change: Literal["update-vpp"] = "update-vpp"
    name: Text | None = None
    revenue_percentage: Percentage | None = None
    daily_fee_aud: Annotated[Decimal | None, *_fee] = None
    charge_events: ChargeEvents | None = None
    negative_balances: NegativeBalances | None = None


class CreateSite(_SiteChange):
    change: Literal["create-site"] = "create-site"
    vpp: Text
    address: Text


class UpdateSite(_SiteChange):
    change: Literal["update-site"] = "update-site"
    address: Text


class AssignSite(_SiteChange):
    change: Literal["assign-site"] = "assign-site"
    vpp: Text | None

    def facts(self) -> dict[str, Any]:
        return {"vpp": self.vpp}


class AddBattery(_BatteryChange):
    change: Literal["add-battery"] = "add-battery"
    nmi: Nmi
    manufacturer: Text
    capacity_kwh: Kwh


class UpdateBattery(_BatteryChange):
    change: Literal["update-battery"] = "update-battery"
    manufacturer: Text | None = None
    capacity_kwh: Kwh | None = None


class RemoveBattery(_BatteryChange):
    change: Literal["remove-battery"] = "remove-battery"

    def facts(self) -> dict[str, Any]:
        return {"nmi": None}


Change = (
    CreateVpp
    | UpdateVpp
    | CreateSite
    | UpdateSite
    | AssignSite
    | AddBattery
    | UpdateBattery
    | RemoveBattery
)
_CHANGE: TypeAdapter[Change] = TypeAdapter(Annotated[Change, Field(discriminator="change")])
_LATER = (UpdateVpp, UpdateSite, AssignSite, UpdateBattery, RemoveBattery)


def parse_change(fields: dict[str, Any] | str | bytes) -> Change:
    """Read one change, from a dictionary or a line of JSON.

    Raises:
        Refused: a field is missing, unknown or out of its range; the message names it.
    """
    try:
        if isinstance(fields, dict):
            return _CHANGE.validate_python(fields)
        return _CHANGE.validate_json(fields)
    except ValidationError as error:
        raise Refused("; ".join(map(_sentence, error.errors()))) from None


def _sentence(error: Any) -> str:
    field = ".".join(str(part) for part in error["loc"][1:])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"{field}: no such field in a {error['loc'][0]}"
    if error["type"].startswith("union_tag"):
        return "change: must be one of " + ", ".join(
            f"{kind.model_fields['change'].default}" for kind in Change.__args__
        )
    given = "" if error["type"] == "missing" else f" (given: {error['input']!r})"
    return f"{field}: {message}{given}" if field else message


def slug(name: str) -> str:
    """Return the id that a VPP of this name gets: 'Test VPP One' -> 'test-vpp-one'."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


_Timeline = list[tuple[date, int, Any]]


class Registry:
    """All entities with their attributes' values by day, as the changes so far say.

    `today` (market time) decides which of a VPP's names is its current one.
    """

    def __init__(self, changes: Iterable[Change] = (), today: date = date.max) -> None:
        self.seq = 0
        self.today = today
        self._timelines: dict[tuple[str, str], dict[str, _Timeline]] = defaultdict(dict)
        self._vpp_by_name: dict[str, str] = {}
        for change in changes:
            self._record(change)

    def add(self, change: Change, at: datetime, by: str) -> Change:
        """Take in one more change and return it as it goes into the log.

        Names become ids, and a missing `effective_from` becomes its default: since ever for what
        creates, today for what alters.

        Raises:
            Refused: the change does not fit what the registry says; the registry is as before.
        """
        settled: dict[str, Any] = {"seq": self.seq + 1, "recorded_at": at, "recorded_by": by}
        if isinstance(change, _LATER) and "effective_from" not in change.model_fields_set:
            settled["effective_from"] = self.today
        if isinstance(change, CreateVpp):
            settled["vpp"] = change.vpp or slug(change.name)
        elif reference := getattr(change, "vpp", None):
            settled["vpp"] = self.vpp_id(reference)
        change = change.model_copy(update=settled)
        self._check(change)
        self._record(change)
        return change

    def vpp_id(self, reference: str) -> str:
        """Return the id of the VPP with this id or current name.

        Raises:
            Refused: there is none.
        """
        wanted = reference.strip()
        if self.knows("vpp", wanted):
            return wanted
        if wanted.casefold() not in self._vpp_by_name:
            raise Refused(f"vpp: there is no VPP {reference!r}; make it with create-vpp first")
        return self._vpp_by_name[wanted.casefold()]

    def knows(self, kind: str, id: str) -> bool:
        """Say whether there is such a 'vpp', 'site' or 'battery', on whatever day."""
        return (kind, id) in self._timelines

    def _value(self, kind: str, id: str, attribute: str, day: date) -> Any:
        timeline = self._timelines[kind, id].get(attribute, [])
        index = bisect_right(timeline, day, key=lambda fact: fact[0])
        return timeline[index - 1][2] if index else None

    def _record(self, change: Change) -> None:
        self.seq = change.seq
        timelines = self._timelines[change.entity()]
        since = change.effective_from or date.min
        for attribute, value in change.facts().items():
            fact = (since, change.seq, value)
            insort(timelines.setdefault(attribute, []), fact, key=lambda fact: fact[:2])
        if "name" in change.facts():
            id = change.entity()[1]
            for name in [name for name, vpp in self._vpp_by_name.items() if vpp == id]:
                del self._vpp_by_name[name]
            # A name that it will have from a later day is taken too, and already leads to it.
            for name in self._names(id):
                self._vpp_by_name[name.casefold()] = id

    def _names(self, vpp: str) -> list[str]:
        """Return a VPP's current name, and those that it will have."""
        timeline = self._timelines["vpp", vpp]["name"]
        index = bisect_right(timeline, self.today, key=lambda fact: fact[0])
        return [fact[2] for fact in timeline[max(index - 1, 0) :]]

    def _check(self, change: Change) -> None:  # noqa: PLR0912 (one refusal a branch)
        kind, id = change.entity()
        since = change.effective_from or date.min
        if not id:
            raise Refused(f"name: {change.name!r} has no letter or digit")  # type: ignore[union-attr]
        if isinstance(change, CreateVpp | CreateSite):
            if self.knows(kind, id):
                raise Refused(f"{kind} {id} exists already; use update-{kind}")
        elif not isinstance(change, AddBattery):
            self._check_started(kind, id, since)
        if name := getattr(change, "name", None):
            for claimed in {name.casefold(), id.casefold()}:
                owner = claimed if self.knows("vpp", claimed) else self._vpp_by_name.get(claimed)
                if owner not in (None, id):
                    raise Refused(
                        f"name: {name!r} is the name or id of VPP {owner}; choose another"
                    )
        if isinstance(change, CreateSite | AssignSite) and change.vpp is not None:
            self._check_started("vpp", change.vpp, since)
        if isinstance(change, AddBattery):
            self._check_started("site", change.nmi, since)
            timeline = self._timelines.get((kind, id), {}).get("nmi", [])
            later = [fact[2] for fact in timeline if fact[0] > since]
            for site in [self._value(kind, id, "nmi", since) if timeline else None, *later]:
                if site is not None:
                    raise Refused(
                        f"serial: battery {id} is installed at site {site}; use update-battery, "
                        "or remove-battery there first"
                    )
        if isinstance(change, RemoveBattery) and self._value(kind, id, "nmi", since) is None:
            raise Refused(f"serial: battery {id} is not installed on {_day(since)}")
        if isinstance(change, UpdateVpp | UpdateBattery) and not change.facts():
            raise Refused(f"{change.change} of {id} changes nothing; give at least one field")

    def _check_started(self, kind: str, id: str, since: date) -> None:
        """Refuse what is said of an entity that is not there (yet, on that day)."""
        if not self.knows(kind, id):
            create = "add-battery" if kind == "battery" else f"create-{kind}"
            field = {"vpp": "vpp", "site": "nmi", "battery": "serial"}[kind]
            raise Refused(f"{field}: there is no {kind} {id}; make it with {create} first")
        timelines = self._timelines[kind, id]
        start = min(timeline[0][0] for timeline in timelines.values())
        if since < start:
            raise Refused(
                f"effective_from: {kind} {id} starts on {start}, which is after {_day(since)}; "
                f"give {start} or later"
            )


def _day(day: date) -> str:
    return "the beginning" if day == date.min else str(day)
