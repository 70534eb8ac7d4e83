"""A month's story: previewed, settled, closed, late data, reopened, and why a revision differs."""

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest

from flows.closing import close_month, reopen_month
from flows.settle import settle_month
from flows.watch import watch_months
from tasks.core.errors import LostRace, Refused
from tasks.core.month import Month
from tasks.evidence.verification import verify
from tasks.publication.closing import close, reopen
from tasks.publication.published import PublishedMonth, is_current, read_published
from tasks.publication.run_records import read_run_records
from tests.flows.failing_s3 import FailingS3
from tests.flows.sample import json_at, keys, lay_out, refusal, run
from tests.through_s3 import Place

SEPTEMBER = Month.parse("2025-09")
VPP, NMI = "test-vpp-one", "9876543210"
R1, R2 = (f"reports/2025-09/{VPP}/r{n}.json" for n in (1, 2))
DIFF = f"reports/2025-09/{VPP}/r2.diff.json"
LATE = [f"{NMI},2025-09-03,Discharge,1,100"]

pytestmark = pytest.mark.usefixtures("prefect_api")


def but_records(place: Place) -> dict[str, str]:
    return {key: etag for key, etag in place.objects().items() if not key.startswith("runs/")}


def digest_of(place: Place) -> str:
    return read_published(place.store, SEPTEMBER).record.digest


def causes(diff: dict[str, Any]) -> list[str]:
    return [cause["cause"] for cause in diff["causes"]]


def test_a_preview_writes_nothing_but_its_run_record(place: Place) -> None:
    lay_out(place)
    before = but_records(place)
    first = run(settle_month, "2025-09", preview=True)
    assert but_records(place) == before
    assert first["outcome"] == "preview"
    [report] = first["reports"]
    assert (report["outcome"], report["revision"], report["changed"]) == ("preview", 1, ["first"])
    settled = run(settle_month, "2025-09")
    assert settled["digest"] == first["digest"]

    place.put("late.csv", LATE)
    before = but_records(place)
    second = run(settle_month, "2025-09", preview=True)
    assert but_records(place) == before
    assert second["digest"] != first["digest"]
    assert "total_revenue 1.75 -> 2.75 (+1.00)" in second["reports"][0]["changed"]
    assert run(settle_month, "2025-09")["digest"] == second["digest"]
    outcomes = [record.outcome for _, record in read_run_records(place.store, "2025-09")]
    assert sorted(outcomes) == ["preview", "preview", "published", "published"]


def test_what_if_the_terms_were_others(place: Place) -> None:
    lay_out(place)
    run(settle_month, "2025-09")
    before = but_records(place)
    supposed = {"vpp": "Test VPP One", "revenue_percentage": "40", "daily_fee_aud": "0"}
    result = run(settle_month, "2025-09", what_if=[supposed])
    assert but_records(place) == before
    assert result["digest"] is None  # nothing that could be approved
    [report] = result["reports"]
    assert report["totals"]["vpp_ad_valorem_fee"] == 0.70
    assert report["totals"]["site_total_revenue_after_fees"] == 1.05
    assert "vpp_ad_valorem_fee 0.35 -> 0.70 (+0.35)" in report["changed"]

    for wrong, message in (
        ([{"vpp": "nobody"}], "there is no VPP 'nobody'"),
        ([supposed, supposed], "what_if: a VPP is named twice"),
    ):
        assert message in refusal(settle_month, "2025-09", what_if=wrong)


def test_what_if_a_site_kept_all_of_its_own(place: Place) -> None:
    """Two sites, one of them with all the battery: without a pool, what the other earns is its."""
    lay_out(place)
    other = "6001000001"
    place.record([{"change": "create-site", "nmi": other, "vpp": VPP, "address": "2 King St"}])
    place.put("other.csv", [f"{other},2025-09-01,Discharge,10,100"])
    run(settle_month, "2025-09")
    result = run(settle_month, "2025-09", what_if=[{"vpp": VPP, "own_percentage": "100"}])
    sites = json_at(place, result["run_record"])["differences"][VPP]["sites"]
    assert sites[NMI]["site_revenue_before_fees"] == {"before": 3.0, "after": 1.4}
    assert sites[other]["site_revenue_before_fees"] == {"before": 6.4, "after": 8.0}
    as_it_is = run(settle_month, "2025-09", what_if=[{"vpp": VPP, "own_percentage": "80"}])
    assert [report["outcome"] for report in as_it_is["reports"]] == ["unchanged"]


