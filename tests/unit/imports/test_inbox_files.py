"""Inbox objects: which are imported together, and which reader takes them."""

from typing import Any

import polars as pl
import pytest

from tasks.imports.catalog import EVENTS, METER, PRICES, list_inbox
from tasks.imports.inbox_files import group_objects, import_objects
from tasks.io.object_store import ObjectStore, ObjectVersion
from tests.through_s3 import HEADER
from tests.unit.imports.blocks import version
from tests.unit.imports.packed import TIMEZONE, put

MB = 1 << 20


def small(number: int, size: int = 1) -> ObjectVersion:
    return version(f"events/{number:05d}.csv", size)


@pytest.mark.parametrize(
    ("objects", "sizes"),
    [
        ([], []),
        ([small(n) for n in range(1000)], [1000]),
        ([small(n) for n in range(1001)], [1000, 1]),
        ([small(n) for n in range(2500)], [1000, 1000, 500]),
        # A small one has up to 32 MB, and a group of them up to 64.
        ([small(n, 8 * MB) for n in range(8)], [8]),
        ([small(n, 8 * MB) for n in range(9)], [8, 1]),
        ([small(n, 32 * MB) for n in range(3)], [2, 1]),
        ([small(n, 32 * MB + 1) for n in range(3)], [1, 1, 1]),
        ([small(0), small(1, 33 * MB), small(2)], [1, 2]),
    ],
)
def test_big_objects_are_alone_and_small_ones_together(
    objects: list[ObjectVersion], sizes: list[int]
) -> None:
    groups = group_objects(objects)
    assert [len(group) for group in groups] == sizes
    assert sorted(version for group in groups for version in group) == objects
    assert all(group == sorted(group) for group in groups)


def test_of_other_kinds_than_events_less_is_together() -> None:
    objects = [version(f"meter-data/{n}.csv", 4 * MB) for n in range(9)]
    objects.append(version("meter-data/x.csv", 4 * MB + 1))
    assert [len(group) for group in group_objects(objects)] == [1, 8, 1]


def test_kinds_are_never_together() -> None:
    names = ("prices/a.zip", "meter-data/a.csv", "events/a.csv", "events/b.csv", "meter-data/b.gz")
    groups = group_objects([version(name) for name in names])
    assert [[of.key for of in group] for group in groups] == [
        ["events/a.csv", "events/b.csv"],
        ["meter-data/a.csv", "meter-data/b.gz"],
        ["prices/a.zip"],
    ]


NEM12 = (
    "100,NEM12,202604010900,MDP,RETAILER\n"
    "200,6001000001,E1B1,1,E1,N1,M1,kWh,30,\n"
    f"300,20260301,{','.join(['1'] * 48)},A,,,20260302120000,\n"
    "900\n"
)
PRICE = (
    "I,TRADING,PRICE,3,SETTLEMENTDATE,REGIONID,RRP,LASTCHANGED\n"
    "D,TRADING,PRICE,3,2026/03/01 00:05:00,SA1,100.00,2026/03/01 00:00:00\n"
    "C,END OF REPORT,3\n"
)
KINDS: list[tuple[Any, str, set[str]]] = [
    (
        EVENTS,
        HEADER + "6001000001,2026-03-01,Charge,1,1\n",
        {"events.parquet", "daily.parquet", "rejected.csv"},
    ),
    (METER, NEM12, {"readings.parquet", "rejected.csv"}),
    (PRICES, PRICE, {"prices.parquet", "rejected.csv"}),
]


@pytest.mark.parametrize(("kind", "text", "parts"), KINDS, ids=[kind.name for kind, _, _ in KINDS])
def test_each_kind_is_read_by_its_reader(
    store: ObjectStore, kind: Any, text: str, parts: set[str]
) -> None:
    put(store, {f"{kind.folder}a.csv": text})
    rows = import_objects(store, TIMEZONE, list_inbox(store).new)
    assert rows.select("kind", "failed", "imported", "reader").rows() == [
        (kind.name, None, 1, kind.reader)
    ]
    folder = f"imports/{rows['import_id'][0]}/"
    written = {found.key.removeprefix(folder): found.etag for found in store.versions("imports/")}
    assert set(written) == parts
    # It does not exist before it is committed, and doing it again writes the same.
    assert list_inbox(store).new == list_inbox(store).versions
    again = import_objects(store, TIMEZONE, list_inbox(store).new)
    assert again.equals(rows)
    assert {v.key.removeprefix(folder): v.etag for v in store.versions("imports/")} == written


def test_objects_of_two_kinds_are_no_group(store: ObjectStore) -> None:
    put(store, {"events/a.csv": HEADER, "prices/a.csv": PRICE})
    with pytest.raises(ValueError, match="too many values"):
        import_objects(store, TIMEZONE, list_inbox(store).new)
    assert store.versions("imports/") == []


def test_what_cannot_be_read_is_a_row_too(store: ObjectStore) -> None:
    put(store, {"events/a.csv": b"PK\x03\x04"})
    rows = import_objects(store, TIMEZONE, list_inbox(store).new)
    assert rows.select("rows", "imported").rows() == [(0, 0)]
    assert rows["failed"].item().startswith("not text: it is packed (zip)")
    assert pl.Series(rows["first_day"]).to_list() == [None]
