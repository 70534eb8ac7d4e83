"""The catalog: which object versions have been imported, and what became of their rows.

An import exists once its rows are here. The catalog is rewritten by compare-and-swap; who loses
the race reads it again and adds its rows to what is there then.
"""

import io

import polars as pl

from tasks.imports.event_files import CATALOG_SCHEMA
from tasks.io.object_store import LostRace, ObjectStore, ObjectVersion

CATALOG_KEY = "imports/catalog.parquet"
INBOX = "events/"
_SUFFIXES = (".csv", ".csv.gz", ".csv.zst")


def list_inbox(store: ObjectStore, folder: str = "") -> list[ObjectVersion]:
    """Return the event files that are in the inbox now, in key order."""
    return [v for v in store.versions(INBOX + folder) if v.key.lower().endswith(_SUFFIXES)]


def read_catalog(store: ObjectStore) -> tuple[pl.DataFrame, str | None]:
    """Return the catalog (CATALOG_SCHEMA, one row per imported object version) and its ETag."""
    found = store.read(CATALOG_KEY)
    if found is None:
        return pl.DataFrame(schema=CATALOG_SCHEMA), None
    return pl.read_parquet(io.BytesIO(found[0])), found[1]


def add_to_catalog(store: ObjectStore, added: pl.DataFrame) -> None:
    """Commit imports: add their rows, unless a version is there already."""
    while True:
        catalog, etag = read_catalog(store)
        new = added.join(catalog, on=["key", "etag"], how="anti")
        if new.is_empty():
            return
        buffer = io.BytesIO()
        pl.concat([catalog, new]).write_parquet(buffer, compression="zstd")
        try:
            store.write_if(CATALOG_KEY, buffer.getvalue(), etag)
        except LostRace:
            continue
        return


def current(catalog: pl.DataFrame, inbox: list[ObjectVersion]) -> pl.DataFrame:
    """Return the catalog's rows for what is in the inbox, in key order, with `last_modified`.

    Objects that are not imported yet have null in all other columns.
    """
    listed = pl.DataFrame(
        [(v.key, v.etag, v.last_modified) for v in inbox],
        schema={"key": pl.String, "etag": pl.String, "last_modified": pl.Datetime("us", "UTC")},
        orient="row",
    )
    return listed.join(catalog, on=["key", "etag"], how="left", maintain_order="left")
