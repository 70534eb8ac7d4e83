"""The benchmark: `make bench`, `make bench ARGS=--quick`, or `make bench ARGS="--sizes 10 100"`.

`--files` are how many small files, `--sizes` millions of events in one file; each may be left
empty. `--quick` is a minute. `python -m tests.bench.sites` measures many sites.

Runs the real flow, settle-month, against a small S3 server on files (`s3.py`) and a Prefect server,
each in a process of its own, and its peers in the same run on the same data, each likewise:

a  bare DuckDB, by hand: boto3 downloads the objects, read_csv with typed columns into a table,
   then the sum per site and day. Nothing is validated or rejected, and there is no report.
b  bare Polars: the same sums from its own S3 reader, streaming.
c  a plain Python csv loop with an object a row, on the first million rows, scaled.
d  the floor: `cat file > /dev/null`, and Polars' CSV parser counting bytes.

Prints seconds, the ratio to (a), the CPU seconds and the peak memory of the process that did it
(ours with Prefect's part of it). Ours are the stages that the run record has: import, settle,
publish. What Prefect adds to them on a running
server is in a column of its own; its start, and that of Python, are in neither.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from flows.commands import up
from tasks.core.changes import parse_change
from tasks.core.month import Month
from tasks.core.settings import Settings
from tasks.imports.catalog import list_inbox
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import append_changes

MONTH = Month(2025, 9)
MILLION = 1_000_000
SITES = 10_000
LOOPED_ROWS = MILLION


def write_events(
    path: Path,
    rows: int,
    sites: int = SITES,
    first: int = 0,
    of: int = 0,
    first_site: int = 0,
    minute: int = 0,
) -> None:
    """Write seeded events of one month: 5-minute marks in order, prices from -50 to 350 c/kWh.

    They are those from `first` on of `of` that fill the month (0: as many as there are rows), so
    many minutes later.
    """
    number = pl.int_range(first, first + rows, dtype=pl.Int64).alias("i")
    i = pl.col("i")
    minutes = (i * 8640 // (of or rows)) * 5 + minute
    pl.LazyFrame().select(number).select(
        ("6" + (i * 7919 % sites + first_site).cast(pl.String).str.zfill(9)).alias("NMI"),
        (pl.datetime(2025, 9, 1) + pl.duration(minutes=minutes))
        .dt.strftime("%Y-%m-%dT%H:%M:%S")
        .alias("DATE"),
        pl.when(i % 3 == 0)
        .then(pl.lit("Charge"))
        .otherwise(pl.lit("Discharge"))
        .alias("EVENT_TYPE"),
        ((i * 104_729 % 5000) / 1000).round(3).cast(pl.String).alias("ENERGY"),
        ((i * 15_485_863 % 40_000 - 5000) / 100).round(2).cast(pl.String).alias("TARIFF"),
    ).sink_csv(path)


def record_portfolio(store: ObjectStore, settings: Settings, vpps: int, sites: int) -> None:
    """Record VPPs with their sites, a battery each."""
    changes: list[dict[str, Any]] = [
        {
            "change": "create-vpp",
            "name": f"VPP {n}",
            "revenue_percentage": "20",
            "daily_fee_aud": "0.30",
        }
        for n in range(vpps)
    ]
    for n in range(sites):
        nmi = f"6{n:09d}"
        changes.append(
            {"change": "create-site", "nmi": nmi, "vpp": f"vpp-{n % vpps}", "address": f"{n} A St"}
        )
        changes.append(
            {
                "change": "add-battery",
                "nmi": nmi,
                "manufacturer": "Tesla",
                "serial": f"S{n}",
                "capacity_kwh": f"{5 + n % 20}.5",
            }
        )
    numbered = [(line, parse_change(change)) for line, change in enumerate(changes)]
    append_changes(store, settings, numbered, "benchmark")


# Each measured in a process of its own: what it does, and the seconds of its stages.
Stages = dict[str, float]


def timed(stages: Stages, name: str, call: Callable[[], Any]) -> Any:
    """Call, and note the seconds."""
    began = time.perf_counter()
    result = call()
    stages[name] = time.perf_counter() - began
    return result


def ours(store: ObjectStore, settings: Settings) -> Stages:
    """Run settle-month, and return its stages as the run record has them, and what is Prefect's."""
    from flows.settle import settle_month

    began = time.perf_counter()
    result: Any = settle_month(month=str(MONTH))
    seconds = time.perf_counter() - began
    found = store.read(result["run_record"])
    assert found
    stages: Stages = json.loads(found[0])["stages_seconds"]
    return {**stages, "Prefect": seconds - sum(stages.values())}


