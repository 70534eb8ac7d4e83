"""The history of all settlement runs, from S3 alone: `make history`.

    python -m flows.commands.history [YYYY-MM]

One line a run: month, when, who, outcome, revisions, rows, seconds. It outlives Prefect's database.
The S3 is the one that the environment names; where it names none, that of `make up`.
"""

import sys

from flows.commands.local_stack import use_its_s3
from tasks.core.change_fields import visible
from tasks.core.errors import Refused, Unreachable
from tasks.core.month import Month
from tasks.core.run_record import RunRecord, SettledRunRecord
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.publication.run_records import read_run_records

_LINE = "{:7}  {:20}  {:24}  {:9}  {:>8}  {:>10}  {:>7}"
_HEAD = ("month", "started", "who", "outcome", "revision", "rows", "seconds")

# What exceptions without a sentence of their own left as the reason in run records.
_ENDINGS = {
    "TerminationSignal": "its process was told to end: cancelled, or its worker was stopped",
    "KeyboardInterrupt": "it was interrupted at the keyboard",
    "CancelledError": "it was cancelled",
    "MemoryError": "its process ran out of memory",
    "SystemExit": "its process ended amid the run",
}


def reason_in_words(reason: str) -> str:
    """Return the first line of why a run did not publish; words for what is only a name."""
    first = reason.strip().splitlines()[0] if reason.strip() else ""
    name, _, rest = first.partition("(")
    if name in _ENDINGS and (not rest or rest.endswith(")")):
        return _ENDINGS[name]
    if first.lstrip("-").isdigit():  # an exit status
        return f"{_ENDINGS['SystemExit']} (exit status {first})"
    return first


def line(record: RunRecord) -> str:
    """Return a run's line, and the one below it that says why nothing was published."""
    revisions = {report.revision for report in record.reports or []}
    text = _LINE.format(
        record.month,
        f"{record.started:%Y-%m-%dT%H:%M:%SZ}",
        record.started_by[:24],
        record.outcome,
        "-".join(str(n) for n in sorted({min(revisions), max(revisions)})) if revisions else "",
        record.rows if isinstance(record, SettledRunRecord) else "",
        record.seconds,
    )
    if record.reason:
        text += f"\n         {reason_in_words(record.reason)}"
    return text


def main(month: str = "") -> None:
    """Print the runs, oldest first within each month."""
    try:
        if month:
            Month.parse(month)
        if used := use_its_s3():
            print(f"The runs of the stack of `make up`, in S3 at {used}", file=sys.stderr)
        store = ObjectStore(Settings())
        store.require_access()
        print(_LINE.format(*_HEAD))
        for _, record in read_run_records(store, month):
            print(visible(line(record)))
    except (Refused, Unreachable) as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main(*sys.argv[1:2])
