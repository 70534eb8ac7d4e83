"""A stage of a run: a plain function, which inside a flow run is a Prefect task.

As a task it has retries: a failure of the network is retried, with backoff and jitter. What a
person can correct is never retried: it ends a run as refused with a sentence, and no traceback.
Outside a flow run (the line program, tests) a stage is its function, and nothing of Prefect is
loaded.
"""

import _datetime  # type: ignore[import-not-found]
import ctypes
import logging
import sys
from collections.abc import Callable, Sequence
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from tasks.core.errors import LostRace, Refused, Unreachable

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State, TaskRun
    from prefect.futures import PrefectFutureList
    from prefect.tasks import Task

# Python frees datetime's C interface before the last garbage, and the time zones of pydantic, which
# are in Prefect's models, are freed by it: a process that was done ended in a segmentation fault
# now and then (pydantic's issue 12867). With one more reference the interface stays.
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_datetime.datetime_CAPI))

P = ParamSpec("P")
R = TypeVar("R")


def is_in_flow_run() -> bool:
    """Say whether this is called inside a flow run or a task run of Prefect."""
    if "prefect" not in sys.modules:
        return False
    from prefect.context import FlowRunContext, TaskRunContext

    return FlowRunContext.get() is not None or TaskRunContext.get() is not None


def run_logger() -> "logging.Logger | logging.LoggerAdapter[Any]":
    """Return the logger of this run: Prefect's, where there is one."""
    if not is_in_flow_run():
        return logging.getLogger("vpp")
    from prefect import get_run_logger

    return get_run_logger()


def refusals_as_sentences(function: Callable[P, R]) -> Callable[P, R]:
    """Let a run that is refused, or cannot reach S3, end with that sentence alone.

    For Prefect a refused run is a failed one, whose state has a name of its own: alarms tell the
    two apart.
    """

    @wraps(function)
    def sentenced(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (Refused, LostRace, Unreachable) as problem:
            from prefect.states import Failed

            name = "Failed" if isinstance(problem, Unreachable) else "Refused"
            # Without its traceback, whose frames would keep databases alive as long as the state.
            said = problem.with_traceback(None)
            return Failed(name=name, message=str(problem), data=said)  # type: ignore[return-value]

    return sentenced


def _is_passing(task: "Task[..., Any]", task_run: "TaskRun", state: "State[Any]") -> bool:
    """Say whether a failure may be gone at the next try: S3 or the network, not the data."""
    try:
        state.result()
    except Unreachable:
        return True
    except Exception:
        return False
    return False


class Stage(Generic[P, R]):
    """A stage, called like the function that it is made of, whatever state its task ends in.

    When a task returns a state, Prefect gives its caller that state and raises nothing. A stage
    raises the exception that is in it.
    """

    def __init__(self, function: Callable[P, R], run_name: str | Callable[[], str]) -> None:
        self.function = function
        self.run_name = run_name

    @cached_property
    def task(self) -> "Task[P, R]":
        """Return the stage as a task."""
        from prefect import task
        from prefect.cache_policies import NO_CACHE

        return task(
            task_run_name=self.run_name,
            retries=4,
            # A connection that is refused ends a call within seconds: these outlast a minute of it.
            retry_delay_seconds=[2, 8, 30, 60],
            retry_jitter_factor=0.5,
            retry_condition_fn=_is_passing,
            persist_result=False,  # S3 says what is done, not Prefect
            cache_policy=NO_CACHE,
        )(refusals_as_sentences(self.function))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if not is_in_flow_run():
            return self.function(*args, **kwargs)
        from prefect.utilities.annotations import quote

        # Quoted, as Prefect else looks into every site of every report for futures: for 1,000
        # reports that took more than twice as long as to publish them.
        quoted: dict[str, Any] = {name: quote(value) for name, value in kwargs.items()}
        state: Any = self.task(*map(quote, args), return_state=True, **quoted)
        return cast(R, state.result())

    def submit_each(self, first: Any, items: Sequence[Any]) -> "PrefectFutureList[R]":
        """Start a task for each item, all with the same first argument, on the task runner."""
        from prefect import unmapped

        return self.task.map(unmapped(first), items)


def stage(run_name: str | Callable[[], str]) -> Callable[[Callable[P, R]], Stage[P, R]]:
    """Make a stage of a function; `run_name` is what its task runs are called."""
    return lambda function: Stage(function, run_name)
