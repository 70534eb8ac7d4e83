"""NEM12: from a file of interval meter data to one row per channel and day, exact, or rejected.

A NEM12 file is a CSV without a header. `100` opens it; each `200` row names a channel (a register
of a meter: NMI, suffix, serial, unit, length of its intervals); each `300` row below it is a day of
that channel; `400` rows below a day say which quality its intervals have; `900` ends a block.

Every 300 row ends in exactly one of *imported* (`readings`, READINGS_SCHEMA), *ignored* (a channel
that is not energy to or from the site: counted, with the reason) and *rejected* (line, reason, the
row as it was). Nothing is rounded: a value that is no whole number of micro-kWh costs its row. A
missing reading is null, never zero.

Decisions on what is met in the wild:

- No 100 row, blank lines, a UTF-8 BOM, CRLF, blanks around a cell, quoted cells: read all the same.
- A 200 or 300 row after a 900 row is read like any other; but a 900 or 100 row ends the channel, so
  that a 300 row needs a 200 row of its own after it (else: `orphan`).
- Empty cells at the end of a row are padding. A 200 row may lack its last column.
- The version is UpdateDateTime, 14 digits, or 12 (then at second 0). Where it is empty, it is the
  time in the 100 row; where that cannot be read (2.02607E+11), when the object was stored. Anything
  else in its place rejects the row, since a version that is guessed might win.
- The count of values must be that of the 200 row's interval length (5, 15 or 30 minutes). 96 values
  under 30, 48 under 15, a day of quality V without values: rejected. No first half is ever taken.
- No quality behind the values, or an unknown one: rejected. V needs 400 rows that cover all
  intervals once; without them the row is rejected, and its day is missing. 400 rows below another
  quality refine it, so they may leave gaps, and no more. Letters in any case.
- An empty cell among the values, and an interval of quality N, are missing readings.
- A day may stand in a file twice, channels may begin on different days and have different lengths:
  each 300 row is on its own. Which version counts is decided when a month is settled.
- A line that is no record and follows a 300 row is the rest of it: the two are put together, with
  nothing in between, and judged as one row. If the 300 row is whole without it, or there is none,
  the line is rejected on its own (`record`).
- Wh, kWh, MWh in any case are energy. An E or B channel in a unit of something else (kvarh, kW) is
  ignored; one whose unit is empty or unknown is rejected.
- Suffixes of other letters (averages, check meters, net, reactive) are ignored, whatever else is
  wrong with them.
- NEM13, and whatever has neither a 100 row that says NEM12 nor a 200 row, is Unreadable.

Clean rows, which nearly all are, never become Python objects: a regular expression says that a row
is clean, and Polars parses the values of many rows as one column. All others are read one by one
by `_read_day`, which knows all of the above; tests hold the two against each other.
"""

import csv
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import polars as pl
from polars._typing import PolarsDataType
from polars.io.plugins import register_io_source

from tasks.core.errors import Unreadable
from tasks.core.nmi import NMI_PATTERN, canonical_nmi

# Why a row is rejected. A row with several faults is counted under the first.
REASONS = {
    "orphan": "there is no 200 row above it, or for a 400 row no 300 row, that it belongs to",
    "record": "its first cell is no record of NEM12: 100, 200, 300, 400, 500 or 900",
    "nmi": "the 200 row's NMI is not 10 letters (without I and O) and digits, or 11 with the check "
    "digit",
    "nmi_check_digit": "the check digit of the 200 row's NMI, its 11th character, is wrong",
    "suffix": "the 200 row's NMISuffix is not a letter and a letter or digit, like E1 or B1",
    "unit": "the 200 row's UOM is none of Wh, kWh and MWh, nor a unit of something else",
    "length": "the 200 row's IntervalLength is not 5, 15 or 30",
    "date": "its IntervalDate is not a date of 8 digits (20260301)",
    "count": "it does not have as many values as a day has intervals of the 200 row's "
    "IntervalLength",
    "quality": "the cell behind its values is no QualityMethod: A, E, F, S, N, with or without two "
    "digits, or V",
    "quality_rows": "its quality varies (V) and the 400 rows below it do not cover each interval "
    "once, or a 400 row below it cannot be read or overlaps another",
    "version": "its UpdateDateTime is neither empty nor a date and time of 14 or 12 digits; a "
    "spreadsheet may have shortened it: use the file as the provider sent it",
    "negative": "a value is negative; energy the other way is another channel's",
    "value": "a value is not a plain decimal number",
    "size": "a value is 1000000000 kWh or more",
    "decimals": "a value is not a whole number of micro-kWh (6 decimals of a kWh)",
}
# Why a channel's 300 rows are left out without being wrong.
IGNORED = {
    "suffix": "the suffix is neither E (consumption) nor B (generation): averages, check meters, "
    "net, reactive energy",
    "unit": "the unit is not one of energy",
}

