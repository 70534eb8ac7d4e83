"""Import: what becomes of every row of clean and dirty files, alone, packed, grouped and raced."""

import csv
import gzip
import hashlib
import io
import random
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import polars as pl
import pytest

from tasks.core.settings import Settings
from tasks.imports import event_rows
from tasks.imports.catalog import add_to_catalog, list_inbox, read_catalog
from tasks.imports.event_rows import REASONS
from tasks.imports.inbox_files import group_objects, import_objects
from tasks.io.object_store import ObjectStore
from tests.unit.imports.test_event_rows import VALUES

try:
    from compression.zstd import compress as zstd  # type: ignore[import-not-found]
except ImportError:
    from backports.zstd import compress as zstd

TIMEZONE = "Australia/Brisbane"
COLUMNS = "NMI,DATE,EVENT_TYPE,ENERGY,TARIFF"
HEADER = f"{COLUMNS}\n"
EVENT_COLUMNS = ("nmi", "day", "is_discharge", "energy_kwh", "tariff_cents_per_kwh")

Event = tuple[str, date, bool, Decimal, Decimal]


class Case(NamedTuple):
    """A file, how many of its rows are imported, how many are rejected why, and why it fails.

    `events` are the imported events, in the file's order, where they are of interest.
    """

    name: str
    data: bytes
    imported: int
    rejected: dict[str, int]
    failed: str | None = None
    events: list[Event] | None = None


def row(
    nmi: str = "6001000001",
    day: str = "2025-09-01",
    event_type: str = "Discharge",
    energy: str = "1.5",
    tariff: str = "25",
) -> str:
    return f"{nmi},{day},{event_type},{energy},{tariff}\n"


def event(
    nmi: str = "6001000001",
    day: str = "2025-09-01",
    is_discharge: bool = True,
    energy: str = "1.5",
    tariff: str = "25",
) -> Event:
    return nmi, date.fromisoformat(day), is_discharge, Decimal(energy), Decimal(tariff)


GOOD = row()


def good(name: str, text: str | bytes, *events: Event) -> Case:
    """All rows are imported, as these events."""
    data = text.encode() if isinstance(text, str) else text
    return Case(name, data, len(events), {}, None, list(events))


def partly(name: str, text: str | bytes, imported: int, **rejected: int) -> Case:
    return Case(name, text.encode() if isinstance(text, str) else text, imported, rejected)


def failing(name: str, text: str | bytes, because: str) -> Case:
    return Case(name, text.encode() if isinstance(text, str) else text, 0, {}, because)


