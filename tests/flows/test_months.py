"""list-months: what is settled, what is closed, and by whom."""

from typing import Any

import pytest

from flows.closing import close_month, reopen_month
from flows.months import list_months
from tests.flows.sample import end, lay_out, run
from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("prefect_api")


def test_months_are_listed_the_newest_first(place: Place) -> None:
    state = end(list_months)
    assert (state.message, state.result()) == (
        "No month is settled yet; settle-month settles one.",
        [],
    )
    lay_out(place)
    for month in ("2025-08", "2025-09", "2025-10"):
        place.publish(month)
    digests = {row["month"]: row["digest"] for row in run(list_months)}
    run(close_month, "2025-08", digests["2025-08"], "Ada")
    run(close_month, "2025-09", digests["2025-09"], "Ada")
    run(reopen_month, "2025-09", "late data", "Grace")

    state = end(list_months)
    assert state.message == "Months settled: 3, from 2025-08 to 2025-10; closed: 1."
    rows: list[dict[str, Any]] = state.result()
    assert all(row["at"].endswith(" UTC") for row in rows[1:])
    assert [{**row, "at": ""} for row in rows] == [
        {
            "month": month,
            "settled": "all VPPs",
            "vpps": 1,
            "state": state_of,
            "by": by,
            "at": "",
            "reason": reason,
            "digest": digests[month],
        }
        for month, state_of, by, reason in (
            ("2025-10", "open", "", ""),
            ("2025-09", "reopened", "Grace", "late data"),
            ("2025-08", "closed", "Ada", ""),
        )
    ]