# One row per 300 row that was imported. `day` is its IntervalDate; interval i of it ends i x
# `interval_minutes` after its midnight, in market time, the last one at the next midnight.
# `version` is in market time. `quality` is a code (A, S14) or, where it varies, codes of ranges of
# intervals: '1-20 F14;21-24 A;25-48 S14' (a code without a range holds where no range does).
# The counts are intervals with a value, by the quality's letter, and those without one.
READINGS_SCHEMA: dict[str, PolarsDataType] = {
    "source": pl.Int32,
    "line": pl.UInt32,
    "nmi": pl.String,
    "suffix": pl.String,
    "register": pl.String,
    "serial": pl.String,
    "day": pl.Date,
    "interval_minutes": pl.Int16,
    "version": pl.Datetime("us"),
    "quality": pl.String,
    "actual": pl.Int16,
    "substituted": pl.Int16,
    "final": pl.Int16,
    "estimated": pl.Int16,
    "missing": pl.Int16,
    "micro_kwh": pl.List(pl.Int64),
}
# One row per row that was rejected, in the file's order. `record` is 300, or that of another row
# that is wrong ('' for a line that is no record); nmi, suffix and day where they can be read.
REJECTED_SCHEMA: dict[str, PolarsDataType] = {
    "record": pl.String,
    "line": pl.UInt32,
    "reason": pl.String,
    "nmi": pl.String,
    "suffix": pl.String,
    "day": pl.Date,
    "row": pl.String,
}

MARKET_TIME = timezone(timedelta(hours=10))
_LENGTHS = (5, 15, 30)
_MAX_MICRO_KWH = 10**15
_DECIMALS_OF_MICRO_KWH = {"WH": 3, "KWH": 6, "MWH": 9}
_OTHER_UNITS = frozenset(
    prefix + unit for prefix in ("", "K", "M") for unit in ("VARH", "VAR", "VAH", "VA", "W", "V")
) | {"A", "KA", "PF"}
_LETTERS = {"A": "actual", "S": "substituted", "F": "final", "E": "estimated"}

_QUALITY = re.compile(r"[AEFSN]([0-9]{2})?|V")
_NUMBER = re.compile(r"([0-9]*)\.?([0-9]*)")
# In the body of a clean row stand numbers that can be taken as they are: digits, at most 9, and
# behind a point at most 6.
_UNCLEAN_BODY = r"[^0-9.,]|\.[0-9]*\.|\.[0-9]{7}|[0-9]{10}|,,|\.,|^,|[.,]$"
_CLEAN_TAIL = r'^([AEFSV](?:[0-9]{2})?),[^,"]*,[^,"]*,((?:[0-9]{12}(?:[0-9]{2})?)?) *(?:,|\r?$)'
_RECORD = r'^\x{FEFF}?[\s"]*([0-9]{3})["\s]*(?:,|$)'
_FILLED = r'[^\s,"\x{FEFF}]'  # what a line has that is a row, not just commas and blanks
_ROW_GROUP = 8192  # days: 20 MB of values, where the default would hold 1 GB and more in memory
_CHUNK_BYTES = 4 << 20
_THREADS = 2
_MANY_LINES = 1000
_IS_QUICK = True  # tests turn it off, to hold the slow way against the quick one


@dataclass(frozen=True)
class Nem12Import:
    """What became of a file: `rows` 300 rows, of them `imported`, `ignored`, and the `rejected`.

    `rows` = `imported` + the sum of `ignored` (by reason, IGNORED) + the 300 rows in `rejected`
    (REJECTED_SCHEMA), which also lists other rows that are wrong. `first_day` and `last_day` are of
    all 300 rows, imported or rejected, whose day can be read.
    """

    rows: int
    imported: int
    ignored: dict[str, int]
    rejected: pl.DataFrame
    first_day: date | None
    last_day: date | None