FILES = [
    # The file as a whole.
    good("plain", HEADER + GOOD, event()),
    good("byte order mark", b"\xef\xbb\xbf" + (HEADER + GOOD).encode(), event()),
    good(
        "byte order mark and quoted header",
        b'\xef\xbb\xbf"NMI","DATE","EVENT_TYPE","ENERGY","TARIFF"\n' + GOOD.encode(),
        event(),
    ),
    good("CRLF", (HEADER + GOOD + GOOD).replace("\n", "\r\n"), event(), event()),
    good("CRLF, quoted", f'{HEADER}"6001000001",2025-09-01,Discharge,1.5,"25"\r\n', event()),
    good("no trailing newline", (HEADER + GOOD).removesuffix("\n"), event()),
    good("header only", HEADER),
    good("header only without newline", HEADER.removesuffix("\n")),
    good("blank lines only", f"{HEADER}\n\r\n\n"),
    good(
        "blank lines and lines of commas",
        f"{HEADER}\n\n{GOOD}\r\n,,,,\n\n{row(energy='2')},,,,\r\n   \n , ,\t, , \n\n",
        event(),
        event(energy="2"),
    ),
    good(
        "other column order and case",
        " tariff ,Energy,nmi,event_type,DATE\n25,1.5,6001000001,Discharge,2025-09-01\n",
        event(),
    ),
    good(
        "extra columns",
        "ID,NMI,DATE,EVENT_TYPE,ENERGY,TARIFF,row,ID\n7,6001000001,2025-09-01,Discharge,1.5,25,,\n",
        event(),
    ),
    good(
        "an extra column that a short row lacks",
        f"{COLUMNS},NOTE\n{GOOD}",
        event(),
    ),
    failing("zero bytes", b"", "empty"),
    failing("UTF-16", (HEADER + GOOD).encode("utf-16"), "UTF-16"),
    failing("UTF-16 without a mark", (HEADER + GOOD).encode("utf-16-le"), "NUL"),
    failing("NUL bytes", f"{HEADER}6001000001,2025-09-01,Discharge,1.5,\x0025\n", "NUL"),
    failing("NUL bytes in the header", f"{COLUMNS},\0\n{GOOD}", "NUL"),
    failing("header in Latin-1", f"{COLUMNS},é\n{GOOD}".encode("latin-1"), "not UTF-8"),
    failing("semicolons", (HEADER + GOOD).replace(",", ";"), "separated by ';'"),
    failing("tabs", (HEADER + GOOD).replace(",", "\t"), r"separated by '\t'"),
    failing("missing column", f"NMI,DATE,EVENT_TYPE,ENERGY\n{GOOD}", "missing column TARIFF"),
    failing("no header", GOOD + GOOD, "missing column NMI"),
    failing("blank first line", f"\n{HEADER}{GOOD}", "missing column NMI"),
    failing("duplicate column", f"{COLUMNS},nmi\n{GOOD}", "NMI appears twice"),
    failing("carriage returns alone", (HEADER + GOOD).replace("\n", "\r"), ""),
    failing("one endless line", "<html>" + "x" * 200_000, ""),
    # Rows of another length.
    partly("short row", f"{HEADER}6001000001,2025-09-01,Discharge,1.5\n{GOOD}", 1, missing=1),
    partly("long row", f"{HEADER}{GOOD.strip()},x\n{GOOD}", 1, fields=1),
    partly("row that is two fields too long", f"{HEADER}{GOOD.strip()},x,y\n{GOOD}", 1, fields=1),
    partly("surplus field behind an empty one", f"{HEADER}{GOOD.strip()},,x\n{GOOD}", 1, fields=1),
    partly("the same far down", HEADER + GOOD * 2000 + f"{GOOD.strip()},,x\n", 2000, fields=1),
    good("trailing comma", f"{HEADER}{GOOD.strip()},\n{GOOD}", event(), event()),
    good("trailing empty quotes", f'{HEADER}{GOOD.strip()},""\n{GOOD}', event(), event()),
    good("a trailing blank field", f"{HEADER}{GOOD.strip()}, \n{GOOD}", event(), event()),
    good("several of them, quoted", f'{HEADER}"6001000001",{GOOD[11:-1]},"", ," "\n', event()),
    partly("something behind empty quotes", f'{HEADER}{GOOD.strip()},"",x\n{GOOD}', 1, fields=1),
    partly("something behind a blank field", f"{HEADER}{GOOD.strip()}, ,x\n{GOOD}", 1, fields=1),
    failing("packed as zip", b"PK\x03\x04" + b"x" * 100, "it is packed (zip)"),
    failing("packed as gzip, named .csv", gzip.compress(HEADER.encode()), "it is packed (gzip)"),
    failing("a line of over a megabyte", HEADER + GOOD + "x" * 1_200_000, "line 3 is longer than"),
    failing(
        "a quoted field of two megabytes",
        HEADER + '"' + "x" * 2_200_000 + '"\n' + GOOD,
        "line 2 is",
    ),
    failing("5,000 columns", COLUMNS + "," * 5000 + "\n" + GOOD, "names over 100 columns"),
    failing("both DATE and INTERVAL_END", f"{COLUMNS},INTERVAL_END\n{GOOD}", "it has both DATE"),
    good("trailing commas", f"{HEADER}{GOOD.strip()},,,\n{GOOD}", event(), event()),
    good("trailing commas everywhere", f"{COLUMNS},,\n{GOOD.strip()},,\n", event()),
    partly("empty fields", HEADER + row(nmi="") + row(day=" ") + row(tariff=""), 0, missing=3),
    # Quotes.
    good("quoted fields", f'{HEADER}"6001000001","2025-09-01","Discharge","1.5","25"\n', event()),
    good(
        "quoted commas and quotes in an extra column",
        f'{COLUMNS},NOTE\n{GOOD.strip()},"one, two, ""three"""\n{GOOD.strip()},plain\n',
        event(),
        event(),
    ),
    failing("stray opening quote", f'{HEADER}{GOOD}"{GOOD}{GOOD}', "line 3 has a quote"),
    failing("stray quote and a megabyte", f'{HEADER}{GOOD}"{GOOD}{GOOD * 40_000}', "line 3 has"),
    failing("stray quote in a field", HEADER + row(event_type='Dis"charge'), "line 2 has"),
    failing("text behind a quoted field", HEADER + row(energy='"1.5" '), "line 2 has a quote"),
    failing("field over two lines", f'{COLUMNS},NOTE\n{GOOD.strip()},"a\nb"\n', "line 2 has a"),
    failing(
        "carriage return in a field", HEADER + GOOD + row(event_type="Dis\rcharge"), "line 3 has"
    ),
    failing("CR at the end", HEADER + GOOD.replace("\n", "\r"), "line 2 has a carriage return"),
    *(
        failing(
            f"{name} as a line end", HEADER + GOOD.replace("\n", end) * 400, f"line 2 holds {name}"
        )
        for name, end in (
            ("a vertical tab", "\v"),
            ("a form feed", "\f"),
            ("a NEL character", "\x85"),
            ("a line separator", "\u2028"),
            ("a paragraph separator", "\u2029"),
        )
    ),
    # Bytes that are no UTF-8 cost their row, where they matter.
    partly("bad UTF-8", HEADER.encode() + b"60010\xff0001" + GOOD[10:].encode(), 0, nmi=1),
    good(
        "bad UTF-8 in an extra column", f"{COLUMNS},É\n{GOOD.strip()},".encode() + b"\xc9", event()
    ),
    # A row with several faults is counted once; events of types in any case.
    partly("several faults", HEADER + row(nmi="O", day="x", energy="x"), 0, nmi=1),
    good(
        "event types in any case, with blanks",
        HEADER + row(event_type="CHARGE") + row(event_type=" discharge "),
        event(is_discharge=False),
        event(),
    ),
    partly(
        "event types unknown",
        HEADER + row(event_type="Export") + row(event_type="0"),
        0,
        event_type=2,
    ),
]


