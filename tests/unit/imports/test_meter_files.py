"""Meter data files: what becomes of every row, plain, packed, grouped, replaced and broken."""

import gzip
import random
from collections import Counter
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest

from tasks.imports import member_files, nem12
from tasks.imports.catalog import add_to_catalog, list_inbox, read_catalog
from tasks.imports.inbox_files import group_objects, import_objects
from tasks.imports.nem12 import READINGS_SCHEMA
from tasks.io.object_store import ObjectStore
from tests.unit.imports.packed import TIMEZONE, Import, import_files, put, read_back, zipped

try:
    from compression.zstd import compress as zstd  # type: ignore[import-not-found]
except ImportError:
    from backports.zstd import compress as zstd

HEADER = "100,NEM12,202604010900,MDP,RETAILER\n"


def channel(nmi: str = "6001000001", suffix: str = "E1", unit: str = "kWh") -> str:
    return f"200,{nmi},E1B1,1,{suffix},N1,M1,{unit},30,20260501\n"


def day(on: str = "20260301", value: str = "1.5", count: int = 48, quality: str = "A") -> str:
    return f"300,{on},{','.join([value] * count)},{quality},,,20260302120000,\n"


def file(*rows: str) -> str:
    return HEADER + "".join(rows) + "900\n"


GOOD = file(channel(), day(), day("20260302"))


def seen(imported: Import) -> list[tuple[Any, ...]]:
    """Return where the readings are from, and what they are."""
    columns = ("key", "member", "line", "nmi", "suffix", "day", pl.col("micro_kwh").list.sum())
    return sorted(imported.good.select(columns).rows())


def test_readings_have_their_object_and_line(store: ObjectStore) -> None:
    imported = import_files(store, {"meter-data/2026/a.csv": GOOD})
    assert seen(imported) == [
        ("meter-data/2026/a.csv", "", 3, "6001000001", "E1", date(2026, 3, 1), 72_000_000),
        ("meter-data/2026/a.csv", "", 4, "6001000001", "E1", date(2026, 3, 2), 72_000_000),
    ]
    assert imported.good.drop("key").schema == pl.Schema(READINGS_SCHEMA)
    catalog = imported.catalog["meter-data/2026/a.csv"]
    expected = {
        "kind": "meter",
        "rows": 2,
        "imported": 2,
        "ignored": 0,
        "rejected": [],
        "failed": None,
        "first_day": date(2026, 3, 1),
        "last_day": date(2026, 3, 2),
        "months": [{"month": "2026-03", "events": 2}],
        "reader": 1,
    }
    assert expected.items() <= catalog.items()


def test_every_row_is_imported_rejected_or_ignored(store: ObjectStore) -> None:
    """A 200 row that is wrong is listed with its days, which are counted; so is a stray line."""
    text = file(
        "300,20260301,1,A,,,,\n",
        channel(),
        day(),
        day("20260302", count=47),
        day("20260431"),
        channel(suffix="Q1"),
        day() + day("20260302"),
        channel(unit="furlong"),
        day("20260405"),
        "900\n",
        "the end\n",
    )
    imported = import_files(store, {"meter-data/a.csv": text})
    catalog = imported.catalog["meter-data/a.csv"]
    reasons = {entry["reason"]: entry["rows"] for entry in catalog["rejected"]}
    assert reasons == {"count": 1, "date": 1, "orphan": 1, "record": 1, "unit": 1}
    assert (catalog["rows"], catalog["imported"], catalog["ignored"]) == (6, 1, 2)
    assert (catalog["first_day"], catalog["last_day"]) == (date(2026, 3, 1), date(2026, 4, 5))
    listed = [(r["record"], r["line"], r["reason"], r["nmi"], r["day"]) for r in imported.rejected]
    assert listed == [
        ("300", "2", "orphan", "", "2026-03-01"),
        ("300", "5", "count", "6001000001", "2026-03-02"),
        ("300", "6", "date", "6001000001", ""),
        ("200", "10", "unit", "6001000001", ""),
        ("300", "11", "unit", "6001000001", "2026-04-05"),
        ("", "13", "record", "", ""),
    ]
    assert imported.rejected[1]["row"] == day("20260302", count=47).strip()
    assert {row["key"] for row in imported.rejected} == {"meter-data/a.csv"}