def import_nem12(
    path: Path, key: str, modified: datetime, readings: Path, source: int = 0
) -> Nem12Import:
    """Read a NEM12 file and write its days to a Parquet file (READINGS_SCHEMA), in any order.

    In memory are at any time some thousands of days, the rows that are not 300 rows, and what was
    rejected.

    Args:
        path: the unpacked file on this machine.
        key: what messages call it.
        modified: when the object was stored, aware: the version of last resort.
        readings: where to write.
        source: what the `source` column says.

    Raises:
        Unreadable: it is not NEM12. The message says what it is.
    """
    _require_text(path, key)
    structure = _read_structure(path, key, modified)
    outcome = _Outcome(source, structure)
    _days_of(path, outcome).sink_parquet(
        readings, compression="zstd", compression_level=1, row_group_size=_ROW_GROUP
    )
    rejected = pl.concat([*outcome.rejected, outcome.others_rejected()]).sort("line")
    days_rejected = rejected.filter(pl.col("record") == "300")
    ignored: Counter[str] = Counter()
    for reason, number in outcome.ignored:
        ignored[reason] += number
    imported = sum(outcome.imported)
    lost = structure.days - imported - ignored.total() - days_rejected.height
    assert lost == 0, f"{key}: {lost} of {structure.days} 300 rows are lost"
    days = [day for both in outcome.days for day in both] + days_rejected[
        "day"
    ].drop_nulls().to_list()
    return Nem12Import(
        structure.days,
        imported,
        dict(sorted(ignored.items())),
        rejected,
        min(days, default=None),
        max(days, default=None),
    )


def quality_of_interval(quality: str, number: int) -> str:
    """Return an interval's code from a reading's `quality`: ('1-20 F14;21-48 A', 3) -> 'F14'."""
    own = ""
    for part in quality.split(";"):
        numbers, _, code = part.rpartition(" ")
        if not numbers:
            own = code
        elif int(numbers.split("-")[0]) <= number <= int(numbers.split("-")[-1]):
            return code
    return own


def read_lines(path: Path) -> Iterator[pl.DataFrame]:
    """Read a text file as whole lines, some megabytes at a time: row (from 0), line."""
    row = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            lines = pl.read_csv(
                chunk + file.readline(),
                has_header=False,
                schema={"line": pl.String},
                separator="\0",  # no such byte is in it, so a field is a whole line
                quote_char=None,
                encoding="utf8-lossy",
                row_index_name="row",
                row_index_offset=row,
                raise_if_empty=False,
            )
            row += lines.height
            yield lines.with_columns(pl.col("line").fill_null(""))


def _days_of(path: Path, outcome: "_Outcome") -> pl.LazyFrame:
    """Scan a file's days as readings.

    Not by `scan_csv`, which reads far ahead of what is made of the lines: 900 MB of memory for a
    file of 500 MB.
    """

    def read(
        columns: list[str] | None, _: pl.Expr | None, __: int | None, ___: int | None
    ) -> Iterator[pl.DataFrame]:
        with ThreadPoolExecutor(_THREADS) as pool:
            for readings in _in_turn(pool, outcome.read, read_lines(path)):
                yield readings.select(columns) if columns else readings

    return register_io_source(read, schema=READINGS_SCHEMA)


def _in_turn(
    pool: Executor,
    function: Callable[[pl.DataFrame], pl.DataFrame],
    batches: Iterator[pl.DataFrame],
) -> Iterator[pl.DataFrame]:
    """Map in a pool's threads, in order, a few batches ahead and no more."""
    waiting: deque[Future[pl.DataFrame]] = deque()
    for batch in batches:
        waiting.append(pool.submit(function, batch))
        if len(waiting) > _THREADS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _require_text(path: Path, key: str) -> None:
    with path.open("rb") as file:
        first = file.read(1 << 20)
        if not first.strip(b"\xef\xbb\xbf \t\r\n,") and len(first) < 1 << 20:
            raise Unreadable(f"{key}: empty: it has no rows")
        if first.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise Unreadable(f"{key}: not text: it is UTF-16; save it as CSV in UTF-8")
        if b"\n" not in first and b"\r" in first:
            raise Unreadable(f"{key}: its lines end in CR alone; save it with LF or CRLF")
        chunk = first
        while chunk:
            if b"\0" in chunk:
                raise Unreadable(
                    f"{key}: not text: it holds NUL bytes; use the file as it was sent"
                )
            chunk = file.read(1 << 20)


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


