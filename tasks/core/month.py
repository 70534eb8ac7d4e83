"""Settlement months, in market time (NEM time: UTC+10 all year)."""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from tasks.core.errors import Refused


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month, written `2025-09`."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> "Month":
        """Read `YYYY-MM`.

        Raises:
            Refused: the text is anything else.
        """
        if not re.fullmatch(r"[12][0-9]{3}-(0[1-9]|1[0-2])", text):
            raise Refused(f"month: {text!r} is not a month; write it as YYYY-MM, like 2025-09")
        return cls(int(text[:4]), int(text[5:]))

    @classmethod
    def parse_begun(cls, text: str, timezone: str) -> "Month":
        """Read `YYYY-MM`, of a month that a settlement can be about.

        Raises:
            Refused: it is no month, or one before the market, or one that has not begun.
        """
        month, running = cls.parse(text), cls.of(datetime.now(UTC), timezone)
        if not MARKET_BEGINS <= month <= running:
            raise Refused(
                f"month: {month} must be a month from {MARKET_BEGINS}, when the market began, to "
                f"the running one, {running}"
            )
        return month

    @classmethod
    def of(cls, moment: datetime, timezone: str) -> "Month":
        """Return the month that an aware moment falls in, in market time."""
        local = moment.astimezone(ZoneInfo(timezone))
        return cls(local.year, local.month)

    @property
    def first_day(self) -> date:
        return date(self.year, self.number, 1)

    @property
    def last_day(self) -> date:
        return date(self.year, self.number, self.days)

    @property
    def days(self) -> int:
        return calendar.monthrange(self.year, self.number)[1]

    @property
    def previous(self) -> "Month":
        before = self.first_day - timedelta(days=1)
        return Month(before.year, before.month)

    @property
    def next(self) -> "Month":
        after = self.last_day + timedelta(days=1)
        return Month(after.year, after.month)

    def until(self, last: "Month") -> Iterator["Month"]:
        """Yield the months from this one to `last`, both included, oldest first."""
        month = self
        while month <= last:
            yield month
            month = month.next

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"


MARKET_BEGINS = Month(1998, 12)  # the NEM, on the 13th
