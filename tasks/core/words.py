"""Words for people: numbers with their nouns, money, energy and days as Australians read them.

Templates have most of it as filters (`tasks/io/rendering.py`). Texts from outside (a name, an
address, a file's key) are escaped for where they appear, by one function for each place: Jinja's
own in HTML and SVG, `escape_markdown` in Markdown, `escape_typst` in a PDF, `escape_formula` in
spreadsheets.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal

from tasks.core.month import Month

MINUS = "\N{MINUS SIGN}"
_JOINER = "\N{WORD JOINER}"  # no line ends between a minus and its amount
_SHOWN_CHARACTERS = 90
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
# What Markdown would take for something else, wherever in a line it stands. An underscore within a
# word is one.
_MARKDOWN = re.compile(r"[\\`*|~\[\]]|(?<![^\W_])_|_(?![^\W_])")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
_DIRECTIONS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C}
# How a text begins that a spreadsheet may run, also behind what it does not show. For Polars too.
FORMULA = r"[\s\x00-\x1f\x7f-\xa0]*[=+@-]"


def count(number: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun: 1 file, 2,000 files."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def reasons_in_words(rows: Mapping[str, int]) -> str:
    """Write how many rows were rejected for which reason, in short: 3 date, 1 nmi check digit."""
    return ", ".join(f"{number} {code.replace('_', ' ')}" for code, number in rows.items())


def escape_markdown(text: str) -> str:
    """Write a text from outside so that Markdown shows it.

    It stays on its line and in its cell, and is no link, no HTML and no code.
    """
    line = without_directions(" ".join(text.split()))
    return _MARKDOWN.sub(r"\\\g<0>", line.replace("&", "&amp;").replace("<", "&lt;"))


def escape_typst(text: str) -> str:
    """Write a text from outside so that typst shows it: on its line, and each sign as itself."""
    return _PUNCTUATION.sub(r"\\\g<0>", without_directions(" ".join(text.split())))


def escape_formula(text: str) -> str:
    """Write a text so that no spreadsheet takes it for a formula: with an apostrophe before it."""
    return f"'{text}" if text.startswith(("\t", "\r", "\n")) or re.match(FORMULA, text) else text


def aud(amount: Decimal | float | None) -> str:
    """Write an amount (AUD): $1,234.56, and with a true minus before the dollar."""
    if amount is None:
        return "none"
    value = Decimal(str(amount))
    return f"{MINUS + _JOINER if value < 0 else ''}${abs(value):,.2f}"


def change(before: Decimal | float | None, after: Decimal | float | None) -> str:
    """Write a change of an amount (AUD), with its sign."""
    value = Decimal(str(after or 0)) - Decimal(str(before or 0))
    return f"+{aud(value)}" if value > 0 else aud(value)


def kwh(energy: Decimal | float) -> str:
    """Write energy (kWh) to a tenth, without the unit."""
    return f"{Decimal(str(energy)):,.1f}".replace("-", MINUS)


def shortest(number: Decimal | float) -> str:
    """Write a percentage or a fee without trailing zeros: 22.5, 20."""
    text = f"{Decimal(str(number)):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def month_name(month: Month | str) -> str:
    """Write a month: September 2025."""
    of = Month.parse(month) if isinstance(month, str) else month
    return f"{_MONTHS[of.number - 1]} {of.year}"


def day_name(day: date) -> str:
    """Write a day: 2 September 2025."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def moment(at: datetime) -> str:
    """Write a moment in UTC, to the minute."""
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}, {at:%H:%M} UTC"


def clipped(text: str) -> str:
    """Cut a name that is longer than people make them; a page has the whole name once."""
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def is_clipped(text: str) -> bool:
    """Say whether `clipped` cuts a name."""
    return len(text) > _SHOWN_CHARACTERS


def without_directions(text: str) -> str:
    """Return a name for a place that is nothing but text (a title, a file): on one line.

    Marks that turn the direction of writing are left out, since nothing there keeps them in; and so
    are control characters.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c for c in text if ord(c) not in _DIRECTIONS and (c.isprintable() or c == " "))
