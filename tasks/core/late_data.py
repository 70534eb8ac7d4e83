"""Late data: what would change in a month that is published already."""

from dataclasses import dataclass

from tasks.core.difference import Difference
from tasks.core.month import Month


@dataclass(frozen=True)
class LateData:
    """What would change in a published month, if it were settled now.

    `first_reports` names VPPs with no report yet; `problem` says why it could not be settled.
    """

    month: Month
    is_closed: bool
    differences: list[Difference]
    first_reports: list[str]
    problem: str

    def __str__(self) -> str:
        """Say it in a sentence."""
        changes = [
            f"{vpp.vpp}: "
            + ("; ".join(f"{name} {values}" for name, values in vpp.totals.items()) or "no total")
            for vpp in self.differences
        ]
        changes += [f"{vpp}: its first report" for vpp in self.first_reports]
        state = "closed" if self.is_closed else "not closed"
        if self.problem:
            return f"{self.month} ({state}) could not be settled now: {self.problem}"
        return f"{self.month} ({state}) would change: " + "; ".join(changes)
