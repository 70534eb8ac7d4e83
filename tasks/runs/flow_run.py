"""What a flow takes from its Prefect run: its month, its turn, and who started it.

The flows call these; the rooms below work without Prefect.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from tasks.core.month import Month
from tasks.core.request import SettlementRequest
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.runs import summary
from tasks.runs.run import Run


def task_runner() -> TaskRunner[PrefectFuture[Any]]:
    """Return the task runner of the settings, which runs the imports of a flow.

    Threads by default, two of them: Polars and DuckDB use all cores themselves, and the second
    import reads from S3 while the first one parses. Dask and Ray put each import on another
    machine; all that they exchange is on S3.
    """
    settings = Settings()
    address = settings.task_runner_address or None
    runner: Any = ThreadPoolTaskRunner(max_workers=2)
    if settings.task_runner == "dask":
        from prefect_dask.task_runners import DaskTaskRunner

        local = {"n_workers": 2, "threads_per_worker": 1}
        runner = DaskTaskRunner(address=address, cluster_kwargs=None if address else local)
    elif settings.task_runner == "ray":
        from prefect_ray.task_runners import RayTaskRunner

        runner = RayTaskRunner(address=address)
    return cast("TaskRunner[PrefectFuture[Any]]", runner)


def open_store() -> ObjectStore:
    """Return the store that this process is configured for."""
    return ObjectStore(Settings())


def month_or_previous(month: str) -> Month:
    """Return the month that was given, or the one before the run's scheduled time in market time.

    A run that starts late, after downtime or at a retry, keeps its scheduled time, and so settles
    the month that it was meant to.
    """
    if month:
        return Month.parse(month)
    scheduled = runtime.flow_run.scheduled_start_time or datetime.now(UTC)
    return Month.of(scheduled, Settings().timezone).previous


def recorded_by() -> str:
    """Name this run for logs that outlive Prefect's database."""
    return f"flow-run/{runtime.flow_run.id}"


def started_by() -> str:
    """Name who started this run, as far as Prefect knows."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.created_by is None:
        return "a call from Python"
    return f"{run.created_by.type}: {run.created_by.display_value}"


@contextmanager
def settlement_run(
    month: Month, request: SettlementRequest, parameters: dict[str, Any]
) -> Iterator[Run]:
    """Run a settlement in its turn among others of its month.

    Its record is written at the end, however it ends, and an event is emitted.
    """
    run = Run(open_store(), month, request, str(runtime.flow_run.id), started_by(), parameters)
    try:
        with run.recorded(), _one_at_a_time(month):
            yield run
    finally:
        summary.announce_settlement(run)


@contextmanager
def _one_at_a_time(month: Month) -> Iterator[None]:
    """Wait while another run settles this month, whatever flow it was started by.

    This only keeps the history in order; what is published is right without it. The place of a run
    that dies is free when its lease runs out.
    """
    name = f"settle-{month}"
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(name, 1)
    with concurrency(name, occupy=1, lease_duration=60, strict=True):
        yield
