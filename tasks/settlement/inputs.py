"""What a month is settled from: the files that count, and the rows of them that were rejected.

A rejected row comes back by a row of another file that names it: with the columns CORRECTS_FILE and
CORRECTS_LINE besides the usual ones. All rows of a month that are still rejected are listed in
`rejected/<month>.csv`, in just that form: mend it, upload it to the inbox, and the month is whole.
"""

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, time
from hashlib import file_digest, md5
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from polars._typing import PolarsDataType

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.settings import Settings
from tasks.imports.catalog import current, read_catalog
from tasks.imports.rejected import CORRECTIONS_SCHEMA, REASONS, REJECTED_SCHEMA
from tasks.imports.spool import COLUMNS, CORRECTS
from tasks.io.object_store import ChangedMeanwhile, ObjectStore, ObjectVersion

FIRST_ROWS = 100
_SHOWN = 10


@dataclass(frozen=True)
class Intake:
    """What there is to settle a month from.

    `counting` has the catalog's rows of the files that count, with `rejected_rows`: those that are
    not corrected. `reasons` says of each file with such rows how many there are of which reason,
    `first_rejected` has the first of them (REJECTED_SCHEMA), and `at_stake` says how many have a
    readable energy and tariff, and their worth together. `misplaced` names corrections whose events
    would count twice.
    """

    month: Month
    counting: pl.DataFrame
    reasons: list[dict[str, Any]]
    first_rejected: pl.DataFrame
    at_stake: dict[str, Any]
    corrected_rows: int
    misplaced: list[str]
    duplicates: list[dict[str, str]]
    failed: list[dict[str, str]]

    @property
    def rejected_rows(self) -> int:
        return int(self.counting["rejected_rows"].sum())


def rejected_key(month: Month) -> str:
    """Return where a month's rejected rows are."""
    return f"rejected/{month}.csv"


