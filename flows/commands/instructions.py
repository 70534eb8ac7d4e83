"""The line program: registry, import and report from lines on standard input, at once.

    python -m flows.commands.instructions < data/STDIN.txt

Lines, in any case, with or without a number in front:

    Create VPP: NAME, REVENUE_PERCENTAGE[, DAILY_FEE]
    Create Site: VPP_NAME, NMI, ADDRESS
    Create Battery: SITE_NMI, MANUFACTURER, SERIAL, CAPACITY
    Import Events: FILE_NAME
    Import Meter Data: FILE_NAME
    Import Prices: FILE_NAME
    Create Report: VPP, MONTH
    Exit

A second Create of the same name, NMI or serial updates it. Reports go to standard output as JSON in
UTF-8, everything else to standard error: what was imported, and what is in no report. All lines are
checked before the first takes effect. A line that makes no sense is named, and the exit status is
2. Unless VPP_BUCKET or an S3 endpoint is set, an embedded S3 is used, and everything but the output
is gone afterwards. No Prefect is needed.

Rejected rows are counted as skipped and do not stop a report here, whatever their share. Nor does
missing data, like a site without an event; what is missing is said on standard error.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from flows import story
from tasks.core import keys
from tasks.core.change_fields import shown, visible
from tasks.core.changes import Change, parse_change
from tasks.core.errors import Refused, Unreachable
from tasks.core.month import Month
from tasks.core.nmi import canonical_nmi
from tasks.core.registry import Registry
from tasks.core.request import SettlementRequest
from tasks.core.run_record import SettledRunRecord
from tasks.core.settings import Settings
from tasks.core.words import count
from tasks.imports.catalog import EVENTS, METER, PRICES, add_to_catalog, kind_of, list_inbox
from tasks.imports.inbox_files import import_objects
from tasks.io.embedded_s3 import embedded_s3
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import append_changes, read_registry
from tasks.runs.run import Run, user_and_machine
from tasks.settlement.completeness import missing_sentences

_NUMBER = re.compile(r"^\d+\s*[.):-]?\s*(?=[a-z])", re.IGNORECASE)
_S3_IS_CONFIGURED_BY = ("VPP_BUCKET", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_DATA = Path(__file__).parents[2] / "data"

_EXPECTED = {
    "create vpp": "Create VPP: NAME, REVENUE_PERCENTAGE, DAILY_FEE (the fee may be left out)",
    "create site": "Create Site: VPP_NAME, NMI, ADDRESS",
    "create battery": "Create Battery: SITE_NMI, MANUFACTURER, SERIAL, CAPACITY",
    "import events": "Import Events: FILE_NAME",
    "import meter data": "Import Meter Data: FILE_NAME (NEM12: CSV, .gz, .zst or .zip)",
    "import prices": "Import Prices: FILE_NAME (AEMO's: CSV or .zip)",
    "create report": "Create Report: VPP, MONTH",
}
_IMPORTS = {"import events": EVENTS, "import meter data": METER, "import prices": PRICES}


@dataclass(frozen=True)
class Line:
    """One instruction: its line's number, what it asks for, and its fields."""

    number: int
    command: str
    fields: list[str]


@dataclass(frozen=True)
class Step:
    """What one or more lines ask for: changes to append, a file to import, or a report to make."""

    line: Line
    changes: list[tuple[int, Change | Refused]]
    file: Path | None = None
    report: tuple[str, Month] | None = None


def read_lines(text: Iterable[str]) -> list[Line]:
    """Read instructions up to Exit.

    Raises:
        Refused: a line is no instruction; the message names it and says what was expected.
    """
    lines = []
    for number, raw in enumerate(text, 1):
        line = _NUMBER.sub("", raw.strip().removeprefix("\ufeff"), count=1).strip()
        if not line:
            continue
        if line.lower() == "exit":
            break
        command, colon, rest = line.partition(":")
        command = " ".join(command.lower().split())
        if not colon or command not in _EXPECTED:
            raise Refused(
                f"line {number}: {shown(line)} is no instruction; expected one of:\n  "
                + "\n  ".join([*_EXPECTED.values(), "Exit"])
            )
        most = 0 if command in _IMPORTS else {"create site": 2}.get(command, -1)
        fields = [field.strip() for field in rest.split(",", most)]
        wanted = {"create vpp": (2, 3), "create site": (3,), "create battery": (4,)}.get(
            command, (1,) if command in _IMPORTS else (2,)
        )
        if len(fields) not in wanted or not all(fields):
            raise Refused(f"line {number}: {shown(line)}; expected {_EXPECTED[command]}")
        lines.append(Line(number, command, fields))
    return lines


