"""The record of a month: which revisions there are, what each rests on, and whether it is closed.

It is one object a month (`months/<month>.json`), which is replaced only if it is still what was
read. A run claims its revisions here before it writes them, and says at the end that all of them
are there (`state`); and a month is closed here. So of a run that publishes and a person who closes,
one is first, and the other one sees it.
"""

from datetime import datetime
from hashlib import sha256
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)


class Revision(_Model):
    """One revision of a VPP's report, and the record of its run, which has the inputs."""

    digest: str
    run_record: str


class Closing(_Model):
    """A month was closed with a digest, or reopened for a reason."""

    action: Literal["close", "reopen"]
    at: datetime
    by: str
    digest: str
    reason: str = ""


class LastSettlement(_Model):
    """What all VPPs were last settled from, and the record of the run that did it."""

    inputs: str = Field(description="The digest of its inputs.")
    run_record: str


class MonthRecord(_Model):
    """What is published for a month, and whether it may change."""

    month: str
    revisions: dict[str, dict[int, Revision]] = {}  # by VPP id and number
    state: Literal["publishing", "whole"] | None = Field(
        default=None,
        description="publishing: a run has claimed revisions, and not all of them are current yet. "
        "whole: the current report of each VPP is its last revision. None: not recorded then.",
    )
    unpublished: dict[str, list[int]] = Field(
        default={},
        description="Revisions that a run claimed and died before it wrote; none of them is there, "
        "and a later one took its place. By VPP id.",
    )
    closings: list[Closing] = []  # oldest first
    last_settlement: LastSettlement | None = Field(
        default=None, alias="settled", description="None: some VPP was settled by itself since."
    )

    @property
    def closing(self) -> Closing | None:
        """Return how the month was closed, if it is."""
        last = self.closings[-1] if self.closings else None
        return last if last and last.action == "close" else None

    @property
    def digest(self) -> str:
        """Say in 16 characters what all current reports say, whatever their revision numbers."""
        current = (
            f"{vpp} {revisions[max(revisions)].digest}\n"
            for vpp, revisions in sorted(self.revisions.items())
        )
        return sha256("".join(current).encode()).hexdigest()[:16]

    def last_revision(self, vpp: str) -> int:
        """Return the number of a VPP's last revision; 0: it has none."""
        return max(self.revisions.get(vpp, {}), default=0)

    def to_bytes(self) -> bytes:
        """Return the record as it is stored."""
        return (self.model_dump_json(indent=1, by_alias=True) + "\n").encode()
