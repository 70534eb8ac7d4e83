"""Publishing: revisions, the current copy, why a revision differs, and the record of the run.

A run first claims its revisions in the month's ledger, which it replaces only if it is still the
one that stood before the inputs were read. Whoever lost that race settled from older inputs, and
has to settle again: so the newest inputs win. What is claimed is then written, once: `r<n>.json`
beside `r<n>.diff.json`, and the current copy. A run that dies in between leaves claims behind,
which the next run keeps; closing a month is refused while there are any.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import md5
from importlib.metadata import version
from typing import Any, Literal

from pydantic_core import to_json

from tasks.core.difference import Difference, difference
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.month_record import Ledger, Revision, Settled
from tasks.core.report import Report
from tasks.io.object_store import LostRace, ObjectStore
from tasks.io.registry_log import read_log

_PARALLEL_WRITES = 16
_SOFTWARE = ("vpp-settlement", "prefect", "polars", "duckdb", "boto3")


@dataclass(frozen=True)
class Standing:
    """What was published for a month when it was looked at."""

    ledger: Ledger
    etag: str | None  # the ledger's
    objects: dict[str, str]  # below reports/<month>/: ETag by key

    @property
    def month(self) -> Month:
        return Month.parse(self.ledger.month)

    def last_number(self, vpp: str) -> int:
        """Return the highest number of any revision of a VPP, also of one that is in no ledger."""
        start = report_key(self.month, vpp).removesuffix(".json") + "/r"
        names = (key[len(start) : -5] for key in self.objects if key.startswith(start))
        return max([self.ledger.latest(vpp), *(int(name) for name in names if name.isdigit())])


@dataclass(frozen=True)
class Plan:
    """What publishing would do: the ledger with its claims, and how they differ from what stands.

    `differences` has those of each VPP with a new revision after the first.
    """

    before: Standing
    ledger: Ledger
    reports: list[Report]
    differences: dict[str, Difference]

    @property
    def new(self) -> list[str]:
        """Return the ids of the VPPs with a new revision."""
        before, after = self.before.ledger, self.ledger
        return sorted(vpp for vpp in after.revisions if after.latest(vpp) != before.latest(vpp))


@dataclass(frozen=True)
class Published:
    """What became of one report; `changed` says in words how it differs from the one before."""

    vpp: str
    outcome: Literal["published", "unchanged", "preview"]
    revision: int
    key: str
    name: str
    sites: int
    totals: dict[str, float]
    changed: list[str]


def report_key(month: Month, vpp: str, revision: int | None = None) -> str:
    """Return where the current report is, or one of its revisions."""
    folder = f"reports/{month}/{vpp}"
    return f"{folder}.json" if revision is None else f"{folder}/r{revision}.json"


def diff_key(month: Month, vpp: str, revision: int) -> str:
    """Return where it says how a revision differs from the one before, and why."""
    return f"reports/{month}/{vpp}/r{revision}.diff.json"


def ledger_key(month: Month) -> str:
    """Return where a month's ledger is."""
    return f"months/{month}.json"


def standing(store: ObjectStore, month: Month) -> Standing:
    """Look at what is published for a month, before its inputs are read: a read and a listing."""
    found = store.read(ledger_key(month))
    ledger = Ledger.model_validate_json(found[0]) if found else Ledger(month=str(month))
    objects = {one.key: one.etag for one in store.versions(f"reports/{month}/")}
    return Standing(ledger, found[1] if found else None, objects)


def is_made(store: ObjectStore, before: Standing, vpp: str) -> bool:
    """Say whether a VPP's last claimed revision is there, and is the current report."""
    key = report_key(before.month, vpp)
    keys = (key, report_key(before.month, vpp, before.ledger.latest(vpp)))
    etags = [before.objects.get(key) for key in keys]
    if None in etags:
        return False
    # The same bytes have the same ETag on most stores; on the others they must be read.
    return etags[0] == etags[1] or len({(store.read(key) or (b"",))[0] for key in keys}) == 1