_NO_CHANNEL = Channel(None, None, "", "", "", 0, "orphan", None)
_CHANNEL_SCHEMA: dict[str, PolarsDataType] = {
    **dict.fromkeys(Channel._fields, pl.String),
    "interval_minutes": pl.Int16,
}


class Run(NamedTuple):
    """What a 400 row says: which intervals, both ends included, have which quality."""

    first: int
    last: int
    quality: str


@dataclass
class _Structure:
    """All of a file that is not a plain 300 row, so that its days can be read in any order.

    `contexts` has the rows that begin or end a channel, in order, and which channel it is then
    (index in `channels`) and `created`, the version of days that have none of their own.
    """

    days: int  # how many 300 rows there are
    odd_days: list[int]  # rows of 300 rows that do not begin with '300,'
    contexts: pl.DataFrame  # row, channel, created
    channels: list[Channel]  # the first is none: what is above the first 200 row, say
    channel_table: pl.DataFrame  # the same, as columns
    channel_rows: pl.DataFrame  # row, channel, line: the 200 rows
    runs: dict[int, list[Run | None]]  # by the 300 row's row; None: a 400 row that cannot be read
    rests: dict[int, list[tuple[int, str]]]  # lines that may be the rest of a 300 row, by its row
    loose: pl.DataFrame  # row, record, line, reason: what belongs to nothing


def _read_structure(path: Path, key: str, modified: datetime) -> _Structure:
    plain_days = 0
    found = [pl.DataFrame(schema={"row": pl.UInt32, "line": pl.String, "record": pl.String})]
    for lines in read_lines(path):
        is_day = lines["line"].str.starts_with("300,")
        plain_days += int(is_day.sum())
        others = lines.filter(~is_day)
        # By way of Python, since a filtered column keeps all of the text that it came from.
        others = others.with_columns(pl.Series("line", others["line"].to_list(), pl.String))
        found.append(
            others.with_columns(
                record=pl.when(pl.col("line").str.contains(_FILLED))
                .then(pl.col("line").str.extract(_RECORD).fill_null(""))
                .otherwise(pl.lit("blank"))
            )
        )
    others = _with_their_day(pl.concat(found)).filter(pl.col("record") != "blank")
    odd_days = others.filter(pl.col("record") == "300")["row"].to_list()
    days = plain_days + len(odd_days)
    _require_nem12(path, key, others, days)
    contexts, channels, channel_rows = _contexts(others, modified)
    runs: dict[int, list[Run | None]] = {}
    rests: dict[int, list[tuple[int, str]]] = {}
    loose: list[tuple[int, str, str, str]] = []
    known = ("100", "200", "300", "400", "500", "900")
    for row, line, record, day in others.filter(
        (pl.col("record") == "400") | ~pl.col("record").is_in(known)
    ).iter_rows():
        if record == "400":
            if day is None:
                loose.append((row, record, line, "orphan"))
            else:
                runs.setdefault(day, []).append(_read_run(line))
        elif day is not None and day + len(rests.get(day, [])) + 1 == row:
            rests.setdefault(day, []).append((row, line))
        else:
            loose.append((row, "", line, "record"))
    return _Structure(
        days,
        odd_days,
        contexts,
        channels,
        pl.DataFrame(channels, schema=_CHANNEL_SCHEMA, orient="row"),
        channel_rows,
        runs,
        rests,
        pl.DataFrame(
            loose,
            schema={"row": pl.UInt32, "record": pl.String, "line": pl.String, "reason": pl.String},
            orient="row",
        ),
    )


