"""What runs leave for people to look at: artifacts, events, and the history on S3."""

import re
from base64 import b64decode
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest

from tests.e2e.background import Background
from tests.e2e.conftest import MONTH
from tests.e2e.stack import (
    ROOT,
    Stack,
    eventually,
    read,
    read_json,
    record_sample,
    records,
    reports,
)
from tests.through_s3 import HEADER

DIRTY_MONTH = "2025-03"
GOOD = f"9876543210,{DIRTY_MONTH}-01,Charge,5,-20\n"
BAD = f"9876543210,{DIRTY_MONTH}-02,Charge,5,n/a\n"
GOLDEN = ROOT / "tests" / "golden"
VPPS = [
    "Brisbane Jacaranda VPP",
    "Hunter Banksia VPP",
    "Newcastle Ironbark VPP",
    "Sydney Waratah VPP",
]


class Refused(NamedTuple):
    """A month of which most rows were rejected: refused at first, then allowed."""

    prefix: str
    run: str
    message: str
    allowed: str


@pytest.fixture(scope="module")
def refused(stack: Stack, settled: str, background: Background) -> Refused:
    assert settled
    return background.result("refused", lambda: refuse(stack))


def refuse(stack: Stack) -> Refused:
    """Let the month be refused, and then allowed."""
    prefix, store = stack.empty_place()
    record_sample(store)
    store.write("events/dirty.csv", (HEADER + GOOD * 50 + BAD * 150).encode())
    run = stack.run("settle-month", {"month": DIRTY_MONTH}, prefix)
    [state] = stack.ended(run)
    assert state["name"] == "Refused"
    anyway = {"month": DIRTY_MONTH, "max_rejected_percent": 100}
    allowed = stack.run("settle-month", anyway, prefix)
    stack.completed(allowed)
    return Refused(prefix, run, state["message"], allowed)


def test_a_run_is_found_by_its_month(stack: Stack, settled: str) -> None:
    run = stack.get(f"/flow_runs/{settled}")
    assert run["name"] == f"settle {MONTH}"
    assert {"vpp-settlement", MONTH} <= set(run["tags"])


@pytest.mark.usefixtures("settled")
def test_the_demos_reports_have_the_expected_bytes(stack: Stack) -> None:
    published = reports(stack.store(), MONTH)
    expected = {
        f"reports/{MONTH}/{path.name.removeprefix(f'{MONTH}-')}": path.read_bytes()
        for path in GOLDEN.glob(f"{MONTH}-*.json")
    }
    assert published == expected


@pytest.mark.usefixtures("settled")
def test_no_statement_is_reported_as_a_leak_at_the_end_of_a_run(stack: Stack) -> None:
    """DuckDB's bindings say in the log what of theirs is left, line by line."""
    said = stack.log("worker").read_text()
    assert f"Completed('{MONTH}: published, 4 reports" in said
    assert "_duckdb.Statement" not in said


def test_the_summary_has_totals_rejections_and_stages(stack: Stack, settled: str) -> None:
    [summary] = stack.artifacts(f"settlement-{MONTH}", settled)
    assert summary["type"] == "markdown"
    text = summary["data"]
    for vpp, total in (
        ("Brisbane Jacaranda VPP", "375.69"),
        ("Hunter Banksia VPP", "253.32"),
        ("Newcastle Ironbark VPP", "457.44"),
        ("Sydney Waratah VPP", "241.97"),
    ):
        row = rf"\| {vpp} \| 1[789] \| {total} \|.+\| 1 \| first \| \[page\]\(http"
        assert re.search(row, text)
    assert "9,596 rows in 6 files: 24 rejected" in text
    assert "137 unassigned" in text
    assert re.search(r"whose energy and tariff can be read \(1[0-9] of them\)", text)
    assert (
        "| 2 | NMI is not 10 letters (without I and O) and digits, or 11 with the check digit "
        "| events/2025-09/late-corrections.csv |"
    ) in text
    [record] = [r for r in records(stack.store(), MONTH) if r["run_id"] == settled]
    assert record["outcome"] == "published"
    for stage in ("import", "settle", "publish"):
        assert f"| {stage} | {record['stages_seconds'][stage]} |" in text


def test_the_summary_links_what_people_look_at_and_what_is_to_be_corrected(
    stack: Stack, settled: str
) -> None:
    [summary] = stack.artifacts(f"settlement-{MONTH}", settled)
    links = re.findall(r"\[([^]]+)\]\((http[^)]+)\)", summary["data"])
    assert [name for name, _ in links] == [*["page"] * 4, "workbook", f"rejected/{MONTH}.csv"]
    for vpp, (_, url) in zip(VPPS, links, strict=False):
        assert f"<bdi>{vpp}</bdi></h1>" in stack.fetch(url).text
        assert "X-Amz-Expires=604800" in url
    assert stack.fetch(links[-2][1]).content == read(
        stack.store(), f"results/workbooks/{MONTH}.xlsx"
    )
    assert len(stack.fetch(links[-1][1]).text.splitlines()) == 1 + 24


