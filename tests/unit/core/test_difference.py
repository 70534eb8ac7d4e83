"""What changed between two revisions, and why."""

from datetime import date
from typing import Any

import pytest

from tasks.core.difference import (
    Basis,
    Cause,
    Difference,
    MeterChange,
    PriceChange,
    Values,
    compare,
)
from tasks.core.report import Report
from tests.unit.core.reports import NMI, OTHER, report, resting_on, site

BASIS = Basis(registry_seq=3, rule_version=1)


def changed(
    before: Report,
    after: Report,
    old: Basis = BASIS,
    new: Basis = BASIS,
    log: list[dict[str, Any]] | None = None,
) -> Difference:
    first, last = sorted((old.registry_seq, new.registry_seq))
    sites = {"s": NMI, "t": "6009999999"}  # where these batteries are
    between = [
        (change, change.get("nmi") or sites.get(change.get("serial", ""), ""))
        for change in (log or [])[first:last]
    ]
    return compare(before, after.revised(before.settlement.revision + 1), old, new, between)


def file(key: str, etag: str = "1", rows: int = 2) -> dict[str, Any]:
    return {"key": f"events/{key}", "etag": etag, "rows": rows}


def test_only_what_changed_is_there_with_both_values() -> None:
    energy = {"actual": 1.0, "substituted": 0.0, "final": 0.0, "estimated": 0.0}
    before = report(site(energy_by_quality_kwh=energy), site(OTHER), revision=4)
    later = energy | {"actual": 2.5}
    after = report(site(after_fees="2.40", energy_by_quality_kwh=later), site(OTHER), total="2.75")
    found = changed(before, after)
    assert (found.previous_revision, found.revision) == (4, 5)
    assert (found.vpp, found.vpp_id, found.month) == ("One", "one", "2025-09")
    assert found.totals == {"total_revenue": Values(before=1.75, after=2.75)}
    money = Values(before=1.4, after=2.4)
    assert found.sites == {
        NMI: {
            "site_revenue_before_fees": money,
            "site_revenue_after_fees": money,
            "energy_by_quality_kwh.actual": Values(before=1.0, after=2.5),
        }
    }
    assert found.sites_after_fees == {NMI: money}
    assert found.causes == []


def test_a_site_that_came_or_left_has_null_on_the_other_side() -> None:
    found = changed(report(site()), report(site(OTHER, after_fees="-2.00")))
    left, came = found.sites[NMI], found.sites[OTHER]
    assert {values.after for values in left.values()} == {None}
    assert {values.before for values in came.values()} == {None}
    assert found.sites_after_fees == {
        NMI: Values(before=1.4, after=None),
        OTHER: Values(before=None, after=-2.0),
    }


@pytest.mark.parametrize("kind", ["inputs", "meter_inputs", "price_inputs"])
def test_files_that_came_went_or_were_replaced_are_causes(kind: str) -> None:
    before = resting_on(kind, file("a"), file("b"), file("d", rows=7))
    after = resting_on(kind, file("c", rows=1), file("b", "2", rows=5), file("a"))
    causes = changed(before, after).causes
    assert [str(cause) for cause in causes] == [
        "file replaced: events/b (rows 2 -> 5)",
        "file added: events/c (rows 0 -> 1)",
        "file removed: events/d (rows 7 -> 0)",
    ]
    assert [cause.etag for cause in causes] == [
        Values(before="1", after="2"),
        Values(before=None, after="1"),
        Values(before="1", after=None),
    ]


def test_fewer_rejected_rows_were_corrected_and_more_have_a_file_as_their_cause() -> None:
    few, many = report(rejected_rows=1), report(rejected_rows=3)
    assert [str(cause) for cause in changed(many, few).causes] == [
        "rows corrected: rejected rows 3 -> 1"
    ]
    assert changed(few, many).causes == []


def change(seq: int, kind: str, since: str | None = "2025-09-10", **fields: Any) -> dict[str, Any]:
    return {"seq": seq, "change": kind, **fields, "effective_from": since}


BATTERY = change(1, "add-battery", None, nmi=NMI, serial="s")
STRANGE = change(2, "add-battery", None, nmi="6009999999", serial="t")


