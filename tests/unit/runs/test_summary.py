"""What a run says in a line at its end."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.core.month import Month
from tasks.core.request import SettlementRequest, WhatIf
from tasks.core.run_record import (
    DuplicateFile,
    FailedFile,
    FileRejects,
    ImportCounts,
    ReportOutcome,
    SettlementFacts,
)
from tasks.io.object_store import ObjectStore
from tasks.runs import summary
from tasks.runs.run import Run
from tasks.runs.summary import import_in_words, settlement_in_words, unread_in_words
from tests.unit.core.run_records import FACTS

REQUEST = SettlementRequest(datetime(2025, 10, 1, tzinfo=UTC), max_rejected_percent=5)


def outcome(what: Any) -> ReportOutcome:
    return ReportOutcome(
        vpp="one", outcome=what, revision=1, key="k", name="One", sites=1, totals={}, changed=[]
    )


NEW, SAME = outcome("published"), outcome("unchanged")
COUNTS = ImportCounts(
    imported=0, skipped=0, skipped_by_reason={}, files_imported=0, files_failed=[]
)


@pytest.mark.parametrize(
    ("facts", "noted", "words"),
    [
        (
            {"rejected_rows": 0, "unassigned": []},
            {"outcome": "published", "reports": [NEW, SAME, SAME], "digest": "d"},
            "2025-09: published, 3 reports, 1 new, digest d",
        ),
        (
            {},
            {"outcome": "preview", "reports": [outcome("preview"), SAME]},
            "2025-09: preview, 2 reports, 1 would change, 1 row rejected, 1 site with unassigned "
            "events",
        ),
        (
            {"rejected_rows": 2},
            {
                "outcome": "unchanged",
                "reports": [SAME],
                "digest": "d",
                "imported": COUNTS.model_copy(update={"unread": ["events/a.xls"]}),
            },
            "2025-09: unchanged, 1 report, digest d, 2 rows rejected, 1 site with unassigned "
            "events, 1 object not read because of the name: events/a.xls",
        ),
    ],
)
def test_a_settlement_in_words(
    store: ObjectStore, facts: dict[str, Any], noted: dict[str, Any], words: str
) -> None:
    run = Run(store, Month(2025, 9), REQUEST, "id", "a test", {})
    run.note_settlement(SettlementFacts(**{**FACTS, **facts}))
    run.note(**noted)
    assert settlement_in_words(run) == words


def test_a_what_if_says_that_nothing_is_published(store: ObjectStore) -> None:
    run = Run(store, Month(2025, 9), REQUEST.assuming([WhatIf(vpp="one")]), "id", "a test", {})
    run.note_settlement(SettlementFacts(**{**FACTS, "rejected_rows": 0, "unassigned": []}))
    run.note(outcome="preview", reports=[])
    assert settlement_in_words(run) == (
        "2025-09: what if, nothing is published, 0 reports, 0 would change"
    )


FAILED = [FailedFile(key=f"events/{number}.csv", failed="empty") for number in range(12)]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (COUNTS, "0 rows of 0 files imported, 0 rows rejected"),
        (
            COUNTS.model_copy(
                update={
                    "imported": 1200,
                    "files_imported": 1,
                    "skipped_by_reason": {
                        "nmi": 1,
                        "date": 2,
                        "ignored": 3,
                        "already imported": 4,
                    },
                }
            ),
            "1,200 rows of 1 file imported, 3 rows rejected, 3 rows not ours, 4 rows imported "
            "before",
        ),
        (
            COUNTS.model_copy(update={"files_failed": FAILED[:1]}),
            "0 rows of 0 files imported, 0 rows rejected, 1 file could not be read (events/0.csv: "
            "empty)",
        ),
    ],
)
def test_an_import_in_words(counts: ImportCounts, words: str) -> None:
    assert import_in_words(counts) == words


def test_no_more_than_ten_are_named() -> None:
    said = import_in_words(COUNTS.model_copy(update={"files_failed": FAILED}))
    assert said.count("events/") == 10
    assert "12 files could not be read (" in said
    assert unread_in_words([f"{number}.xls" for number in range(12)]).endswith(
        "8.xls, 9.xls, and 2 more"
    )
    assert unread_in_words(["a.xls"]) == "1 object not read because of the name: a.xls"


def test_a_summary_does_not_grow_with_what_others_send(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(summary, "create_markdown_artifact", lambda text, **_: shown.append(text))
    names = [f"events/{number}.csv" for number in range(5_000)]
    many: dict[str, Any] = {
        "duplicates": [DuplicateFile(key=name, same_as=names[0]) for name in names],
        "failed_imports": [FailedFile(key=name, failed="why") for name in names],
        "rejected": [FileRejects(key=name, reasons={"date": 1}) for name in names],
    }
    for facts in ({}, many):
        run = Run(store, Month(2025, 9), REQUEST, "id", "me", {})
        run.note_settlement(SettlementFacts(**{**FACTS, **facts}))
        run.note(outcome="published", reports=[])
        summary.show_settlement(run)
    few, all_of_it = shown
    assert len(all_of_it) - len(few) < 30_000
    assert all_of_it.count("and 4,900 more files") == 3
