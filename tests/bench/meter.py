"""A month of meter data as an operator of many sites has it: NEM12 files, prices, a registry.

Two channels a site, E1 and B1, of 5 minutes, all actual; sites of one region, files of 100 sites
each. `python -m tests.bench.meter 10000` imports and settles such a month on an embedded S3, twice,
and says how long it took.
"""

import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import monotonic, process_time
from uuid import uuid4

import duckdb
import polars as pl

from flows import story
from tasks.core.changes import parse_change
from tasks.core.month import Month
from tasks.core.request import SettlementRequest
from tasks.core.settings import Settings
from tasks.io.embedded_s3 import embedded_s3
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import append_changes
from tasks.runs.run import Run

MONTH = Month(2026, 3)
PRICES = "prices/PRICE_AND_DEMAND_202603_SA1.csv"
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
    store.write(PRICES, price_file().encode())
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


def by_hand_in_polars(paths: list[Path], prices: Path) -> float:
    """Return the month's worth in AUD, as one would ask Polars for it, file by file."""
    ends = pl.col("SETTLEMENTDATE").str.to_datetime("%Y/%m/%d %H:%M:%S") - timedelta(minutes=5)
    priced = pl.read_csv(prices).select(
        pl.col("RRP"),
        day=ends.dt.date(),
        slot=ends.dt.hour().cast(pl.Int16) * 12 + ends.dt.minute() // 5 + 1,
    )
    names = ["record", "day", *(str(slot) for slot in range(1, 289)), "quality"]
    worth = 0.0
    for path in paths:
        lines = pl.read_csv(
            path,
            has_header=False,
            schema=dict.fromkeys(names, pl.String),
            truncate_ragged_lines=True,
            missing_columns="insert",
        )
        suffix = pl.when(pl.col("record") == "200").then(pl.col("3")).forward_fill()
        readings = (
            lines.with_columns(suffix=suffix)
            .filter(pl.col("record") == "300")
            .with_columns(pl.col("day").str.to_date("%Y%m%d"), pl.col(names[2:-1]).cast(pl.Float64))
            .unpivot(names[2:-1], index=["suffix", "day"], variable_name="slot", value_name="kwh")
            .with_columns(pl.col("slot").cast(pl.Int16))
        )
        joined = readings.join(priced, on=["day", "slot"])
        sign = pl.when(pl.col("suffix").str.starts_with("B")).then(1).otherwise(-1)
        worth += joined.select((sign * pl.col("kwh") * pl.col("RRP")).sum()).item() / 1000
    return worth


def by_hand_in_duckdb(paths: list[Path], prices: Path) -> float:
    """Return the month's worth in AUD, as one would ask DuckDB for it."""
    names = ["record", "day", *(f"v{slot}" for slot in range(1, 289)), "quality", *"abcd"]
    slots = ", ".join(f"v{slot}" for slot in range(1, 289))
    [[worth]] = duckdb.execute(
        "with lines as (select *, max(case when record = '200' then line || ' ' || v3 end)"
        "   over (partition by filename order by line) as channel from ("
        "   select *, lpad((row_number() over ())::varchar, 12, '0') as line"
        "   from read_csv($paths, filename = true, header = false, all_varchar = true,"
        "     null_padding = true, strict_mode = false, delim = ',', quote = '',"
        f"    names = {names}))),"
        f" readings as (select strptime(day, '%Y%m%d')::date as day, channel,"
        f"   unnest([{slots}])::double as kwh, unnest(range(1, 289)) as slot"
        "   from lines where record = '300'),"
        " prices as (select SETTLEMENTDATE - interval 5 minutes as start, RRP"
        "   from read_csv($prices))"
        " select sum(if(split_part(channel, ' ', 2)[1] = 'B', 1, -1) * kwh * rrp) / 1000"
        " from readings inner join prices on readings.day = start::date"
        "   and slot = hour(start) * 12 + minute(start) // 5 + 1",
        {"paths": [str(path) for path in paths], "prices": str(prices)},
    ).fetchall()
    return float(worth)


def by_hand(store: ObjectStore, sum_up: Callable[[list[Path], Path], float]) -> float:
    """Bring the NEM12 files and the prices here, and sum them up."""
    with tempfile.TemporaryDirectory() as folder:
        found = [version.key for version in store.versions("meter-data/")]
        paths = [Path(folder) / f"{number}.csv" for number in range(len(found))]
        prices = Path(folder) / "prices.csv"
        store.download([*found, PRICES], [*paths, prices])
        return sum_up(paths, prices)


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
        for sum_up in (by_hand_in_polars, by_hand_in_duckdb):
            with timed(f"the same worth {sum_up.__name__.replace('_', ' ')}, in floating point"):
                print(f"{by_hand(place, sum_up):,.2f} AUD")
        totals = [report.totals for report in settled.record.reports or []]
        print(f"{sum(t['total_revenue'] + t['vpp_cost_only'] for t in totals):,.2f} AUD settled")
