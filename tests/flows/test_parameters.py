"""What a person sees of each flow before starting it: every parameter says what it is and takes."""

from typing import Any

import pytest
from prefect import Flow
from prefect.utilities.callables import parameter_schema

from flows.backfill import backfill
from flows.ingest import import_events
from flows.registry import (
    add_battery,
    assign_site,
    create_site,
    create_vpp,
    import_registry,
    list_registry,
    redate_changes,
    remove_battery,
    request_registry_upload,
    update_battery,
    update_site,
    update_vpp,
    withdraw_change,
)
from flows.settle import settle_month
from tests.flows.deployed import DEPLOYMENTS, load

MONTH = "[12][0-9]{3}-(0[1-9]|1[0-2])"
WORDS = {"const": "a month written as YYYY-MM, like 2025-09,"}
PERCENT = {"type": "number", "minimum": 0, "maximum": 100}
AMOUNT = {"type": "number", "minimum": 0}
TEXT = {"type": "string"}
NAMES = {"type": "array", "items": TEXT, "default": []}
MISSING_OR_DATE = [{"type": "string", "format": "date"}, {"type": "null"}]
DATE = {"anyOf": MISSING_OR_DATE, "default": None}
METER: dict[str, dict[str, Any]] = {
    "region": {"enum": ["", "NSW1", "QLD1", "VIC1", "SA1", "TAS1"], "default": ""},
    "channels": {**TEXT, "default": ""},
    "basis": {"enum": ["", "events", "meter"], "default": ""},
}

# Of each flow: what its form shows of each parameter, in this order, and which must be given.
FORMS: list[tuple[Flow[..., Any], dict[str, dict[str, Any]], list[str]]] = [
    (
        settle_month,
        {
            "month": {**TEXT, "if": {"pattern": f"^({MONTH})?$"}, "else": WORDS, "default": ""},
            "vpps": NAMES,
            "as_of": {
                "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
                "default": None,
            },
            "max_rejected_percent": {"anyOf": [PERCENT, {"type": "null"}], "default": None},
            "allow_failed_imports": {"type": "boolean", "default": False},
            "allow_shared_rows": {"type": "boolean", "default": False},
            "allow_missing": {"type": "boolean", "default": False},
            "preview": {"type": "boolean", "default": False},
            "what_if": {
                "type": "array",
                "items": {"$ref": "#/definitions/WhatIf"},
                "default": [],
            },
        },
        [],
    ),
    (
        backfill,
        {
            "from_month": {**TEXT, "if": {"pattern": f"^{MONTH}$"}, "else": WORDS},
            "to_month": {**TEXT, "if": {"pattern": f"^{MONTH}$"}, "else": WORDS},
            "vpps": NAMES,
        },
        ["from_month", "to_month"],
    ),
    (import_events, {"prefix": {**TEXT, "default": ""}}, []),
    (
        create_vpp,
        {
            "name": TEXT,
            "revenue_percentage": PERCENT,
            "daily_fee_aud": {**AMOUNT, "default": 0},
            "charge_events": {"enum": ["cost", "revenue"], "default": "cost"},
            "negative_balances": {"enum": ["site", "vpp"], "default": "site"},
            "effective_from": DATE,
        },
        ["name", "revenue_percentage"],
    ),
    (
        update_vpp,
        {
            "vpp": TEXT,
            "name": {**TEXT, "default": ""},
            "revenue_percentage": {"anyOf": [PERCENT, {"type": "null"}], "default": None},
            "daily_fee_aud": {"anyOf": [AMOUNT, {"type": "null"}], "default": None},
            "charge_events": {"enum": ["", "cost", "revenue"], "default": ""},
            "negative_balances": {"enum": ["", "site", "vpp"], "default": ""},
            "effective_from": DATE,
        },
        ["vpp"],
    ),
    (
        create_site,
        {"vpp": TEXT, "nmi": TEXT, "address": TEXT, **METER, "effective_from": DATE},
        ["vpp", "nmi", "address"],
    ),
    (
        update_site,
        {"nmi": TEXT, "address": {**TEXT, "default": ""}, **METER, "effective_from": DATE},
        ["nmi"],
    ),
    (
        assign_site,
        {
            "nmi": TEXT,
            "vpp": {**TEXT, "default": ""},
            "leaves": {"type": "boolean", "default": False},
            "effective_from": DATE,
        },
        ["nmi"],
    ),
    (
        add_battery,
        {
            "nmi": TEXT,
            "manufacturer": TEXT,
            "serial": TEXT,
            "capacity_kwh": AMOUNT,
            "effective_from": DATE,
        },
        ["nmi", "manufacturer", "serial", "capacity_kwh"],
    ),
    (
        update_battery,
        {
            "serial": TEXT,
            "manufacturer": {**TEXT, "default": ""},
            "capacity_kwh": {"anyOf": [AMOUNT, {"type": "null"}], "default": None},
            "effective_from": DATE,
        },
        ["serial"],
    ),
    (remove_battery, {"serial": TEXT, "effective_from": DATE}, ["serial"]),
    (
        withdraw_change,
        {"seq": {"type": "integer", "minimum": 1}, "reason": TEXT},
        ["seq", "reason"],
    ),
    (redate_changes, {}, []),
    (request_registry_upload, {"name": TEXT}, ["name"]),
    (import_registry, {"key": TEXT}, ["key"]),
    (
        list_registry,
        {
            "day": DATE,
            "as_of": {
                "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
                "default": None,
            },
        },
        [],
    ),
]


@pytest.mark.parametrize(("flow", "form", "required"), FORMS, ids=[f[0].name for f in FORMS])
def test_a_form_shows_what_a_flow_takes(
    flow: Flow[..., Any], form: dict[str, dict[str, Any]], required: list[str]
) -> None:
    schema = parameter_schema(flow).model_dump()
    shown = sorted(schema["properties"].items(), key=lambda item: item[1]["position"])
    assert [name for name, _ in shown] == list(form)
    for name, field in shown:
        assert field.items() >= form[name].items()
    assert schema["required"] == required


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: str(deployment["name"]))
def test_every_deployed_flow_and_parameter_is_described(deployment: dict[str, Any]) -> None:
    flow = load(deployment)
    assert flow.description
    assert flow.description.split("\n")[0].endswith(".")
    for name, field in parameter_schema(flow).properties.items():
        assert field.get("description", "").strip().endswith("."), f"{name} is not described"
