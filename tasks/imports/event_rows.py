"""What makes a row an event: the rules for each field, and the reasons against a row.

Every data row is an event or has a reason, its code in REASONS. Nothing is rounded: a number that
does not fit its decimals is a reason. Blank lines, and lines of nothing but commas, are no rows. In
a list of rejected rows, one that is as it was is still open: neither an event nor a new reject.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from typing import cast

import polars as pl

from tasks.core.errors import Unreadable
from tasks.core.nmi import NMI_PATTERN, canonical_nmi
from tasks.imports.rejected_id import is_still_open
from tasks.imports.scan import origins, read_fields, read_lines
from tasks.imports.spool import COLUMNS, EVENT_ID, INTERVAL_END, REJECTED_ID, Block

# Why a row is rejected. A row with several faults is counted under the first.
REASONS = {
    "fields": "it has more fields than the header has columns",
    "missing": "a value is missing: the row is short, or a field is empty",
    "nmi": "NMI is not 10 letters (without I and O) and digits, or 11 with the check digit",
    "nmi_check_digit": "the NMI's check digit, its 11th character, is wrong",
    "date": "DATE is not an ISO date (2025-09-30) or date-time (2025-09-30T23:55:00+10:00)",
    "interval_end": "INTERVAL_END is not an ISO date-time (2025-09-30T23:55:00+10:00)",
    "event_type": "EVENT_TYPE is neither Charge nor Discharge",
    "energy": "ENERGY is not a plain decimal number below 1000000000 with at most 6 decimals",
    "energy_negative": "ENERGY is negative; say Charge or Discharge in EVENT_TYPE instead",
    "tariff": "TARIFF is not a plain decimal number above -1000000 and below 1000000 with at most "
    "6 decimals",
    "corrects_nothing": "REJECTED_ID names no row that is rejected; leave it empty if this is an "
    "event of its own",
}

ENERGY = pl.Decimal(15, 6)
TARIFF = pl.Decimal(12, 6)

_MOST_SITES = 1_500_000  # of an import, all of which are held in memory
_MOST_BLANK = 2_000_000  # a spreadsheet has 1,048,576 rows
BLANK = "blank"  # no reason: such a line is no row
OPEN = "open"  # no reason: a row of a list of rejected rows, as it was

NO_EVENTS = pl.DataFrame(
    schema={
        "source": pl.Int32,
        "line": pl.UInt32,
        "nmi": pl.String,
        "day": pl.Date,
        "second": pl.Int32,  # of the day in market time; null: its DATE is a day alone
        "is_discharge": pl.Boolean,
        "energy_kwh": ENERGY,
        "tariff_cents_per_kwh": TARIFF,
        "event_id": pl.String,
        "rejected_id": pl.String,  # the rejected row that it corrects
    }
)
NO_FAULTS = pl.DataFrame(
    schema={
        "source": pl.Int32,
        "day": pl.Date,
        "reason": pl.String,
    }
)

_NO_ROWS = pl.DataFrame(schema={**NO_FAULTS.schema, "line": pl.UInt32, "row": pl.String})
_IS_GOOD = pl.all_horizontal(
    ~pl.col("is_long"),
    pl.col("energy_kwh") >= 0,
    pl.col("nmi", "day", "is_discharge", "tariff_cents_per_kwh").is_not_null(),
).fill_null(False)

# Of ASCII letters alone: upper-casing would make an S of some others.
_NMI_IN_ANY_CASE = "^[0-9A-HJ-NP-Za-hj-np-z]{10}[0-9]?$"


@dataclass
class Faults:
    """The rows of an import that are no events: `found` has those that are rejected or open.

    Of them as NO_FAULTS has them; `blank` lines are counted.
    """

    most: int
    found: list[pl.DataFrame] = field(default_factory=lambda: [NO_FAULTS])
    kept: int = 0
    blank: int = 0

    def add(self, bad: pl.DataFrame) -> None:
        """Add rows.

        Raises:
            Unreadable: they are too many.
        """
        if bad.is_empty():
            return
        kept = bad.filter(pl.col("reason") != BLANK).select(NO_FAULTS.columns)
        self.blank += bad.height - kept.height
        self.kept += kept.height
        self.found.append(kept)
        if self.blank > _MOST_BLANK:
            raise Unreadable(f"more than {_MOST_BLANK:,} of its rows are blank; export it again")
        if self.kept > self.most:
            raise Unreadable(self._another_format())

    def _another_format(self) -> str:
        reasons = pl.concat(self.found)["reason"]
        [most] = reasons.mode().sort().head(1)
        why = "they are as they were when they were rejected" if most == OPEN else REASONS[most]
        return (
            f"of another format: more than {self.most:,} of its rows would be rejected "
            f"(VPP_MAX_REJECTED_ROWS), most of them since {why}; export it again"
        )


class Sites:
    """The sites that the NMIs of an import name; each text is read once, and has a number.

    `nmis` has for each number the site's 10 characters, or null where the text is no NMI.
    """

    def __init__(self) -> None:
        self.nmis = pl.Series([], dtype=pl.String)
        self._texts = pl.Categories.random()
        self._dtype = pl.Categorical(self._texts)
        self._lock = Lock()
        # Polars forgets the texts when no series has them any more.
        self._keep = pl.Series([], dtype=self._dtype)

    def read(self, texts: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Return each text's number, and its site."""
        with self._lock:
            numbers = texts.cast(self._dtype).to_physical()
            last = cast(int | None, numbers.max())
            if last is not None and last >= self.nmis.len():
                new = self._texts.to_series()[self.nmis.len() :]
                if self.nmis.len() + new.len() > _MOST_SITES:
                    raise Unreadable(
                        f"over {_MOST_SITES:,} different NMIs are in it; split it by sites and "
                        "upload the parts"
                    )
                self.nmis = pl.concat([self.nmis, read_sites(new)], rechunk=True)
            nmis = self.nmis
        return numbers, nmis.gather(numbers)


