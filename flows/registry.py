"""Changes to the registry: one flow a kind of change, and import-registry for many at once.

Each reads the log `registry/changes.jsonl` and appends to it, or is refused with a sentence and
writes nothing. VPPs are named by id or current name. What creates takes effect since ever unless
`effective_from` is given; what alters takes effect today (market time), unless it is given.

A rerun of what was recorded is refused or records the same again; it never changes a month that is
settled until settle-month runs for it.
"""

from datetime import date
from typing import Annotated, Any, Literal

from prefect import flow
from pydantic import Field

from tasks.core.change_file import read_changes
from tasks.core.errors import Refused
from tasks.core.registry import Change, parse_change
from tasks.runs import stages
from tasks.runs.flow_run import open_store, recorded_by
from tasks.runs.stage import refusals_as_sentences

Percentage = Annotated[float, Field(ge=0, le=100)]
Amount = Annotated[float, Field(ge=0)]
ChargeEvents = Literal["cost", "revenue"]
NegativeBalances = Literal["site", "vpp"]


def _record(change: Change) -> dict[str, Any]:
    """Append one change; return it as it was recorded."""
    return stages.append_to_registry(open_store(), [(1, change)], recorded_by())[0]


def _append(change: str, effective_from: date | None, **fields: Any) -> dict[str, Any]:
    """Append a change of the fields that were given."""
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    if effective_from:
        given["effective_from"] = effective_from
    return _record(parse_change({"change": change, **given}))


@flow(name="create-vpp", flow_run_name="create VPP {name}")
@refusals_as_sentences
def create_vpp(
    name: str,
    revenue_percentage: Percentage,
    daily_fee_aud: Amount = 0,
    charge_events: ChargeEvents = "cost",
    negative_balances: NegativeBalances = "site",
    effective_from: date | None = None,
) -> dict[str, Any]:
    """Create a VPP with its terms.

    Args:
        name: Its name. The id is made from it and never changes: Test VPP One -> test-vpp-one.
        revenue_percentage: The VPP's share of the revenue, 0 to 100, at most 4 decimals.
        daily_fee_aud: What a site pays a day, AUD; a month counts as 28 days.
        charge_events: Whether charging costs the site, or counts as revenue.
        negative_balances: Who bears a site's negative month, the site or the VPP.
        effective_from: Its first day. Empty: since ever.
    """
    return _append(
        "create-vpp",
        effective_from,
        name=name,
        revenue_percentage=str(revenue_percentage),
        daily_fee_aud=str(daily_fee_aud),
        charge_events=charge_events,
        negative_balances=negative_balances,
    )


@flow(name="update-vpp", flow_run_name="update VPP {vpp}")
@refusals_as_sentences
def update_vpp(
    vpp: str,
    name: str = "",
    revenue_percentage: Percentage | None = None,
    daily_fee_aud: Amount | None = None,
    charge_events: Literal["", "cost", "revenue"] = "",
    negative_balances: Literal["", "site", "vpp"] = "",
    effective_from: date | None = None,
) -> dict[str, Any]:
    """Change a VPP's name or terms from a day on. What is left empty stays as it is.

    Args:
        vpp: The VPP's id or current name.
        name: Its new name.
        revenue_percentage: The VPP's share of the revenue, 0 to 100, at most 4 decimals.
        daily_fee_aud: What a site pays a day, AUD; 0 for no fee.
        charge_events: Whether charging costs the site, or counts as revenue.
        negative_balances: Who bears a site's negative month, the site or the VPP.
        effective_from: The first day it holds. Empty: today.
    """
    return _append(
        "update-vpp",
        effective_from,
        vpp=vpp,
        name=name,
        revenue_percentage=None if revenue_percentage is None else str(revenue_percentage),
        daily_fee_aud=None if daily_fee_aud is None else str(daily_fee_aud),
        charge_events=charge_events,
        negative_balances=negative_balances,
    )