def _field_cases(field: str, table: Iterable[tuple[str, str]]) -> list[Case]:
    cases = []
    for text, expected in table:
        name, data = f"{field} {text}", HEADER + row(**{field: text})
        read: dict[str, Any] = {field: expected}
        is_rejected = expected in REASONS
        cases.append(
            partly(name, data, 0, **{expected: 1})
            if is_rejected
            else good(name, data, event(**read))
        )
    return cases


FIELDS = {field: _field_cases(field, table) for field, table in VALUES.items()}


class Import(NamedTuple):
    """What an import wrote, read back."""

    catalog: dict[str, dict[str, Any]]  # by key
    events: pl.DataFrame
    daily: pl.DataFrame
    rejected: list[dict[str, str]]

    def events_of(self, key: str) -> pl.DataFrame:
        return self.events.filter(pl.col("source") == self.catalog[key]["source"])

    def rejected_of(self, key: str) -> list[dict[str, str]]:
        return [rejected for rejected in self.rejected if rejected["key"] == key]


def read_back(store: ObjectStore, catalog: pl.DataFrame) -> Import:
    (import_id,) = catalog["import_id"].unique()
    return Import(
        {file["key"]: file for file in catalog.drop("first_day", "last_day").to_dicts()},
        pl.read_parquet(part(store, import_id, "events.parquet")),
        pl.read_parquet(part(store, import_id, "daily.parquet")),
        list(csv.DictReader(io.StringIO(part(store, import_id, "rejected.csv").decode()))),
    )


def part(store: ObjectStore, import_id: str, name: str) -> bytes:
    found = store.read(f"imports/{import_id}/{name}")
    assert found
    return found[0]


def put(store: ObjectStore, files: dict[str, bytes]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.write, [f"events/{name}" for name in files], files.values()))


def import_files(store: ObjectStore, files: dict[str, bytes]) -> Import:
    put(store, files)
    return read_back(store, import_objects(store, TIMEZONE, list_inbox(store).versions))


