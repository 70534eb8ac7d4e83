"""What an operator sees of missing data: in a refusal, a summary, a preview, and check-settled."""

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from flows.check import check_settled
from flows.reports import generate_report
from flows.settle import settle_month
from tests.flows.sample import EVENTS, REGISTRY, json_at, refusal, run
from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("prefect_api")

SILENT = "no event of two (1 site; the last one is of 2025-08-31)"
WHAT_TO_DO = (
    "Put the missing files into the inbox (events/), or run settle-month with allow_missing"
)


@pytest.fixture
def without_two(place: Place) -> Place:
    """Give a September in which the file of one of two VPPs is missing."""
    two = {"change": "create-vpp", "name": "Two", "revenue_percentage": "1"}
    site = {"change": "create-site", "nmi": "6002000001", "vpp": "Two", "address": "2 B St"}
    place.record([*REGISTRY, two, site])
    place.put("one.csv", EVENTS)
    place.put("two.csv", ["6002000001,2025-08-31,Discharge,1,1"])
    return place


def summary(client: SyncPrefectClient, key: str) -> str:
    """Return the last artifact of a key."""
    last, *_ = client.read_artifacts(
        artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])),
        sort=ArtifactSort.CREATED_DESC,
    )
    return str(last.data)


def test_a_vpp_without_an_event_is_refused_unless_that_is_allowed(
    without_two: Place, client: SyncPrefectClient
) -> None:
    preview = run(settle_month, "2025-09", preview=True)
    shown = summary(client, "preview-2025-09")
    assert f"Missing:\n\n- {SILENT}\n" in shown
    assert f"To publish this takes allow_missing: {SILENT}." in shown

    assert refusal(settle_month, "2025-09") == f"2025-09 is not settled: {SILENT}. {WHAT_TO_DO}"
    assert SILENT in refusal(generate_report, "Two", "2025-09")
    run(generate_report, "Test VPP One", "2025-09")
    assert "Missing:" not in summary(client, "settlement-2025-09")

    allowed = run(settle_month, "2025-09", allow_missing=True)
    assert allowed["digest"] == preview["digest"]
    assert f"Missing:\n\n- {SILENT}\n" in summary(client, "settlement-2025-09")
    record = json_at(without_two, allowed["run_record"])
    assert record["parameters"]["allow_missing"] is True
    assert [vpp["vpp"] for vpp in record["missing"]["vpps"]] == ["two"]
    assert run(check_settled, "2025-09") == allowed["run_record"]
