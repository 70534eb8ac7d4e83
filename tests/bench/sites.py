"""Many sites: `python -m tests.bench.sites 100000 1000`, sites and VPPs (a hundredth of them).

Three events a site in one file, a battery each. Each piece of work is done in a process of its own,
without Prefect, against a small S3 server on files (`s3.py`) that is a process too: import; settle
and publish; the same again, unchanged; one site changed in the registry; and one VPP's month after
that.

Says for each the seconds of its stages, of the clock and of the CPU, the peak of its memory, and
what the S3 server had of it: requests, and its CPU.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import Any
from uuid import uuid4

from flows import story
from flows.commands import up
from tasks.core import keys
from tasks.core.changes import parse_change
from tasks.core.request import SettlementRequest
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import append_changes
from tasks.runs.run import Run
from tests.bench.__main__ import MONTH, peak_mb, write_events

PORT = 4599
EVENTS_A_SITE = 3


def write_log(path: Path, sites: int, vpps: int) -> None:
    """Write a registry's log: VPPs, sites in turn of each of them, and a battery each."""
    entered = '"recorded_at": "2025-08-01T00:00:00Z", "recorded_by": "bench", "change": '
    with path.open("w") as log:
        for n in range(vpps):
            log.write(
                f'{{"seq": {n + 1}, {entered}"create-vpp", "vpp": "vpp-{n}", "name": "VPP {n}", '
                '"revenue_percentage": "20", "daily_fee_aud": "0.30", "charge_events": "cost", '
                '"negative_balances": "site", "effective_from": null}\n'
            )
        for n in range(sites):
            seq, nmi = vpps + 2 * n + 1, f"6{n:09d}"
            log.write(
                f'{{"seq": {seq}, {entered}"create-site", "nmi": "{nmi}", "vpp": '
                f'"vpp-{n % vpps}", "address": "{n} A St", "effective_from": null}}\n'
                f'{{"seq": {seq + 1}, {entered}"add-battery", "serial": "S{n}", "nmi": "{nmi}", '
                f'"manufacturer": "Tesla", "capacity_kwh": "{5 + n % 20}.5", '
                '"effective_from": null}\n'
            )


def settle(store: ObjectStore, vpps: tuple[str, ...] = ()) -> dict[str, Any]:
    """Settle and publish the month, as the flow does; return the seconds of its stages."""
    request = SettlementRequest(datetime.now(UTC), max_rejected_percent=5, vpps=vpps)
    run = Run(store, MONTH, request, str(uuid4()), "bench", {})
    with run.recorded():
        story.settle_and_publish(run)
    return {"outcome": run.record.outcome, **run.record.stages_seconds}


def change_a_site(store: ObjectStore) -> dict[str, Any]:
    """Record another address of a site."""
    change = {"change": "update-site", "nmi": "6000000007", "address": f"{uuid4()} St"}
    [recorded] = append_changes(store, store.settings, [(1, parse_change(change))], "bench")
    return {"seq": recorded.change.seq}


WORK: dict[str, Callable[[ObjectStore], dict[str, Any]]] = {
    "import": lambda store: {"events": story.import_new_files(store)[1].imported},
    "settle and publish": settle,
    "the same again": settle,
    "one site changed": change_a_site,
    "one VPP's month": lambda store: settle(store, ("vpp-7",)),
}


def work(name: str) -> None:
    """Do one piece of work in this process; print what it took."""
    store, requests = ObjectStore(Settings()), Counter[str]()
    store.client.meta.events.register(
        "before-send.s3", lambda request, **_: requests.update([request.method])
    )
    began, used = perf_counter(), process_time()
    said = WORK[name](store)
    print(
        json.dumps(
            {
                "seconds": round(perf_counter() - began, 2),
                "cpu": round(process_time() - used, 2),
                "peak_mb": peak_mb(),
                "requests": dict(requests),
                "said": said,
            }
        )
    )


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of another process, as Linux counts them."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def s3_server(home: str) -> Iterator[int]:
    """Run an S3 server and point this process and its children at it; yield its process id."""
    url = f"http://127.0.0.1:{PORT}"
    if up.answers(url):
        sys.exit(f"{url} is taken; end what listens there first")
    os.environ |= up.environment(home, url)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.s3", str(PORT), f"{home}/s3"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        up.wait(up.Part("S3", process, Path(os.devnull)), lambda: up.answers(url))
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def main(sites: int, vpps: int) -> None:
    """Make a month of so many sites, and do each piece of work on it."""
    with tempfile.TemporaryDirectory() as home, s3_server(home) as server:
        store = ObjectStore(Settings())
        store.client.create_bucket(Bucket=store.bucket)
        path = Path(home) / "made"
        write_log(path, sites, vpps)
        store.upload(path, keys.REGISTRY_LOG)
        write_events(path, EVENTS_A_SITE * sites, sites)
        store.upload(path, "events/2025-09.csv")
        path.unlink()
        print(f"\n**{EVENTS_A_SITE * sites:,} events of {sites:,} sites in {vpps:,} VPPs**\n")
        print("| what | seconds | CPU s | peak MB | S3: requests | S3: CPU s | |")
        print("|---|--:|--:|--:|--:|--:|---|", flush=True)
        for name in WORK:
            before = cpu_seconds(server)
            done = subprocess.run(
                [sys.executable, "-m", "tests.bench.sites", "--work", name],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            took = json.loads(done.stdout.splitlines()[-1])
            print(
                f"| {name} | {took['seconds']} | {took['cpu']} | {took['peak_mb']:,} "
                f"| {sum(took['requests'].values()):,} | {cpu_seconds(server) - before:.1f} "
                f"| {took['said']} |",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2])
    else:
        count = int(sys.argv[1]) if sys.argv[1:] else 100_000
        main(count, int(sys.argv[2]) if sys.argv[2:] else count // 100)
