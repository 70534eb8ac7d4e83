"""What an import keeps of the rows that it rejects, and which rejected rows its events correct."""

import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import cast

import polars as pl
from polars._typing import PolarsDataType

from tasks.imports.scan import key_of, origins, scan_fields, scan_lines
from tasks.imports.spool import COLUMNS, CORRECTS, SpoolFile

# `rejected.csv`: one row per rejected row. `reason` is a code of REASONS; at_stake_aud is energy x
# tariff without its sign, where both can be read, whatever else is wrong; then the fields, trimmed,
# and the row as it was.
REJECTED_SCHEMA: dict[str, PolarsDataType] = {
    "key": pl.String,
    "line": pl.UInt32,
    "reason": pl.String,
    "at_stake_aud": pl.Decimal(38, 18),
    **{name.lower(): pl.String for name in COLUMNS},
    "row": pl.String,
}

# `corrections.csv`, if there are any: which event (key, line) corrects which rejected row.
CORRECTIONS_SCHEMA: dict[str, PolarsDataType] = {
    "key": pl.String,
    "line": pl.UInt32,
    "corrects_file": pl.String,
    "corrects_line": pl.UInt32,
}


def write_rejected(files: list[SpoolFile], faults: pl.DataFrame, path: Path) -> None:
    """Write `rejected.csv` (REJECTED_SCHEMA), in file order."""
    parts = [
        scan_lines(file).map_batches(
            _rejected_of(file, of_file), schema=REJECTED_SCHEMA, streamable=True
        )
        for number, file in enumerate(files)
        if not (of_file := faults.filter(pl.col("file") == number)).is_empty()
    ]
    pl.concat([pl.LazyFrame(schema=REJECTED_SCHEMA), *parts]).sink_csv(path)


def _rejected_of(file: SpoolFile, faults: pl.DataFrame) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return a function that finds the rejected rows among lines of a spool file (row, line)."""
    fields = [f"text_{name.lower()}" for name in COLUMNS]

    def rejected(lines: pl.DataFrame) -> pl.DataFrame:
        first = faults["row"].search_sorted(cast(int, lines["row"].first()), side="left")
        after = faults["row"].search_sorted(cast(int, lines["row"].last()), side="right")
        of_batch = faults[first:after]
        if of_batch.is_empty():
            return pl.DataFrame(schema=REJECTED_SCHEMA)
        as_they_were = lines.join(of_batch, on="row", how="semi", maintain_order="left")["line"]
        again = io.BytesIO("\n".join(as_they_were.to_list()).encode())
        parsed = scan_fields(file, again).select(fields).collect()
        assert of_batch.height == parsed.height == as_they_were.len()
        return (
            pl.concat([of_batch, parsed], how="horizontal")
            .with_columns(as_it_was=as_they_were)
            .select(
                key_of(file),
                "line",
                "reason",
                _at_stake(),
                # In a row with too many fields, which one is which cannot be known.
                *(
                    pl.when(pl.col("reason") != "fields")
                    .then(pl.col(name).str.strip_chars())
                    .name.replace("text_", "")
                    for name in fields
                ),
                pl.col("as_it_was").str.strip_chars_end("\r").alias("row"),
            )
        )

    return rejected


def _at_stake() -> pl.Expr:
    """Return what a rejected row may be worth, AUD: null where its numbers say nothing."""

    def number(name: str) -> pl.Expr:
        text = pl.col(f"text_{name}").str.strip_chars()
        is_plain = text.str.contains(r"^[+-]?[0-9]{1,9}(\.[0-9]{0,8})?$")
        return pl.when(is_plain).then(text).cast(pl.Decimal(17, 8))

    cents = pl.when(pl.col("reason") != "fields").then(number("energy") * number("tariff"))
    return (cents * pl.lit(Decimal("0.01"))).abs().cast(pl.Decimal(38, 18)).alias("at_stake_aud")


def find_corrections(files: list[SpoolFile], faults: pl.DataFrame) -> pl.DataFrame:
    """Return which events say that they correct which rejected row, as CORRECTIONS_SCHEMA has it.

    An event that names no file or no line is an event like any other.
    """
    found = [pl.DataFrame(schema=CORRECTIONS_SCHEMA)]
    for number, file in enumerate(files):
        if not set(CORRECTS) <= set(file.columns):
            continue
        rows = scan_fields(file).select("row", "corrects_file", "corrects_line").collect()
        source, line = origins(file)(rows["row"])
        found.append(
            rows.with_columns(source.alias("source"), line.alias("line"))
            .join(faults.filter(pl.col("file") == number), on="row", how="anti")
            .select(
                key_of(file),
                "line",
                pl.col("corrects_file").str.strip_chars(),
                pl.col("corrects_line").str.strip_chars().cast(pl.UInt32, strict=False),
            )
            .drop_nulls()
        )
    return pl.concat(found)
