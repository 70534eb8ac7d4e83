"""Dividing money: nothing is lost, nobody is favoured, and fractions.Fraction says the same."""

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.money import Pool, Share, allot_cents, exact_amounts

CENT = 10**20

# Amounts in tenths of a cent, the cents to hand out, and what each gets.
ALLOTTED = [
    ("whole cents stay", [10, 20, 0], 3, [1, 2, 0]),
    ("the largest fraction gets the missing cent", [13, 16, 11], 4, [1, 2, 1]),
    ("then the second largest", [13, 16, 11, 0], 4, [1, 2, 1, 0]),
    ("several are missing", [16, 15, 19], 5, [2, 1, 2]),
    ("ties: who stands first", [15, 15], 3, [2, 1]),
    ("ties among three", [3, 4, 3], 1, [0, 1, 0]),
    ("ties of zero, all of them", [0, 0, 0], 1, [1, 0, 0]),
    ("the floor of a negative amount is below it", [-15, 15], 0, [-1, 1]),
    ("its fraction counts from there", [-13, 16, 7], 1, [-1, 1, 1]),
    ("all negative", [-1, -1, -1], -1, [0, 0, -1]),
    ("a cent too many: the smallest fraction gives it", [12, 11, 13], 2, [1, 0, 1]),
    ("ties: who stands last", [10, 12, 10], 2, [1, 1, 0]),
    ("ties of zero, a cent too many", [0, 0], -1, [0, -1]),
    ("one site", [15], 2, [2]),
    ("one site, a cent too many", [14], 0, [0]),
    ("nobody, nothing", [], 0, []),
]


@pytest.mark.parametrize(
    ("tenths", "total", "expected"),
    [case[1:] for case in ALLOTTED],
    ids=[case[0] for case in ALLOTTED],
)
def test_allot_cents(tenths: list[int], total: int, expected: list[int]) -> None:
    assert allot_cents(tenths, 10, total) == expected
    # Another denominator of the same amounts changes nothing.
    assert allot_cents([7**30 * number for number in tenths], 10 * 7**30, total) == expected


@pytest.mark.parametrize("total", [-2, 3, 100])
def test_cents_that_nobody_can_have_earned_are_not_handed_out(total: int) -> None:
    with pytest.raises(AssertionError, match="cents to hand out to 2 sites"):
        allot_cents([0, 0], 10, total)


def test_cents_without_a_site_are_not_lost_in_silence() -> None:
    with pytest.raises(AssertionError, match="1 cents to hand out to 0 sites"):
        allot_cents([], 10, 1)


numerators = st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=8)
denominators = st.sampled_from([1, 2, 3, 7, 10, 97, 1000, 10**19])


@given(numerators, denominators, st.integers(-1, 1))
def test_what_is_allotted_adds_up_and_is_close(
    amounts: list[int], denominator: int, nudge: int
) -> None:
    """The sum is the total, and all but one are less than a cent away from the exact amount."""
    exact = [Fraction(amount, denominator) for amount in amounts]
    floors = sum(map(floor, exact))
    total = min(max(round(sum(exact)) + nudge, floors - 1), floors + len(exact))
    cents = allot_cents(amounts, denominator, total)
    assert sum(cents) == total
    too_low = [cent for cent, amount in zip(cents, exact, strict=True) if cent < floor(amount)]
    assert len(too_low) == max(floors - total, 0)
    assert all(cent - amount <= 1 for cent, amount in zip(cents, exact, strict=True))

    # Who gets a cent more has at least the fraction of who does not; among equals stands first.
    fraction = [amount - floor(amount) for amount in exact]
    extra = [cent - floor(amount) for cent, amount in zip(cents, exact, strict=True)]
    order = sorted(range(len(exact)), key=lambda i: (-fraction[i], i))
    given_in_order = [extra[i] for i in order]
    assert given_in_order == sorted(given_in_order, reverse=True)
    assert set(extra) <= ({-1, 0} if total < floors else {0, 1})


@given(
    st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=8, unique_by=lambda n: n % 1000),
    st.data(),
)
def test_without_ties_the_order_of_the_sites_decides_nothing(
    amounts: list[int], data: st.DataObject
) -> None:
    total = floor(Fraction(sum(amounts), 1000) + Fraction(1, 2))
    shuffled = data.draw(st.permutations(amounts))
    cents = dict(zip(amounts, allot_cents(amounts, 1000, total), strict=True))
    assert dict(zip(shuffled, allot_cents(shuffled, 1000, total), strict=True)) == cents


def test_a_pool_is_split_by_capacity_on_its_day() -> None:
    """Three sites: one all month, one until the 10th, one that grows on the 11th."""
    first_ten, rest = (1 << 10) - 1, (1 << 31) - (1 << 10)
    shares = [
        [Share(5, first_ten | rest)],
        [Share(10, first_ten)],
        [Share(5, first_ten), Share(15, rest)],
    ]
    pools = [Pool(1, 100, 20), Pool(10, 40, 20), Pool(11, -30, 20), Pool(31, 8, 20)]
    amounts, denominator = exact_amounts([7, 0, -7], shares, pools)
    assert [Fraction(amount, denominator // CENT) for amount in amounts] == [
        7 + 25 + 10 + Fraction(-30 + 8, 4),
        0 + 50 + 20,
        -7 + 25 + 10 + Fraction(3 * (-30 + 8), 4),
    ]


def test_days_without_a_pool_need_no_capacity() -> None:
    assert exact_amounts([3, -3], [[], []], [Pool(1, 0, 0)]) == ([3, -3], CENT)
    assert exact_amounts([], [], []) == ([], CENT)


capacity = st.integers(0, 10**15)
money = st.integers(-(10**37), 10**37)


@given(
    st.lists(st.tuples(money, st.lists(capacity, min_size=31, max_size=31)), max_size=5),
    st.lists(money, min_size=31, max_size=31),
)
def test_exact_amounts_are_the_fractions_of_the_rule(
    sites: list[tuple[int, list[int]]], pool_of_day: list[int]
) -> None:
    """Any capacities on any days, added up the obvious way."""
    totals = [sum(days[day] for _, days in sites) for day in range(31)]
    pools = [Pool(day + 1, pool_of_day[day], totals[day]) for day in range(31) if totals[day] > 0]
    shares = [
        [
            Share(size, sum(1 << day for day in range(31) if days[day] == size))
            for size in sorted(set(days) - {0})
        ]
        for _, days in sites
    ]
    own = [amount for amount, _ in sites]
    numerators, denominator = exact_amounts(own, shares, pools)
    assert [Fraction(numerator * CENT, denominator) for numerator in numerators] == [
        amount
        + sum(
            Fraction(pool_of_day[day] * days[day], totals[day]) for day in range(31) if totals[day]
        )
        for amount, days in sites
    ]
    assert sum(numerators) * CENT == denominator * (sum(own) + sum(pool.units for pool in pools))
