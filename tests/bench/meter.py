"""A month of meter data as an operator of many sites has it: NEM12 files, prices, a registry.

Two channels a site, E1 and B1, of 5 minutes, all actual; sites of one region, files of 100 sites
each. `python -m tests.bench.meter 10000` imports and settles such a month on an embedded S3, twice,
and says how long it took.
"""

import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import monotonic, process_time
from uuid import uuid4

import duckdb

from flows import story
from tasks.core.month import Month
from tasks.core.registry import parse_change
from tasks.core.request import SettlementRequest
from tasks.core.settings import Settings
from tasks.io.embedded_s3 import embedded_s3
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import append_changes
from tasks.runs.run import Run

MONTH = Month(2026, 3)
SITES_A_FILE = 100
_DAYS = 20_000  # different ones, each of which several channels have


def nmis(sites: int) -> list[str]:
    """Return NMIs of SA1."""
    return [f"2001{number:06d}" for number in range(sites)]


def write_files(folder: Path, sites: int) -> Iterator[tuple[str, Path]]:
    """Write NEM12 files; yield each with its key."""
    names = nmis(sites)
    rng = random.Random(1)
    values = [f"0.{number:03d}" for number in range(400)]
    of_a_day = [",".join(rng.choices(values, k=288)) for _ in range(_DAYS)]
    for number, start in enumerate(range(0, sites, SITES_A_FILE)):
        path = folder / f"{number:04d}.csv"
        lines = ["100,NEM12,202604010900,MDP,RETAILER"]
        for nmi in names[start : start + SITES_A_FILE]:
            for suffix in ("E1", "B1"):
                lines.append(f"200,{nmi},E1B1,1,{suffix},N1,M{nmi},kWh,5,")
                for day in days():
                    lines.append(f"300,{day:%Y%m%d},{rng.choice(of_a_day)},A,,,20260402120000,")
        lines.append("900")
        path.write_text("\n".join(lines) + "\n")
        yield f"meter-data/2026-03/{path.name}", path


def price_file() -> str:
    """Write a month of SA1's prices as an analyst downloads them, some of them negative."""
    rng = random.Random(1)
    lines = ["REGION,SETTLEMENTDATE,TOTALDEMAND,RRP,PERIODTYPE"]
    for day in days():
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001  market time
        for number in range(1, 289):
            end = midnight + timedelta(minutes=5 * number)
            price = rng.randint(-6000, 30000) / 100
            lines.append(f"SA1,{end:%Y/%m/%d %H:%M:%S},1500.1,{price:.2f},TRADE")
    return "\n".join(lines) + "\n"


def days() -> list[date]:
    """Return the days of the month."""
    return [MONTH.first_day + timedelta(days=number) for number in range(MONTH.days)]


def changes(sites: int, vpps: int = 10) -> list[dict[str, str]]:
    """Return a registry of so many VPPs and sites, with a battery each."""
    made = [
        {
            "change": "create-vpp",
            "vpp": f"vpp-{number}",
            "name": f"VPP {number}",
            "revenue_percentage": "20",
            "daily_fee_aud": "0.30",
        }
        for number in range(vpps)
    ]
    for number, nmi in enumerate(nmis(sites)):
        vpp = f"vpp-{number % vpps}"
        made.append(
            {"change": "create-site", "nmi": nmi, "vpp": vpp, "address": f"{number} King St"}
        )
        battery = {"serial": f"S{number}", "manufacturer": "m", "capacity_kwh": "13.5"}
        made.append({"change": "add-battery", "nmi": nmi, **battery})
    return made


def put_month(store: ObjectStore, sites: int) -> int:
    """Put such a month on S3; return how many bytes of NEM12 it has."""
    size = 0
    with tempfile.TemporaryDirectory() as folder:
        for key, path in write_files(Path(folder), sites):
            size += path.stat().st_size
            store.upload(path, key)
            path.unlink()
    store.write("prices/PRICE_AND_DEMAND_202603_SA1.csv", price_file().encode())
    parsed = [(n, parse_change(change)) for n, change in enumerate(changes(sites), 1)]
    append_changes(store, store.settings, parsed, "bench")
    return size


def settle(store: ObjectStore) -> Run:
    """Import what is new and settle the month, as the flow does; return the run."""
    request = SettlementRequest(datetime.now(UTC), max_rejected_percent=5)
    run = Run(store, MONTH, request, str(uuid4()), "bench", {})
    with run.recorded():
        story.settle_and_publish(run)
    return run


def by_hand(store: ObjectStore) -> float:
    """Return the SA1 sites' worth of the month in AUD, as one would ask bare DuckDB for it."""
    with tempfile.TemporaryDirectory() as folder:
        imported = [version.key for version in store.versions("imports/")]
        for part in ("readings", "prices"):
            found = [key for key in imported if key.endswith(f"{part}.parquet")]
            paths = [Path(folder) / f"{part}-{number}.parquet" for number in range(len(found))]
            store.download(found, paths)
        [[worth]] = duckdb.execute(
            "with intervals as (select day, suffix, unnest(micro_kwh) as micro_kwh,"
            " unnest(range(1, 289)) as number from read_parquet($readings))"
            " select sum(if(suffix[1] = 'B', 1, -1) * micro_kwh * price_aud_per_mwh::double) / 1e9"
            " from intervals inner join read_parquet($prices) as prices"
            " on intervals.day = prices.day and intervals.number = prices.number",
            {part: f"{folder}/{part}-*.parquet" for part in ("readings", "prices")},
        ).fetchall()
    return float(worth)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long a block took, of the clock and of the processors."""
    started, used = monotonic(), process_time()
    yield
    print(
        f"{what}: {monotonic() - started:.1f} s, {process_time() - used:.1f} s of CPU; at most "
        f"{getrusage(RUSAGE_SELF).ru_maxrss // 1024:,} MB with the S3 server",
        flush=True,
    )


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with embedded_s3():
        place = ObjectStore(Settings())
        with timed(f"{count:,} sites written"):
            written = put_month(place, count)
        print(f"{written / 1e6:,.0f} MB of NEM12")
        with timed("imported"):
            story.import_new_files(place)
        for what in ("settled", "settled again, unchanged"):
            with timed(what):
                settled = settle(place)
            print(settled.record.outcome, settled.record.stages_seconds)
        with timed("the same worth by hand, in floating point"):
            print(f"{by_hand(place):,.2f} AUD")
        totals = [report.totals for report in settled.record.reports or []]
        print(f"{sum(t['total_revenue'] + t['vpp_cost_only'] for t in totals):,.2f} AUD settled")