def _require_nem12(path: Path, key: str, others: pl.DataFrame, days: int) -> None:
    """Raise Unreadable for a file of another format, with a sentence that says which."""
    headers = others.filter(pl.col("record") == "100")
    for row, line in headers.select("row", "line").iter_rows():
        cells = _cells(line)
        if (name := cells[1].upper() if len(cells) > 1 else "") != "NEM12":
            raise Unreadable(f"{key}: {_another_format(name, row + 1)}")
    if others.height and others["record"][0] in ("250", "550"):
        raise Unreadable(f"{key}: {_another_format('NEM13', others['row'][0] + 1)}")
    if others.filter(pl.col("record").is_in(["100", "200"])).is_empty():
        first = next(read_lines(path)).filter(pl.col("line").str.contains(_FILLED))
        raise Unreadable(
            f"{key}: not NEM12: it has neither a 100 row that says NEM12 nor a 200 row, and begins "
            f"with {first['line'][0][:100]!r}"
            if first.height
            else f"{key}: not NEM12: it begins with blank lines"
        )
    unknown = others.filter(pl.col("record") == "").height
    if unknown > _MANY_LINES and unknown > days:
        raise Unreadable(
            f"{key}: not NEM12: {unknown:,} of its lines are no records of it, and only {days:,} "
            "are days of readings; use the file as the provider sent it"
        )


def _another_format(name: str, line: int) -> str:
    if name == "NEM13":
        return (
            f"NEM13 (line {line}): accumulated reads, which have no intervals and cannot be "
            "settled; ask the meter data provider for NEM12"
        )
    return f"not NEM12: the 100 row in line {line} says {name[:40]!r}"


def _with_their_day(others: pl.DataFrame) -> pl.DataFrame:
    """Add `day`: the row of the 300 row that a line stands below, null if there is none.

    All rows but the plain 300 rows are here; so where a row number is left out, there is one.
    """
    before = pl.col("row").cast(pl.Int64).shift(1, fill_value=-1)
    begins = pl.col("record").is_in(["100", "200", "900"])
    return others.select(
        "row",
        "line",
        "record",
        pl.when(begins)
        .then(None)
        .when(before < pl.col("row").cast(pl.Int64) - 1)
        .then(pl.col("row").cast(pl.Int64) - 1)
        .when(pl.col("record").shift(1) == "300")
        .then(before)
        .forward_fill()
        .over(begins.cum_sum())
        .alias("day"),
    )


def _contexts(
    others: pl.DataFrame, modified: datetime
) -> tuple[pl.DataFrame, list[Channel], pl.DataFrame]:
    stored = modified.astimezone(MARKET_TIME).replace(tzinfo=None, microsecond=0)
    created = stored
    numbers = {_NO_CHANNEL: 0}
    contexts: list[tuple[int, int, datetime]] = []
    channel_rows: list[tuple[int, int, str]] = []
    for row, line, record in (
        others.filter(pl.col("record").is_in(["100", "200", "900"]))
        .select("row", "line", "record")
        .iter_rows()
    ):
        number = 0
        if record == "100":
            cells = _cells(line)
            created = _read_version(cells[2] if len(cells) > 2 else "") or stored
        elif record == "200":
            number = numbers.setdefault(_read_channel(line), len(numbers))
            channel_rows.append((row, number, line))
        contexts.append((row, number, created))
    return (
        pl.DataFrame(
            [(0, 0, stored), *contexts],
            schema={"row": pl.UInt32, "channel": pl.Int32, "created": pl.Datetime("us")},
            orient="row",
        ),
        list(numbers),
        pl.DataFrame(
            channel_rows,
            schema={"row": pl.UInt32, "channel": pl.Int32, "line": pl.String},
            orient="row",
        ),
    )


def _cells(line: str) -> list[str]:
    """Return a line's cells, trimmed; one that is badly quoted has its quotes in them."""
    if '"' not in line:
        return [cell.strip() for cell in line.lstrip("\ufeff").split(",")]
    try:
        [cells] = csv.reader([line.lstrip("\ufeff").rstrip("\r")])
    except (csv.Error, ValueError):
        cells = line.split(",")
    return [cell.strip() for cell in cells]


@lru_cache(1 << 16)
def _read_channel(line: str) -> Channel:
    cells = _cells(line) + [""] * 9
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


def _read_run(line: str) -> Run | None:
    cells = _cells(line) + [""] * 4
    first, last, quality = cells[1], cells[2], cells[3].upper()
    if not (re.fullmatch("[0-9]{1,4}", first) and re.fullmatch("[0-9]{1,4}", last)):
        return None
    if not _QUALITY.fullmatch(quality) or quality == "V":
        return None
    return Run(int(first), int(last), quality)


