"""Rejected rows are listed as they were and, uncorrected, still open, whatever a file holds."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core import keys
from tasks.core.month import Month
from tasks.imports.catalog import read_catalog
from tests.laws.test_settlement import whole_path
from tests.through_s3 import HEADER, Place

pytestmark = pytest.mark.usefixtures("s3_endpoint")

MONTH = Month(2025, 9)
GOOD = ["6001000001", "2025-09-01", "Discharge", "1", "2"]
# All that a field may hold without making its line two, or the file no text or badly quoted.
fields = st.text(
    st.characters(codec="utf-8", exclude_characters='\0\n\r\v\f\x85\u2028\u2029"'), max_size=8
) | st.sampled_from([*GOOD, "", " ", '"', 'a"b,c', "\ufeff", "=1+1", "\x16@", "'=1", "''-a"])


def quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if '"' in field or "," in field else field


rows = (
    st.lists(fields, max_size=7)
    | st.integers(0, 4).flatmap(
        lambda place: fields.map(lambda field: [*GOOD[:place], field, *GOOD[place + 1 :]])
    )
).map(lambda row: ",".join(map(quoted, row)))


@settings(whole_path, max_examples=30)
@given(lines=st.lists(rows, min_size=1, max_size=20))
def test_each_rejected_row_is_listed_as_it_was_and_uncorrected_still_open(
    lines: list[str],
) -> None:
    place = Place()
    place.store.write("events/a.csv", (HEADER + "".join(f"{line}\n" for line in lines)).encode())
    inputs = place.inputs("2025-09")
    [file] = read_catalog(place.store)[0].to_dicts()
    assert file["failed"] is None
    wanted = file["rows"] - file["imported"]
    assert inputs.facts.rejected_rows == (wanted if file["rows"] else 0)
    found = place.store.read(keys.rejected_rows(MONTH))
    assert (found is None) == (wanted == 0)
    if found is None:
        return
    listed = list(csv.DictReader(io.StringIO(found[0].decode(), newline="")))
    assert len(listed) == wanted
    assert len({row["REJECTED_ID"] for row in listed}) == wanted
    for row in listed:
        line = lines[int(row["LINE"]) - 2]
        assert row["ROW"] in (line, f"'{line}")  # before what a spreadsheet would run
        assert not row["ROW"].lstrip().startswith(("=", "@"))

    place.store.write("events/b.csv", found[0])
    again = place.inputs("2025-09")
    [_, uncorrected] = read_catalog(place.store)[0].to_dicts()
    assert (uncorrected["failed"], uncorrected["rows"], uncorrected["open"]) == (None, 0, wanted)
    assert again.rejected.equals(inputs.rejected)
    assert again.digest == inputs.digest