def read_events(
    block: Block, timezone: str, sites: Sites
) -> tuple[pl.DataFrame, pl.Series, pl.DataFrame]:
    """Read a block's rows.

    Returns:
        Its events, as NO_EVENTS has them; the numbers of their sites' texts; and all other rows,
        with `row` as it was, its columns as text, what could be read of it, and its `reason`.

    Raises:
        AssertionError: the parser read more or fewer rows than there are lines. That is a fault of
            this program; nothing is imported.
    """
    lines = block.take_lines()
    fields, are_long = read_fields(block, lines)
    assert fields.height == block.rows, f"{block.rows} lines, and {fields.height} read"
    moments = _market_moments(timezone, is_interval_end=INTERVAL_END in block.columns)
    day, second = moments(fields["text_date"])
    numbers, nmis = sites.read(fields["text_nmi"])
    typed = fields.with_columns(
        *origins(block),
        nmis.alias("nmi"),
        day.alias("day"),
        second.alias("second"),
        _are_discharges(fields["text_event_type"]).alias("is_discharge"),
        _decimals(fields["text_energy"], ENERGY).alias("energy_kwh"),
        _decimals(fields["text_tariff"], TARIFF).alias("tariff_cents_per_kwh"),
        _identity(fields.columns, EVENT_ID).alias("event_id"),
        _identity(fields.columns, REJECTED_ID).alias("rejected_id"),
        is_long=pl.lit(False) if are_long is None else are_long,
    )
    are_good = typed.select(_IS_GOOD).to_series()
    if are_good.all():
        return typed.select(NO_EVENTS.columns), numbers, _NO_ROWS
    bad = typed.filter(~are_good).with_columns(
        row=read_lines(block, lines).filter(~are_good),
        reason=_reason(block.columns, fields.columns),
    )
    if REJECTED_ID in block.columns:
        bad = bad.with_columns(_open_or(bad))
    return typed.filter(are_good).select(NO_EVENTS.columns), numbers.filter(are_good), bad


def _identity(columns: list[str], name: str) -> pl.Expr:
    """Return an optional column that names an event or a rejected row; null where it is blank."""
    column = f"text_{name.lower()}"
    if column not in columns:
        return pl.lit(None, pl.String)
    text = pl.col(column).str.strip_chars()
    return pl.when(text != "").then(text)


def _open_or(bad: pl.DataFrame) -> pl.Series:
    """Return the reasons of a list's rows, OPEN where a row is as it was when it was rejected."""
    fields = bad.select(pl.col(f"text_{name.lower()}") for name in COLUMNS).rows()
    rows = zip(bad["rejected_id"], fields, bad["reason"], strict=True)
    reasons = [
        OPEN if id is not None and is_still_open(id, values) else reason
        for id, values, reason in rows
    ]
    return pl.Series("reason", reasons, dtype=pl.String)


