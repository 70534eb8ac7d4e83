"""Import: from event files to typed events, daily sums and rejected rows.

One streaming pass of Polars over a group of files; every data row ends in exactly one of
`events.parquet` and `rejected.csv`, with the file and the line that it came from. Nothing is
rounded: a number that does not fit its decimals is rejected. Blank lines, and lines of nothing but
commas, are no rows.
"""

import hashlib
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import polars as pl
from polars._typing import PolarsDataType

from tasks.core.errors import Unreadable
from tasks.core.nmi import NMI_PATTERN, canonical_nmi
from tasks.imports.rejected import REASONS, find_corrections, write_rejected
from tasks.imports.scan import origins, scan_fields, scan_lines, text_columns
from tasks.imports.spool import COLUMNS, Source, SpoolFile, spool
from tasks.io.object_store import ObjectStore, ObjectVersion
from tasks.io.warehouse import sql, warehouse

# Goes into every import's id: raise it when the same file would be read differently.
READER_VERSION = 1

ENERGY = pl.Decimal(15, 6)
TARIFF = pl.Decimal(12, 6)

# Beyond so many, and half of its rows, a big file is not read to its end.
_MANY_REJECTED = 1_000_000
_BLANK = "blank"  # no reason: such a line is no row

CATALOG_SCHEMA: dict[str, PolarsDataType] = {
    "key": pl.String,
    "etag": pl.String,
    "size": pl.Int64,
    "sha256": pl.String,  # of the unpacked content
    "import_id": pl.String,
    "source": pl.Int32,  # its number in the import
    "rows": pl.Int64,  # imported + rejected
    "imported": pl.Int64,
    "rejected": pl.List(pl.Struct({"reason": pl.String, "rows": pl.Int64})),
    "first_day": pl.Date,  # of all rows whose date could be read
    "last_day": pl.Date,
    "failed": pl.String,  # why the file could not be read at all
    "ignored_columns": pl.String,
    "corrections": pl.Int64,  # its events that say which rejected row they correct
}

_NO_EVENTS = pl.DataFrame(
    schema={
        "source": pl.Int32,
        "line": pl.UInt32,
        "nmi": pl.String,
        "day": pl.Date,
        "is_discharge": pl.Boolean,
        "energy_kwh": ENERGY,
        "tariff_cents_per_kwh": TARIFF,
    }
)
_NO_FAULTS = pl.DataFrame(
    schema={
        "file": pl.Int32,
        "row": pl.UInt32,
        "source": pl.Int32,
        "line": pl.UInt32,
        "day": pl.Date,
        "reason": pl.String,
    }
)

# Of ASCII letters alone: upper-casing would make an S of some others.
_NMI_IN_ANY_CASE = "^[0-9A-HJ-NP-Za-hj-np-z]{10}[0-9]?$"

_GROUP_OBJECTS = 1000
_GROUP_BYTES = 32 << 20
_SMALL_BYTES = 4 << 20


def grouped(objects: list[ObjectVersion]) -> list[list[ObjectVersion]]:
    """Split objects into imports: a big one alone, small ones together, in key order."""
    groups = [[version] for version in objects if version.size > _SMALL_BYTES]
    group: list[ObjectVersion] = []
    size = 0
    for version in objects:
        if version.size > _SMALL_BYTES:
            continue
        if len(group) == _GROUP_OBJECTS or size + version.size > _GROUP_BYTES:
            groups.append(group)
            group, size = [], 0
        group.append(version)
        size += version.size
    return groups + [group] * bool(group)


