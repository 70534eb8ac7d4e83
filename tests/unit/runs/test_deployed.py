"""How a flow is made: parameters are checked before anything runs, and refused in sentences."""

from datetime import date
from typing import Annotated, Any

import pytest
from prefect.client.schemas.objects import State
from pydantic import BaseModel, ConfigDict, Field

from tasks.core.errors import LostRace, Refused
from tasks.runs.deployed import flow, names_in_words


class Terms(BaseModel):
    model_config = ConfigDict(extra="forbid")

    percentage: Annotated[float, Field(ge=0, le=100)]


@flow(name="a-flow", flow_run_name="a run")
def a_flow(
    month: Annotated[str, Field(max_length=7)],
    day: date | None = None,
    terms: list[Terms] = [],  # noqa: B006
) -> Any:
    if month == "refused":
        raise Refused("month: is not to be had")
    if month == "lost":
        raise LostRace("months/x.json")
    if month == "broken":
        raise ZeroDivisionError
    return month, day, terms


@flow(name="of-nothing", flow_run_name="a run")
def of_nothing() -> None:
    """Do nothing."""


def test_parameters_become_what_their_types_say() -> None:
    given: dict[str, Any] = {"terms": [{"percentage": "12.5"}], "day": "2025-09-01"}
    assert a_flow.fn("2025-09", **given) == (
        "2025-09",
        date(2025, 9, 1),
        [Terms(percentage=12.5)],
    )
    assert a_flow.fn("2025-09") == ("2025-09", None, [])


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"month": "2025-09-01"}, "month: must have at most 7 characters (given: '2025-09-01')"),
        ({"month": 7}, "month: must be text (given: 7)"),
        (
            {"month": "x", "terms": [{"percentage": "much"}]},
            "terms.0.percentage: must be a number (given: 'much')",
        ),
        ({"month": "x", "terms": "all"}, "terms: must be a list (given: 'all')"),
        ({"month": "x", "terms": ["all"]}, "terms.0: must have fields with names (given: 'all')"),
        (
            {"month": "x", "terms": [{"percentage": 101}]},
            "terms.0.percentage: must be 100 or less (given: 101)",
        ),
        (
            {"month": "x", "terms": [{"percentage": 1, "fee": 2}]},
            "terms.0.fee: is no field of a-flow; leave it out",
        ),
        ({"month": "refused"}, "month: is not to be had"),
        ({"month": "lost"}, "months/x.json"),
    ],
)
def test_what_a_person_can_correct_ends_as_refused_with_a_sentence(
    parameters: dict[str, Any], sentence: str
) -> None:
    state = a_flow.fn(**parameters)
    assert isinstance(state, State)
    assert (state.name, state.is_failed(), state.message) == ("Refused", True, sentence)


def test_several_wrong_parameters_are_all_named() -> None:
    wrong: dict[str, Any] = {"month": 7, "terms": [{"percentage": -1}]}
    state = a_flow.fn(**wrong)
    assert state.message == (
        "month: must be text (given: 7); terms.0.percentage: must be 0 or more (given: -1)"
    )


def test_a_fault_of_ours_is_no_refusal() -> None:
    with pytest.raises(ZeroDivisionError):
        a_flow.fn("broken")


@pytest.mark.parametrize(
    ("of", "given", "words"),
    [
        (a_flow, {"month": "x"}, ""),
        (a_flow, {}, "month: must be given"),
        (
            a_flow,
            {"zone": 1, "Month": 2},
            "Month: a-flow has no such parameter; it has month, day, terms; "
            "zone: a-flow has no such parameter; it has month, day, terms; month: must be given",
        ),
        (of_nothing, {"a": 1}, "a: of-nothing has no such parameter; it has none"),
    ],
)
def test_names_of_parameters_in_words(of: Any, given: dict[str, Any], words: str) -> None:
    assert names_in_words(of, given) == words
