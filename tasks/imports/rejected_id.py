"""What a rejected row is called: a name that is bound to its content, wherever the row stands.

So copies, moves and replacements of its file do not change it, and no spreadsheet takes it for a
number: `REJ-` and 16 letters and digits for the five fields, and which one of equal rows it is.
"""

import re
from base64 import b32encode
from collections.abc import Sequence
from hashlib import sha256

from tasks.core.words import FORMULA

_ID = re.compile(r"REJ-([A-Z2-7]{16})-([1-9][0-9]*)")
_ESCAPED = re.compile(f"^'(?='*{FORMULA})")


def content_of(fields: Sequence[str | None]) -> str:
    """Name the content of a row: its fields, trimmed, in the order of COLUMNS."""
    text = "\x1f".join((field or "").strip() for field in fields)
    return b32encode(sha256(text.encode()).digest()[:10]).decode()


def rejected_id(content: str, number: int) -> str:
    """Name a rejected row: by its content, and its number among equal rows of its file."""
    return f"REJ-{content}-{number}"


def is_still_open(id: str, fields: Sequence[str | None]) -> bool:
    """Say whether a row of a list is as it was when it was rejected, or has nothing filled in.

    The list has an apostrophe before what a spreadsheet would run.
    """
    if not any((field or "").strip() for field in fields):
        return True
    found = _ID.fullmatch(id.upper())
    as_they_were = [_ESCAPED.sub("", (field or "").strip()) for field in fields]
    return found is not None and found[1] in (content_of(fields), content_of(as_they_were))
