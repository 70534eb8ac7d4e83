"""Meter data and prices settled to daily sums in plain Python and exact fractions.

It shares no code with what it checks, and reads files with the csv module, cell by cell. It knows
what the tests write: well-formed records, with wrong counts, missing values and 400 rows in them.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction

KWH = {"WH": Fraction(1, 1000), "KWH": Fraction(1), "MWH": Fraction(1000)}
INFINITY = float("inf")


@dataclass(frozen=True)
class Reading:
    """A day of a channel, in kWh; None is missing. `qualities` has a letter for each interval."""

    nmi: str
    suffix: str
    register: str
    serial: str
    day: date
    version: datetime
    values: tuple[Fraction | None, ...]
    qualities: tuple[str, ...]

    @property
    def channel_day(self) -> tuple[str, ...]:
        return (self.nmi, self.suffix, self.register, self.serial, str(self.day))

    @property
    def _actual(self) -> int:
        return sum(
            value is not None and quality == "A"
            for value, quality in zip(self.values, self.qualities, strict=True)
        )

    @property
    def rank(self) -> tuple[object, ...]:
        """Sort what is sent twice under one version: what counts comes last."""
        values = tuple(INFINITY if value is None else value for value in self.values)
        return (self.version, -self.values.count(None), self._actual, values)


@dataclass
class Result:
    """What a month comes to, each by its keys."""

    # nmi, day, is discharge, price is negative -> readings, kWh, cents
    daily: dict[tuple[str, date, bool, bool], tuple[int, Fraction, Fraction]] = field(
        default_factory=dict
    )
    # nmi, day, is discharge, quality -> readings, kWh
    quality: dict[tuple[str, date, bool, str], tuple[int, Fraction]] = field(default_factory=dict)
    # nmi, day -> intervals expected, missing
    completeness: dict[tuple[str, date], tuple[int, int]] = field(default_factory=dict)
    # nmi, day, is discharge, kWh, cents per kWh of each interval that has a value
    intervals: list[tuple[str, date, bool, Fraction, Fraction]] = field(
        default_factory=list, compare=False
    )
    conflicts: int = 0  # channel days that were sent twice, with different values
    rejected: int = 0


def read_nem12(text: str) -> tuple[list[Reading], int]:
    """Return a file's good readings of E and B channels, and how many rows are rejected."""
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines())]
    readings: list[Reading] = []
    rejected = 0
    created, channel = "", [""] * 9
    for place, row in enumerate(rows):
        if row[0] == "100":
            created = row[2]
        elif row[0] == "200":
            channel = row
        elif row[0] == "300" and channel[4][0] in "EB":
            refinements = []
            for later in rows[place + 1 :]:
                if later[0] != "400":
                    break
                refinements.append((int(later[1]), int(later[2]), later[3][0]))
            reading = _reading(channel, row, refinements, created)
            if reading:
                readings.append(reading)
            else:
                rejected += 1
    return readings, rejected


def _reading(
    channel: list[str], row: list[str], refinements: list[tuple[int, int, str]], created: str
) -> Reading | None:
    count = 1440 // int(channel[8])
    places = [place for place, cell in enumerate(row) if place > 1 and cell[:1].isalpha()]
    if not places or places[0] != 2 + count:
        return None
    own = row[places[0]][0]
    qualities = ["" if own == "V" else own] * count
    touched = [0] * count
    for first, last, letter in refinements:
        for number in range(first, last + 1):
            if not 1 <= number <= count:
                return None
            qualities[number - 1] = letter
            touched[number - 1] += 1
    if max(touched) > 1 or "" in qualities:
        return None
    values = []
    for cell, quality in zip(row[2 : 2 + count], qualities, strict=True):
        value = Fraction(cell) * KWH[channel[7].upper()] if cell and quality != "N" else None
        if value is not None and (value < 0 or (value * 10**6).denominator != 1):
            return None
        values.append(value)
    stated = row[places[0] + 3] or created
    return Reading(
        channel[1],
        channel[4],
        channel[3],
        channel[6],
        datetime.strptime(row[1], "%Y%m%d").date(),  # noqa: DTZ007
        datetime.strptime(stated.ljust(14, "0"), "%Y%m%d%H%M%S"),  # noqa: DTZ007
        tuple(values),
        tuple(qualities),
    )


