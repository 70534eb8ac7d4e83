"""AEMO's price files: from MMS reports and PRICE_AND_DEMAND to one row per price, exact.

An MMS report (`PUBLIC_...TRADINGPRICE...`, `...DISPATCHPRICE...`, `PUBLIC_TRADINGIS_...`,
`PUBLIC_DISPATCHIS_...`) has rows that begin with `C` (comment), `I` (the columns of a table) or `D`
(data). TRADING,PRICE and DISPATCH,PRICE are read; rows of other tables are counted as ignored.
Columns are read by name, from the latest I row of their table, since their order differs.

PRICE_AND_DEMAND is a CSV with a header: REGION, SETTLEMENTDATE, RRP and PERIODTYPE, in any order.

- SETTLEMENTDATE is the **end** of an interval, in market time. Its day and number are those of the
  moment five minutes before, so that midnight ends the day before.
- Intervals of TRADINGPRICE and PRICE_AND_DEMAND that end after 1 October 2021 00:00 have 5
  minutes, those before have 30; of DISPATCHPRICE always 5. What does not end on a multiple is
  rejected, and so is a PERIODID that is not the number: somebody moved the times.
- Dates: `2026/03/01 00:05:00`, with `-` for `/`, with or without seconds, quoted or not; or with
  the day first, as a spreadsheet of this country writes them (`1/03/2026 0:05`).
- Where a table has INTERVENTION, rows in which it is not 0 are ignored; PERIODTYPE other than TRADE
  likewise.
- RRP is in $/MWh, below 1000000 without its sign, with at most 5 decimals (what DISPATCHPRICE has).
- A C row at the end says how many lines there are; another count is a warning, since what was cut
  for good reason is as good as ever.

Every row with a price ends in exactly one of `prices`, `ignored` and `rejected`. These files are
small (a month of all regions: 45,000 rows), so they are read row by row.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import polars as pl
from polars._typing import PolarsDataType

from tasks.core.errors import Unreadable
from tasks.core.nmi import REGION_BLOCKS
from tasks.imports.limits import MOST_REJECTED_BYTES, MOST_REJECTED_ROWS

REASONS = {
    "header": "no I row of its table stands above it, so that nobody knows its columns",
    "fields": "it is shorter than the columns that are needed, or its quotes do not add up",
    "region": "its region is none of NSW1, QLD1, VIC1, SA1 and TAS1",
    "date": "its SETTLEMENTDATE is not a date and time like 2026/03/01 00:05:00",
    "interval": "its SETTLEMENTDATE is not the end of an interval of 5 minutes (of 30 before "
    "October 2021)",
    "period": "its PERIODID is not the number of the interval that SETTLEMENTDATE ends",
    "price": "its RRP is not a plain decimal number within +-1000000 with at most 5 decimals",
    "last_changed": "its LASTCHANGED is not a date and time",
    "intervention": "its INTERVENTION is not a number",
}
IGNORED = {
    "table": "it is of a table without settlement prices",
    "intervention": "it is the price of an intervention run",
    "period_type": "its PERIODTYPE is not TRADE",
}
REGIONS = frozenset(REGION_BLOCKS)
FIVE_MINUTES_SINCE = datetime(2021, 10, 1)  # noqa: DTZ001  in market time, as all here

# One row per price. `number` counts the day's intervals of `interval_minutes` from 1; interval i
# ends i x interval_minutes after midnight, market time. `price_aud_per_mwh` is without GST.
# `member` is the file within a zip, '' where the object is no zip.
PRICES_SCHEMA: dict[str, PolarsDataType] = {
    "source": pl.Int32,
    "line": pl.UInt32,
    "kind": pl.String,
    "region": pl.String,
    "day": pl.Date,
    "number": pl.Int16,
    "interval_minutes": pl.Int16,
    "price_aud_per_mwh": pl.Decimal(18, 5),
    "last_changed": pl.Datetime("us"),
    "member": pl.String,
}
REJECTED_SCHEMA: dict[str, PolarsDataType] = {
    "line": pl.UInt32,
    "reason": pl.String,
    "region": pl.String,
    "day": pl.Date,
    "row": pl.String,
}

_KINDS = {("TRADING", "PRICE"): "TRADINGPRICE", ("DISPATCH", "PRICE"): "DISPATCHPRICE"}
_DATE_TIME = re.compile(
    r"(?:(?P<y>(?:19|20|21)[0-9]{2})[/-](?P<m>[0-9]{2})[/-](?P<d>[0-9]{2})"
    r"|(?P<d2>[0-9]{1,2})/(?P<m2>[0-9]{1,2})/(?P<y2>(?:19|20|21)[0-9]{2}))"
    r"[ T](?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.0+)?)?"
)
_BATCH = 100_000  # prices
_MOST_PRICES = 5_000_000  # of a file; a year of all regions at five minutes has 525,600
_MOST_TABLES = 1_000  # of no use here, whose names are remembered; and of ends of reports
_SHOWN_TABLES, _SHOWN_CHARACTERS = 10, 60
_PRICE = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")


@dataclass(frozen=True)
class PriceImport:
    """What became of a file: `rows` with prices = the prices + `ignored` + `rejected`.

    `prices` as PRICES_SCHEMA, `ignored` by reason (IGNORED), `rejected` as REJECTED_SCHEMA (reasons
    in REASONS), all in the file's order; `warnings` are sentences for whoever runs the import.
    """

    rows: int
    prices: pl.DataFrame
    ignored: dict[str, int]
    rejected: pl.DataFrame
    warnings: tuple[str, ...]


class Price(NamedTuple):
    """A price as a row of `prices`, from `kind` on."""

    kind: str
    region: str
    day: date
    number: int
    interval_minutes: int
    price_aud_per_mwh: Decimal
    last_changed: datetime | None


def import_prices(path: Path, key: str, source: int = 0, member: str = "") -> PriceImport:
    """Read an unpacked price file.

    Args:
        path: the file on this machine.
        key: what messages call it.
        source: what the `source` column says.
        member: what the `member` column says.

    Raises:
        Unreadable: it is none of these files. The message says what it is.
    """
    reader = _Reader(key, source, member)
    with path.open(encoding="utf-8-sig", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if line.strip("\r\n\t ,"):
                reader.read(number, line.rstrip("\r\n"))
            reader.lines = number
    return reader.outcome()


def _cells(line: str) -> list[str] | None:
    """Return a line's cells, trimmed; None if its quotes do not add up."""
    if '"' not in line:
        return [cell.strip() for cell in line.split(",")]
    try:
        return [cell.strip() for cell in next(csv.reader([line], strict=True), [])]
    except csv.Error:
        return None


