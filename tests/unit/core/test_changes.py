"""Changes as they are read and written, one by one."""

import json
from datetime import date

import pytest

from tasks.core.changes import parse_change, recorded_change, slug
from tasks.core.errors import Refused
from tests.unit.core.registries import vpp


def test_slugs() -> None:
    assert [slug(name) for name in ("Test VPP One", " Größe -- 2 ", "A/B", "!?")] == [
        "test-vpp-one",
        "gr-e-2",
        "a-b",
        "",
    ]


def test_what_is_in_the_log_is_read_whatever_the_limits_are_by_now() -> None:
    line = json.dumps({**vpp("A\n" + "B" * 300, vpp="a" * 300), "effective_from": "1850-01-01"})
    change = recorded_change(line)
    assert change.effective_from == date(1850, 1, 1)
    with pytest.raises(Refused):
        parse_change(line)


def test_a_line_of_the_log_that_is_no_change_is_named() -> None:
    with pytest.raises(Refused, match=r"^the registry's log has a line that is no change: "):
        recorded_change(b'{"change": "create-vpp"}')


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"change": "create-vpp"', "is not JSON: Expecting ',' delimiter (character 24)"),
        ("[1]", "is not a JSON object with the fields of a change, in braces"),
        ('{"a":' * 100_000, "is not JSON of a change, but something much larger"),
        ('{"a": ' + "9" * 5000 + "}", "is not JSON of a change, but something much larger"),
        ('{"change": "create-vpp", "name": "A", "revenue_percentage": 33.33333333333333333}',
         "revenue_percentage: must have at most 4 decimals"),
    ],
)  # fmt: skip
def test_a_line_of_json_is_read_as_it_is_written(line: str, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_change(line)
    assert str(refused.value).startswith(sentence)
