"""Write the expected reports of the demo data, and what data/ has of code: `make golden`."""

import json
from pathlib import Path

from flows.commands.demo import DATA, load
from tasks.core import report, run_record
from tasks.core.change_file import read_changes
from tasks.io.embedded_s3 import embedded_s3
from tasks.io.registry_log import append_changes
from tasks.pages import results
from tests.through_s3 import Place

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
MONTHS = ("2025-06", "2025-07", "2025-08", "2025-09", "2025-10")


def load_demo(place: Place) -> None:
    """Put the demo's files into the inbox, and its changes into the registry."""
    load(place.store)
    changes = read_changes((DATA / "registry.jsonl").read_bytes())
    append_changes(place.store, place.settings, changes, "test")


def demo_reports() -> dict[str, bytes]:
    """Settle the demo data; return each report's bytes by file name."""
    place = Place()
    load_demo(place)
    return {
        f"{month}-{settled.vpp_id}.json": settled.to_bytes()
        for month in MONTHS
        for settled in place.settle(month).reports
    }


def schemas() -> dict[str, bytes]:
    """Return the published JSON Schemas by file name."""
    documents = {
        "report.schema.json": report.json_schema(),
        "run_record.schema.json": run_record.json_schema(),
    }
    return {
        name: (json.dumps(schema, indent=2) + "\n").encode() for name, schema in documents.items()
    }


if __name__ == "__main__":
    with embedded_s3():
        for name, data in demo_reports().items():
            (FOLDER / name).write_bytes(data)
    for name, data in schemas().items():
        (ROOT / "data" / name).write_bytes(data)
    (ROOT / "data" / "results.md").write_text(results.dictionary())
