"""The sums of events by day: all that a settlement needs of them, for any terms.

`daily.parquet` has one row per source, site, day, event type and sign of the tariff, in that order.
Events that correct a rejected row are left out: whether one counts depends on what else is in the
inbox. `energy_kwh` is their sum; `value_cents` the exact sum of energy x tariff (kWh x cents per
kWh, 12 decimals), without the sign that the event type gives it. `first_second` and `last_second`
are those of the day in market time, 0 to 86400; an event whose DATE is a day alone may be at any of
them.

On the way a row's five keys are one whole number, and its sums are whole numbers of 128 bits: in
millionths of a kWh, and millionths of millionths of a cent.
"""

from concurrent.futures import Executor, Future
from decimal import Decimal
from pathlib import Path

import polars as pl
from polars._typing import PolarsDataType

from tasks.io.warehouse import sql, warehouse

DAILY_SCHEMA: dict[str, PolarsDataType] = {
    "source": pl.Int32,
    "nmi": pl.String,
    "day": pl.Date,
    "is_discharge": pl.Boolean,
    "is_negative_tariff": pl.Boolean,
    "events": pl.Int64,
    "energy_kwh": pl.Decimal(38, 6),
    "value_cents": pl.Decimal(38, 12),
    "first_second": pl.Int32,
    "last_second": pl.Int32,
}
_MOST_ADDED = 1 << 20  # rows between two merges
_MOST_SUMS = 4 << 20  # in memory: 300 MB; beyond, they go to a file

# The bits of a key: source, number of the site, day, event type, sign of the tariff.
_SOURCE, _SITE, _DAY, _TYPE = 1 << 47, 1 << 19, 1 << 2, 1 << 1
_FIRST_DAY = -30_000  # days since 1970: before 1900


def key_events(events: pl.DataFrame, sites: pl.Series) -> pl.DataFrame:
    """Return what `DailySums` adds up of events (NO_EVENTS), given the numbers of their sites."""
    is_summed = events["rejected_id"].is_null()
    if not is_summed.all():
        events, sites = events.filter(is_summed), sites.filter(is_summed)
    energy, tariff = (events[name].to_physical() for name in ("energy_kwh", "tariff_cents_per_kwh"))
    return events.select(
        key=pl.col("source").cast(pl.Int64) * _SOURCE
        + sites.cast(pl.Int64) * _SITE
        + (pl.col("day").to_physical().cast(pl.Int64) - _FIRST_DAY) * _DAY
        + pl.col("is_discharge").cast(pl.Int64) * _TYPE
        + (tariff < 0),
        events=pl.lit(1, pl.Int64),
        energy=energy,
        value=energy * tariff,
        first_second=pl.col("second").fill_null(0),
        last_second=pl.col("second").fill_null(86400),
    )


def _add_up(sums: pl.LazyFrame) -> pl.LazyFrame:
    return sums.group_by("key").agg(
        pl.col("events", "energy", "value").sum(),
        pl.col("first_second").min(),
        pl.col("last_second").max(),
    )


def _merge(sums: pl.DataFrame) -> pl.DataFrame:
    return _add_up(sums.lazy()).collect(engine="streaming")


class DailySums:
    """Sums up an import's events, in memory that does not grow with them.

    What was added is merged on a thread of the pool while the next is read.
    """

    def __init__(self, folder: Path, pool: Executor) -> None:
        self._folder = folder
        self._pool = pool
        self._merged: Future[pl.DataFrame] = Future()
        self._merged.set_result(_NO_SUMS)
        self._added: list[pl.DataFrame] = []  # since
        self._rows = 0  # of them
        self._files: list[Path] = []
        self._counts = [
            pl.DataFrame(schema={"source": pl.Int32, "day": pl.Date, "events": pl.Int64})
        ]

    def add(self, keyed: pl.DataFrame, nmis: pl.Series) -> None:
        """Add what `key_events` returns; `nmis` has the sites by their numbers."""
        self._added.append(keyed)
        self._rows += keyed.height
        if self._rows >= _MOST_ADDED:
            sums = pl.concat([self._merged.result(), *self._added])
            if sums.height >= _MOST_SUMS + _MOST_ADDED:
                self._write(nmis, self._folder / f"sums-{len(self._files)}.parquet")
                return
            self._merged, self._added, self._rows = self._pool.submit(_merge, sums), [], 0

    def write(self, nmis: pl.Series, path: Path) -> pl.DataFrame:
        """Write `daily.parquet`; return how many events were summed: source, day, events."""
        if not self._files:
            self._write(nmis, path)
        else:
            self._write(nmis, self._folder / "sums-last.parquet")
            with warehouse(self._folder) as connection:
                connection.execute(
                    f"copy ({sql('events/daily')}) to '{path}' (format parquet, compression zstd)",
                    {"sums": [str(file) for file in self._files]},
                )
        return pl.concat(self._counts).group_by("source", "day").agg(pl.col("events").sum())

    def _write(self, nmis: pl.Series, path: Path) -> None:
        """Write what was added so far, and forget it."""
        sums = pl.concat([self._merged.result(), *self._added])
        names = nmis.drop_nulls().unique().sort()
        # Several texts may name a site; and the number of its name gives the order of names.
        number = pl.lit(nmis.rank("dense").cast(pl.Int64) - 1)
        site = pl.col("key") // _SITE % (_SOURCE // _SITE)
        daily = (
            _add_up(
                sums.lazy().with_columns(key=pl.col("key") + (number.gather(site) - site) * _SITE)
            )
            .sort("key")
            .select(
                (pl.col("key") // _SOURCE).cast(pl.Int32).alias("source"),
                pl.lit(names).gather(site).alias("nmi"),
                (pl.col("key") // _DAY % (_SITE // _DAY) + _FIRST_DAY)
                .cast(pl.Int32)
                .cast(pl.Date)
                .alias("day"),
                (pl.col("key") // _TYPE % 2 == 1).alias("is_discharge"),
                (pl.col("key") % 2 == 1).alias("is_negative_tariff"),
                "events",
                _decimal("energy", 6).alias("energy_kwh"),
                _decimal("value", 12).alias("value_cents"),
                "first_second",
                "last_second",
            )
            .collect(engine="streaming")
        )
        daily.write_parquet(path, compression="zstd", compression_level=1)
        self._counts.append(daily.group_by("source", "day").agg(pl.col("events").sum()))
        self._files.append(path)
        self._merged = Future()
        self._merged.set_result(_NO_SUMS)
        self._added, self._rows = [], 0


def _decimal(name: str, scale: int) -> pl.Expr:
    one = pl.lit(Decimal(1).scaleb(-scale))
    return (pl.col(name).cast(pl.Decimal(38, 0)) * one).cast(pl.Decimal(38, scale))


_NO_SUMS = pl.DataFrame(
    schema={
        "key": pl.Int64,
        "events": pl.Int64,
        "energy": pl.Int128,
        "value": pl.Int128,
        "first_second": pl.Int32,
        "last_second": pl.Int32,
    }
)
