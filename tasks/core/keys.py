"""Where things are on S3: every key is made here, without VPP_PREFIX, which all of them are below.

Each prefix is written by one room, as the package docstring of `tasks` says.
"""

from datetime import UTC, date, datetime
from typing import Literal

from tasks.core.month import Month

EVENTS = "events/"
METER_DATA = "meter-data/"
PRICES = "prices/"
REGISTRY_LOG = "registry/changes.jsonl"
REGISTRY_UPLOADS = "registry/uploads/"
CATALOG = "imports/catalog.parquet"
MONTH_RECORDS = "months/"
STATEMENTS = "statements/"
RESULTS = "results/"


def registry_segment(first_seq: int) -> str:
    """Return where the segment of the registry's log is that begins with this change."""
    return REGISTRY_LOG if first_seq == 1 else f"registry/changes/{first_seq:012d}.jsonl"


def registry_columns(first_seq: int, name: str) -> str:
    """Return where the columns are that were made of such a segment, of this content."""
    return f"registry/changes/{first_seq:012d}-{name}.parquet"


def registry_list(day: date, as_of: datetime | None = None) -> str:
    """Return where the registry is listed as it is on a day, or as it was known at a moment."""
    known = f"-as-of-{as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}" if as_of else ""
    return f"registry/lists/{day}{known}.csv"


def import_part(import_id: str, name: str) -> str:
    """Return where a part of an import is, like its `daily.parquet`."""
    return f"imports/{import_id}/{name}"


def rejected_rows(month: Month) -> str:
    """Return where a month's rejected rows are listed, to be corrected."""
    return f"rejected/{month}.csv"


def month_record(month: Month) -> str:
    """Return where a month's revisions are claimed, and where it is closed."""
    return f"{MONTH_RECORDS}{month}.json"


def reports(month: Month) -> str:
    """Return the folder of a month's reports."""
    return f"reports/{month}/"


def report(month: Month, vpp: str, revision: int | None = None) -> str:
    """Return where the current report is, or one of its revisions."""
    name = f"{vpp}.json" if revision is None else f"{vpp}/r{revision}.json"
    return reports(month) + name


def difference(month: Month, vpp: str, revision: int) -> str:
    """Return where the differences of a revision from the one before are, with their causes."""
    return f"{reports(month)}{vpp}/r{revision}.diff.json"


def run_records(month: str = "") -> str:
    """Return where the records of a month's runs begin, or of all runs."""
    return f"runs/{month}"


def run_record(month: Month, started: datetime, run_id: str) -> str:
    """Return where a run's record is."""
    return f"{run_records(str(month))}/{started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{run_id}.json"


def dispute_bundle(month: str, vpp: str, nmi: str, revision: int) -> str:
    """Return where the zip for a site's owner is."""
    return f"disputes/{month}/{vpp}/{nmi}-r{revision}.zip"


def month_tables(month: Month) -> str:
    """Return where a month's tables are, as one DuckDB file."""
    return f"tables/{month}.duckdb"


def statements_index(month: Month | None = None, suffix: Literal["html", "json"] = "html") -> str:
    """Return where all months are listed for people (or programs: json), or one month's VPPs."""
    return f"{STATEMENTS}{f'{month}/' if month else ''}index.{suffix}"


def vpp_statement(month: Month, vpp: str, revision: int, format: str = "html") -> str:
    """Return where a VPP's statement is."""
    return f"{STATEMENTS}{month}/{vpp}/r{revision}.{format}"


def site_statement(month: Month, vpp: str, nmi: str, revision: int, format: str = "html") -> str:
    """Return where a site's statement is."""
    return f"{STATEMENTS}{month}/{vpp}/sites/{nmi}-r{revision}.{format}"


def site_statements(month: Month, vpp: str, revision: int, format: str = "html") -> str:
    """Return where the statements of all sites of a VPP are, as one zip."""
    return f"{STATEMENTS}{month}/{vpp}/sites-{format}-r{revision}.zip"


def results_table(table: str, month: Month) -> str:
    """Return where a month's part of a results table is, in a layout that DuckDB and Spark read."""
    return f"{RESULTS}{table}/month={month}/{table}.parquet"


def results_workbook(month: Month) -> str:
    """Return where a month's results are as a workbook."""
    return f"{RESULTS}workbooks/{month}.xlsx"


def results_payments(month: Month) -> str:
    """Return where the list of a month's payees is, for accounting."""
    return f"{RESULTS}payments/{month}.csv"
