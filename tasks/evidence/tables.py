"""A month's tables as one DuckDB file, for analysts: `tables/<month>.duckdb`."""

from tasks.core import keys
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.run_record import SettledRunRecord
from tasks.evidence.verification import read_pinned, rebuild
from tasks.io.object_store import ObjectStore
from tasks.io.warehouse import execute, sql
from tasks.io.workspace import workspace
from tasks.publication.run_records import read_run_records
from tasks.settlement.meter import reading_paths

# Some tables name files of this machine, or are steps on the way to others.
_FOR_ANALYSTS = (
    *(
        f"drop table {name}"
        for name in (
            "reading_paths",
            "reading_versions",
            "tied_readings",
            "reading_winners",
            "counted_readings",
            "reading_sums",
            "price_offers",
            "price_days",
        )
    ),
    "alter table reading_conflicts drop column filename",
    "alter table reading_conflicts drop column file_row_number",
    "alter table price_slots rename to prices",
    "create table days_of_members as from site_days",
    "drop view site_days",
    "drop table memberships",
    "alter table days_of_members rename to site_days",
)


def put_tables(store: ObjectStore, month: Month) -> str:
    """Put a month's tables on S3 as one DuckDB file, and return its key.

    They are those of the newest run that settled the month, preferably for all VPPs; the table
    `settled_by` says which, and what it saw of the registry. `unassigned` has the sites with events
    on days on which they were in no VPP. Of meter data, `readings` has what was settled, and
    `prices` the prices of the month by region, day and slot of 5 minutes.

    Raises:
        Refused: no run has settled the month.
    """
    pins = read_pinned(store, _newest_settlement(store, month))
    key = keys.month_tables(month)
    with workspace("tables") as folder, rebuild(store, pins) as connection:
        path = folder / "month.duckdb"
        execute(
            connection,
            "create table settled_by as select $key as run_record,"
            " $as_of::timestamptz as as_of, $seq::bigint as registry_seq",
            {"key": pins.key, "as_of": pins.record.as_of, "seq": pins.record.registry_seq},
        )
        execute(connection, f"create table unassigned as {sql('report/unassigned')}")
        parameters = {"readings": reading_paths(connection)}
        # The oldest format that DuckDB still writes: analysts have whatever version they have.
        connection.execute(f"attach '{path}' as file (storage_version 'v1.0.0')")
        # Straight into the file, since there may be very many values.
        execute(
            connection, f"create table file.readings as {sql('explanation/readings')}", parameters
        )
        for statement in _FOR_ANALYSTS:
            execute(connection, statement)
        execute(connection, "copy from database memory to file")
        execute(connection, "detach file")
        store.upload(path, key)
    return key


def _newest_settlement(store: ObjectStore, month: Month) -> str:
    """Return the key of the record of the newest run that settled the month."""
    settled = [
        (key, record)
        for key, record in read_run_records(store, str(month))
        if record.outcome in ("published", "unchanged") and isinstance(record, SettledRunRecord)
    ]
    if not settled:
        raise Refused(f"{month} is not settled yet; run settle-month for it first")
    whole = [key for key, record in settled if not record.parameters.get("vpps")]
    return (whole or [key for key, _ in settled])[-1]
