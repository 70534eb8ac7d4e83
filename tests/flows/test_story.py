"""The story of a month in flows/README.md is what happens: each number and sentence of it."""

import csv
import io
import re

import pytest

from flows.closing import close_month, reopen_month
from flows.explain import verify_report
from flows.settle import settle_month
from flows.watch import watch_months
from tasks.core.change_file import read_changes
from tasks.core.difference import Values
from tasks.io.registry_log import append_changes
from tests.flows.sample import ROOT, bytes_at, json_at, keys, refusal, run
from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("prefect_api")

MONTH, VPP = "2025-09", "hunter-banksia-vpp"
DATA = ROOT / "data" / "demo"
LATE = "late-corrections.csv"


@pytest.fixture
def story() -> str:
    """Return the story, without its line breaks."""
    document = (ROOT / "flows" / "README.md").read_text()
    [chapter] = re.findall(r"^## A month, from preview.*?(?=^## )", document, re.M | re.S)
    return " ".join(chapter.split())


@pytest.fixture
def september(place: Place) -> Place:
    """Give the demo's registry and its September, without the file that comes late."""
    changes = read_changes((DATA / "registry.jsonl").read_bytes())
    append_changes(place.store, place.settings, changes, "test")
    for path in sorted((DATA / "events" / MONTH).glob("*.csv")):
        if path.name != LATE:
            place.store.upload(path, f"events/{MONTH}/{path.name}")
    return place


def test_the_story_is_what_happens(september: Place, story: str) -> None:
    place = september

    def says(*words: str) -> None:
        for word in words:
            assert word in story, word

    preview = run(settle_month, MONTH, preview=True)
    totals = {report["vpp"]: report["totals"] for report in preview["reports"]}[VPP]
    says(
        f"total revenue {totals['total_revenue']:.2f}",
        f"VPP total {totals['vpp_total_revenue']:.2f}",
        f"sites after fees {totals['site_total_revenue_after_fees']:.2f}",
    )
    supposed = run(settle_month, MONTH, what_if=[{"vpp": VPP, "revenue_percentage": "20"}])
    totals = {report["vpp"]: report["totals"] for report in supposed["reports"]}[VPP]
    says(f"VPP total {totals['vpp_total_revenue']:.2f}")
    says(f"sites {totals['site_total_revenue_after_fees']:.2f}")

    assert run(settle_month, MONTH)["digest"] == preview["digest"]
    run(close_month, MONTH, expect=preview["digest"], by="Ada")
    place.store.upload(DATA / "events" / MONTH / LATE, f"events/{MONTH}/{LATE}")
    before, after = re.split(r" at .+ UTC ", refusal(settle_month, MONTH))
    says(before, after.split(", newcastle")[0])
    [watched] = run(watch_months)
    says(watched.split(" Brisbane")[0], re.findall("Hunter .+?;", watched)[0])

    run(reopen_month, MONTH, reason="a late file", by="Bob")
    run(settle_month, MONTH)
    diff = json_at(place, f"reports/{MONTH}/{VPP}/r2.diff.json")
    says(f"total revenue {Values(**diff['totals']['total_revenue'])}")
    [cause] = diff["causes"]
    says(f"{cause['cause']}, `{cause['key']}`")

    rejected = f"rejected/{MONTH}.csv"
    rows = list(csv.DictReader(io.StringIO(bytes_at(place, rejected).decode())))
    says(f"{len(rows)} of that file's 621 rows are rejected, and listed in `{rejected}`")
    corrections = [row | {"DATE": "2025-09-14"} for row in rows if row["DATE"] == "14/09/2025"]
    corrections += [row | {"TARIFF": "19.25"} for row in rows if row["TARIFF"] == "19.25c"]
    assert len(corrections) == 2
    text = io.StringIO()
    writer = csv.DictWriter(text, corrections[0])
    writer.writeheader()
    writer.writerows(corrections)
    place.store.write(f"events/{MONTH}/corrected.csv", text.getvalue().encode())
    run(settle_month, MONTH)
    diff = json_at(place, f"reports/{MONTH}/sydney-waratah-vpp/r3.diff.json")
    revenue = diff["totals"]["total_revenue"]
    says(f"total revenue goes from {revenue['before']:.2f} to {revenue['after']:.2f}")
    corrected = diff["causes"][1]["rows"]
    assert [cause["cause"] for cause in diff["causes"]] == ["file added", "rows corrected"]
    says(f"file added, rows corrected ({corrected['before']} -> {corrected['after']} rejected)")
    assert keys(place, f"reports/{MONTH}/{VPP}/r3") == []
    for vpp, revision in ((VPP, 1), (VPP, 2), ("sydney-waratah-vpp", 3)):
        assert "same bytes" in run(verify_report, vpp, MONTH, revision)