@pytest.mark.parametrize(
    ("of", "is_cause"),
    [
        (change(4, "update-vpp", vpp="one"), True),
        (change(4, "update-vpp", vpp="two"), False),
        (change(4, "update-vpp", None, vpp="one"), True),
        (change(4, "update-vpp", "2025-09-30", vpp="one"), True),
        (change(4, "update-vpp", "2025-10-01", vpp="one"), False),
        (change(4, "update-site", nmi=NMI), True),
        (change(4, "update-site", nmi=OTHER), False),
        (change(4, "assign-site", nmi=OTHER, vpp="one"), True),
        (change(4, "remove-battery", serial="s"), True),
        (change(4, "remove-battery", serial="t"), False),
    ],
)
def test_a_change_of_the_registry_is_a_cause_if_it_bears_on_the_report(
    of: dict[str, Any], is_cause: bool
) -> None:
    log = [BATTERY, STRANGE, change(3, "update-vpp", vpp="one"), of]
    later = Basis(registry_seq=4, rule_version=1)
    seen = changed(report(), report(), BASIS, later, log).causes
    assert [(cause.cause, cause.seq) for cause in seen] == [("registry change", 4)] * is_cause
    unseen = changed(report(), report(), later, BASIS, log).causes
    assert [cause.cause for cause in unseen] == ["registry change not seen"] * is_cause


def test_the_sites_of_both_revisions_count() -> None:
    log = [change(1, "update-site", nmi=NMI), change(2, "update-site", nmi=OTHER)]
    found = changed(report(site()), report(site(OTHER)), Basis(0, 1), Basis(2, 1), log)
    assert [cause.seq for cause in found.causes] == [1, 2]


def test_another_version_of_the_rule_is_a_cause() -> None:
    [cause] = changed(report(), report(), Basis(3, None), Basis(3, 2)).causes
    assert str(cause) == "rule version none -> 2"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (Values(before=1.75, after=2.75), "1.75 -> 2.75 (+1.00)"),
        (Values(before=0.1, after=0.3), "0.10 -> 0.30 (+0.20)"),
        (Values(before=1234.5, after=-1234.56), "1,234.50 -> -1,234.56 (-2,469.06)"),
        (Values(before=None, after=1.0), "none -> 1.00"),
        (Values(before=2, after=3), "2 -> 3"),
        (Values(before="A", after=None), "A -> none"),
    ],
)
def test_values_in_words(values: Values, words: str) -> None:
    assert str(values) == words


METER = MeterChange(
    nmis=[f"60010000{n}" for n in range(10, 22)],
    days="2026-03-01 to 2026-03-05",
    version=Values(before="2026-03-02 12:00:00", after="2026-04-02 12:00:00"),
    quality=Values(before="S14", after="A"),
)
PRICE = PriceChange(
    region="SA1",
    day=date(2026, 3, 1),
    intervals="1-3, 288",
    first_aud_per_mwh=Values(before=100.0, after=90.5),
)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (
            Cause(cause="meter data replaced", meter=METER),
            "meter data replaced: 6001000010, 6001000011, 6001000012, 6001000013, 6001000014, "
            "6001000015, 6001000016, 6001000017, 6001000018, 6001000019 and 2 more, 2026-03-01 to "
            "2026-03-05 (version 2026-03-02 12:00:00 -> 2026-04-02 12:00:00, S14 -> A)",
        ),
        (
            Cause(cause="price changed", price=PRICE),
            "price changed: SA1 on 2026-03-01, intervals 1-3, 288 (the first: 100.00 -> 90.50 "
            "(-9.50) AUD/MWh)",
        ),
        (
            Cause(
                cause="registry change",
                seq=4,
                change=change(4, "assign-site", nmi=NMI, vpp=None, recorded_by="x", recorded_at=""),
            ),
            f"registry change 4: assign-site (nmi {NMI}, vpp none, effective_from 2025-09-10)",
        ),
    ],
)
def test_a_cause_in_words(cause: Cause, words: str) -> None:
    assert str(cause) == words


def test_what_is_published_is_read_again() -> None:
    found = changed(report(site()), report(site(OTHER), rejected_rows=0, inputs=[]))
    assert found.to_bytes().endswith(b"}\n")
    assert Difference.model_validate_json(found.to_bytes()) == found
