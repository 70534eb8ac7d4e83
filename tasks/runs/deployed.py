"""How a flow is made: what a person can correct ends its run with a sentence that names the field.

What Prefect says of parameters that do not fit is pydantic's, with patterns; of a parameter that a
flow does not have it says nothing, and the process ends with status 1. So parameters are checked
here, and a run is refused for their names before that process ends.
"""

import inspect
import logging
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar, cast, get_type_hints
from uuid import UUID

import httpx
import prefect
from prefect.client.orchestration import get_client
from prefect.exceptions import ParameterBindError, SignatureMismatchError
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


def _in_a_sentence(record: logging.LogRecord) -> bool:
    """Say what ended Prefect's engine in a sentence, in the place of its hundreds of lines.

    Names of parameters Prefect compares before any of ours runs. All that it does then is to log
    the exception and end the process, which its worker takes for a crash, unless the run has ended
    by then: so it is ended here.
    """
    problem = record.exc_info[1] if record.exc_info else None
    if isinstance(problem, (Refused, LostRace, Unreachable)):
        return False  # the run's state, which is logged too, says so
    said = ""
    if isinstance(problem, httpx.TransportError):
        said = (
            f"Prefect at {prefect.settings.PREFECT_API_URL.value()} cannot be reached "
            f"({problem}). What this run published is on S3, and its record too; Prefect will "
            "show it as crashed or running. When it is back, run it again: nothing is done "
            "twice"
        )
    elif isinstance(problem, (SignatureMismatchError, ParameterBindError)):
        run_id = getattr(record, "flow_run_id", None)
        said = _refuse_names(UUID(run_id)) if run_id else str(problem)
    if said:
        record.msg, record.exc_info, record.args = said, None, ()
    return True


def _refuse_names(run_id: UUID) -> str:
    """End a run as refused, whose parameters are called otherwise; return what is wrong."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(run_id)
        wrong = names_in_words(_FLOWS[client.read_flow(run.flow_id).name], run.parameters)
        client.set_flow_run_state(run_id, Failed(name="Refused", message=wrong))
    return wrong


_FLOWS: dict[str, prefect.Flow[..., Any]] = {}  # that are made in this process, by name
telemetry.send_to_collector()
for _name in ("prefect.engine", "prefect.flow_runs"):
    logging.getLogger(_name).addFilter(_in_a_sentence)


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
        made = prefect.flow(
            name=name,
            flow_run_name=flow_run_name,
            task_runner=cast(Any, task_runner),
            validate_parameters=False,
        )(refusals_as_sentences(_checked(function, name)))
        _FLOWS[name] = made
        return made

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