@dataclass
class _Reader:
    """Reads a file's rows in order, and remembers the columns of its tables."""

    key: str
    source: int
    member: str
    lines: int = 0
    rows: int = 0
    is_mms: bool | None = None
    tables: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    other_tables: Counter[str] = field(default_factory=Counter)
    columns: dict[str, int] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    prices: list[tuple[object, ...]] = field(default_factory=list)
    price_batches: list[pl.DataFrame] = field(default_factory=list)
    rejected: list[tuple[object, ...]] = field(default_factory=list)
    rejected_bytes: int = 0
    stated_lines: list[tuple[int, int]] = field(default_factory=list)

    def read(self, number: int, line: str) -> None:
        cells = _cells(line)
        if self.is_mms is None:
            self._begin(line, cells or [])
            if not self.is_mms:
                return
        if self.is_mms:
            self._read_mms(number, line, cells)
        else:
            self.rows += 1
            self._keep(number, line, cells, "PRICE_AND_DEMAND", self.columns)

    def _begin(self, line: str, cells: list[str]) -> None:
        """Decide from the first row what the file is."""
        names = [cell.upper() for cell in cells]
        self.is_mms = bool(names) and names[0] in ("C", "I", "D")
        self.columns = _columns(names)
        if not self.is_mms and not {"REGION", "SETTLEMENTDATE", "RRP"} <= set(names):
            raise Unreadable(
                f"{self.key}: no price file: its first row {line[:100]!r} is neither one of an MMS "
                "report (C, I, D) nor a header with REGION, SETTLEMENTDATE and RRP"
            )

    def _read_mms(self, number: int, line: str, cells: list[str] | None) -> None:
        kind = line.lstrip(' "')[:1].upper() if cells is None else cells[0].upper()
        cells_or_none = cells or []
        table = tuple(cell.upper() for cell in cells_or_none[1:3])
        if kind == "C":
            if (
                len(cells_or_none) > 2
                and "END OF" in table[0]
                and re.fullmatch("[0-9]{1,9}", cells_or_none[2])
                and len(self.stated_lines) < _MOST_TABLES
            ):
                self.stated_lines.append((number, int(cells_or_none[2])))
        elif kind == "I" and cells is not None:
            if table in _KINDS:
                columns = _columns([cell.upper() for cell in cells])
                self.tables[table[0], table[1]] = self._with_needed(number, columns)
            elif len(self.other_tables) < _MOST_TABLES:
                self.other_tables[",".join(table)[:_SHOWN_CHARACTERS]] += 1
        else:
            self.rows += 1
            if cells is not None and kind == "D" and table not in _KINDS:
                self.ignored["table"] += 1
            elif kind != "D" or cells is None:
                self._reject(number, line, "fields")
            elif table not in self.tables:
                self._reject(number, line, "header")
            else:
                name = _KINDS[table[0], table[1]]
                self._keep(number, line, cells, name, self.tables[table[0], table[1]])

    def _with_needed(self, number: int, columns: dict[str, int]) -> dict[str, int]:
        if lacking := [n for n in ("SETTLEMENTDATE", "REGIONID", "RRP") if n not in columns]:
            raise Unreadable(
                f"{self.key}: the table in line {number} has no column {', '.join(lacking)}"
            )
        return columns

    def _keep(
        self, number: int, line: str, cells: list[str] | None, kind: str, columns: dict[str, int]
    ) -> None:
        if cells is None or len(cells) <= max(columns[name] for name in columns if name in _NEEDED):
            self._reject(number, line, "fields")
            return
        row = {name: cells[place] for name, place in columns.items() if place < len(cells)}
        if reason := _why_ignored(row):
            self.ignored[reason] += 1
            return
        price, reason, region, day = _read_price(kind, row)
        if price is None:
            self._reject(number, line, reason, region, day)
            return
        self.prices.append((self.source, number, *price, self.member))
        if len(self.prices) == _BATCH:
            self._end_batch()

    def _end_batch(self) -> None:
        """Put prices where they take less memory."""
        self.price_batches.append(pl.DataFrame(self.prices, schema=PRICES_SCHEMA, orient="row"))
        self.prices = []
        if len(self.price_batches) * _BATCH > _MOST_PRICES:
            raise Unreadable(
                f"{self.key}: over {_MOST_PRICES:,} prices; split it and upload the parts"
            )

    def _reject(
        self,
        number: int,
        line: str,
        reason: str | None,
        region: str | None = None,
        day: date | None = None,
    ) -> None:
        self.rejected.append((number, reason, region, day, line))
        self.rejected_bytes += len(line)
        if len(self.rejected) > MOST_REJECTED_ROWS or self.rejected_bytes > MOST_REJECTED_BYTES:
            raise Unreadable(
                f"{self.key}: too many of its rows would be rejected, the last in line {number} "
                f"since {REASONS[str(reason)]}; correct the file, or split it to see each row"
            )

    def outcome(self) -> PriceImport:
        if self.is_mms is None:
            raise Unreadable(f"{self.key}: empty: it has no rows")
        if self.is_mms and not self.tables and not self.rejected:
            found = ", ".join([*self.other_tables][:_SHOWN_TABLES]) or "no table"
            raise Unreadable(
                f"{self.key}: no prices in it: it has no table TRADING,PRICE or DISPATCH,PRICE, "
                f"but {found}"
            )
        self._end_batch()
        prices = pl.concat(self.price_batches)
        assert self.rows == prices.height + len(self.rejected) + self.ignored.total(), self.key
        return PriceImport(
            self.rows,
            prices,
            dict(sorted(self.ignored.items())),
            pl.DataFrame(self.rejected, schema=REJECTED_SCHEMA, orient="row"),
            tuple(self._warnings()),
        )

    def _warnings(self) -> Iterator[str]:
        before = 0
        for line, stated in self.stated_lines:
            if stated != line - before:
                yield (
                    f"{self.key}: line {line} says that it has {stated:,} lines, and it has "
                    f"{line - before:,}; it may have been cut"
                )
            before = line
        if self.is_mms and not self.stated_lines:
            yield f"{self.key}: it has no line END OF REPORT; it may have been cut"


