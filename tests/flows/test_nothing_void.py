"""Green only when something was settled: what once ended well, and had settled nothing or not all.

The rest of these cases: future months that hide late data in
`tests/unit/settlement/test_completeness.py`, names of locks in
`tests/unit/runs/test_flow_run.py`, a clock far from the store's in
`tests/unit/io/test_registry_log.py`.
"""

import json
from datetime import UTC, datetime

import pytest

from flows.check import check_settled
from flows.registry import create_vpp, import_registry, redate_changes
from flows.settle import settle_month
from tests.flows.sample import EVENTS, REGISTRY, end, lay_out, refusal, run
from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("prefect_api")

NMI = REGISTRY[1]["nmi"]


def test_a_wrong_prefix_is_no_settled_month(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(place)
    run(settle_month, "2025-09")
    run(check_settled, "2025-09")
    monkeypatch.setenv("VPP_PREFIX", f"{place.settings.prefix}mistyped/")
    assert refusal(settle_month, "2025-09") == (
        "2025-09 is not settled: the registry has no VPP in 2025-09. Create VPPs, or look whether "
        "VPP_BUCKET and VPP_PREFIX are right, or run settle-month with allow_missing"
    )
    assert "is not settled yet" in refusal(check_settled, "2025-09")
    run(settle_month, "2025-09", allow_missing=True)
    assert "was settled without any report or event (runs/2025-09/" in refusal(
        check_settled, "2025-09"
    )


def test_events_without_a_registry_are_no_settled_month(place: Place) -> None:
    place.put("a.csv", EVENTS)
    assert "the registry has no VPP in 2025-09" in refusal(settle_month, "2025-09")
    run(create_vpp, "Empty", 20)
    assert "no VPP has a site or an event in it" in refusal(settle_month, "2025-09")
    assert "is not settled yet" in refusal(check_settled, "2025-09")


def test_what_a_clock_ahead_recorded_counts_once_it_is_dated_again(place: Place) -> None:
    lay_out(place)
    half = {"change": "update-vpp", "vpp": "test-vpp-one", "revenue_percentage": "50"}
    fee = {"change": "update-vpp", "vpp": "test-vpp-one", "daily_fee_aud": "1"}
    ahead = datetime(2099, 1, 1, tzinfo=UTC)
    place.record([{**half, "effective_from": "2025-09-01"}, fee], ahead)
    run(settle_month, "2025-09")
    assert f"{place.report('2025-09', 'test-vpp-one').totals.vpp_ad_valorem_fee:.2f}" == "0.35"
    assert refusal(create_vpp, "Three", 20).startswith("change 5 is dated 2099-01-01 00:00:00 UTC")
    # No day was given for the fee, so that it has the clock's.
    assert (end(redate_changes).message or "").endswith(
        " Not yet in force: change 5 from 2099-01-01. If that day is the clock's, take the change "
        "back by withdraw-change, and make it again."
    )
    run(settle_month, "2025-09")
    assert f"{place.report('2025-09', 'test-vpp-one').totals.vpp_ad_valorem_fee:.2f}" == "0.88"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.jsonl",
            json.dumps(
                {
                    "change": "create-vpp",
                    "vpp": "a" * 1000,
                    "name": "A",
                    "revenue_percentage": 20,
                }
            ),
        ),
        (
            "b.jsonl",
            json.dumps({"change": "create-vpp", "name": "a" * 1000, "revenue_percentage": 20}),
        ),
        ("c.csv", f"nmi,vpp,address\n6001000001,{'a' * 1000},1 St\n"),
        ("d.csv", f"nmi,manufacturer,serial,capacity_kwh\n{NMI},T,{'S' * 1000},1\n"),
    ],
)
def test_a_name_of_1000_characters_comes_in_by_no_file(place: Place, name: str, text: str) -> None:
    lay_out(place)
    before = place.objects()
    place.store.write(f"registry/uploads/{name}", text.encode())
    assert "must have at most 100 characters, not 1000" in refusal(import_registry, name)
    place.store.delete(f"registry/uploads/{name}")
    assert place.objects() == before


def test_the_longest_names_are_published_whole(place: Place) -> None:
    """S3 takes keys of 1,024 bytes; a prefix may have what is left of them."""
    vpp = {"change": "create-vpp", "name": "é" * 100, "vpp": "a" * 100, "revenue_percentage": "20"}
    place.record([vpp, {**REGISTRY[1], "vpp": "a" * 100}, REGISTRY[2]])
    place.put("a.csv", EVENTS)
    assert run(settle_month, "2025-09")["outcome"] == "published"
    run(check_settled, "2025-09")
    longest = max(len(key.encode()) for key in place.objects())
    assert 100 < longest < 300
