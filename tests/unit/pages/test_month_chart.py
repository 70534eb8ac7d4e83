"""The chart of a run's summary: well-formed whatever names are in it, and never too long."""

from typing import Any
from xml.etree import ElementTree

import pytest

from tasks.core.run_record import ReportOutcome
from tasks.pages.month_chart import month_chart
from tests.unit.pages.conftest import EVIL

SVG = "{http://www.w3.org/2000/svg}"


def outcome(name: str, vpp: float, sites: float) -> ReportOutcome:
    totals = {"vpp_total_revenue": vpp, "site_total_revenue_after_fees": sites}
    given: dict[str, Any] = {"vpp": "a", "name": name, "key": "k", "outcome": "published"}
    return ReportOutcome(**given, revision=1, sites=1, totals=totals, changed=[])


def texts(svg: bytes) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(svg).iter(f"{SVG}text")][2:]


def test_bars_are_in_order_and_meet_at_zero() -> None:
    vpps = [outcome("Small", 1, 2), outcome("Big", 10, 30), outcome("Owes", -10, 0)]
    svg = month_chart(vpps)
    assert texts(svg) == [
        *("Big", "$10.00 + $30.00"),
        *("Small", "$1.00 + $2.00"),
        *("Owes", "\N{MINUS SIGN}\N{WORD JOINER}$10.00 + $0.00"),
    ]
    bars = [
        (e.get("class"), float(e.get("x", "")), float(e.get("width", "")))
        for e in ElementTree.fromstring(svg).iter(f"{SVG}rect")
        if e.get("height") == "18"
    ]
    assert bars[0] == ("vpp", 292.0, 72.0)
    assert bars[1] == ("sites", 364.0, 216.0)
    assert bars[-1] == ("vpp", 220.0, 72.0)
    assert svg == month_chart(vpps[::-1])


def test_many_vpps_are_one_bar() -> None:
    made = texts(month_chart([outcome(f"{n:04}", 1, 1) for n in range(1000)]))
    assert len(made) == 2 * 13
    assert made[-2:] == ["988 others", "$988.00 + $988.00"]


@pytest.mark.parametrize("name", [*EVIL, "\x01\x00"], ids=range(len(EVIL) + 1))
def test_a_name_is_text(name: str) -> None:
    [shown, _] = texts(month_chart([outcome(name, 1, 1)]))
    assert len(shown) <= 28
