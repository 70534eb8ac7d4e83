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

from decimal import Decimal
from pathlib import Path

import polars as pl

from tasks.io.warehouse import sql, warehouse

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


def _merge(sums: pl.DataFrame) -> pl.DataFrame:
    added = (
        sums.lazy()
        .group_by("key")
        .agg(
            pl.col("events", "energy", "value").sum(),
            pl.col("first_second").min(),
            pl.col("last_second").max(),
        )
    )
    return added.collect(engine="streaming")


class DailySums:
    """Sums up an import's events, in memory that does not grow with them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._added: list[pl.DataFrame] = []  # the first one merged, mostly
        self._rows = 0  # since it was
        self._files: list[Path] = []
        self._counts = [
            pl.DataFrame(schema={"source": pl.Int32, "day": pl.Date, "events": pl.Int64})
        ]

    def add(self, keyed: pl.DataFrame, nmis: pl.Series) -> None:
        """Add what `key_events` returns; `nmis` has the sites by their numbers."""
        self._added.append(keyed)
        self._rows += keyed.height
        if self._rows >= _MOST_ADDED:
            self._added, self._rows = [_merge(pl.concat(self._added))], 0
            if self._added[0].height >= _MOST_SUMS:
                self._write(nmis, self._folder / f"sums-{len(self._files)}.parquet")

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
        sums = pl.concat(self._added) if self._added else _NO_SUMS
        names = nmis.drop_nulls().unique().sort()
        # Several texts may name a site; and the number of its name gives the order of names.
        numbers = names.search_sorted(nmis).cast(pl.Int64)
        site = pl.col("key") // _SITE % (_SOURCE // _SITE)
        number = numbers.gather(sums.select(site).to_series())
        sums = sums.with_columns(key=pl.col("key") + (number - site) * _SITE)
        sums = _merge(sums).sort("key")
        daily = sums.select(
            (pl.col("key") // _SOURCE).cast(pl.Int32).alias("source"),
            names.gather(sums.select(site).to_series()).alias("nmi"),
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
        daily.write_parquet(path, compression="zstd", compression_level=1)
        self._counts.append(daily.group_by("source", "day").agg(pl.col("events").sum()))
        self._files.append(path)
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
