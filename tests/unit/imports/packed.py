"""What tests of meter data and price files share: zips, and an import read back."""

import csv
import io
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl

from tasks.imports.catalog import list_inbox
from tasks.imports.inbox_files import import_objects
from tasks.io.object_store import ObjectStore

TIMEZONE = "Australia/Brisbane"


class Import(NamedTuple):
    """What an import wrote, read back."""

    catalog: dict[str, dict[str, Any]]  # by key
    good: pl.DataFrame  # with the key of each row's object
    rejected: list[dict[str, str]]
    parts: dict[str, bytes]


def zipped(members: Mapping[str, str | bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return packed.getvalue()


def put(store: ObjectStore, files: Mapping[str, str | bytes]) -> None:
    for key, data in files.items():
        store.write(key, data.encode() if isinstance(data, str) else data)


def read_back(store: ObjectStore, catalog: pl.DataFrame) -> Import:
    (import_id,) = catalog["import_id"].unique()
    folder = f"imports/{import_id}/"
    parts = {}
    for version in store.versions(folder):
        found = store.read(version.key)
        assert found
        parts[version.key.removeprefix(folder)] = found[0]
    [name] = [name for name in parts if name.endswith(".parquet")]
    numbers = catalog.select("source", "key")
    return Import(
        {file["key"]: file for file in catalog.to_dicts()},
        pl.read_parquet(parts[name]).join(numbers, on="source", maintain_order="left"),
        list(csv.DictReader(io.StringIO(parts["rejected.csv"].decode()))),
        parts,
    )


def import_files(store: ObjectStore, files: Mapping[str, str | bytes]) -> Import:
    """Import files of one kind together, whatever else is in the inbox."""
    put(store, files)
    listed = [version for version in list_inbox(store).versions if version.key in files]
    return read_back(store, import_objects(store, TIMEZONE, listed))
