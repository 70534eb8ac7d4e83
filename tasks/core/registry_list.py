"""The registry on a day: one row per VPP, site and battery, for people to look through."""

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any

from tasks.core.change_fields import ALL_CHANNELS
from tasks.core.nmi import default_region
from tasks.core.registry import Registry
from tasks.core.words import escape_formula


@dataclass(frozen=True)
class Row:
    """What holds of one entity on the day; empty: it has no such field, or none was given.

    A site's capacity is that of its batteries. `last_change` is the seq of the last change that
    any of the values is from: what withdraw-change would take back.
    """

    kind: str
    id: str
    name: str = ""
    vpp: str = ""
    nmi: str = ""
    address: str = ""
    manufacturer: str = ""
    capacity_kwh: str = ""
    region: str = ""
    channels: str = ""
    basis: str = ""
    revenue_percentage: str = ""
    daily_fee_aud: str = ""
    charge_events: str = ""
    negative_balances: str = ""
    last_change: int = 0


def rows_on(registry: Registry, day: date) -> list[Row]:
    """Return the VPPs, then the sites, then the batteries that are there on a day, by id.

    A site of no VPP and a battery that is removed are listed, without one.
    """
    vpps = _of_kind(registry, "vpp", day)
    batteries = list(_of_kind(registry, "battery", day))
    capacity: dict[str, Decimal] = {}
    for _, values, _ in batteries:
        if nmi := values.get("nmi"):
            capacity[nmi] = capacity.get(nmi, Decimal(0)) + values["capacity_kwh"]
    sites = []
    for nmi, values, seq in _of_kind(registry, "site", day):
        meter = {"region": default_region(nmi), "channels": ALL_CHANNELS, "nmi": nmi}
        kwh = {"capacity_kwh": capacity.get(nmi, Decimal(0))}
        sites.append(_row("site", nmi, {**meter, **values, **kwh}, seq))
    return [
        *(_row("vpp", id, {**values, "vpp": id}, seq) for id, values, seq in vpps),
        *sites,
        *(_row("battery", serial, values, seq) for serial, values, seq in batteries),
    ]


def _of_kind(registry: Registry, kind: str, day: date) -> Iterator[tuple[str, dict[str, Any], int]]:
    for id in registry.entities(kind):
        if found := registry.values(kind, id, day):
            yield id, *found


def _row(kind: str, id: str, values: dict[str, Any], seq: int) -> Row:
    texts = {
        name: format(value, "f") if isinstance(value, Decimal) else str(value)
        for name, value in values.items()
        if value is not None
    }
    return Row(kind, id, **texts, last_change=seq)


def to_csv(rows: list[Row]) -> bytes:
    """Return the rows as CSV; a text that a spreadsheet would run has an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text)  # lines end in CRLF: else a CR in an old text would not be quoted
    writer.writerow(field.name for field in fields(Row))
    for row in rows:
        writer.writerow(
            escape_formula(value) if isinstance(value, str) else value
            for value in asdict(row).values()
        )
    return text.getvalue().encode()
