"""The registry's log as it is on S3: segments of JSON lines, only appended to, without a gap.

The first segment is `registry/changes.jsonl`; each other one is named after its first change. A log
that has no other one, however large, is the form of earlier versions. Only the last segment is ever
written. While it is small, it is replaced by itself with the new lines behind, if it is still what
was read (`If-Match`); once it is full, the next one is begun, if nobody else has (`If-None-Match`).
Which of the two is seen in the last segment alone, never in what is to be appended. So two writers
that have seen the same write the same object, and one of them wins; one that has seen less finds
the object that it writes changed, or there. An append is one write: all of it is there, or nothing.

A full segment has a twin: the same changes as columns, in Parquet. It is derived, never the truth:
its name has hashes of what it was made from and of its own bytes. One that is missing, torn, or of
another content is passed over and made again from the segment, so all of them may be deleted.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from weakref import finalize

import duckdb
import polars as pl

from tasks.core import keys
from tasks.core.changes import Change, recorded_change
from tasks.core.errors import LostRace, Refused
from tasks.io.object_store import ObjectStore
from tasks.io.warehouse import sql, warehouse
from tasks.io.workspace import full_disk_in_words, workspace

FULL_BYTES = 1 << 20  # some 4,000 changes: what a change rewrites at most
_SEGMENT = re.compile("/(?:changes|changes/([0-9]{12}))[.]jsonl$")
_TWIN = re.compile("/([0-9]{12})-([0-9a-f]{32})-([0-9a-f]{64})-([0-9a-f]{32})[.]parquet$")


@dataclass(frozen=True)
class _Twin:
    """A twin that is listed: of which ETag, the hash of the lines in it, and that of its bytes."""

    key: str
    basis: str
    lines_sha256: str
    content: str


@dataclass(frozen=True)
class _Segment:
    """A segment that is listed, and its twins, of which at most one is of this ETag."""

    first_seq: int
    key: str
    etag: str
    size: int
    twins: tuple[_Twin, ...]

    @property
    def basis(self) -> str:
        """Name what a twin is made from, and how."""
        return sha256(f"{self.etag}\n{sql('registry/changes')}".encode()).hexdigest()[:32]


def to_columns(lines: Path, columns: Path) -> None:
    """Write lines of the log as Parquet (sql/registry/changes.sql), in bounded memory.

    Raises:
        Refused: a line is no change; the log was edited by hand.
    """
    with workspace("columns") as folder, warehouse(folder) as connection:
        _write_columns(connection, lines, columns)


def _write_columns(connection: duckdb.DuckDBPyConnection, lines: Path, columns: Path) -> None:
    try:
        found = connection.sql(sql("registry/changes"), params={"lines": str(lines)})
        found.write_parquet(str(columns), compression="zstd")
    except (duckdb.InvalidInputException, duckdb.ConversionException) as problem:
        said = str(problem).splitlines()[0]
        raise Refused(f"the registry's log has a line that is no change: {said}") from None


@lru_cache(maxsize=4)
def _columns_of(lines: bytes) -> bytes:
    """Return the columns of few lines; the log's end is the same for month after month.

    They need no database of their own: to open one takes longer than to read them.
    """
    with workspace("columns") as folder, duckdb.cursor() as connection:
        (folder / "lines").write_bytes(lines)
        _write_columns(connection, folder / "lines", folder / "columns")
        return (folder / "columns").read_bytes()


class Log:
    """The log as it was when it was listed. Its parts are brought here when they are asked for.

    What was brought is in a folder of this machine that is gone with this object: keep that for as
    long as its files are read.
    """

    def __init__(self, store: ObjectStore) -> None:
        with ExitStack() as opened:
            self._folder = opened.enter_context(workspace("registry"))
            finalize(self, opened.pop_all().close)
        self._store = store
        self._segments = _listed(store)
        self._end = b""  # the last segment, while it is not full
        self._paths: dict[int, Path] = {}
        self._lines_sha256: dict[int, str] = {}
        if self._segments and self._segments[-1].size < FULL_BYTES:
            last = self._segments.pop()
            if found := store.read(last.key):
                data, etag = found
                self._segments.append(replace(last, etag=etag, size=len(data)))
                self._end = data if len(data) < FULL_BYTES else b""

    @cached_property
    def last_change(self) -> Change | None:
        """Return the last change, if there is any."""
        if not self._segments:
            return None
        last = pl.scan_parquet(self._path(self._segments[-1])).select("line").tail(1).collect()
        return recorded_change(last["line"].item()) if last.height else None

    @property
    def seq(self) -> int:
        """Return how many changes there are."""
        return self.last_change.seq if self.last_change else 0

    def seq_as_of(self, moment: datetime) -> int:
        """Return how many changes were recorded by a moment; time never goes back in the log."""
        for segment in reversed(self._segments):
            by_then = pl.scan_parquet(self._path(segment)).filter(pl.col("recorded_at") <= moment)
            seq = by_then.select(pl.col("seq").max()).collect().item()
            if seq is not None:
                return int(seq)
        return 0

    def digest(self, seq: int) -> str:
        """Name the content of the first changes up to this one, whatever comes behind them."""
        digest = sha256()
        begun = [segment for segment in self._segments if segment.first_seq <= seq]
        for number, segment in enumerate(begun):
            if number + 1 < len(begun):
                lines_sha256 = self._lines_hash(segment)
            else:
                lines_sha256 = self._hash_of_lines_until(segment, seq)
            digest.update(f"{segment.first_seq} {lines_sha256}\n".encode())
        return digest.hexdigest()

    @cached_property
    def paths(self) -> list[Path]:
        """Return all changes as Parquet files, in order; one that is empty where there are none.

        Raises:
            Refused: there is a gap.
        """
        if not self._segments:
            (self._folder / "none.parquet").write_bytes(_columns_of(b""))
            return [self._folder / "none.parquet"]
        expected = 1
        for segment in self._segments:
            seqs = pl.scan_parquet(self._path(segment)).select("seq").collect()["seq"]
            if not seqs.equals(pl.int_range(expected, expected + len(seqs), eager=True)):
                raise Refused(
                    f"{segment.key} does not have the changes from {expected} on in order: the "
                    "registry's log was changed by hand and must be restored"
                )
            expected += len(seqs)
        return [self._path(segment) for segment in self._segments]

    def scan(self) -> pl.LazyFrame:
        """Return all changes as columns (sql/registry/changes.sql)."""
        return pl.scan_parquet(self.paths)

    def lines(self, of: pl.Expr) -> list[str]:
        """Return the lines of those changes of which this is true, in order."""
        return self.scan().filter(of).select("line").collect()["line"].to_list()

    def append(self, lines: bytes) -> None:
        """Write lines behind the last one.

        Raises:
            LostRace: somebody else has.
        """
        if self._end:
            key, etag = self._segments[-1].key, self._segments[-1].etag
        else:
            key, etag = keys.registry_segment(self.seq + 1), None
        data = self._end + lines
        try:
            self._store.write_if(key, data, etag)
        except LostRace:
            # Unless it was won, the answer got lost, and somebody has appended behind it.
            found = self._store.read(key)
            if found is None or not found[0].startswith(data):
                raise

    def _path(self, segment: _Segment) -> Path:
        """Bring a segment's changes here as columns."""
        if segment.first_seq not in self._paths:
            path = self._folder / f"{segment.first_seq:012d}.parquet"
            with full_disk_in_words(self._folder):
                if not self._bring_twin(segment, path):
                    self._make_twin(segment, path)
            self._paths[segment.first_seq] = path
        return self._paths[segment.first_seq]

    def _bring_twin(self, segment: _Segment, path: Path) -> bool:
        """Bring a segment's twin, if there is a whole one; return whether there was."""
        for twin in segment.twins:
            found = self._store.read(twin.key) if twin.basis == segment.basis else None
            if found and sha256(found[0]).hexdigest()[:32] == twin.content:
                path.write_bytes(found[0])
                self._lines_sha256[segment.first_seq] = twin.lines_sha256
                return True
        return False

    def _make_twin(self, segment: _Segment, path: Path) -> None:
        """Make the columns of a segment from its lines; those of a full one are put on S3."""
        if self._segments[-1] is segment and self._end:
            path.write_bytes(_columns_of(self._end))
            self._lines_sha256[segment.first_seq] = sha256(self._end).hexdigest()
            return
        lines, digest = path.with_suffix(".jsonl"), sha256()
        with lines.open("wb") as file:
            for part in self._store.stream(segment.key, segment.etag):
                file.write(part)
                digest.update(part)
        to_columns(lines, path)
        lines.unlink()
        self._lines_sha256[segment.first_seq] = digest.hexdigest()
        if segment.size >= FULL_BYTES:
            data = path.read_bytes()
            content = sha256(data).hexdigest()[:32]
            name = f"{segment.basis}-{digest.hexdigest()}-{content}"
            key = keys.registry_columns(segment.first_seq, name)
            self._store.write(key, data, "application/octet-stream")

    def _lines_hash(self, segment: _Segment) -> str:
        """Return the hash of a segment's lines."""
        for twin in segment.twins:
            if twin.basis == segment.basis:
                return twin.lines_sha256
        self._path(segment)
        return self._lines_sha256[segment.first_seq]

    def _hash_of_lines_until(self, segment: _Segment, seq: int) -> str:
        """Return the hash of a segment's lines up to a change."""
        if segment is self._segments[-1] and seq >= self.seq:
            return self._lines_hash(segment)
        following = [other.first_seq for other in self._segments if other.first_seq > seq]
        if following and min(following) == seq + 1:
            return self._lines_hash(segment)
        digest = sha256()
        first = pl.scan_parquet(self._path(segment)).filter(pl.col("seq") <= seq)
        for line in first.select("line").collect()["line"]:
            digest.update(f"{line}\n".encode())
        return digest.hexdigest()


