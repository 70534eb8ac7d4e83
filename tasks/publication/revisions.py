"""Revisions: drafted, claimed, written once, and made current; and why one differs.

A run first claims its revisions in the month's record, which it replaces only if it is still the
one that was read before the inputs were. Whoever lost that race settled from older inputs, and has
to settle again: so the newest inputs win. What is claimed is then written, once: `r<n>.json` beside
`r<n>.diff.json`, and the current copy. When all of it is there, the month's record says so.

A run that dies in between leaves a month that is `publishing`. The next run keeps its claims and
completes them; closing a month is refused while there are any. If the inputs are others by then,
the revisions that were never written are named in the record. The dead run's own record says so.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import md5
from threading import Lock
from typing import Any, Literal

from tasks.core import keys
from tasks.core.difference import Basis, Cause, Difference, RegistryChange, compare
from tasks.core.errors import LostRace, Refused
from tasks.core.month import Month
from tasks.core.month_record import LastSettlement, MonthRecord, Revision
from tasks.core.report import Report
from tasks.core.run_record import ReportOutcome, RunRecord, SettledRunRecord, SettlementFacts
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import changes_between
from tasks.io.registry_segments import Log
from tasks.publication.published import PublishedMonth, is_complete, is_current, read_published
from tasks.publication.run_records import read_run_record, write_run_record
from tasks.settlement.data_changes import DataChanges, data_changes
from tasks.settlement.reports import DraftReport
from tasks.settlement.settlement import Settlement

_PARALLEL_WRITES = 16


@dataclass(frozen=True)
class Revisions:
    """What publishing would do: the month's record with its claims, and what they change.

    `run_record` is the key that the claims name; `differences` has those of each VPP with a new
    revision after the first.
    """

    published: PublishedMonth
    record: MonthRecord
    run_record: str
    reports: list[DraftReport]
    differences: dict[str, Difference]

    @property
    def new(self) -> list[str]:
        """Return the ids of the VPPs with a new revision."""
        old, new = self.published.record, self.record
        return sorted(
            vpp for vpp in new.revisions if new.last_revision(vpp) != old.last_revision(vpp)
        )

    def outcome(
        self, report: DraftReport, outcome: Literal["published", "unchanged", "preview"]
    ) -> ReportOutcome:
        """Say what became of a report."""
        vpp = report.vpp_id
        revision = self.record.last_revision(vpp)
        is_first = keys.report(self.published.month, vpp) not in self.published.objects
        changed = ["first"] if outcome != "unchanged" and is_first else []
        if difference := self.differences.get(vpp):
            changed = [f"{name} {values}" for name, values in difference.totals.items()]
            changed = changed or ["no total"]
        return ReportOutcome(
            vpp=vpp,
            outcome=outcome,
            revision=revision,
            key=keys.report(self.published.month, vpp, revision),
            name=report.name,
            sites=report.sites,
            totals=report.totals,
            changed=changed,
        )


def draft_revisions(
    store: ObjectStore, published: PublishedMonth, settlement: Settlement, run_record: str
) -> Revisions:
    """Compare what was settled with what is published; nothing is written.

    Args:
        store: where what is published is read.
        published: what was published before the inputs were read.
        settlement: what was settled.
        run_record: the key of the run's record, which will name the inputs.
    """
    with _earlier_settlements(store, settlement) as earlier:
        reports = _keep_current(store, published, settlement.reports, earlier)
        settlement = replace(settlement, reports=reports)
        record = _with_claims(store, published, settlement, run_record)
        differences = _differences(store, published, record, settlement, earlier)
    return Revisions(published, record, run_record, reports, differences)


def publish(store: ObjectStore, revisions: Revisions, run_record: RunRecord) -> list[ReportOutcome]:
    """Claim the new revisions; write what was claimed and is not there yet; make it current.

    The run's record is written first, since a claim names it.

    Raises:
        LostRace: somebody published or closed meanwhile. Read what is published and the inputs, and
            settle again; what of these reports is published already stays, and will not differ.
        Refused: the month is closed, or a revision is there and is not what was claimed.
    """
    _claim(store, revisions, run_record)

    def publish_report(report: DraftReport) -> ReportOutcome:
        is_written = _write_report(store, revisions, report)
        return revisions.outcome(report, "published" if is_written else "unchanged")

    with ThreadPoolExecutor(_PARALLEL_WRITES) as pool:
        outcomes = list(pool.map(publish_report, revisions.reports))
    if revisions.record.state != "whole":
        _finish(store, revisions, run_record.model_copy(update=ended(outcomes)))
    return outcomes


def ended(reports: list[ReportOutcome]) -> dict[str, Any]:
    """Return what a run's record says at the end of publishing."""
    is_new = any(report.outcome == "published" for report in reports)
    return {"outcome": "published" if is_new else "unchanged", "reports": reports}


