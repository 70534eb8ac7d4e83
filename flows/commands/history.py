"""The history of all settlement runs, from S3 alone: `make history`.

    python -m flows.commands.history [YYYY-MM]

One line a run: month, when, who, outcome, revisions, rows, seconds. It outlives Prefect's database.
"""

import sys

from tasks.core.run_record import SettledRunRecord
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.publication.run_records import read_run_records


def main(month: str = "") -> None:
    """Print the runs, oldest first within each month."""
    line = "{:7}  {:20}  {:24}  {:9}  {:>8}  {:>10}  {:>7}"
    print(line.format("month", "started", "who", "outcome", "revision", "rows", "seconds"))
    for _, record in read_run_records(ObjectStore(Settings()), month):
        revisions = {report.revision for report in record.reports or []}
        print(
            line.format(
                record.month,
                f"{record.started:%Y-%m-%dT%H:%M:%SZ}",
                record.started_by[:24],
                record.outcome,
                "-".join(str(n) for n in sorted({min(revisions), max(revisions)}))
                if revisions
                else "",
                record.rows if isinstance(record, SettledRunRecord) else "",
                record.seconds,
            )
        )
        if record.reason:
            print(f"         {record.reason.splitlines()[0]}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
