"""Names of uploaded objects: one way to write them, and none that leads out of the folder."""

import pytest

from tasks.core.errors import Refused
from tasks.core.inbox import inbox_key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a.csv", "in/a.csv"),
        ("in/a.csv", "in/a.csv"),
        (" 2025-09/week-1.csv.gz ", "in/2025-09/week-1.csv.gz"),
        ("in/2025-09/week-1.csv.gz", "in/2025-09/week-1.csv.gz"),
        ("inner/a b_1.csv", "in/inner/a b_1.csv"),
        ("a..b.csv", "in/a..b.csv"),
    ],
)
def test_a_name_is_taken_with_or_without_its_folder(name: str, key: str) -> None:
    assert inbox_key("in/", name) == inbox_key("in/", key) == key


@pytest.mark.parametrize(
    "name",
    [
        *(
            "..",
            "../a",
            "a/..",
            "a/../b",
            "./a",
            "a//b",
            "/a",
            "a/",
            "in/in//a",
            "in/../a",
            "in//a",
        ),
        *("a\\b", "a\nb", "a?b", "a#b", "%2e%2e/a", "a'b", "ä.csv", "a\u202eb", ".hidden"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(Refused, match=r"^name: .* is no name in in/; write it as letters, digits"):
        inbox_key("in/", name)


@pytest.mark.parametrize("name", ["", "  ", "in/"])
def test_no_name_is_refused(name: str) -> None:
    with pytest.raises(Refused, match=r"^key: must not be empty"):
        inbox_key("in/", name, "key")
