"""A month of two sites that is published, with all that an explanation has to tell apart."""

from typing import Any

import pytest

from tests.through_s3 import Place

ONE, TWO = "6001000001", "6001000002"
KING, QUEEN = "426 King St", "9 Queen St"
REGISTRY: list[dict[str, Any]] = [
    {"change": "create-vpp", "name": "One", "revenue_percentage": "20", "daily_fee_aud": "0.30"},
    {"change": "create-vpp", "name": "Two", "revenue_percentage": "10"},
    {"change": "create-site", "nmi": ONE, "vpp": "one", "address": KING},
    {"change": "create-site", "nmi": TWO, "vpp": "one", "address": QUEEN},
    *(
        {
            "change": "add-battery",
            "nmi": nmi,
            "serial": serial,
            "manufacturer": "m",
            "capacity_kwh": capacity,
        }
        for nmi, serial, capacity in ((ONE, "moving", "5"), (TWO, "staying", "10"))
    ),
    {"change": "remove-battery", "serial": "moving", "effective_from": "2025-09-20"},
    {
        "change": "add-battery",
        "nmi": TWO,
        "serial": "moving",
        "manufacturer": "m",
        "capacity_kwh": "5",
        "effective_from": "2025-09-21",
    },
    {"change": "assign-site", "nmi": ONE, "vpp": None, "effective_from": "2025-09-29"},
]
EVENTS = [
    f"{ONE},2025-09-01,Discharge,3,25",
    f"{ONE},2025-09-01,Charge,1,10",
    f"{ONE},2025-09-02,Discharge,2,-5",
    f"{ONE},2025-09-30,Discharge,2,50",
    f"{TWO},2025-09-01,Discharge,7,30",
    "6001000009,2025-09-01,Discharge,7,30",
]


def published() -> Place:
    place = Place()
    place.record(REGISTRY)
    place.put(f"{TWO}.csv", EVENTS[1:])
    place.put("2025-09/all.csv", EVENTS[:1])
    place.publish("2025-09")
    return place


@pytest.fixture
def place(s3_endpoint: str) -> Place:
    return published()


@pytest.fixture(scope="module")
def settled(s3_endpoint: str) -> Place:
    """Give a place for tests that change nothing in it."""
    return published()