def take_in(
    store: ObjectStore, settings: Settings, month: Month, inbox: list[ObjectVersion]
) -> Intake:
    """Find what of the inbox counts for a month, and list its rejected rows in `rejected/`.

    Raises:
        Refused: an object is not imported yet.
    """
    files = current(read_catalog(store)[0], inbox)
    if missing := files.filter(pl.col("import_id").is_null())["key"].to_list():
        raise Refused(f"{', '.join(missing[:5])}: not imported yet; run import-events first")
    once, duplicates = _once(files)
    counting = once.filter(_touches(month)).drop("counts")
    counts = pl.col("key").is_in(counting["key"].implode())
    with tempfile.TemporaryDirectory(prefix="vpp-intake-") as temporary:
        folder = Path(temporary)
        corrections = _corrections(store, once, folder)
        is_corrected = pl.col("key").is_in(corrections["corrects_file"].implode())
        all_rejected = _rejected(store, once.filter(_touches(month) | is_corrected), folder)
        sound, misplaced = _placed(corrections, all_rejected)
        rejected = all_rejected.filter(counts)
        still = rejected.join(
            sound.lazy(),
            left_on=("key", "line"),
            right_on=("corrects_file", "corrects_line"),
            how="anti",
            maintain_order="left",
        )
        by_reason = (
            still.group_by("key", "reason")
            .agg(
                pl.len().cast(pl.Int64).alias("rows"),
                pl.col("at_stake_aud").count().cast(pl.Int64).alias("readable"),
                pl.col("at_stake_aud").sum(),
            )
            .sort("key", "reason")
            .collect(engine="streaming")
        )
        _put_list(store, month, still, folder / "list.csv")
        first = still.head(FIRST_ROWS).collect()
    by_file = by_reason.group_by("key").agg(rejected_rows=pl.col("rows").sum())
    at_stake: Any = by_reason["at_stake_aud"].sum()
    return Intake(
        month,
        counting.join(by_file, on="key", how="left", maintain_order="left").with_columns(
            pl.col("rejected_rows").fill_null(0)
        ),
        _reasons(by_reason),
        first,
        {"rows": int(by_reason["readable"].sum()), "aud": float(round(at_stake, 2))},
        sound.filter(pl.col("corrects_file").is_in(counting["key"].implode())).height,
        [
            f"line {line} of {key} corrects line {corrects_line} of {corrects_file}, which is not "
            "rejected or is corrected already"
            for key, line, corrects_file, corrects_line in misplaced.filter(counts).iter_rows()
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
    count, rejected = int(intake.counting["rows"].sum()), intake.rejected_rows
    if rejected * 100 > max_rejected_percent * count:
        raise Refused(
            f"{month} is not settled: {rejected} of its {count} rows were rejected "
            f"({rejected * 100 / count:.1f}%, at most {max_rejected_percent:g}% are allowed): "
            + "; ".join(
                f"{file['key']}: "
                + ", ".join(f"{n} {reason}" for reason, n in file["reasons"].items())
                for file in intake.reasons[:_SHOWN]
            )
            + f". Mend them in {rejected_key(month)} and upload that to the inbox, replace the "
            "files, or run with a higher max_rejected_percent"
        )


def _reasons(by_reason: pl.DataFrame) -> list[dict[str, Any]]:
    """Return how many rows of which file are rejected by which reason: {key, reasons}."""
    codes = {sentence: code for code, sentence in REASONS.items()}
    return [
        {
            "key": key,
            "reasons": {
                codes.get(reason, reason): rows
                for reason, rows in of_key.select("reason", "rows").iter_rows()
            },
        }
        for (key,), of_key in by_reason.group_by("key", maintain_order=True)
    ]


def _put_list(store: ObjectStore, month: Month, rejected: pl.LazyFrame, path: Path) -> None:
    """Put rejected rows where they can be mended, unless they are there already.

    As an event file that corrects them once its values are right.
    """
    file, line = CORRECTS
    at_stake = pl.col("at_stake_aud").cast(pl.String).str.replace(r"\.?0+$", "")
    rejected.select(
        pl.col("key").alias(file),
        pl.col("line").alias(line),
        *(pl.col(name.lower()).alias(name) for name in COLUMNS),
        pl.col("reason").alias("REASON"),
        at_stake.alias("AT_STAKE_AUD"),
        pl.col("row").alias("ROW"),
    ).sink_csv(path)
    key = rejected_key(month)
    there = next((version for version in store.versions(key) if version.key == key), None)
    if there is None:
        with path.open() as lines:
            if sum(1 for _ in islice(lines, 2)) < 2:
                return  # nothing but a header
    elif there.size == path.stat().st_size and _has_content(store, there, path):
        return
    store.upload(path, key)


def _has_content(store: ObjectStore, there: ObjectVersion, path: Path) -> bool:
    """Say whether an object has the content of a file. Its ETag may be its MD5, or may not."""
    with path.open("rb") as content:
        wanted = file_digest(content, "md5").hexdigest()
    if there.etag == wanted:
        return True
    found = md5()
    try:
        for chunk in store.stream(there.key, there.etag):
            found.update(chunk)
    except ChangedMeanwhile:
        return False
    return found.hexdigest() == wanted


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


def _rejected(store: ObjectStore, files: pl.DataFrame, folder: Path) -> pl.LazyFrame:
    """Scan all rejected rows of these files, corrected or not, in the order of their imports."""
    some = files.filter(pl.col("rows") > pl.col("imported"))
    return _scan(store, some, "rejected.csv", REJECTED_SCHEMA, folder)


def _corrections(store: ObjectStore, files: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """Return which events of these files correct which rows of these files, by file and line.

    What corrects a row of a file that is not there any more is an event like any other.
    """
    some = files.filter(pl.col("corrections") > 0)
    return (
        _scan(store, some, "corrections.csv", CORRECTIONS_SCHEMA, folder)
        .filter(pl.col("corrects_file").is_in(files["key"].implode()))
        .sort("key", "line")
        .collect()
    )


def _scan(
    store: ObjectStore,
    files: pl.DataFrame,
    name: str,
    schema: dict[str, PolarsDataType],
    folder: Path,
) -> pl.LazyFrame:
    """Bring a part of the files' imports here, and scan what is about them."""
    imports = files["import_id"].unique(maintain_order=True).to_list()
    paths = [folder / f"{import_id}-{name}" for import_id in imports]
    store.download([f"imports/{import_id}/{name}" for import_id in imports], paths)
    # An import may also hold files that were replaced since.
    parts = [
        pl.scan_csv(path, schema=schema).filter(pl.col("key").is_in(of_import["key"].implode()))
        for import_id, path in zip(imports, paths, strict=True)
        for of_import in [files.filter(pl.col("import_id") == import_id)]
    ]
    return pl.concat([pl.LazyFrame(schema=schema), *parts])


def _placed(corrections: pl.DataFrame, rejected: pl.LazyFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the corrections that are the first of a rejected row, and all others."""
    if corrections.is_empty():
        return corrections, corrections
    place = ("corrects_file", "corrects_line")
    found = (
        rejected.select("key", "line")
        .join(corrections.lazy(), left_on=("key", "line"), right_on=place, how="semi")
        .collect(engine="streaming")
    )
    sound = corrections.filter(pl.struct(place).is_first_distinct()).join(
        found, left_on=place, right_on=("key", "line"), how="semi"
    )
    return sound, corrections.join(sound, on=("key", "line"), how="anti", maintain_order="left")
