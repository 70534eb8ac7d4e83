"""What an import keeps of the rows that it rejects."""

import io
from decimal import Decimal
from pathlib import Path
from typing import cast

import polars as pl
from polars._typing import PolarsDataType

from tasks.core.errors import Unreadable
from tasks.imports.event_rows import OPEN
from tasks.imports.limits import MOST_REJECTED_BYTES
from tasks.imports.rejected_id import content_of
from tasks.imports.scan import key_of, scan_fields, scan_lines
from tasks.imports.spool import COLUMNS, REJECTED_ID, SpoolFile

# `rejected.csv`: one row per rejected row. `reason` is a code of REASONS; at_stake_aud is energy x
# tariff without its sign, where both can be read, whatever else is wrong; day is null where the
# date cannot be read; given_id is the rejected row that it was to correct; content names its
# fields (`rejected_id.py`); then the fields, trimmed, and the row as it was.
REJECTED_SCHEMA: dict[str, PolarsDataType] = {
    "key": pl.String,
    "line": pl.UInt32,
    "reason": pl.String,
    "at_stake_aud": pl.Decimal(38, 18),
    "day": pl.Date,
    "given_id": pl.String,
    "content": pl.String,
    **{name.lower(): pl.String for name in COLUMNS},
    "row": pl.String,
}


def write_rejected(files: list[SpoolFile], faults: pl.DataFrame, path: Path) -> None:
    """Write `rejected.csv` (REJECTED_SCHEMA), in file order.

    Raises:
        Unreadable: there is too much in the rejected rows.
    """
    bytes_left = MOST_REJECTED_BYTES
    with path.open("wb") as csv:
        pl.DataFrame(schema=REJECTED_SCHEMA).write_csv(csv)
        for number, file in enumerate(files):
            of_file = faults.filter((pl.col("file") == number) & (pl.col("reason") != OPEN))
            if of_file.height:
                # A query may not wait for another one in the engine's own threads, or several of
                # them wait for each other for ever; so no map_batches.
                for lines in scan_lines(file).collect_batches():
                    rows = _rejected_among(lines, file, of_file)
                    bytes_left -= cast(int, rows["row"].str.len_bytes().sum())
                    if bytes_left < 0:
                        raise Unreadable(
                            f"its {of_file.height:,} rejected rows have more than "
                            f"{MOST_REJECTED_BYTES >> 20} MB together; correct the file, or split "
                            "it to see each row"
                        )
                    rows.write_csv(csv, include_header=False)


def _rejected_among(lines: pl.DataFrame, file: SpoolFile, faults: pl.DataFrame) -> pl.DataFrame:
    """Return the rejected rows among lines of a spool file (row, line)."""
    fields = [f"text_{name.lower()}" for name in COLUMNS]
    first = faults["row"].search_sorted(cast(int, lines["row"].first()), side="left")
    after = faults["row"].search_sorted(cast(int, lines["row"].last()), side="right")
    of_batch = faults[first:after]
    if of_batch.is_empty():
        return pl.DataFrame(schema=REJECTED_SCHEMA)
    as_they_were = lines.join(of_batch, on="row", how="semi", maintain_order="left")["line"]
    again = io.BytesIO("\n".join(["", *as_they_were.to_list()]).encode())
    given_id = "text_rejected_id" if REJECTED_ID in file.columns else None
    parsed = (
        scan_fields(file, again)
        .select(*fields, given_id=pl.col(given_id) if given_id else pl.lit(None, pl.String))
        .collect()
    )
    assert of_batch.height == parsed.height == as_they_were.len()
    return (
        pl.concat([of_batch, parsed], how="horizontal")
        .with_columns(as_it_was=as_they_were, content=_contents(of_batch, parsed, as_they_were))
        .select(
            key_of(file),
            "line",
            "reason",
            _at_stake(),
            "day",
            pl.when(pl.col("given_id").str.strip_chars() != "")
            .then(pl.col("given_id").str.strip_chars())
            .alias("given_id"),
            "content",
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


def _contents(rejected: pl.DataFrame, fields: pl.DataFrame, rows: pl.Series) -> pl.Series:
    """Name the content of rejected rows: their fields, or of one with too many, all of it."""
    values = fields.select(f"text_{name.lower()}" for name in COLUMNS).rows()
    return pl.Series(
        [
            content_of([row] if reason == "fields" else of_row)
            for reason, of_row, row in zip(rejected["reason"], values, rows, strict=True)
        ],
        dtype=pl.String,
    )


def _at_stake() -> pl.Expr:
    """Return what a rejected row may be worth, AUD: null where its numbers say nothing."""

    def number(name: str) -> pl.Expr:
        text = pl.col(f"text_{name}").str.strip_chars()
        is_plain = text.str.contains(r"^[+-]?[0-9]{1,9}(\.[0-9]{0,8})?$")
        return pl.when(is_plain).then(text).cast(pl.Decimal(17, 8))

    cents = pl.when(pl.col("reason") != "fields").then(number("energy") * number("tariff"))
    return (cents * pl.lit(Decimal("0.01"))).abs().cast(pl.Decimal(38, 18)).alias("at_stake_aud")