def plan(
    store: ObjectStore,
    before: Standing,
    reports: list[Report],
    facts: dict[str, Any],
    run_record: str,
    is_whole: bool,
) -> Plan:
    """Compare what was settled with what stands; nothing is written.

    Args:
        store: where what stands is read.
        before: what stood before the inputs were read.
        reports: what was settled.
        facts: what it was settled from.
        run_record: where they will be written.
        is_whole: whether the reports are those on all VPPs, with nothing supposed.
    """
    claimed = _claims(store, before, reports, run_record, facts["inputs"] if is_whole else None)
    return Plan(before, claimed, reports, _differences(store, before, claimed, reports, facts))


def publish(store: ObjectStore, plan: Plan, write_record: Callable[[], None]) -> list[Published]:
    """Claim the new revisions; write what was claimed and is not there yet; make it current.

    `write_record` writes the record of the run, which must be there before a claim names it.

    Raises:
        LostRace: somebody published or closed meanwhile. Look at what stands, read the inputs and
            settle again; what of these reports is published already stays, and will not differ.
        Refused: the month is closed, or a revision is there and is not what was claimed.
    """
    _claim(store, plan, write_record)

    def one(report: Report) -> Published:
        vpp = report.settlement.vpp_id
        revised = report.revised(plan.ledger.latest(vpp))
        is_written = _publish(store, plan.before, revised, plan.differences.get(vpp))
        return outcome(plan, report, "published" if is_written else "unchanged")

    with ThreadPoolExecutor(_PARALLEL_WRITES) as pool:
        return list(pool.map(one, plan.reports))


def outcome(
    plan: Plan, report: Report, what: Literal["published", "unchanged", "preview"]
) -> Published:
    """Say what became of a report."""
    vpp, month = report.settlement.vpp_id, plan.before.month
    revision = plan.ledger.latest(vpp)
    changed = ["first"] if what != "unchanged" and revision == 1 else []
    if difference := plan.differences.get(vpp):
        changed = [f"{name} {values}" for name, values in difference.totals.items()]
        changed = changed or ["no total"]
    return Published(
        vpp=vpp,
        outcome=what,
        revision=revision,
        key=report_key(month, vpp, revision),
        name=report.vpp,
        sites=len(report.sites),
        totals=report.totals.model_dump(mode="json", exclude_none=True),
        changed=changed,
    )


def _claim(store: ObjectStore, plan: Plan, write_record: Callable[[], None]) -> None:
    closed = plan.before.ledger.closed
    if closed and plan.new:
        raise Refused(
            f"{plan.before.month} was closed by {closed.by} at {closed.at:%Y-%m-%d %H:%M} UTC and "
            f"is not published again, though {', '.join(plan.new)} would change; preview says what "
            "would, and reopen-month lets it"
        )
    if plan.ledger != plan.before.ledger and not closed:
        write_record()
        store.write_if(ledger_key(plan.before.month), plan.ledger.to_bytes(), plan.before.etag)


def _claims(
    store: ObjectStore,
    before: Standing,
    reports: list[Report],
    run_record: str,
    inputs: str | None,
) -> Ledger:
    """Return the ledger with a new revision of each report that differs from the last one."""
    revisions = {vpp: dict(of) for vpp, of in before.ledger.revisions.items()}
    for report in reports:
        vpp = report.settlement.vpp_id
        claim = Revision(digest=report.digest, run_record=run_record)
        of = revisions.setdefault(vpp, {})
        number = before.last_number(vpp)
        if not of and number and _reads(store, before.month, report.revised(number)):
            of[number] = claim  # the ledger was lost; nothing else was
        if not of or of[max(of)].digest != claim.digest:
            of[number + 1] = claim
    settled = before.ledger.settled
    if inputs is not None:
        if settled is None or settled.inputs != inputs or revisions != before.ledger.revisions:
            settled = Settled(inputs=inputs, run_record=run_record)
    elif revisions != before.ledger.revisions:
        settled = None
    return before.ledger.model_copy(update={"revisions": revisions, "settled": settled})


def _reads(store: ObjectStore, month: Month, report: Report) -> bool:
    found = store.read(report_key(month, report.settlement.vpp_id))
    return found is not None and found[0] == report.to_bytes()