def import_id(objects: list[ObjectVersion]) -> str:
    """Name an import by what it reads: the same objects always make the same import."""
    text = "\n".join([str(READER_VERSION), *(f"{o.key}\t{o.etag}" for o in sorted(objects))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def import_objects(store: ObjectStore, timezone: str, objects: list[ObjectVersion]) -> pl.DataFrame:
    """Read a group of event files and put what is in them under `imports/<import id>/`.

    Returns their rows for the catalog (CATALOG_SCHEMA).

    The import does not exist until its rows are added to the catalog. Doing it twice, or on two
    machines at once, writes the same things to the same keys.
    """
    with (
        tempfile.TemporaryDirectory(prefix="vpp-import-") as temporary,
        warehouse(Path(temporary)) as connection,
    ):
        folder = Path(temporary)
        sources, files = spool(store, objects, folder)
        # What was read: an object that was replaced since the listing is not part of it.
        name = import_id([source.object for source in sources])
        events, daily, rejected = (
            folder / "events.parquet",
            folder / "daily.parquet",
            folder / "rejected.csv",
        )
        try:
            faults = _parse(files, timezone, events)
        except Unreadable as problem:
            sources[0].failed = str(problem)
            files, faults = [], _NO_FAULTS
            _NO_EVENTS.write_parquet(events)
        write_rejected(files, faults, rejected)
        corrections = find_corrections(files, faults)

        def upload(path: Path) -> None:
            store.upload(path, f"imports/{name}/{path.name}")

        with ThreadPoolExecutor(1) as beside:
            uploaded = [beside.submit(upload, path) for path in (events, rejected)]
            connection.execute(
                f"copy ({sql('events/daily')}) to '{daily}' (format parquet, compression zstd)",
                {"events": str(events)},
            )
            upload(daily)
            for done in uploaded:
                done.result()
        if not corrections.is_empty():
            store.write(f"imports/{name}/corrections.csv", corrections.write_csv().encode())
        return _catalog_rows(name, sources, daily, faults, corrections)


def _parse(files: list[SpoolFile], timezone: str, events: Path) -> pl.DataFrame:
    """Write the good rows to `events`; return the faulty ones, as _NO_FAULTS has them, in order.

    Raises:
        Unreadable: there is one big source, and it is of another format.
        AssertionError: a line was neither; that is a fault of ours, and nothing is imported.
    """
    faults = _Faults([_NO_FAULTS], may_be_another_format=sum(len(f.sources) for f in files) == 1)
    good = [_good_rows(file, number, timezone, faults) for number, file in enumerate(files)]
    # As fast as lz4 at this level, and 40% smaller, which the upload gains.
    pl.concat([_NO_EVENTS.lazy(), *good]).sink_parquet(
        events, compression="zstd", compression_level=1
    )
    if faults.is_another_format:
        raise Unreadable(faults.another_format())
    faulty = pl.concat(faults.found).sort("file", "row")
    read = pl.scan_parquet(events).select(pl.len()).collect().item() + faulty.height
    lines = sum(file.rows for file in files)
    assert read == lines, f"{lines} lines were spooled and {read} read"
    return faulty.filter(pl.col("reason") != _BLANK)


@dataclass
class _Faults:
    """The faulty rows of an import, added by several threads, so in no order.

    They are kept in memory, which rows by the ten million would fill; but a file like that is not
    one with some bad rows in it.
    """

    found: list[pl.DataFrame]
    may_be_another_format: bool
    rows: int = 0  # looked at, good or not
    faulty: int = 0

    @property
    def is_another_format(self) -> bool:
        is_much = self.faulty > _MANY_REJECTED and 2 * self.faulty > self.rows
        return self.may_be_another_format and is_much

    def another_format(self) -> str:
        """Say what is wrong with the file as a whole."""
        reasons = pl.concat(self.found)["reason"]
        [most] = reasons.filter(reasons != _BLANK).mode().sort().head(1)
        return (
            f"of another format: more than {_MANY_REJECTED:,} of its rows, and more than half, "
            f"would be rejected, most of them since {REASONS[most]}; export it again"
        )


def _good_rows(file: SpoolFile, number: int, timezone: str, faults: _Faults) -> pl.LazyFrame:
    """Scan the good rows of one spool file; the faulty ones are added to `faults` on the way."""
    columns = text_columns(file)
    long_rows = _long_rows(file)
    origin = origins(file)
    days = _market_days(timezone)
    is_good = pl.all_horizontal(
        ~pl.col("is_long"),
        pl.col("energy_kwh") >= 0,
        pl.col("nmi", "day", "is_discharge", "tariff_cents_per_kwh").is_not_null(),
    ).fill_null(False)

    def good(batch: pl.DataFrame) -> pl.DataFrame:
        if faults.is_another_format:
            return _NO_EVENTS
        faults.rows += batch.height
        is_long = batch["overflow"].is_not_null()
        source, line = origin(batch["row"])
        typed = batch.with_columns(
            (is_long if long_rows.is_empty() else is_long | batch["row"].is_in(long_rows)).alias(
                "is_long"
            ),
            source.alias("source"),
            line.alias("line"),
            _sites(batch["text_nmi"]).alias("nmi"),
            days(batch["text_date"]).alias("day"),
            _are_discharges(batch["text_event_type"]).alias("is_discharge"),
            _decimals(batch["text_energy"], ENERGY).alias("energy_kwh"),
            _decimals(batch["text_tariff"], TARIFF).alias("tariff_cents_per_kwh"),
        )
        are_good = typed.select(is_good).to_series()
        if not are_good.all():
            bad = typed.filter(~are_good).with_columns(
                pl.lit(number, pl.Int32).alias("file"), _reason(columns).alias("reason")
            )
            faults.found.append(bad.select(_NO_FAULTS.columns))
            faults.faulty += bad.height
            typed = typed.filter(are_good)
        return typed.select(_NO_EVENTS.columns)

    # One call with all columns: Polars' own work in it is parallel, and calls from its threads
    # into Python are few.
    return scan_fields(file).map_batches(good, schema=_NO_EVENTS.schema, streamable=True)


def _long_rows(file: SpoolFile) -> pl.Series:
    """Return the rows with more fields than the header has columns, empty ones at the end aside.

    The parser gives the first field too many and drops the others, so that `...,25,,x` looks well;
    but only where a field is empty, which most files never have.
    """
    if not file.has_empty_fields:
        return pl.Series([], dtype=pl.UInt32)
    unquoted = pl.col("line").str.replace_all(r'"(?:[^"]|"")*"', '"')
    line = unquoted if file.is_quoted else pl.col("line")
    commas = line.str.strip_chars_end(", \r").str.count_matches(",", literal=True)
    rows = scan_lines(file).filter(commas >= len(file.columns)).select("row")
    return rows.collect(engine="streaming").to_series()


def _reason(columns: list[str]) -> pl.Expr:
    """Return the first reason against a row that is not good; `_BLANK` where it is no row."""
    text = {name: pl.col(f"text_{name.lower()}").str.strip_chars() for name in COLUMNS}
    is_missing = [column.fill_null("") == "" for column in text.values()]
    further = [name for name in [*columns, "overflow"] if not name.startswith("text_")]
    is_blank = pl.all_horizontal(*is_missing, *(pl.col(name).is_null() for name in further))
    return (
        pl.when(is_blank)
        .then(pl.lit(_BLANK))
        .when("is_long")
        .then(pl.lit("fields"))
        .when(pl.any_horizontal(is_missing))
        .then(pl.lit("missing"))
        .when(~text["NMI"].str.contains(_NMI_IN_ANY_CASE))
        .then(pl.lit("nmi"))
        .when(pl.col("nmi").is_null())
        .then(pl.lit("nmi_check_digit"))
        .when(pl.col("day").is_null())
        .then(pl.lit("date"))
        .when(pl.col("is_discharge").is_null())
        .then(pl.lit("event_type"))
        .when(pl.col("energy_kwh").is_null())
        .then(pl.lit("energy"))
        .when(pl.col("energy_kwh") < 0)
        .then(pl.lit("energy_negative"))
        .otherwise(pl.lit("tariff"))
    )


def _sites(texts: pl.Series) -> pl.Series:
    """Read NMIs as the 10 characters that name the site; null for all else."""
    # Each once, as there are fewer sites than events; and all in one text, since a regex costs more
    # to begin than to run.
    is_ten = not texts.has_nulls() and (texts.str.len_bytes() == 10).all()
    if is_ten and texts.unique().str.join().str.contains(f"^({NMI_PATTERN})*$").all():
        return texts
    trimmed = texts.str.strip_chars()
    nmis = _where(trimmed.str.contains(_NMI_IN_ANY_CASE), trimmed).str.to_uppercase()
    with_check_digit = nmis.filter(nmis.str.len_bytes() == 11).unique().to_list()
    return nmis.replace(
        with_check_digit, pl.Series([_site_of(nmi) for nmi in with_check_digit], dtype=pl.String)
    )


@lru_cache(1 << 20)
def _site_of(nmi: str) -> str | None:
    try:
        return canonical_nmi(nmi)
    except ValueError:
        return None


def _are_discharges(texts: pl.Series) -> pl.Series:
    """Read event types: true for Discharge, false for Charge; null for all else."""
    discharges = texts == "Discharge"
    if (discharges | (texts == "Charge")).all():
        return discharges
    types = texts.str.strip_chars().str.to_lowercase()
    return _where(types.is_in(["charge", "discharge"]), types == "discharge")


def _decimals(texts: pl.Series, dtype: pl.Decimal) -> pl.Series:
    """Read plain decimals; null for all else.

    A bare cast would take 1e3, and round a seventh decimal away in silence. Neither is possible
    in 7 characters without an e, as most are: of those it makes nulls where there is no number.
    """
    whole_digits = dtype.precision - dtype.scale
    longest = cast(int | None, texts.str.len_bytes().max())
    is_short = longest is not None and longest <= min(7, whole_digits)
    if is_short and not texts.str.join().str.contains("[eE]").any():
        numbers = texts.cast(dtype, strict=False)
        if not numbers.has_nulls():
            return numbers
    plain = rf"^[+-]?([0-9]{{1,{whole_digits}}}(\.[0-9]{{0,6}})?|\.[0-9]{{1,6}})$"
    if not texts.str.contains(plain).all():
        texts = texts.str.strip_chars()
        texts = _where(texts.str.contains(plain), texts)
    return texts.cast(dtype)


_DATE = r"(19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}"
_TIME = r"[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?"
_OFFSET = r"(Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])$"


def _market_days(timezone: str) -> Callable[[pl.Series], pl.Series]:
    """Return what reads ISO dates and date-times as days in market time; null for all else."""

    def days(texts: pl.Series) -> pl.Series:
        dates = texts.str.strip_chars()
        is_local = dates.str.contains(rf"^{_DATE}({_TIME})?$")
        local_day = dates.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
        if is_local.all():
            return local_day
        has_offset = dates.str.contains(rf"^{_DATE}{_TIME}{_OFFSET}")
        # Offsets are whole minutes, so the seconds cannot move a moment to another day.
        minute = dates.str.slice(0, 16).str.replace(" ", "T", literal=True)
        local = minute.str.to_datetime("%Y-%m-%dT%H:%M", strict=False, time_unit="us")
        offset = dates.str.extract(_OFFSET).str.replace(":", "", literal=True)
        minutes = (
            offset.str.slice(1, 2).cast(pl.Int64, strict=False) * 60
            + offset.str.slice(3, 2).cast(pl.Int64, strict=False)
        ).fill_null(0)
        sign = 1 - 2 * offset.str.starts_with("-").fill_null(False).cast(pl.Int64)
        moment = (local - (minutes * sign * 60_000_000).cast(pl.Duration("us"))).dt
        market_day = moment.replace_time_zone("UTC").dt.convert_time_zone(timezone).dt.date()
        return _where(is_local, local_day, _where(has_offset, market_day))

    def days_of_distinct(texts: pl.Series) -> pl.Series:
        distinct = texts.unique()  # 5-minute data has 8,928 in a month, however many rows
        return texts.replace_strict(distinct, days(distinct), return_dtype=pl.Date)

    def days_of_runs(texts: pl.Series) -> pl.Series:
        runs = texts.rle().struct.field("value")  # in files in the order of time, few
        if 8 * runs.len() > texts.len():
            return days_of_distinct(texts)
        return days(runs).gather(texts.rle_id())

    return days_of_runs


def _where(mask: pl.Series, then: pl.Series, otherwise: pl.Series | None = None) -> pl.Series:
    """Take values where the mask is true, and others, or null, where it is not or is null."""
    rest = pl.Series([None], dtype=then.dtype) if otherwise is None else otherwise
    return then.zip_with(mask.fill_null(False), rest)


def _catalog_rows(
    import_id: str,
    sources: list[Source],
    daily: Path,
    faults: pl.DataFrame,
    corrections: pl.DataFrame,
) -> pl.DataFrame:
    """Return one row per source, as CATALOG_SCHEMA has it."""
    read = pl.DataFrame(
        [
            {
                "key": source.object.key,
                "etag": source.object.etag,
                "size": source.object.size,
                "sha256": source.sha256,
                "import_id": import_id,
                "source": source.number,
                "failed": source.failed,
                "ignored_columns": ", ".join(source.ignored_columns),
            }
            for source in sources
        ],
        schema={
            name: CATALOG_SCHEMA[name]
            for name in (
                "key",
                "etag",
                "size",
                "sha256",
                "import_id",
                "source",
                "failed",
                "ignored_columns",
            )
        },
    )
    good = pl.read_parquet(daily).select("source", "day", "events").cast({"events": pl.Int64})
    by_reason = faults.group_by("source", "reason").agg(pl.len().cast(pl.Int64).alias("rows"))
    counted = (
        by_reason.sort("source", "reason")
        .group_by("source")
        .agg(pl.struct("reason", "rows").alias("rejected"), pl.col("rows").sum().alias("faulty"))
    )
    days = (
        pl.concat([good.select("source", "day"), faults.select("source", "day")])
        .group_by("source")
        .agg(first_day=pl.col("day").min(), last_day=pl.col("day").max())
    )
    imported = good.group_by("source").agg(imported=pl.col("events").sum())
    correcting = corrections.group_by("key").agg(corrections=pl.len())
    return (
        read.join(imported, on="source", how="left")
        .join(counted, on="source", how="left")
        .join(days, on="source", how="left")
        .join(correcting, on="key", how="left")
        .with_columns(
            pl.col("imported", "faulty", "corrections").fill_null(0),
            pl.col("rejected").fill_null(pl.lit([], dtype=CATALOG_SCHEMA["rejected"])),
        )
        .with_columns(rows=pl.col("imported") + pl.col("faulty"))
        .select(pl.col(name).cast(dtype) for name, dtype in CATALOG_SCHEMA.items())
        .sort("source")
    )
