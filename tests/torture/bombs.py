"""Objects that are small in the inbox and huge once read, and what an import makes of them.

Each is imported in a process of its own, beside a good file, so that its peak memory is known; what
it unpacks is made while it is packed, and is never whole on this machine.
"""

import gzip
import io
import json
import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from time import monotonic

from flows.story import import_new_files
from tasks.core.settings import Settings
from tasks.core.words import count
from tasks.io.object_store import ObjectStore
from tests.through_s3 import Place

MB = 1 << 20
MOST_MB = 1000  # of memory, for any import
GOOD_KEY = "events/good.csv"
HEADER = b"NMI,DATE,EVENT_TYPE,ENERGY,TARIFF\n"
EVENT = b"6001000001,2025-09-01,Discharge,1.5,25\n"
BAD_EVENT = b"6001000001,2025-09-01,Discharge,x,25\n"
NEM12 = b"100,NEM12,202509020000,MDP,RETAILER\n200,6001000001,E1B1,E1,E1,N1,M1,kWh,30,\n"
DAY = b"300,20250901," + b"0.25," * 48 + b"A,,,20250902000000,\n"
PRICES = b"REGION,SETTLEMENTDATE,TOTALDEMAND,RRP,PERIODTYPE\n"
PRICE = b'NSW1,"2025/09/01 00:05:00",7000.5,80.5,TRADE\n'


@dataclass(frozen=True)
class Bomb:
    """An object of the inbox: its key, and its content in chunks, as it is unpacked.

    `megabytes` is how much that is; 0 where the chunks are a zip that was made already.
    """

    name: str
    key: str
    unpacked: Iterable[bytes]
    megabytes: int = 0


