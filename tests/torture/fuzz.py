"""Files that nobody meant: mutations of good ones, through the whole import, with each row counted.

A file is imported or has failed with a sentence; each of its rows is imported, rejected, ignored or
blank; nothing else may happen. Registry files and lines of the line program are taken or refused.
`corpus/` has what ever broke; a file's folder there says what kind it is.
"""

import csv
import gzip
import io
import random
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from flows.commands.instructions import _text, read_lines, run
from flows.story import import_new_files
from tasks.core import keys
from tasks.core.change_file import read_changes
from tasks.core.errors import Refused
from tasks.io.registry_log import append_changes
from tasks.io.registry_segments import read_log
from tests.through_s3 import Place
from tests.torture.bombs import DAY, EVENT, HEADER, NEM12, PRICE, PRICES, peak_mb

DATA = Path(__file__).parents[2] / "data"
CORPUS = Path(__file__).with_name("corpus")
_MMS = (
    b"C,NEMP.WORLD,TRADINGIS,AEMO,PUBLIC,2025/09/01,00:00:01,1,TRADINGIS,1\n"
    b"I,TRADING,PRICE,3,SETTLEMENTDATE,RUNNO,REGIONID,PERIODID,RRP,INVALIDFLAG,LASTCHANGED\n"
    b'D,TRADING,PRICE,3,"2025/09/01 00:05:00",1,NSW1,1,80.5,0,"2025/09/01 00:00:01"\n'
    b"I,TRADING,OTHER,1,A\nD,TRADING,OTHER,1,2\n"
    b'C,"END OF REPORT",6\n'
)
_CHANGES = (
    b'{"change": "create-vpp", "name": "Fuzz", "revenue_percentage": 20}\n'
    b'{"change": "create-site", "nmi": "6001000001", "vpp": "fuzz", "address": "1 St"}\n'
    b'{"change": "add-battery", "nmi": "6001000001", "serial": "S", "manufacturer": "T", '
    b'"capacity_kwh": "13.5", "effective_from": "2025-09-01"}\n'
)
SEEDS: dict[str, tuple[bytes, ...]] = {
    "events": (
        HEADER + EVENT * 5,
        b"\xef\xbb\xbf" + HEADER.replace(b"\n", b"\r\n") + EVENT.replace(b"\n", b"\r\n") * 3,
        HEADER + b'"6001000001","2025-09-01T10:00:00+10:00",charge,"1.5",-2\n,,,,\n' + EVENT,
        b"NMI,INTERVAL_END,EVENT_TYPE,ENERGY,TARIFF,EVENT_ID,REJECTED_ID\n"
        b"6001000001,2025-09-01T00:05:00+10:00,Discharge,1,1,a,\n"
        b"6001000001,2025-09-01T00:10:00+10:00,Discharge,1,1,b,REJ-AAAAAAAAAAAAAAAA-1\n",
    ),
    "meter-data": (
        NEM12 + DAY * 2 + b"400,1,48,A,,\n500,x\n900\n",
        NEM12 + DAY.replace(b"A,,", b"V,,") + b"400,1,20,F14,76,x\n400,21,48,A,,\n900\n",
    ),
    "prices": (PRICES + PRICE * 3, _MMS),
    "registry": (_CHANGES, b"nmi,vpp,address\n6001000002,fuzz,2 St\n"),
    "lines": (
        b"Create VPP: Fuzz, 20, 0.3\nCreate Site: Fuzz, 6001000001, 1 St\n"
        b"Create Battery: 6001000001, Tesla, S, 13.5\nExit\n",
        b"1. Create VPP: a, 1\n2) Import Events: none.csv\nCreate Report: a, 2025-09\n",
    ),
}
_NASTY = (
    *(b"\0", b"\r", b"\n", b"\r\n", b'"', b'""', b",", b",,,,,,", b"\xef\xbb\xbf", b"\xff\xfe"),
    *(b"\xe2\x80\xa8", b"\xc2\x85", b"\x0b", b"\x1a", b"\xff", b"\xed\xa0\x80", b" ", b"\t"),
    *(b"1e400", b"NaN", b"-0", b"0x10", b"9" * 400, b"9" * 5000, b"." * 30, b"-", b"+1", b"1_0"),
    *(b"\xd9\xa1", b"999999999.999999", b"-999999.999999", b"0.0000001", b"1.", b".5", b"1,5"),
    *(b"2025-02-30", b"9999-12-31", b"0001-01-01", b"2025-09-01T24:00", b"+99:99", b"300", b"400"),
    *(b"900\n", b"100,NEM12\n", b"200,", b"D,", b"I,", b"C,", b"=cmd()", b"x" * 3000, b"null"),
    *(b"{", b"}", b"[[[[", b"\\u0000", b":", b"Exit\n", b"a" * 70_000),
)