@lru_cache(1 << 16)
def _read_version(text: str) -> datetime | None:
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


def _read_day(
    line: str, channel: Channel, created: datetime, runs: list[Run | None]
) -> tuple[Day | None, str, date | None]:
    """Read any 300 row: the day, or the reason against it and its date where that can be read."""
    cells = _cells(line)
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
    version = _read_version(tail[3]) if tail[3] else created
    if version is None:
        return None, "version", day
    decimals = _DECIMALS_OF_MICRO_KWH[channel.unit]
    micro_kwh: list[int | None] = []
    for value, code in zip(values, qualities, strict=True):
        number = _read_value(value, decimals)
        if isinstance(number, str):
            return None, number, day
        micro_kwh.append(None if code[0] == "N" else number)
    letters = Counter(
        code[0] for code, number in zip(qualities, micro_kwh, strict=True) if number is not None
    )
    present = [letters[letter] for letter in _LETTERS]
    a, s, f, e = present
    text = _quality_text(quality, [run for run in runs if run])
    return Day(day, version, text, (a, s, f, e, count - sum(present)), micro_kwh), "", day


def _fault_of_count(cells: list[str], count: int, quality: str) -> str | None:
    """Say what is wrong with how many values there are, and what stands behind them."""
    if _QUALITY.fullmatch(quality):
        early = any(_QUALITY.fullmatch(cell.upper()) for cell in cells[:count])
        return "count" if early else None
    filled = len(cells)
    while filled and not cells[filled - 1]:
        filled -= 1
    if filled == count:
        return "quality"
    has_quality_elsewhere = any(_QUALITY.fullmatch(cell.upper()) for cell in cells)
    return "count" if has_quality_elsewhere or filled < count else "quality"


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


def _quality_text(quality: str, runs: list[Run]) -> str:
    parts = [] if quality == "V" else [quality]
    return ";".join(parts + [f"{run.first}-{run.last} {run.quality}" for run in sorted(runs)])


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
    return number if number < _MAX_MICRO_KWH else "size"


