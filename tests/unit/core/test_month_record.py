"""The record of a month: its last revisions, its digest, whether it is closed, and its bytes."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from tasks.core.month_record import Closing, LastSettlement, MonthRecord, Revision

AT = datetime(2025, 10, 2, 6, tzinfo=UTC)
CLOSED = Closing(action="close", at=AT, by="Ada", digest="d")
REOPENED = Closing(action="reopen", at=AT, by="Bob", digest="d", reason="a late file")


def record(**revisions: dict[int, str]) -> MonthRecord:
    """Return a record with the digest of each revision, by VPP."""
    return MonthRecord(
        month="2025-09",
        revisions={
            vpp: {n: Revision(digest=digest, run_record=f"runs/{n}") for n, digest in of.items()}
            for vpp, of in revisions.items()
        },
    )


@pytest.mark.parametrize(
    ("closings", "closing"),
    [
        ([], None),
        ([CLOSED], CLOSED),
        ([CLOSED, REOPENED], None),
        ([CLOSED, REOPENED, CLOSED], CLOSED),
    ],
)
def test_the_last_closing_says_whether_it_is_closed(
    closings: list[Closing], closing: Closing | None
) -> None:
    assert record().model_copy(update={"closings": closings}).closing == closing


def test_the_last_revision_is_the_highest_number() -> None:
    """Not the last in the order of letters, in which 10 is before 9."""
    of = record(one={9: "a", 10: "b"})
    assert (of.last_revision("one"), of.last_revision("two")) == (10, 0)
    again = MonthRecord.model_validate_json(of.to_bytes())
    assert again.last_revision("one") == 10


def test_the_digest_says_what_the_current_reports_say_whatever_their_numbers() -> None:
    digest = record(one={1: "a"}, two={1: "b"}).digest
    assert len(digest) == 16
    assert digest == record(two={1: "b"}, one={1: "x", 2: "y", 10: "a"}).digest
    assert digest == record(one={1: "a"}, two={1: "b"}).model_copy(
        update={"closings": [CLOSED]}
    ).digest  # fmt: skip
    for other in (
        record(one={1: "b"}, two={1: "a"}),
        record(one={1: "a"}),
        record(one={1: "a"}, two={1: "b"}, three={1: "c"}),
        record(one={1: "a", 2: "c"}, two={1: "b"}),
    ):
        assert other.digest != digest


def test_what_is_stored_is_read_again_and_has_the_names_of_the_first_version() -> None:
    last = LastSettlement(inputs="i", run_record="runs/1")
    of = record(one={1: "a"}).model_copy(update={"closings": [CLOSED], "last_settlement": last})
    stored = json.loads(of.to_bytes())
    assert list(stored) == [
        *("month", "revisions", "state", "unpublished", "closings", "settled"),
    ]
    assert stored["settled"] == {"inputs": "i", "run_record": "runs/1"}
    assert of.to_bytes().endswith(b"}\n")
    assert MonthRecord.model_validate_json(of.to_bytes()) == of


def test_a_record_with_a_field_that_nobody_knows_is_not_read() -> None:
    """It is written again as a whole, and the field would be lost."""
    with pytest.raises(ValidationError, match="approvals"):
        MonthRecord.model_validate_json(b'{"month": "2025-09", "approvals": []}')
