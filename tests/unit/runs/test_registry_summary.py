"""What runs say at their end that changed the registry."""

from datetime import UTC, datetime
from typing import Any

from prefect.client.schemas.objects import State

from tasks.core.changes import parse_change
from tasks.core.registry import Registry
from tasks.io.registry_log import Recorded
from tasks.runs.registry_summary import end_with_change, end_with_dates, end_with_import
from tests.unit.core.registries import AT, BASE, TODAY, Json, assign, update_vpp, withdraw


def recorded(*changes: Json) -> list[Recorded]:
    known = Registry(today=TODAY)
    for change in BASE:
        known.add(parse_change(change), AT, "test")
    added = [known.add(parse_change(change), AT, "test") for change in changes]
    return [Recorded(change, known.later_than(change)) for change in added]


def message(state: State[Any]) -> str:
    assert state.is_completed()
    return state.message or ""


LEAVES = assign("6001000001", None, effective_from="2025-09-20")
LEAVES_EARLIER = assign("6001000001", None, effective_from="2025-09-10")


def test_a_change_is_named_with_what_still_holds_after_it() -> None:
    [change] = recorded(LEAVES)
    assert message(end_with_change(change)) == (
        "Change 8 is recorded: assign-site 6001000001, from 2025-09-20."
    )
    [_, change] = recorded(LEAVES, LEAVES_EARLIER)
    state = end_with_change(change)
    assert message(state) == (
        "Change 9 is recorded: assign-site 6001000001, from 2025-09-10. Change 8 still holds from "
        "2025-09-20 on: vpp none. What is not meant can be taken back by withdraw-change."
    )
    data: Any = state.data
    assert (data["seq"], data["vpp"], data["later"]) == (
        9,
        None,
        [{"seq": 8, "effective_from": "2025-09-20", "values": {"vpp": None}, "after": 9}],
    )


def test_numbers_are_given_as_text_without_loss() -> None:
    later = update_vpp("test-vpp-one", revenue_percentage="33.3333", effective_from="2025-10-01")
    [_, change] = recorded(later, update_vpp("test-vpp-one", revenue_percentage="5"))
    data: Any = end_with_change(change).data
    assert data["later"][0]["values"] == {"revenue_percentage": "33.3333"}


def test_a_file_of_changes_is_counted_and_not_all_that_holds_later_is_named() -> None:
    assert message(end_with_import(recorded(LEAVES, withdraw(8)))) == (
        "Changes 8 to 9 are recorded."
    )
    assert message(end_with_import(recorded(LEAVES))) == "Change 8 is recorded."
    many = recorded(LEAVES, *[LEAVES_EARLIER] * 25)
    said = message(end_with_import(many))
    assert said.startswith(
        "Changes 8 to 33 are recorded. After change 9: Change 8 still holds from 2025-09-20 on"
    )
    assert said.count("After change") == 20
    assert said.endswith(
        "And 5 more like this. What is not meant can be taken back by withdraw-change."
    )


def test_changes_that_were_dated_again_ask_for_their_months() -> None:
    assert message(end_with_dates([])) == "No change is dated in the future; nothing was done."
    at = datetime(2025, 10, 1, 6, 30, tzinfo=UTC)
    changes = [
        of.change.model_copy(update={"recorded_at": at}) for of in recorded(LEAVES, LEAVES_EARLIER)
    ]
    assert message(end_with_dates(changes)) == (
        "Changes 8 to 9 are dated 2025-10-01 06:30 UTC now. Settlements that were run since they "
        "were recorded did not see them: settle their months again."
    )
