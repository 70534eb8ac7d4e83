"""How a flow is made: what a person can correct ends its run with a sentence that names the field.

What Prefect says of parameters that do not fit is pydantic's, with patterns; of a parameter that a
flow does not have it says nothing, and the process ends with status 1. So parameters are checked
here, and a run that crashed over their names is told why.
"""

import inspect
import logging
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar, cast, get_type_hints

import httpx
import prefect
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.futures import PrefectFuture
from prefect.states import Failed
from prefect.task_runners import TaskRunner
from pydantic import BaseModel, ValidationError, create_model

from tasks.core.change_fields import sentence
from tasks.core.errors import LostRace, Refused, Unreachable
from tasks.runs import telemetry
from tasks.runs.stage import refusals_as_sentences

P = ParamSpec("P")
R = TypeVar("R")


class _WithoutTracebacks(logging.Filter):
    """Leaves what the engine says of a refused run to its state, which has said it already.

    Of a failed run the engine's process shows 120 lines more. That Prefect's server is gone, of
    which it shows 300, is said in a sentence.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        problem = record.exc_info[1] if record.exc_info else None
        if isinstance(problem, Refused | LostRace | Unreachable):
            return False
        if isinstance(problem, httpx.TransportError):
            record.exc_info, record.args = None, ()
            record.msg = (
                f"Prefect at {prefect.settings.PREFECT_API_URL.value()} cannot be reached "
                f"({problem}). What this run published is on S3, and its record too; Prefect will "
                "show it as crashed or running. When it is back, run it again: nothing is done "
                "twice"
            )
        return True


telemetry.send_to_collector()
for _name in ("prefect.engine", "prefect.flow_runs"):
    logging.getLogger(_name).addFilter(_WithoutTracebacks())


def flow(
    name: str,
    flow_run_name: str | Callable[[], str],
    task_runner: TaskRunner[PrefectFuture[Any]] | None = None,
) -> Callable[[Callable[P, R]], prefect.Flow[P, R]]:
    """Make a flow of a function, as Prefect's decorator of this name does."""

    def make(function: Callable[P, R]) -> prefect.Flow[P, R]:
        # Pydantic keeps `State[Any]` in whichever module writes it first. A worker of Dask imports
        # them in another order, finds no such class, and ends.
        function.__annotations__.pop("return", None)
        return prefect.flow(
            name=name,
            flow_run_name=flow_run_name,
            task_runner=cast(Any, task_runner),
            validate_parameters=False,
            on_crashed=[_say_which_parameter],
        )(refusals_as_sentences(_checked(function, name)))

    return make


def _checked(function: Callable[P, R], flow_name: str) -> Callable[P, R]:
    """Return the function with its arguments checked, and made what their types say."""

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        given = inspect.signature(function).bind(*args, **kwargs)
        given.apply_defaults()
        try:
            fitting = _model(function).model_validate(given.arguments)
        except ValidationError as problem:
            errors = [{**error, "loc": (flow_name, *error["loc"])} for error in problem.errors()]
            raise Refused("; ".join(map(sentence, errors))) from None
        given.arguments.update({name: getattr(fitting, name) for name in given.arguments})
        return function(*given.args, **given.kwargs)

    return checked


@cache
def _model(function: Callable[..., Any]) -> type[BaseModel]:
    """Return what checks a function's arguments, all of which are given."""
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints[name], ...) for name in inspect.signature(function).parameters
    }
    return create_model("Parameters", **fields)


def _say_which_parameter(
    flow: prefect.Flow[..., Any], flow_run: FlowRun, state: State[Any]
) -> None:
    """End a run as refused that crashed because of a parameter's name. Prefect calls this."""
    if wrong := names_in_words(flow, flow_run.parameters):
        with get_client(sync_client=True) as client:
            refused: State[Any] = Failed(name="Refused", message=wrong)
            client.set_flow_run_state(flow_run.id, refused, force=True)


def names_in_words(of_flow: prefect.Flow[..., Any], given: dict[str, Any]) -> str:
    """Say which parameters a flow does not have, or needs; nothing where all is as it should be."""
    taken = inspect.signature(of_flow.fn).parameters
    having = f"it has {', '.join(taken)}" if taken else "it has none"
    unknown = [
        f"{name}: {of_flow.name} has no such parameter; {having}" for name in given.keys() - taken
    ]
    missing = [
        f"{name}: must be given"
        for name, parameter in taken.items()
        if parameter.default is parameter.empty and name not in given
    ]
    return "; ".join([*sorted(unknown), *missing])
