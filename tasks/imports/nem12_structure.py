"""What a NEM12 file is made of, apart from its days: so that days can be read in any order.

One pass over the lines finds the channels, and which lines belong to which 300 row. A file that is
not NEM12 is found out here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import polars as pl

from tasks.core.errors import Unreadable
from tasks.imports.nem12_records import (
    CHANNEL_SCHEMA,
    NO_CHANNEL,
    Channel,
    Run,
    cells_of,
    read_channel,
    read_run,
    read_version,
)

MARKET_TIME = timezone(timedelta(hours=10))
_RECORD = r'^\x{FEFF}?[\s"]*([0-9]{3})["\s]*(?:,|$)'
_FILLED = r'[^\s,"\x{FEFF}]'  # what a line has that is a row, not just commas and blanks
_CHUNK_BYTES = 4 << 20
_MANY_LINES = 1000
# Rows that are no plain 300 rows are held in memory. Of 10,000 sites, a month has 20,000 200 rows.
_MOST_OTHERS = 1_000_000
_MOST_OTHERS_BYTES = 128 << 20


def read_lines(path: Path) -> Iterator[pl.DataFrame]:
    """Read a text file as whole lines, some megabytes at a time: row (from 0), line."""
    row = 0
    above = b""  # an empty line keeps a byte order mark that a chunk begins with in its line
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            lines = pl.read_csv(
                above + chunk + file.readline(),
                has_header=False,
                skip_rows=len(above),
                schema={"line": pl.String},
                separator="\0",  # no such byte is in it, so a field is a whole line
                quote_char=None,
                encoding="utf8-lossy",
                row_index_name="row",
                row_index_offset=row,
                raise_if_empty=False,
            )
            row += lines.height
            above = b"\n"
            yield lines.with_columns(pl.col("line").fill_null(""))


@dataclass
class Structure:
    """All of a file that is not a plain 300 row, so that its days can be read in any order.

    `contexts` has the rows that begin or end a channel, in order, and which channel it is then
    (index in `channels`) and `created`, the version of days that have none of their own.
    """

    days: int  # how many 300 rows there are
    odd_days: pl.Series  # rows of 300 rows that do not begin with '300,'
    contexts: pl.DataFrame  # row, channel, created
    channels: list[Channel]  # the first is none: what is above the first 200 row, say
    channel_table: pl.DataFrame  # the same, as columns
    channel_rows: pl.DataFrame  # row, channel, line: the 200 rows
    runs: dict[int, list[Run | None]]  # by the 300 row's row; None: a 400 row that cannot be read
    rests: dict[int, list[tuple[int, str]]]  # lines that may be the rest of a 300 row, by its row
    loose: pl.DataFrame  # row, record, line, reason: what belongs to nothing


def read_structure(path: Path, key: str, modified: datetime) -> Structure:
    plain_days = others_count = others_bytes = 0
    found = [pl.DataFrame(schema={"row": pl.UInt32, "line": pl.String, "record": pl.String})]
    for lines in read_lines(path):
        is_day = lines["line"].str.starts_with("300,")
        plain_days += int(is_day.sum())
        others = lines.filter(~is_day).with_columns(
            pl.when(pl.col("line").str.contains(_FILLED)).then("line")
        )
        # By way of Python, since a filtered column keeps all of the text that it came from.
        others = others.with_columns(pl.Series("line", others["line"].to_list(), pl.String))
        found.append(
            others.with_columns(
                record=pl.when(pl.col("line").is_not_null())
                .then(pl.col("line").str.extract(_RECORD).fill_null(""))
                .otherwise(pl.lit("blank"))
            )
        )
        others_count += others.height
        others_bytes += int(others["line"].str.len_bytes().sum())
        if others_count > _MOST_OTHERS or others_bytes > _MOST_OTHERS_BYTES:
            break
    others = _with_their_day(pl.concat(found)).filter(pl.col("record") != "blank")
    odd_days = others.filter(pl.col("record") == "300")["row"]
    days = plain_days + odd_days.len()
    _require_nem12(path, key, others, days)
    if others_count > _MOST_OTHERS or others_bytes > _MOST_OTHERS_BYTES:
        raise Unreadable(
            f"{key}: over {_MOST_OTHERS:,} of its rows, or {_MOST_OTHERS_BYTES >> 20} MB of them, "
            "are no days (300 rows); split it and upload the parts"
        )
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
                runs.setdefault(day, []).append(read_run(line))
        elif day is not None and day + len(rests.get(day, [])) + 1 == row:
            rests.setdefault(day, []).append((row, line))
        else:
            loose.append((row, "", line, "record"))
    return Structure(
        days,
        odd_days,
        contexts,
        channels,
        pl.DataFrame(channels, schema=CHANNEL_SCHEMA, orient="row"),
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
        cells = cells_of(line)
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
    numbers = {NO_CHANNEL: 0}
    contexts: list[tuple[int, int, datetime]] = []
    channel_rows: list[tuple[int, int, str]] = []
    for row, line, record in (
        others.filter(pl.col("record").is_in(["100", "200", "900"]))
        .select("row", "line", "record")
        .iter_rows()
    ):
        number = 0
        if record == "100":
            cells = cells_of(line)
            created = read_version(cells[2] if len(cells) > 2 else "") or stored
        elif record == "200":
            number = numbers.setdefault(read_channel(line), len(numbers))
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
