"""Late data, in a sentence."""

import pytest

from tasks.core.difference import Difference, Values
from tasks.core.late_data import LateData
from tasks.core.month import Month

MONTH = Month(2025, 9)


def difference(name: str, **totals: Values) -> Difference:
    return Difference(
        vpp=name,
        vpp_id=name.lower(),
        month="2025-09",
        revision=2,
        previous_revision=1,
        totals=totals,
        sites={},
        causes=[],
    )


MORE = Values(before=1.75, after=2.75)


@pytest.mark.parametrize(
    ("late", "sentence"),
    [
        (
            LateData(MONTH, True, [difference("One", total_revenue=MORE)], [], ""),
            "2025-09 (closed) would change: One: total_revenue 1.75 -> 2.75 (+1.00)",
        ),
        (
            LateData(MONTH, False, [difference("One"), difference("Two", a=MORE, b=MORE)], [], ""),
            "2025-09 (not closed) would change: One: no total; "
            "Two: a 1.75 -> 2.75 (+1.00); b 1.75 -> 2.75 (+1.00)",
        ),
        (
            LateData(MONTH, False, [], ["three"], ""),
            "2025-09 (not closed) would change: three: its first report",
        ),
        (
            LateData(MONTH, True, [], [], "events/a.csv could not be read"),
            "2025-09 (closed) could not be settled now: events/a.csv could not be read",
        ),
    ],
)
def test_what_would_change_is_a_sentence(late: LateData, sentence: str) -> None:
    assert str(late) == sentence
