"""The numbers of the charts: where each bar begins and ends, as templates draw them.

Positions are whole numbers of a thousandth of the chart's width or height. They are for the eye
alone; each chart has a table with the exact numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

FULL = 1000


@dataclass(frozen=True)
class Step:
    """A line of a waterfall: an amount (AUD), and its bar from the left. `kind` is its colour."""

    label: str
    amount: Decimal
    kind: str
    is_sum: bool = False
    is_first: bool = False
    start: int = 0
    width: int = 0


@dataclass(frozen=True)
class Segment:
    """A part of a column, from the top."""

    kind: str
    top: int
    height: int


@dataclass(frozen=True)
class Columns:
    """A chart of columns above and below zero; `highest` and `lowest` are its two ends."""

    columns: list[list[Segment]]
    zero: int
    highest: Decimal
    lowest: Decimal


def waterfall(steps: Sequence[Step]) -> list[Step]:
    """Place the bars: a sum or a first part begins at zero, another where the one before ended."""
    ends: list[tuple[Decimal, Decimal]] = []
    level = Decimal(0)
    for step in steps:
        start = Decimal(0) if step.is_sum or step.is_first else level
        level = start + step.amount
        ends.append((min(start, level), max(start, level)))
    lowest = min([low for low, _ in ends] + [Decimal(0)])
    span = max([high for _, high in ends] + [Decimal(0)]) - lowest
    return [
        replace(step, start=_scaled(low - lowest, span), width=_scaled(high - low, span))
        for step, (low, high) in zip(steps, ends, strict=True)
    ]


def columns(of: Sequence[Sequence[tuple[str, Decimal]]]) -> Columns:
    """Stack the amounts of each column: those above zero upwards, those below it downwards.

    Args:
        of: the columns, each with its amounts by kind.
    """
    highest = max([_sum(of_one, 1) for of_one in of] + [Decimal(0)])
    lowest = min([_sum(of_one, -1) for of_one in of] + [Decimal(0)])
    span = highest - lowest
    zero = _scaled(highest, span)
    placed = []
    for of_one in of:
        segments, above, below = [], zero, zero
        for kind, amount in of_one:
            height = _scaled(abs(amount), span)
            if not height:
                continue
            if amount > 0:
                above -= height
            segments.append(Segment(kind, above if amount > 0 else below, height))
            if amount < 0:
                below += height
        placed.append(segments)
    return Columns(placed, zero, highest, lowest)


def _sum(amounts: Sequence[tuple[str, Decimal]], sign: int) -> Decimal:
    return sum((amount for _, amount in amounts if amount * sign > 0), Decimal(0))


def _scaled(value: Decimal, span: Decimal) -> int:
    return round(value * FULL / span) if span else 0