def _reason(header: tuple[str, ...], columns: list[str]) -> pl.Expr:
    """Return the first reason against a row that is not good; `BLANK` where it is no row."""
    text = {name: pl.col(f"text_{name.lower()}").str.strip_chars() for name in COLUMNS}
    is_missing = [column.fill_null("") == "" for column in text.values()]
    others = {f"text_{name.lower()}" for name in COLUMNS}
    further = [name for name in columns if name not in others]
    is_blank = pl.all_horizontal(
        *is_missing, *(pl.col(name).str.strip_chars().fill_null("") == "" for name in further)
    )
    date = "interval_end" if INTERVAL_END in header else "date"
    return (
        pl.when("is_long")
        .then(pl.lit("fields"))
        .when(is_blank)
        .then(pl.lit(BLANK))
        .when(pl.any_horizontal(is_missing))
        .then(pl.lit("missing"))
        .when(~text["NMI"].str.contains(_NMI_IN_ANY_CASE))
        .then(pl.lit("nmi"))
        .when(pl.col("nmi").is_null())
        .then(pl.lit("nmi_check_digit"))
        .when(pl.col("day").is_null())
        .then(pl.lit(date))
        .when(pl.col("is_discharge").is_null())
        .then(pl.lit("event_type"))
        .when(pl.col("energy_kwh").is_null())
        .then(pl.lit("energy"))
        .when(pl.col("energy_kwh") < 0)
        .then(pl.lit("energy_negative"))
        .otherwise(pl.lit("tariff"))
    )


def read_sites(texts: pl.Series) -> pl.Series:
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


@lru_cache(1 << 17)
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


# A moment as one whole number: days since before 1900, so never negative, times more than a day's
# seconds, and the second.
_DAY = 100_000
_EPOCH = 30_000  # days
_DATE_ALONE = 99_999  # in the place of the second
_DATE = r"(19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}"
_TIME = r"[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?"
_OFFSET = r"(Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])$"


def _market_moments(
    timezone: str, is_interval_end: bool
) -> Callable[[pl.Series], tuple[pl.Series, pl.Series]]:
    """Return what reads ISO dates and date-times as days, and seconds of them, in market time.

    The day is null where the text is neither; the second where it is a date alone. The end of an
    interval is never a date alone, and at midnight it belongs to the day before.
    """

    def codes(texts: pl.Series) -> pl.Series:
        """Read each text as one whole number: its day and second; null for all else."""
        dates = texts.str.strip_chars()
        is_local = dates.str.contains(rf"^{_DATE}({_TIME})?$")
        day = dates.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False).cast(pl.Int64) + _EPOCH
        hours = dates.str.slice(11, 2).cast(pl.Int64, strict=False)
        minutes = dates.str.slice(14, 2).cast(pl.Int64, strict=False)
        seconds = dates.str.extract(r"^.{16}:([0-9]{2})").cast(pl.Int64, strict=False)
        second = hours * 3600 + minutes * 60 + seconds.fill_null(0)
        local = day * _DAY + _where(is_local, second).fill_null(_DATE_ALONE)
        if not is_local.all():
            has_offset = dates.str.contains(rf"^{_DATE}{_TIME}{_OFFSET}")
            shifted = _to_market_time(dates, day * 86400 + second)
            local = _where(is_local, local, _where(has_offset, shifted))
        if not is_interval_end:
            return local
        is_midnight = local % _DAY == 0
        local = _where(is_midnight, local - _DAY + 86400, local)
        return _where(local % _DAY != _DATE_ALONE, local)

    def _to_market_time(dates: pl.Series, moment: pl.Series) -> pl.Series:
        """Bring moments (seconds) with an offset to market time."""
        offset = dates.str.extract(_OFFSET).str.replace(":", "", literal=True)
        minutes = (
            offset.str.slice(1, 2).cast(pl.Int64, strict=False) * 60
            + offset.str.slice(3, 2).cast(pl.Int64, strict=False)
        ).fill_null(0)
        sign = 1 - 2 * offset.str.starts_with("-").fill_null(False).cast(pl.Int64)
        utc = ((moment - minutes * sign * 60 - _EPOCH * 86400) * 1_000_000).cast(
            pl.Datetime("us", "UTC")
        )
        local = utc.dt.convert_time_zone(timezone).dt.replace_time_zone(None).cast(pl.Int64)
        local = local // 1_000_000 + _EPOCH * 86400
        return local // 86400 * _DAY + local % 86400

    def moments(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
        runs = texts.rle().struct.field("value")  # in files in the order of time, few
        if 8 * runs.len() > texts.len():
            runs = texts.unique()  # 5-minute data has 8,928 in a month, however many rows
            at = texts.replace_strict(
                runs, pl.int_range(runs.len(), dtype=pl.UInt32, eager=True), return_dtype=pl.UInt32
            )
        else:
            at = texts.rle_id()
        code = codes(runs)
        second = code % _DAY
        day = (code // _DAY - _EPOCH).cast(pl.Int32).cast(pl.Date)
        second = _where(second != _DATE_ALONE, second.cast(pl.Int32))
        return day.gather(at), second.gather(at)

    return moments


def _where(mask: pl.Series, then: pl.Series, otherwise: pl.Series | None = None) -> pl.Series:
    """Take values where the mask is true; others, or null, where it is false or null."""
    rest = pl.Series([None], dtype=then.dtype) if otherwise is None else otherwise
    return then.zip_with(mask.fill_null(False), rest)