def transfer(store: ObjectStore, settings: Settings) -> Stages:
    """Read all objects as our import does, and do nothing with them."""
    stages: Stages = {}

    def read() -> None:
        for version in list_inbox(store).versions:
            for _ in store.stream(version.key, version.etag):
                pass

    timed(stages, "transfer", read)
    return stages


def bare_duckdb(store: ObjectStore, settings: Settings) -> Stages:
    """Download by boto3's transfer manager, load typed, sum per site and day."""
    stages: Stages = {}
    with tempfile.TemporaryDirectory() as folder:

        def download() -> None:
            for number, version in enumerate(list_inbox(store).versions):
                store.client.download_file(
                    settings.bucket, settings.prefix + version.key, f"{folder}/{number}.csv"
                )

        def load_and_sum() -> None:
            connection = duckdb.connect()
            connection.execute(
                f"create table events as select * from read_csv('{folder}/*.csv', header = true,"
                " columns = {'NMI': 'VARCHAR', 'DATE': 'TIMESTAMP', 'EVENT_TYPE': 'VARCHAR',"
                " 'ENERGY': 'DECIMAL(15,6)', 'TARIFF': 'DECIMAL(12,6)'})"
            )
            connection.execute(
                "create table sums as select NMI, DATE::date as day, EVENT_TYPE,"
                " sum(ENERGY::decimal(27, 6) * TARIFF) as cents from events group by all"
            )

        timed(stages, "download", download)
        timed(stages, "load and sum", load_and_sum)
    return stages


def bare_polars(store: ObjectStore, settings: Settings) -> Stages:
    """Sum per site and day from S3, streaming."""
    stages: Stages = {}
    options = {
        "aws_endpoint_url": os.environ["AWS_ENDPOINT_URL_S3"],
        "aws_allow_http": "true",
        "aws_region": "us-east-1",
    }

    def scan_and_sum() -> None:
        pl.scan_csv(
            f"s3://{settings.bucket}/{settings.prefix}events/*.csv",
            schema_overrides={"NMI": pl.String},
            storage_options=options,
        ).group_by("NMI", pl.col("DATE").str.slice(0, 10), "EVENT_TYPE").agg(
            (pl.col("ENERGY") * pl.col("TARIFF")).sum()
        ).collect(engine="streaming")

    timed(stages, "scan and sum", scan_and_sum)
    return stages


def python_loop(store: ObjectStore, settings: Settings) -> Stages:
    """Read a million rows with the csv module, an object a row, and sum them."""
    import csv
    import io
    from dataclasses import dataclass
    from datetime import date
    from decimal import Decimal

    @dataclass
    class Event:
        nmi: str
        day: date
        event_type: str
        energy: Decimal
        tariff: Decimal

    stages: Stages = {}
    version = list_inbox(store).versions[0]
    chunks, lines = [], 0
    for chunk in store.stream(version.key, version.etag):
        chunks.append(chunk)
        lines += chunk.count(b"\n")
        if lines > LOOPED_ROWS:
            break
    text = b"".join(chunks).decode()

    def loop() -> None:
        sums: dict[tuple[str, date, str], Decimal] = {}
        for number, row in enumerate(csv.DictReader(io.StringIO(text))):
            if number == LOOPED_ROWS:
                break
            event = Event(
                row["NMI"],
                date.fromisoformat(row["DATE"][:10]),
                row["EVENT_TYPE"],
                Decimal(row["ENERGY"]),
                Decimal(row["TARIFF"]),
            )
            key = (event.nmi, event.day, event.event_type)
            sums[key] = sums.get(key, Decimal(0)) + event.energy * event.tariff

    timed(stages, "a million rows", loop)
    return stages


def floor(store: ObjectStore, settings: Settings) -> Stages:
    """Read a file that is already here, and parse it without keeping anything."""
    stages: Stages = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "all.csv"
        with path.open("wb") as file:
            for version in list_inbox(store).versions:
                file.writelines(store.stream(version.key, version.etag))
        timed(
            stages, "cat", lambda: subprocess.run(f"cat {path} > /dev/null", shell=True, check=True)
        )
        columns = pl.scan_csv(path, infer_schema=False)
        timed(
            stages,
            "parse",
            lambda: columns.select(pl.all().str.len_bytes().sum()).collect(engine="streaming"),
        )
    return stages


WORK = {
    "ours": ours,
    "transfer": transfer,
    "duckdb": bare_duckdb,
    "polars": bare_polars,
    "python": python_loop,
    "floor": floor,
}


