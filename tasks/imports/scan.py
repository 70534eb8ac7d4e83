"""Reading spool files: as fields or as whole lines, and where each row of them came from."""

import io
import os
from collections.abc import Callable

import polars as pl

from tasks.imports.spool import COLUMNS, EVENT_ID, INTERVAL_END, REJECTED_ID, SpoolFile

# Bytes that Polars' CSV parser takes at once: it takes some ahead, and a field has 16 bytes
# or more in memory however short it is: its own 16 MB made 2 GB of a file of 200 columns.
os.environ.setdefault("POLARS_CSV_CHUNK_SIZE", str(1 << 20))

OVERFLOW = ["overflow_1", "overflow_2"]  # the first fields beyond the header's columns


def scan_fields(file: SpoolFile, lines: io.BytesIO | None = None) -> pl.LazyFrame:
    """Scan a spool file, or some of its lines, as fields, all text: row, columns, OVERFLOW."""
    return pl.scan_csv(
        lines or file.path,
        has_header=False,
        skip_rows=1,
        schema=dict.fromkeys([*text_columns(file), *OVERFLOW], pl.String),
        missing_columns="insert",  # OVERFLOW is there when a row is longer than the header;
        extra_columns="ignore",  # what comes behind it is for `long_rows`
        truncate_ragged_lines=True,
        quote_char='"' if file.is_quoted else None,
        # A bad byte costs its row, not the file; where there is none, not looking is faster.
        encoding="utf8" if file.is_ascii else "utf8-lossy",
        row_index_name="row",
        raise_if_empty=False,
    )


def scan_lines(file: SpoolFile) -> pl.LazyFrame:
    """Scan a spool file as whole lines: row, line."""
    return pl.scan_csv(
        file.path,
        has_header=False,
        skip_rows=1,
        schema={"line": pl.String},
        separator="\0",  # no such byte is in a spool file, so a field is a whole line
        quote_char=None,
        encoding="utf8-lossy",
        row_index_name="row",
        raise_if_empty=False,
    )


def text_columns(file: SpoolFile) -> list[str]:
    """Name a spool file's columns in their order: those that are read are `text_<name>`."""
    read = {name: f"text_{name.lower()}" for name in (*COLUMNS, REJECTED_ID, EVENT_ID)}
    read[INTERVAL_END] = read["DATE"]
    return [read.get(name, f"further_{index}") for index, name in enumerate(file.columns)]


def origins(file: SpoolFile) -> Callable[[pl.Series], tuple[pl.Series, pl.Series]]:
    """Return a function from rows of a spool file to their sources' numbers and lines in them."""
    first_rows = pl.Series([source.first_row for source in file.sources], dtype=pl.UInt32)
    numbers = pl.Series([source.number for source in file.sources], dtype=pl.Int32)

    def origin(rows: pl.Series) -> tuple[pl.Series, pl.Series]:
        index = first_rows.search_sorted(rows, side="right") - 1
        # The header is line 1.
        return numbers.gather(index), rows - first_rows.gather(index) + 2

    def origin_in_one(rows: pl.Series) -> tuple[pl.Series, pl.Series]:
        return pl.repeat(numbers[0], rows.len(), dtype=pl.Int32, eager=True), rows + 2

    return origin_in_one if len(file.sources) == 1 else origin


def key_of(file: SpoolFile) -> pl.Expr:
    """Return the key of a row's source."""
    keys = {source.number: source.object.key for source in file.sources}
    return pl.col("source").replace_strict(keys, return_dtype=pl.String).alias("key")
