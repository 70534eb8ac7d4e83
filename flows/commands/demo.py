"""The whole thing on this machine: `make demo`.

Starts an embedded S3 and a temporary Prefect server, loads the data set of `data/demo`, settles
2025-09, backfills the three months before, settles 2025-10, of which half is meter data, and prints
the results. Nothing is left running; a copy of what was published is left in `build/demo`, replaced
at each run.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from tasks.core import keys
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.report import Report
from tasks.core.run_record import SettledRunRecord, parse_run_record
from tasks.core.settings import Settings
from tasks.imports.catalog import KINDS
from tasks.io.embedded_s3 import embedded_s3
from tasks.io.object_store import ObjectStore
from tasks.io.workspace import workspace

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data" / "demo"
COPY = ROOT / "build" / "demo"
MONTH = "2025-09"
EARLIER = ("2025-06", "2025-08")
METERED = "2025-10"

_started = time.monotonic()


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"[{time.monotonic() - _started:5.1f} s] {text}", flush=True)


def table(head: list[str], body: list[list[Any]]) -> None:
    """Print rows under a head; numbers to the right."""
    texts = [[f"{c:,.2f}" if isinstance(c, float) else str(c) for c in row] for row in body]
    widths = [max(map(len, column)) for column in zip(head, *texts, strict=True)]
    is_number = [isinstance(cell, int | float) for cell in body[0]]
    for row in [head, ["-" * width for width in widths], *texts]:
        cells = zip(row, widths, is_number, strict=True)
        print("  " + "  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in cells).rstrip())
    print()


def load(store: ObjectStore) -> None:
    """Put the data set where an operator's systems would: the inbox, and a file of changes."""
    for kind in KINDS:
        for path in sorted((DATA / kind.folder).rglob("*.*")):
            store.upload(path, path.relative_to(DATA).as_posix())
    store.upload(DATA / "registry.jsonl", "registry/uploads/demo.jsonl")


def show(store: ObjectStore, runs: list[list[Any]]) -> None:
    """Print what was published, what was rejected, and the run history."""
    reports = [
        json.loads(store.read(version.key)[0])  # type: ignore[index]
        for version in store.versions("reports/")
        if version.key.count("/") == 2
    ]
    print("\nWhat each VPP earned (AUD)\n")
    table(
        ["month", "VPP", "sites", "total revenue", "VPP total", "sites after fees", "revision"],
        [
            [
                report["month"],
                report["vpp"],
                len(report["sites"]),
                report["totals"]["total_revenue"],
                report["totals"]["vpp_total_revenue"],
                report["totals"]["site_total_revenue_after_fees"],
                report["settlement"]["revision"],
            ]
            for report in reports
        ],
    )
    report = min(
        (report for report in reports if report["month"] == MONTH), key=lambda r: len(r["sites"])
    )
    key = f"reports/{MONTH}/{report['settlement']['vpp_id']}.json"
    shown = {**report, "sites": dict(list(report["sites"].items())[:2])}
    print(f"One report, {key} (its first 2 of {len(report['sites'])} sites)\n")
    print(json.dumps(shown, indent=2), end="\n\n")
    [record] = [
        json.loads(store.read(version.key)[0])  # type: ignore[index]
        for version in store.versions(f"runs/{MONTH}/")
    ]
    print(f"Rejected in {MONTH}: {record['rejected_rows']} of {record['rows']} rows\n")
    for file in record["rejected"]:
        table(["reason", "rows"], [[reason, count] for reason, count in file["reasons"].items()])
    rejected = store.read(keys.rejected_rows(Month.parse(MONTH)))
    (COPY / "rejected.csv").write_bytes(rejected[0])  # type: ignore[index]
    at_stake = record["at_stake"]
    print(
        f"{at_stake['aud']:.2f} AUD are at stake in the {at_stake['rows']} of them whose energy "
        f"and tariff can be read.\nCorrect them in {keys.rejected_rows(Month.parse(MONTH))} and "
        "upload that to the inbox; its first row:\n"
    )
    print("  " + "\n  ".join((COPY / "rejected.csv").read_text().splitlines()[:2]) + "\n")
    print("Unassigned: events of sites that were in no VPP on their day\n")
    table(
        ["site", "in the registry", "events", "kWh"],
        [
            [site["nmi"], "yes" if site["is_known"] else "no", site["events"], site["energy_kwh"]]
            for site in record["unassigned"]
        ],
    )
    show_meters(store)
    print("Run history, as Prefect has it\n")
    table(["run", "state", "seconds"], runs)


