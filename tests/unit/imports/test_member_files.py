"""Objects with members: read whole or not at all, and joined in their order."""

import csv
import gzip
import io
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest
from polars._typing import PolarsDataType

from tasks.core.errors import Unreadable
from tasks.imports.catalog import METER, SCHEMA
from tasks.imports.member_files import Format, MemberFile, MemberRows, import_members
from tasks.io.object_store import ObjectStore
from tests.unit.imports.packed import put, zipped

GOOD: dict[str, PolarsDataType] = {
    "source": pl.Int32(),
    "line": pl.Int64(),
    "day": pl.Date(),
    "member": pl.String(),
}
REJECTED: dict[str, PolarsDataType] = {
    "line": pl.UInt32(),
    "reason": pl.String(),
    "day": pl.Date(),
    "note": pl.String(),
    "row": pl.String(),
}


def read_words(file: MemberFile, path: Path) -> MemberRows:
    """Read a format of our own: a date is good, '-' ignored, '!' broken, all else rejected."""
    good, rejected, ignored = [], [], 0
    for line, text in enumerate(file.path.read_text().splitlines(), 1):
        if text == "!":
            raise Unreadable(f"{file.name}: line {line} is broken")
        if text == "?":
            raise ZeroDivisionError("of all things")
        if text == "-":
            ignored += 1
        elif text.startswith("20"):
            good.append((file.source, line, text, file.member))
        else:
            rejected.append((line, "word", None, file.member, text))
    texts = {name: pl.String if name == "day" else dtype for name, dtype in GOOD.items()}
    frame = pl.DataFrame(good, schema=texts, orient="row")
    frame.with_columns(pl.col("day").str.to_date()).write_parquet(path)
    warnings = (f"{file.name} is odd",) if ignored else ()
    return MemberRows(ignored, pl.DataFrame(rejected, schema=REJECTED, orient="row"), warnings)


FORMAT = Format(METER, "words.parquet", GOOD, REJECTED, read_words)


class Imported:
    def __init__(self, store: ObjectStore, files: dict[str, str | bytes], form: Format) -> None:
        put(store, {f"meter-data/{name}": data for name, data in files.items()})
        self.rows = import_members(store, form, store.versions("meter-data/"))
        assert self.rows.schema == pl.Schema(SCHEMA)
        self.files = {file["key"]: file for file in self.rows.to_dicts()}
        folder = f"imports/{self.rows['import_id'][0]}/"
        words, rejected = store.read(f"{folder}words.parquet"), store.read(f"{folder}rejected.csv")
        assert words
        assert rejected
        self.good = pl.read_parquet(words[0])
        self.rejected = list(csv.DictReader(io.StringIO(rejected[0].decode())))


Import = Callable[..., Imported]


@pytest.fixture
def run(store: ObjectStore) -> Import:
    return lambda files, form=FORMAT: Imported(store, files, form)


def test_members_are_read_one_after_the_other_and_named(run: Import) -> None:
    found = run(
        {
            "a.csv": "2026-03-01\nx\n",
            "b.zip": zipped({"y/2.txt": "-\n2026-04-01\n", "1.txt": "2026-03-31\ny\n"}),
        }
    )
    assert found.good.select("source", "line", "member").rows() == [
        (0, 1, ""),
        *[(1, 1, "1.txt"), (1, 2, "y/2.txt")],
    ]
    assert found.rejected == [
        {
            "key": f"meter-data/{key}",
            "member": member,
            "line": "2",
            "reason": "word",
            "day": "",
            "note": member,
            "row": row,
        }
        for key, member, row in (("a.csv", "", "x"), ("b.zip", "1.txt", "y"))
    ]
    packed = found.files["meter-data/b.zip"]
    assert (packed["rows"], packed["imported"], packed["ignored"]) == (3, 2, 1)
    assert packed["warnings"] == "meter-data/b.zip/y/2.txt is odd"
    assert [month["month"] for month in packed["months"]] == ["2026-03", "2026-04"]


@pytest.mark.parametrize(
    ("bad", "failed"),
    [
        ("!\n", "2.txt: line 1 is broken"),
        ("?\n", "an unforeseen error, ZeroDivisionError: of all things; please report it"),
    ],
)
def test_an_object_is_read_whole_or_not_at_all(run: Import, bad: str, failed: str) -> None:
    packed = zipped({"1.txt": "2026-03-01\nx\n", "2.txt": bad, "3.txt": "2026-03-02\n"})
    found = run({"a.zip": packed, "b.csv": "2026-03-03\n"})
    broken = found.files["meter-data/a.zip"]
    assert broken["failed"].startswith(failed)
    assert (broken["rows"], broken["ignored"], broken["rejected"]) == (0, 0, [])
    assert found.good["source"].to_list() == [1]
    assert found.rejected == []


def test_an_empty_object_is_a_failed_import(run: Import) -> None:
    found = run({"a.zip": zipped({}), "b.csv": "2026-03-01\n"})
    assert found.files["meter-data/a.zip"]["failed"] == (
        "empty: there is no file with anything in it"
    )
    assert found.files["meter-data/b.csv"]["failed"] is None


def test_the_hash_is_that_of_the_contents(run: Import) -> None:
    one, two = "2026-03-01\n", "2026-03-02\n"
    files = {
        "a.csv": one,
        "b.gz": gzip.compress(one.encode()),
        "c.zip": zipped({"1": one, "2": two}),
        "d.zip": zipped({"x/9": two, "y/1": one}),
        "e.zip": zipped({"1": one, "2": one}),
    }
    a, b, c, d, e = (file["sha256"] for file in run(files).files.values())
    assert a == b == sha256(one.encode()).hexdigest()
    assert c == d
    assert len({a, c, e}) == 3


def test_only_what_the_format_counts_is_counted(run: Import) -> None:
    form = Format(
        METER, "words.parquet", GOOD, REJECTED, read_words, is_counted=pl.col("row") != "note"
    )
    found = run({"a.csv": "x\nnote\n"}, form)
    assert [row["row"] for row in found.rejected] == ["x", "note"]
    assert found.files["meter-data/a.csv"]["rows"] == 1


def test_what_was_replaced_since_it_was_listed_is_left_out(store: ObjectStore) -> None:
    put(store, {"meter-data/a.csv": "2026-03-01\n", "meter-data/b.csv": "2026-03-02\n"})
    listed = store.versions("meter-data/")
    put(store, {"meter-data/a.csv": "2026-03-03\n"})
    rows = import_members(store, FORMAT, listed)
    assert rows["key"].to_list() == ["meter-data/b.csv"]
