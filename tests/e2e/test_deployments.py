"""prefect.yaml on a real server: what is deployed, and when it runs by itself."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.e2e.stack import Stack, eventually
from tests.flows.deployed import DEPLOYMENTS

MARKET = ZoneInfo("Australia/Brisbane")


def test_all_is_deployed(stack: Stack) -> None:
    assert set(stack.deployments) == {deployment["name"] for deployment in DEPLOYMENTS}
    for given in DEPLOYMENTS:
        deployment = stack.deployments[given["name"]]
        assert deployment["work_pool_name"] == "vpp"
        assert deployment["entrypoint"].endswith(given["entrypoint"])
        assert deployment["tags"] == given["tags"]
        assert deployment["description"] == given["description"]
        assert deployment["enforce_parameter_schema"]
        assert len(deployment["schedules"]) == len(given.get("schedules", []))
        limit = deployment["global_concurrency_limit"]
        assert bool(limit) == ("concurrency_limit" in given)
        if limit:
            # Whatever would run meanwhile waits; a month that is dropped would be missed by nobody.
            assert limit["limit"] == given["concurrency_limit"]["limit"]
            assert deployment["concurrency_options"]["collision_strategy"] == "ENQUEUE"


@pytest.mark.parametrize("name", ["settle-month", "backfill"])
def test_what_settles_months_runs_one_at_a_time(stack: Stack, name: str) -> None:
    limit = stack.deployments[name]["global_concurrency_limit"]
    assert (limit["limit"], limit["active"]) == (1, True)


def test_the_monthly_run_is_scheduled_on_the_second_at_six_market_time(stack: Stack) -> None:
    """Runs must really be there: a scheduler that inserts none says nothing about it."""
    [schedule] = stack.deployments["settle-month"]["schedules"]
    assert schedule["active"]
    assert schedule["schedule"]["cron"] == "0 6 2 * *"
    assert schedule["schedule"]["timezone"] == "Australia/Brisbane"

    def look() -> list[dict[str, Any]]:
        runs = stack.scheduled("settle-month")
        return runs if len(runs) >= 3 else []

    runs = eventually(look, 60, "scheduled runs")
    times = sorted(datetime.fromisoformat(run["expected_start_time"]) for run in runs)
    local = [at.astimezone(MARKET) for at in times]
    assert [(at.day, at.hour, at.minute) for at in local] == [(2, 6, 0)] * len(runs)
    assert datetime.now(UTC) < times[0] < datetime.now(UTC) + timedelta(days=32)
    months = [at.year * 12 + at.month for at in local]
    assert months == list(range(months[0], months[0] + len(months)))
