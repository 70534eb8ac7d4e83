"""One record of NEM12 at a time: a 200, 300 or 400 row as text, read by the format's rules.

This is the slow way, which knows everything; `tasks.imports.nem12` reads clean 300 rows, which
nearly all are, as columns. Reasons against a row are codes of `REASONS` there.
"""

import csv
import re
from collections import Counter
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

import polars as pl
from polars._typing import PolarsDataType

from tasks.core.nmi import NMI_PATTERN, canonical_nmi

MAX_MICRO_KWH = 10**15
# The counts of a reading by the first letter of its quality.
LETTERS = {"A": "actual", "S": "substituted", "F": "final", "E": "estimated"}
_LENGTHS = (5, 15, 30)
_DECIMALS_OF_MICRO_KWH = {"WH": 3, "KWH": 6, "MWH": 9}
_OTHER_UNITS = frozenset(
    prefix + unit for prefix in ("", "K", "M") for unit in ("VARH", "VAR", "VAH", "VA", "W", "V")
) | {"A", "KA", "PF"}
_QUALITY = re.compile(r"[AEFSN]([0-9]{2})?|V")
_LETTER = re.compile("[A-Za-z]")
_NUMBER = re.compile(r"([0-9]*)\.?([0-9]*)")


class Channel(NamedTuple):
    """What a 200 row says; `fault` is why its days are rejected, `ignored` why left out."""

    nmi: str | None
    suffix: str | None
    register: str
    serial: str
    unit: str
    interval_minutes: int
    fault: str | None
    ignored: str | None


NO_CHANNEL = Channel(None, None, "", "", "", 0, "orphan", None)


CHANNEL_SCHEMA: dict[str, PolarsDataType] = {
    **dict.fromkeys(Channel._fields, pl.String),
    "interval_minutes": pl.Int16,
}


class Run(NamedTuple):
    """What a 400 row says: which intervals, both ends included, have which quality."""

    first: int
    last: int
    quality: str


def cells_of(line: str) -> list[str]:
    """Return a line's cells, trimmed; one that is badly quoted has its quotes in them."""
    if '"' not in line:
        return [cell.strip() for cell in line.lstrip("\ufeff").split(",")]
    try:
        [cells] = csv.reader([line.lstrip("\ufeff").rstrip("\r")])
    except (csv.Error, ValueError):
        cells = line.split(",")
    return [cell.strip() for cell in cells]


@lru_cache(1 << 16)
def read_channel(line: str) -> Channel:
    cells = cells_of(line) + [""] * 9
    suffix, unit = cells[4].upper(), cells[7].upper()
    fault = ignored = None
    nmi: str | None = None
    try:
        nmi = canonical_nmi(cells[1])
    except ValueError:
        is_long = re.fullmatch(f"{NMI_PATTERN}[0-9]", cells[1].upper())
        fault = "nmi_check_digit" if is_long else "nmi"
    if not re.fullmatch("[A-Z][A-Z0-9]", suffix):
        fault = fault or "suffix"
    elif suffix[0] not in "EB":
        ignored = "suffix"
    elif unit in _OTHER_UNITS:
        ignored = "unit"
    elif unit not in _DECIMALS_OF_MICRO_KWH:
        fault = fault or "unit"
    minutes = int(cells[8]) if re.fullmatch("[0-9]{1,3}", cells[8]) else 0
    if minutes not in _LENGTHS:
        fault = fault or "length"
    if ignored:
        fault = None
    return Channel(nmi, suffix or None, cells[3], cells[6], unit, minutes, fault, ignored)


def read_run(line: str) -> Run | None:
    cells = cells_of(line) + [""] * 4
    first, last, quality = cells[1], cells[2], cells[3].upper()
    if not (re.fullmatch("[0-9]{1,4}", first) and re.fullmatch("[0-9]{1,4}", last)):
        return None
    if not _QUALITY.fullmatch(quality) or quality == "V":
        return None
    return Run(int(first), int(last), quality)


@lru_cache(1 << 16)
def read_version(text: str) -> datetime | None:
    """Read 14 or 12 digits; None for anything else."""
    if not re.fullmatch("(19|20|21)[0-9]{10}([0-9]{2})?", text):
        return None
    try:
        return datetime.strptime(text.ljust(14, "0"), "%Y%m%d%H%M%S")  # noqa: DTZ007  market time
    except ValueError:
        return None


