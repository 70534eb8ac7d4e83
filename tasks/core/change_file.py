"""Files of many registry changes, as people have them.

JSON lines hold any change. A CSV file holds one kind, which its header says: new sites (`nmi, vpp,
address`), what is to change of sites (`nmi`, and of `address` and the meter's fields those that
are given), or batteries (`nmi, manufacturer, serial, capacity_kwh`). The meter's fields are
`region, channels, basis`; each kind may have `effective_from`. Column order and case are free;
further columns are refused, since one that is misspelt would otherwise be lost.
"""

import csv
import io
import re
from collections.abc import Iterator

from tasks.core.changes import Change, parse_change
from tasks.core.errors import Refused

_SHOWN_CHARACTERS = 200
_LONGEST_LINE = 10_000  # characters
_MOST_WRONG = 1_000  # lines, beyond which a file is of another kind
_IS_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{")
_METER_FIELDS = {"region", "channels", "basis"}
# Of each kind of file: the change that a row is, the columns that it must have, and may have.
_CSV_KINDS = (
    ("create-site", {"nmi", "vpp", "address"}, _METER_FIELDS),
    ("update-site", {"nmi"}, {"address", *_METER_FIELDS}),
    ("add-battery", {"nmi", "manufacturer", "serial", "capacity_kwh"}, set[str]()),
)
_EXPECTED = (
    "expected nmi, vpp, address (new sites, with region, channels and basis if wanted), nmi and "
    "some of address, region, channels and basis (changes of sites), or nmi, manufacturer, serial, "
    "capacity_kwh (batteries), each with effective_from if wanted; or a file of JSON lines"
)


def read_changes(data: bytes) -> Iterator[tuple[int, Change | Refused]]:
    """Yield each line's number with its change, or with what is wrong with it.

    Blank lines are passed over.

    Raises:
        Refused: the file is not text, a CSV file with another header than these, or one of which
            very many lines are wrong.
    """
    lines = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
    wrong = 0
    try:
        for number, fields in enumerate(lines, 1) if _IS_JSON.match(data) else _csv_rows(lines):
            if isinstance(fields, str) and not fields.strip():
                continue
            try:
                yield number, _change(fields)
            except Refused as problem:
                wrong += 1
                if wrong > _MOST_WRONG:
                    raise Refused(
                        f"over {_MOST_WRONG:,} of its lines do not fit; the last that was read is "
                        f"line {number}: {problem}"
                    ) from None
                yield number, problem
    except UnicodeDecodeError as error:
        raise Refused(f"the file is not UTF-8 text ({error.reason}); save it as UTF-8") from None


def _change(fields: str | dict[str, str] | Refused) -> Change:
    if isinstance(fields, Refused):
        raise fields
    if isinstance(fields, str):
        _require_short(fields)
    return parse_change(fields)


def _require_short(line: str) -> None:
    if len(line) > _LONGEST_LINE:
        raise Refused(f"has {len(line):,} characters; no change has over {_LONGEST_LINE:,}")


def _csv_rows(lines: io.TextIOWrapper) -> Iterator[tuple[int, dict[str, str] | Refused]]:
    first = lines.readline()
    header = [name.strip().lower() for name in _fields(first)]
    kind = _kind(header)
    if kind is None:
        raise Refused(f"line 1: the header is {_shown_header(header)}; {_EXPECTED}")
    change, must_be_filled = kind
    for number, line in enumerate(lines, 2):
        try:
            row = _fields(line)
        except Refused as problem:
            yield number, problem
            continue
        if not any(row):
            continue
        if len(row) != len(header):
            yield number, Refused(f"has {len(row)} fields, but the header has {len(header)}")
        else:
            cells = zip(header, row, strict=True)
            given = {name: cell for name, cell in cells if cell or name in must_be_filled}
            yield number, {"change": change, **given}


def _kind(header: list[str]) -> tuple[str, set[str]] | None:
    """Return the change that the rows are, and the columns that must be filled."""
    columns = set(header) - {"effective_from"}
    if len(set(header)) < len(header) or columns == {"nmi"}:
        return None
    for change, needed, optional in _CSV_KINDS:
        if needed <= columns <= needed | optional:
            return change, needed
    return None


def _shown_header(header: list[str]) -> str:
    names = ", ".join(header)
    return f"{names[:_SHOWN_CHARACTERS]}..." if len(names) > _SHOWN_CHARACTERS else names or "empty"


def _fields(line: str) -> list[str]:
    """Split a line; each stands for itself, so that an open quote swallows no others."""
    _require_short(line)
    try:
        return [cell.strip() for cell in next(csv.reader([line.rstrip("\r\n")], strict=True), [])]
    except csv.Error as error:
        raise Refused(f"is not CSV: {error}; a quoted field must end on its line") from None
