"""A stage: its function outside a flow run, and a task that ends in sentences inside one."""

from typing import Any

import pytest
from prefect.client.schemas.objects import State
from prefect.states import Failed

from tasks.core.errors import CheckFailed, LostRace, Refused, Unreachable
from tasks.runs.stage import is_in_flow_run, refusals_as_sentences, run_logger, stage


@stage("halve {number}")
def halve(number: int, by: int = 2) -> float:
    """Halve a number."""
    return number / by


def test_outside_a_flow_run_a_stage_is_its_function() -> None:
    assert not is_in_flow_run()
    assert run_logger().name == "vpp"
    assert (halve(3), halve(3, by=3)) == (1.5, 1)
    with pytest.raises(ZeroDivisionError):
        halve(1, 0)


def raising(problem: Exception) -> Any:
    def function() -> None:
        raise problem

    return refusals_as_sentences(function)


@pytest.mark.parametrize(
    ("problem", "name"),
    [
        (Refused("write it as YYYY-MM"), "Refused"),
        (LostRace("months/2025-09.json"), "Refused"),
        (Unreachable("S3 does not answer"), "Failed"),
    ],
)
def test_what_a_person_can_change_is_a_failed_state_with_a_sentence(
    problem: Exception, name: str
) -> None:
    state = raising(problem)()
    assert isinstance(state, State)
    assert (state.name, state.is_failed(), state.message) == (name, True, str(problem))
    assert problem.__traceback__ is None  # its frames would keep databases alive


def test_all_else_is_raised() -> None:
    for problem in (CheckFailed("the books"), ValueError("x")):
        with pytest.raises(type(problem)):
            raising(problem)()


@pytest.mark.parametrize(
    ("problem", "is_retried"),
    [
        (Unreachable("S3 does not answer"), True),
        (Refused("write it as YYYY-MM"), False),
        (LostRace("months/2025-09.json"), False),
        (CheckFailed("the books"), False),
        (ValueError("x"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(problem: Exception, is_retried: bool) -> None:
    task: Any = halve.task
    assert task.retries == 4
    state: Any = Failed(data=problem)
    assert task.retry_condition_fn(task, None, state) == is_retried


def test_what_a_stage_returns_is_kept_nowhere_but_on_s3() -> None:
    task: Any = halve.task
    assert task.persist_result is False
    assert task.task_run_name == "halve {number}"