def _read_date(text: str) -> date | None:
    if not re.fullmatch("(19|20|21)[0-9]{6}", text):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


class Day(NamedTuple):
    """A 300 row that can be imported: values in micro-kWh (None: missing), counts as the schema."""

    day: date
    version: datetime
    quality: str
    counts: tuple[int, int, int, int, int]
    micro_kwh: list[int | None]


def read_day(
    line: str, channel: Channel, created: datetime, runs: list[Run | None]
) -> tuple[Day | None, str, date | None]:
    """Read any 300 row: the day, or the reason against it and its date where that can be read."""
    cells = cells_of(line)
    day = _read_date(cells[1] if len(cells) > 1 else "")
    if day is None:
        return None, "date", None
    count = 1440 // channel.interval_minutes
    values, tail = cells[2 : 2 + count], cells[2 + count :] + [""] * 4
    quality = tail[0].upper()
    if fault := _fault_of_count(cells[2:], count, quality):
        return None, fault, day
    qualities = _spread(quality, runs, count)
    if qualities is None:
        return None, "quality_rows", day
    version = read_version(tail[3]) if tail[3] else created
    if version is None:
        return None, "version", day
    decimals = _DECIMALS_OF_MICRO_KWH[channel.unit]
    numbers = [_read_value(value, decimals) for value in values]
    if str in set(map(type, numbers)):
        return None, next(number for number in numbers if isinstance(number, str)), day
    micro_kwh = [
        None if isinstance(number, str) or code[0] == "N" else number
        for number, code in zip(numbers, qualities, strict=True)
    ]
    codes = Counter(qualities) - Counter(
        code for code, number in zip(qualities, micro_kwh, strict=True) if number is None
    )
    letters: Counter[str] = Counter()
    for code, intervals in codes.items():
        letters[code[0]] += intervals
    present = [letters[letter] for letter in LETTERS]
    a, s, f, e = present
    text = quality_text(quality, [run for run in runs if run])
    return Day(day, version, text, (a, s, f, e, count - sum(present)), micro_kwh), "", day


def _fault_of_count(cells: list[str], count: int, quality: str) -> str | None:
    """Say what is wrong with how many values there are, and what stands behind them."""
    if _QUALITY.fullmatch(quality):
        return "count" if _has_quality(cells[:count]) else None
    filled = len(cells)
    while filled and not cells[filled - 1]:
        filled -= 1
    if filled == count:
        return "quality"
    return "count" if _has_quality(cells) or filled < count else "quality"


def _has_quality(cells: list[str]) -> bool:
    has_letters = _LETTER.search(",".join(cells)) is not None
    return has_letters and any(_QUALITY.fullmatch(cell.upper()) for cell in cells)


def _spread(quality: str, runs: list[Run | None], count: int) -> list[str] | None:
    """Return each interval's quality; None where the 400 rows do not fit."""
    spread = [quality] * count
    is_named = [False] * count
    for run in runs:
        if run is None or not 1 <= run.first <= run.last <= count:
            return None
        if any(is_named[run.first - 1 : run.last]):
            return None
        width = run.last - run.first + 1
        is_named[run.first - 1 : run.last] = [True] * width
        spread[run.first - 1 : run.last] = [run.quality] * width
    return None if quality == "V" and not all(is_named) else spread


def quality_text(quality: str, runs: list[Run]) -> str:
    parts = [] if quality == "V" else [quality]
    return ";".join(parts + [f"{run.first}-{run.last} {run.quality}" for run in sorted(runs)])


@lru_cache(1 << 16)
def _read_value(text: str, decimals: int) -> int | str | None:
    """Return micro-kWh, None for an empty cell, or the reason against it.

    Args:
        text: a number in the channel's unit.
        decimals: how many decimals of that unit are whole micro-kWh.
    """
    if not text:
        return None
    match = _NUMBER.fullmatch(text)
    if not match or text == ".":
        is_negative = text[0] == "-" and _NUMBER.fullmatch(text[1:]) and len(text) > 1
        return "negative" if is_negative and text != "-." else "value"
    whole, part = match.groups()
    part = part.rstrip("0")
    if len(part) > decimals:
        return "decimals"
    if len(whole.lstrip("0")) > 15:
        return "size"
    number = int(whole or "0") * 10**decimals + int(part.ljust(decimals, "0") or "0")
    return number if number < MAX_MICRO_KWH else "size"