def plan(lines: list[Line], registry: Registry, charge_events: str, timezone: str) -> list[Step]:
    """Turn lines into steps, trying each change on the registry as the lines before left it.

    Raises:
        Refused: a line does not fit; the message names it. Nothing was done.
    """
    steps: list[Step] = []
    now = datetime.now(UTC)
    for line in lines:
        try:
            if line.command in _IMPORTS:
                file = _find(line.fields[0])
                kind = _IMPORTS[line.command]
                kind.require_name(kind.folder + file.name)
                steps.append(Step(line, [], file=file))
            elif line.command == "create report":
                vpp, month = line.fields
                of_month = Month.parse_begun(month, timezone)
                steps.append(Step(line, [], report=(registry.vpp_id(vpp, of_month), of_month)))
            else:
                changes = _CREATES[line.command](registry, line.fields, charge_events)
                for fields in changes:
                    change = parse_change({**fields, "effective_from": None})
                    registry.add(change, now, "")
                    if not steps or not steps[-1].changes:
                        steps.append(Step(line, []))
                    steps[-1].changes.append((line.number, change))
        except Refused as problem:
            raise Refused(
                f"line {line.number}: {problem} (expected {_EXPECTED[line.command]})"
            ) from None
    return steps


def _vpp(registry: Registry, fields: list[str], charge_events: str) -> list[dict[str, Any]]:
    name, percentage, *fee = fields
    terms = {"revenue_percentage": percentage, "daily_fee_aud": fee[0] if fee else "0"}
    if vpp := _present_vpp(registry, name):
        return [{"change": "update-vpp", "vpp": vpp, "name": name, **terms}]
    return [{"change": "create-vpp", "name": name, **terms, "charge_events": charge_events}]


def _present_vpp(registry: Registry, name: str) -> str | None:
    """Return the VPP of this name, if there is one.

    One of another name that would get the same id is not it, and is then in the way.
    """
    try:
        return registry.vpp_id(name)
    except Refused:
        return None


def _site(registry: Registry, fields: list[str], _: str) -> list[dict[str, Any]]:
    vpp, nmi, address = fields
    site = {"nmi": nmi, "vpp": vpp, "address": address}
    if not registry.knows("site", _site_id(nmi)):
        return [{"change": "create-site", **site}]
    return [
        {"change": "assign-site", "nmi": nmi, "vpp": vpp},
        {"change": "update-site", "nmi": nmi, "address": address},
    ]


def _battery(registry: Registry, fields: list[str], _: str) -> list[dict[str, Any]]:
    nmi, manufacturer, serial, capacity = fields
    battery = {"serial": serial, "manufacturer": manufacturer, "capacity_kwh": capacity}
    add = {"change": "add-battery", "nmi": nmi, **battery}
    if not registry.knows("battery", serial):
        return [add]
    return [{"change": "remove-battery", "serial": serial}, add]


_CREATES: dict[str, Callable[[Registry, list[str], str], list[dict[str, Any]]]] = {
    "create vpp": _vpp,
    "create site": _site,
    "create battery": _battery,
}


def _site_id(nmi: str) -> str:
    try:
        return canonical_nmi(nmi)
    except ValueError as problem:
        raise Refused(f"nmi: {problem}") from None


def _find(name: str) -> Path:
    """Find a file from here or among the project's data."""
    for path in (Path(name), _DATA / name):
        with suppress(OSError, ValueError):  # no system has such a name
            if path.is_file():
                return path
    raise Refused(f"there is no file {shown(name)} here or in {_DATA.name}/")


def run(
    store: ObjectStore, settings: Settings, lines: list[Line], charge_events: str
) -> Iterable[bytes]:
    """Carry out the lines; yield each report."""
    registry = read_registry(store, settings)
    names: dict[tuple[str, Path], str] = {}
    for step in plan(lines, registry, charge_events, settings.timezone):
        if step.file:
            _import(store, settings, step.line, step.file, names)
        elif step.report:
            yield _report(store, *step.report)
        else:
            append_changes(store, settings, step.changes, _who())


