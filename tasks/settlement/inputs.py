"""What a month is settled from: the files that count, their rejected rows, and the registry."""

from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import cache, cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from polars._typing import PolarsDataType

import tasks
from tasks.core import keys
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.request import SettlementRequest
from tasks.core.run_record import (
    MOST_PINNED_ROWS,
    AtStake,
    DuplicateFile,
    FailedFile,
    FileRejects,
    InputFacts,
)
from tasks.core.settings import Settings
from tasks.core.words import reasons_in_words
from tasks.imports.catalog import EVENTS, METER, PRICES, Inbox
from tasks.imports.event_rows import read_sites
from tasks.io.object_store import ObjectStore, ScratchStore
from tasks.io.registry_segments import Log
from tasks.io.workspace import workspace
from tasks.settlement.rejected_rows import (
    bring_parts,
    find_rejected_rows,
    list_rejected_rows,
    name_repeats,
)

# Rejected 300 rows of meter data; nmi and day where they can be read.
METER_REJECTED_SCHEMA: dict[str, PolarsDataType] = {
    "key": pl.String,
    "record": pl.String,
    "reason": pl.String,
    "nmi": pl.String,
    "day": pl.Date,
}
PROGRAM = Path(tasks.__file__).parent
_SHOWN = 10


@dataclass(frozen=True)
class MonthInputs:
    """Everything that a month is settled from.

    `files` has the catalog's rows of the event files that count, with `events` and `rejected_rows`
    of the month, `meter_files` those of the meter files in the same way, and `price_files` those of
    the price files, unless there is no meter data. `last_month` has key, import_id and source of
    the event files with events of the month before. `meter_rejected` has the month's rejected 300
    rows (METER_REJECTED_SCHEMA). `corrections` are the events that count in the place of a rejected
    row (CORRECTIONS_SCHEMA), `rejected` all rows of the month that are still rejected
    (LIST_SCHEMA); `is_listed` says whether they are in `rejected/`. `log` is the registry's, of
    which `registry_seq` changes were recorded by `as_of`.
    """

    month: Month
    as_of: datetime
    timezone: str
    log: Log
    registry_seq: int
    files: pl.DataFrame
    meter_files: pl.DataFrame
    price_files: pl.DataFrame
    last_month: pl.DataFrame
    corrections: pl.DataFrame
    rejected: pl.DataFrame
    is_listed: bool
    meter_rejected: pl.DataFrame
    facts: InputFacts

    @cached_property
    def digest(self) -> str:
        """Return the digest of all that the reports are a function of, this program included."""
        digest = sha256(f"{self.month} {self.timezone} {_program()}".encode())
        for files in (self.files, self.meter_files, self.price_files):
            for file in files.select("key", "etag", "import_id", "source").iter_rows():
                digest.update(f"\n{file}".encode())
        for row in self.corrections.select("key", "line", "rejected_id").iter_rows():
            digest.update(f"\n{row}".encode())
        for row in self.rejected.select("rejected_id").iter_rows():
            digest.update(f"\n{row}".encode())
        digest.update(f"\n{self.log.digest(self.registry_seq)}".encode())
        return digest.hexdigest()

    def require_settleable(self, request: SettlementRequest) -> None:
        """Refuse a month whose inputs cannot be trusted, unless the request allows it.

        Raises:
            Refused: a file that could matter could not be read, a row is corrected in two ways, or
                too many rows of the month, or of one file in it, are rejected. The message says
                what to do.
        """
        failed = self.facts.failed_imports
        if failed and not request.allow_failed_imports:
            named = "; ".join(f"{file.key}: {file.failed}" for file in failed[:_SHOWN])
            raise Refused(
                f"{self.month} is not settled: {_count(len(failed), 'file')} that could matter to "
                f"it could not be read: {named}. Replace or delete them, or run with "
                "allow_failed_imports"
            )
        if self.corrections.height > MOST_PINNED_ROWS:
            raise Refused(
                f"{self.month} is not settled: {self.corrections.height:,} rejected rows are "
                f"corrected one by one, and at most {MOST_PINNED_ROWS:,} may be. Correct them in "
                "the files that they came in, and take the corrections out of the inbox"
            )
        if repeated := name_repeats(self.corrections, _SHOWN):
            raise Refused(
                f"{self.month} is not settled: {'; '.join(repeated)}. "
                "Only one of them can be right: take the others out of their files"
            )
        self._require_few_rejected(request.max_rejected_percent)

    def _require_few_rejected(self, limit: float) -> None:
        """Refuse too many rejected rows of events, or 300 rows of meter data; each on its own."""
        event_advice = (
            f"{self.how_to_correct}, replace the files, or run with a higher max_rejected_percent"
        )
        meter_advice = (
            "The rejected.csv of their imports has them; replace the files, or run with a higher "
            "max_rejected_percent"
        )
        rejects = self.facts.rejected_rows
        for problem, found, advice in (
            (
                _over(self.files, "rows", rejects, self.month_rows, limit),
                self.rejected,
                event_advice,
            ),
            (
                _over(
                    self.meter_files,
                    "days of meter data",
                    self.meter_rejected.height,
                    self.meter_rows,
                    limit,
                ),
                self.meter_rejected,
                meter_advice,
            ),
        ):
            if problem:
                reasons = "; ".join(
                    f"{file.key}: {reasons_in_words(file.reasons)}"
                    for file in _rejects(found)[:_SHOWN]
                )
                raise Refused(f"{self.month} is not settled: {problem}: {reasons}. {advice}")

    @property
    def how_to_correct(self) -> str:
        """Say where the rejected rows can be corrected. A preview lists them nowhere."""
        key = keys.rejected_rows(self.month)
        if self.is_listed:
            return f"Correct them in {key} and upload that to the inbox"
        return f"Correct them in {key} (a run that is no preview writes it) and upload that"

    @property
    def rejected_by_site(self) -> pl.DataFrame:
        """Return how many of the month's rows are rejected of which site: nmi, rows."""
        events = self.rejected.select(nmi=read_sites(self.rejected["nmi"]))
        sites = pl.concat([events, self.meter_rejected.select("nmi")])
        return sites.drop_nulls().group_by("nmi").agg(rows=pl.len().cast(pl.Int64)).sort("nmi")

    @property
    def month_rows(self) -> int:
        """Return how many rows the month has: its events, corrections and rejected rows."""
        events = int(self.files["events"].sum()) + self.corrections.height
        return events + self.facts.rejected_rows

    @property
    def meter_rows(self) -> int:
        """Return how many 300 rows of meter data the month has, imported or rejected."""
        return int(self.meter_files["events"].sum()) + self.meter_rejected.height


