"""What Prefect's server has on record; some of it arrives a moment after a run has ended."""

import time
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterName,
)
from prefect.client.schemas.objects import TaskRun

T = TypeVar("T")

WITHIN_SECONDS = 120


def eventually(look: Callable[[], list[T]], is_there: Callable[[list[T]], bool]) -> list[T]:
    """Look again and again until it is there; return what was found."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not is_there(found := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {WITHIN_SECONDS} seconds; last there was {found}")
        time.sleep(0.2)
    return found


def task_runs(client: SyncPrefectClient, flow_run: UUID, name: str = "") -> list[TaskRun]:
    """Return a flow run's task runs (of this name), once all of them are recorded as ended."""
    by_run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run]))
    by_name = TaskRunFilter(name=TaskRunFilterName(any_=[name])) if name else None
    return eventually(
        lambda: client.read_task_runs(flow_run_filter=by_run, task_run_filter=by_name),
        lambda runs: bool(runs) and all(run.state and run.state.is_final() for run in runs),
    )