def read_prices(texts: list[str]) -> dict[tuple[str, date, int], Fraction]:
    """Return the price of each region, day and slot of 5 minutes, in cents per kWh."""
    offers: dict[tuple[str, date, int], list[tuple[bool, str, Fraction]]] = defaultdict(list)
    for text in texts:
        names: list[str] = []
        for row in csv.reader(text.splitlines()):
            if row[0] == "C":
                continue
            if row[0] == "I" or not names:
                names = row
                continue
            cells = dict(zip(names, row, strict=True))
            is_dispatch = row[1] == "DISPATCH"
            end = datetime.strptime(cells["SETTLEMENTDATE"], "%Y/%m/%d %H:%M:%S")  # noqa: DTZ007
            is_half_hour = end <= datetime.fromisoformat("2021-10-01T00:00") and not is_dispatch
            minutes = 30 if is_half_hour else 5
            price = Fraction(cells["RRP"])
            if is_dispatch:
                hundredths = abs(price) * 100
                rounded = int(hundredths + Fraction(1, 2))
                price = Fraction(rounded, 100) * (-1 if price < 0 else 1)
            for back in range(0, minutes, 5):
                begin = end - timedelta(minutes=back + 5)
                slot = (begin.hour * 60 + begin.minute) // 5 + 1
                region = cells.get("REGIONID") or cells["REGION"]
                offers[region, begin.date(), slot].append(
                    (not is_dispatch, cells.get("LASTCHANGED", ""), price / 10)
                )
    return {key: max(found)[2] for key, found in offers.items()}


def settle(
    texts: list[str],
    price_texts: list[str],
    sites: dict[tuple[str, date], str],
    channels: dict[tuple[str, date], set[str]] | None = None,
) -> Result:
    """Settle files to daily sums.

    Args:
        texts: NEM12 files.
        price_texts: price files.
        sites: the region of each site and day that is settled.
        channels: which suffixes count on a site's day, where those are not all.
    """
    channels = channels or {}
    result = Result()
    prices = read_prices(price_texts)
    versions: dict[tuple[str, ...], list[Reading]] = defaultdict(list)
    for text in texts:
        readings, rejected = read_nem12(text)
        result.rejected += rejected
        for reading in readings:
            versions[reading.channel_day].append(reading)
    winners = []
    for sent in versions.values():
        best = max(sent, key=lambda reading: reading.rank)
        same = {reading.values for reading in sent if reading.version == best.version}
        result.conflicts += len(same) > 1
        does_count = best.suffix in channels.get((best.nmi, best.day), {best.suffix})
        if (best.nmi, best.day) in sites and does_count:
            winners.append(best)
    for reading in winners:
        _price(reading, sites[reading.nmi, reading.day], prices, result)
    _complete(winners, sites, channels, result)
    return result


def _price(
    reading: Reading, region: str, prices: dict[tuple[str, date, int], Fraction], result: Result
) -> None:
    slots = 288 // len(reading.values)
    is_discharge = reading.suffix[0] == "B"
    for number, value in enumerate(reading.values):
        if value is None:
            continue
        inside = [
            prices[region, reading.day, slot]
            for slot in range(number * slots + 1, (number + 1) * slots + 1)
        ]
        price = sum(inside, Fraction(0)) / slots
        result.intervals.append((reading.nmi, reading.day, is_discharge, value, price))
        key = (reading.nmi, reading.day, is_discharge, price < 0)
        readings, kwh, cents = result.daily.get(key, (0, Fraction(0), Fraction(0)))
        result.daily[key] = (readings + 1, kwh + value, cents + value * price)
        good = (reading.nmi, reading.day, is_discharge, reading.qualities[number])
        readings, kwh = result.quality.get(good, (0, Fraction(0)))
        result.quality[good] = (readings + 1, kwh + value)


def _complete(
    winners: list[Reading],
    sites: dict[tuple[str, date], str],
    channels: dict[tuple[str, date], set[str]],
    result: Result,
) -> None:
    by_suffix: dict[tuple[str, str], dict[date, list[Reading]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for reading in winners:
        by_suffix[reading.nmi, reading.suffix][reading.day].append(reading)
    for (nmi, suffix), days in by_suffix.items():
        usual = max(len(one.values) for one in days[max(days)])
        for site, day in sites:
            if site == nmi and suffix in channels.get((nmi, day), {suffix}):
                found = days.get(day)
                expected = sum(len(one.values) for one in found) if found else usual
                missing = sum(one.values.count(None) for one in found) if found else usual
                before = result.completeness.get((nmi, day), (0, 0))
                result.completeness[nmi, day] = (before[0] + expected, before[1] + missing)
