"""Run records: what is stored of a run, and that records of every version are read."""

import json

import pytest
from pydantic import ValidationError

from tasks.core.run_record import RunRecord, SettledRunRecord, parse_run_record
from tests.unit.core.run_records import FACTS, RUN


def test_fields_that_were_never_set_are_left_out() -> None:
    assert json.loads(RunRecord(**RUN).to_bytes()) == {
        **RUN,
        "started": "2025-10-01T20:00:00+00:00",  # UTC, to the second
    }
    refused = RunRecord(**RUN).model_copy(update={"outcome": "refused", "reason": None})
    assert "reason" in json.loads(refused.to_bytes())


def test_the_moment_as_of_is_kept_to_the_microsecond() -> None:
    """Which changes of that second were seen must be known, to verify what was published."""
    stored = json.loads(SettledRunRecord(**RUN, **FACTS).to_bytes())
    assert stored["as_of"] == "2025-10-01T20:00:00.123456+00:00"
    read = parse_run_record(SettledRunRecord(**RUN, **FACTS).to_bytes())
    assert isinstance(read, SettledRunRecord)
    assert read.as_of == FACTS["as_of"]


def test_a_record_is_settled_if_it_got_as_far_as_a_settlement() -> None:
    plain = parse_run_record(RunRecord(**RUN).to_bytes())
    assert type(plain) is RunRecord
    record = SettledRunRecord(**RUN, **FACTS)
    settled = parse_run_record(record.to_bytes())
    assert type(settled) is SettledRunRecord
    assert settled.to_bytes() == record.to_bytes()
    assert (settled.rejected, settled.files) == (record.rejected, record.files)


def test_a_settled_record_without_what_came_later_is_read() -> None:
    """As version 0.1 wrote it, before meter data, checks of completeness and EVENT_ID."""
    stored = json.loads(SettledRunRecord(**RUN, **FACTS).to_bytes())
    for name in ("repeats", "shared_rows", "readings", "missing", "rule_version", "meter_files"):
        stored.pop(name, None)
    stored["files"][0]["something"] = "else"
    old = parse_run_record(json.dumps(stored).encode())
    assert isinstance(old, SettledRunRecord)
    assert (old.readings, old.missing, old.rule_version, old.meter_files) == (None, None, None, [])
    assert "something" not in old.files[0]


def test_a_run_record_of_an_earlier_version_is_read() -> None:
    """As version 0.1 wrote it: some fields were not there yet, and one is not there any more."""
    old = {
        "month": "2025-09",
        "run_id": "1",
        "started_by": "a call from Python",
        "started": "2026-11-24T20:00:00+00:00",
        "seconds": 1.0,
        "outcome": "refused",
        "reason": "2025-09 is not settled",
        "something": "else",
    }
    record = parse_run_record(json.dumps(old).encode())
    assert not isinstance(record, SettledRunRecord)
    assert (record.outcome, record.reason, record.reports) == (
        "refused",
        "2025-09 is not settled",
        None,
    )


@pytest.mark.parametrize("data", [b"[]", b"{}", b"", b'{"month": "2025-09"}'])
def test_what_is_no_record_is_not_read(data: bytes) -> None:
    with pytest.raises(ValidationError):
        parse_run_record(data)
