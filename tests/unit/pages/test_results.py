"""Results: what analysts and accounting read, to the cent what the reports say."""

from decimal import Decimal
from pathlib import Path
from tempfile import NamedTemporaryFile

import duckdb
import polars as pl

from tasks.core.month import Month
from tasks.core.report import Report
from tasks.io.object_store import ObjectStore
from tasks.pages import results
from tests.golden.__main__ import ROOT

MONTH = Month(2025, 9)


def test_the_data_dictionary_is_in_step() -> None:
    assert (ROOT / "data" / "results.md").read_text() == results.dictionary()


def test_a_files_metadata_says_what_its_columns_are(store: ObjectStore) -> None:
    for table in results.TABLES:
        rows = pl.DataFrame(schema=table.schema)
        found = store.read(results.put_table(store, table, MONTH, rows))
        assert found is not None
        with NamedTemporaryFile(suffix=".parquet") as file:
            file.write(found[0])
            file.flush()
            query = f"select decode(key), decode(value) from parquet_kv_metadata('{file.name}')"
            said = dict(duckdb.execute(query).fetchall())
        assert said.items() >= table.comments.items()
        text = results.dictionary()
        for column in table.columns:
            assert column.name in said
            assert f"| {column.unit} | {column.meaning} |" in text
            amounts = (pl.Decimal(18, 2), pl.Decimal(18, 6), pl.Decimal(31, 12))
            assert bool(column.unit) == (column.type in amounts)


def test_tables_have_the_reports_numbers_exactly(reports: list[Report]) -> None:
    vpps, sites = results.vpp_months(reports), results.site_months(reports)
    assert vpps.schema == pl.Schema(results.VPP_MONTHS.schema)
    assert sites.schema == pl.Schema(results.SITE_MONTHS.schema)
    for report, row in zip(reports, vpps.iter_rows(named=True), strict=True):
        assert row["total_revenue_aud"] == report.totals.total_revenue
        parts = ("vpp_ad_valorem_fee", "vpp_cost_only", "vpp_daily_fees", "vpp_loss_absorbed")
        assert sum(row[f"{part}_aud"] for part in parts) == row["vpp_total_revenue_aud"]
        of_vpp = sites.filter(vpp=row["vpp"])
        assert of_vpp.height == row["sites"] == len(report.sites)
        total = of_vpp["site_revenue_after_fees_aud"].sum()
        assert total == row["site_total_revenue_after_fees_aud"]
        assert of_vpp["nmi"].to_list() == list(report.sites)


def test_every_month_is_one_table_for_duckdb_and_polars(
    reports: list[Report], tmp_path: Path
) -> None:
    for month in ("2025-08", "2025-09"):
        folder = tmp_path / "site_months" / f"month={month}"
        folder.mkdir(parents=True)
        results.site_months(reports).write_parquet(folder / "site_months.parquet")
    pattern = str(tmp_path / "site_months" / "**")
    query = (
        "select month, sum(site_revenue_after_fees_aud)"
        f" from read_parquet('{pattern}') group by month order by month"
    )
    total = sum((report.totals.site_total_revenue_after_fees for report in reports), Decimal(0))
    assert duckdb.execute(query).fetchall() == [("2025-08", total), ("2025-09", total)]
    assert pl.read_parquet(tmp_path / "site_months")["month"].unique().len() == 2