def check(case: Case, imported: Import, key: str) -> None:
    """Compare what became of a case's file with what the case expects."""
    file, events, rejected = (
        imported.catalog[key],
        imported.events_of(key),
        imported.rejected_of(key),
    )
    if case.failed is None:
        assert file["failed"] is None
    else:
        assert file["failed"] is not None
        assert case.failed in file["failed"]
    assert file["imported"] == events.height == case.imported
    assert {entry["reason"]: entry["rows"] for entry in file["rejected"]} == case.rejected
    assert file["rows"] == case.imported + sum(case.rejected.values())
    if case.events is not None:
        assert events.sort("line").select(EVENT_COLUMNS).rows() == case.events

    assert Counter(entry["reason"] for entry in rejected) == case.rejected
    lines = case.data.decode(errors="replace").split("\n")
    for entry in rejected:
        assert entry["row"] == lines[int(entry["line"]) - 1].rstrip("\r")
    if case.failed is None:
        ended = sorted([*events["line"], *(int(entry["line"]) for entry in rejected)])
        rows = [number for number, line in enumerate(lines, 1) if line.strip(" \t\r,")]
        assert ended == rows[1:]


def import_together(store: ObjectStore, cases: list[Case]) -> None:
    files = {f"{number:03d}.csv": case.data for number, case in enumerate(cases)}
    imported = import_files(store, files)
    assert len(imported.catalog) == len(cases)
    for name, case in zip(files, cases, strict=True):
        check(case, imported, f"events/{name}")


@pytest.mark.parametrize("case", FILES, ids=lambda case: case.name)
def test_every_row_is_imported_or_rejected(store: ObjectStore, case: Case) -> None:
    check(case, import_files(store, {"a.csv": case.data}), "events/a.csv")


def test_no_file_of_a_group_harms_another(store: ObjectStore) -> None:
    """All cases in one import: each ends as it does alone, also those behind failing ones."""
    import_together(store, FILES + [case for cases in FIELDS.values() for case in cases])


def test_first_and_last_day_are_those_of_all_rows_with_a_date(store: ObjectStore) -> None:
    dates = ["2025-09-03", "2025-09-01", "x"]
    data = HEADER + "".join(map(row, [*["6001000001"] * 3, "bad"], [*dates, "2025-09-30T14:00Z"]))
    put(store, {"a.csv": data.encode(), "b.csv": HEADER.encode()})
    catalog = import_objects(store, TIMEZONE, list_inbox(store).versions)
    assert catalog.select("first_day", "last_day").rows() == [
        (date(2025, 9, 1), date(2025, 10, 1)),
        (None, None),
    ]


def test_ignored_columns_are_named(store: ObjectStore) -> None:
    data = f"Note,{COLUMNS},source\nx,{GOOD.strip()},y\n".encode()
    assert import_files(store, {"a.csv": data}).catalog["events/a.csv"]["ignored_columns"] == (
        "NOTE, SOURCE"
    )


def random_file(seed: int, rows: int) -> bytes:
    """Make a file of many sites, days, types and tariffs, a tenth of its rows bad."""
    draw = random.Random(seed)
    lines = [
        row(
            draw.choice(["6001000001", "20019857328", "qaaavzzzzz", "9999999999"]),
            draw.choice(["2025-09-01", "2025-09-30T14:00Z", "2025-10-01 08:05:00", "2025-08-31"]),
            draw.choice(["Charge", "discharge"]),
            f"{draw.randrange(20_000_000) / 1_000_000:.6f}",
            f"{draw.randrange(-5_000_000, 40_000_000) / 1_000_000:.6f}",
        )
        if draw.random() > 0.1
        else draw.choice([row(nmi="O"), row(energy="-1"), row(tariff="x"), "a,b\n", "\n", ",,,,\n"])
        for _ in range(rows)
    ]
    return (HEADER + "".join(lines)).encode()


PACKED: list[tuple[str, Callable[[bytes], bytes]]] = [  # some in several members or frames
    ("a.csv.gz", gzip.compress),
    ("a.CSV.GZ", gzip.compress),
    ("a.csv.gz", lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:])),
    ("a.csv.zst", zstd),
    ("a.csv.zst", lambda data: zstd(data[:1000]) + zstd(data[1000:])),
]