def _import(
    store: ObjectStore,
    settings: Settings,
    line: Line,
    file: Path,
    names: dict[tuple[str, Path], str],
) -> None:
    folder = _IMPORTS[line.command].folder
    taken = set(names.values()) - {names.get((folder, file))}
    free = [f"{folder}{file.name}", *(f"{folder}{n}-{file.name}" for n in range(2, 1000))]
    key = names[folder, file] = next(name for name in free if name not in taken)
    before = store.read(key)
    store.upload(file, key)
    inbox = list_inbox(store)
    [listed] = inbox.files.filter(inbox.files["key"] == key).to_dicts()
    if listed["import_id"] is None:
        [version] = [version for version in inbox.new if version.key == key]
        rows = import_objects(store, settings.timezone, [version])
        imported = rows.row(0, named=True)
        if imported["failed"]:
            if before is None:
                store.delete(key)
            else:
                store.write(key, before[0], "text/csv")
            raise Refused(f"line {line.number}: {file}: {imported['failed']}")
        add_to_catalog(store, rows)
        reasons = {entry["reason"]: entry["rows"] for entry in imported["rejected"]}
        if imported["ignored"]:
            reasons["ignored"] = imported["ignored"]
        if imported["warnings"]:
            _say(imported["warnings"])
        count = imported["imported"]
    else:
        reasons, count = {"already imported": listed["rows"] + listed["ignored"]}, 0
    why = ", ".join(f"{rows} {reason}" for reason, rows in reasons.items())
    _say(f"imported={count} skipped={sum(reasons.values())}" + (f" ({why})" if why else ""))


def _report(store: ObjectStore, vpp: str, month: Month) -> bytes:
    request = SettlementRequest(
        datetime.now(UTC), max_rejected_percent=100, vpps=(vpp,), allow_missing=True
    )
    run = Run(store, month, request, str(uuid4()), _who(), {"vpps": [vpp]})
    with run.recorded():
        story.settle_and_publish(run)
    assert isinstance(run.record, SettledRunRecord)
    for sentence in missing_sentences(run.record, store.settings.timezone):
        _say(f"missing: {sentence}")
    for sentence in _in_no_report(run.record):
        _say(sentence)
    report = store.read(keys.report(month, vpp))
    assert report is not None
    return report[0]


def _in_no_report(record: SettledRunRecord) -> Iterator[str]:
    """Yield a sentence for each site that is in no VPP, and for each object that is not read."""
    for site in record.unassigned:
        where = "in no VPP" if site.is_known else "not in the registry"
        yield (
            f"{record.month}: unassigned: site {site.nmi} is {where} on days with "
            f"{count(site.events, 'event')} of {site.energy_kwh:,} kWh, from {site.first_day} to "
            f"{site.last_day}; nobody is paid for them"
        )
    if record.unlisted_sites:
        yield f"{record.month}: unassigned: {count(record.unlisted_sites, 'more site')}"
    for key in record.imported.unread if record.imported else []:
        kind = kind_of(key)
        yield (
            f"{key} is not read: names in {kind.folder} end in {kind.endings}, and have no "
            "characters that are not shown"
        )


def _say(sentence: str) -> None:
    """Say it on standard error; a terminal obeys no name of a file, or text of one."""
    print(visible(sentence), file=sys.stderr)


def _who() -> str:
    return f"line program: {user_and_machine()}"


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        raise Refused(f"line {line}: not UTF-8 text; save the file as UTF-8") from None


def main(arguments: list[str] | None = None) -> int:
    """Run the program on standard input and return its exit status."""
    parser = argparse.ArgumentParser(description="Settle from lines on standard input.")
    parser.add_argument("--output", type=Path, help="also write the last report to this file")
    parser.add_argument(
        "--charge-events",
        choices=("cost", "revenue"),
        default="cost",
        help="whether charging costs the site (default) or counts as revenue, for new VPPs",
    )
    options = parser.parse_args(arguments)
    is_configured = any(os.environ.get(name) for name in _S3_IS_CONFIGURED_BY)
    try:
        # Lines end at LF alone: an address may have what Python takes for the end of a line, too.
        lines = read_lines(_text(sys.stdin.buffer.read()).split("\n"))
        with nullcontext() if is_configured else embedded_s3():
            settings = Settings()
            store = ObjectStore(settings)
            store.require_access()
            for report in run(store, settings, lines, options.charge_events):
                sys.stdout.buffer.write(report)
                sys.stdout.buffer.flush()
                if options.output:
                    options.output.write_bytes(report)
    except (Refused, Unreachable) as problem:
        _say(str(problem))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
