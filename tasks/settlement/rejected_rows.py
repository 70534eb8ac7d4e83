"""The rejected rows of a month, and the events that correct them.

All rejected rows of a month are listed in `rejected/<month>.csv`, one line for each event, with the
name that each has by its content (REJECTED_ID). The list is itself an event file: corrected and
uploaded, each of its events counts in the place of the row that it names. What is corrected into
another fault takes the place of that row in the list; what is left as it was is still open.
"""

from collections.abc import Iterator
from decimal import Decimal
from hashlib import file_digest, md5
from pathlib import Path

import polars as pl
from polars._typing import PolarsDataType

from tasks.core import keys
from tasks.core.errors import ChangedMeanwhile
from tasks.core.month import Month
from tasks.core.words import FORMULA
from tasks.imports.event_rows import NO_EVENTS, REASONS
from tasks.imports.rejected import REJECTED_SCHEMA
from tasks.imports.spool import COLUMNS, REJECTED_ID
from tasks.io.object_store import ObjectStore, ObjectVersion

# The events that correct a rejected row, and where each of them stands.
CORRECTIONS_SCHEMA: dict[str, PolarsDataType] = {
    "key": pl.String,
    **{name: dtype for name, dtype in NO_EVENTS.schema.items() if name != "source"},
}
# Rejected rows, one for each event; the fields are those of its last correction, if it has one.
LIST_SCHEMA: dict[str, PolarsDataType] = {
    **{name: REJECTED_SCHEMA[name] for name in ("key", "line", "reason", "at_stake_aud", "day")},
    **{name.lower(): pl.String for name in COLUMNS},
    "row": pl.String,
    "rejected_id": pl.String,
}


