"""prefect.yaml on a real server: what is deployed, when it runs by itself, and that it runs."""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, FlowRun, State, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.states import Scheduled

from tests.flows.deployed import DEPLOYMENTS, load
from tests.flows.polling import eventually
from tests.flows.sample import ROOT, TOTALS, json_at, keys, lay_out
from tests.through_s3 import Place

MARKET = ZoneInfo("Australia/Brisbane")


@pytest.fixture(scope="module")
def environment(prefect_api: str, prefect_home: Path) -> dict[str, str]:
    """Return what a machine that deploys or works has in its environment."""
    return {"PREFECT_API_URL": prefect_api, "PREFECT_HOME": str(prefect_home)}


def prefect(environment: dict[str, str], *arguments: str) -> str:
    """Call Prefect's command line in the project's folder, and return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def deployed(environment: dict[str, str]) -> str:
    """Deploy everything, as flows/README.md has it."""
    prefect(environment, "work-pool", "create", "vpp", "--type", "process")
    return prefect(environment, "deploy", "--all")


def read(client: SyncPrefectClient, name: str) -> DeploymentResponse:
    return client.read_deployment_by_name(f"{name}/{name}")


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: str(deployment["name"]))
def test_each_entrypoint_is_the_flow_of_its_deployments_name(deployment: dict[str, Any]) -> None:
    assert load(deployment).name == deployment["name"]
    assert deployment["description"].strip()


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: str(deployment["name"]))
def test_each_deployment_is_found_by_its_tags(deployment: dict[str, Any]) -> None:
    """The alarms go by the first; the UI's list by the second, of which one page shows ten."""
    first, second = deployment["tags"]
    assert first == "vpp-settlement"
    assert second in {"everyday", "registry", "settlement"}
    assert sum("everyday" in other["tags"] for other in DEPLOYMENTS) <= 10


def test_all_flows_are_deployed() -> None:
    deployed = {Path(inspect.getfile(inspect.unwrap(load(d).fn))).name for d in DEPLOYMENTS}
    files = {path.name for path in (ROOT / "flows").glob("*.py") if "@flow" in path.read_text()}
    assert deployed == files
    written = sum(path.read_text().count("\n@flow(") for path in (ROOT / "flows").glob("*.py"))
    assert written == len(DEPLOYMENTS)


@pytest.mark.usefixtures("deployed")
def test_all_is_deployed(client: SyncPrefectClient) -> None:
    names = {deployment["name"] for deployment in DEPLOYMENTS}
    assert {deployment.name for deployment in client.read_deployments()} == names
    for given in DEPLOYMENTS:
        deployment = read(client, given["name"])
        assert deployment.work_pool_name == "vpp"
        assert deployment.entrypoint is not None
        assert deployment.entrypoint.endswith(given["entrypoint"])
        assert deployment.tags == given["tags"]
        assert deployment.description == given["description"]
        assert deployment.enforce_parameter_schema
        assert len(deployment.schedules) == len(given.get("schedules", []))
        limit, options = deployment.global_concurrency_limit, deployment.concurrency_options
        assert bool(limit) == ("concurrency_limit" in given)
        if limit:
            # Whatever would run meanwhile waits; a month that is dropped would be missed by nobody.
            assert limit.limit == given["concurrency_limit"]["limit"]
            assert options is not None
            assert options.collision_strategy == ConcurrencyLimitStrategy.ENQUEUE


@pytest.mark.parametrize("name", ["settle-month", "backfill"])
@pytest.mark.usefixtures("deployed")
def test_what_settles_months_runs_one_at_a_time(client: SyncPrefectClient, name: str) -> None:
    limit = read(client, name).global_concurrency_limit
    assert limit is not None
    assert (limit.limit, limit.active) == (1, True)


@pytest.mark.usefixtures("deployed")
def test_the_monthly_run_is_scheduled_on_the_second_at_six_market_time(
    client: SyncPrefectClient,
) -> None:
    """Runs must really be there: a scheduler that inserts none says nothing about it."""
    deployment = read(client, "settle-month")
    [schedule] = deployment.schedules
    assert schedule.active
    assert isinstance(schedule.schedule, CronSchedule)
    assert schedule.schedule.cron == "0 6 2 * *"
    assert schedule.schedule.timezone == "Australia/Brisbane"

    of_deployment = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]))

    def scheduled() -> list[FlowRun]:
        runs = client.read_flow_runs(flow_run_filter=of_deployment)
        return [run for run in runs if run.auto_scheduled]

    runs = eventually(scheduled, lambda found: len(found) >= 3)

    assert {run.state_type for run in runs} == {StateType.SCHEDULED}
    times = sorted(run.expected_start_time for run in runs if run.expected_start_time)
    local = [at.astimezone(MARKET) for at in times]
    assert [(at.day, at.hour, at.minute) for at in local] == [(2, 6, 0)] * len(runs)
    assert datetime.now(UTC) < times[0] < datetime.now(UTC) + timedelta(days=32)
    months = [at.year * 12 + at.month for at in local]
    assert months == list(range(months[0], months[0] + len(months)))