def read_log(store: ObjectStore) -> bytes:
    """Return the whole log, one change a line; empty before the first change."""
    found = (store.read(segment.key) for segment in _listed(store))
    return b"".join(data for data, _ in filter(None, found))


def segment_keys(store: ObjectStore, seq: int) -> list[str]:
    """Return the keys of the log's segments from the one with this change on, in order."""
    segments = _listed(store)
    before = [segment.first_seq for segment in segments if segment.first_seq <= seq]
    return [segment.key for segment in segments if segment.first_seq >= max(before, default=1)]


def _listed(store: ObjectStore) -> list[_Segment]:
    """List the segments in order, each with its twins."""
    versions = store.versions(keys.REGISTRY_LOG.removesuffix(".jsonl"))
    twins: dict[int, list[_Twin]] = {}
    for version in versions:
        if named := _TWIN.search(version.key):
            first_seq, *hashes = named.groups()
            twins.setdefault(int(first_seq), []).append(_Twin(version.key, *hashes))
    segments = []
    for version in versions:
        if named := _SEGMENT.search(f"/{version.key}"):
            first_seq = int(named[1] or 1)
            of_segment = tuple(twins.get(first_seq, ()))
            segments.append(
                _Segment(first_seq, version.key, version.etag, version.size, of_segment)
            )
    return sorted(segments, key=lambda segment: segment.first_seq)
