"""The catalog: what an earlier version wrote is read as what it was; names of uploads."""

import io

import polars as pl
import pytest

from tasks.core import keys
from tasks.core.errors import Refused
from tasks.imports.catalog import SCHEMA, add_to_catalog, list_inbox, read_catalog, upload_key
from tasks.imports.inbox_files import import_objects
from tasks.io.object_store import ObjectStore
from tests.through_s3 import HEADER
from tests.unit.imports.packed import TIMEZONE, put


def test_rows_without_a_kind_are_of_event_files(store: ObjectStore) -> None:
    """They were written before there were others, and their files are not read again."""
    put(store, {"events/a.csv": HEADER, "prices/a.csv": "x"})
    [version] = list_inbox(store, "events/").versions
    imported = import_objects(store, TIMEZONE, [version])
    before = io.BytesIO()
    imported.drop("kind", "ignored", "warnings").write_parquet(before)
    store.write(keys.CATALOG, before.getvalue())
    assert read_catalog(store)[0].equals(imported)
    assert [new.key for new in list_inbox(store).new] == ["prices/a.csv"]
    add_to_catalog(store, import_objects(store, TIMEZONE, list_inbox(store).new))
    found = read_catalog(store)[0]
    assert found.schema == pl.Schema(SCHEMA)
    assert found.select("key", "kind", "ignored").rows() == [
        ("events/a.csv", "events", 0),
        ("prices/a.csv", "prices", 0),
    ]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a.csv", "events/a.csv"),
        (" events/2026/A.CSV.GZ ", "events/2026/A.CSV.GZ"),
        ("meter-data/a.gz", "meter-data/a.gz"),
        (" meter-data/2026/a b.zip", "meter-data/2026/a b.zip"),
        ("prices/PUBLIC_TRADINGIS_1.CSV", "prices/PUBLIC_TRADINGIS_1.CSV"),
    ],
)
def test_an_upload_goes_where_its_name_says(name: str, key: str) -> None:
    assert upload_key(name) == key


@pytest.mark.parametrize(
    "name", ["a.gz", "a.zip", "events/a.txt", "meter-data/a.txt", "prices/a.gz", "registry/a.xls"]
)
def test_what_would_not_be_read_is_not_uploaded(name: str) -> None:
    with pytest.raises(Refused, match=r" would not be read: names in [a-z-]+/ end in \.csv"):
        upload_key(name)


def test_a_name_with_characters_that_are_not_shown_is_not_read(store: ObjectStore) -> None:
    """It would move a terminal's cursor, or turn what stands beside it around."""
    put(store, {"events/a\x1b[2J.csv": HEADER, "events/\u202eb.csv": HEADER, "prices/é.csv": "x"})
    inbox = list_inbox(store)
    assert [version.key for version in inbox.versions] == ["prices/é.csv"]
    assert sorted(inbox.unread) == [r"events/\u202eb.csv", r"events/a\x1b[2J.csv"]