@dataclass
class Outcome:
    """What came of the files of a kind."""

    kind: str
    files: int = 0
    failed: int = 0  # with a sentence
    rows: int = 0
    wrong: list[str] = field(default_factory=list)
    peak_mb: int = 0


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Return a file with one to six changes."""
    for _ in range(draw.randint(1, 6)):
        at, to = sorted(draw.randint(0, len(data)) for _ in range(2))
        to = min(to, at + draw.choice((1, 5, 200)))
        data = draw.choice(
            (
                lambda d, a, b: d[:a] + draw.choice(_NASTY) + d[a:],
                lambda d, a, b: d[:a] + draw.choice(_NASTY) + d[b:],
                lambda d, a, b: d[:a] + draw.randbytes(draw.randint(1, 4)) + d[b:],
                lambda d, a, b: d[:a] + d[b:],
                lambda d, a, b: d[:b] + d[a:b] * draw.choice((1, 3, 50)) + d[b:],
                _swap_lines,
                _move_cells,
            )
        )(data, at, to)
    return data


def _swap_lines(data: bytes, at: int, to: int) -> bytes:
    lines = data.split(b"\n")
    first, second = at % len(lines), to % len(lines)
    lines[first], lines[second] = lines[second], lines[first]
    return b"\n".join(lines)


def _move_cells(data: bytes, at: int, to: int) -> bytes:
    cells = data.split(b",")
    first, second = at % len(cells), (at + to) % len(cells)
    cells[first], cells[second] = cells[second], cells[first]
    return b",".join(cells)


def packed(name: str, data: bytes, draw: random.Random) -> tuple[str, bytes]:
    """Pack some of the files, and break some of those."""
    folder = name.split("/", maxsplit=1)[0]
    how = draw.choice(("", "", "", "gz", "zip"))
    if how == "gz" and folder != "prices":
        name, data = f"{name}.gz", gzip.compress(data, mtime=0)
    elif how == "zip" and folder != "events":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", data)
        name, data = name.replace(".csv", ".zip"), buffer.getvalue()
    if not name.endswith(".csv") and draw.random() < 0.3:
        data = mutated(data, draw)
    return name, data


def fuzz(kind: str, files: int, seed: int, together: int = 40) -> Outcome:
    """Make so many mutations of a kind's seeds, and see what comes of them."""
    draw = random.Random(f"{kind} {seed}")
    made = [mutated(draw.choice(SEEDS[kind]), draw) for _ in range(files)]
    return replay(kind, made, draw, together)


def replay(
    kind: str, made: list[bytes], draw: random.Random | None = None, together: int = 40
) -> Outcome:
    """See what comes of files of a kind; with `draw` some are packed."""
    outcome = Outcome(kind)
    if kind in ("registry", "lines"):
        take = _take_registry if kind == "registry" else _take_lines
        for data in made:
            _take(outcome, data, take)
    else:
        for start in range(0, len(made), together):
            _import(outcome, made[start : start + together], draw)
    outcome.peak_mb = peak_mb()
    return outcome


def _take(outcome: Outcome, data: bytes, take: Callable[[bytes], int]) -> None:
    outcome.files += 1
    try:
        outcome.rows += take(data)
    except Refused:
        outcome.failed += 1
    except Exception as problem:
        outcome.wrong.append(f"{type(problem).__name__} {problem}"[:300] + f" of {data!r}")


def _take_registry(data: bytes) -> int:
    """Record a file of changes; each line that is not blank is a change or has a sentence."""
    changes = list(read_changes(data))
    numbers = [number for number, _ in changes]
    assert numbers == sorted(set(numbers)), "lines out of order"
    lines = re.split("\r\n|\r|\n", data.decode("utf-8-sig"))
    is_json = lines[0].lstrip().startswith("{")
    filled = {n for n, line in enumerate(lines, 1) if re.sub(r'[\s,"]', "", line)}
    assert filled - {0 if is_json else 1} <= set(numbers), "a line is lost"
    place = Place()
    if changes:
        append_changes(place.store, place.settings, changes, "fuzz")
    assert len(read_log(place.store).splitlines()) == len(changes), "a change is lost"
    return len(changes)


