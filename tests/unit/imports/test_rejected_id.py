"""Names of rejected rows: bound to their content, and to nothing else."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.imports.rejected_id import content_of, is_still_open, rejected_id

ROW = ("6001000001", "03/09/2025", "Discharge", "2", "12.5")


def test_a_name_is_no_number_and_fits_any_spreadsheet() -> None:
    name = rejected_id(content_of(ROW), 12)
    assert re.fullmatch(r"REJ-[A-Z2-7]{16}-12", name)


def test_names_stay_what_they_are() -> None:
    """Lists that people have on their desks, and published corrections, name rows by them."""
    assert content_of(ROW) == "TMDSIKVQCKRRDHNH"
    assert content_of([]) == content_of([None]) == content_of([" "])


def test_blanks_around_fields_do_not_count_and_the_place_of_a_field_does() -> None:
    assert content_of([f" {field}\t" for field in ROW]) == content_of(ROW)
    assert content_of((*ROW[:4], None)) == content_of((*ROW[:4], " "))
    for other in (ROW[::-1], ROW[:4], (*ROW[:3], "2,12.5"), ("", *ROW[:4])):
        assert content_of(other) != content_of(ROW)


@pytest.mark.parametrize(
    ("fields", "is_open"),
    [
        (ROW, True),
        ([f" {field}" for field in ROW], True),
        (["", None, " ", "", ""], True),
        ((*ROW[:4], "12.6"), False),
        ((*ROW[:4], ""), False),
    ],
)
def test_a_row_is_open_as_it_was_or_with_nothing_filled_in(
    fields: list[str | None], is_open: bool
) -> None:
    name = rejected_id(content_of(ROW), 1)
    assert is_still_open(name, fields) == is_open
    assert is_still_open(name.lower(), fields) == is_open


@pytest.mark.parametrize(
    ("field", "listed"),
    [("=1", "'=1"), ("\x16@", "'\x16@"), ("\xa0-a", "'\xa0-a"), ("'=1", "''=1"), ("'a", "'a")],
)
def test_an_apostrophe_of_the_list_does_not_count(field: str, listed: str) -> None:
    name = rejected_id(content_of((*ROW[:4], field)), 1)
    assert is_still_open(name, (*ROW[:4], listed))
    assert is_still_open(name, (*ROW[:4], field))  # a spreadsheet took it away
    assert not is_still_open(name, (*ROW[:4], listed.replace("'", "")[:-1]))


@pytest.mark.parametrize("name", ["", "1", "REJ-1", f"REJ-{content_of(ROW)}", "REJ-A-1"])
def test_under_another_name_it_is_not_open(name: str) -> None:
    assert not is_still_open(name, ROW)


@settings(max_examples=50)
@given(st.lists(st.text(max_size=4), min_size=5, max_size=5), st.integers(1, 10**6))
def test_every_row_is_open_under_its_own_name(fields: list[str], number: int) -> None:
    assert is_still_open(rejected_id(content_of(fields), number), fields)