@pytest.mark.parametrize(
    ("name", "data", "members"),
    [
        ("a.csv.gz", gzip.compress(GOOD.encode()), [""]),
        ("a.GZ", gzip.compress(GOOD.encode()), [""]),
        ("a.zst", zstd(GOOD.encode()), [""]),
        ("a.csv", zipped({"b.csv": GOOD}), ["b.csv"]),
        ("a.ZIP", zipped({"x/b.csv": GOOD, "x/": b"", "e": b""}), ["x/b.csv"]),
        ("a.zip", zipped({"c.csv": GOOD, "b.csv": file(channel(), day())}), ["b.csv", "c.csv"]),
        ("a.zip", zipped({"b.zip": zipped({"c.csv": GOOD})}), ["b.zip/c.csv"]),
    ],
)
def test_packed_files_are_read_member_by_member(
    store: ObjectStore, name: str, data: bytes, members: list[str]
) -> None:
    imported = import_files(store, {f"meter-data/{name}": data, "meter-data/plain.csv": GOOD})
    packed, plain = imported.catalog[f"meter-data/{name}"], imported.catalog["meter-data/plain.csv"]
    of_packed = imported.good.filter(pl.col("key") == f"meter-data/{name}")
    assert of_packed["member"].unique().sort().to_list() == members
    assert packed["imported"] == of_packed.height == (2 if len(members) == 1 else 3)
    assert (packed["sha256"] == plain["sha256"]) == (len(members) == 1)


def test_the_hash_is_that_of_the_contents_however_they_are_packed(store: ObjectStore) -> None:
    other = file(channel(), day())
    imported = import_files(
        store,
        {
            "meter-data/1.zip": zipped({"a.csv": GOOD, "b.csv": other}),
            "meter-data/2.zip": zipped({"x/c.csv": other, "d.gz": gzip.compress(GOOD.encode())}),
            "meter-data/3.zip": zipped({"a.csv": GOOD, "b.csv": GOOD}),
        },
    )
    one, two, three = (found["sha256"] for found in imported.catalog.values())
    assert one == two != three


NEM13 = "100,NEM13,202604010900,MDP,RETAILER\n250,6001000001,1,1,11,1,1\n900\n"


@pytest.mark.parametrize(
    ("name", "data", "failed"),
    [
        ("a.csv", b"", "empty: it has no rows"),
        ("a.csv", NEM13, "NEM13 (line 1): accumulated reads"),
        ("a.csv", "NMI,DATE,EVENT_TYPE,ENERGY,TARIFF\n", "not NEM12: it has neither a 100 row"),
        ("a.csv", GOOD.encode("utf-16"), "not text: it is UTF-16"),
        ("a.gz", gzip.compress(GOOD.encode())[:-9], "broken archive: "),
        ("a.zip", zipped({}), "empty: there is no file with anything in it"),
        ("a.zip", zipped({"b.csv": GOOD})[:-30], "broken archive: "),
        ("a.zip", zipped({"b.csv": GOOD, "c.csv": NEM13}), "c.csv: NEM13 (line 1): "),
        ("a.zip", zipped({"b.csv": GOOD, "x/read.me": "Hello"}), "x/read.me: not NEM12: "),
    ],
)
def test_what_cannot_be_read_fails_by_name_and_takes_no_other_file_with_it(
    store: ObjectStore, name: str, data: str | bytes, failed: str
) -> None:
    key = f"meter-data/{name}"
    imported = import_files(store, {key: data, "meter-data/b.csv": GOOD})
    broken = imported.catalog[key]
    assert broken["failed"].startswith(failed)
    assert (broken["rows"], broken["imported"], broken["ignored"]) == (0, 0, 0)
    assert (broken["rejected"], broken["first_day"], broken["months"]) == ([], None, [])
    assert [row[0] for row in seen(imported)] == ["meter-data/b.csv"] * 2
    assert imported.rejected == []


