"""The import map on Dask and on Ray: worker processes of their own, and the same bytes."""

import pytest

from flows.settle import settle_month
from tasks.core.change_file import read_changes
from tasks.imports import inbox_files
from tasks.io.registry_log import append_changes
from tasks.runs.flow_run import task_runner
from tests.flows.sample import ROOT
from tests.through_s3 import Place


def settled(place: Place, runner: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settle the demo's August on a task runner; return all that came of it, with ETags."""
    monkeypatch.setenv("VPP_TASK_RUNNER", runner)
    place.point_at(monkeypatch)
    data = ROOT / "data" / "demo"
    for path in sorted((data / "events" / "2025-08").glob("*.csv")):
        place.store.upload(path, f"events/{path.name}")
    changes = read_changes((data / "registry.jsonl").read_bytes())
    append_changes(place.store, place.settings, changes, "test")
    settle_month.with_options(task_runner=task_runner())(month="2025-08")
    return {
        key: etag
        for key, etag in place.objects().items()
        if key.startswith(("imports/", "reports/")) and not key.endswith("catalog.parquet")
    }


@pytest.mark.parametrize("runner", ["dask", "ray"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_the_same_bytes_as_on_threads(
    runner: str, prefect_api: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_files, "_GROUP_OBJECTS", 1)  # an import a file: four to hand out
    on_threads = settled(Place(), "threads", monkeypatch)
    elsewhere = settled(Place(), runner, monkeypatch)
    assert sum(key.endswith("events.parquet") for key in on_threads) == 4
    assert elsewhere == on_threads