def _finish(store: ObjectStore, revisions: Revisions, run_record: RunRecord) -> None:
    """Say in the month's record that all of it is published, if it is, and what never will be.

    If somebody wrote that record meanwhile, it is for them to say so.
    """
    now = read_published(store, revisions.published.month)
    last = now.record.last_settlement
    if revisions.record != revisions.published.record:
        write_run_record(store, revisions.run_record, run_record)
    with ThreadPoolExecutor(_PARALLEL_WRITES) as pool:
        is_whole = all(pool.map(lambda vpp: is_current(store, now, vpp), now.record.revisions))
    if not is_whole or (last and not is_complete(read_run_record(store, last.run_record))):
        return
    _end_dead_runs(store, revisions)
    unpublished = {
        vpp: missing
        for vpp, of_vpp in now.record.revisions.items()
        if (missing := [n for n in of_vpp if keys.report(now.month, vpp, n) not in now.objects])
    }
    record = now.record.model_copy(update={"state": "whole", "unpublished": unpublished})
    with suppress(LostRace):
        store.write_if(keys.month_record(now.month), record.to_bytes(), now.etag)


def _end_dead_runs(store: ObjectStore, revisions: Revisions) -> None:
    """Say of runs that died while they published the month that they did.

    One that lives yet says something else at its own end.
    """
    old = revisions.published.record
    if old.state == "whole":
        return
    claims = {of_vpp[max(of_vpp)].run_record for of_vpp in old.revisions.values()}
    for key in sorted(claims - {revisions.run_record}):
        record = read_run_record(store, key)
        if record is not None and record.outcome == "publishing":
            reason = f"it died while it published; {revisions.run_record} completed the month"
            dead = record.model_copy(update={"outcome": "failed", "reason": reason})
            write_run_record(store, key, dead)


def _claim(store: ObjectStore, revisions: Revisions, run_record: RunRecord) -> None:
    published = revisions.published
    closing = published.record.closing
    if closing and revisions.new:
        raise Refused(
            f"{published.month} was closed by {closing.by} at {closing.at:%Y-%m-%d %H:%M} UTC and "
            f"is not published again, though {', '.join(revisions.new)} would change; a preview "
            "shows how, and reopen-month allows it"
        )
    if revisions.record != published.record and not closing:
        write_run_record(store, revisions.run_record, run_record)
        key = keys.month_record(published.month)
        store.write_if(key, revisions.record.to_bytes(), published.etag)


def _with_claims(
    store: ObjectStore, published: PublishedMonth, settlement: Settlement, run_record: str
) -> MonthRecord:
    """Return the month's record with a new revision of each report that differs from the last."""
    old = published.record
    revisions = {vpp: dict(of_vpp) for vpp, of_vpp in old.revisions.items()}
    for report in settlement.reports:
        vpp = report.vpp_id
        claim = Revision(digest=report.digest, run_record=run_record)
        of_vpp = revisions.setdefault(vpp, {})
        number = published.last_revision(vpp)
        if not of_vpp and number and _is_published(store, published.month, report, number):
            of_vpp[number] = claim  # the month's record was lost; nothing else was
        if not of_vpp or of_vpp[max(of_vpp)].digest != claim.digest:
            of_vpp[number + 1] = claim
    is_changed = revisions != old.revisions
    last, inputs = old.last_settlement, settlement.facts.inputs
    if settlement.request.is_whole:
        if last is None or last.inputs != inputs or is_changed or old.state != "whole":
            last = LastSettlement(inputs=inputs, run_record=run_record)
    elif is_changed:
        last = None
    new = old.model_copy(update={"revisions": revisions, "last_settlement": last})
    return old if new == old else new.model_copy(update={"state": "publishing"})


def _is_published(store: ObjectStore, month: Month, report: DraftReport, number: int) -> bool:
    found = store.read(keys.report(month, report.vpp_id))
    return found is not None and found[0] == report.to_bytes(number)


@dataclass(frozen=True)
class _EarlierSettlements:
    """What earlier runs settled from, and what changed since: read once, when it is asked for."""

    store: ObjectStore
    month: Month
    facts: SettlementFacts
    log: Log
    opened: ExitStack
    changes: dict[str, DataChanges] = field(default_factory=dict)
    registry: dict[int, list[RegistryChange]] = field(default_factory=dict)
    records: dict[str, SettledRunRecord] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def record(self, key: str) -> SettledRunRecord:
        with self.lock:
            if key not in self.records:
                found = read_run_record(self.store, key)
                if not isinstance(found, SettledRunRecord):
                    raise Refused(f"{key} is missing; it was deleted by hand and must be restored")
                self.records[key] = found
            return self.records[key]

    def changes_since(self, key: str) -> DataChanges:
        before = self.record(key)
        with self.lock:
            if key not in self.changes:
                context = data_changes(self.store, self.month, before, self.facts)
                self.changes[key] = self.opened.enter_context(context)
            return self.changes[key]

    def registry_changes(self, key: str) -> list[RegistryChange]:
        """Return the changes that one of the two settlements saw, and the other did not."""
        first, last = sorted((self.record(key).registry_seq, self.facts.registry_seq))
        with self.lock:
            if first not in self.registry:
                self.registry[first] = changes_between(self.log, first + 1, last)
            return self.registry[first]


