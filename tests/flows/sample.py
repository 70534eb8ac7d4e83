"""The sample that the project started from, and runs of it that flow tests have in common."""

import json
from pathlib import Path
from typing import Any, cast

from prefect import Flow
from prefect.client.schemas.objects import State

from tests.through_s3 import Place

ROOT = Path(__file__).parent.parent.parent
EVENTS = ["9876543210,2025-09-01,Charge,5,-20", "9876543210,2025-09-02,Discharge,3,25"]
REGISTRY: list[dict[str, Any]] = [
    {
        "change": "create-vpp",
        "name": "Test VPP One",
        "revenue_percentage": "20",
        "daily_fee_aud": "0.30",
    },
    {
        "change": "create-site",
        "nmi": "9876543210",
        "vpp": "Test VPP One",
        "address": "426 King St Newcastle West NSW 2302",
    },
    {
        "change": "add-battery",
        "nmi": "9876543210",
        "manufacturer": "Tesla",
        "serial": "38764527113388",
        "capacity_kwh": "13.5",
    },
]
# What a report on the sample says, to the letter; further keys may follow these.
TOTALS = {
    "total_revenue": 1.75,
    "vpp_ad_valorem_fee": 0.35,
    "vpp_cost_only": 0.0,
    "vpp_total_revenue": 1.75,
    "site_total_revenue_after_fees": 0.0,
}
SITE = {
    "nmi": "9876543210",
    "address": "426 King St Newcastle West NSW 2302",
    "site_capacity_kwh": 13.5,
    "site_revenue_before_fees": 1.4,
    "site_daily_fee": 1.4,
    "site_revenue_after_fees": 0.0,
}


def lay_out(place: Place) -> None:
    """Record the sample's registry and put its events into the inbox."""
    place.record(REGISTRY)
    place.put("events_file.csv", EVENTS)


def bytes_at(place: Place, key: str) -> bytes:
    found = place.store.read(key)
    assert found is not None, f"there is no {key}"
    return found[0]


def json_at(place: Place, key: str) -> Any:
    return json.loads(bytes_at(place, key))


def keys(place: Place, folder: str) -> list[str]:
    return [version.key for version in place.store.versions(folder)]


def run(flow: Flow[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a flow that is to complete, and return its result."""
    state = end(flow, *args, **kwargs)
    assert state.is_completed(), state.message
    return state.result()


def refusal(flow: Flow[..., Any], *args: Any, **kwargs: Any) -> str:
    """Run a flow that is to fail, and return what its state says."""
    state = end(flow, *args, **kwargs)
    assert state.is_failed(), f"{flow.name} ended as {state.name}"
    assert state.message is not None
    return state.message


def end(flow: Flow[..., Any], *args: Any, **kwargs: Any) -> State[Any]:
    """Run a flow and return the state it ended in."""
    return cast(State[Any], flow(*args, **kwargs, return_state=True))
