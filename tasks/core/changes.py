"""Changes of the registry: what each kind sets, and how one is read and written as a line.

A change sets some attributes of one entity from a day on (`effective_from`; None: from the
beginning). The log gives it a `seq` and a `recorded_at`. Creating, updating, moving and removing
are the same thing said of other attributes. Only withdraw-change sets nothing: from when it was
recorded on, the change that it names counts as never made. What a field may hold is in
`change_fields.py`.
"""

import json
import re
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from tasks.core.change_fields import (
    IN_LOG,
    Basis,
    Channels,
    ChargeEvents,
    Day,
    Fee,
    Kwh,
    Name,
    NegativeBalances,
    Nmi,
    Percentage,
    Region,
    Text,
    VppId,
    fee,
    sentence,
)
from tasks.core.errors import Refused

KINDS = {"vpp": "vpp", "nmi": "site", "serial": "battery"}
FIELDS = {kind: field for field, kind in KINDS.items()}


class _Change(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    key: ClassVar[str]  # the field that names the entity

    seq: int = 0
    recorded_at: AwareDatetime | None = None
    recorded_by: str = ""
    clock_said: AwareDatetime | None = Field(
        default=None, description="What recorded_at was before redate-changes; the clock was ahead."
    )
    effective_from: Day = None

    def facts(self) -> dict[str, Any]:
        """Return the attributes that the change sets, with their values."""
        values = ((name, getattr(self, name)) for name in _attributes(type(self)))
        return {name: value for name, value in values if value is not None}

    def entity(self) -> tuple[str, str]:
        """Return what the change is about: its kind ('vpp', 'site', 'battery') and id."""
        return KINDS[self.key], getattr(self, self.key)

    def refers_to(self) -> tuple[str, str] | None:
        """Return what else must be there for the change to hold: the site's VPP, say."""
        return None

    def title(self) -> str:
        """Return what the change is, in a few words."""
        what = f"{self.change} {self.entity()[1]}"  # type: ignore[attr-defined]
        return f"{what}, from {day_text(self.effective_from)}"

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
    vpp: Name = Field(description="The VPP: its id, its current name, or its name in that month.")


class _SiteChange(_Change):
    key = "nmi"
    nmi: Nmi = Field(description="The site's NMI, 10 characters or 11 with the check digit.")


class _BatteryChange(_Change):
    key = "serial"
    serial: Name = Field(description="The battery's serial number.")


class CreateVpp(_VppChange):
    change: Literal["create-vpp"] = "create-vpp"
    vpp: VppId = Field("", description="Made from the name.")
    name: Name
    revenue_percentage: Percentage
    daily_fee_aud: Fee = Decimal(0)
    charge_events: ChargeEvents = "cost"
    negative_balances: NegativeBalances = "site"


class UpdateVpp(_VppChange):
    change: Literal["update-vpp"] = "update-vpp"
    name: Name | None = None
    revenue_percentage: Percentage | None = None
    daily_fee_aud: Annotated[Decimal | None, *fee] = None
    charge_events: ChargeEvents | None = None
    negative_balances: NegativeBalances | None = None


class _MeterFields(_SiteChange):
    """How a site's meter readings are settled; None: as before, or the default."""

    region: Region | None = Field(
        default=None, description="Whose prices count; by default that of its NMI's block."
    )
    channels: Channels | None = Field(
        default=None, description="NMI suffixes that count, like 'E1 B1'; 'all' by default."
    )
    basis: Basis | None = Field(
        default=None, description="Which counts where there are both, events or meter readings."
    )


class CreateSite(_MeterFields):
    change: Literal["create-site"] = "create-site"
    vpp: Name
    address: Text

    def refers_to(self) -> tuple[str, str] | None:
        return "vpp", self.vpp


class UpdateSite(_MeterFields):
    change: Literal["update-site"] = "update-site"
    address: Text | None = None


class AssignSite(_SiteChange):
    change: Literal["assign-site"] = "assign-site"
    vpp: Name | None

    def facts(self) -> dict[str, Any]:
        return {"vpp": self.vpp}

    def refers_to(self) -> tuple[str, str] | None:
        return None if self.vpp is None else ("vpp", self.vpp)


class AddBattery(_BatteryChange):
    change: Literal["add-battery"] = "add-battery"
    nmi: Nmi
    manufacturer: Name
    capacity_kwh: Kwh

    def refers_to(self) -> tuple[str, str] | None:
        return "site", self.nmi


class UpdateBattery(_BatteryChange):
    change: Literal["update-battery"] = "update-battery"
    manufacturer: Name | None = None
    capacity_kwh: Kwh | None = None


class RemoveBattery(_BatteryChange):
    change: Literal["remove-battery"] = "remove-battery"

    def facts(self) -> dict[str, Any]:
        return {"nmi": None}


class WithdrawChange(_Change):
    """Take a change back. The log fills in whose change it was, and from which day it held."""

    change: Literal["withdraw-change"] = "withdraw-change"
    withdraws: Annotated[int, Field(ge=1, strict=True, description="The change's seq.")]
    reason: Text
    vpp: str | None = None
    nmi: str | None = None
    serial: str | None = None

    def facts(self) -> dict[str, Any]:
        return {}

    def entity(self) -> tuple[str, str]:
        return next((k, getattr(self, f)) for f, k in KINDS.items() if getattr(self, f))

    def title(self) -> str:
        kind, id = self.entity()
        day = day_text(self.effective_from)
        return f"{self.change} {self.withdraws}, which was about {kind} {id} from {day}"


Change = (
    CreateVpp
    | UpdateVpp
    | CreateSite
    | UpdateSite
    | AssignSite
    | AddBattery
    | UpdateBattery
    | RemoveBattery
    | WithdrawChange
)
_CHANGE: TypeAdapter[Change] = TypeAdapter(Annotated[Change, Field(discriminator="change")])


def parse_change(fields: dict[str, Any] | str) -> Change:
    """Read one change that is to be recorded, from a dictionary or a line of JSON.

    Raises:
        Refused: a field is missing, unknown or out of its range; the message names it.
    """
    try:
        return _CHANGE.validate_python(_object(fields) if isinstance(fields, str) else fields)
    except ValidationError as error:
        raise Refused("; ".join(map(_sentence, error.errors()))) from None


def recorded_change(line: bytes | str) -> Change:
    """Read a line of the log, which was checked when it was recorded.

    Raises:
        Refused: it is no change; the log was edited by hand.
    """
    try:
        return _CHANGE.validate_json(line, context=IN_LOG)
    except ValidationError as error:
        problems = "; ".join(map(_sentence, error.errors()))
        raise Refused(f"the registry's log has a line that is no change: {problems}") from None


def _object(line: str) -> dict[str, Any]:
    """Read a JSON object, its numbers as they are written."""
    try:
        fields = json.loads(line.strip(), parse_float=Decimal)
    except json.JSONDecodeError as error:
        raise Refused(f"is not JSON: {error.msg} (character {error.pos + 1})") from None
    except (ValueError, RecursionError):  # thousands of digits, or of brackets
        raise Refused("is not JSON of a change, but something much larger") from None
    if not isinstance(fields, dict):
        raise Refused("is not a JSON object with the fields of a change, in braces")
    return fields


def _sentence(error: Any) -> str:
    if error["type"].startswith("union_tag"):
        kinds = [str(kind.model_fields["change"].default) for kind in Change.__args__]
        return "change: must be one of " + ", ".join(kinds)
    return sentence(error)


def slug(name: str) -> str:
    """Return the id that a VPP of this name gets: 'Test VPP One' -> 'test-vpp-one'."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def day_text(day: date | None) -> str:
    """Return a day as messages say it; None and the first day there is are the beginning."""
    return "the beginning" if day in (None, date.min) else str(day)