def _over(files: pl.DataFrame, noun: str, rejected: int, rows: int, limit: float) -> str:
    """Say that more than the limit (%) of all rows, or of a file's, are rejected; empty: no."""
    counts = [(f"its {rows} {noun}", rejected, rows)] + [
        (f"the {bad + good} {noun} of {key} in it", bad, bad + good)
        for key, bad, good in files.select("key", "rejected_rows", "events").iter_rows()
    ]
    for what, bad, of in counts:
        if bad * 100 > limit * of:
            return (
                f"{bad} of {what} were rejected ({bad * 100 / of:.1f}%, at most {limit:g}% are "
                "allowed)"
            )
    return ""


@cache
def _program() -> str:
    """Return the version of this program: all files of `tasks`, and the engines."""
    files = (path for path in PROGRAM.rglob("*") if path.suffix in {".py", ".sql"})
    sources = sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()
    return f"{sources} {version('duckdb')} {version('polars')} {version('pydantic')}"


def select_inputs(
    store: ObjectStore, settings: Settings, month: Month, inbox: Inbox, as_of: datetime
) -> MonthInputs:
    """Find which files of the inbox count for a month, and list its rejected rows in `rejected/`.

    Raises:
        Refused: an object is not imported yet.
    """
    if missing := [version.key for version in inbox.new]:
        raise Refused(f"{', '.join(missing[:5])}: not imported yet; run import-events first")
    events, meter, prices = (
        inbox.files.filter(pl.col("kind") == kind.name) for kind in (EVENTS, METER, PRICES)
    )
    distinct, duplicates = _distinct(events)
    files = distinct.filter(_touches(month)).drop("counts")
    log = Log(store)
    with workspace("inputs") as folder:
        rejected, corrections = find_rejected_rows(store, month, distinct, files, folder)
        list_rejected_rows(store, month, rejected, folder / "list.csv")
        meter_files, price_files = _meter_and_prices(meter, prices, month)
        meter_rejected = _read_meter_rejected(store, meter_files, month, folder)
    at_stake: Any = rejected["at_stake_aud"].sum()
    return MonthInputs(
        month=month,
        as_of=as_of,
        timezone=settings.timezone,
        log=log,
        registry_seq=log.seq_as_of(as_of),
        files=_with_counts(files, month, rejected),
        meter_files=_with_counts(meter_files, month, meter_rejected),
        price_files=price_files.with_columns(rejected_rows=pl.lit(0, pl.Int64)),
        last_month=distinct.filter(_has_events(month.previous)).select(
            "key", "import_id", "source"
        ),
        corrections=corrections,
        rejected=rejected,
        is_listed=not isinstance(store, ScratchStore),
        meter_rejected=meter_rejected,
        facts=InputFacts(
            rejected=_rejects(rejected),
            rejected_rows=rejected.height,
            at_stake=AtStake(
                rows=rejected["at_stake_aud"].count(), aud=float(round(Decimal(at_stake), 2))
            ),
            corrected_rows=corrections.height,
            open_rows=int(events.filter(_touches(month))["open"].sum()),
            duplicates=_duplicates(duplicates.filter(_touches(month))),
            failed_imports=_failed(inbox.files, month, settings.timezone),
            meter_rejected=_rejects(meter_rejected),
        ),
    )


