"""Files of many registry changes, as people have them.

JSON lines hold any change. A CSV file holds one kind, told by its header: sites (`nmi, vpp,
address`) or batteries (`nmi, manufacturer, serial, capacity_kwh`), each with an optional
`effective_from`. Column order and case are free; further columns are refused, since one that is
misspelt would otherwise be lost.
"""

import csv
import io
from collections.abc import Iterator

from tasks.core.errors import Refused
from tasks.core.registry import Change, parse_change

_CSV_KINDS = {
    frozenset({"nmi", "vpp", "address"}): "create-site",
    frozenset({"nmi", "manufacturer", "serial", "capacity_kwh"}): "add-battery",
}


def read_changes(data: bytes) -> Iterator[tuple[int, Change | Refused]]:
    """Yield each line's number with its change, or with what is wrong with it.

    Blank lines are passed over.

    Raises:
        Refused: the file is not text, or a CSV file with another header than the two.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(f"the file is not UTF-8 text ({error.reason}); save it as UTF-8") from None
    lines = io.StringIO(text, newline="")
    is_json = text.lstrip().startswith("{")
    for number, fields in enumerate(lines, 1) if is_json else _csv_rows(lines):
        if isinstance(fields, str) and not fields.strip():
            continue
        try:
            yield number, fields if isinstance(fields, Refused) else parse_change(fields)
        except Refused as problem:
            yield number, problem


def _csv_rows(lines: io.StringIO) -> Iterator[tuple[int, dict[str, str] | Refused]]:
    header = [name.strip().lower() for name in _fields(lines.readline())]
    kind = _CSV_KINDS.get(frozenset(header) - {"effective_from"})
    if kind is None or len(set(header)) != len(header):
        raise Refused(
            f"line 1: the header is {', '.join(header) or 'empty'}; expected nmi, vpp, address "
            "(sites) or nmi, manufacturer, serial, capacity_kwh (batteries), each with "
            "effective_from if wanted, or a file of JSON lines"
        )
    for number, line in enumerate(lines, 2):
        try:
            row = _fields(line)
        except Refused as problem:
            yield number, problem
            continue
        if not any(row):
            continue
        if len(row) != len(header):
            yield number, Refused(f"has {len(row)} fields; the header has {len(header)}")
        else:
            cells = zip(header, row, strict=True)
            given = {name: cell for name, cell in cells if cell or name != "effective_from"}
            yield number, {"change": kind, **given}


def _fields(line: str) -> list[str]:
    """Split a line; each stands for itself, so that an open quote swallows no others."""
    try:
        return [cell.strip() for cell in next(csv.reader([line.rstrip("\r\n")], strict=True), [])]
    except csv.Error as error:
        raise Refused(f"is no CSV: {error}; a quoted field must end on its line") from None
