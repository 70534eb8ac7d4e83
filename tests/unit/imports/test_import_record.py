"""An import's name, and its rows of the catalog."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from tasks.imports.catalog import EVENTS, KINDS, METER, SCHEMA, Kind
from tasks.imports.event_rows import OPEN
from tasks.imports.import_record import ReadObject, catalog_rows, import_id, sentence_of
from tests.unit.imports.blocks import version

A, B = version("events/a.csv"), version("events/b.csv")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_same_objects_are_the_same_import_whatever_their_order(kind: Kind) -> None:
    name = import_id(kind, [A, B])
    assert len(name) == 16
    assert name == import_id(kind, [B, A])
    others = [
        import_id(kind, [A]),
        import_id(kind, [A, replace(B, etag="new")]),
        import_id(kind, [A, replace(B, key="events/c.csv")]),
        import_id(replace(kind, reader=kind.reader + 1), [A, B]),
    ]
    assert len({name, *others}) == 5


def test_when_it_was_stored_matters_to_meter_data_alone() -> None:
    """It is the version of days that have none of their own."""
    later = replace(A, last_modified=A.last_modified + timedelta(seconds=1))
    assert import_id(EVENTS, [A]) == import_id(EVENTS, [later])
    assert import_id(METER, [A]) != import_id(METER, [later])


def test_names_stay_what_they_are() -> None:
    """What is on S3 under them would be imported again under others."""
    assert import_id(replace(EVENTS, reader=2), [A, B]) == "b2303032d7dfa85e"


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (ValueError("too few\nvalues"), "an unforeseen error, ValueError: too few; please report"),
        (KeyError(), "an unforeseen error, KeyError: KeyError(); please report"),
        (ValueError("x" * 1000), f"an unforeseen error, ValueError: {'x' * 200}; please report"),
    ],
)
def test_an_unforeseen_error_is_a_sentence(problem: Exception, said: str) -> None:
    sentence = sentence_of(problem)
    assert sentence.startswith(said)
    assert sentence.endswith("it with the file, and replace or delete it meanwhile")


def rows(good: list[Any], faults: list[Any], *objects: ReadObject) -> pl.DataFrame:
    """Return the catalog's rows of objects, by good rows of a day and faults."""
    names = ("imported", "corrections", "identified")
    return catalog_rows(
        EVENTS,
        "id",
        list(objects),
        pl.DataFrame(
            good,
            schema={"source": pl.Int32, "day": pl.Date, **dict.fromkeys(names, pl.Int64)},
            orient="row",
        ),
        pl.DataFrame(
            faults,
            schema={"source": pl.Int32, "day": pl.Date, "reason": pl.String},
            orient="row",
        ),
    )


def test_rows_are_counted_by_file_month_and_reason() -> None:
    found = rows(
        [
            (0, date(2025, 9, 30), 5, 2, 1),
            (0, date(2025, 10, 1), 3, 0, 0),
            (0, date(2025, 9, 2), 1, 1, 0),
            (2, date(2025, 9, 3), 7, 0, 7),
        ],
        [
            (0, date(2025, 8, 31), "energy"),
            (0, None, "date"),
            (0, None, "date"),
            (0, date(2024, 1, 1), OPEN),
            (2, date(2025, 9, 9), OPEN),
        ],
        ReadObject(A, 0, "sha", None, "NOTE", 4, "a warning"),
        ReadObject(B, 2, "other", None),
    )
    assert found.schema == pl.Schema(SCHEMA)
    first, second = found.to_dicts()
    assert first == {
        "key": A.key,
        "etag": A.etag,
        "size": 1,
        "sha256": "sha",
        "import_id": "id",
        "source": 0,
        "rows": 12,
        "imported": 9,
        "rejected": [{"reason": "date", "rows": 2}, {"reason": "energy", "rows": 1}],
        "first_day": date(2025, 8, 31),  # a row that is open says nothing of the file
        "last_day": date(2025, 10, 1),
        "failed": None,
        "ignored_columns": "NOTE",
        "corrections": 3,
        "reader": EVENTS.reader,
        "identified": 1,
        "open": 1,
        "months": [{"month": "2025-09", "events": 3}, {"month": "2025-10", "events": 3}],
        "kind": "events",
        "ignored": 4,
        "warnings": "a warning",
    }
    assert (second["rows"], second["open"], second["rejected"]) == (7, 1, [])
    assert (second["first_day"], second["last_day"]) == (date(2025, 9, 3), date(2025, 9, 3))


def test_a_file_without_rows_has_a_row_of_zeros() -> None:
    [failed, empty] = rows(
        [], [], ReadObject(A, 0, "", "broken"), ReadObject(B, 1, "sha", None)
    ).to_dicts()
    assert (failed["failed"], empty["failed"]) == ("broken", None)
    for file in (failed, empty):
        assert (file["rows"], file["imported"], file["corrections"], file["open"]) == (0, 0, 0, 0)
        assert (file["rejected"], file["months"]) == ([], [])
        assert (file["first_day"], file["last_day"]) == (None, None)


def test_nothing_read_is_no_row() -> None:
    assert rows([], []).schema == pl.Schema(SCHEMA)
    assert rows([], []).is_empty()