def _meter_and_prices(
    meter: pl.DataFrame, prices: pl.DataFrame, month: Month
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the month's meter files, and its price files where there is meter data to price."""
    meter_files = _distinct(meter)[0].filter(_touches(month)).drop("counts")
    price_files = _distinct(prices)[0].filter(_touches(month)).drop("counts")
    return meter_files, price_files if meter_files.height else price_files.clear()


def _read_meter_rejected(
    store: ObjectStore, files: pl.DataFrame, month: Month, folder: Path
) -> pl.DataFrame:
    """Read the rejected 300 rows of these files that are, or may be, of the month."""
    with_rejects = files.filter(pl.col("rows") > pl.col("imported"))
    is_of_month = pl.col("day").is_null() | pl.col("day").is_between(
        month.first_day, month.last_day
    )
    parts = [
        pl.scan_csv(path, infer_schema=False)
        .select("key", "record", "reason", "nmi", pl.col("day").str.to_date())
        .filter(is_of_month & (pl.col("record") == "300") & pl.col("key").is_in(names.implode()))
        for path, names in bring_parts(store, with_rejects, "rejected.csv", folder)
    ]
    return pl.concat([pl.LazyFrame(schema=METER_REJECTED_SCHEMA), *parts]).collect()


def _with_counts(files: pl.DataFrame, month: Month, rejected: pl.DataFrame) -> pl.DataFrame:
    """Return the files with how many events and rejected rows of the month each has."""
    of_month = pl.element().struct.field("month") == str(month)
    events = pl.col("months").list.filter(of_month).list.first().struct.field("events")
    by_file = rejected.group_by("key").agg(rejected_rows=pl.len().cast(pl.Int64))
    return files.join(by_file, on="key", how="left", maintain_order="left").with_columns(
        pl.col("rejected_rows").fill_null(0), events.fill_null(0).alias("events")
    )


def _has_events(month: Month) -> pl.Expr:
    """Say of a file whether it has events of a month."""
    of_month = pl.element().struct.field("month") == str(month)
    return pl.col("months").list.eval(of_month).list.any().fill_null(False)


def _rejects(rejected: pl.DataFrame) -> list[FileRejects]:
    """Count the rejected rows of each file by reason, in the order of keys."""
    counts = rejected.group_by("key", "reason").len().sort("key", "reason")
    return [
        FileRejects(key=str(key), reasons=dict(of_key.select("reason", "len").iter_rows()))
        for (key,), of_key in counts.group_by("key", maintain_order=True)
    ]


def _duplicates(files: pl.DataFrame) -> list[DuplicateFile]:
    return [
        DuplicateFile(key=key, same_as=same_as)
        for key, same_as in files.select("key", "counts").iter_rows()
    ]


def _distinct(files: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the readable files, and those of them that have the content of another.

    Of files with the same content the first by key counts; the others name it in `counts`.
    """
    readable = files.filter(pl.col("failed").is_null() & (pl.col("rows") > 0)).with_columns(
        counts=pl.col("key").first().over("sha256", order_by="key")
    )
    is_first = pl.col("key") == pl.col("counts")
    return readable.filter(is_first), readable.filter(~is_first)


def _touches(month: Month) -> pl.Expr:
    """Say whether a file's days touch the month, or none of its dates can be read."""
    first_day, last_day = pl.col("first_day"), pl.col("last_day")
    return (first_day.is_null() | (first_day <= month.last_day)) & (
        last_day.is_null() | (last_day >= month.first_day)
    )


def _failed(files: pl.DataFrame, month: Month, timezone: str) -> list[FailedFile]:
    """Return the files that could not be read and could hold events of the month.

    Which days such a file is about cannot be known. But one that was last written before the month
    began cannot be about it.
    """
    began = datetime.combine(month.first_day, time(), ZoneInfo(timezone)).astimezone(UTC)
    failed = files.filter(pl.col("failed").is_not_null() & (pl.col("last_modified") >= began))
    return [FailedFile(**file) for file in failed.select("key", "failed").iter_rows(named=True)]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
