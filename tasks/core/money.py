"""Dividing money: the one place where cents that do not divide evenly are handed out.

Everything before this is products and sums of decimals. The pool's split is a true fraction, with
another denominator each day that capacity changes, so the sums here are Python's whole numbers
over one common denominator: exact, however many digits that takes (DuckDB's integers end at 128
bits, its decimals at 38 digits, and thirty days of different capacities need more).
"""

from collections.abc import Sequence
from decimal import Decimal
from math import lcm
from typing import NamedTuple

_SCALE = 20  # decimals of an exact amount


def aud(cents: int) -> Decimal:
    """Return whole cents as dollars."""
    return Decimal(cents).scaleb(-2)


class Pool(NamedTuple):
    """What a VPP's sites split by capacity on one day of the month (1 to 31)."""

    day: int
    units: int
    capacity: int  # of all members, in any unit that the sites' capacities are in too


class Share(NamedTuple):
    """A site's claim to the pools of some days: bit d - 1 of `days` stands for day d."""

    capacity: int
    days: int


def exact_amounts(
    own_units: Sequence[int], shares: Sequence[Sequence[Share]], pools: Sequence[Pool]
) -> tuple[list[int], int]:
    """Return each site's exact amount for the month: numerators, and their denominator.

    Step 5 of the rule: a site gets its own part, and of each day's pool capacity / total capacity.
    """
    pools = [pool for pool in pools if pool.units]
    common = lcm(*(pool.capacity for pool in pools))
    rates = {pool.day: pool.units * (common // pool.capacity) for pool in pools}
    rate_of_days: dict[int, int] = {}

    def rate(days: int) -> int:
        if days not in rate_of_days:
            rate_of_days[days] = sum(rate for day, rate in rates.items() if days >> (day - 1) & 1)
        return rate_of_days[days]

    numerators = [
        own * common + sum(share.capacity * rate(share.days) for share in site)
        for own, site in zip(own_units, shares, strict=True)
    ]
    return numerators, common * 10**_SCALE


def allot_cents(numerators: Sequence[int], denominator: int, total_cents: int) -> list[int]:
    """Round amounts to cents that add up to exactly `total_cents`, by largest remainder.

    Step 8 of the rule: everyone gets the floor; the cents still missing go one each to the largest
    fractions (ties: the first in NMI order). A cent too many is taken from the smallest fraction
    (ties: the last).

    Args:
        numerators: the exact amounts in cents times `denominator`, in NMI order.
        denominator: positive.
        total_cents: within a cent of the sum of the amounts.
    """
    floors = [numerator // denominator for numerator in numerators]
    missing = total_cents - sum(floors)
    assert -1 <= missing <= len(floors), f"{missing} cents to hand out to {len(floors)} sites"
    fractions = [numerator % denominator for numerator in numerators]
    if missing > 0:
        places = sorted(range(len(floors)), key=lambda i: (-fractions[i], i))[:missing]
    else:
        places = sorted(range(len(floors)), key=lambda i: (fractions[i], -i))[:-missing]
    for place in places:
        floors[place] += 1 if missing > 0 else -1
    return floors