def _take_lines(data: bytes) -> int:
    lines = read_lines(_text(data).split("\n"))
    filled = [line for line in _text(data).split("\n") if line.strip().removeprefix("\ufeff")]
    words = [re.sub(r"[^a-z]", "", line.lower()) for line in filled]
    assert len(lines) == ([*words, "exit"]).index("exit"), "a line is lost"
    place = Place()
    list(run(place.store, place.settings, lines, "cost"))
    return len(lines)


def _import(outcome: Outcome, made: list[bytes], draw: random.Random | None) -> None:
    place = Place()
    contents: dict[str, bytes | None] = {}
    for number, data in enumerate(made):
        name, stored = f"{outcome.kind}/{number}.csv", data
        if draw:
            name, stored = packed(name, data, draw)
        place.store.write(name, stored)
        contents[name] = None if name.endswith((".zip", ".gz")) else data
    inbox, _ = import_new_files(place.store)
    outcome.files += len(made)
    for file in inbox.files.iter_rows(named=True):
        content = contents[file["key"]]
        for sentence in _wrong(place, outcome.kind, file, content):
            outcome.wrong.append(f"{sentence}: {file['key']} {content!r}")
        outcome.failed += file["failed"] is not None
        outcome.rows += file["rows"] or 0


def _wrong(place: Place, kind: str, file: dict[str, object], data: bytes | None) -> Iterator[str]:
    """Say what is not right with what the catalog and the import have of a file."""
    failed = file["failed"]
    if file["import_id"] is None:
        yield "not imported"
        return
    if isinstance(failed, str):
        if "unforeseen" in failed:
            yield failed
        return
    good = {"events": "events", "meter-data": "readings", "prices": "prices"}[kind]
    parts = {name: _part(place, str(file["import_id"]), name) for name in (good, "rejected")}
    imported = parts[good].filter(pl.col("source") == file["source"]).height
    listed = parts["rejected"].filter(pl.col("key") == file["key"])
    counted = listed if kind != "meter-data" else listed.filter(pl.col("record") != "200")
    if imported != file["imported"] or imported + counted.height != file["rows"]:
        yield f"{imported} imported and {counted.height} rejected, not as the catalog says"
    if data is None:
        return
    there = _rows_in(kind, data)
    found = {
        "events": imported + listed.height + int(str(file["open"])),
        "meter-data": imported + int(str(file["ignored"])),
        "prices": imported + listed.height + int(str(file["ignored"])),
    }[kind]
    if kind == "meter-data":
        found += listed.filter(pl.col("record") == "300").height
    if found != there:
        yield f"{there} rows in the file, and {found} accounted for"


def _part(place: Place, import_id: str, name: str) -> pl.DataFrame:
    suffix = "csv" if name == "rejected" else "parquet"
    found = place.store.read(keys.import_part(import_id, f"{name}.{suffix}"))
    assert found is not None
    if suffix == "parquet":
        return pl.read_parquet(io.BytesIO(found[0]))
    return pl.read_csv(io.BytesIO(found[0]), infer_schema=False)


def _rows_in(kind: str, data: bytes) -> int:
    """Count the rows of a file, by another way than the import does."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = text.split("\n")
    if kind == "meter-data":
        return sum(bool(re.match(r'\ufeff?[\s"]*300["\s]*(,|$)', line)) for line in lines)
    filled = [line for line in lines if re.sub(r'[\s,"]', "", line)]
    if kind == "events":
        return len([line for line in lines[1:] if re.sub(r'[\s,"]', "", line)])
    if re.match(r'[\s"]*[CID]["\s]*(,|$)', filled[0], re.IGNORECASE):
        others = [
            line for line in filled if re.match(r'[\s"]*[CI]["\s]*(,|$)', line, re.IGNORECASE)
        ]
        return len(filled) - sum(map(_is_quoted_well, others))
    return len(filled) - 1


def _is_quoted_well(line: str) -> bool:
    try:
        return '"' not in line or bool(next(csv.reader([line], strict=True)))
    except csv.Error:
        return line.lstrip(' "')[:1].upper() == "C"  # which counts nothing
