"""Types of parameters that several flows share: what their forms show, and what they may be.

A form and the API check by JSON Schema, which has no words for what is wrong with a text: of a
pattern it shows the pattern. A constant, which no text that gets there can be, it shows as it is.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.settings import Settings

_MONTH = "[12][0-9]{3}-(0[1-9]|1[0-2])"


def _month(text: str) -> str:
    try:
        return str(Month.parse_begun(text, Settings().timezone))
    except Refused as problem:
        raise ValueError(str(problem).removeprefix("month: ")) from None


def _text_like(pattern: str, words: str) -> dict[str, Any]:
    return {"type": "string", "if": {"pattern": pattern}, "else": {"const": words}}


MonthText = Annotated[
    str,
    AfterValidator(_month),
    WithJsonSchema(_text_like(f"^{_MONTH}$", "a month written as YYYY-MM, like 2025-09,")),
]
MonthOrEmpty = Annotated[
    str,
    AfterValidator(lambda text: text and _month(text)),
    WithJsonSchema(_text_like(f"^({_MONTH})?$", "a month written as YYYY-MM, like 2025-09,")),
]
# A text goes into names, tags, records and messages; a list is a column of a form.
Text = Annotated[str, Field(min_length=1, max_length=500)]
VppNames = Annotated[list[str], Field(max_length=1000)]
RevisionNumber = Annotated[int, Field(ge=0)]
