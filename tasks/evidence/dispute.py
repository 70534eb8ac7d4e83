"""The dispute bundle: one zip with all that one site's owner needs to check a statement.

It names no other site. What is in it is taken by name from what belongs to this site or to the
whole VPP, never left over from something larger. A file whose name would reveal another site is
called by a number. The same explanation gives the same bytes: fixed times, and nothing compressed,
since what deflate makes of it differs between versions of zlib.
"""

import csv
import io
import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any
from zipfile import ZipFile, ZipInfo

from tasks.core import keys
from tasks.core.changes import (
    AddBattery,
    AssignSite,
    Change,
    CreateSite,
    WithdrawChange,
    recorded_change,
)
from tasks.core.words import escape_formula
from tasks.evidence.explanation import (
    Day,
    Explained,
    Explanation,
    Interval,
    exact,
    explanation_in_words,
    shown,
    shown_aud,
)
from tasks.io.object_store import ObjectStore
from tasks.io.rendering import render

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can hold
_EVENT_COLUMNS = (
    "nmi",
    "day",
    "event_type",
    "energy_kwh",
    "tariff_cents_per_kwh",
    "value_cents",
    "is_cost_only",
    "file",
    "line",
)
# Who started it is nobody's business but the operator's.
_OF_THE_RUN = ("month", "run_id", "started", "seconds", "as_of", "registry_seq")
_INTERVAL_COLUMNS = (
    "nmi",
    "day",
    "interval",
    "interval_end",
    "event_type",
    "suffix",
    "serial",
    "energy_kwh",
    "quality",
    "price_cents_per_kwh",
    "value_cents",
    "is_cost_only",
    "file",
    "member",
    "line",
    "price_files",
)


def put_bundle(store: ObjectStore, explained: Explained) -> str:
    """Put a site's bundle on S3, and return its key."""
    case = explained.explanation
    key = keys.dispute_bundle(case.month, case.vpp_id, case.nmi, case.revision)
    store.write(key, bundle(explained), "application/zip")
    return key


def bundle(explained: Explained) -> bytes:
    """Return the zip: how to check the statement, and all that this refers to."""
    lines = explained.pins.read_registry_lines()
    changes = [(recorded_change(line), line.encode()) for line in lines]
    names = _names(explained, [change for change, _ in changes])
    case = _renamed(explained.explanation, names)
    files = {
        "HOW-TO-CHECK.md": how_to_check(case),
        "explanation.md": explanation_in_words(case),
        "explanation.json": (case.model_dump_json(indent=2) + "\n").encode(),
        **_items(case),
        "registry.jsonl": b"".join(line + b"\n" for line in _history(explained, changes)),
        "report.json": _json(_report(explained, names)),
        "run.json": _json(_run(explained, names)),
    }
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as zip_file:
        for name, data in files.items():
            zip_file.writestr(ZipInfo(name, _EPOCH), data)
    return buffer.getvalue()


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _names(explained: Explained, changes: list[Change]) -> dict[str, str]:
    """Return what each file with events or intervals of the site is called in the bundle."""
    case, record = explained.explanation, explained.pins.record
    others = {site.nmi.casefold() for site in record.unassigned}
    for change in changes:
        kind, id = change.entity()
        if kind == "site" and id != case.nmi:
            # An update may leave the address as it is; then it is None.
            others |= {id.casefold(), (getattr(change, "address", None) or id).casefold()}
    others -= {case.nmi.casefold()}
    items = [item for day in case.days for item in day.events_and_intervals]
    intervals = [item for item in items if isinstance(item, Interval)]
    files = sorted(
        {item.file for item in items} | {file for item in intervals for file in item.price_files}
    )
    members = sorted({item.member for item in intervals if item.member})
    return {
        name: f"file {number} (its name is another site's)"
        if any(other in name.casefold() for other in others)
        else name
        for number, name in enumerate([*files, *members], 1)
    } | {"": ""}


def _renamed(case: Explanation, names: dict[str, str]) -> Explanation:
    def renamed(day: Day) -> Day:
        events = [e.model_copy(update={"file": names[e.file]}) for e in day.events]
        intervals = [
            r.model_copy(
                update={
                    "file": names[r.file],
                    "member": names[r.member],
                    "price_files": [names[file] for file in r.price_files],
                }
            )
            for r in day.intervals
        ]
        return day.model_copy(update={"events": events, "intervals": intervals})

    return case.model_copy(update={"days": [renamed(day) for day in case.days]})


def _items(case: Explanation) -> dict[str, bytes]:
    """Return events.csv and readings.csv, as far as there is something in them."""
    files = {}
    if any(day.intervals for day in case.days):
        files["readings.csv"] = _readings(case)
    if any(day.events for day in case.days) or not files:
        files["events.csv"] = _events(case)
    return dict(sorted(files.items()))