_NEEDED = {"SETTLEMENTDATE", "REGIONID", "REGION", "RRP"}
_USED = _NEEDED | {"PERIODID", "INTERVENTION", "PERIODTYPE", "LASTCHANGED"}


def _columns(names: list[str]) -> dict[str, int]:
    """Return where the columns that are used stand; the first, where a name stands twice."""
    return {name: place for place, name in reversed([*enumerate(names)]) if name in _USED}


def _why_ignored(row: Mapping[str, str]) -> str | None:
    if re.fullmatch(r"0*[1-9][0-9]*(\.0*)?", row.get("INTERVENTION", "")):
        return "intervention"
    if row.get("PERIODTYPE", "TRADE").upper() != "TRADE":
        return "period_type"
    return None


def _read_price(
    kind: str, row: Mapping[str, str]
) -> tuple[Price | None, str | None, str | None, date | None]:
    """Return a row's price, or the first reason against it; its region and day in any case."""
    region = row.get("REGIONID", row.get("REGION", "")).upper()
    end = _read_date_time(row["SETTLEMENTDATE"])
    day = (end - timedelta(minutes=5)).date() if end else None
    if region not in REGIONS:
        return None, "region", None, day
    interval = _read_interval(kind, end, row.get("PERIODID", ""))
    price = _read_decimal(row["RRP"])
    changed = row.get("LASTCHANGED", "")
    last_changed = _read_date_time(changed) if changed else None
    reason = None
    if isinstance(interval, str):
        reason = interval
    elif row.get("INTERVENTION") and not re.fullmatch(r"0+(\.0*)?", row["INTERVENTION"]):
        reason = "intervention"
    elif price is None:
        reason = "price"
    elif changed and last_changed is None:
        reason = "last_changed"
    if reason or isinstance(interval, str) or price is None:
        return None, reason, region, day
    return Price(kind, region, *interval, price, last_changed), None, region, day


