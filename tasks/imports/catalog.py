"""The catalog: which object versions have been imported, and what became of their rows.

An import exists once its rows are here. The catalog is rewritten by compare-and-swap: who loses the
race reads it again, and adds its rows to what is there then.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import polars as pl
from polars._typing import PolarsDataType

from tasks.core import keys
from tasks.core.change_fields import UNSEEN, visible
from tasks.core.errors import LostRace, Refused
from tasks.core.inbox import inbox_key
from tasks.io.object_store import ObjectStore, ObjectVersion

SCHEMA: dict[str, PolarsDataType] = {
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
    "reader": pl.Int32,  # the version of its kind's reader; null: the first
    "identified": pl.Int64,  # its events that say which event they are
    "open": pl.Int64,  # rows of a list of rejected rows that are as they were: neither of `rows`
    "months": pl.List(pl.Struct({"month": pl.String, "events": pl.Int64})),  # but corrections
    # One of KINDS. Rows and `events` are 300 rows in a meter file, and prices in a price file.
    "kind": pl.String,
    "ignored": pl.Int64,  # rows that are none of ours: neither of `rows`
    "warnings": pl.String,  # what else is to be said of the file
}


@dataclass(frozen=True)
class Kind:
    """A kind of inbox objects: where they are, what their names end in, and who reads them.

    `reader` is the version of their reader. It goes into every import's id: raise it when the same
    file would be read differently. What an earlier reader imported is read again; its rows stay, as
    what was published then rests on them.
    """

    name: str
    folder: str
    suffixes: tuple[str, ...]
    reader: int

    def has_name(self, key: str) -> bool:
        """Say whether an object of this name in its folder is read."""
        return key.lower().endswith(self.suffixes) and not UNSEEN.search(key)

    def require_name(self, key: str) -> None:
        """Refuse a name that would not be read.

        Raises:
            Refused: it is one.
        """
        if not self.has_name(key):
            raise Refused(
                f"{visible(key)} would not be read: names in {self.folder} end in {self.endings}"
            )

    @property
    def endings(self) -> str:
        """Say what names end in: '.csv, .csv.gz or .csv.zst'."""
        *others, last = self.suffixes
        return f"{', '.join(others)} or {last}"


EVENTS = Kind("events", keys.EVENTS, (".csv", ".csv.gz", ".csv.zst"), reader=2)
METER = Kind("meter", keys.METER_DATA, (".csv", ".gz", ".zst", ".zip"), reader=1)
PRICES = Kind("prices", keys.PRICES, (".csv", ".zip"), reader=1)
KINDS = (EVENTS, METER, PRICES)
_VERSION = ("key", "etag", "reader")
_ROUNDS = 50  # of losing the race to add rows


@dataclass(frozen=True)
class Inbox:
    """What is in the inbox, and what the catalog has of it.

    `files` has the catalog's row of each object in key order, with `last_modified`; what is not
    imported yet has null in all other columns but `key` and `etag`. `unread` has the names of what
    is not read because of them: another suffix, or characters that are not shown, which are
    written here as Python does.
    """

    versions: list[ObjectVersion]
    files: pl.DataFrame
    unread: list[str] = field(default_factory=list)

    @property
    def new(self) -> list[ObjectVersion]:
        """Return what is not imported yet, in key order."""
        keys_of_new = set(self.files.filter(pl.col("import_id").is_null())["key"])
        return [version for version in self.versions if version.key in keys_of_new]

    def with_imported(self, imported: pl.DataFrame) -> "Inbox":
        """Return the inbox with what was imported meanwhile, as the catalog has it now."""
        of_catalog = self.files.filter(pl.col("import_id").is_not_null()).select(imported.columns)
        return replace(self, files=_with_rows(self.versions, pl.concat([of_catalog, imported])))


def kind_of(key: str) -> Kind:
    """Return which kind of inbox object a key is."""
    return next(kind for kind in KINDS if key.startswith(kind.folder))


def upload_key(name: str) -> str:
    """Return the key of a file to upload, from its name as `inbox_key` takes it.

    It is an event file unless its name begins with another kind's folder.

    Raises:
        Refused: it is no name, or one that would not be read.
    """
    kind = next((kind for kind in KINDS if name.strip().startswith(kind.folder)), EVENTS)
    key = inbox_key(kind.folder, name)
    kind.require_name(key)
    return key


def list_inbox(store: ObjectStore, folder: str = "") -> Inbox:
    """Return what is in the inbox now: a listing for each kind and a read of the catalog.

    Args:
        store: where the inbox is.
        folder: only what is below it, like `prices/2026/`; without a kind's folder at its
            beginning, below it in each of them.
    """
    found = [version for listed in _folders(folder) for version in store.versions(listed)]
    versions = [v for v in found if kind_of(v.key).has_name(v.key)]
    names = {version.key for version in versions}
    # Some S3 clients make an object for a folder.
    unread = [
        visible(v.key).replace("\n", "\\n")
        for v in found
        if v.key not in names and not v.key.endswith("/")
    ]
    return Inbox(versions, _with_rows(versions, read_catalog(store)[0]), unread)


def _folders(folder: str) -> list[str]:
    if folder.startswith(tuple(kind.folder for kind in KINDS)):
        return [folder]
    return [kind.folder + folder for kind in KINDS]


def read_catalog(store: ObjectStore) -> tuple[pl.DataFrame, str | None]:
    """Return the catalog (SCHEMA, one row per imported object version) and its ETag."""
    found = store.read(keys.CATALOG)
    if found is None:
        return pl.DataFrame(schema=SCHEMA), None
    empty = pl.DataFrame(schema=SCHEMA)
    catalog = pl.concat([empty, pl.read_parquet(io.BytesIO(found[0]))], how="diagonal")
    # The first reader had its corrections among the other events.
    is_apart = pl.col("reader").is_not_null()
    return catalog.with_columns(
        pl.when(is_apart).then("corrections").otherwise(0),
        pl.col("kind").fill_null(EVENTS.name),  # there was no other
        pl.col("ignored").fill_null(0),
    ), found[1]


def add_to_catalog(store: ObjectStore, rows: pl.DataFrame) -> pl.DataFrame:
    """Commit an import: add its rows, unless a version is there already.

    Returns:
        The catalog's rows of these versions: of one that was there already, those that were.

    Raises:
        Refused: others were faster too many times.
    """
    for _ in range(_ROUNDS):
        catalog, etag = read_catalog(store)
        added = rows.join(catalog, on=_VERSION, how="anti")
        committed = pl.concat([catalog, added])
        if not added.is_empty():
            buffer = io.BytesIO()
            committed.write_parquet(buffer, compression="zstd")
            try:
                store.write_if(keys.CATALOG, buffer.getvalue(), etag)
            except LostRace:
                continue
        return committed.join(rows, on=_VERSION, how="semi", maintain_order="left")
    raise Refused(f"{keys.CATALOG} was written by others {_ROUNDS} times meanwhile; run it again")


def _with_rows(versions: Iterable[ObjectVersion], catalog: pl.DataFrame) -> pl.DataFrame:
    listed = pl.DataFrame(
        [(version.key, version.etag, version.last_modified) for version in versions],
        schema={"key": pl.String, "etag": pl.String, "last_modified": pl.Datetime("us", "UTC")},
        orient="row",
    )
    readers = {kind.name: kind.reader for kind in KINDS}
    is_current = pl.col("reader") == pl.col("kind").replace_strict(readers, return_dtype=pl.Int32)
    current = catalog.filter(is_current)
    return listed.join(current, on=["key", "etag"], how="left", maintain_order="left")