def _readings(case: Explanation) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_INTERVAL_COLUMNS)
    for day in case.days:
        for interval in day.intervals:
            writer.writerow(
                [
                    case.nmi,
                    day.day,
                    interval.number,
                    f"{interval.ends:%Y-%m-%d %H:%M}",
                    interval.event_type,
                    interval.suffix,
                    escape_formula(interval.serial),
                    exact(interval.energy_kwh),
                    interval.quality,
                    exact(interval.tariff_cents_per_kwh),
                    exact(interval.value_cents),
                    str(interval.is_cost_only).lower(),
                    interval.file,
                    escape_formula(interval.member),
                    interval.line,
                    ";".join(interval.price_files),
                ]
            )
    return text.getvalue().encode()


def _events(case: Explanation) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_EVENT_COLUMNS)
    for day in case.days:
        for event in day.events:
            numbers = (event.energy_kwh, event.tariff_cents_per_kwh, event.value_cents)
            writer.writerow(
                [
                    case.nmi,
                    day.day,
                    event.event_type,
                    *map(exact, numbers),
                    str(event.is_cost_only).lower(),
                    event.file,
                    event.line,
                ]
            )
    return text.getvalue().encode()


def _history(explained: Explained, changes: list[tuple[Change, bytes]]) -> Iterator[bytes]:
    """Yield the lines of the log about the site, its batteries, and the terms of its VPPs."""
    nmi, as_of = explained.explanation.nmi, explained.pins.record.as_of
    recorded = [(c, line) for c, line in changes if c.recorded_at and c.recorded_at <= as_of]
    vpps = {
        change.vpp
        for change, _ in recorded
        if isinstance(change, CreateSite | AssignSite) and change.nmi == nmi
    }
    batteries = {c.serial for c, _ in recorded if isinstance(c, AddBattery) and c.nmi == nmi}
    of_site = {("site", nmi)} | {("vpp", vpp) for vpp in vpps} | {("battery", s) for s in batteries}
    for change, line in recorded:
        is_elsewhere = isinstance(change, AddBattery) and change.nmi != nmi
        if change.entity() in of_site and not is_elsewhere:
            yield line if not isinstance(change, WithdrawChange) else _without_reason(change)


def _without_reason(change: WithdrawChange) -> bytes:
    """Return the line of a withdrawal without the note on why, which may name another site."""
    return change.model_copy(update={"reason": "not shown here"}).line().encode()


def _report(explained: Explained, names: dict[str, str]) -> dict[str, Any]:
    """Return the report with this site alone, and with the files that hold its events."""
    report = explained.report.model_dump(mode="json", exclude_none=True)
    nmi = explained.explanation.nmi
    report["sites"] = {nmi: report["sites"][nmi]}
    settlement = report["settlement"]
    for kind in ("inputs", "meter_inputs", "price_inputs"):
        if kind in settlement:
            settlement[kind] = [
                {"key": names[file["key"]], "etag": file["etag"]}
                for file in settlement[kind]
                if file["key"] in names
            ]
    if "reading_conflicts" in settlement:
        settlement["reading_conflicts"] = [
            conflict | {"key": names.get(conflict["key"], "another file")}
            for conflict in settlement["reading_conflicts"]
            if conflict["nmi"] == nmi
        ]
    return report


def _run(explained: Explained, names: dict[str, str]) -> dict[str, Any]:
    """Return what the run record has about the run as a whole, and about this site's files."""
    record = explained.pins.record
    return {
        "key": explained.pins.key,
        **record.model_dump(mode="json", include=set(_OF_THE_RUN)),
        "files": [
            {"key": names[file["key"]], "etag": file["etag"], "import_id": file["import_id"]}
            for file in [*record.files, *record.meter_files, *record.price_files]
            if file["key"] in names
        ],
        "software": record.software,
    }


def how_to_check(case: Explanation) -> bytes:
    """Say how to check the statement by hand, with its numbers."""
    events = [event for day in case.days for event in day.events]
    intervals = [interval for day in case.days for interval in day.intervals]
    cost_only = [
        event for day in case.days for event in day.events_and_intervals if event.is_cost_only
    ]
    return render(
        "evidence",
        "how_to_check.md",
        case=case,
        events=events,
        intervals=intervals,
        cost_only=cost_only,
        cost_only_cents=sum((event.value_cents for event in cost_only), Fraction(0)),
        day=max(case.days, key=lambda day: abs(day.shared_cents)),
        fees=sorted({day.fee_cents for day in case.days}),
        exact=exact,
        shown=shown,
        in_aud=shown_aud,
    )