def _read_interval(kind: str, end: datetime | None, period: str) -> tuple[date, int, int] | str:
    """Return day, number and minutes of the interval that ends then, or the reason against it."""
    if end is None:
        return "date"
    minutes = 5 if kind == "DISPATCHPRICE" or end > FIVE_MINUTES_SINCE else 30
    inside = end - timedelta(minutes=5)
    since_midnight = inside.hour * 60 + inside.minute + 5
    if end.second or since_midnight % minutes:
        return "interval"
    number = since_midnight // minutes
    if period and not re.fullmatch(rf"0*{number}(\.0*)?", period):
        return "period"
    return inside.date(), number, minutes


@lru_cache(1 << 16)
def _read_date_time(text: str) -> datetime | None:
    match = _DATE_TIME.fullmatch(text)
    if not match:
        return None
    year, month, day = (match[name] or match[f"{name}2"] for name in "ymd")
    try:
        return datetime(  # noqa: DTZ001  in market time
            *(int(year), int(month), int(day)),
            *(int(match["hour"]), int(match["minute"]), int(match["second"] or 0)),
        )
    except ValueError:
        return None


def _read_decimal(text: str) -> Decimal | None:
    if not _PRICE.fullmatch(text):
        return None
    whole, _, part = text.lstrip("+-").partition(".")
    if len(part.rstrip("0")) > 5 or len(whole.lstrip("0")) > 6:
        return None
    # The zeros go, and the point with them, before Decimal or Polars might count them.
    number = Decimal(f"{whole or '0'}.{part.rstrip('0') or '0'}")
    return -number if text[0] == "-" else number