def test_a_revision_says_what_changed_and_why(place: Place) -> None:
    lay_out(place)
    run(settle_month, "2025-09")
    assert keys(place, "reports/") == [f"reports/2025-09/{VPP}.json", R1]

    place.put("late.csv", LATE)
    terms = {"change": "update-vpp", "vpp": VPP, "revenue_percentage": "30"}
    place.record([{**terms, "effective_from": "2025-09-01"}])
    place.record([{**terms, "effective_from": "2025-12-01"}])  # not of this month
    run(settle_month, "2025-09")
    diff = json_at(place, DIFF)
    assert (diff["previous_revision"], diff["revision"]) == (1, 2)
    assert diff["totals"]["total_revenue"] == {"before": 1.75, "after": 2.75}
    assert diff["sites"][NMI]["events"] == {"before": 2, "after": 3}
    assert causes(diff) == ["file added", "registry change"]
    assert diff["causes"][0]["key"] == "events/late.csv"
    assert diff["causes"][1]["seq"] == 4
    assert diff["causes"][1]["change"]["revenue_percentage"] == "30"

    place.put("late.csv", [f"{NMI},2025-09-03,Discharge,2,100"])
    run(settle_month, "2025-09")
    place.store.delete("events/late.csv")
    run(settle_month, "2025-09")
    for revision, cause in ((3, "file replaced"), (4, "file removed")):
        diff = json_at(place, f"reports/2025-09/{VPP}/r{revision}.diff.json")
        assert causes(diff) == [cause]
        assert diff["previous_revision"] == revision - 1
    for revision in (1, 2, 3, 4):
        assert verify(place.store, SEPTEMBER, VPP, revision).is_same


def test_an_earlier_as_of_says_which_changes_it_does_not_see(place: Place) -> None:
    lay_out(place)
    then = datetime.now(UTC)
    place.record([{"change": "update-vpp", "vpp": VPP, "name": "New", "effective_from": None}])
    run(settle_month, "2025-09")
    run(settle_month, "2025-09", as_of=then)
    diff = json_at(place, DIFF)
    assert causes(diff) == ["registry change not seen"]
    assert (diff["totals"], diff["sites"]) == ({}, {})


def test_a_closed_month_stays_as_it_was_approved(place: Place) -> None:
    lay_out(place)
    digest = run(settle_month, "2025-09", preview=True)["digest"]
    assert "not settled yet" in refusal(close_month, "2025-09", expect=digest)
    run(settle_month, "2025-09")
    assert "is not the digest" in refusal(close_month, "2025-09", expect="0" * 16)
    closing = run(close_month, "2025-09", expect=digest, by="Ada")
    assert (closing["action"], closing["by"], closing["digest"]) == ("close", "Ada", digest)
    assert "was closed by Ada" in refusal(close_month, "2025-09", expect=digest)

    assert run(settle_month, "2025-09")["outcome"] == "unchanged"
    place.put("late.csv", LATE)
    reports = keys(place, "reports/")
    message = refusal(settle_month, "2025-09")
    assert "2025-09 was closed by Ada at " in message
    assert f"though {VPP} would change" in message
    assert keys(place, "reports/") == reports
    [late] = run(watch_months)
    assert late.startswith(
        "2025-09 (closed) would change: Test VPP One: total_revenue 1.75 -> 2.75"
    )
    assert keys(place, "reports/") == reports

    assert run(reopen_month, "2025-09", reason="a late file", by="Bob")["reason"] == "a late file"
    assert "is not closed" in refusal(reopen_month, "2025-09", reason="again")
    assert run(settle_month, "2025-09")["outcome"] == "published"
    assert keys(place, "reports/") == [*reports, DIFF, R2]
    history = json_at(place, "months/2025-09.json")["closings"]
    assert [(one["action"], one["by"]) for one in history] == [("close", "Ada"), ("reopen", "Bob")]
    assert run(watch_months) == []


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_scheduled_run_says_what_is_late_elsewhere(place: Place, is_refused: bool) -> None:
    lay_out(place)
    run(settle_month, "2025-09")
    place.put("late.csv", LATE)
    if is_refused:
        assert "no event" in refusal(settle_month, "")
    else:
        run(settle_month, "", allow_missing=True)
    [record] = [other for _, other in read_run_records(place.store) if other.month != "2025-09"]
    assert [late.split(":")[0] for late in record.late_data or []] == [
        "2025-09 (not closed) would change"
    ]