def _differences(
    store: ObjectStore,
    before: Standing,
    claimed: Ledger,
    reports: list[Report],
    rests_on: dict[str, Any],
) -> dict[str, Difference]:
    """Return how claimed revisions differ from the current reports, by VPP; nothing of first ones.

    What the current ones rest on is in the records of their runs.
    """

    @lru_cache
    def rested_on(run_record: str) -> dict[str, Any]:
        found = store.read(run_record)
        if found is None:
            raise Refused(f"{run_record} is missing; it was deleted by hand and must be restored")
        return dict(json.loads(found[0]))

    log: list[bytes] = []

    def one(report: Report) -> Difference | None:
        vpp = report.settlement.vpp_id
        found = store.read(report_key(before.month, vpp))
        if found is None:
            return None
        current = Report.model_validate_json(found[0])
        claim = before.ledger.revisions.get(vpp, {}).get(current.settlement.revision)
        if claim is None:  # it was published meanwhile, so what is claimed here will be refused
            return None
        after = report.revised(claimed.latest(vpp))
        if current == after:  # a store whose ETags do not tell
            return None
        return difference(current, after, rested_on(claim.run_record), rests_on, log)

    new = [report for report in reports if _is_new(before, claimed, report)]
    if not new:
        return {}
    log += read_log(store).splitlines()
    with ThreadPoolExecutor(_PARALLEL_WRITES) as pool:
        found = pool.map(one, new)
    return {one.vpp_id: one for one in found if one is not None}


def _is_new(before: Standing, claimed: Ledger, report: Report) -> bool:
    """Say whether a report is a later revision than the first, and not current yet."""
    vpp = report.settlement.vpp_id
    number = claimed.latest(vpp)
    etags = {before.objects.get(report_key(before.month, vpp, n)) for n in (None, number)}
    return number > 1 and (number != before.ledger.latest(vpp) or None in etags or len(etags) > 1)


def _publish(
    store: ObjectStore, before: Standing, report: Report, difference: Difference | None
) -> bool:
    """Write a claimed revision and make it current; return whether there was anything to do."""
    vpp, revision = report.settlement.vpp_id, report.settlement.revision
    key, revision_key = (report_key(before.month, vpp, n) for n in (None, revision))
    data = report.to_bytes()
    # An ETag is the MD5 of what was put in one piece, on most stores: then nothing is read.
    etags = [before.objects.get(key) for key in (key, revision_key)]
    if etags == [md5(data).hexdigest()] * 2:
        return False
    if None not in etags and all((store.read(k) or (b"",))[0] == data for k in (key, revision_key)):
        return False
    if difference is not None:
        store.write(diff_key(before.month, vpp, revision), difference.to_bytes())
    try:
        store.write_if(revision_key, data, None)
    except LostRace:
        raise Refused(
            f"{revision_key} is not what {ledger_key(before.month)} says of it: it was written by "
            "hand; delete it, and run this again"
        ) from None
    store.write_if(key, data, before.objects.get(key))
    return True


def write_run_record(
    store: ObjectStore,
    key: str,
    month: Month,
    started: datetime,
    run_id: str,
    started_by: str,
    outcome: str,
    facts: dict[str, Any],
) -> None:
    """Write what happened to `runs/`, whatever it was."""
    started = started.astimezone(UTC)
    record = {
        "month": str(month),
        "run_id": run_id,
        "started_by": started_by,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - started).total_seconds(), 1),
        "outcome": outcome,
        **facts,
        "software": {name: version(name) for name in _SOFTWARE},
    }
    store.write(key, to_json(record, indent=2, fallback=str) + b"\n")


def run_record_key(month: Month, started: datetime, run_id: str) -> str:
    """Return where a run's record is."""
    return f"runs/{month}/{started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{run_id}.json"


def run_records(store: ObjectStore, month: str = "") -> Iterator[dict[str, Any]]:
    """Yield the records of all runs, or of a month's, oldest first. Reads S3 alone."""
    for version_ in store.versions(f"runs/{month}"):
        found = store.read(version_.key)
        if found is not None:
            yield {"key": version_.key, **json.loads(found[0])}
