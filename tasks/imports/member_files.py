"""Import objects that are read one after the other: meter data and price files, packed or plain.

    bring (objects to disk) -> unpack (their members) -> a reader, for each member
        -> readings.parquet or prices.parquet, and rejected.csv

An object is read whole or not at all: where one of its members cannot be read, it has failed.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from polars._typing import PolarsDataType

from tasks.core import keys
from tasks.core.errors import ChangedMeanwhile, Unreadable
from tasks.core.settings import Settings
from tasks.imports.catalog import Kind
from tasks.imports.import_record import ReadObject, catalog_rows, import_id, sentence_of
from tasks.imports.limits import (
    MOST_REJECTED_BYTES,
    MOST_REJECTED_ROWS,
    UnpackedSize,
    require_text,
)
from tasks.imports.unpack import Member, unpack
from tasks.io.object_store import ObjectStore, ObjectVersion
from tasks.io.workspace import workspace

ROW_GROUP = 8192  # rows: some megabytes, where the default would hold 1 GB of readings in memory
_PARALLEL_READS = 16


@dataclass(frozen=True)
class MemberFile:
    """A text file to read: what messages call it, where it is, and what its rows say of it."""

    name: str
    path: Path
    object: ObjectVersion
    source: int
    member: str  # its name in a zip; '' where the object is no zip


@dataclass(frozen=True)
class MemberRows:
    """What became of a member's rows that are not in its Parquet file."""

    ignored: int
    rejected: pl.DataFrame  # line, reason, day, row, and what else the reader says of them
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """How a kind of objects is read.

    `read` reads a member and writes its good rows to a Parquet file (`schema`). `is_counted` says
    which of the rows that are listed in `rejected.csv` the catalog counts.
    """

    kind: Kind
    part: str
    schema: dict[str, PolarsDataType]
    rejected_schema: dict[str, PolarsDataType]
    read: Callable[[MemberFile, Path], MemberRows]
    is_counted: pl.Expr = field(default_factory=lambda: pl.lit(True))


@dataclass
class _Outcome:
    """What was read of an object: Parquet files, and what became of its other rows."""

    sha256: str = ""
    failed: str | None = None
    parts: list[Path] = field(default_factory=list)
    ignored: int = 0
    rejected: list[pl.DataFrame] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def rejected_rows(self) -> int:
        return sum(rows.height for rows in self.rejected)

    @property
    def rejected_bytes(self) -> int:
        """Return how much there is in the rejected rows."""
        return sum(int(rows["row"].str.len_bytes().sum()) for rows in self.rejected)


def import_members(store: ObjectStore, form: Format, objects: list[ObjectVersion]) -> pl.DataFrame:
    """Read objects and put what is in them under `imports/<import id>/`.

    An object that was replaced since it was listed is left out: the next listing shows it again.

    Returns:
        Their rows of the catalog.
    """
    with workspace("import") as folder:
        outcomes = [
            (version, number, _read(store.settings, form, version, number, path))
            for number, (version, path) in enumerate(_bring(store, objects, folder))
        ]
        name = import_id(form.kind, [version for version, _, _ in outcomes])
        good, rejected = folder / form.part, folder / "rejected.csv"
        _join([part for _, _, outcome in outcomes for part in outcome.parts], form.schema, good)
        faults = _faults(form, outcomes)
        faults.drop("source").write_csv(rejected)
        for path in (good, rejected):
            store.upload(path, keys.import_part(name, path.name))
        read = [
            ReadObject(
                version,
                number,
                outcome.sha256,
                outcome.failed,
                ignored=outcome.ignored,
                warnings="; ".join(outcome.warnings) or None,
            )
            for version, number, outcome in outcomes
        ]
        return catalog_rows(form.kind, name, read, _count(good), faults.filter(form.is_counted))


def _bring(
    store: ObjectStore, objects: list[ObjectVersion], folder: Path
) -> Iterator[tuple[ObjectVersion, Path]]:
    """Bring objects to disk, several at a time; yield each that is still there, in order."""

    def bring(version: ObjectVersion, path: Path) -> bool:
        if version.size > store.settings.max_unpacked_gb * (1 << 30):
            return True  # `_read` says so
        try:
            with path.open("wb") as file:
                for chunk in store.stream(version.key, version.etag):
                    file.write(chunk)
        except ChangedMeanwhile:
            return False
        return True

    paths = [folder / f"object-{number}" for number in range(len(objects))]
    with ThreadPoolExecutor(_PARALLEL_READS) as pool:
        for version, path, is_there in zip(
            objects, paths, pool.map(bring, objects, paths), strict=True
        ):
            if is_there:
                yield version, path


