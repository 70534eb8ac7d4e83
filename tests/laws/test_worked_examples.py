"""The rule's worked examples, from CSV on S3 to the published report, to the cent."""

from typing import Any

import pytest

from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("s3_endpoint")


def vpp(name: str, percentage: str, fee: str = "0") -> dict[str, Any]:
    return {
        "change": "create-vpp",
        "name": name,
        "revenue_percentage": percentage,
        "daily_fee_aud": fee,
    }


def site(nmi: str, vpp: str, *capacities_kwh: str) -> list[dict[str, Any]]:
    return [
        {"change": "create-site", "nmi": nmi, "vpp": vpp, "address": f"{nmi} Street"},
        *(
            {
                "change": "add-battery",
                "nmi": nmi,
                "manufacturer": "Tesla",
                "serial": f"{nmi}-{n}",
                "capacity_kwh": capacity,
            }
            for n, capacity in enumerate(capacities_kwh)
        ),
    ]


EXAMPLES = {
    "A": (
        [vpp("a", "20", "0.30"), *site("9876543210", "a", "13.5")],
        ["9876543210,2025-09-01,Charge,5,-20", "9876543210,2025-09-01,Discharge,3,25"],
        {
            "a": {
                "totals": (1.75, 0.35, 0.0, 1.75, 0.0, 1.4),
                "sites": {"9876543210": (1.4, 1.4, 0.0)},
            }
        },
    ),
    "B": (
        [
            vpp("b", "10", "0.50"),
            *site("6001000001", "b", "5"),
            *site("6001000002", "b", "10"),
            *site("6001000003", "b", "13.5"),
        ],
        [
            "6001000001,2025-09-01,Discharge,10,500",
            "6001000001,2025-09-01,Charge,10,12",
            "6001000002,2025-09-03,Discharge,5,-5",
            "6001000002,2025-09-04,Charge,8,11",
            "6001000003,2025-09-09,Charge,7,-3.5",
        ],
        {
            "b": {
                "totals": (48.17, 4.82, -0.25, 25.26, 22.66, 20.69),
                "sites": {
                    "6001000001": (36.66, 14.0, 22.66),
                    "6001000002": (2.41, 2.41, 0.0),
                    "6001000003": (4.28, 4.28, 0.0),
                },
            }
        },
    ),
    "C": (
        [
            vpp("c", "20", "0.30"),
            vpp("d", "10"),
            {
                "change": "update-vpp",
                "vpp": "c",
                "revenue_percentage": "25",
                "daily_fee_aud": "0.40",
                "effective_from": "2025-09-11",
            },
            *site("6002000001", "c", "13.5"),
            *site("6002000002", "c", "10"),
            *site("6002000003", "d", "9.8"),
            {
                "change": "assign-site",
                "nmi": "6002000001",
                "vpp": "d",
                "effective_from": "2025-09-16",
            },
            {
                "change": "add-battery",
                "nmi": "6002000002",
                "manufacturer": "BYD",
                "serial": "second",
                "capacity_kwh": "6.5",
                "effective_from": "2025-09-21",
            },
        ],
        [
            "6002000001,2025-09-05,Discharge,12.345,41.7",
            "6002000001,2025-09-15,Discharge,8.1,33.3",
            "6002000001,2025-09-16,Discharge,9.9,55.5",
            "6002000002,2025-09-10,Discharge,20,61.25",
            "6002000002,2025-09-22,Discharge,17.77,72.01",
            "6002000003,2025-09-22,Discharge,3.333,99.99",
        ],
        {
            "c": {
                "totals": (32.89, 7.35, 0.0, 22.29, 10.60, 14.94),
                "sites": {
                    "6002000001": (6.75, 4.67, 2.08),
                    "6002000002": (18.79, 10.27, 8.52),
                },
            },
            "d": {
                "totals": (8.83, 0.88, 0.0, 0.88, 7.95, 0.0),
                "sites": {
                    "6002000001": (4.88, 0.0, 4.88),
                    "6002000003": (3.07, 0.0, 3.07),
                },
            },
        },
    ),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_worked_example(example: str) -> None:
    changes, events, expected = EXAMPLES[example]
    place = Place()
    place.record(changes)
    place.put("september.csv", events)
    place.publish("2025-09")
    for id, said in expected.items():
        report = place.report("2025-09", id).model_dump(mode="json", exclude_none=True)
        assert tuple(report["totals"].values()) == said["totals"]
        assert {
            nmi: (
                site["site_revenue_before_fees"],
                site["site_daily_fee"],
                site["site_revenue_after_fees"],
            )
            for nmi, site in report["sites"].items()
        } == said["sites"]
