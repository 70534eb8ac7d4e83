"""What a flow takes from its Prefect run, where there is one and where there is none."""

import getpass
import socket
from datetime import UTC, datetime

import pytest
from prefect import runtime
from prefect.task_runners import ThreadPoolTaskRunner

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.settings import Settings
from tasks.runs.flow_run import (
    add_tags,
    month_in_name,
    month_or_previous,
    open_store,
    started_by,
    task_runner,
    turn_name,
)


def test_a_month_that_is_given_is_taken() -> None:
    assert month_or_previous("2024-02") == Month(2024, 2)
    with pytest.raises(Refused, match=r"^month: 'x' is not a month"):
        month_or_previous("x")


@pytest.mark.parametrize(
    ("scheduled", "month"),
    [
        ("2025-10-01 13:59:59", Month(2025, 9)),
        ("2025-10-31 13:59:59", Month(2025, 9)),
        ("2025-10-31 14:00:00", Month(2025, 10)),  # midnight in Brisbane
        ("2025-12-31 14:00:00", Month(2025, 12)),
        ("2026-01-31 13:00:00", Month(2025, 12)),
    ],
)
def test_else_it_is_the_one_before_the_scheduled_time_in_market_time(
    monkeypatch: pytest.MonkeyPatch, scheduled: str, month: Month
) -> None:
    moment = datetime.fromisoformat(scheduled).replace(tzinfo=UTC)
    monkeypatch.setattr(runtime.flow_run, "scheduled_start_time", moment, raising=False)
    assert month_or_previous("") == month
    assert month_in_name("") == str(month)


def test_without_a_run_it_is_the_month_before_this_one() -> None:
    assert month_or_previous("") == Month.of(datetime.now(UTC), "Australia/Brisbane").previous


def test_a_run_has_a_name_whatever_is_wrong_with_its_month(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert month_in_name("2025-9") == "2025-9"
    assert month_in_name(None) != ""  # type: ignore[arg-type]
    monkeypatch.setenv("VPP_TIMEZONE", "Nowhere/At_all")
    assert month_in_name("") == ""


def test_who_started_it_is_the_user_of_this_machine() -> None:
    assert started_by() == f"{getpass.getuser()} at {socket.gethostname()}"


def test_without_a_run_there_is_nothing_to_tag() -> None:
    add_tags("2025-09", "one")


def test_threads_run_the_imports_unless_a_setting_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert isinstance(task_runner(), ThreadPoolTaskRunner)
    # A wrong setting is for the flow to say, which is only loaded here.
    monkeypatch.setenv("VPP_TASK_RUNNER", "abacus")
    assert isinstance(task_runner(), ThreadPoolTaskRunner)
    with pytest.raises(Refused, match="VPP_TASK_RUNNER is 'abacus'"):
        open_store()


def test_two_places_on_one_prefect_do_not_wait_for_each_other() -> None:
    month = Month(2025, 9)
    names = {
        turn_name(Settings(bucket=bucket, prefix=prefix), month)
        for bucket in ("a", "b")
        for prefix in ("", "x/", "y z/")
    }
    assert sorted(names) == [
        f"settle-{place}-2025-09" for place in ("a", "a-x", "a-y-z", "b", "b-x", "b-y-z")
    ]
