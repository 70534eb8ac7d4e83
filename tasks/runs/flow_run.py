"""What a flow takes from its Prefect run: its month, its turn, its tags, and who started it.

The flows call these; the rooms below work without Prefect.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, cast

import httpx
from prefect import runtime, tags
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.request import SettlementRequest
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.runs import summary, telemetry
from tasks.runs.run import Run, user_and_machine
from tasks.runs.stage import run_logger

# Who started the run that started this one.
_parents_starter: ContextVar[str] = ContextVar("parents_starter", default="")


def task_runner() -> TaskRunner[PrefectFuture[Any]]:
    """Return the task runner of the settings, which runs the imports of a flow.

    Threads by default, two of them: Polars and DuckDB use all cores themselves, and the second
    import reads from S3 while the first one parses. Dask and Ray put each import on another
    machine; all that they exchange is on S3. This is called when a flow is loaded; where a setting
    is wrong, the flow itself says so.
    """
    try:
        settings = Settings()
    except Refused:
        return cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=2))
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


def month_in_name(month: str) -> str:
    """Return the month as the run's name has it, whatever is wrong with it or with the settings."""
    try:
        return str(month_or_previous(month))
    except (Refused, TypeError):
        return str(month)


def recorded_by() -> str:
    """Name this run for logs that outlive Prefect's database."""
    return f"flow-run/{runtime.flow_run.id}"


def started_by() -> str:
    """Name who started this run: what Prefect knows, or the user of this machine."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is not None and run.created_by is not None:
        return f"{run.created_by.type}: {run.created_by.display_value}".lower()
    if run is not None and run.deployment_id is not None:
        return "a person or program, through Prefect"  # which does not say who
    return _parents_starter.get() or user_and_machine()


@contextmanager
def passing_on() -> Iterator[None]:
    """Let the runs that this one starts have its tags, which alarms go by, and who started it."""
    token = _parents_starter.set(started_by())
    try:
        with tags(*(runtime.flow_run.tags or [])):
            yield
    finally:
        _parents_starter.reset(token)


def add_tags(*names: str) -> None:
    """Tag this run, so that it is found by its month and VPPs. Where that fails it goes on."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    run = context.flow_run
    new = [name for name in dict.fromkeys(names) if name not in run.tags]
    if not new:
        return
    try:
        with get_client(sync_client=True) as client:
            client.update_flow_run(run.id, tags=[*run.tags, *new])
        run.tags = [*run.tags, *new]
    except Exception as problem:
        run_logger().warning("the run could not be tagged with %s: %s", ", ".join(new), problem)


@contextmanager
def settlement_run(
    month: Month, request: SettlementRequest, parameters: dict[str, Any]
) -> Iterator[Run]:
    """Run a settlement in its turn among others of its month.

    Its record is written at the end, however it ends, and an event is emitted.
    """
    run = Run(open_store(), month, request, str(runtime.flow_run.id), started_by(), parameters)
    add_tags(str(month))
    try:
        with run.recorded(), _one_at_a_time(run.store.settings, month):
            yield run
    finally:
        telemetry.count_settlement(run.record_now())
        summary.announce_settlement(run)


def turn_name(settings: Settings, month: Month) -> str:
    """Name what lets one run at a time settle a month: two places on one Prefect have two."""
    place = re.sub("[^A-Za-z0-9._]+", "-", f"{settings.bucket}/{settings.prefix}").strip("-")
    return f"settle-{place}-{month}"


@contextmanager
def _one_at_a_time(settings: Settings, month: Month) -> Iterator[None]:
    """Wait while another run settles this month of this place, whatever flow it was started by.

    This only keeps the history in order; what is published is right without it. The place of a run
    that dies, or that cannot give it back, is free when its lease runs out.
    """
    name = turn_name(settings, month)
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(name, 1)
    turn = ExitStack()
    turn.enter_context(concurrency(name, occupy=1, lease_duration=60, strict=True))
    try:
        yield
    finally:
        with suppress(httpx.TransportError):
            turn.close()