@contextmanager
def _earlier_settlements(
    store: ObjectStore, settlement: Settlement
) -> Iterator[_EarlierSettlements]:
    inputs = settlement.inputs
    with ExitStack() as opened:
        yield _EarlierSettlements(store, inputs.month, settlement.facts, inputs.log, opened)


def _keep_current(
    store: ObjectStore,
    published: PublishedMonth,
    reports: list[DraftReport],
    earlier: _EarlierSettlements,
) -> list[DraftReport]:
    """Return the reports; of those that differ from the current one by ETags alone, that one.

    Their files were replaced, and nothing in them that bears on the VPP.
    """

    def keep(report: DraftReport) -> DraftReport:
        vpp = report.vpp_id
        number = published.record.last_revision(vpp)
        claim = published.record.revisions.get(vpp, {}).get(number)
        if claim is None or claim.digest == report.digest:
            return report
        found = store.read(keys.report(published.month, vpp))
        if found is None:
            return report
        current, settled = Report.model_validate_json(found[0]), report.read()
        is_alike = current.settlement.revision == number and current.is_alike(settled)
        if is_alike and earlier.changes_since(claim.run_record).spare(settled):
            return report.saying(current)
        return report

    with ThreadPoolExecutor(_PARALLEL_WRITES) as pool:
        return list(pool.map(keep, reports))


def _differences(
    store: ObjectStore,
    published: PublishedMonth,
    record: MonthRecord,
    settlement: Settlement,
    earlier: _EarlierSettlements,
) -> dict[str, Difference]:
    """Return how claimed revisions differ from the current reports, by VPP; not of first ones.

    What the current ones rest on is in the records of their runs.
    """

    def data_causes(before: Report, after: Report, run_record: str) -> list[Cause]:
        old, new = before.settlement, after.settlement
        if (old.meter_inputs, old.price_inputs) == (new.meter_inputs, new.price_inputs):
            return []
        return earlier.changes_since(run_record).causes(before, after)

    new_basis = Basis(settlement.facts.registry_seq, settlement.facts.rule_version)

    def difference(report: DraftReport) -> Difference | None:
        vpp = report.vpp_id
        found = store.read(keys.report(published.month, vpp))
        if found is None:
            return None
        current = Report.model_validate_json(found[0])
        claim = published.record.revisions.get(vpp, {}).get(current.settlement.revision)
        if claim is None:  # it was published meanwhile, so what is claimed here will be refused
            return None
        revised = report.read(record.last_revision(vpp))
        if current == revised:  # a store whose ETags are not made from the content
            return None
        old = earlier.record(claim.run_record)
        return compare(
            current,
            revised,
            Basis(old.registry_seq, old.rule_version),
            new_basis,
            earlier.registry_changes(claim.run_record),
            data_causes(current, revised, claim.run_record),
        )

    later = [report for report in settlement.reports if _is_later(published, record, report)]
    with ThreadPoolExecutor(_PARALLEL_WRITES) as pool:
        found = list(pool.map(difference, later))
    return {changed.vpp_id: changed for changed in found if changed is not None}


def _is_later(published: PublishedMonth, record: MonthRecord, report: DraftReport) -> bool:
    """Say whether a report is a later revision than the first, and not current yet."""
    vpp = report.vpp_id
    number = record.last_revision(vpp)
    etags = {published.objects.get(keys.report(published.month, vpp, n)) for n in (None, number)}
    is_new = number != published.record.last_revision(vpp)
    return number > 1 and (is_new or None in etags or len(etags) > 1)


def _write_report(store: ObjectStore, revisions: Revisions, report: DraftReport) -> bool:
    """Write a claimed revision and make it current; return whether there was anything to do."""
    published, vpp = revisions.published, report.vpp_id
    revision = revisions.record.last_revision(vpp)
    key, revision_key = (keys.report(published.month, vpp, n) for n in (None, revision))
    data = report.to_bytes(revision)
    # An ETag is the MD5 of what was put in one piece, on most stores: then nothing is read.
    etags = [published.objects.get(key) for key in (key, revision_key)]
    if etags == [md5(data).hexdigest()] * 2:
        return False
    if None not in etags and all((store.read(k) or (b"",))[0] == data for k in (key, revision_key)):
        return False
    if difference := revisions.differences.get(vpp):
        store.write(keys.difference(published.month, vpp, revision), difference.to_bytes())
    try:
        store.write_if(revision_key, data, None)
    except LostRace:
        raise Refused(
            f"{revision_key} is not what {keys.month_record(published.month)} says of it: it was "
            "written by hand; delete it, and run this again"
        ) from None
    store.write_if(key, data, published.objects.get(key))
    return True
