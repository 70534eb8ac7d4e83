"""The registry: one flow a kind of change, and those that list it, load it and take changes back.

A change is appended to the log `registry/changes.jsonl`, or refused with a sentence, and then
nothing is written. VPPs are named by id, by current name, or by a name that they had in the month
of `effective_from`. What creates takes effect from the beginning unless `effective_from` is given;
what alters takes effect today (market time), unless it is given.

Each run ends with the change's number (`seq`), and with the earlier recorded changes that still
hold from a later day on; withdraw-change takes one back. A rerun of what was recorded is refused or
records the same again; it never changes a month that is settled until settle-month runs for it.

list-registry writes `registry/lists/`; import-registry reads `registry/uploads/`.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from prefect.client.schemas.objects import State
from pydantic import WithJsonSchema

from tasks.core import keys
from tasks.core.change_fields import day_of, moment_of, shown
from tasks.core.change_file import read_changes
from tasks.core.changes import parse_change
from tasks.core.errors import Refused
from tasks.core.inbox import inbox_key
from tasks.runs import registry_summary, stages, summary
from tasks.runs.deployed import flow
from tasks.runs.flow_run import open_store, recorded_by

# The forms show these types. What is given reaches the registry as it is, where it is checked:
# else Prefect would make a date of 0, and a number of "1_0", before anybody has seen it.
_PERCENT = {"type": "number", "minimum": 0, "maximum": 100}
_NUMBER = {"type": "number", "minimum": 0}
_NONE = {"type": "null"}
Percentage = Annotated[Any, WithJsonSchema(_PERCENT)]
Amount = Annotated[Any, WithJsonSchema(_NUMBER)]
NewPercentage = Annotated[Any, WithJsonSchema({"anyOf": [_PERCENT, _NONE]})]
NewAmount = Annotated[Any, WithJsonSchema({"anyOf": [_NUMBER, _NONE]})]
Day = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string", "format": "date"}, _NONE]})]
Seq = Annotated[Any, WithJsonSchema({"type": "integer", "minimum": 1})]

ChargeEvents = Literal["cost", "revenue"]
NegativeBalances = Literal["site", "vpp"]
Region = Literal["", "NSW1", "QLD1", "VIC1", "SA1", "TAS1"]
Basis = Literal["", "events", "meter"]


def _record(change: str, **fields: Any) -> State[Any]:
    """Append one change of the fields that were given, and end the run with what was recorded."""
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    return _record_given({"change": change, **given})


def _record_given(fields: dict[str, Any]) -> State[Any]:
    change = parse_change(fields)
    [recorded] = stages.append_to_registry(open_store(), [(0, change)], recorded_by())
    return registry_summary.end_with_change(recorded)


@flow(name="create-vpp", flow_run_name="create VPP {name}")
def create_vpp(
    name: str,
    revenue_percentage: Percentage,
    daily_fee_aud: Amount = 0,
    charge_events: ChargeEvents = "cost",
    negative_balances: NegativeBalances = "site",
    effective_from: Day = None,
) -> State[Any]:
    """Create a VPP with its terms.

    Args:
        name: Its name. The id is made from it and never changes: Test VPP One -> test-vpp-one.
        revenue_percentage: The VPP's share of the revenue, 0 to 100, at most 4 decimals.
        daily_fee_aud: What a site pays a day, AUD; a month counts as 28 days.
        charge_events: Whether charging costs the site, or counts as revenue.
        negative_balances: Who bears a site's negative month, the site or the VPP.
        effective_from: Its first day, YYYY-MM-DD. Empty: from the beginning.
    """
    return _record(
        "create-vpp",
        name=name,
        revenue_percentage=revenue_percentage,
        daily_fee_aud=daily_fee_aud,
        charge_events=charge_events,
        negative_balances=negative_balances,
        effective_from=effective_from,
    )


@flow(name="update-vpp", flow_run_name="update VPP {vpp}")
def update_vpp(
    vpp: str,
    name: str = "",
    revenue_percentage: NewPercentage = None,
    daily_fee_aud: NewAmount = None,
    charge_events: Literal["", "cost", "revenue"] = "",
    negative_balances: Literal["", "site", "vpp"] = "",
    effective_from: Day = None,
) -> State[Any]:
    """Change a VPP's name or terms from a day on. What is left empty stays as it is.

    Args:
        vpp: The VPP's id or name.
        name: Its new name.
        revenue_percentage: The VPP's share of the revenue, 0 to 100, at most 4 decimals.
        daily_fee_aud: What a site pays a day, AUD; 0 for no fee.
        charge_events: Whether charging costs the site, or counts as revenue.
        negative_balances: Who bears a site's negative month, the site or the VPP.
        effective_from: The first day it holds, YYYY-MM-DD. Empty: today.
    """
    return _record(
        "update-vpp",
        vpp=vpp,
        name=name,
        revenue_percentage=revenue_percentage,
        daily_fee_aud=daily_fee_aud,
        charge_events=charge_events,
        negative_balances=negative_balances,
        effective_from=effective_from,
    )


@flow(name="create-site", flow_run_name="create site {nmi}")
def create_site(
    vpp: str,
    nmi: str,
    address: str,
    region: Region = "",
    channels: str = "",
    basis: Basis = "",
    effective_from: Day = None,
) -> State[Any]:
    """Create a site as a member of a VPP.

    Args:
        vpp: The VPP's id or name.
        nmi: The site's NMI, 10 characters or 11 with the check digit.
        address: Where it is.
        region: Whose prices its meter data is settled at. Empty: the region of its NMI's block.
        channels: Which NMI suffixes of its meter data count, like E1 B1. Empty: all E and all B.
        basis: Which counts where it has both, events or meter data. Empty: neither; such a month
            is refused.
        effective_from: Its first day as a member, YYYY-MM-DD. Empty: from the beginning.
    """
    return _record(
        "create-site",
        vpp=vpp,
        nmi=nmi,
        address=address,
        region=region,
        channels=channels,
        basis=basis,
        effective_from=effective_from,
    )


@flow(name="update-site", flow_run_name="update site {nmi}")
def update_site(
    nmi: str,
    address: str = "",
    region: Region = "",
    channels: str = "",
    basis: Basis = "",
    effective_from: Day = None,
) -> State[Any]:
    """Change a site's address, or how its meter data counts, from a day on.

    What is left empty stays as it is.

    Args:
        nmi: The site's NMI.
        address: Where it is.
        region: Whose prices its meter data is settled at.
        channels: Which NMI suffixes of its meter data count, like E1 B1; all for all E and all B.
        basis: Which counts where it has both, events or meter data.
        effective_from: The first day it holds, YYYY-MM-DD. Empty: today.
    """
    return _record(
        "update-site",
        nmi=nmi,
        address=address,
        region=region,
        channels=channels,
        basis=basis,
        effective_from=effective_from,
    )


@flow(name="assign-site", flow_run_name="assign site {nmi}")
def assign_site(
    nmi: str, vpp: str = "", leaves: bool = False, effective_from: Day = None
) -> State[Any]:
    """Move a site to another VPP, or to none, from a day on.

    Args:
        nmi: The site's NMI.
        vpp: The VPP that it joins: its id or name.
        leaves: Set this, and no VPP, to take the site out of its VPP.
        effective_from: Its first day there, YYYY-MM-DD. Empty: today.
    """
    if bool(vpp) == leaves:
        raise Refused("vpp: name the VPP that the site joins, or set leaves, but not both")
    day = {} if effective_from in (None, "") else {"effective_from": effective_from}
    return _record_given({"change": "assign-site", "nmi": nmi, "vpp": vpp or None, **day})


@flow(name="add-battery", flow_run_name="add battery {serial}")
def add_battery(
    nmi: str,
    manufacturer: str,
    serial: str,
    capacity_kwh: Amount,
    effective_from: Day = None,
) -> State[Any]:
    """Install a battery at a site.

    Args:
        nmi: The site's NMI.
        manufacturer: Who made it.
        serial: Its serial number, which names it.
        capacity_kwh: Its usable capacity, kWh.
        effective_from: The first day it counts, YYYY-MM-DD. Empty: from the beginning.
    """
    return _record(
        "add-battery",
        nmi=nmi,
        manufacturer=manufacturer,
        serial=serial,
        capacity_kwh=capacity_kwh,
        effective_from=effective_from,
    )


@flow(name="update-battery", flow_run_name="update battery {serial}")
def update_battery(
    serial: str,
    manufacturer: str = "",
    capacity_kwh: NewAmount = None,
    effective_from: Day = None,
) -> State[Any]:
    """Change a battery's capacity or manufacturer from a day on.

    Args:
        serial: Its serial number.
        manufacturer: Who made it. Empty: as it is.
        capacity_kwh: Its usable capacity, kWh. Empty: as it is.
        effective_from: The first day it holds, YYYY-MM-DD. Empty: today.
    """
    return _record(
        "update-battery",
        serial=serial,
        manufacturer=manufacturer,
        capacity_kwh=capacity_kwh,
        effective_from=effective_from,
    )


@flow(name="remove-battery", flow_run_name="remove battery {serial}")
def remove_battery(serial: str, effective_from: Day = None) -> State[Any]:
    """Take a battery out of its site.

    Args:
        serial: Its serial number.
        effective_from: The first day without it, YYYY-MM-DD. Empty: today.
    """
    return _record("remove-battery", serial=serial, effective_from=effective_from)


@flow(name="withdraw-change", flow_run_name="withdraw change {seq}")
def withdraw_change(seq: Seq, reason: str) -> State[Any]:
    """Take a change of the registry back, as if it had never been made.

    The log is only appended to: a settlement as of a moment before still sees the change.

    Args:
        seq: The change's number, which the run that recorded it, and list-registry, show.
        reason: Why; it is kept in the log.
    """
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 1:
        raise Refused(f"seq: must be the number of a change, like 7 (given: {shown(seq)})")
    return _record("withdraw-change", withdraws=seq, reason=reason)


@flow(name="redate-changes", flow_run_name="date changes again")
def redate_changes() -> State[Any]:
    """Date changes that a clock ahead has dated in the future with the present moment.

    Until then no settlement sees them, and no other change can be recorded.
    """
    return registry_summary.end_with_dates(stages.redate_changes(open_store()))


@flow(name="request-registry-upload", flow_run_name="request upload of registry file {name}")
def request_registry_upload(name: str) -> State[Any]:
    """Give a command to upload a file of registry changes with, for import-registry.

    Args:
        name: What it is called in registry/uploads/, like sites.csv or 2025/changes.jsonl.
    """
    key = inbox_key(keys.REGISTRY_UPLOADS, name)
    if not key.endswith((".csv", ".jsonl")):
        raise Refused(f"name: {shown(name)} must end in .csv or .jsonl")
    return summary.end_with_upload(
        open_store(), key, "registry-upload", f"Then run `import-registry` with the key `{key}`."
    )


@flow(name="import-registry", flow_run_name="import registry from {key}")
def import_registry(key: str) -> State[Any]:
    """Append all changes of a file in one step: all of them, or none.

    JSON lines hold any changes; a CSV file holds new sites (nmi, vpp, address, and region, channels
    and basis if wanted), changes of sites (nmi, and some of address, region, channels, basis) or
    batteries (nmi, manufacturer, serial, capacity_kwh), each with effective_from if wanted.

    Args:
        key: The file's name in registry/uploads/, like sites.csv, with or without that folder.
    """
    store, file = open_store(), inbox_key(keys.REGISTRY_UPLOADS, key, "key")
    changes = list(read_changes(stages.read_registry_upload(store, file)))
    recorded = stages.append_to_registry(store, changes, recorded_by())
    return registry_summary.end_with_import(recorded)


@flow(name="list-registry", flow_run_name="list the registry")
def list_registry(day: Day = None, as_of: datetime | None = None) -> State[Any]:
    """List VPPs with their terms, sites and batteries as they are on a day.

    Args:
        day: The day, YYYY-MM-DD. Empty: today, in market time.
        as_of: As it was known at this moment, market time unless it has an offset. Empty: as it is
            known now.
    """
    store = open_store()
    moment = moment_of("as_of", as_of, store.settings.timezone)
    listed, on, key = stages.list_registry(store, day_of("day", day), moment)
    return registry_summary.end_with_list(store, listed, on, moment, key)
