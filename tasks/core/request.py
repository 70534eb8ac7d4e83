"""The request for a settlement: which VPPs, as of when, under which conditions and terms."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tasks.core.change_fields import ChargeEvents, Fee, NegativeBalances, Percentage


class WhatIf(BaseModel):
    """Other terms for a VPP than the registry says, on all days; what is not given stays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vpp: str = Field(description="The VPP's id.")
    revenue_percentage: Percentage | None = Field(default=None, description="Its share, %.")
    daily_fee_aud: Fee | None = Field(default=None, description="What a site pays a day, AUD.")
    charge_events: ChargeEvents | None = None
    negative_balances: NegativeBalances | None = None
    own_percentage: Annotated[Decimal, Field(ge=0, le=100, decimal_places=0)] | None = Field(
        default=None, description="What a site keeps of the rest; the pool gets what is left, %."
    )


@dataclass(frozen=True)
class SettlementRequest:
    """A request for a settlement, with its defaults filled in.

    `vpps` are ids or names; empty: all. `as_of`: only changes of the registry that were recorded by
    this moment are seen.
    """

    as_of: datetime
    max_rejected_percent: float
    vpps: tuple[str, ...] = ()
    allow_failed_imports: bool = False
    allow_shared_rows: bool = False
    allow_missing: bool = False
    what_if: tuple[WhatIf, ...] = ()

    def assuming(self, what_if: list[WhatIf]) -> "SettlementRequest":
        """Return the same request under other terms for some VPPs."""
        return replace(self, what_if=tuple(what_if))

    @property
    def is_whole(self) -> bool:
        """Say whether it is about all VPPs, on their own terms."""
        return not self.vpps and not self.what_if
