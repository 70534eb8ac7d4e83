"""What a month is settled from: the files that count, and the rows of them that were rejected.

A rejected row comes back by a row of another file that names it: with the columns CORRECTS_FILE and
CORRECTS_LINE besides the usual ones. All rows of a month that are still rejected are listed in
`rejected/<month>.csv`, in just that form: mend it, upload it to the inbox, and the month is whole.
"""

import io
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from polars._typing import PolarsDataType

from tasks.catalog import current, read_catalog
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.settings import Settings
from tasks.io.object_store import LostRace, ObjectStore, ObjectVersion
from tasks.io.spool import COLUMNS, CORRECTS
from tasks.rejected import CORRECTIONS_SCHEMA, REASONS, REJECTED_SCHEMA

_SHOWN = 10


@dataclass(frozen=True)
class Intake:
    """What there is to settle a month from.

    `counting` has the catalog's rows of the files that count, with `rejected_rows`: those that are
    not corrected. `rejected` has these rows (REJECTED_SCHEMA), by file and line. `misplaced` names
    corrections whose events would count twice.
    """

    month: Month
    counting: pl.DataFrame
    rejected: pl.DataFrame
    corrected_rows: int
    misplaced: list[str]
    duplicates: list[dict[str, str]]
    failed: list[dict[str, str]]

    @property
    def at_stake(self) -> dict[str, Any]:
        """Say how many of the rejected rows have a readable energy and tariff, and their worth."""
        known = self.rejected["at_stake_aud"].drop_nulls()
        total: Any = known.sum()
        return {"rows": len(known), "aud": float(round(total, 2))}


def rejected_key(month: Month) -> str:
    """Return where a month's rejected rows are."""
    return f"rejected/{month}.csv"


def take_in(
    store: ObjectStore, settings: Settings, month: Month, inbox: list[ObjectVersion]
) -> Intake:
    """Find what of the inbox counts for a month.

    Raises:
        Refused: an object is not imported yet.
    """
    files = current(read_catalog(store)[0], inbox)
    if missing := files.filter(pl.col("import_id").is_null())["key"].to_list():
        raise Refused(f"{', '.join(missing[:5])}: not imported yet; run import-events first")
    once, duplicates = _once(files)
    counting = once.filter(_touches(month)).drop("counts")
    corrections = _corrections(store, once)
    # One of a file that is not there any more is an event like any other.
    corrections = corrections.filter(pl.col("corrects_file").is_in(once["key"].implode()))
    is_corrected = pl.col("key").is_in(corrections["corrects_file"].implode())
    rejected = _rejected(store, once.filter(_touches(month) | is_corrected))
    counts = pl.col("key").is_in(counting["key"].implode())
    misplaced = _misplaced(corrections, rejected).filter(counts)
    rejected = rejected.filter(counts)
    still = rejected.join(
        corrections,
        left_on=("key", "line"),
        right_on=("corrects_file", "corrects_line"),
        how="anti",
        maintain_order="left",
    )
    by_file = still.group_by("key").agg(rejected_rows=pl.len().cast(pl.Int64))
    return Intake(
        month,
        counting.join(by_file, on="key", how="left", maintain_order="left").with_columns(
            pl.col("rejected_rows").fill_null(0)
        ),
        still,
        rejected.height - still.height,
        [
            f"line {line} of {key} corrects line {corrects_line} of {corrects_file}, which is not "
            "rejected or is corrected already"
            for key, line, corrects_file, corrects_line in misplaced.iter_rows()
        ],
        duplicates.filter(_touches(month)).select("key", same_as="counts").to_dicts(),
        _failed(files, month, settings.timezone),
    )


def guard(intake: Intake, max_rejected_percent: float, allow_failed_imports: bool) -> None:
    """Refuse a month whose input cannot be trusted, unless that was allowed in so many words."""
    month, failed = intake.month, intake.failed
    if failed and not allow_failed_imports:
        named = "; ".join(f"{file['key']}: {file['failed']}" for file in failed[:_SHOWN])
        raise Refused(
            f"{month} is not settled: {len(failed)} file(s) that could matter to it could not be "
            f"read: {named}. Replace or delete them, or run with allow_failed_imports"
        )
    if intake.misplaced:
        raise Refused(
            f"{month} is not settled: {'; '.join(intake.misplaced[:_SHOWN])}. What it says would "
            "count twice: upload the file that corrects again, without that line"
        )
    count, rejected = int(intake.counting["rows"].sum()), intake.rejected.height
    if rejected * 100 > max_rejected_percent * count:
        raise Refused(
            f"{month} is not settled: {rejected} of its {count} rows were rejected "
            f"({rejected * 100 / count:.1f}%, at most {max_rejected_percent:g}% are allowed): "
            + "; ".join(
                f"{file['key']}: "
                + ", ".join(f"{n} {reason}" for reason, n in file["reasons"].items())
                for file in reasons(intake.rejected)[:_SHOWN]
            )
            + f". Mend them in {rejected_key(month)} and upload that to the inbox, replace the "
            "files, or run with a higher max_rejected_percent"
        )