@pytest.mark.parametrize(("name", "pack"), PACKED)
def test_packed_is_the_same_as_plain(
    store: ObjectStore, name: str, pack: Callable[[bytes], bytes]
) -> None:
    data = random_file(1, 300)
    imported = import_files(store, {name: pack(data), "plain.csv": data})
    packed, plain = imported.catalog[f"events/{name}"], imported.catalog["events/plain.csv"]
    assert packed["failed"] is None
    assert packed["sha256"] == plain["sha256"]
    assert packed["rejected"] == plain["rejected"]
    events = imported.events.drop("source").rows()
    assert Counter(events[: len(events) // 2]) == Counter(events[len(events) // 2 :])


TEXT = (HEADER + GOOD * 5000).encode()
BROKEN = {
    "cut in the middle.csv.gz": gzip.compress(TEXT, mtime=0)[:-200],
    "cut in the checksum.csv.gz": gzip.compress(TEXT, mtime=0)[:-4],
    "with something behind.csv.gz": gzip.compress(TEXT, mtime=0) + b"something else",
    "not packed at all.csv.gz": TEXT,
    "cut at the end.csv.zst": zstd(TEXT)[:-4],
    "cut in the header.csv.zst": zstd(TEXT)[:10],
    "not packed at all.csv.zst": TEXT,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_archive_is_a_failed_import(store: ObjectStore, name: str) -> None:
    imported = import_files(store, {name: BROKEN[name]})
    assert imported.catalog[f"events/{name}"]["failed"].startswith("broken archive: ")
    assert (imported.events.height, imported.rejected) == (0, [])


def test_broken_archives_do_not_harm_the_files_around_them(store: ObjectStore) -> None:
    around = {f"{name}-{n}.csv": (HEADER + GOOD).encode() for n, name in enumerate(BROKEN)}
    imported = import_files(store, BROKEN | around)
    for name in BROKEN:
        assert imported.catalog[f"events/{name}"]["failed"].startswith("broken archive: ")
    for name in around:
        assert imported.events_of(f"events/{name}").height == 1
    assert imported.events.height == len(around)


def test_grouped_gives_the_same_events_as_each_alone(store: ObjectStore) -> None:
    files = {f"{number:02d}.csv": random_file(number, 40) for number in range(12)}
    files["05.csv"] = f"{COLUMNS},NOTE\n{GOOD.strip()},x\n{GOOD}".encode()
    files["09.csv.gz"] = gzip.compress(files.pop("09.csv"))
    put(store, files)
    inbox = list_inbox(store).versions
    assert group_objects(inbox) == [inbox]

    def seen(imports: list[Import]) -> tuple[Counter[Any], Counter[Any], list[Any]]:
        columns = ("source", "line", *EVENT_COLUMNS)
        keys = [{file["source"]: key for key, file in i.catalog.items()} for i in imports]
        events = Counter(
            (key[event[0]], *event[1:])
            for key, i in zip(keys, imports, strict=True)
            for event in i.events.select(columns).rows()
        )
        counts = [
            (key, file["sha256"], file["rows"], file["imported"], file["rejected"])
            for i in imports
            for key, file in sorted(i.catalog.items())
        ]
        return events, Counter(tuple(r.values()) for i in imports for r in i.rejected), counts

    def one(objects: list[Any]) -> Import:
        return read_back(store, import_objects(store, TIMEZONE, objects))

    with ThreadPoolExecutor(4) as pool:
        alone = list(pool.map(one, [[version] for version in inbox]))
    together = one(inbox)
    assert seen([together]) == seen(alone)
    assert together.events.height > 300


def test_imports_at_the_same_time_do_not_wait_for_each_other(store: ObjectStore) -> None:
    """More than there are processors, each with rejected rows: they once waited for ever."""
    rows = "".join(row(energy="x" if number % 3 else "1") for number in range(300))
    put(store, {f"{number}.csv": f"{HEADER}{rows}".encode() for number in range(8)})
    versions = list_inbox(store).versions
    pool = ThreadPoolExecutor(len(versions))
    imports = [pool.submit(import_objects, store, TIMEZONE, [version]) for version in versions]
    assert [found.result(timeout=60)["imported"].item() for found in imports] == [100] * 8
    pool.shutdown()


def test_importing_twice_gives_the_same_bytes(store: ObjectStore) -> None:
    """Also of 50,000 rows, which several threads parse and sum."""
    data = random_file(1, 50_000)
    put(store, {"a.csv": data, "b.csv": random_file(2, 1000)})
    inbox = list_inbox(store).versions
    written = []
    for _ in range(2):
        catalog = import_objects(store, TIMEZONE, inbox)
        name = catalog["import_id"][0]
        parts = ("events.parquet", "daily.parquet", "rejected.csv")
        written.append([part(store, name, file) for file in parts])
        rows = sum(1 for line in data.splitlines()[1:] if line.strip(b","))
        assert catalog["rows"][0] == rows
    assert written[0] == written[1]


@pytest.mark.parametrize("size", [1, 7, 50])
def test_it_does_not_matter_how_a_file_comes_in_pieces(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    data = f"{HEADER}{GOOD.strip()},,x\n{GOOD}\n{row(nmi='O')}{GOOD}".encode()
    whole = import_files(store, {"a.csv": data})
    monkeypatch.setattr("tasks.io.object_store.CHUNK_BYTES", size)
    pieces = import_files(store, {"a.csv": data})
    assert pieces.catalog == whole.catalog
    assert pieces.events.equals(whole.events)
    assert pieces.rejected == whole.rejected
    assert whole.catalog["events/a.csv"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert [entry["line"] for entry in whole.rejected] == ["2", "5"]


def test_daily_sums_are_those_of_the_events(store: ObjectStore) -> None:
    # Products of the greatest numbers have 27 digits: more than 64 bits hold.
    greatest = row(energy="999999999.999999", tariff="-999999.999999", event_type="Charge")
    rare = HEADER.encode() + greatest.encode() * 40
    imported = import_files(store, {"a.csv": random_file(3, 2000), "b.csv": rare})
    sums: dict[tuple[Any, ...], list[Any]] = {}
    columns = ("source", *EVENT_COLUMNS)
    for source, nmi, day, is_discharge, energy, tariff in imported.events.select(columns).rows():
        total = sums.setdefault((source, nmi, day, is_discharge, tariff < 0), [0, 0, 0])
        total[0] += 1
        total[1] += Fraction(energy)
        total[2] += Fraction(energy) * Fraction(tariff)
    daily = [
        (key, [events, Fraction(energy), Fraction(value)])
        for *key, events, energy, value, _first, _last in imported.daily.rows()
    ]
    assert daily == [(list(key), sums[key]) for key in sorted(sums)]


def test_objects_replaced_or_deleted_meanwhile_are_left_out(store: ObjectStore) -> None:
    put(store, {f"{name}.csv": (HEADER + GOOD).encode() for name in "abcd"})
    listed = list_inbox(store).versions
    store.write("events/a.csv", (HEADER + GOOD + GOOD).encode())
    store.client.delete_object(Bucket=store.bucket, Key=f"{store.prefix}events/c.csv")
    imported = read_back(store, import_objects(store, TIMEZONE, listed))
    assert list(imported.catalog) == ["events/b.csv", "events/d.csv"]
    assert [imported.events_of(key).height for key in imported.catalog] == [1, 1]

    add_to_catalog(store, import_objects(store, TIMEZONE, listed))
    assert [version.key for version in list_inbox(store).new] == ["events/a.csv"]


@pytest.mark.parametrize("names", [["a.csv"], ["a.csv", "b.csv"]])
def test_an_import_of_which_nothing_is_left_is_empty(store: ObjectStore, names: list[str]) -> None:
    put(store, dict.fromkeys(names, GOOD.encode()))
    listed = list_inbox(store).versions
    put(store, dict.fromkeys(names, b"new"))
    catalog = import_objects(store, TIMEZONE, listed)
    assert catalog.is_empty()
    add_to_catalog(store, catalog)
    assert read_catalog(store)[0].is_empty()


def test_a_late_importer_does_not_change_what_is_committed(store: ObjectStore) -> None:
    """Two list the same; one commits, then a file is replaced, then the other imports."""
    put(store, {"a.csv": (HEADER + GOOD).encode(), "b.csv": (HEADER + row(energy="7")).encode()})
    listed = list_inbox(store).versions
    committed = import_objects(store, TIMEZONE, listed)
    add_to_catalog(store, committed)
    before = read_back(store, committed)
    store.write("events/a.csv", (HEADER + GOOD + GOOD).encode())
    late = import_objects(store, TIMEZONE, listed)
    add_to_catalog(store, late)
    after = read_back(store, committed)
    assert late["key"].to_list() == ["events/b.csv"]
    assert after.events_of("events/b.csv").equals(before.events_of("events/b.csv"))
    assert after.daily.equals(before.daily)


def test_adding_to_the_catalog_twice_changes_nothing(store: ObjectStore) -> None:
    put(store, {"a.csv": (HEADER + GOOD).encode(), "b.csv": b"broken"})
    catalog = import_objects(store, TIMEZONE, list_inbox(store).versions)
    add_to_catalog(store, catalog)
    before = read_catalog(store)
    add_to_catalog(store, catalog)
    after = read_catalog(store)
    assert after[1] == before[1]
    assert after[0].equals(before[0])
    assert after[0].equals(catalog)


def test_racing_additions_all_end_in_the_catalog(store: ObjectStore, settings: Settings) -> None:
    put(store, {f"{number:02d}.csv": (HEADER + GOOD).encode() for number in range(40)})
    catalog = import_objects(store, TIMEZONE, list_inbox(store).versions)

    def add(first: int) -> None:
        mine = ObjectStore(settings)
        for number in range(first, first + 5):
            add_to_catalog(mine, catalog.slice(number, 1))
        mine.client.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(0, 40, 5)))
    found = read_catalog(store)[0]
    assert found.height == 40
    assert found.sort("key").equals(catalog.sort("key"))


def limit_rejected(patch: pytest.MonkeyPatch, store: ObjectStore, rows: int) -> None:
    settings = store.settings.model_copy(update={"max_rejected_rows": rows})
    patch.setattr(store, "settings", settings)


def test_a_big_file_of_another_format_is_a_failed_import(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the order of its rows, and whatever stands beside it."""
    limit_rejected(monkeypatch, store, 50)
    bad, fine = row(day="14/09/2025"), row()
    texts = {"51 first": bad * 51 + fine * 90, "51 last": fine * 90 + bad * 51, "50": bad * 50}
    put(store, {f"{name}.csv": (HEADER + text).encode() for name, text in texts.items()})
    together = import_objects(store, TIMEZONE, list_inbox(store).versions)
    failed = dict(together.select("key", "failed").iter_rows())
    assert failed["events/50.csv"] is None
    assert failed["events/51 first.csv"] == failed["events/51 last.csv"]
    assert failed["events/51 first.csv"] == (
        "of another format: more than 50 of its rows would be rejected (VPP_MAX_REJECTED_ROWS), "
        f"most of them since {REASONS['date']}; export it again"
    )
    counts = {
        key: (rows, imported)
        for key, rows, imported in together.select("key", "rows", "imported").iter_rows()
    }
    assert counts == {
        "events/50.csv": (50, 0),
        "events/51 first.csv": (0, 0),
        "events/51 last.csv": (0, 0),
    }


def test_the_phantom_rows_of_a_spreadsheet_are_no_rows(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_rejected(monkeypatch, store, 50)
    imported = import_files(
        store, {"a.csv": (HEADER + GOOD * 2 + row(day="x") + ",,,,\n" * 1000).encode()}
    )
    [file] = imported.catalog.values()
    assert (file["failed"], file["rows"], file["imported"]) == (None, 3, 2)


@pytest.mark.parametrize("beside", [{}, {"0.csv": HEADER + GOOD}], ids=["alone", "behind another"])
def test_a_byte_order_mark_in_a_data_row_is_part_of_its_first_field(
    store: ObjectStore, beside: dict[str, str]
) -> None:
    files = {"a.csv": HEADER + "\ufeff" + GOOD, "b.csv": HEADER + "\ufeff\n" + GOOD}
    imported = import_files(store, {n: text.encode() for n, text in (beside | files).items()})
    assert [imported.catalog[f"events/{name}"]["rejected"] for name in files] == [
        [{"reason": "nmi", "rows": 1}],
        [{"reason": "missing", "rows": 1}],
    ]
    assert imported.rejected_of("events/a.csv")[0]["row"] == "\ufeff" + GOOD.strip()


def test_an_unforeseen_error_takes_no_other_file_with_it(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours that only the content of one file brings out."""
    rules = event_rows.read_sites

    def broken(texts: pl.Series) -> pl.Series:
        if (texts == "6001000009").any():
            raise ValueError("not enough values to unpack")
        return rules(texts)

    monkeypatch.setattr(event_rows, "read_sites", broken)
    put(
        store,
        {"a.csv": (HEADER + GOOD).encode(), "b.csv": (HEADER + row(nmi="6001000009")).encode()},
    )
    imported = import_objects(store, TIMEZONE, list_inbox(store).versions)
    assert imported.select("key", "imported").rows() == [("events/a.csv", 1), ("events/b.csv", 0)]
    assert imported["failed"].to_list() == [
        None,
        "an unforeseen error, ValueError: not enough values to unpack; please report it with the "
        "file, and replace or delete it meanwhile",
    ]