def test_a_month_that_cannot_be_settled_is_told_of(place: Place) -> None:
    lay_out(place)
    run(settle_month, "2025-09")
    place.put("bad.csv", [f"{NMI},2025-09-03,Discharge,-1,100"] * 5)
    [late] = run(watch_months)
    assert late.startswith("2025-09 (not closed) could not be settled now: ")
    assert "energy negative" in late


def test_closing_between_claim_and_publication_is_refused(place: Place, proxy: FailingS3) -> None:
    """The claim is in the month's record by then, and what it names is not there yet."""
    lay_out(place)
    run(settle_month, "2025-09")
    place.put("late.csv", LATE)
    refusals: list[str] = []

    def try_to_close() -> None:
        with pytest.raises(Refused) as refused:
            close(place.store, SEPTEMBER, digest_of(place), "Ada")
        refusals.append(str(refused.value))

    proxy.before(r"PUT .*/r2\.json", try_to_close)
    run(settle_month, "2025-09")
    assert refusals
    assert "is being published at this moment" in refusals[0]


def test_closing_before_the_claim_wins(place: Place, proxy: FailingS3) -> None:
    lay_out(place)
    digest = run(settle_month, "2025-09")["digest"]
    place.put("late.csv", LATE)
    reports = keys(place, "reports/")

    def close_it() -> None:
        close(place.store, SEPTEMBER, digest, "Ada")

    proxy.before(r"PUT .*/months/", close_it)
    assert "was closed by Ada" in refusal(settle_month, "2025-09")
    assert keys(place, "reports/") == reports


def test_people_who_close_and_settle_at_once_leave_no_unclosed_revision(place: Place) -> None:
    """Two settle other terms each time, two close what is published and reopen it, all at once."""
    lay_out(place)
    place.publish("2025-09")
    is_over, was_closed = Event(), Event()

    def settle_other(number: int) -> None:
        for turn in range(3):
            percentage = {"revenue_percentage": str(10 * number + turn), "effective_from": None}
            place.record([{"change": "update-vpp", "vpp": VPP, **percentage}])
            while not is_over.is_set():
                try:
                    place.publish("2025-09")
                    break
                except (LostRace, Refused):
                    continue

    def close_what_stands(name: str) -> None:
        """Close whatever is new, so that those who settle have time in between."""
        seen = ""
        while not is_over.wait(0.05):
            digest = digest_of(place)
            if digest == seen:
                continue
            try:
                close(place.store, SEPTEMBER, digest, name)
                found = read_published(place.store, SEPTEMBER)
                if found.record.closing:
                    check_closed(found)
                    was_closed.set()
                reopen(place.store, SEPTEMBER, "the next round", name)
                seen = digest
            except Refused:
                continue

    def check_closed(found: PublishedMonth) -> None:
        closed = found.record.closing
        assert closed is not None
        assert closed.digest == found.record.digest
        last = found.record.last_revision(VPP)
        assert is_current(place.store, found, VPP)
        assert f"reports/2025-09/{VPP}/r{last + 1}.json" not in found.objects

    with ThreadPoolExecutor(4) as pool:
        closed = [pool.submit(close_what_stands, name) for name in ("Ada", "Bob")]
        settled = [pool.submit(settle_other, number) for number in range(2)]
        wait(settled, timeout=120)
        is_closed = was_closed.wait(30)
        is_over.set()
        for done in [*settled, *closed]:
            done.result()
        assert is_closed
    for revision in read_published(place.store, SEPTEMBER).record.revisions[VPP]:
        if place.store.exists(f"reports/2025-09/{VPP}/r{revision}.json"):
            assert verify(place.store, SEPTEMBER, VPP, revision).is_same