def peak_mb() -> int:
    """Return the most memory that this process has used, in MB.

    As Linux counts it since the program began; what getrusage says begins with the parent's.
    """
    status = Path("/proc/self/status").read_text()
    [kilobytes] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(kilobytes) // 1024


def measure(work: str, prefix: str, task_runner: str = "threads") -> tuple[Stages, int]:
    """Do one piece of work in a process of its own; return its stages and peak memory (MB).

    With another task runner, memory and CPU are those of the flow's process alone.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--work", work],
        env=os.environ | {"VPP_PREFIX": prefix, "VPP_TASK_RUNNER": task_runner},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{work} failed:\n{done.stdout}\n{done.stderr}")
    said = json.loads(done.stdout.splitlines()[-1])
    return said["stages"], said["peak_mb"]


def show(name: str, stages: Stages, peak_mb: int, base: float | None) -> float:
    """Print one row of the table; return its seconds, without what is Prefect's."""
    prefect, cpu = stages.pop("Prefect", None), stages.pop("CPU")
    seconds = sum(stages.values())
    ratio = f"{seconds / base:.2f}" if base else ""
    parts = ", ".join(f"{stage} {value:.2f}" for stage, value in stages.items())
    added = "" if prefect is None else f"{prefect:.2f}"
    print(
        f"| {name} | {seconds:.2f} | {ratio} | {cpu:.2f} | {peak_mb} | {added} | {parts} |",
        flush=True,
    )
    return seconds


def placed(name: str) -> tuple[ObjectStore, Settings]:
    """Return an empty place on the S3 server."""
    settings = Settings(prefix=f"{name}/")
    return ObjectStore(settings), settings


def head(title: str) -> None:
    """Print the head of a table."""
    print(
        f"\n**{title}**\n\n| what | seconds | / (a) | CPU s | peak MB | Prefect's part (s) "
        "| stages (s) |"
    )
    print("|---|--:|--:|--:|--:|--:|---|", flush=True)


Growth = dict[str, float]  # what -> seconds


def one_file(millions: int, folder: Path) -> Growth:
    """Measure one big file, against all peers; return our stages."""
    store, settings = placed(f"one-{millions}")
    path = folder / f"{millions}.csv"
    write_events(path, millions * MILLION)
    store.upload(path, "events/2025-09.csv")
    record_portfolio(store, settings, 100, SITES)
    path.unlink()
    head(f"{millions} million events in one file, 10,000 sites in 100 VPPs")
    by_hand, by_hand_mb = measure("duckdb", settings.prefix)
    base = by_hand["download"] + by_hand["load and sum"]
    show("(a) bare DuckDB by hand", by_hand, by_hand_mb, base)
    ours, ours_mb = measure("ours", settings.prefix)
    growth = {"import": ours["import"], "peak MB": ours_mb}
    cold = show("import, settle, publish (cold)", ours, ours_mb, base)
    show("the same again, nothing changed", *measure("ours", settings.prefix), base)
    alone, alone_mb = measure("transfer", settings.prefix)
    in_duckdb = by_hand["load and sum"]
    for what, seconds in (("cold", cold), ("import", growth["import"])):
        rest = seconds - alone["transfer"]
        print(
            f"| {what} without transfer, against (a) without download | {rest:.2f} "
            f"| {rest / in_duckdb:.2f} | | {alone_mb} | | transfer {alone['transfer']:.2f} |"
        )
    for letter, work in (("b", "polars"), ("d", "floor")):
        show(f"({letter}) {work}", *measure(work, settings.prefix), base)
    looped, looped_mb = measure("python", settings.prefix)
    scaled = show(
        "(c) plain Python loop, scaled from a million rows",
        {"all rows": looped["a million rows"] * millions, "CPU": looped["CPU"] * millions},
        looped_mb,
        base,
    )
    print(f"\nOurs, cold, is {scaled / cold:.0f} times as fast as (c).")
    clear(store)
    return growth


def many_files(
    name: str, write: Callable[[Path, int], None], files: int, folder: Path, with_runners: bool
) -> None:
    """Measure many files, then again, with one new one among them, and on other task runners."""
    store, settings = placed(f"files-{files}")
    path = folder / "part.csv"
    for number in range(files):
        write(path, number)
        store.upload(path, f"events/{number:05d}.csv")
    record_portfolio(store, settings, 100, SITES)
    head(f"{files:,} files, {name}, 10,000 sites in 100 VPPs")
    by_hand, by_hand_mb = measure("duckdb", settings.prefix)
    base = by_hand["download"] + by_hand["load and sum"]
    show("(a) bare DuckDB by hand", by_hand, by_hand_mb, base)
    show("import, settle, publish (cold)", *measure("ours", settings.prefix), base)
    show("the same again, nothing changed", *measure("ours", settings.prefix), base)
    write(path, files)
    store.upload(path, "events/new.csv")
    show("one new file among them", *measure("ours", settings.prefix), base)
    store.delete("events/new.csv")
    for runner in ("dask", "ray") if with_runners else ():
        for key in [version.key for version in store.versions("") if is_ours(version.key)]:
            store.delete(key)
        said = measure("ours", settings.prefix, runner)
        show(f"cold, on {runner} with 2 workers", *said, base)
    clear(store)


