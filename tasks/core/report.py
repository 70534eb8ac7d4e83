"""The report of one VPP and month: its shape, and its bytes.

The same inputs give the same bytes: no clock, no version of any software, fixed key order.
"""

from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, with_config
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict  # pydantic reads the one of `typing` from Python 3.12

SCHEMA_VERSION = 1

# Nothing is added up after this; the numbers are only written down. Amounts below 2^46 AUD (70
# trillion) come out as the shortest decimal that reads back as the same number: as the same cents.
# Beyond, floats are further apart than cents.
_as_number = PlainSerializer(float, return_type=float)
Aud = Annotated[Decimal, Field(decimal_places=2), _as_number]
Kwh = Annotated[Decimal, Field(ge=0), _as_number]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Totals(_Model):
    """The VPP's month, in AUD."""

    total_revenue: Aud = Field(description="Shared revenue of all sites, before any fee.")
    vpp_ad_valorem_fee: Aud = Field(description="The VPP's percentage of it.")
    vpp_cost_only: Aud = Field(description="Discharges worth less than zero: the VPP's alone.")
    vpp_total_revenue: Aud = Field(
        description="Percentage + collected daily fees + cost only + absorbed losses."
    )
    site_total_revenue_after_fees: Aud = Field(description="What the sites get, all together.")
    vpp_daily_fees: Aud = Field(description="The daily fees collected from the sites.")
    vpp_loss_absorbed: Aud | SkipJsonSchema[None] = Field(
        default=None,
        description="Only under terms with negative_balances 'vpp': the sites' negative amounts "
        "that the VPP bears (never positive).",
    )


@with_config(ConfigDict(extra="forbid"))
class QualityKwh(TypedDict):
    """Energy by the quality of the readings, kWh."""

    actual: Kwh
    substituted: Kwh
    final: Annotated[Kwh, Field(description="Final substituted.")]
    estimated: Kwh


class SiteStatement(_Model):
    """One site's month. Money in AUD, energy in kWh."""

    nmi: str
    address: str
    site_capacity_kwh: Kwh = Field(description="Installed on its last member day of the month.")
    site_revenue_before_fees: Aud
    site_daily_fee: Aud = Field(description="Collected: never more than the site earned.")
    site_revenue_after_fees: Aud
    member_days: int = Field(ge=1, description="Days of the month in this VPP.")
    events: int = Field(
        ge=0,
        description="Its events on those days; of a meter, the intervals that have a value.",
    )
    energy_charged_kwh: Kwh
    energy_discharged_kwh: Kwh
    basis: Literal["events", "meter", "both"] | SkipJsonSchema[None] = Field(
        default=None,
        description="What it was settled from; both where that changed in the month. Absent in a "
        "report whose sites are all settled from events.",
    )
    intervals_expected: int | SkipJsonSchema[None] = Field(
        default=None, description="Only of a meter: what it should have on those days."
    )
    intervals_missing: int | SkipJsonSchema[None] = Field(
        default=None, description="Only of a meter: those of them that are not there."
    )
    energy_by_quality_kwh: QualityKwh | SkipJsonSchema[None] = Field(
        default=None,
        description="Only of a meter: what it charged and discharged, by the quality of its "
        "readings.",
    )


class Terms(_Model):
    """Terms that held from one day of the month to another, both included."""

    first_day: date
    last_day: date
    revenue_percentage: Annotated[Decimal, _as_number]
    daily_fee_aud: Annotated[Decimal, _as_number]
    charge_events: str
    negative_balances: str


class Days(_Model):
    """Days from one to another, both included."""

    first_day: date
    last_day: date


@with_config(ConfigDict(extra="forbid"))
class Input(TypedDict):
    """A file with events that count in this report.

    No model, since there may be thousands: a dictionary is read in a quarter of the time.
    """

    key: str
    etag: str
    rows: Annotated[int, Field(description="Its events that count here.")]


@with_config(ConfigDict(extra="forbid"))
class StandIn(TypedDict):
    """A day on which DISPATCHPRICE stood in for the settlement price."""

    region: str
    day: date
    intervals: Annotated[str, Field(description="Numbers of 5 minutes, like '1-3, 288'.")]


@with_config(ConfigDict(extra="forbid"))
class Conflict(TypedDict):
    """A channel's day that was sent twice under its latest version, with other values."""

    nmi: str
    suffix: str
    register: str
    serial: str
    day: date
    version: datetime
    key: str
    line: int
    counts: Annotated[bool, Field(description="Whether this one of them was settled.")]


class Settlement(_Model):
    """What the numbers rest on."""

    schema_version: int = SCHEMA_VERSION
    revision: int = Field(ge=1)
    vpp_id: str
    terms: list[Terms]
    inputs: list[Input]
    registry_seq: int = Field(
        description="The last change of the registry that bears on this report."
    )
    rejected_rows: int = Field(
        description="Rejected rows of the month that name one of the sites above."
    )
    unassigned_events: int = Field(
        description="Events, or intervals of meters, of the sites above on days on which they were "
        "in no VPP."
    )
    meter_inputs: list[Input] | SkipJsonSchema[None] = Field(
        default=None,
        description="Only with meter data: the files that its settled readings are from; `rows` "
        "are 300 rows.",
    )
    price_inputs: list[Input] | SkipJsonSchema[None] = Field(
        default=None,
        description="Only with meter data: the files that it was priced from; `rows` are intervals "
        "of 5 minutes of a region.",
    )
    regions: list[str] | SkipJsonSchema[None] = Field(
        default=None, description="Only with meter data: the market regions of these prices."
    )
    stand_in_prices: list[StandIn] | SkipJsonSchema[None] = Field(
        default=None, description="Only where DISPATCHPRICE stood in for the settlement price."
    )
    reading_conflicts: list[Conflict] | SkipJsonSchema[None] = Field(
        default=None, description="Only where the same day was sent with different values."
    )
    days_without_events: list[Days] | SkipJsonSchema[None] = Field(
        default=None,
        description="Only where there are any: days on which the VPP had sites, and none of them "
        "an event.",
    )


class Report(_Model):
    """The settlement of one VPP for one month."""

    vpp: str = Field(description="The VPP's name on its last day in the month.")
    month: str
    totals: Totals
    sites: dict[str, SiteStatement] = Field(
        description="All sites that were members in the month, by NMI, in NMI order."
    )
    settlement: Settlement

    def revised(self, revision: int) -> "Report":
        """Return the same report under another revision number."""
        settlement = self.settlement.model_copy(update={"revision": revision})
        return self.model_copy(update={"settlement": settlement})

    @property
    def digest(self) -> str:
        """Name what the report says, whatever its revision number."""
        return sha256(self.revised(1).to_bytes()).hexdigest()

    def is_alike(self, other: "Report") -> bool:
        """Say whether another report says the same, but for revision and ETags of files."""
        return self._without_etags() == other._without_etags()

    def _without_etags(self) -> "Report":
        rests_on = self.settlement
        files = {
            name: [file | {"etag": ""} for file in getattr(rests_on, name) or []]
            for name in ("inputs", "meter_inputs", "price_inputs")
        }
        settlement = rests_on.model_copy(update=files | {"revision": 1})
        return self.model_copy(update={"settlement": settlement})

    def to_bytes(self) -> bytes:
        """Return the report as it is published: JSON, UTF-8, two blanks of indentation."""
        return (self.model_dump_json(indent=2, exclude_none=True) + "\n").encode()


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a published report."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Report.model_json_schema(mode="serialization"),
    }
