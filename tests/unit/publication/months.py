"""A month's record and reports on S3, put there by hand."""

from tasks.core import keys
from tasks.core.month import Month
from tasks.core.month_record import LastSettlement, MonthRecord, Revision
from tasks.io.object_store import ObjectStore

MONTH = Month(2025, 9)
RUN_RECORD = "runs/2025-09/1.json"


def put_month(store: ObjectStore, inputs: str | None = None, **digests: list[str]) -> MonthRecord:
    """Put a month with these revisions of each VPP; a report's bytes are its digest."""
    record = MonthRecord(
        month=str(MONTH),
        revisions={
            vpp: {
                number: Revision(digest=digest, run_record=RUN_RECORD)
                for number, digest in enumerate(of_vpp, 1)
            }
            for vpp, of_vpp in digests.items()
        },
        last_settlement=inputs and LastSettlement(inputs=inputs, run_record=RUN_RECORD),
    )
    store.write(keys.month_record(MONTH), record.to_bytes())
    for vpp, of_vpp in digests.items():
        for number, digest in enumerate(of_vpp, 1):
            store.write(keys.report(MONTH, vpp, number), digest.encode())
        store.write(keys.report(MONTH, vpp), of_vpp[-1].encode())
    return record
