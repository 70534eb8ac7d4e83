"""What a month is settled from: the files that count, their rejected rows, and the registry.

A rejected row is corrected by a row of another file that names it in the columns CORRECTS_FILE and
CORRECTS_LINE. All rows of a month that are still rejected are listed in `rejected/<month>.csv`, in
that form. Once that list is corrected and uploaded to the inbox, the month is complete.
"""

import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import cache, cached_property
from hashlib import file_digest, md5, sha256
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from polars._typing import PolarsDataType

import tasks
from tasks.core import keys
from tasks.core.errors import ChangedMeanwhile, Refused
from tasks.core.month import Month
from tasks.core.request import SettlementRequest
from tasks.core.run_record import AtStake, DuplicateFile, FailedFile, FileRejects, InputFacts
from tasks.core.settings import Settings
from tasks.imports.catalog import Inbox
from tasks.imports.event_rows import REASONS
from tasks.imports.rejected import CORRECTIONS_SCHEMA, REJECTED_SCHEMA
from tasks.imports.spool import COLUMNS, CORRECTS
from tasks.io.object_store import ObjectStore, ObjectVersion
from tasks.io.registry_log import read_log

FIRST_ROWS = 100
PROGRAM = Path(tasks.__file__).parent
_SHOWN = 10
_CODES = {sentence: code for code, sentence in REASONS.items()}  # as READER_VERSION 1 wrote them


@dataclass(frozen=True)
class MonthInputs:
    """Everything that a month is settled from.

    `files` has the catalog's rows of the files that count, with `rejected_rows`: those that are
    not corrected; `first_rejected` has the first of these rows (REJECTED_SCHEMA). `log` is the
    registry's log as a whole. `misplaced_corrections` names corrections whose events would count
    twice, a sentence each.
    """

    month: Month
    as_of: datetime
    timezone: str
    log: bytes
    files: pl.DataFrame
    first_rejected: pl.DataFrame
    misplaced_corrections: list[str]
    facts: InputFacts

    @cached_property
    def registry(self) -> bytes:
        """Return the registry as of the moment: the lines of its log recorded by then."""
        lines = self.log.splitlines(keepends=True)
        while lines and datetime.fromisoformat(json.loads(lines[-1])["recorded_at"]) > self.as_of:
            lines.pop()
        return b"".join(lines)

    @cached_property
    def digest(self) -> str:
        """Return the digest of all that the reports are a function of, this program included."""
        digest = sha256(f"{self.month} {self.timezone} {_program()}".encode())
        columns = ("key", "etag", "import_id", "rejected_rows", "source")
        for file in self.files.select(columns).iter_rows():
            digest.update(f"\n{file}".encode())
        digest.update(self.registry)
        return digest.hexdigest()

    def require_settleable(self, request: SettlementRequest) -> None:
        """Refuse a month whose inputs cannot be trusted, unless the request allows it.

        Raises:
            Refused: a file that could matter could not be read, a correction would count twice, or
                too many of the month's rows are rejected. The message says what to do.
        """
        failed = self.facts.failed_imports
        if failed and not request.allow_failed_imports:
            named = "; ".join(f"{file.key}: {file.failed}" for file in failed[:_SHOWN])
            raise Refused(
                f"{self.month} is not settled: {len(failed)} file(s) that could matter to it "
                f"could not be read: {named}. Replace or delete them, or run with "
                "allow_failed_imports"
            )
        if self.misplaced_corrections:
            raise Refused(
                f"{self.month} is not settled: {'; '.join(self.misplaced_corrections[:_SHOWN])}. "
                "The event would count twice: upload the file that corrects again, without that "
                "line"
            )
        rows, rejected = int(self.files["rows"].sum()), self.facts.rejected_rows
        if rejected * 100 > request.max_rejected_percent * rows:
            reasons = "; ".join(
                f"{file.key}: " + ", ".join(f"{n} {reason}" for reason, n in file.reasons.items())
                for file in self.facts.rejected[:_SHOWN]
            )
            raise Refused(
                f"{self.month} is not settled: {rejected} of its {rows} rows were rejected "
                f"({rejected * 100 / rows:.1f}%, at most {request.max_rejected_percent:g}% are "
                f"allowed): {reasons}. Correct them in {keys.rejected_rows(self.month)} and upload "
                "that to the inbox, replace the files, or run with a higher max_rejected_percent"
            )


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
    distinct, duplicates = _distinct(inbox.files)
    files = distinct.filter(_touches(month)).drop("counts")
    is_of_month = pl.col("key").is_in(files["key"].implode())
    with tempfile.TemporaryDirectory(prefix="vpp-inputs-") as temporary:
        folder = Path(temporary)
        corrections = _corrections(store, distinct, folder)
        is_corrected = pl.col("key").is_in(corrections["corrects_file"].implode())
        all_rejected = _rejected(store, distinct.filter(_touches(month) | is_corrected), folder)
        valid, misplaced = _split_corrections(corrections, all_rejected)
        rejected = all_rejected.filter(is_of_month).join(
            valid.lazy(),
            left_on=("key", "line"),
            right_on=("corrects_file", "corrects_line"),
            how="anti",
            maintain_order="left",
        )
        by_reason = _by_reason(rejected)
        _put_list(store, month, rejected, folder / "list.csv")
        first = rejected.head(FIRST_ROWS).collect()
    by_file = by_reason.group_by("key").agg(rejected_rows=pl.col("rows").sum())
    at_stake: Any = by_reason["at_stake_aud"].sum()
    is_correction = pl.col("corrects_file").is_in(files["key"].implode())
    return MonthInputs(
        month=month,
        as_of=as_of,
        timezone=settings.timezone,
        log=read_log(store),
        files=files.join(by_file, on="key", how="left", maintain_order="left").with_columns(
            pl.col("rejected_rows").fill_null(0)
        ),
        first_rejected=first,
        misplaced_corrections=_misplaced(misplaced.filter(is_of_month)),
        facts=InputFacts(
            rejected=_rejects(by_reason),
            rejected_rows=int(by_reason["rows"].sum()),
            at_stake=AtStake(rows=int(by_reason["readable"].sum()), aud=float(round(at_stake, 2))),
            corrected_rows=valid.filter(is_correction).height,
            duplicates=_duplicates(duplicates.filter(_touches(month))),
            failed_imports=_failed(inbox.files, month, settings.timezone),
        ),
    )


