"""A month to settle again and again: its inputs, and what must be published from them.

A settlement runs in a process of its own (`python -m tests.torture.month`), so that it can be
killed. It is the story of a run without Prefect, and so without the stages' retries, unless it is
started as the flow.
"""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from flows import story
from tasks.core.month import Month
from tasks.core.month_record import MonthRecord
from tasks.core.request import SettlementRequest
from tasks.core.run_record import SettledRunRecord
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.runs.run import Run
from tests.through_s3 import Place

MONTH = "2025-09"
VPPS = ("one", "two", "three")


def lay_out(place: Place) -> None:
    """Put the registry and the month's first files."""
    changes: list[dict[str, Any]] = []
    for number, vpp in enumerate(VPPS):
        changes.append({"change": "create-vpp", "name": vpp, "revenue_percentage": 20 + number})
        for nmi in _sites(number):
            site = {"change": "create-site", "nmi": nmi, "vpp": vpp, "address": f"{nmi} St"}
            changes.append(site)
        battery = {"serial": f"S{number}", "manufacturer": "Tesla", "capacity_kwh": 13.5}
        changes.append({"change": "add-battery", "nmi": _sites(number)[0], **battery})
    place.record(changes)
    for number, vpp in enumerate(VPPS):
        place.put(f"{vpp}.csv", _events(number, tariff="25.5"))
    place.put("dirty.csv", ["6001000001,2025-09-31,Discharge,1,1"])


def replace_inputs(place: Place) -> None:
    """Put other events, so that each report gets another revision."""
    for number, vpp in enumerate(VPPS):
        place.put(f"{vpp}.csv", _events(number, tariff="31.75"))


def _sites(number: int) -> list[str]:
    return [f"60010000{number}{site}" for site in range(3)]


def _events(number: int, tariff: str) -> list[str]:
    return [
        f"{nmi},{MONTH}-{day:02},Discharge,1.{day:02}{number},{tariff}"
        for nmi in _sites(number)
        for day in range(1, 31)
    ]


def published(store: ObjectStore) -> dict[str, bytes]:
    """Return all that is below reports/."""
    found = {v.key: store.read(v.key) for v in store.versions("reports/")}
    return {key: answer[0] for key, answer in found.items() if answer}


def month_record(store: ObjectStore) -> MonthRecord | None:
    """Return the one object that says whether the month is whole."""
    found = store.read(f"months/{MONTH}.json")
    return MonthRecord.model_validate_json(found[0]) if found else None


def settle(store: ObjectStore) -> SettledRunRecord:
    """Settle the month, here."""
    request = SettlementRequest(datetime.now(UTC), 100, allow_missing=True)
    run = Run(store, Month.parse(MONTH), request, str(uuid4()), "torture", {})
    with run.recorded():
        story.settle_and_publish(run)
    assert isinstance(run.record, SettledRunRecord)
    return run.record


def start(
    place: Place, endpoint: str, folder: Path, as_flow: bool = False
) -> "subprocess.Popen[str]":
    """Start a settlement in a process of its own, which has its temporary files in a folder.

    As the flow it has a Prefect server of its own there.
    """
    environment = {
        **place.environment,
        "AWS_ENDPOINT_URL_S3": endpoint,
        "TMPDIR": str(folder),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.torture.month", *["flow"] * as_flow],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_behind(folder: Path) -> list[str]:
    """Return the names of temporary files and folders."""
    return sorted(path.name for path in folder.iterdir())


def main() -> None:
    """Settle the month where the environment says; print what became of it."""
    if sys.argv[1:] == ["flow"]:
        from flows.settle import settle_month

        outcome = settle_month(MONTH, max_rejected_percent=100, allow_missing=True)["outcome"]  # type: ignore[index]
    else:
        outcome = settle(ObjectStore(Settings())).outcome
    print(json.dumps({"outcome": outcome}))


if __name__ == "__main__":
    main()
