"""What a field of a registry change may hold, and the sentence for what it may not.

What enters is checked strictly; what stands in the log was checked when it entered, by the limits
of then. So the log is read with the context IN_LOG, under which only its types are checked.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isfinite
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from tasks.core.errors import Refused
from tasks.core.nmi import canonical_nmi

IN_LOG = {"is_in_log": True}
MAX_NAME_CHARACTERS = 100  # of names, ids, serials: an id is part of S3 keys (1,024 bytes)
MAX_TEXT_CHARACTERS = 500  # of addresses and reasons
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2099, 12, 31)
ALL_CHANNELS = "all"

_SHOWN_CHARACTERS = 60
_PLAIN_NUMBER = re.compile("-?[0-9]{1,40}([.][0-9]{1,40})?")
_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SUFFIX = re.compile("[EB][0-9A-Z]")
# Control characters, line and paragraph separators, byte order marks, blanks of no width, and
# what turns the direction of writing: nobody means them in a name, and all of them mislead.
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]"
)


def _text_of(most: int) -> Callable[[str, ValidationInfo], str]:
    def check(text: str, info: ValidationInfo) -> str:
        if info.context:
            return text
        if len(text) > most:
            raise PydanticCustomError(
                "text_too_long", f"must have at most {most} characters, not {len(text)}"
            )
        if unseen := UNSEEN.search(text):
            raise PydanticCustomError(
                "text_unseen",
                f"must not hold the character U+{ord(unseen[0]):04X}, which is a line break or "
                f"is not shown (character {unseen.start() + 1}); leave it out",
            )
        return text

    return check


def _nmi(text: str) -> str:
    if len(text) > MAX_NAME_CHARACTERS:
        raise ValueError(f"an NMI has 10 or 11 characters, not {len(text)}")
    return canonical_nmi(text)


def _channels(text: str) -> str:
    """Return suffixes in order, each once: 'b1, e1' -> 'B1 E1'; or 'all'."""
    suffixes = sorted(set(re.split("[ ,;]+", text.strip(" ,;").upper())))
    if suffixes == [ALL_CHANNELS.upper()]:
        return ALL_CHANNELS
    if not all(_SUFFIX.fullmatch(suffix) for suffix in suffixes):
        raise PydanticCustomError(
            "channels",
            "must be 'all', or NMI suffixes like 'E1 B1': E is what the site took, B what it fed "
            "in, and no other channel is settled",
        )
    return " ".join(suffixes)


def _number(value: Any) -> Decimal:
    """Take a number as it was written. A float is what it prints as: 0.1 is a tenth."""
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value):
        return Decimal(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, float) and isfinite(value):
        return Decimal(repr(value))
    if isinstance(value, Decimal) and value.is_finite():
        return value
    raise PydanticCustomError("number", "must be a number in plain digits, like 13.5")


def _date(value: Any, info: ValidationInfo) -> date | None:
    """Take a day as a date or as YYYY-MM-DD, and nothing else: 0 is no day."""
    day = value
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            day = date.fromisoformat(value)
        except ValueError:
            raise PydanticCustomError("day", "must be a day that the calendar has") from None
    if day is None:
        return None
    if not isinstance(day, date) or isinstance(day, datetime):
        raise PydanticCustomError("day", "must be a day written as YYYY-MM-DD, like 2025-09-01")
    if not info.context and not FIRST_DAY <= day <= LAST_DAY:
        raise PydanticCustomError("day", f"must be a day from {FIRST_DAY} to {LAST_DAY}")
    return day


_filled = StringConstraints(strip_whitespace=True, min_length=1)
_plain_decimal = PlainSerializer(
    lambda number: None if number is None else format(number, "f"), return_type=str | None
)

Name = Annotated[str, _filled, AfterValidator(_text_of(MAX_NAME_CHARACTERS))]
Text = Annotated[str, _filled, AfterValidator(_text_of(MAX_TEXT_CHARACTERS))]
VppId = Annotated[
    str,
    Field(pattern="^([a-z0-9][a-z0-9-]*)?$"),
    AfterValidator(_text_of(MAX_NAME_CHARACTERS)),
]
Nmi = Annotated[str, AfterValidator(_nmi)]
Day = Annotated[date | None, BeforeValidator(_date)]
Percentage = Annotated[
    Decimal, BeforeValidator(_number), Field(ge=0, le=100, decimal_places=4), _plain_decimal
]
Kwh = Annotated[
    Decimal, BeforeValidator(_number), Field(ge=0, lt=10**9, decimal_places=6), _plain_decimal
]
# No fee and a fee of zero are the same thing; the log says "0". None is only "not given".
fee = (
    BeforeValidator(lambda given: Decimal(0) if given is None else _number(given)),
    Field(ge=0, lt=10**6, decimal_places=4),
    _plain_decimal,
)
Fee = Annotated[Decimal, *fee]
ChargeEvents = Literal["cost", "revenue"]
NegativeBalances = Literal["site", "vpp"]
Region = Literal["NSW1", "QLD1", "VIC1", "SA1", "TAS1"]
Channels = Annotated[str, AfterValidator(_channels)]
Basis = Literal["events", "meter"]

_DAY_FIELD: TypeAdapter[date | None] = TypeAdapter(Day)

_SENTENCES = {
    "missing": "must be given",
    "string_type": "must be text",
    "bool": "must be true or false",
    "datetime": "must be a moment, like 2025-10-02T06:00:00+10:00",
    "float": "must be a number",
    "int": "must be a whole number",
    "list_type": "must be a list",
    "model_type": "must have fields with names",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must be small letters, digits and dashes, like test-vpp-one",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than_equal": "must be {le:g} or less",
    "less_than": "must be less than {lt}",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} entries, not {actual_length}",
    "decimal_max_places": "must have at most {decimal_places} decimals",
    "literal_error": "must be {expected}",
    "extra_forbidden": "is no field of {kind}; leave it out",
}
_OWN = {"missing", "extra_forbidden", "value_error", "text_too_long", "text_unseen"}


def sentence(error: Any) -> str:
    """Say in a sentence what pydantic found wrong with a field of a change."""
    _, *path = error["loc"]
    given = "" if error["type"] in _OWN else f" (given: {shown(error['input'])})"
    return f"{'.'.join(map(str, path))}: {what_is_wrong(error)}{given}"


def what_is_wrong(error: Any) -> str:
    """Say what pydantic found wrong, without the field and the value."""
    context = {**error.get("ctx", {}), "kind": error["loc"][0]}
    family = error["type"].split("_")[0]
    own_words: str = error["msg"].replace("{", "{{").replace("}", "}}")
    said = _SENTENCES.get(error["type"], _SENTENCES.get(family, own_words))
    return said.format(**context).removeprefix("Value error, ")


def visible(text: str) -> str:
    """Return a text with its unseen characters, but ends of lines, written as Python does."""
    return UNSEEN.sub(lambda found: found[0] if found[0] == "\n" else repr(found[0])[1:-1], text)


def shown(value: Any) -> str:
    """Return a value as a message shows it: quoted, and cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def day_of(field: str, value: Any) -> date | None:
    """Return a day given as a date or as YYYY-MM-DD; None where none is given.

    Raises:
        Refused: it is anything else; the message names the field.
    """
    try:
        return None if value == "" else _DAY_FIELD.validate_python(value)
    except ValidationError as error:
        raise Refused(f"{field}{sentence({**error.errors()[0], 'loc': ('', '')})}") from None


def moment_of(field: str, value: datetime | None, timezone: str) -> datetime | None:
    """Return a moment with its offset, which is the market's where it has none.

    Raises:
        Refused: nothing can have been recorded by then, or it is not yet.
    """
    if value is None:
        return None
    moment = value if value.tzinfo else value.replace(tzinfo=ZoneInfo(timezone))
    if not FIRST_DAY.year < moment.year <= LAST_DAY.year or moment > datetime.now(UTC):
        raise Refused(f"{field}: must be a moment from {FIRST_DAY.year + 1} to now")
    return moment