def test_an_unforeseen_error_is_one_file_s_failure(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = nem12.import_nem12

    def reader(path: Any, key: str, *others: Any) -> Any:
        if key == "meter-data/b.csv":
            raise ZeroDivisionError("of all things")
        return read(path, key, *others)

    monkeypatch.setattr("tasks.imports.meter_files.import_nem12", reader)
    imported = import_files(store, {f"meter-data/{name}.csv": GOOD for name in "abc"})
    failed = {key: found["failed"] for key, found in imported.catalog.items() if found["failed"]}
    assert list(failed) == ["meter-data/b.csv"]
    assert failed["meter-data/b.csv"].startswith(
        "an unforeseen error, ZeroDivisionError: of all things; please report it"
    )
    assert {row[0] for row in seen(imported)} == {"meter-data/a.csv", "meter-data/c.csv"}


def test_a_file_of_which_too_much_would_be_rejected_has_failed(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row may have some kilobytes, and all of them are held in memory."""
    row = day(quality="?")
    monkeypatch.setattr(nem12, "MOST_REJECTED_BYTES", 10 * len(row))
    monkeypatch.setattr(member_files, "MOST_REJECTED_BYTES", 15 * len(row))
    few, many = file(channel(), row * 10), file(channel(), row * 11, day(count=1), day())
    imported = import_files(
        store,
        {
            "meter-data/few.csv": few,
            "meter-data/many.csv": many,
            "meter-data/two.zip": zipped({"a.csv": few, "b.csv": few}),
        },
    )
    failed = [found["failed"] for found in imported.catalog.values()]
    assert failed == [
        None,
        f"12 of its 13 days would be rejected, most of them since {nem12.REASONS['quality']}; "
        "correct the file, or split it to see each row",
        "b.csv: too many rows of it and of the files before it would be rejected; correct them, or "
        "upload the files one by one to see each row",
    ]


def random_file(seed: int) -> str:
    """Make a file of some channels and days, among them bad rows and rows of other channels."""
    draw = random.Random(seed)
    rows = []
    for number in range(draw.randrange(1, 5)):
        unit = draw.choice(["kWh", "kWh", "Wh", "kvarh", "?"])
        rows.append(channel(f"600100000{number}", draw.choice(["E1", "B1", "E2", "Q1"]), unit))
        for _ in range(draw.randrange(6)):
            on = draw.choice(["20260301", "20260302", "20260331", "20260401", "20260431"])
            value, count = (
                draw.choice(["1.5", "0", ".25", "-1", "x", ""]),
                draw.choice([48, 48, 96]),
            )
            rows.append(day(on, value, count, draw.choice(["A", "A", "S14", "V", "?"])))
        rows += draw.choices(["400,1,48,A,,\n", "500,O,,,\n", "x\n", "\n", "900\n"], k=2)
    return file(*rows)


@pytest.mark.parametrize("seed", range(6))
def test_rows_are_accounted_for_alone_grouped_and_zipped(store: ObjectStore, seed: int) -> None:
    """300 rows = imported + ignored + those that are listed, and packing changes none of them."""
    texts = {f"{number}.csv": random_file(seed * 10 + number) for number in range(5)}
    files: dict[str, str | bytes] = {f"meter-data/{name}": text for name, text in texts.items()}
    files["meter-data/all.zip"] = zipped(texts)
    together = import_files(store, files)
    for key, found in together.catalog.items():
        text = "".join(texts.values()) if key.endswith("zip") else str(files[key])
        listed = [row for row in together.rejected if row["key"] == key]
        counted = [row for row in listed if row["record"] != "200"]
        days = sum(line.startswith("300,") for line in text.splitlines())
        days_rejected = sum(row["record"] == "300" for row in listed)
        assert found["imported"] + found["ignored"] + days_rejected == days
        assert {e["reason"]: e["rows"] for e in found["rejected"]} == Counter(
            row["reason"] for row in counted
        )
        assert found["rows"] == found["imported"] + len(counted)
        assert found["imported"] == together.good.filter(pl.col("key") == key).height
        assert found["imported"] == sum(month["events"] for month in found["months"])

    alone = [import_files(store, {key: data}) for key, data in files.items()]
    assert seen(together) == sorted(row for one in alone for row in seen(one))
    assert together.rejected == [row for one in alone for row in one.rejected]
    of_zip = [row[2:] for row in seen(together) if row[0].endswith("zip")]
    assert Counter(of_zip) == Counter(r[2:] for r in seen(together) if not r[0].endswith("zip"))


def test_importing_twice_gives_the_same_bytes(store: ObjectStore) -> None:
    rows = [channel(), *(day(f"202603{number:02d}") for number in range(1, 32))]
    big = file(*rows * 400)
    packed = zipped({"c.csv": big, "d.csv": GOOD})
    first = import_files(store, {"meter-data/a.csv": big, "meter-data/b.zip": packed})
    listed = list_inbox(store).versions
    second = read_back(store, import_objects(store, TIMEZONE, listed))
    assert first.good.height == 2 * 31 * 400 + 2
    assert first.parts == second.parts


def test_objects_replaced_or_deleted_meanwhile_are_left_out(store: ObjectStore) -> None:
    put(store, {f"meter-data/{name}.csv": GOOD for name in "abcd"})
    listed = list_inbox(store).versions
    store.write("meter-data/a.csv", file(channel(), day()).encode())
    store.delete("meter-data/c.csv")
    imported = import_objects(store, TIMEZONE, listed)
    assert imported["key"].to_list() == ["meter-data/b.csv", "meter-data/d.csv"]
    add_to_catalog(store, imported)
    assert [version.key for version in list_inbox(store).new] == ["meter-data/a.csv"]


def test_an_import_of_which_nothing_is_left_is_empty(store: ObjectStore) -> None:
    put(store, {"meter-data/a.csv": GOOD})
    listed = list_inbox(store).versions
    put(store, {"meter-data/a.csv": "new"})
    catalog = import_objects(store, TIMEZONE, listed)
    assert catalog.is_empty()
    add_to_catalog(store, catalog)
    assert read_catalog(store)[0].is_empty()


def test_the_same_bytes_stored_later_are_another_import(store: ObjectStore) -> None:
    """A day without UpdateDateTime, in a file without a 100 row, has that moment as its version."""
    put(store, {"meter-data/a.csv": GOOD})
    [version] = list_inbox(store).versions
    later = replace(version, last_modified=version.last_modified.replace(year=2031))
    ids = {import_objects(store, TIMEZONE, [v])["import_id"][0] for v in (version, later)}
    assert len(ids) == 2


def test_kinds_are_listed_together_and_never_imported_together(store: ObjectStore) -> None:
    names = ("prices/a.zip", "meter-data/a.csv", "events/b.csv", "events/a.csv", "meter-data/b.zip")
    unread = ("prices/a.gz", "events/a.zip", "meter-data/a.txt", "other/a.csv")
    put(store, dict.fromkeys((*names, *unread), b"x"))
    inbox = list_inbox(store)
    assert sorted(version.key for version in inbox.new) == sorted(names)
    groups = [[version.key for version in group] for group in group_objects(inbox.new[::-1])]
    assert groups == [
        ["events/b.csv", "events/a.csv"],
        ["meter-data/b.zip", "meter-data/a.csv"],
        ["prices/a.zip"],
    ]


@pytest.mark.parametrize(
    ("folder", "found"),
    [
        ("2026-03/", ["events/2026-03/a.csv", "meter-data/2026-03/a.csv"]),
        ("events/2026-03/", ["events/2026-03/a.csv"]),
        ("meter-data/", ["meter-data/2026-03/a.csv", "meter-data/a.csv"]),
        ("prices/", []),
    ],
)
def test_a_folder_is_one_kind_s_or_the_same_of_each(
    store: ObjectStore, folder: str, found: list[str]
) -> None:
    keys = ("events/2026-03/a.csv", "meter-data/2026-03/a.csv", "meter-data/a.csv")
    put(store, dict.fromkeys(keys, b"x"))
    assert [version.key for version in list_inbox(store, folder).versions] == found
