"""Words for people: numbers with their nouns, and texts from outside as they were written."""

import re

# What Markdown would take for something else, wherever in a line it stands. An underscore within a
# word is one.
_MARKDOWN = re.compile(r"[\\`*|~\[\]]|(?<![^\W_])_|_(?![^\W_])")
_HTML = {"&": "&amp;", "<": "&lt;"}


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: '1 file', '2,000 files'."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def plain(text: str) -> str:
    """Return a text from outside (a name, an address, a file's key) so that Markdown shows it.

    It stays on its line and in its cell, and is no link, no HTML and no code.
    """
    escaped = "".join(_HTML.get(character, character) for character in " ".join(text.split()))
    return _MARKDOWN.sub(r"\\\g<0>", escaped)
