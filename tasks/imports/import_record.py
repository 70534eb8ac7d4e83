"""What every import has, whatever it reads: a name, and its rows of the catalog."""

import hashlib
from dataclasses import dataclass

import polars as pl

from tasks.imports.catalog import METER, SCHEMA, Kind
from tasks.imports.event_rows import OPEN
from tasks.io.object_store import ObjectVersion

# What the catalog says of a file that its rows do not.
_OF_OBJECT = (
    *("key", "etag", "size", "sha256", "import_id", "source", "failed", "ignored_columns"),
    *("reader", "kind", "ignored", "warnings"),
)


@dataclass(frozen=True)
class ReadObject:
    """An object as it was read: its number in the import, and what its rows do not say of it.

    `sha256` is that of its unpacked content; `failed` says why it could not be read, if so.
    """

    object: ObjectVersion
    number: int
    sha256: str
    failed: str | None
    ignored_columns: str = ""
    ignored: int = 0
    warnings: str | None = None


def import_id(kind: Kind, objects: list[ObjectVersion]) -> str:
    """Name an import by what it reads: the same objects always make the same import.

    When a meter file was stored is the version of its days that have none of their own.
    """
    lines = [str(kind.reader)]
    for version in sorted(objects):
        stored = f"\t{version.last_modified.isoformat()}" if kind is METER else ""
        lines.append(f"{version.key}\t{version.etag}{stored}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def sentence_of(problem: Exception) -> str:
    """Say of an unforeseen error what it is and what to do."""
    said = (str(problem) or repr(problem)).splitlines()[0][:200]
    return (
        f"an unforeseen error, {type(problem).__name__}: {said}; please report it with the file, "
        "and replace or delete it meanwhile"
    )


def catalog_rows(
    kind: Kind, name: str, objects: list[ReadObject], good: pl.DataFrame, faults: pl.DataFrame
) -> pl.DataFrame:
    """Return one row per object, as SCHEMA has it.

    Args:
        kind: what the objects are.
        name: the import's id.
        objects: what was read.
        good: how many rows were imported, and how many of them are what: source, day, imported,
            corrections, identified.
        faults: what else was read: source, day, reason. Rows with the reason OPEN are not rejected.
    """
    rejected = faults.filter(pl.col("reason") != OPEN)
    reasons = (
        rejected.group_by("source", "reason")
        .agg(pl.len().cast(pl.Int64).alias("rows"))
        .sort("source", "reason")
        .group_by("source")
        .agg(pl.struct("reason", "rows").alias("rejected"), pl.col("rows").sum().alias("faulty"))
    )
    opened = faults.filter(pl.col("reason") == OPEN).group_by("source").agg(open=pl.len())
    days = (
        pl.concat([good.select("source", "day"), rejected.select("source", "day")])
        .group_by("source")
        .agg(first_day=pl.col("day").min(), last_day=pl.col("day").max())
    )
    counts = ("imported", "corrections", "identified")
    imported = good.group_by("source").agg(pl.col(counts).sum())
    months = (
        good.group_by("source", pl.col("day").dt.strftime("%Y-%m").alias("month"))
        .agg(events=(pl.col("imported") - pl.col("corrections")).sum())
        .sort("source", "month")
        .group_by("source")
        .agg(months=pl.struct("month", "events"))
    )
    joined = _of_objects(kind, name, objects)
    for part in (imported, reasons, opened, days, months):
        joined = joined.join(part, on="source", how="left")
    return (
        joined.with_columns(
            pl.col(*counts, "faulty", "open").fill_null(0),
            pl.col("rejected").fill_null(pl.lit([], dtype=SCHEMA["rejected"])),
            pl.col("months").fill_null(pl.lit([], dtype=SCHEMA["months"])),
        )
        .with_columns(rows=pl.col("imported") + pl.col("faulty"))
        .select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
        .sort("source")
    )


def _of_objects(kind: Kind, name: str, objects: list[ReadObject]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "key": read.object.key,
                "etag": read.object.etag,
                "size": read.object.size,
                "sha256": read.sha256,
                "import_id": name,
                "source": read.number,
                "failed": read.failed,
                "ignored_columns": read.ignored_columns,
                "reader": kind.reader,
                "kind": kind.name,
                "ignored": read.ignored,
                "warnings": read.warnings,
            }
            for read in objects
        ],
        schema={column: SCHEMA[column] for column in _OF_OBJECT},
    )
