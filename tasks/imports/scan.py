"""Reading blocks: as fields or as whole lines, and where each row of them came from."""

import polars as pl
from polars._typing import PolarsDataType
from polars.exceptions import ComputeError, SchemaError

from tasks.imports.spool import COLUMNS, EVENT_ID, INTERVAL_END, REJECTED_ID, Block


def read_fields(block: Block, lines: bytes) -> tuple[pl.DataFrame, pl.Series | None]:
    """Read a block's lines as fields, all text.

    Returns:
        The columns of `text_columns`; and which rows have more fields than the header has columns,
        blank ones at the end aside, or None where no row has more fields.
    """
    schema: dict[str, PolarsDataType] = dict.fromkeys(text_columns(block.columns), pl.String)
    try:
        return _read(lines, block, schema), None
    except (ComputeError, SchemaError):  # some row has more fields, the first one or another
        return _read(lines, block, schema, is_strict=False), _are_long(block, lines)


def read_lines(block: Block, lines: bytes) -> pl.Series:
    """Read a block's lines whole."""
    # No such byte is in a block, so a field is a whole line.
    return _read(lines, block, {"line": pl.String}, separator="\0", quote_char=None)["line"]


def _read(
    lines: bytes,
    block: Block,
    schema: dict[str, PolarsDataType],
    separator: str = ",",
    quote_char: str | None = '"',
    is_strict: bool = True,
) -> pl.DataFrame:
    return (
        pl.scan_csv(
            lines,
            has_header=False,
            skip_rows=1,
            schema=schema,
            missing_columns="insert",
            separator=separator,
            quote_char=quote_char if block.is_quoted else None,
            truncate_ragged_lines=not is_strict,
            extra_columns="raise" if is_strict else "ignore",
            # A bad byte costs its row, not the file; where there is none, not looking is faster.
            encoding="utf8" if block.is_ascii else "utf8-lossy",
            raise_if_empty=False,
        )
        .collect()
        .rechunk()
    )


def _are_long(block: Block, lines: bytes) -> pl.Series:
    line = read_lines(block, lines).str.replace(r'(?:,(?:[ \t]*|"[ \t]*"))*\r?$', "")
    if block.is_quoted:
        line = line.str.replace_all(r'"(?:[^"]|"")*"', '"')
    return (line.str.count_matches(",", literal=True) >= len(block.columns)).fill_null(False)


def text_columns(columns: tuple[str, ...]) -> list[str]:
    """Name columns in their order: those that are read are `text_<name>`."""
    read = {name: f"text_{name.lower()}" for name in (*COLUMNS, REJECTED_ID, EVENT_ID)}
    read[INTERVAL_END] = read["DATE"]
    return [read.get(name, f"further_{index}") for index, name in enumerate(columns)]


def origins(block: Block) -> pl.DataFrame:
    """Return for each row of a block its source's number and its line there: source, line."""
    first_rows, sources, lines = zip(*block.origins, strict=True)
    part = pl.DataFrame(
        {"first": first_rows, "source": [source.number for source in sources], "line": lines},
        schema={"first": pl.UInt32, "source": pl.Int32, "line": pl.UInt32},
    )
    rows = pl.int_range(block.rows, dtype=pl.UInt32, eager=True)
    if part.height == 1:
        return pl.select(source=pl.lit(part["source"][0], pl.Int32), line=rows + part["line"][0])
    at = part["first"].search_sorted(rows, side="right") - 1
    line = rows - part["first"].gather(at) + part["line"].gather(at)
    return pl.DataFrame({"source": part["source"].gather(at), "line": line})