def find_rejected_rows(
    store: ObjectStore, month: Month, distinct: pl.DataFrame, files: pl.DataFrame, folder: Path
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Find which rows of a month are still rejected, and which events count in place of others.

    Args:
        store: where the imports are read.
        month: whose rows.
        distinct: the catalog's rows of all readable event files.
        files: those of them that touch the month.
        folder: where parts of the imports are brought.

    Returns:
        The rejected rows (LIST_SCHEMA), and the corrections of the month (CORRECTIONS_SCHEMA).
    """
    corrections = read_corrections(store, distinct, folder)
    # A row is corrected by what is in any file, and may turn out to be of another month.
    with_rejects = distinct if corrections.height else files
    all_rejected = _add_rejected_ids(_read_rejected(store, with_rejects, folder))
    valid, void = _split_corrections(corrections, all_rejected)
    rejected = _select_open(all_rejected, valid, void).filter(_is_of(month, files))
    return rejected, valid.filter(pl.col("day").is_between(month.first_day, month.last_day))


def list_rejected_rows(
    store: ObjectStore, month: Month, rejected: pl.DataFrame, path: Path
) -> None:
    """Put rejected rows where they can be corrected, unless they are there already.

    The list is an event file that corrects them once its values are right.
    """
    at_stake = pl.col("at_stake_aud").cast(pl.String).str.replace(r"\.?0+$", "")
    rejected.select(
        pl.col("rejected_id").alias(REJECTED_ID),
        *(_as_text(name.lower()).alias(name) for name in COLUMNS),
        pl.col("reason").replace(REASONS).alias("REASON"),
        at_stake.alias("AT_STAKE_AUD"),
        pl.col("key").alias("FILE"),
        pl.col("line").alias("LINE"),
        _as_text("row").alias("ROW"),
    ).write_csv(path)
    key = keys.rejected_rows(month)
    present = next((version for version in store.versions(key) if version.key == key), None)
    if present is None:
        if rejected.is_empty():
            return
    elif present.size == path.stat().st_size and _has_content(store, present, path):
        return
    store.upload(path, key)


def _as_text(name: str) -> pl.Expr:
    """Return a column in which no spreadsheet finds a formula; numbers stay as they are.

    `tasks.imports.rejected_id` takes the apostrophe away again, so one more stands before others.
    """
    text = pl.col(name)
    is_formula = text.str.contains(f"^'*{FORMULA}") & ~text.str.contains(r"^[+-]?[0-9.]+$")
    return pl.when(is_formula).then(pl.lit("'") + text).otherwise(text)


def _has_content(store: ObjectStore, present: ObjectVersion, path: Path) -> bool:
    """Say whether an object has the content of a file. Its ETag may be its MD5, or may not."""
    with path.open("rb") as content:
        wanted = file_digest(content, "md5").hexdigest()
    if present.etag == wanted:
        return True
    found = md5()
    try:
        for chunk in store.stream(present.key, present.etag):
            found.update(chunk)
    except ChangedMeanwhile:
        return False
    return found.hexdigest() == wanted


def _read_rejected(store: ObjectStore, files: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """Read all rejected rows of these files, corrected or not (REJECTED_SCHEMA)."""
    with_rejects = files.filter(pl.col("rows") > pl.col("imported"))
    parts = [
        pl.scan_csv(path, schema=REJECTED_SCHEMA).filter(pl.col("key").is_in(names.implode()))
        for path, names in bring_parts(store, with_rejects, "rejected.csv", folder)
    ]
    return pl.concat([pl.LazyFrame(schema=REJECTED_SCHEMA), *parts]).collect(engine="streaming")


def read_corrections(store: ObjectStore, files: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """Read the events of these files that correct a rejected row (CORRECTIONS_SCHEMA)."""
    events = read_events(store, files.filter(pl.col("corrections") > 0), folder)
    corrections = events.filter(pl.col("rejected_id").is_not_null())
    return corrections.sort("key", "line").collect(engine="streaming")


def read_events(store: ObjectStore, files: pl.DataFrame, folder: Path) -> pl.LazyFrame:
    """Scan all events of these files (CORRECTIONS_SCHEMA)."""
    parts = [
        pl.scan_parquet(path)
        .join(
            files.filter(pl.col("key").is_in(names.implode())).select("source", "key").lazy(),
            on="source",
        )
        .select(list(CORRECTIONS_SCHEMA))
        for path, names in bring_parts(store, files, "events.parquet", folder)
    ]
    return pl.concat([pl.LazyFrame(schema=CORRECTIONS_SCHEMA), *parts])


def bring_parts(
    store: ObjectStore, files: pl.DataFrame, name: str, folder: Path
) -> Iterator[tuple[Path, pl.Series]]:
    """Bring a part of the files' imports here; yield each with the keys of the files in it.

    An import may also hold files that were replaced since.
    """
    imports = files["import_id"].unique(maintain_order=True).to_list()
    paths = [folder / f"{import_id}-{name}" for import_id in imports]
    store.download([keys.import_part(import_id, name) for import_id in imports], paths)
    for import_id, path in zip(imports, paths, strict=True):
        yield path, files.filter(pl.col("import_id") == import_id)["key"]


def _add_rejected_ids(rejected: pl.DataFrame) -> pl.DataFrame:
    """Return rejected rows with their REJECTED_ID: the given one, or that of their content.

    Equal rows of one file are numbered; of another file, those of the same name are the same rows.
    """
    number = pl.int_range(1, pl.len() + 1).over("key", "content", order_by="line")
    own = pl.concat_str(pl.lit("REJ-"), "content", pl.lit("-"), number.cast(pl.String))
    return rejected.sort("key", "line").with_columns(
        rejected_id=pl.coalesce(pl.col("given_id").str.to_uppercase(), own)
    )


def _split_corrections(
    corrections: pl.DataFrame, rejected: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the corrections of a rejected row, and those that correct nothing.

    What stands in two files with the same values, as a list was uploaded twice, counts once.
    """
    originals = rejected.filter(pl.col("given_id").is_null())["rejected_id"]
    named = corrections.with_columns(pl.col("rejected_id").str.to_uppercase())
    is_of_row = pl.col("rejected_id").is_in(originals.implode())
    values = ("nmi", "day", "second", "is_discharge", "energy_kwh", "tariff_cents_per_kwh")
    valid = named.filter(is_of_row).unique(
        ["rejected_id", *values], keep="first", maintain_order=True
    )
    return valid, named.filter(~is_of_row)


def _select_open(rejected: pl.DataFrame, valid: pl.DataFrame, void: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that are rejected still, one for each event (LIST_SCHEMA).

    A correction with a fault stands for the row that it was to correct, under that row's file and
    line; of several the last one by key. One that names no rejected row is a rejected row.
    """
    is_original = pl.col("given_id").is_null()
    originals = rejected.filter(is_original).unique("rejected_id", keep="first")
    attempts = rejected.filter(~is_original).unique("rejected_id", keep="last")
    said = ["reason", "at_stake_aud", "day", *(name.lower() for name in COLUMNS), "row"]
    latest = originals.join(
        attempts.select("rejected_id", *said), on="rejected_id", how="left", suffix="_again"
    ).with_columns(
        pl.when(pl.col("reason_again").is_not_null())
        .then(pl.col(f"{name}_again"))
        .otherwise(pl.col(name))
        .alias(name)
        for name in said
    )
    homeless = attempts.join(originals, on="rejected_id", how="anti")
    return (
        pl.concat(
            [latest.select(list(LIST_SCHEMA)), homeless.select(list(LIST_SCHEMA)), _list_void(void)]
        )
        .join(valid, on="rejected_id", how="anti")
        .sort("key", "line")
    )


def _list_void(void: pl.DataFrame) -> pl.DataFrame:
    """Return events that correct nothing as rejected rows (LIST_SCHEMA)."""
    worth = (pl.col("energy_kwh").cast(pl.Decimal(38, 6)) * pl.col("tariff_cents_per_kwh")).abs()
    return void.unique("rejected_id", keep="last", maintain_order=True).select(
        "key",
        "line",
        pl.lit("corrects_nothing").alias("reason"),
        (worth * pl.lit(Decimal("0.01"))).cast(pl.Decimal(38, 18)).alias("at_stake_aud"),
        "day",
        pl.col("nmi"),
        pl.col("day").cast(pl.String).alias("date"),
        pl.when("is_discharge")
        .then(pl.lit("Discharge"))
        .otherwise(pl.lit("Charge"))
        .alias("event_type"),
        pl.col("energy_kwh").cast(pl.String).alias("energy"),
        pl.col("tariff_cents_per_kwh").cast(pl.String).alias("tariff"),
        pl.lit("").alias("row"),
        "rejected_id",
    )


def _is_of(month: Month, files: pl.DataFrame) -> pl.Expr:
    """Say of a rejected row whether it is of the month: by its day, or else by its file's days."""
    by_day = pl.col("day").is_between(month.first_day, month.last_day)
    by_file = pl.col("day").is_null() & pl.col("key").is_in(files["key"].implode())
    return by_day | by_file


def name_repeats(corrections: pl.DataFrame, most: int) -> list[str]:
    """Say of rows that are corrected in several ways where; a sentence each, of the first ones."""
    several = corrections.group_by("rejected_id", maintain_order=True).agg(
        pl.len().alias("ways"), pl.col("key", "line").head(most)
    )
    return [
        f"{id} is corrected in {ways} ways: "
        + " and ".join(f"line {line} of {key}" for key, line in zip(keys, lines, strict=True))
        for id, ways, keys, lines in several.filter(pl.col("ways") > 1).head(most).rows()
    ]
