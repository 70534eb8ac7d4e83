"""What makes a row an event: the rules for each field, and the reasons against a row.

Every data row is an event or has a reason, its code in REASONS. Nothing is rounded: a number that
does not fit its decimals is a reason. Blank lines, and lines of nothing but commas, are no rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import polars as pl

from tasks.core.nmi import NMI_PATTERN, canonical_nmi
from tasks.imports.scan import origins, scan_fields, scan_lines, text_columns
from tasks.imports.spool import COLUMNS, SpoolFile

# Why a row is rejected. A row with several faults is counted under the first.
REASONS = {
    "fields": "it has more fields than the header has columns",
    "missing": "a value is missing: the row is short, or a field is empty",
    "nmi": "NMI is not 10 letters (without I and O) and digits, or 11 with the check digit",
    "nmi_check_digit": "the NMI's check digit, its 11th character, is wrong",
    "date": "DATE is not an ISO date (2025-09-30) or date-time (2025-09-30T23:55:00+10:00)",
    "event_type": "EVENT_TYPE is neither Charge nor Discharge",
    "energy": "ENERGY is not a plain decimal number below 1000000000 with at most 6 decimals",
    "energy_negative": "ENERGY is negative; say Charge or Discharge in EVENT_TYPE instead",
    "tariff": "TARIFF is not a plain decimal number within +-1000000 with at most 6 decimals",
}

ENERGY = pl.Decimal(15, 6)
TARIFF = pl.Decimal(12, 6)

# A big file with more rejected rows than this, and more than half, is not read to its end.
MANY_REJECTED = 1_000_000
BLANK = "blank"  # no reason: such a line is no row

NO_EVENTS = pl.DataFrame(
    schema={
        "source": pl.Int32,
        "line": pl.UInt32,
        "nmi": pl.String,
        "day": pl.Date,
        "is_discharge": pl.Boolean,
        "energy_kwh": ENERGY,
        "tariff_cents_per_kwh": TARIFF,
    }
)
NO_FAULTS = pl.DataFrame(
    schema={
        "file": pl.Int32,
        "row": pl.UInt32,
        "source": pl.Int32,
        "line": pl.UInt32,
        "day": pl.Date,
        "reason": pl.String,
    }
)

# Of ASCII letters alone: upper-casing would make an S of some others.
_NMI_IN_ANY_CASE = "^[0-9A-HJ-NP-Za-hj-np-z]{10}[0-9]?$"


@dataclass
class Faults:
    """The faulty rows of an import, added by several threads, so in no order.

    They are kept in memory, which ten million of them would fill. But a file with so many has
    another format, and is not read to its end.
    """

    found: list[pl.DataFrame]
    may_be_another_format: bool
    rows: int = 0  # looked at, good or not
    faulty: int = 0

    @property
    def is_another_format(self) -> bool:
        is_much = self.faulty > MANY_REJECTED and 2 * self.faulty > self.rows
        return self.may_be_another_format and is_much

    def another_format(self) -> str:
        """Say what is wrong with the file as a whole."""
        reasons = pl.concat(self.found)["reason"]
        [most] = reasons.filter(reasons != BLANK).mode().sort().head(1)
        return (
            f"of another format: more than {MANY_REJECTED:,} of its rows, and more than half, "
            f"would be rejected, most of them since {REASONS[most]}; export it again"
        )


def good_rows(file: SpoolFile, number: int, timezone: str, faults: Faults) -> pl.LazyFrame:
    """Scan the good rows of one spool file; the faulty ones are added to `faults` on the way."""
    columns = text_columns(file)
    long_rows = _long_rows(file)
    origin = origins(file)
    days = _market_days(timezone)
    is_good = pl.all_horizontal(
        ~pl.col("is_long"),
        pl.col("energy_kwh") >= 0,
        pl.col("nmi", "day", "is_discharge", "tariff_cents_per_kwh").is_not_null(),
    ).fill_null(False)

    def good(batch: pl.DataFrame) -> pl.DataFrame:
        if faults.is_another_format:
            return NO_EVENTS
        faults.rows += batch.height
        is_long = batch["overflow"].is_not_null()
        source, line = origin(batch["row"])
        typed = batch.with_columns(
            (is_long if long_rows.is_empty() else is_long | batch["row"].is_in(long_rows)).alias(
                "is_long"
            ),
            source.alias("source"),
            line.alias("line"),
            _sites(batch["text_nmi"]).alias("nmi"),
            days(batch["text_date"]).alias("day"),
            _are_discharges(batch["text_event_type"]).alias("is_discharge"),
            _decimals(batch["text_energy"], ENERGY).alias("energy_kwh"),
            _decimals(batch["text_tariff"], TARIFF).alias("tariff_cents_per_kwh"),
        )
        are_good = typed.select(is_good).to_series()
        if not are_good.all():
            bad = typed.filter(~are_good).with_columns(
                pl.lit(number, pl.Int32).alias("file"), _reason(columns).alias("reason")
            )
            faults.found.append(bad.select(NO_FAULTS.columns))
            faults.faulty += bad.height
            typed = typed.filter(are_good)
        return typed.select(NO_EVENTS.columns)

    # One call with all columns: Polars' own work in it is parallel, and calls from its threads
    # into Python are few.
    return scan_fields(file).map_batches(good, schema=NO_EVENTS.schema, streamable=True)


def _long_rows(file: SpoolFile) -> pl.Series:
    """Return the rows with more fields than the header has columns, empty ones at the end aside.

    The parser gives the first field too many and drops the others, so that `...,25,,x` looks well;
    but only where a field is empty, which most files never have.
    """
    if not file.has_empty_fields:
        return pl.Series([], dtype=pl.UInt32)
    unquoted = pl.col("line").str.replace_all(r'"(?:[^"]|"")*"', '"')
    line = unquoted if file.is_quoted else pl.col("line")
    commas = line.str.strip_chars_end(", \r").str.count_matches(",", literal=True)
    rows = scan_lines(file).filter(commas >= len(file.columns)).select("row")
    return rows.collect(engine="streaming").to_series()


def _reason(columns: list[str]) -> pl.Expr:
    """Return the first reason against a row that is not good; `BLANK` where it is no row."""
    text = {name: pl.col(f"text_{name.lower()}").str.strip_chars() for name in COLUMNS}
    is_missing = [column.fill_null("") == "" for column in text.values()]
    further = [name for name in [*columns, "overflow"] if not name.startswith("text_")]
    is_blank = pl.all_horizontal(*is_missing, *(pl.col(name).is_null() for name in further))
    return (
        pl.when(is_blank)
        .then(pl.lit(BLANK))
        .when("is_long")
        .then(pl.lit("fields"))
        .when(pl.any_horizontal(is_missing))
        .then(pl.lit("missing"))
        .when(~text["NMI"].str.contains(_NMI_IN_ANY_CASE))
        .then(pl.lit("nmi"))
        .when(pl.col("nmi").is_null())
        .then(pl.lit("nmi_check_digit"))
        .when(pl.col("day").is_null())
        .then(pl.lit("date"))
        .when(pl.col("is_discharge").is_null())
        .then(pl.lit("event_type"))
        .when(pl.col("energy_kwh").is_null())
        .then(pl.lit("energy"))
        .when(pl.col("energy_kwh") < 0)
        .then(pl.lit("energy_negative"))
        .otherwise(pl.lit("tariff"))
    )


def _sites(texts: pl.Series) -> pl.Series:
    """Read NMIs as the 10 characters that name the site; null for all else."""
    # Each once, as there are fewer sites than events; and all in one text, since a regex costs more
    # to begin than to run.
    is_ten = not texts.has_nulls() and (texts.str.len_bytes() == 10).all()
    if is_ten and texts.unique().str.join().str.contains(f"^({NMI_PATTERN})*$").all():
        return texts
    trimmed = texts.str.strip_chars()
    nmis = _where(trimmed.str.contains(_NMI_IN_ANY_CASE), trimmed).str.to_uppercase()
    with_check_digit = nmis.filter(nmis.str.len_bytes() == 11).unique().to_list()
    return nmis.replace(
        with_check_digit, pl.Series([_site_of(nmi) for nmi in with_check_digit], dtype=pl.String)
    )


@lru_cache(1 << 20)
def _site_of(nmi: str) -> str | None:
    try:
        return canonical_nmi(nmi)
    except ValueError:
        return None


def _are_discharges(texts: pl.Series) -> pl.Series:
    """Read event types: true for Discharge, false for Charge; null for all else."""
    discharges = texts == "Discharge"
    if (discharges | (texts == "Charge")).all():
        return discharges
    types = texts.str.strip_chars().str.to_lowercase()
    return _where(types.is_in(["charge", "discharge"]), types == "discharge")


def _decimals(texts: pl.Series, dtype: pl.Decimal) -> pl.Series:
    """Read plain decimals; null for all else.

    A bare cast would accept 1e3, and would round a seventh decimal away without a word. Neither is
    possible in 7 characters without an e, as most are: there it gives null for what is no number.
    """
    whole_digits = dtype.precision - dtype.scale
    longest = cast(int | None, texts.str.len_bytes().max())
    is_short = longest is not None and longest <= min(7, whole_digits)
    if is_short and not texts.str.join().str.contains("[eE]").any():
        numbers = texts.cast(dtype, strict=False)
        if not numbers.has_nulls():
            return numbers
    plain = rf"^[+-]?([0-9]{{1,{whole_digits}}}(\.[0-9]{{0,6}})?|\.[0-9]{{1,6}})$"
    if not texts.str.contains(plain).all():
        texts = texts.str.strip_chars()
        texts = _where(texts.str.contains(plain), texts)
    return texts.cast(dtype)


_DATE = r"(19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}"
_TIME = r"[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?"
_OFFSET = r"(Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])$"


def _market_days(timezone: str) -> Callable[[pl.Series], pl.Series]:
    """Return a function that reads ISO dates and date-times as days in market time, else null."""

    def days(texts: pl.Series) -> pl.Series:
        dates = texts.str.strip_chars()
        is_local = dates.str.contains(rf"^{_DATE}({_TIME})?$")
        local_day = dates.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
        if is_local.all():
            return local_day
        has_offset = dates.str.contains(rf"^{_DATE}{_TIME}{_OFFSET}")
        # Offsets are whole minutes, so the seconds cannot move a moment to another day.
        minute = dates.str.slice(0, 16).str.replace(" ", "T", literal=True)
        local = minute.str.to_datetime("%Y-%m-%dT%H:%M", strict=False, time_unit="us")
        offset = dates.str.extract(_OFFSET).str.replace(":", "", literal=True)
        minutes = (
            offset.str.slice(1, 2).cast(pl.Int64, strict=False) * 60
            + offset.str.slice(3, 2).cast(pl.Int64, strict=False)
        ).fill_null(0)
        sign = 1 - 2 * offset.str.starts_with("-").fill_null(False).cast(pl.Int64)
        moment = (local - (minutes * sign * 60_000_000).cast(pl.Duration("us"))).dt
        market_day = moment.replace_time_zone("UTC").dt.convert_time_zone(timezone).dt.date()
        return _where(is_local, local_day, _where(has_offset, market_day))

    def days_of_distinct(texts: pl.Series) -> pl.Series:
        distinct = texts.unique()  # 5-minute data has 8,928 in a month, however many rows
        return texts.replace_strict(distinct, days(distinct), return_dtype=pl.Date)

    def days_of_runs(texts: pl.Series) -> pl.Series:
        runs = texts.rle().struct.field("value")  # in files in the order of time, few
        if 8 * runs.len() > texts.len():
            return days_of_distinct(texts)
        return days(runs).gather(texts.rle_id())

    return days_of_runs


def _where(mask: pl.Series, then: pl.Series, otherwise: pl.Series | None = None) -> pl.Series:
    """Take values where the mask is true; others, or null, where it is false or null."""
    rest = pl.Series([None], dtype=then.dtype) if otherwise is None else otherwise
    return then.zip_with(mask.fill_null(False), rest)