def show_meters(store: ObjectStore) -> None:
    """Print what of a month came from meters, what is missing of it, and what was sent again."""
    reports = [
        Report.model_validate_json(store.read(version.key)[0])  # type: ignore[index]
        for version in store.versions(f"reports/{METERED}/")
        if version.key.count("/") == 2
    ]
    print(f"{METERED}: half of the sites are settled from their meters, at the market's prices\n")
    body: list[list[Any]] = []
    for report in reports:
        meters = [site for site in report.sites.values() if site.basis == "meter"]
        body.append(
            [
                report.vpp,
                len(report.sites) - len(meters),
                len(meters),
                sum(site.intervals_expected or 0 for site in meters),
                sum(site.intervals_missing or 0 for site in meters),
            ]
        )
    head = ["VPP", "basis events", "basis meter", "intervals expected", "missing"]
    table(head, body)
    [version] = store.versions(f"runs/{METERED}/")
    record = parse_run_record(store.read(version.key)[0])  # type: ignore[index]
    assert isinstance(record, SettledRunRecord) and record.readings  # the demo settles it
    for of_vpp in record.missing_intervals:
        for site in of_vpp.sites:
            days = ", ".join(map(str, site["days"]))
            print(f"Missing: {site['missing']} intervals of {site['nmi']} on {days}")
    print(
        f"Sent again: {record.readings.superseded} of {record.readings.rows:,} days of a channel. "
        "The latest version counts, and replaces the whole day.\n"
    )


def keep(store: ObjectStore) -> None:
    """Leave a copy of what was published and recorded on this machine."""
    for version in [*store.versions("reports/"), *store.versions("runs/")]:
        path = COPY / version.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.read(version.key)[0])  # type: ignore[index]


def main() -> None:
    """Run the demo."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    with workspace("demo") as home, embedded_s3():
        os.environ |= {
            "PREFECT_HOME": str(home),  # whatever Prefect this machine has is left alone
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_LOGGING_LEVEL": "WARNING",
        }
        os.environ.pop("PREFECT_API_URL", None)
        store = ObjectStore(Settings())
        say(f"embedded S3 is up; loading {DATA.relative_to(ROOT)}")
        load(store)
        say("starting a temporary Prefect server (10 to 30 seconds)")
        from flows.backfill import backfill
        from flows.registry import import_registry
        from flows.settle import settle_month

        imported: Any = import_registry("registry/uploads/demo.jsonl")
        say(f"registry: {imported['changes']} changes recorded; settling {MONTH}")
        settle_month(MONTH)
        say(f"{MONTH} is settled; backfilling {EARLIER[0]} to {EARLIER[1]}")
        backfill(*EARLIER)
        say(f"settling {METERED}: NEM12 meter data and market prices, beside events")
        settle_month(METERED)
        say("done")
        keep(store)
        show(store, _runs())
    print(
        f"Where to look next: {COPY.relative_to(ROOT)}/reports and runs (a copy of the bucket), "
        "data/README.md (what is in the files), README.md (how it works)."
    )


def _runs() -> list[list[Any]]:
    """Return all flow runs: name, state and seconds, in the order in which they began."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort

    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(sort=FlowRunSort.START_TIME_ASC)
    return [
        [run.name, run.state_name or "", round(run.total_run_time.total_seconds(), 1)]
        for run in runs
    ]


if __name__ == "__main__":
    try:
        main()
    except Refused as problem:
        sys.exit(str(problem))
