"""Publishing: revisions, the current copy, and the record of the run.

Revision n is written once and never again; the current copy is replaced only if it is still the
one that stood there before the inputs were read. Whoever lost that race settled from older inputs,
and has to settle again: so the newest inputs always win, and nothing is ever half published.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import md5
from importlib.metadata import version
from typing import Any, Literal

from tasks.core.month import Month
from tasks.core.report import Report
from tasks.io.object_store import LostRace, ObjectStore

_PARALLEL_WRITES = 16
_SOFTWARE = ("vpp-settlement", "prefect", "polars", "duckdb", "boto3")


@dataclass(frozen=True)
class Standing:
    """What was published for a VPP and month when it was looked at."""

    etag: str | None
    revision: int  # the highest there is a file of; 0: none


@dataclass(frozen=True)
class Published:
    """What became of one report."""

    vpp: str
    outcome: Literal["published", "unchanged"]
    revision: int
    key: str


def report_key(month: Month, vpp: str, revision: int | None = None) -> str:
    """Return where the current report is, or one of its revisions."""
    folder = f"reports/{month}/{vpp}"
    return f"{folder}.json" if revision is None else f"{folder}/r{revision}.json"


def standing(store: ObjectStore, month: Month) -> dict[str, Standing]:
    """Look at what is published for a month, before its inputs are read. One listing."""
    etags: dict[str, str] = {}
    revisions: dict[str, int] = {}
    for version_ in store.versions(f"reports/{month}/"):
        vpp, _, file = version_.key.removeprefix(f"reports/{month}/").partition("/")
        if file.startswith("r") and file[1:].removesuffix(".json").isdigit():
            number = int(file[1:].removesuffix(".json"))
            revisions[vpp] = max(number, revisions.get(vpp, 0))
        elif not file:
            etags[vpp.removesuffix(".json")] = version_.etag
    return {vpp: Standing(etags.get(vpp), revisions.get(vpp, 0)) for vpp in etags | revisions}


def publish(
    store: ObjectStore, month: Month, reports: list[Report], before: dict[str, Standing]
) -> list[Published]:
    """Publish reports whose inputs were read after `before` was; unchanged ones are not written.

    Raises:
        LostRace: somebody published meanwhile. Look at what stands, read the inputs and settle
            again; what of these reports is published already stays, and will not differ.
    """

    def one(report: Report) -> Published:
        vpp = report.settlement.vpp_id
        return _publish(store, month, report, before.get(vpp, Standing(None, 0)))

    with ThreadPoolExecutor(_PARALLEL_WRITES) as pool:
        return list(pool.map(one, reports))


def _publish(store: ObjectStore, month: Month, report: Report, before: Standing) -> Published:
    vpp = report.settlement.vpp_id
    key = report_key(month, vpp)
    revision = before.revision
    if before.etag is not None and revision:
        # An ETag is the MD5 of what was put in one piece, on most stores: then nothing is read.
        if md5(report.revised(revision).to_bytes()).hexdigest() == before.etag:
            return Published(vpp, "unchanged", revision, report_key(month, vpp, revision))
        current = store.read(key)
        if current is None or current[1] != before.etag:
            raise LostRace(key)
        revision = json.loads(current[0])["settlement"]["revision"]
        if report.revised(revision).to_bytes() == current[0]:
            return Published(vpp, "unchanged", revision, report_key(month, vpp, revision))
    elif before.revision:
        revision -= 1  # the current copy is gone: the last revision is made current again first
    data = report.revised(revision + 1).to_bytes()
    revision_key = report_key(month, vpp, revision + 1)
    try:
        store.write_if(revision_key, data, None)
    except LostRace:
        # Somebody wrote this revision and died before making it current, or is about to. It counts:
        # make it current, and settle again on top of it.
        found = store.read(revision_key)
        assert found is not None, f"{revision_key} is there and is not"
        store.write_if(key, found[0], before.etag)
        raise
    store.write_if(key, data, before.etag)
    return Published(vpp, "published", revision + 1, revision_key)


def write_run_record(
    store: ObjectStore,
    month: Month,
    started: datetime,
    run_id: str,
    started_by: str,
    outcome: str,
    facts: dict[str, Any],
) -> str:
    """Write what happened to `runs/`, whatever it was, and return the key."""
    started = started.astimezone(UTC)
    key = f"runs/{month}/{started:%Y%m%dT%H%M%SZ}-{run_id}.json"
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
    store.write(key, (json.dumps(record, indent=2, default=str) + "\n").encode())
    return key


def run_records(store: ObjectStore, month: str = "") -> Iterator[dict[str, Any]]:
    """Yield the records of all runs, or of a month's, oldest first. Reads S3 alone."""
    for version_ in store.versions(f"runs/{month}"):
        found = store.read(version_.key)
        if found is not None:
            yield {"key": version_.key, **json.loads(found[0])}