def is_ours(key: str) -> bool:
    """Say whether we wrote an object, so that a cold run is one without it."""
    return not key.startswith(("events/", "registry/"))


def clear(store: ObjectStore) -> None:
    """Delete what was measured."""
    for version in store.versions(""):
        store.delete(version.key)


def a_day(path: Path, number: int, all_days: int = 10 * MILLION) -> None:
    """Write a day's events of all sites; those after the 30th are of a day again, in between."""
    rows = all_days // 30
    write_events(path, rows, first=number % 30 * rows, of=all_days, minute=number // 30)


def a_small_day(path: Path, number: int) -> None:
    """Write a tenth of that."""
    a_day(path, number, MILLION)


def a_site(path: Path, number: int) -> None:
    """Write 50 events of one site."""
    write_events(path, 50, sites=1, first_site=number)


def show_growth(of: dict[int, Growth]) -> None:
    """Print what an import costs as it grows."""
    print("\n**One file as it grows**\n\n| million rows | import (s) | s per million | peak MB |")
    print("|--:|--:|--:|--:|")
    for count, growth in of.items():
        seconds = growth["import"]
        print(f"| {count} | {seconds:.2f} | {seconds / count:.3f} | {growth['peak MB']:.0f} |")


@contextmanager
def servers(home: str) -> Iterator[None]:
    """Run an S3 server and a Prefect server, and point this process and its children at them."""
    environment = up.environment(home) | {"PREFECT_LOGGING_LEVEL": "ERROR"}
    os.environ |= environment
    commands = (
        (up.S3_URL, "python", "-m", "tests.bench.s3", str(up.S3_PORT), f"{home}/s3"),
        (f"{up.PREFECT_URL}/api/health", "prefect", "server", "start", "--no-ui"),
    )
    started = []
    try:
        for url, program, *arguments in commands:
            if up.answers(url):
                sys.exit(f"{url} is taken; end what listens there first")
            process = subprocess.Popen(
                [up.BIN / program, *arguments],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            started.append(process)
            part = up.Part(program, process, Path(os.devnull))
            up.wait(part, lambda url=url: up.answers(url))  # type: ignore[misc]
        yield
    finally:
        for process in started:
            process.terminate()
            process.wait()


def main() -> None:
    """Run the benchmark, or (with --work) one piece of it."""
    parser = argparse.ArgumentParser(description="Measure, with peers in the same run.")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 10], metavar="MILLIONS")
    parser.add_argument("--files", type=int, nargs="*", default=[30, 5000], choices=[30, 5000])
    parser.add_argument("--quick", action="store_true", help="30 small files and a million events")
    parser.add_argument("--runners", action="store_true", help="also on Dask and Ray")
    parser.add_argument("--work", choices=WORK)
    options = parser.parse_args()
    settings = Settings()
    if options.work:
        store, began = ObjectStore(settings), time.process_time()
        stages = WORK[options.work](store, settings)
        cpu = time.process_time() - began
        print(json.dumps({"stages": {**stages, "CPU": cpu}, "peak_mb": peak_mb()}))
        return
    with tempfile.TemporaryDirectory() as home:
        folder, began = Path(home), time.perf_counter()
        with servers(home):
            ObjectStore(settings).client.create_bucket(Bucket=settings.bucket)
            versions = f"Polars {pl.__version__}, DuckDB {duckdb.__version__}"
            print(
                f"Python {platform.python_version()}, {versions}, {os.cpu_count()} cores; both "
                f"servers were up after {time.perf_counter() - began:.0f} s"
            )
            if options.quick:
                many_files("33,333 events each", a_small_day, 30, folder, False)
                return
            if 30 in options.files:
                many_files("a day of 333,333 events each", a_day, 30, folder, options.runners)
            millions = {size: one_file(size, folder) for size in options.sizes}
            if millions:
                show_growth(millions)
            if 5000 in options.files:
                many_files("50 events of one site each", a_site, 5000, folder, False)


if __name__ == "__main__":
    main()
