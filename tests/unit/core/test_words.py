"""Words for people: numbers, money and days, and texts from outside, escaped for each place."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tasks.core import words
from tasks.core.words import count, escape_formula, escape_markdown


@pytest.mark.parametrize(
    ("number", "noun", "plural", "words"),
    [
        (0, "file", "", "0 files"),
        (1, "file", "", "1 file"),
        (2000, "file", "", "2,000 files"),
        (1, "more site", "more sites", "1 more site"),
        (2, "more site", "more sites", "2 more sites"),
    ],
)
def test_a_number_has_its_noun(number: int, noun: str, plural: str, words: str) -> None:
    assert count(number, noun, plural) == words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Test VPP One", "Test VPP One"),
        ("events/2025-09/week_1-a.csv", "events/2025-09/week_1-a.csv"),
        ("a | b", r"a \| b"),
        ("[free](https://example.com)", r"\[free\](https://example.com)"),
        ("![x](y)", r"!\[x\](y)"),
        ("`code` *bold* ~~gone~~ \\", r"\`code\` \*bold\* \~\~gone\~\~ \\"),
        ("_em_ __strong__ in_word", r"\_em\_ \_\_strong\_\_ in_word"),
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("A & B &lt;", "A &amp; B &amp;lt;"),
        ("two\nlines\r\n# and\u2028more", "two lines # and more"),
        ("a -> b", "a -> b"),
        ("\u202eleft\u2069 \u05e9\u200f\x07", "left \u05e9"),
    ],
)
def test_a_text_from_outside_is_shown_as_it_was_written(text: str, shown: str) -> None:
    assert escape_markdown(text) == shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hunter Banksia VPP", "Hunter Banksia VPP"),
        ("=1+1", "'=1+1"),
        ("  =1+1", "'  =1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2", "'-2"),
        ("\t=1", "'\t=1"),
        ("\x1c=1", "'\x1c=1"),
        ("\x00 \xa0=1", "'\x00 \xa0=1"),
        ("12 King St", "12 King St"),
    ],
)
def test_no_name_is_a_formula_in_a_csv(text: str, expected: str) -> None:
    assert escape_formula(text) == expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (Decimal("0"), "$0.00"),
        (Decimal("1234.5"), "$1,234.50"),
        (Decimal("-1.43"), "\N{MINUS SIGN}\N{WORD JOINER}$1.43"),
        (1234567.89, "$1,234,567.89"),
        (None, "none"),
    ],
)
def test_an_amount(amount: Decimal | float | None, expected: str) -> None:
    assert words.aud(amount) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (1.0, 2.5, "+$1.50"),
        (2.5, 1.0, "\N{MINUS SIGN}\N{WORD JOINER}$1.50"),
        (None, 3.0, "+$3.00"),
        (1.0, 1.0, "$0.00"),
    ],
)
def test_a_change(before: float | None, after: float | None, expected: str) -> None:
    assert words.change(before, after) == expected


def test_other_words() -> None:
    assert words.kwh(Decimal("1234.56")) == "1,234.6"
    assert words.shortest(Decimal("22.50")) == "22.5"
    assert words.shortest(20.0) == "20"
    assert words.shortest(100) == "100"
    assert words.count(1, "site") == "1 site"
    assert words.count(1200, "site") == "1,200 sites"
    assert words.month_name("2025-09") == "September 2025"
    assert words.moment(datetime(2025, 10, 2, 6, 5, tzinfo=UTC)) == "2 October 2025, 06:05 UTC"
    assert words.clipped("x" * 90) == "x" * 90
    assert words.clipped("x" * 91) == "x" * 89 + "…"
    assert words.without_directions("a\u202eb\nc\u200f d") == "abc d"