@dataclass
class _Outcome:
    """Reads batches of 300 rows, in several threads, and keeps what does not become readings."""

    source: int
    structure: _Structure
    imported: list[int] = field(default_factory=list)
    ignored: list[tuple[str, int]] = field(default_factory=list)
    rejected: list[pl.DataFrame] = field(
        default_factory=lambda: [pl.DataFrame(schema=REJECTED_SCHEMA)]
    )
    days: list[tuple[date, date]] = field(default_factory=list)  # first and last of each batch
    unused_rests: list[tuple[int, str]] = field(default_factory=list)

    def read(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Turn the 300 rows among lines (row, line) into readings; keep count of the others."""
        is_day = pl.col("line").str.starts_with("300,")
        batch = batch.filter(is_day | pl.col("row").is_in(self.structure.odd_days))
        contexts, channels = self.structure.contexts, self.structure.channel_table
        at = contexts["row"].search_sorted(batch["row"], side="right") - 1
        channel = contexts["channel"].gather(at)
        rows = batch.with_columns(contexts["created"].gather(at), channel).hstack(channels[channel])
        for reason, number in rows["ignored"].drop_nulls().value_counts().iter_rows():
            self.ignored.append((reason, number))
        rows = rows.filter(pl.col("ignored").is_null())
        self._reject_faulty(rows.filter(pl.col("fault").is_not_null()))
        rows = rows.filter(pl.col("fault").is_null())
        parts = [pl.DataFrame(schema=READINGS_SCHEMA)]
        for same in rows.partition_by("interval_minutes", "unit"):
            slow = same
            if _IS_QUICK:
                quick, slow = _read_clean(same, self.structure, self.source)
                parts.append(quick)
            parts.append(self._read_slowly(slow))
        readings = pl.concat(parts)
        self.imported.append(readings.height)
        if readings.height:
            self.days.append((readings["day"].min(), readings["day"].max()))  # type: ignore[arg-type]
        return readings

    def _reject_faulty(self, rows: pl.DataFrame) -> None:
        if rows.is_empty():
            return
        rests = self.structure.rests
        self.rejected.append(
            rows.select(
                pl.lit("300").alias("record"),
                (pl.col("row") + 1).alias("line"),
                pl.col("fault").alias("reason"),
                "nmi",
                "suffix",
                pl.col("line")
                .str.extract(r"^[^0-9]*300[^0-9]*((?:19|20|21)[0-9]{6})")
                .str.to_date("%Y%m%d", strict=False)
                .alias("day"),
                pl.struct("row", "line")
                .map_elements(
                    lambda day: _joined(day["line"], rests.get(day["row"], []), "\n"),
                    return_dtype=pl.String,
                )
                .alias("row"),
            )
        )

    def _read_slowly(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Read days one by one: as `_read_day` does, with what may be the rest of each."""
        readings: list[tuple[object, ...]] = []
        rejected: list[tuple[object, ...]] = []
        for row, line, created, number in rows.select(
            "row", "line", "created", "channel"
        ).iter_rows():
            channel = self.structure.channels[number]
            runs = self.structure.runs.get(row, [])
            rests = self.structure.rests.get(row, [])
            found, reason, day = _read_day(line, channel, created, runs)
            if found and rests:
                self.unused_rests.extend(rests)
            elif rests:
                found, reason, day = _read_day(_joined(line, rests), channel, created, runs)
            if found:
                readings.append(
                    (
                        *(self.source, row + 1, channel.nmi, channel.suffix, channel.register),
                        *(channel.serial, found.day, channel.interval_minutes, found.version),
                        *(found.quality, *found.counts, found.micro_kwh),
                    )
                )
            else:
                text = _joined(line, rests, "\n")
                rejected.append(("300", row + 1, reason, channel.nmi, channel.suffix, day, text))
        self.rejected.append(pl.DataFrame(rejected, schema=REJECTED_SCHEMA, orient="row"))
        return pl.DataFrame(readings, schema=READINGS_SCHEMA, orient="row")

    def others_rejected(self) -> pl.DataFrame:
        """Return the rows that are wrong and no 300 rows, once all batches are read."""
        channels = self.structure.channel_table
        faulty = self.structure.channel_rows.hstack(
            channels[self.structure.channel_rows["channel"]]
        ).filter(pl.col("fault").is_not_null())
        unused = pl.DataFrame(
            self.unused_rests, schema={"row": pl.UInt32, "line": pl.String}, orient="row"
        ).with_columns(record=pl.lit(""), reason=pl.lit("record"))
        return pl.concat(
            [
                faulty.with_columns(record=pl.lit("200"), reason="fault"),
                self.structure.loose,
                unused,
            ],
            how="diagonal",
        ).select(
            "record",
            (pl.col("row") + 1).alias("line"),
            "reason",
            "nmi",
            "suffix",
            pl.lit(None, pl.Date).alias("day"),
            pl.col("line").str.strip_chars_end("\r").alias("row"),
        )


def _joined(line: str, rests: list[tuple[int, str]], between: str = "") -> str:
    return between.join(part.rstrip("\r") for part in (line, *(text for _, text in rests)))


def _read_clean(
    rows: pl.DataFrame, structure: _Structure, source: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read the clean ones among days of one interval length and unit; return them and the others.

    The numbers of all clean rows are parsed as one column: a text whose lines end in commas.
    """
    if rows.is_empty():
        return pl.DataFrame(schema=READINGS_SCHEMA), rows
    minutes, unit = rows["interval_minutes"][0], rows["unit"][0]
    count = 1440 // minutes
    end = pl.col("line").str.find(",[A-Z]")
    rows = rows.with_columns(
        body=pl.col("line").str.slice(13, end - 13),
        tail=pl.col("line").str.slice(end + 1).str.extract_groups(_CLEAN_TAIL),
        day=pl.when(pl.col("line").str.contains("^300,(19|20|21)[0-9]{6},"))
        .then(pl.col("line").str.slice(4, 8))
        .str.to_date("%Y%m%d", strict=False),
    ).with_columns(
        quality=pl.col("tail").struct[0],
        version=_versions(pl.col("tail").struct[1]),
    )
    rows = rows.with_columns(_summaries(rows, structure, count)).with_columns(
        is_clean=pl.all_horizontal(
            pl.col("day", "version", "text").is_not_null(),
            pl.col("body").str.count_matches(",", literal=True) == count - 1,
            ~pl.col("body").str.contains(_UNCLEAN_BODY),
        ).fill_null(False)
    )
    clean = rows.filter("is_clean")
    if clean.is_empty():
        return pl.DataFrame(schema=READINGS_SCHEMA), rows
    numbers = _parse_numbers(clean["body"].str.join(",").item())
    assert numbers.len() == clean.height * count
    if unit == "MWH":
        numbers = numbers * 1000
        if numbers.max() >= _MAX_MICRO_KWH:  # type: ignore[operator]
            return pl.DataFrame(schema=READINGS_SCHEMA), rows
    elif unit == "WH":
        is_whole = (numbers % 1000 == 0).reshape((clean.height, count)).arr.all()
        if not is_whole.all():
            quick, slow = _read_clean(clean.filter(is_whole), structure, source)
            return quick, pl.concat(
                [rows.filter(~pl.col("is_clean")), clean.filter(~is_whole), slow]
            )
        numbers = numbers // 1000
    readings = clean.select(
        pl.lit(source, pl.Int32).alias("source"),
        (pl.col("row") + 1).alias("line"),
        *("nmi", "suffix", "register", "serial", "day", "interval_minutes", "version"),
        pl.col("text").alias("quality"),
        *_LETTERS.values(),
        pl.lit(0, pl.Int16).alias("missing"),
        numbers.reshape((clean.height, count)).arr.to_list().alias("micro_kwh"),
    )
    return readings, rows.filter(~pl.col("is_clean"))


def _versions(texts: pl.Expr) -> pl.Expr:
    is_text = texts.str.contains("^(19|20|21)[0-9]{10}")
    stated = pl.when(is_text).then(texts).str.pad_end(14, "0")
    return (
        pl.when(texts == "")
        .then("created")
        .otherwise(stated.str.to_datetime("%Y%m%d%H%M%S", time_unit="us", strict=False))
    )


def _parse_numbers(text: str) -> pl.Series:
    """Parse plain decimals between commas, as whole millionths."""
    numbers = pl.read_csv(
        text.encode(),
        has_header=False,
        schema={"number": pl.Decimal(18, 6)},
        eol_char=",",
        quote_char=None,
    )["number"]
    return numbers.to_physical().cast(pl.Int64)


def _summaries(rows: pl.DataFrame, structure: _Structure, count: int) -> list[pl.Series]:
    """Return the quality's text and its counts for rows whose `quality` is known.

    The text is null for what is not clean: 400 rows that do not fit, or intervals of quality N, or
    lines that may be the rest of the row.
    """
    texts = rows["quality"].to_list()
    letters = rows["quality"].str.head(1)
    counts = {
        name: (letters == letter).fill_null(False).cast(pl.Int16) * count
        for letter, name in _LETTERS.items()
    }
    special = [
        place
        for place, (row, quality) in enumerate(rows.select("row", "quality").iter_rows())
        if quality == "V" or row in structure.runs or row in structure.rests
    ]
    if special:
        table = {name: column.to_list() for name, column in counts.items()}
        for place in special:
            row = rows["row"][place]
            is_broken = texts[place] is None or row in structure.rests
            summary = (
                None if is_broken else _summary(texts[place], structure.runs.get(row, []), count)
            )
            texts[place] = summary[0] if summary else None
            for letter, name in _LETTERS.items():
                table[name][place] = summary[1][letter] if summary else 0
        counts = {name: pl.Series(column, dtype=pl.Int16) for name, column in table.items()}
    return [
        pl.Series("text", texts, dtype=pl.String),
        *(column.alias(name) for name, column in counts.items()),
    ]


def _summary(quality: str, runs: list[Run | None], count: int) -> tuple[str, Counter[str]] | None:
    """Return a quality's text and its count by letter, if its 400 rows fit and none says N."""
    known = sorted(run for run in runs if run)
    letters: Counter[str] = Counter()
    after = 1
    for run in known:
        if not after <= run.first <= run.last <= count:
            return None
        letters[run.quality[0]] += run.last - run.first + 1
        after = run.last + 1
    rest = count - sum(letters.values())
    if len(known) < len(runs) or letters["N"] or (quality == "V" and rest):
        return None
    if rest:
        letters[quality[0]] += rest
    return _quality_text(quality, known), letters