def reasons(rejected: pl.DataFrame) -> list[dict[str, Any]]:
    """Return how many rows of which file are rejected by which reason: {key, reasons}."""
    codes = {sentence: code for code, sentence in REASONS.items()}
    counts = (
        rejected.select("key", pl.col("reason").replace(codes))
        .group_by("key", "reason")
        .len()
        .sort("key", "reason")
    )
    return [
        {"key": key, "reasons": dict(of_key.select("reason", "len").iter_rows())}
        for (key,), of_key in counts.group_by("key", maintain_order=True)
    ]


def put_rejected(store: ObjectStore, intake: Intake) -> None:
    """Put a month's rejected rows where they can be mended, unless they are there already."""
    key = rejected_key(intake.month)
    found = store.read(key)
    if found is None and intake.rejected.is_empty():
        return
    data = to_be_mended(intake.rejected)
    if found is None or found[0] != data:
        # Who was faster looked at least as late.
        with suppress(LostRace):
            store.write_if(key, data, found[1] if found else None)


def to_be_mended(rejected: pl.DataFrame) -> bytes:
    """Return rejected rows as an event file that corrects them once its values are mended."""
    file, line = CORRECTS
    text = pl.col("at_stake_aud").cast(pl.String).str.replace(r"\.?0+$", "")
    buffer = io.BytesIO()
    rejected.select(
        pl.col("key").alias(file),
        pl.col("line").alias(line),
        *(pl.col(name.lower()).alias(name) for name in COLUMNS),
        pl.col("reason").alias("REASON"),
        text.alias("AT_STAKE_AUD"),
        pl.col("row").alias("ROW"),
    ).write_csv(buffer)
    return buffer.getvalue()


def _once(files: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the readable files, and those of them that have the content of another.

    Of files with the same content the first by key counts; the others name it in `counts`.
    """
    read = files.filter(pl.col("failed").is_null() & (pl.col("rows") > 0)).with_columns(
        counts=pl.col("key").first().over("sha256", order_by="key")
    )
    is_first = pl.col("key") == pl.col("counts")
    return read.filter(is_first), read.filter(~is_first)


def _touches(month: Month) -> pl.Expr:
    """Say of a file whether its days touch the month, or all its rows' dates are unreadable."""
    first_day, last_day = pl.col("first_day"), pl.col("last_day")
    return (first_day.is_null() | (first_day <= month.last_day)) & (
        last_day.is_null() | (last_day >= month.first_day)
    )


def _failed(files: pl.DataFrame, month: Month, timezone: str) -> list[dict[str, str]]:
    """Return the files that could not be read and could hold events of the month.

    Nobody knows which days such a file is about; but one that was last written before the month
    began cannot be about it.
    """
    began = datetime.combine(month.first_day, time(), ZoneInfo(timezone)).astimezone(UTC)
    return (
        files.filter(pl.col("failed").is_not_null() & (pl.col("last_modified") >= began))
        .select("key", "failed")
        .to_dicts()
    )


def _rejected(store: ObjectStore, files: pl.DataFrame) -> pl.DataFrame:
    """Return all rejected rows of these files, by file and line, corrected or not."""
    some = files.filter(pl.col("rows") > pl.col("imported"))
    return _read(store, some, "rejected.csv", REJECTED_SCHEMA)


def _corrections(store: ObjectStore, files: pl.DataFrame) -> pl.DataFrame:
    """Return which events of these files correct which rejected rows."""
    some = files.filter(pl.col("corrections") > 0)
    return _read(store, some, "corrections.csv", CORRECTIONS_SCHEMA)


def _read(
    store: ObjectStore, files: pl.DataFrame, name: str, schema: dict[str, PolarsDataType]
) -> pl.DataFrame:
    """Return the rows about these files in a part of their imports, by file and line."""
    imports = files["import_id"].unique(maintain_order=True).to_list()
    found = store.read_all([f"imports/{import_id}/{name}" for import_id in imports])
    parts = [
        # An import may also hold files that were replaced since.
        pl.read_csv(data, schema=schema).join(
            files.filter(pl.col("import_id") == import_id), on="key", how="semi"
        )
        for import_id, data in zip(imports, found, strict=True)
    ]
    return pl.concat([pl.DataFrame(schema=schema), *parts]).sort("key", "line")


def _misplaced(corrections: pl.DataFrame, rejected: pl.DataFrame) -> pl.DataFrame:
    """Return the corrections of a row that is not rejected, or that is corrected already."""
    place = ("corrects_file", "corrects_line")
    sound = corrections.filter(pl.struct(place).is_first_distinct()).join(
        rejected, left_on=place, right_on=("key", "line"), how="semi"
    )
    return corrections.join(sound, on=("key", "line"), how="anti", maintain_order="left")