def _misplaced(corrections: pl.DataFrame) -> list[str]:
    return [
        f"line {line} of {key} corrects line {corrects_line} of {corrects_file}, which is not "
        "rejected or is corrected already"
        for key, line, corrects_file, corrects_line in corrections.iter_rows()
    ]


def _duplicates(files: pl.DataFrame) -> list[DuplicateFile]:
    return [
        DuplicateFile(key=key, same_as=same_as)
        for key, same_as in files.select("key", "counts").iter_rows()
    ]


def _by_reason(rejected: pl.LazyFrame) -> pl.DataFrame:
    """Count rejected rows by file and reason: key, reason, rows, readable, at_stake_aud."""
    return (
        rejected.group_by("key", "reason")
        .agg(
            pl.len().cast(pl.Int64).alias("rows"),
            pl.col("at_stake_aud").count().cast(pl.Int64).alias("readable"),
            pl.col("at_stake_aud").sum(),
        )
        .sort("key", "reason")
        .collect(engine="streaming")
    )


def _rejects(by_reason: pl.DataFrame) -> list[FileRejects]:
    return [
        FileRejects(key=str(key), reasons=dict(of_key.select("reason", "rows").iter_rows()))
        for (key,), of_key in by_reason.group_by("key", maintain_order=True)
    ]


def _put_list(store: ObjectStore, month: Month, rejected: pl.LazyFrame, path: Path) -> None:
    """Put rejected rows where they can be corrected, unless they are there already.

    The list is an event file that corrects them once its values are right.
    """
    file, line = CORRECTS
    at_stake = pl.col("at_stake_aud").cast(pl.String).str.replace(r"\.?0+$", "")
    rejected.select(
        pl.col("key").alias(file),
        pl.col("line").alias(line),
        *(pl.col(name.lower()).alias(name) for name in COLUMNS),
        pl.col("reason").replace(REASONS).alias("REASON"),
        at_stake.alias("AT_STAKE_AUD"),
        pl.col("row").alias("ROW"),
    ).sink_csv(path)
    key = keys.rejected_rows(month)
    present = next((version for version in store.versions(key) if version.key == key), None)
    if present is None:
        with path.open() as lines:
            if sum(1 for _ in islice(lines, 2)) < 2:
                return  # nothing but a header
    elif present.size == path.stat().st_size and _has_content(store, present, path):
        return
    store.upload(path, key)


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


def _rejected(store: ObjectStore, files: pl.DataFrame, folder: Path) -> pl.LazyFrame:
    """Scan all rejected rows of these files, corrected or not, in the order of their imports."""
    with_rejects = files.filter(pl.col("rows") > pl.col("imported"))
    rejected = _scan(store, with_rejects, "rejected.csv", REJECTED_SCHEMA, folder)
    return rejected.with_columns(pl.col("reason").replace(_CODES))


def _corrections(store: ObjectStore, files: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """Return which events of these files correct which rows of these files, by file and line.

    An event that corrects a row of a file that is no longer there is an event like any other.
    """
    with_corrections = files.filter(pl.col("corrections") > 0)
    return (
        _scan(store, with_corrections, "corrections.csv", CORRECTIONS_SCHEMA, folder)
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
    """Download a part of the files' imports, and scan the rows that come from these files."""
    imports = files["import_id"].unique(maintain_order=True).to_list()
    paths = [folder / f"{import_id}-{name}" for import_id in imports]
    store.download([keys.import_part(import_id, name) for import_id in imports], paths)
    # An import may also hold files that were replaced since.
    parts = [
        pl.scan_csv(path, schema=schema).filter(pl.col("key").is_in(of_import["key"].implode()))
        for import_id, path in zip(imports, paths, strict=True)
        for of_import in [files.filter(pl.col("import_id") == import_id)]
    ]
    return pl.concat([pl.LazyFrame(schema=schema), *parts])


def _split_corrections(
    corrections: pl.DataFrame, rejected: pl.LazyFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the first correction of each rejected row, and all other corrections."""
    if corrections.is_empty():
        return corrections, corrections
    place = ("corrects_file", "corrects_line")
    found = (
        rejected.select("key", "line")
        .join(corrections.lazy(), left_on=("key", "line"), right_on=place, how="semi")
        .collect(engine="streaming")
    )
    valid = corrections.filter(pl.struct(place).is_first_distinct()).join(
        found, left_on=place, right_on=("key", "line"), how="semi"
    )
    return valid, corrections.join(valid, on=("key", "line"), how="anti", maintain_order="left")
