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
by `read_day`, which knows all of the above; tests hold the two against each other.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import polars as pl
from polars._typing import PolarsDataType
from polars.io.plugins import register_io_source

from tasks.core.errors import Unreadable
from tasks.imports.limits import MOST_REJECTED_BYTES, MOST_REJECTED_ROWS
from tasks.imports.nem12_records import LETTERS, MAX_MICRO_KWH, Run, quality_text, read_day
from tasks.imports.nem12_structure import Structure, read_lines, read_structure

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
# The counts are intervals with a value, by the quality's letter, and those without one. `member` is
# the file within a zip, '' where the object is no zip.
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
    "member": pl.String,
}
_DAYS_SCHEMA = {name: dtype for name, dtype in READINGS_SCHEMA.items() if name != "member"}
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

# In the body of a clean row stand numbers that can be taken as they are: digits, at most 9, and
# behind a point at most 6.
_UNCLEAN_BODY = r"[^0-9.,]|\.[0-9]*\.|\.[0-9]{7}|[0-9]{10}|,,|\.,|^,|[.,]$"
_CLEAN_TAIL = r'^([AEFSV](?:[0-9]{2})?),[^,"]*,[^,"]*,((?:[0-9]{12}(?:[0-9]{2})?)?) *(?:,|\r?$)'
_ROW_GROUP = 8192  # days: 20 MB of values, where the default would hold 1 GB and more in memory
_THREADS = 2
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
    path: Path, key: str, modified: datetime, readings: Path, source: int = 0, member: str = ""
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
        member: what the `member` column says.

    Raises:
        Unreadable: it is not NEM12, or too much of it would be rejected. The message says what it
            is.
    """
    structure = read_structure(path, key, modified)
    outcome = _Outcome(source, structure)
    _days_of(path, outcome).with_columns(member=pl.lit(member)).sink_parquet(
        readings, compression="zstd", compression_level=1, row_group_size=_ROW_GROUP
    )
    if outcome.has_too_many:
        raise Unreadable(f"{key}: {outcome.another_format()}")
    rejected = pl.concat([*outcome.rejected, outcome.reject_others()]).sort("line")
    days_rejected = rejected.filter(pl.col("record") == "300")
    ignored: Counter[str] = Counter()
    for reason, number in outcome.ignored:
        ignored[reason] += number
    imported = sum(outcome.imported)
    lost = structure.days - imported - ignored.total() - days_rejected.height
    assert lost == 0, f"{key}: {lost} of {structure.days} 300 rows are lost"
    days = days_rejected["day"].drop_nulls().to_list()
    days += [day for first_and_last in outcome.days for day in first_and_last]
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
                if outcome.has_too_many:
                    return

    return register_io_source(read, schema=_DAYS_SCHEMA)


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


@dataclass
class _Outcome:
    """Reads batches of 300 rows, in several threads, and keeps what does not become readings."""

    source: int
    structure: Structure
    imported: list[int] = field(default_factory=list)
    ignored: list[tuple[str, int]] = field(default_factory=list)
    rejected: list[pl.DataFrame] = field(
        default_factory=lambda: [pl.DataFrame(schema=REJECTED_SCHEMA)]
    )
    rejected_bytes: list[int] = field(default_factory=list)
    reasons: list[tuple[str, int]] = field(default_factory=list)  # of days, in each batch
    days: list[tuple[date, date]] = field(default_factory=list)  # first and last of each batch
    unused_rests: list[tuple[int, str]] = field(default_factory=list)

    @property
    def has_too_many(self) -> bool:
        """Say whether there is more in rejected rows than is kept."""
        rows = sum(rows for _, rows in self.reasons)
        return rows > MOST_REJECTED_ROWS or sum(self.rejected_bytes) > MOST_REJECTED_BYTES

    def another_format(self) -> str:
        """Say what is wrong with a file that has too many rejected rows."""
        reasons: Counter[str] = Counter()
        for reason, number in self.reasons:
            reasons[reason] += number
        most = max(sorted(reasons), key=reasons.__getitem__)
        return (
            f"{reasons.total():,} of its {self.structure.days:,} days would be rejected, most of "
            f"them since {REASONS[most]}; correct the file, or split it to see each row"
        )

    def _reject(self, days: pl.DataFrame) -> None:
        self.reasons += days["reason"].value_counts().rows()
        self.rejected_bytes.append(int(days["row"].str.len_bytes().sum()))
        if not self.has_too_many:
            self.rejected.append(days)

    def read(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Turn the 300 rows among lines (row, line) into readings; keep count of the others."""
        odd_days = self.structure.odd_days
        odd_days = odd_days.filter(odd_days.is_between(batch["row"][0], batch["row"][-1]))
        is_day = pl.col("line").str.starts_with("300,")
        batch = batch.filter(is_day | pl.col("row").is_in(odd_days.implode()))
        contexts, channels = self.structure.contexts, self.structure.channel_table
        at = contexts["row"].search_sorted(batch["row"], side="right") - 1
        channel = contexts["channel"].gather(at)
        rows = batch.with_columns(contexts["created"].gather(at), channel).hstack(channels[channel])
        for reason, number in rows["ignored"].drop_nulls().value_counts().iter_rows():
            self.ignored.append((reason, number))
        rows = rows.filter(pl.col("ignored").is_null())
        self._reject_faulty(rows.filter(pl.col("fault").is_not_null()))
        rows = rows.filter(pl.col("fault").is_null())
        parts = [pl.DataFrame(schema=_DAYS_SCHEMA)]
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
        self._reject(
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
                    lambda day: _join_text(day["line"], rests.get(day["row"], []), "\n"),
                    return_dtype=pl.String,
                )
                .alias("row"),
            )
        )

    def _read_slowly(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Read days one by one: as `read_day` does, with what may be the rest of each."""
        readings: list[tuple[object, ...]] = []
        rejected: list[tuple[object, ...]] = []
        for row, line, created, number in rows.select(
            "row", "line", "created", "channel"
        ).iter_rows():
            channel = self.structure.channels[number]
            runs = self.structure.runs.get(row, [])
            rests = self.structure.rests.get(row, [])
            found, reason, day = read_day(line, channel, created, runs)
            if found and rests:
                self.unused_rests.extend(rests)
            elif rests:
                found, reason, day = read_day(_join_text(line, rests), channel, created, runs)
            if found:
                readings.append(
                    (
                        *(self.source, row + 1, channel.nmi, channel.suffix, channel.register),
                        *(channel.serial, found.day, channel.interval_minutes, found.version),
                        *(found.quality, *found.counts, found.micro_kwh),
                    )
                )
            else:
                text = _join_text(line, rests, "\n")
                rejected.append(("300", row + 1, reason, channel.nmi, channel.suffix, day, text))
        self._reject(pl.DataFrame(rejected, schema=REJECTED_SCHEMA, orient="row"))
        return pl.DataFrame(readings, schema=_DAYS_SCHEMA, orient="row")

    def reject_others(self) -> pl.DataFrame:
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


def _join_text(line: str, rests: list[tuple[int, str]], between: str = "") -> str:
    return between.join(part.rstrip("\r") for part in (line, *(text for _, text in rests)))


def _read_clean(
    rows: pl.DataFrame, structure: Structure, source: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read the clean ones among days of one interval length and unit; return them and the others.

    The numbers of all clean rows are parsed as one column: a text whose lines end in commas.
    """
    if rows.is_empty():
        return pl.DataFrame(schema=_DAYS_SCHEMA), rows
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
        return pl.DataFrame(schema=_DAYS_SCHEMA), rows
    numbers = _parse_numbers(clean["body"].str.join(",").item())
    assert numbers.len() == clean.height * count
    if unit == "MWH":
        numbers = numbers * 1000
        if numbers.max() >= MAX_MICRO_KWH:  # type: ignore[operator]
            return pl.DataFrame(schema=_DAYS_SCHEMA), rows
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
        *LETTERS.values(),
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


def _summaries(rows: pl.DataFrame, structure: Structure, count: int) -> list[pl.Series]:
    """Return the quality's text and its counts for rows whose `quality` is known.

    The text is null for what is not clean: 400 rows that do not fit, or intervals of quality N, or
    lines that may be the rest of the row.
    """
    texts = rows["quality"].to_list()
    letters = rows["quality"].str.head(1)
    counts = {
        name: (letters == letter).fill_null(False).cast(pl.Int16) * count
        for letter, name in LETTERS.items()
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
            for letter, name in LETTERS.items():
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
    return quality_text(quality, known), letters
