"""Import meter data files: NEM12, plain, .gz, .zst or .zip, to typed readings and rejected rows."""

from pathlib import Path

import polars as pl

from tasks.imports.catalog import METER
from tasks.imports.member_files import Format, MemberFile, MemberRows, import_members
from tasks.imports.nem12 import READINGS_SCHEMA, REJECTED_SCHEMA, import_nem12
from tasks.io.object_store import ObjectStore, ObjectVersion


def import_meter_files(store: ObjectStore, objects: list[ObjectVersion]) -> pl.DataFrame:
    """Read a group of meter data files: their `readings.parquet` (READINGS_SCHEMA) and rejects.

    In the catalog, rows are 300 rows (a channel's day), imported or rejected. Rows that belong to
    nothing are counted as rejected too, as a day may be lost in them; a 200 row that is wrong is
    not, as its 300 rows are. What is ignored are the 300 rows of channels that are not energy.
    """
    return import_members(store, _FORMAT, objects)


def _read(file: MemberFile, readings: Path) -> MemberRows:
    stored = file.object.last_modified
    result = import_nem12(file.path, file.name, stored, readings, file.source, file.member)
    return MemberRows(sum(result.ignored.values()), result.rejected)


_FORMAT = Format(
    METER, "readings.parquet", READINGS_SCHEMA, REJECTED_SCHEMA, _read, pl.col("record") != "200"
)
