"""Changes of the registry as people write them, for tests that need some."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from tasks.core.changes import Change, parse_change
from tasks.core.errors import Refused
from tasks.core.registry import Registry

AT = datetime(2025, 8, 30, 1, 2, 3, tzinfo=UTC)


TODAY = date(2025, 8, 30)


Json = dict[str, Any]


def vpp(name: str, **fields: Any) -> Json:
    return {"change": "create-vpp", "name": name, "revenue_percentage": "20", **fields}


def update_vpp(reference: str, **fields: Any) -> Json:
    return {"change": "update-vpp", "vpp": reference, **fields}


def site(nmi: str, reference: str, **fields: Any) -> Json:
    return {"change": "create-site", "nmi": nmi, "vpp": reference, "address": "1 King St", **fields}


def assign(nmi: str, reference: str | None, **fields: Any) -> Json:
    return {"change": "assign-site", "nmi": nmi, "vpp": reference, **fields}


def battery(serial: str, nmi: str, capacity_kwh: Any = "13.5", **fields: Any) -> Json:
    added = {"change": "add-battery", "serial": serial, "nmi": nmi, "manufacturer": "Tesla"}
    return {**added, "capacity_kwh": capacity_kwh, **fields}


def update_battery(serial: str, **fields: Any) -> Json:
    return {"change": "update-battery", "serial": serial, **fields}


def remove(serial: str, **fields: Any) -> Json:
    return {"change": "remove-battery", "serial": serial, **fields}


def withdraw(seq: Any, **fields: Any) -> Json:
    return {"change": "withdraw-change", "withdraws": seq, "reason": "a mistake", **fields}


# What the tests start from.
BASE = [
    vpp("Test VPP One", daily_fee_aud="0.30"),
    vpp("Late VPP", effective_from="2025-10-01"),
    site("6001000001", "test-vpp-one"),
    site("6001000002", "test-vpp-one", effective_from="2025-09-10"),
    battery("S1", "6001000001"),
    battery("S2", "6001000001"),
    remove("S2", effective_from="2025-08-15"),
]
CREATING = [vpp("Another"), site("6001000003", "test-vpp-one"), battery("S3", "6001000001")]
ALTERING = [
    update_vpp("test-vpp-one", revenue_percentage="5"),
    {"change": "update-site", "nmi": "6001000001", "address": "2 King St"},
    assign("6001000001", None),
    update_battery("S1", capacity_kwh="5"),
    remove("S1"),
]


def parsed(changes: Iterable[Json]) -> list[tuple[int, Change | Refused]]:
    numbered: list[tuple[int, Change | Refused]] = []
    for number, fields in enumerate(changes, 1):
        try:
            numbered.append((number, parse_change(fields)))
        except Refused as problem:
            numbered.append((number, problem))
    return numbered


def registry(*changes: Json) -> Registry:
    known = Registry(today=TODAY)
    for change in changes:
        known.add(parse_change(change), AT, "test")
    return known
