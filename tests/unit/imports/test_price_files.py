"""Price files: what becomes of every row, plain, zipped, replaced and broken."""

from collections import Counter
from datetime import date
from decimal import Decimal

import polars as pl
import pytest

from tasks.imports.aemo_prices import PRICES_SCHEMA
from tasks.imports.catalog import list_inbox
from tasks.imports.inbox_files import import_objects
from tasks.io.object_store import ObjectStore
from tests.unit.imports.packed import TIMEZONE, import_files, read_back, zipped

COLUMNS = "I,TRADING,PRICE,3,SETTLEMENTDATE,REGIONID,RRP,INTERVENTION\n"


def price(end: str = "2026/03/01 00:05:00", rrp: str = "57.31", region: str = "SA1") -> str:
    return f"D,TRADING,PRICE,3,{end},{region},{rrp},0\n"


def mms(*rows: str) -> str:
    lines = len(rows) + 3
    return f"C,NEMP.WORLD,TRADINGIS,AEMO\n{COLUMNS}{''.join(rows)}C,END OF REPORT,{lines}\n"


DEMAND = "REGION,SETTLEMENTDATE,TOTALDEMAND,RRP,PERIODTYPE\nSA1,2026/04/01 00:00:00,1,9.5,TRADE\n"


def test_every_row_is_imported_rejected_or_ignored(store: ObjectStore) -> None:
    text = mms(
        price(),
        price("2026/03/01 00:10:00", "-1000.00"),
        price("2026/03/01 00:11:00"),
        price(region="WA1"),
        price(rrp="x"),
        "D,TRADING,INTERCONNECTORRES,2,1,2,3\n",
        price().replace(",0\n", ",1\n"),
    )
    imported = import_files(store, {"prices/a.csv": text, "prices/b.CSV": DEMAND})
    found = imported.catalog["prices/a.csv"]
    assert (found["kind"], found["rows"], found["imported"], found["ignored"]) == (
        "prices",
        5,
        2,
        2,
    )
    assert {e["reason"]: e["rows"] for e in found["rejected"]} == Counter(
        row["reason"] for row in imported.rejected
    )
    assert found["warnings"] is None
    listed = [(row["line"], row["reason"], row["region"], row["row"]) for row in imported.rejected]
    assert listed == [
        ("5", "interval", "SA1", price("2026/03/01 00:11:00").strip()),
        ("6", "region", "", price(region="WA1").strip()),
        ("7", "price", "SA1", price(rrp="x").strip()),
    ]
    columns = ("key", "member", "line", "kind", "region", "day", "number", "price_aud_per_mwh")
    assert imported.good.select(columns).rows() == [
        *(
            ("prices/a.csv", "", line, "TRADINGPRICE", "SA1", date(2026, 3, 1), number, amount)
            for line, number, amount in ((3, 1, Decimal("57.31")), (4, 2, Decimal(-1000)))
        ),
        *[
            (
                "prices/b.CSV",
                "",
                2,
                "PRICE_AND_DEMAND",
                "SA1",
                date(2026, 3, 31),
                288,
                Decimal("9.5"),
            )
        ],
    ]
    assert imported.good.drop("key").schema == pl.Schema(PRICES_SCHEMA)
    assert imported.catalog["prices/b.CSV"]["months"] == [{"month": "2026-03", "events": 1}]


def test_a_zip_is_read_member_by_member(store: ObjectStore) -> None:
    weekly = zipped(
        {
            "PUBLIC_TRADINGIS_2.zip": zipped({"2.CSV": mms(price("2026/03/01 00:10:00"))}),
            "PUBLIC_TRADINGIS_1.zip": zipped({"1.CSV": mms(price(), price(region="?"))}),
        }
    )
    imported = import_files(store, {"prices/week.zip": weekly})
    assert imported.good.select("member", "line", "number").rows() == [
        ("PUBLIC_TRADINGIS_1.zip/1.CSV", 3, 1),
        ("PUBLIC_TRADINGIS_2.zip/2.CSV", 3, 2),
    ]
    [rejected] = imported.rejected
    assert rejected["member"] == "PUBLIC_TRADINGIS_1.zip/1.CSV"
    found = imported.catalog["prices/week.zip"]
    assert (found["rows"], found["imported"], found["failed"]) == (3, 2, None)


OTHER_TABLE = "C,A,B\nI,DREGION,,3,SETTLEMENTDATE\nC,END OF REPORT,3\n"


@pytest.mark.parametrize(
    ("name", "data", "failed"),
    [
        ("a.csv", b"", "empty: it has no rows"),
        ("a.csv", "NMI,DATE\n", "no price file: its first row 'NMI,DATE' is neither"),
        ("a.csv", OTHER_TABLE, "no prices in it: it has no table TRADING,PRICE"),
        ("a.zip", zipped({"b.csv": mms(price())})[:-30], "broken archive: "),
        ("a.zip", zipped({"b.csv": mms(price()), "c.csv": OTHER_TABLE}), "c.csv: no prices in it"),
    ],
)
def test_what_cannot_be_read_fails_by_name_and_takes_no_other_file_with_it(
    store: ObjectStore, name: str, data: str | bytes, failed: str
) -> None:
    imported = import_files(store, {f"prices/{name}": data, "prices/b.csv": DEMAND})
    broken = imported.catalog[f"prices/{name}"]
    assert broken["failed"].startswith(failed)
    assert (broken["rows"], broken["imported"], broken["rejected"]) == (0, 0, [])
    assert imported.good["key"].to_list() == ["prices/b.csv"]


def test_a_file_that_was_cut_is_imported_with_a_warning(store: ObjectStore) -> None:
    imported = import_files(
        store, {"prices/a.csv": mms(price()).replace("REPORT,4", "REPORT,44643")}
    )
    found = imported.catalog["prices/a.csv"]
    assert found["imported"] == 1
    assert found["warnings"] == (
        "prices/a.csv: line 4 says that it has 44,643 lines, and it has 4; it may have been cut"
    )


def test_importing_twice_gives_the_same_bytes_and_a_replaced_file_is_left_out(
    store: ObjectStore,
) -> None:
    text, packed = mms(price(), price(rrp="x")), zipped({"c": DEMAND})
    first = import_files(store, {"prices/a.csv": text, "prices/b.zip": packed})
    listed = list_inbox(store).versions
    assert read_back(store, import_objects(store, TIMEZONE, listed)).parts == first.parts
    store.write("prices/a.csv", DEMAND.encode())
    assert import_objects(store, TIMEZONE, listed)["key"].to_list() == ["prices/b.zip"]
