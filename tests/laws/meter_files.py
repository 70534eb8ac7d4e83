"""Random NEM12 and price files: channels, lengths, versions, qualities, faults; and their month."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import duckdb
import polars as pl
from hypothesis import strategies as st

from tasks.settlement.meter import FILES_SCHEMA

REGIONS = ("NSW1", "SA1")
SITES = {"6001000001": "NSW1", "6001000002": "SA1"}
DAYS = {
    "2026-03": [date(2026, 3, number) for number in (1, 2, 31)],
    "2021-09": [date(2021, 9, number) for number in (1, 29, 30)],
}
CREATED = "202604010900"
VERSIONS = ("20260302120000", "202603021201", "20260310120000", "")
QUALITIES = ("A", "A", "E52", "S14", "F76", "N", "V", "V gap", "A refined")


@dataclass(frozen=True)
class Day:
    """A 300 row, and the 200 row that it needs. `seed` decides its values and its 400 rows."""

    nmi: str
    suffix: str
    serial: str
    unit: str
    minutes: int
    day: date
    version: str
    quality: str
    seed: int
    surplus: int = 0  # values that it has too many, or too few

    @property
    def channel(self) -> str:
        register = f"R{self.suffix}"
        return (
            f"200,{self.nmi},E1B1,{register},{self.suffix},N1,{self.serial},{self.unit},"
            f"{self.minutes},"
        )

    @property
    def rows(self) -> list[str]:
        rng = random.Random(self.seed)
        count = 1440 // self.minutes
        values = [self._value(rng) for _ in range(count + self.surplus)]
        code = self.quality.split()[0]
        row = f"300,{self.day:%Y%m%d},{','.join(values)},{code},,,{self.version},"
        first = rng.randint(2, count - 1)
        if self.quality == "V":
            later = [f"400,{first},{count},S14,1,", f"400,1,{first - 1},A,,"]
        elif self.quality == "V gap":
            later = [f"400,1,{first - 1},A,,", f"400,{first + 1},{count},N,,"]
        elif self.quality == "A refined":
            later = [f"400,{first},{first},F14,76,"]
        else:
            later = []
        return [row, *later]

    def _value(self, rng: random.Random) -> str:
        if rng.random() < 0.01:
            return ""
        decimals = {"Wh": 3, "kWh": 6, "MWh": 9}[self.unit] if rng.random() < 0.1 else 1
        return f"{rng.randint(0, 3 * 10**decimals) / 10**decimals:.{decimals}f}"


@st.composite
def days(draw: st.DrawFn, month: str) -> Day:
    """Draw a day of one of few channels, so that many are sent more than once."""
    suffix = draw(st.sampled_from(["E1", "B1", "E2", "Q1"]))
    return Day(
        draw(st.sampled_from([*SITES, "6001000009"])),
        suffix,
        draw(st.sampled_from(["M1", "M1", "M2"])),
        draw(st.sampled_from(["kWh", "kWh", "Wh", "MWh"])),
        draw(st.sampled_from([5, 15, 30, 30])),
        draw(st.sampled_from(DAYS[month])),
        draw(st.sampled_from(VERSIONS)),
        draw(st.sampled_from(QUALITIES)),
        draw(st.integers(0, 3)),
        draw(st.sampled_from([0, 0, 0, 0, 0, 0, 1, -1])),
    )


def nem12(rows: list[Day]) -> str:
    """Write days as a file, in their order."""
    lines = [f"100,NEM12,{CREATED},MDP,RETAILER"]
    channel = ""
    for day in rows:
        if day.channel != channel:
            channel = day.channel
            lines.append(channel)
        lines += day.rows
    return "".join(f"{line}\n" for line in [*lines, "900"])


def price_files(month: str, seed: int) -> list[str]:
    """Write a month's prices: revised ones, DISPATCHPRICE with 5 decimals, and PRICE_AND_DEMAND."""
    rng = random.Random(seed)
    minutes = 30 if month < "2021-10" else 5
    trading = ["I,TRADING,PRICE,3,SETTLEMENTDATE,REGIONID,RRP,LASTCHANGED"]
    dispatch = ["I,DISPATCH,PRICE,5,RRP,REGIONID,SETTLEMENTDATE,INTERVENTION,LASTCHANGED"]
    demand = ["REGION,SETTLEMENTDATE,TOTALDEMAND,RRP,PERIODTYPE"]
    for day in DAYS[month]:
        for region in REGIONS:
            for number in range(1, 1440 // minutes + 1):
                midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001
                end = f"{midnight + timedelta(minutes=number * minutes):%Y/%m/%d %H:%M:%S}"
                price = rng.choice([rng.randint(-10000, 3000), rng.randint(0, 20000)]) / 100
                where = rng.random()
                if where < 0.6:
                    trading.append(f"D,TRADING,PRICE,3,{end},{region},{price:.2f},{end}")
                if where < 0.1:
                    trading.append(f"D,TRADING,PRICE,3,{end},{region},-1.00,2020/01/01 00:00:00")
                if 0.6 <= where < 0.8:
                    demand.append(f"{region},{end},1,{price:.2f},TRADE")
                if where >= 0.7:
                    for back in range(0, minutes, 5):
                        at = midnight + timedelta(minutes=number * minutes - back)
                        fine = rng.choice([price, price + 0.005, rng.randint(-300, 300) / 10**5])
                        dispatch.append(
                            f"D,DISPATCH,PRICE,5,{fine:.5f},{region},{at:%Y/%m/%d %H:%M:%S},0,{end}"
                        )
    return ["\n".join(lines) + "\n" for lines in (trading, dispatch, demand)]


def as_fraction(number: object) -> Fraction:
    """Return a decimal of a database as a fraction."""
    return Fraction(str(number))


def load_sites(connection: duckdb.DuckDBPyConnection, sites: pl.DataFrame) -> None:
    """Make the table `meter_sites`, which sql/registry/meter_sites makes of a registry."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sites.parquet"
        sites.write_parquet(path)
        connection.execute(
            "create table meter_sites as select 'a' as vpp, nmi, day, region,"
            " coalesce(is_meter_basis, false) as is_meter_basis,"
            " charge_suffixes::varchar[] as charge_suffixes,"
            " discharge_suffixes::varchar[] as discharge_suffixes from read_parquet($path)",
            {"path": str(path)},
        )


def object_files(
    import_ids: list[str], keys: list[str], sources: list[int] | None = None
) -> pl.DataFrame:
    """Return the catalog's rows of files, as far as meter data needs them."""
    return pl.DataFrame(
        {
            "key": keys,
            "etag": ["e"] * len(keys),
            "import_id": import_ids,
            "source": sources or [0] * len(keys),
            "imported": [0] * len(keys),
        },
        schema=FILES_SCHEMA,
    )