def _read(
    settings: Settings, form: Format, version: ObjectVersion, number: int, path: Path
) -> _Outcome:
    """Read an object's members; remove what is on disk of it but the Parquet files."""
    unpacked = path.with_name(f"{path.name}-members")
    unpacked.mkdir()
    outcome = _Outcome()
    try:
        UnpackedSize(settings, version.size).take(version.size)
        for member in _members(settings, version, path, unpacked, outcome):
            require_text(member.path, member.name, settings)
            name = member.name.removeprefix(version.key).removeprefix("/")
            part = path.with_name(f"{path.name}-{len(outcome.parts)}.parquet")
            outcome.parts.append(part)
            file = MemberFile(member.name, member.path, version, number, name)
            rows = form.read(file, part)
            outcome.ignored += rows.ignored
            outcome.rejected.append(
                rows.rejected.with_columns(
                    source=pl.lit(number, pl.Int32), key=pl.lit(version.key), member=pl.lit(name)
                )
            )
            outcome.warnings += rows.warnings
            if (
                outcome.rejected_bytes > MOST_REJECTED_BYTES
                or outcome.rejected_rows > MOST_REJECTED_ROWS
            ):
                raise Unreadable(
                    f"{member.name}: too many rows of it and of the files before it would be "
                    "rejected; correct them, or upload the files one by one to see each row"
                )
    except (OSError, MemoryError):
        raise
    except Exception as problem:
        said = str(problem) if isinstance(problem, Unreadable) else sentence_of(problem)
        for part in outcome.parts:
            part.unlink(missing_ok=True)
        # The catalog's row says which object it is about.
        said = said.removeprefix(f"{version.key}: ").removeprefix(f"{version.key}/")
        outcome = _Outcome(outcome.sha256, said)
    shutil.rmtree(unpacked)
    path.unlink(missing_ok=True)
    return outcome


def _members(
    settings: Settings, version: ObjectVersion, path: Path, folder: Path, outcome: _Outcome
) -> list[Member]:
    """Unpack an object, and note the hash of what is in it, however it is packed."""
    members = unpack(path, version.key, folder, settings)
    if not members:
        raise Unreadable("empty: there is no file with anything in it")
    hashes = []
    for member in members:
        with member.path.open("rb") as file:
            hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
    together = hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()
    outcome.sha256 = hashes[0] if len(hashes) == 1 else together
    return members


def _join(parts: list[Path], schema: dict[str, PolarsDataType], path: Path) -> None:
    """Make one Parquet file of several, in their order."""
    if len(parts) == 1:
        parts[0].rename(path)
        return
    scanned = [pl.scan_parquet(part) for part in parts]
    pl.concat([pl.LazyFrame(schema=schema), *scanned]).sink_parquet(
        path, compression="zstd", compression_level=1, row_group_size=ROW_GROUP
    )


def _faults(form: Format, outcomes: list[tuple[ObjectVersion, int, _Outcome]]) -> pl.DataFrame:
    """Return all rejected rows in order: source, and then what `rejected.csv` has."""
    own = [name for name in form.rejected_schema if name not in ("line", "reason", "row")]
    schema = {
        "source": pl.Int32(),
        "key": pl.String(),
        "member": pl.String(),
        **{name: form.rejected_schema[name] for name in ("line", "reason", *own, "row")},
    }
    frames = [
        frame.select(list(schema)) for _, _, outcome in outcomes for frame in outcome.rejected
    ]
    return pl.concat([pl.DataFrame(schema=schema), *frames])


def _count(path: Path) -> pl.DataFrame:
    """Count good rows by source and day, as `catalog_rows` takes them."""
    rows = pl.scan_parquet(path).group_by("source", "day").agg(imported=pl.len().cast(pl.Int64))
    none = pl.lit(0, pl.Int64)
    return rows.with_columns(corrections=none, identified=none).collect(engine="streaming")
