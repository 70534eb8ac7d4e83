"""What an import keeps of the rows that it rejects."""

from decimal import Decimal
from pathlib import Path

import polars as pl
from polars._typing import PolarsDataType

from tasks.core.errors import Unreadable
from tasks.imports.event_rows import BLANK, OPEN
from tasks.imports.limits import MOST_REJECTED_BYTES
from tasks.imports.rejected_id import content_of
from tasks.imports.spool import COLUMNS, Block

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


class RejectedRows:
    """Collects an import's rejected rows, in order, and writes `rejected.csv` (REJECTED_SCHEMA)."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._bytes = 0

    def add(self, text: str) -> None:
        """Add what `rejected_text` returns.

        Raises:
            Unreadable: there is too much in the rejected rows.
        """
        self._texts.append(text)
        self._bytes += len(text)
        if self._bytes > MOST_REJECTED_BYTES:
            raise Unreadable(
                f"its rejected rows have more than {MOST_REJECTED_BYTES >> 20} MB together; "
                "correct the file, or split it to see each row"
            )

    def write(self, path: Path) -> None:
        """Write them behind a header."""
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(pl.DataFrame(schema=REJECTED_SCHEMA).write_csv())
            file.writelines(self._texts)


def rejected_text(block: Block, bad: pl.DataFrame) -> str:
    """Return those rows of `read_events` that are rejected as CSV without a header."""
    if (
        bad.is_empty()
        or (rejected := bad.filter(~pl.col("reason").is_in([BLANK, OPEN]))).is_empty()
    ):
        return ""
    fields = [f"text_{name.lower()}" for name in COLUMNS]
    keys = {source.number: source.object.key for _, source, _ in block.origins}
    given_id = pl.col("rejected_id")
    return rejected.select(
        pl.col("source").replace_strict(keys, return_dtype=pl.String).alias("key"),
        "line",
        "reason",
        _at_stake(),
        "day",
        given_id.alias("given_id"),
        _contents(rejected),
        # In a row with too many fields, which one is which cannot be known.
        *(
            pl.when(pl.col("reason") != "fields")
            .then(pl.col(name).str.strip_chars())
            .name.replace("text_", "")
            for name in fields
        ),
        pl.col("row").str.strip_chars_end("\r"),
    ).write_csv(include_header=False)


def _contents(rejected: pl.DataFrame) -> pl.Series:
    """Name the content of rejected rows: their fields, or of one with too many, all of it."""
    values = rejected.select(f"text_{name.lower()}" for name in COLUMNS).rows()
    return pl.Series(
        "content",
        [
            content_of([row] if reason == "fields" else of_row)
            for reason, of_row, row in zip(rejected["reason"], values, rejected["row"], strict=True)
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