@pytest.mark.usefixtures("deployed")
def test_a_worker_runs_what_is_due(
    client: SyncPrefectClient, place: Place, environment: dict[str, str], tmp_path: Path
) -> None:
    """From any folder: what it needs is the project installed, and its environment."""
    lay_out(place)
    due = client.create_flow_run_from_deployment(
        read(client, "settle-month").id,
        state=Scheduled(scheduled_time=datetime(2025, 10, 1, 20, tzinfo=UTC)),
    )
    refused = client.create_flow_run_from_deployment(
        read(client, "update-vpp").id, parameters={"vpp": "Nobody", "name": "X"}
    )
    misspelt = client.create_flow_run_from_deployment(
        read(client, "check-settled").id, parameters={"monht": "2025-09"}
    )

    def states() -> list[State[Any]]:
        runs = [client.read_flow_run(made.id) for made in (due, refused, misspelt)]
        return [run.state for run in runs if run.state]

    with worker(environment, tmp_path) as log:
        ended = eventually(
            states,
            lambda found: all(state.is_final() for state in found),
        )
        # The worker sees that its process ended badly, and may not call the run crashed.
        badly = "flow_run_executor - Process exited with status code: 1"
        eventually(lambda: log.read_text().split(badly), lambda parts: len(parts) > 1)

    published = r"2025-09: published, 1 report, 1 new, digest [0-9a-f]{16}"
    assert re.fullmatch(published, ended[0].message or "")
    assert [(state.name, state.message) for state in ended] == [
        ("Completed", ended[0].message),
        ("Refused", "vpp: there is no VPP 'Nobody'; list-registry lists all, create-vpp makes one"),
        ("Refused", "monht: check-settled has no such parameter; it has month"),
    ], log.read_text()[-3000:]
    went = [state.name for state in client.read_flow_run_states(misspelt.id)]
    assert (went[-1], "Crashed" in went) == ("Refused", False)
    assert "Traceback" not in log.read_text()
    assert {"vpp-settlement", "2025-09"} <= set(client.read_flow_run(due.id).tags)
    assert client.read_flow_run(due.id).name == "settle 2025-09"
    assert json_at(place, "reports/2025-09/test-vpp-one.json")["totals"].items() >= TOTALS.items()
    [record] = [json_at(place, key) for key in keys(place, "runs/2025-09/")]
    assert (record["run_id"], record["outcome"]) == (str(due.id), "published")


@contextmanager
def worker(environment: dict[str, str], folder: Path) -> Iterator[Path]:
    """Let a worker of the pool work in a folder, and yield its log."""
    log = folder / "worker.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", "vpp"],
            cwd=folder,
            env={**os.environ, **environment, "PREFECT_WORKER_QUERY_SECONDS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield log
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("name", "parameters", "field"),
    [
        ("settle-month", {"month": "2025-13"}, "month"),
        ("settle-month", {"max_rejected_percent": 101}, "max_rejected_percent"),
        ("settle-month", {"vpps": "Test VPP One"}, "vpps"),
        ("backfill", {"from_month": "2025-09"}, "to_month"),
        ("create-vpp", {"name": "A", "revenue_percentage": -1}, "revenue_percentage"),
        (
            "create-vpp",
            {"name": "A", "revenue_percentage": 1, "charge_events": "x"},
            "charge_events",
        ),
        (
            "add-battery",
            {"nmi": "9876543210", "manufacturer": "A", "serial": "B", "capacity_kwh": "much"},
            "capacity_kwh",
        ),
    ],
)
@pytest.mark.usefixtures("deployed")
def test_the_server_refuses_parameters_that_do_not_fit(
    client: SyncPrefectClient,
    prefect_api: str,
    name: str,
    parameters: dict[str, Any],
    field: str,
) -> None:
    answer = httpx.post(
        f"{prefect_api}/deployments/{read(client, name).id}/create_flow_run",
        json={"parameters": parameters},
    )
    assert answer.status_code == 409
    assert field in answer.json()["detail"]
