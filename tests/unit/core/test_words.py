"""Words for people: numbers with their nouns, and texts from outside in Markdown."""

import pytest

from tasks.core.words import count, plain


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
    ],
)
def test_a_text_from_outside_is_shown_as_it_was_written(text: str, shown: str) -> None:
    assert plain(text) == shown
