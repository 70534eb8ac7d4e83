"""AEMO's price files: which day and interval a price is of, and what becomes of every row."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tasks.core.errors import Unreadable
from tasks.core.settings import Settings
from tasks.imports.aemo_prices import (
    IGNORED,
    PRICES_SCHEMA,
    REASONS,
    REJECTED_SCHEMA,
    PriceImport,
    import_prices,
)
from tasks.imports.limits import require_text

C = "C,SETP.WORLD,DVD_TRADINGPRICE,AEMO,PUBLIC,2026/04/07,15:26:16"
I = "I,TRADING,PRICE,3,SETTLEMENTDATE,RUNNO,REGIONID,PERIODID,RRP,LASTCHANGED,ROP"  # noqa: E741
DISPATCH = "I,DISPATCH,PRICE,5,SETTLEMENTDATE,REGIONID,INTERVENTION,RRP,LASTCHANGED"
HEADER = "REGION,SETTLEMENTDATE,TOTALDEMAND,RRP,PERIODTYPE"

Reader = Callable[..., PriceImport]


def trading(
    end: str = "2026/03/01 00:05:00",
    region: str = "SA1",
    period: str = "1",
    price: str = "57.31",
    changed: str = "2026/03/01 00:00:02",
) -> str:
    return f"D,TRADING,PRICE,3,{end},1,{region},{period},{price},{changed},57.31"


def stated(lines: int) -> str:
    return f'C,"END OF REPORT",{lines}'


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    def read_lines(*lines: str, end: str = "\n", data: bytes | None = None) -> PriceImport:
        path = tmp_path / "file.csv"
        path.write_bytes("".join(line + end for line in lines).encode() if data is None else data)
        require_text(path, "prices/file.csv", Settings())
        result = import_prices(path, "prices/file.csv", 7)
        assert result.prices.schema == pl.Schema(PRICES_SCHEMA)
        assert result.rejected.schema == pl.Schema(REJECTED_SCHEMA)
        assert set(result.rejected["reason"]) <= set(REASONS)
        assert set(result.ignored) <= set(IGNORED)
        rows = result.prices.height + result.rejected.height + sum(result.ignored.values())
        assert result.rows == rows
        return result

    return read_lines


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_a_price_as_it_should_be(read: Reader, end: str) -> None:
    got = read(C, I, trading(), stated(4), end=end)
    assert got.prices.rows(named=True) == [
        {
            "source": 7,
            "line": 3,
            "kind": "TRADINGPRICE",
            "region": "SA1",
            "day": date(2026, 3, 1),
            "number": 1,
            "interval_minutes": 5,
            "price_aud_per_mwh": Decimal("57.31000"),
            "last_changed": datetime.fromisoformat("2026-03-01T00:00:02"),
            "member": "",
        }
    ]
    assert (got.rows, got.ignored, got.warnings) == (1, {}, ())


@pytest.mark.parametrize(
    ("end", "day", "number", "minutes"),
    [
        ("2026/03/01 00:05:00", date(2026, 3, 1), 1, 5),
        ("2026/03/02 00:00:00", date(2026, 3, 1), 288, 5),
        ("2026/04/01 00:00:00", date(2026, 3, 31), 288, 5),
        ('"2026/03/01 12:00:00"', date(2026, 3, 1), 144, 5),
        ("2026-03-01 12:05", date(2026, 3, 1), 145, 5),
        ("1/03/2026 0:05", date(2026, 3, 1), 1, 5),
        ("01/03/2026 23:55:00", date(2026, 3, 1), 287, 5),
        ("2021/10/01 00:00:00", date(2021, 9, 30), 48, 30),
        ("2021/10/01 00:05:00", date(2021, 10, 1), 1, 5),
        ("2021/09/02 09:00:00", date(2021, 9, 2), 18, 30),
        ("2021/09/02 00:30:00", date(2021, 9, 2), 1, 30),
    ],
)
def test_settlementdate_is_the_end_of_an_interval(
    read: Reader, end: str, day: date, number: int, minutes: int
) -> None:
    for prices in (
        read(I, trading(end, period=str(number))).prices,
        read(HEADER, f"SA1,{end},1000.5,57.31,TRADE").prices,
    ):
        assert prices.select("day", "number", "interval_minutes").rows() == [(day, number, minutes)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (trading("2026/03/01 00:04:00"), "interval"),
        (trading("2026/03/01 00:05:01"), "interval"),
        (trading("2021/09/01 00:05:00"), "interval"),
        (trading("2026/03/01"), "date"),
        (trading("2026/02/30 00:05:00"), "date"),
        (trading("3/13/2026 0:05"), "date"),
        (trading("0001/01/01 00:00:00"), "date"),
        (trading(""), "date"),
        (trading(region="WA1"), "region"),
        (trading(region=""), "region"),
        (trading(period="2"), "period"),
        (trading(period="x"), "period"),
        (trading(price=""), "price"),
        (trading(price="1e3"), "price"),
        (trading(price="1.234567"), "price"),
        (trading(price="1000000"), "price"),
        (trading(price="nan"), "price"),
        (trading(changed="yesterday"), "last_changed"),
        ("D,TRADING,PRICE,3,2026/03/01 00:05:00,1,SA1", "fields"),
        ('D,TRADING,PRICE,3,"2026/03/01 00:05:00,1,SA1,1,57.31,,', "fields"),
        ("X,TRADING,PRICE", "fields"),
        ("D,DISPATCH,PRICE,5,2026/03/01 00:05:00,SA1,0,57.31,", "header"),
    ],
)
def test_rejected(read: Reader, row: str, reason: str) -> None:
    got = read(C, I, row, trading())
    assert got.rejected.select("line", "reason", "row").rows() == [(3, reason, row)]
    assert got.prices.height == 1


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("-1000", "-1000"),
        ("-.5", "-0.5"),
        ("57.3100000", "57.31"),
        ("12.34567", "12.34567"),
        ("0", "0"),
        ("+20300.", "20300"),
        ('"57.31"', "57.31"),
    ],
)
def test_prices_are_exact(read: Reader, text: str, price: str) -> None:
    [got] = read(I, trading(price=text)).prices["price_aud_per_mwh"]
    assert got == Decimal(price)


def test_columns_are_read_by_name_from_the_latest_header_of_their_table(read: Reader) -> None:
    got = read(
        C,
        "I,TRADING,REGIONSUM,1,SETTLEMENTDATE,RRP",
        "D,TRADING,REGIONSUM,1,2026/03/01 00:05:00,1",
        "I,TRADING,PRICE,2,RRP,REGIONID,SETTLEMENTDATE",
        "D,TRADING,PRICE,2,1,SA1,2026/03/01 00:05:00",
        "I,TRADING,PRICE,3,REGIONID,SETTLEMENTDATE,RRP",
        "D,TRADING,PRICE,3,NSW1,2026/03/01 00:10:00,2",
        DISPATCH,
        "D,DISPATCH,PRICE,5,2026/03/01 00:05:00,VIC1,0,3.12345,2026/03/01 00:00:02",
        "D,DISPATCH,PRICE,5,2026/03/01 00:05:00,VIC1,1,4.12345,2026/03/01 00:00:02",
    )
    assert got.prices.select("kind", "region", "number", "price_aud_per_mwh").rows() == [
        ("TRADINGPRICE", "SA1", 1, Decimal(1)),
        ("TRADINGPRICE", "NSW1", 2, Decimal(2)),
        ("DISPATCHPRICE", "VIC1", 1, Decimal("3.12345")),
    ]
    assert got.ignored == {"intervention": 1, "table": 1}


def test_price_and_demand_with_columns_in_any_order(read: Reader) -> None:
    got = read(
        "PERIODTYPE,RRP,SETTLEMENTDATE,REGION",
        "TRADE,57.31,2026/03/01 00:05,SA1",
        "FORECAST,57.31,2026/03/01 00:10,SA1",
        "TRADE,57.31",
    )
    assert got.prices["kind"].to_list() == ["PRICE_AND_DEMAND"]
    assert got.prices["last_changed"].to_list() == [None]
    assert got.ignored == {"period_type": 1}
    assert got.rejected["reason"].to_list() == ["fields"]
    assert got.warnings == ()


@pytest.mark.parametrize(
    ("lines", "warning"),
    [
        ([C, I, trading(), stated(44643)], "line 4 says that it has 44,643 lines, and it has 4"),
        ([C, I, trading()], "no line END OF REPORT"),
        ([C, I, trading(), stated(4), C, I, trading(), stated(4)], None),
        ([C, I, trading(), stated(4), C, I, stated(4)], "line 7 says that it has 4 lines"),
    ],
)
def test_a_report_that_was_cut_is_a_warning(
    read: Reader, lines: list[str], warning: str | None
) -> None:
    warnings = read(*lines).warnings
    assert len(warnings) == (warning is not None)
    assert warning is None or warning in warnings[0]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"\n,,\n", "empty"),
        (b"100,NEM12,1\n", "no price file: its first row '100,NEM12,1'"),
        (b"REGION,DATE\n", "neither one of an MMS report"),
        (b"C,x\nI,TRADING,REGIONSUM,1,RRP\n", "it has no table .* but TRADING,REGIONSUM"),
        (b"C,x\n", "but no table"),
        (b"I,TRADING,PRICE,3,REGIONID\n", "line 1 has no column SETTLEMENTDATE, RRP"),
        ("C,x".encode("utf-16"), "UTF-16"),
        (b"C,x\0\n", "NUL"),
    ],
)
def test_what_is_no_price_file_says_what_it_is(read: Reader, data: bytes, sentence: str) -> None:
    with pytest.raises(Unreadable, match=f"^prices/file.csv: .*{sentence}"):
        read(data=data)