@flow(name="create-site", flow_run_name="create site {nmi}")
@refusals_as_sentences
def create_site(
    vpp: str, nmi: str, address: str, effective_from: date | None = None
) -> dict[str, Any]:
    """Create a site as a member of a VPP.

    Args:
        vpp: The VPP's id or current name.
        nmi: The site's NMI, 10 characters or 11 with the check digit.
        address: Where it is.
        effective_from: Its first day as a member. Empty: since ever.
    """
    return _append("create-site", effective_from, vpp=vpp, nmi=nmi, address=address)


@flow(name="update-site", flow_run_name="update site {nmi}")
@refusals_as_sentences
def update_site(nmi: str, address: str, effective_from: date | None = None) -> dict[str, Any]:
    """Correct a site's address.

    Args:
        nmi: The site's NMI.
        address: Where it is.
        effective_from: The first day it holds. Empty: today.
    """
    return _append("update-site", effective_from, nmi=nmi, address=address)


@flow(name="assign-site", flow_run_name="assign site {nmi}")
@refusals_as_sentences
def assign_site(
    nmi: str, vpp: str = "", leaves: bool = False, effective_from: date | None = None
) -> dict[str, Any]:
    """Move a site to another VPP, or to none, from a day on.

    Args:
        nmi: The site's NMI.
        vpp: The VPP that it joins: its id or current name.
        leaves: Set this, and no VPP, to take the site out of its VPP.
        effective_from: Its first day there. Empty: today.
    """
    if bool(vpp) == leaves:
        raise Refused("vpp: name the VPP that the site joins, or set leaves, but not both")
    given = {"effective_from": effective_from} if effective_from else {}
    change = {"change": "assign-site", "nmi": nmi, "vpp": vpp or None, **given}
    return _record(parse_change(change))


@flow(name="add-battery", flow_run_name="add battery {serial}")
@refusals_as_sentences
def add_battery(
    nmi: str,
    manufacturer: str,
    serial: str,
    capacity_kwh: Amount,
    effective_from: date | None = None,
) -> dict[str, Any]:
    """Install a battery at a site.

    Args:
        nmi: The site's NMI.
        manufacturer: Who made it.
        serial: Its serial number, which names it.
        capacity_kwh: Its usable capacity, kWh.
        effective_from: The first day it counts. Empty: since ever.
    """
    return _append(
        "add-battery",
        effective_from,
        nmi=nmi,
        manufacturer=manufacturer,
        serial=serial,
        capacity_kwh=str(capacity_kwh),
    )


@flow(name="update-battery", flow_run_name="update battery {serial}")
@refusals_as_sentences
def update_battery(
    serial: str,
    manufacturer: str = "",
    capacity_kwh: Amount | None = None,
    effective_from: date | None = None,
) -> dict[str, Any]:
    """Change a battery's capacity or manufacturer from a day on.

    Args:
        serial: Its serial number.
        manufacturer: Who made it. Empty: as it is.
        capacity_kwh: Its usable capacity, kWh. Empty: as it is.
        effective_from: The first day it holds. Empty: today.
    """
    return _append(
        "update-battery",
        effective_from,
        serial=serial,
        manufacturer=manufacturer,
        capacity_kwh=None if capacity_kwh is None else str(capacity_kwh),
    )


@flow(name="remove-battery", flow_run_name="remove battery {serial}")
@refusals_as_sentences
def remove_battery(serial: str, effective_from: date | None = None) -> dict[str, Any]:
    """Take a battery out of its site.

    Args:
        serial: Its serial number.
        effective_from: The first day without it. Empty: today.
    """
    return _append("remove-battery", effective_from, serial=serial)


@flow(name="import-registry", flow_run_name="import registry from {key}")
@refusals_as_sentences
def import_registry(key: str) -> dict[str, Any]:
    """Append all changes of a file in one step: all of them, or none.

    JSON lines hold any changes; a CSV file holds sites (nmi, vpp, address) or batteries (nmi,
    manufacturer, serial, capacity_kwh), each with effective_from if wanted.

    Args:
        key: Where the file is in the bucket, like registry/uploads/sites.csv.
    """
    store = open_store()
    changes = list(read_changes(stages.read_object(store, key)))
    recorded = stages.append_to_registry(store, changes, recorded_by())
    return {"changes": len(recorded), "last_seq": recorded[-1]["seq"]}