def test_the_summarys_chart_is_a_picture(stack: Stack, settled: str) -> None:
    [summary] = stack.artifacts(f"settlement-{MONTH}", settled)
    [data] = re.findall(r"!\[.+\]\(data:image/svg\+xml;base64,([\w+/=]+)\)", summary["data"])
    chart = b64decode(data).decode()
    assert ElementTree.fromstring(chart).tag.endswith("svg")
    assert sorted(re.findall(r">(\w+ \w+ VPP)<", chart)) == VPPS


def test_the_rejected_rows_are_a_table(stack: Stack, settled: str) -> None:
    [table] = stack.artifacts(f"rejected-rows-{MONTH}", settled)
    assert table["type"] == "table"
    rows = stack.table(table)
    assert len(rows) == 24
    assert {row["key"] for row in rows} == {"events/2025-09/late-corrections.csv"}
    assert set(rows[0]) == {"rejected_id", "key", "line", "reason", "at_stake_aud", "row"}


def test_no_more_than_a_hundred_rejected_rows_are_shown(stack: Stack, refused: Refused) -> None:
    [table] = stack.artifacts(f"rejected-rows-{DIRTY_MONTH}", refused.allowed)
    assert len(stack.table(table)) == 100
    assert table["description"].startswith("The first 100 of 150 rejected rows; all of them are in")


def test_the_progress_of_imports_ends_at_a_hundred(stack: Stack, settled: str) -> None:
    [progress] = stack.artifacts("import-progress", settled)
    assert (progress["type"], progress["data"]) == ("progress", 100)


def _event(stack: Stack, name: str, run: str) -> dict[str, Any]:
    """Return the one event of a name that a run emitted; the feed lags behind a little."""

    def look() -> list[dict[str, Any]]:
        return [
            event
            for event in stack.events(name)
            if f"prefect.flow-run.{run}" in {r["prefect.resource.id"] for r in event["related"]}
        ]

    [event] = eventually(look, 30, name)
    return event


def test_a_publication_is_an_event(stack: Stack, settled: str) -> None:
    event = _event(stack, "vpp.settlement.published", settled)
    assert event["resource"]["prefect.resource.id"] == f"vpp.settlement.{MONTH}"
    payload = event["payload"]
    assert payload["month"] == MONTH
    assert (payload["rows"], payload["rejected_rows"]) == (9596, 24)
    assert payload["unassigned_events"] == 137
    assert payload["registry_seq"] == 216
    assert {report["outcome"] for report in payload["reports"]} == {"published"}
    assert read_json(stack.store(), payload["run_record"])["run_id"] == settled


def test_a_refusal_is_an_event_and_a_record(stack: Stack, refused: Refused) -> None:
    assert "150 of its 200 rows were rejected (75.0%" in refused.message
    payload = _event(stack, "vpp.settlement.refused", refused.run)["payload"]
    assert (payload["month"], payload["reason"]) == (DIRTY_MONTH, refused.message)
    record = read_json(stack.store(refused.prefix), payload["run_record"])
    assert (record["outcome"], record["reason"]) == ("refused", refused.message)


def test_rejected_rows_are_an_event(stack: Stack, refused: Refused) -> None:
    event = _event(stack, "vpp.import.rejected", refused.run)
    assert event["resource"]["vpp.over-limit"] == "true"
    payload = event["payload"]
    assert (payload["key"], payload["rows"], payload["rejected"]) == ("events/dirty.csv", 200, 150)
    assert payload["reasons"] == {"tariff": 150}
    assert stack.store(refused.prefix).exists(payload["where"])


@pytest.mark.usefixtures("refused")
def test_the_alarm_of_rejected_rows_goes_off(stack: Stack) -> None:
    alarm = "VPP: too many rows of a file were rejected"
    eventually(lambda: stack.alarmed(alarm), 30, alarm)


def test_the_history_is_on_s3_alone(stack: Stack, settled: str, refused: Refused) -> None:
    nowhere = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    lines = stack.call("flows.commands.history", **nowhere).splitlines()
    assert lines[0].split() == [
        *("month", "started", "who", "outcome", "revision", "rows", "seconds")
    ]
    [record] = [r for r in records(stack.store(), MONTH) if r["run_id"] == settled]
    assert any(
        re.match(rf"{MONTH} .{re.escape(record['started'][:19])}Z .+ published +1 +9596 ", line)
        for line in lines
    ), lines
    listing = stack.call(
        "flows.commands.history", DIRTY_MONTH, VPP_PREFIX=refused.prefix, **nowhere
    )
    first, reason, second = listing.splitlines()[1:]
    assert " refused " in first
    assert reason.strip() == refused.message
    assert " published " in second
