"""A stage of a flow: a plain function as a Prefect task, with its retries and its ways to end.

What a person can mend ends a run as failed with a sentence, not with a traceback, and is never
retried; a network that fails is, with backoff and jitter.
"""

import _datetime  # type: ignore[import-not-found]
import ctypes
from collections.abc import Callable
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar, cast

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Failed
from prefect.tasks import Task, exponential_backoff
from prefect.utilities.annotations import quote

from tasks.core.errors import Refused
from tasks.io.object_store import LostRace

# Python frees datetime's C interface before the last garbage, and the time zones of pydantic, which
# are in Prefect's models, are freed by it: a process that was done ended in a segmentation fault
# now and then (pydantic's issue 12867). With one more reference the interface stays.
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_datetime.datetime_CAPI))

P = ParamSpec("P")
R = TypeVar("R")


def refusals_as_sentences(function: Callable[P, R]) -> Callable[P, R]:
    """Let what a person can mend end a flow or task run as failed with its sentence alone."""

    @wraps(function)
    def sentenced(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (Refused, LostRace) as problem:
            # Without its traceback, whose frames would keep databases alive as long as the state.
            told = problem.with_traceback(None)
            return Failed(message=str(problem), data=told)  # type: ignore[return-value]

    return sentenced


def _is_passing(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Say whether a failure may be gone at the next try: S3 or the network, not the data."""
    try:
        state.result()
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"]) >= 500
    except NoCredentialsError:
        return False
    except (BotoCoreError, S3UploadFailedError, OSError):
        return True
    except Exception:
        return False
    return False


class Stage(Generic[P, R]):
    """A task that is called like the function it is made of, whatever state it ends in.

    Prefect gives the caller of a task that ended in a state of its own choice that state, not its
    exception; a stage raises.
    """

    def __init__(self, function: Callable[P, R], run_name: str | Callable[[], str]) -> None:
        self.task: Task[P, R] = task(
            task_run_name=run_name,
            retries=4,
            retry_delay_seconds=exponential_backoff(backoff_factor=2),
            retry_jitter_factor=0.5,
            retry_condition_fn=_is_passing,
            persist_result=False,  # S3 says what is done, not Prefect
            cache_policy=NO_CACHE,
        )(refusals_as_sentences(function))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        # Quoted, as Prefect else looks into every site of every report for futures: for 1,000
        # reports that took more than twice as long as to publish them.
        quoted: dict[str, Any] = {name: quote(value) for name, value in kwargs.items()}
        state: Any = self.task(*map(quote, args), return_state=True, **quoted)
        return cast(R, state.result())


def stage(run_name: str | Callable[[], str]) -> Callable[[Callable[P, R]], Stage[P, R]]:
    return lambda function: Stage(function, run_name)
