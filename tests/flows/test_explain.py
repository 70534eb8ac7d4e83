"""explain-site, verify-report and month-tables: what they give, and what they refuse."""

import io
from zipfile import ZipFile

import duckdb
import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from flows.explain import explain_site, month_tables, verify_report
from flows.settle import settle_month
from tests.flows.sample import EVENTS, REGISTRY, bytes_at, lay_out, refusal, run
from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("prefect_api")

NMI = "9876543210"
REPORT = "reports/2025-09/test-vpp-one.json"
R1 = "reports/2025-09/test-vpp-one/r1.json"
BUNDLE = f"disputes/2025-09/test-vpp-one/{NMI}-r1.zip"


@pytest.fixture
def settled(place: Place) -> Place:
    lay_out(place)
    run(settle_month, "2025-09")
    return place


def test_explain_site_links_a_bundle_and_shows_the_explanation(
    settled: Place, client: SyncPrefectClient
) -> None:
    result = run(explain_site, "Test VPP One", NMI, "2025-09")
    assert result["key"] == BUNDLE
    with ZipFile(io.BytesIO(httpx.get(result["url"]).content)) as bundle:
        assert bundle.namelist()[0] == "HOW-TO-CHECK.md"
        guide = bundle.read("HOW-TO-CHECK.md").decode()
    assert "1.40 before fees, 1.40 fee, 0.00 after fees" in guide
    key = f"explanation-2025-09-{NMI}-test-vpp-one"
    [artifact] = client.read_artifacts(
        artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
    )
    assert f"# {NMI} in 2025-09: 0.00 AUD" in str(artifact.data)
    before = settled.objects()
    run(explain_site, "test-vpp-one", NMI, "2025-09")
    assert settled.objects() == before


def test_each_revision_is_verified_after_all_has_changed(settled: Place) -> None:
    settled.put("events_file.csv", [*EVENTS, f"{NMI},2025-09-03,Discharge,1,100"])
    settled.record([{"change": "update-vpp", "vpp": "test-vpp-one", "revenue_percentage": "30"}])
    run(settle_month, "2025-09")
    settled.store.delete("events/events_file.csv")
    for revision in (1, 2):
        said = run(verify_report, "test vpp one", "2025-09", revision)
        assert said.startswith(f"reports/2025-09/test-vpp-one/r{revision}.json: same bytes")
    assert run(verify_report, "test vpp one", "2025-09").startswith(f"{REPORT}: same bytes")


def test_a_report_that_was_tampered_with_fails(settled: Place) -> None:
    data = bytes_at(settled, R1)
    settled.store.write(R1, data.replace(b'"total_revenue": 1.75', b'"total_revenue": 1.74'))
    message = refusal(verify_report, "test-vpp-one", "2025-09", 1)
    assert message.startswith(f"{R1} is not what the inputs in runs/2025-09/")
    assert message.endswith(
        "line 5: '\"total_revenue\": 1.74,' is published, '\"total_revenue\": 1.75,' recomputed"
    )
    assert "same bytes" in run(verify_report, "test-vpp-one", "2025-09")
    settled.store.write(REPORT, data.replace(b"1.4,", b"1.3,"))
    message = refusal(explain_site, "test-vpp-one", NMI, "2025-09")
    assert message == f"{REPORT} is not what its inputs give; see verify-report for how it differs"


def test_what_is_not_there_is_refused(settled: Place) -> None:
    settled.record(
        [
            {"change": "create-vpp", "name": "Two", "revenue_percentage": "10"},
            {**REGISTRY[1], "nmi": "6001000001", "vpp": "two"},
        ]
    )
    before = settled.objects()
    one = "test-vpp-one"
    assert refusal(explain_site, "three", NMI, "2025-09").startswith("vpp: there is no VPP 'three'")
    assert refusal(explain_site, one, "12", "2025-09").startswith("nmi: '12' is not an NMI")
    assert refusal(explain_site, one, "6001000001", "2025-09") == (
        "nmi: site 6001000001 was no member of Test VPP One in 2025-09; its report has 1 other"
    )
    assert refusal(explain_site, "two", "6001000001", "2025-09") == (
        "two in 2025-09 is not published; run settle-month for it first"
    )
    assert refusal(verify_report, one, "2025-09", 2) == (
        f"revision: {one} in 2025-09 has no revision 2; the last one is 1"
    )
    assert refusal(month_tables, "2025-08") == (
        "2025-08 is not settled yet; run settle-month for it first"
    )
    assert settled.objects() == before


def test_month_tables_are_one_file_for_duckdb(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """They are of the newest run. Of two in one second nobody knows which that is: here is one."""
    lay_out(place)
    place.put("stranger.csv", ["6001000001,2025-09-05,Charge,4,10"])
    run(settle_month, "2025-09")
    assert run(month_tables, "2025-09")["key"] == "tables/2025-09.duckdb"
    path = tmp_path_factory.mktemp("tables") / "month.duckdb"
    path.write_bytes(bytes_at(place, "tables/2025-09.duckdb"))
    with duckdb.connect(str(path), read_only=True) as connection:
        names = {name for (name,) in connection.execute("show tables").fetchall()}
        statements = connection.execute("select vpp, nmi, fee_cents from site_statements")
        assert statements.fetchall() == [("test-vpp-one", NMI, 140)]
        strangers = connection.execute("select nmi, is_known, energy_kwh from unassigned")
        assert [(nmi, known, float(kwh)) for nmi, known, kwh in strangers.fetchall()] == [
            ("6001000001", False, 4.0)
        ]
        [seen] = connection.execute("select registry_seq from settled_by").fetchall()
    assert seen == (3,)
    assert names >= {
        "spans",
        "vpp_days",
        "site_days",
        "month_events",
        "site_days_revenue",
        "pools",
        "site_months",
        "allotted",
        "site_statements",
        "vpp_statements",
    }
