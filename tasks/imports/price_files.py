"""Import price files: AEMO's, plain or zipped, to typed prices and rejected rows."""

from pathlib import Path

import polars as pl

from tasks.imports.aemo_prices import PRICES_SCHEMA, REJECTED_SCHEMA, import_prices
from tasks.imports.catalog import PRICES
from tasks.imports.member_files import Format, MemberFile, MemberRows, import_members
from tasks.io.object_store import ObjectStore, ObjectVersion


def import_price_files(store: ObjectStore, objects: list[ObjectVersion]) -> pl.DataFrame:
    """Read a group of price files: their `prices.parquet` (PRICES_SCHEMA) and rejected rows.

    In the catalog, rows are prices, imported or rejected. What is ignored are rows of other tables,
    of intervention runs and of other period types.
    """
    return import_members(store, _FORMAT, objects)


def _read(file: MemberFile, prices: Path) -> MemberRows:
    result = import_prices(file.path, file.name, file.source, file.member)
    result.prices.write_parquet(prices, compression="zstd")
    return MemberRows(sum(result.ignored.values()), result.rejected, result.warnings)


_FORMAT = Format(PRICES, "prices.parquet", PRICES_SCHEMA, REJECTED_SCHEMA, _read)