def _filled(pattern: bytes, size: int) -> Iterator[bytes]:
    """Yield a pattern again and again, in chunks, until there is so much."""
    chunk = pattern * (MB // len(pattern) + 1)
    return repeat(chunk, size // len(chunk) + 1)


def _after(start: bytes, pattern: bytes, size: int) -> Iterator[bytes]:
    yield start
    yield from _filled(pattern, size)


def _wide(columns: int, row: bytes, size: int) -> Iterator[bytes]:
    more = b"".join(b",C%d" % n for n in range(columns))
    return _after(HEADER.rstrip() + more + b"\n", row, size)


def bombs(megabytes: int) -> Iterator[Bomb]:
    """Yield all kinds, of so many megabytes once they are unpacked; the smallest ones first."""
    size = megabytes * MB
    yield Bomb(
        "events: 5 MB of commas in one line", "events/bomb.csv.gz", _after(HEADER, b",", 5 * MB), 5
    )
    events = {
        "commas in one line": _after(HEADER, b",", size),
        "commas in the header": _filled(b",", size),
        "one letter": _filled(b"a", size),
        "one letter in one row": _after(HEADER, b"a", size),
        "blank lines": _after(HEADER, b"\n", size),
        "blank lines, CRLF": _after(HEADER, b"\r\n", size),
        "lines of commas": _after(HEADER, b",,,,\n", size),
        "quotes in one line": _after(HEADER, b'"', size),
        "lines of a quote": _after(HEADER, b'"\n', size),
        "empty quoted fields": _after(HEADER, b'"",', size),
        "lines of empty quoted fields": _after(HEADER, b'"","","","",""\n', size),
        "lines of many empty fields": _after(HEADER, b"," * 60_000 + b"\n", size),
        "lines of many quoted fields": _after(HEADER, b'"",' * 20_000 + b"\n", size),
        "bad rows": _after(HEADER, BAD_EVENT, size),
        "bad rows, half": _after(HEADER, BAD_EVENT + EVENT, size),
        "long bad rows": _after(HEADER, b"6001000001," + b"x" * 60_000 + b"\n", size),
        "short rows below a wide header": _wide(94, b"1,\n", size),
        "good rows below a wide header": _wide(94, EVENT, size),
        "other sites": _other_sites(size),
    }
    for name, chunks in events.items():
        yield Bomb(f"events: {name}", "events/bomb.csv.gz", chunks, megabytes)
    meter = {
        "one letter": _filled(b"a", size),
        "blank lines": _after(NEM12, b"\n", size),
        "commas in one 300 row": _after(NEM12 + b"300,20250901,", b",", size),
        "400 rows": _after(NEM12 + DAY, b"400,1,48,A,,\n", size),
        "200 rows": _after(NEM12, b"200,6001000001,E1B1,E1,E1,N1,M1,kWh,30,\n", size),
        "no records": _after(NEM12 + DAY, b"x,\n", size),
        "bad days": _after(NEM12, b"300,20250901,1,A,,,20250902000000,\n", size),
    }
    for name, chunks in meter.items():
        yield Bomb(f"meter data: {name}", "meter-data/bomb.csv.gz", chunks, megabytes)
    prices = {
        "one letter": _filled(b"a", size),
        "blank lines": _after(PRICES, b"\n", size),
        "prices": _after(PRICES, PRICE, size),
        "bad prices": _after(PRICES, PRICE.replace(b"80.5", b"x"), size),
        "rows of another table": _after(b"C,X\nI,A,B,1,X\n", b"D,A,B,1,X\n", size),
    }
    for name, chunks in prices.items():
        yield Bomb(f"prices: {name}", "prices/bomb.zip", chunks, megabytes)


def _other_sites(size: int) -> Iterator[bytes]:
    """Yield an event of each of very many sites."""
    yield HEADER
    for start in range(0, size // len(EVENT), 10_000):
        yield b"".join(
            b"7%09d,2025-09-01,Discharge,1.5,25\n" % n for n in range(start, start + 10_000)
        )


def zip_bombs() -> Iterator[Bomb]:
    """Yield zips that are bombs by what is in them: many files, zips in zips, a high ratio."""
    yield Bomb("zip: 20,000 empty days", "meter-data/bomb.zip", _many(20_000))
    yield Bomb("zip: zips in zips in zips", "meter-data/bomb.zip", _nested(4))
    yield Bomb("zip: zips in a zip", "meter-data/bomb.zip", _nested(2, copies=20))
    yield Bomb("zip: one file named twice", "prices/bomb.zip", _many(2, name="a.csv"))


def _many(files: int, name: str = "") -> list[bytes]:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")
        for number in range(files):
            archive.writestr(name or f"{number}.csv", NEM12 + DAY)
    return [buffer.getvalue()]


def _nested(depth: int, copies: int = 1) -> list[bytes]:
    data = NEM12 + DAY * 100_000
    for _ in range(depth):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(copies):
                archive.writestr(f"{number}.zip", data)
        data = buffer.getvalue()
    return [data]


def packed(bomb: Bomb) -> bytes:
    """Pack a bomb as its key says, unless its content is packed already."""
    buffer = io.BytesIO()
    if isinstance(bomb.unpacked, list):
        buffer.write(b"".join(bomb.unpacked))
    elif bomb.key.endswith(".zip"):
        with (
            zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("bomb.csv", "w", force_zip64=True) as member,
        ):
            for chunk in bomb.unpacked:
                member.write(chunk)
    elif bomb.key.endswith(".gz"):
        with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0) as file:
            for chunk in bomb.unpacked:
                file.write(chunk)
    else:
        buffer.write(b"".join(bomb.unpacked))
    return buffer.getvalue()


@dataclass(frozen=True)
class Imported:
    """What became of a bomb; `wrong` has sentences for what should not be."""

    name: str
    packed_bytes: int
    unpacked_mb: int  # 0: not counted
    peak_mb: int
    seconds: float
    became: str
    wrong: list[str]


def import_all(megabytes: int, only: str = "") -> Iterator[Imported]:
    """Import each kind of bomb beside a good file, each in a process of its own."""
    for bomb in [*bombs(megabytes), *zip_bombs()]:
        if only in bomb.name:
            yield _import(bomb)


def _import(bomb: Bomb) -> Imported:
    place = Place()
    data = packed(bomb)
    place.store.write(bomb.key, data)
    place.store.write(GOOD_KEY, HEADER + EVENT)
    started = monotonic()
    process = subprocess.run(
        [sys.executable, "-m", "tests.torture.bombs"],
        env=os.environ | {**place.environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    seconds = monotonic() - started
    peak, files, wrong = 0, dict[str, str](), []
    if process.returncode:
        wrong.append(f"{bomb.name}: the import ended with {process.stderr[-300:]}")
    else:
        said = json.loads(process.stdout)
        peak, files = said["peak_mb"], said["files"]
    if peak >= MOST_MB:
        wrong.append(f"{bomb.name}: {peak} MB")
    if files.get(GOOD_KEY) != "1 row":
        wrong.append(f"{bomb.name}: the good file became {files.get(GOOD_KEY)}")
    became = str(files.get(bomb.key))
    place.store.delete(bomb.key)
    return Imported(bomb.name, len(data), bomb.megabytes, peak, seconds, became, wrong)


def main() -> None:
    """Import what is new in the place that the environment names; print peak memory and files."""
    store = ObjectStore(Settings())
    inbox, _ = import_new_files(store)
    print(
        json.dumps(
            {
                "peak_mb": peak_mb(),
                "files": {
                    file["key"]: file["failed"] or count(file["rows"], "row")
                    for file in inbox.files.iter_rows(named=True)
                },
            }
        )
    )


def peak_mb() -> int:
    """Return how much memory this process has had at most, MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 // 10**6


if __name__ == "__main__":
    main()
