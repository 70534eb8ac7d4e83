"""What a person does in the browser: fill in the form, be corrected, run, read the summary."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from flows.commands.up import EVERYDAY
from tests.e2e.conftest import MONTH
from tests.e2e.stack import ROOT, Stack, required

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WINDOW = ViewportSize(width=1280, height=1120)
SIDEBAR_WIDTH = 256
PICTURES = ROOT / "data" / "screenshots"


@pytest.fixture
def page(stack: Stack) -> Iterator[Page]:
    required("chromium", CHROMIUM.exists())
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as browser,
        browser.new_page(viewport=WINDOW, base_url=str(stack.api.base_url)) as page,
    ):
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield page


def picture(page: Page, name: str, height: int) -> None:
    """Take a picture for the README, without the sidebar; only when asked to."""
    if os.environ.get("UPDATE_SCREENSHOTS") == "1":
        PICTURES.mkdir(exist_ok=True)
        page.wait_for_timeout(1000)  # for what fades in
        page.screenshot(
            path=PICTURES / name,
            clip={
                "x": SIDEBAR_WIDTH,
                "y": 0,
                "width": WINDOW["width"] - SIDEBAR_WIDTH,
                "height": height,
            },
        )


def test_what_is_used_each_day_is_on_one_page(page: Page) -> None:
    page.goto(EVERYDAY)
    expect(page.get_by_role("link", name="settle-month", exact=True).first).to_be_visible()
    expect(page.get_by_role("link", name="request-upload", exact=True).first).to_be_visible()
    expect(page.get_by_text("Page 1 of 1")).to_be_visible()
    expect(page.get_by_role("link", name="add-battery", exact=True)).to_have_count(0)


def test_a_month_is_settled_from_the_form(page: Page, stack: Stack, settled: str) -> None:
    page.goto("/v2/deployments")
    page.get_by_placeholder("Search deployments").fill("settle-month")
    page.get_by_role("link", name="settle-month", exact=True).first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()

    month = page.get_by_label("month (Optional)")
    month.fill("2025-13")
    page.get_by_role("button", name="Submit").click()
    expect(
        page.get_by_text("'a month written as YYYY-MM, like 2025-09,' was expected").first
    ).to_be_visible()

    page.reload()  # the form keeps a refusal in mind and would ask for a second click
    month.fill(MONTH)
    page.get_by_label("Run Name").fill("September 2025")
    picture(page, "form.png", height=1120)
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("button", name="View run").click()

    expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    expect(page.get_by_text(f"settle {MONTH}").first).to_be_visible()
    run = page.url.split("/")[-1].split("?")[0]
    assert stack.get(f"/flow_runs/{run}")["parameters"]["month"] == MONTH

    stack.completed(run)  # the page may have shown the end of a stage
    page.reload()
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_role("link", name=f"settlement-{MONTH}").first.click()
    [summary] = stack.artifacts(f"settlement-{MONTH}", run)
    page.get_by_text(summary["id"][:8]).click()
    expect(page.get_by_role("heading", name=f"Settlement of {MONTH}")).to_be_visible()
    row = page.get_by_role("row", name=re.compile("Hunter Banksia VPP"))
    expect(row).to_contain_text("253.32")
    expect(row).to_contain_text("unchanged")

    [first] = stack.artifacts(f"settlement-{MONTH}", settled)
    page.go_back()
    page.get_by_text(first["id"][:8]).click()
    expect(row).to_contain_text("first")
    chart = page.get_by_role("img", name="What each VPP and its sites receive")
    expect(chart).to_be_visible()
    assert chart.evaluate("e => e.naturalWidth") == 760
    picture(page, "summary.png", height=832)
