"""What people see who open a page by its link: on a phone, on a desk, in the dark, on paper."""

import os
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from tasks.core.report import Report
from tasks.core.words import aud
from tasks.pages.site_statement import SiteStatements
from tasks.pages.sources import Source
from tasks.pages.vpp_statement import vpp_statement
from tests.e2e.conftest import MONTH
from tests.e2e.stack import Stack, read_json, required
from tests.e2e.test_browser import CHROMIUM, FLAGS, PICTURES
from tests.golden.__main__ import FOLDER
from tests.unit.pages.big import big_source
from tests.unit.pages.conftest import EVIL, renamed

VPP = "hunter-banksia-vpp"
NMI = "9801215214"
PHONE, DESK = ViewportSize(width=390, height=844), ViewportSize(width=1280, height=900)
A4 = ViewportSize(width=680, height=1009)  # what @page leaves of it, in CSS pixels
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
# Returns what axe-core finds wrong, a line for each rule: with the elements, and why.
AUDIT = """async () => (await axe.run()).violations.map(
  found => `${found.id}: ${found.nodes.map(n => `${n.html} (${n.failureSummary})`).join('; ')}`
)"""
IS_TOO_WIDE = "document.documentElement.scrollWidth > innerWidth"


def link_of(stack: Stack, run: str) -> str:
    """Return the link that a run ends with."""
    [artifact] = stack.artifacts("download", run)
    [url] = re.findall(r"\]\((http.+)\)", artifact["data"])
    return str(url)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    required("chromium", CHROMIUM.exists())
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as browser,
    ):
        yield browser


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """Give a browser that knows nothing of what other tests opened."""
    yield chromium
    for context in chromium.contexts:
        context.close()


@pytest.fixture(scope="module")
def links(stack: Stack, settled: str) -> dict[str, str]:
    """Return a link to each kind of page, as people get them."""
    site = stack.run("site-statement", {"vpp": VPP, "month": MONTH, "nmi": NMI})
    stack.completed(site)
    [summary] = stack.artifacts(f"settlement-{MONTH}", settled)
    [of_vpp] = re.findall(rf"\[page\]\((http[^)]+/{VPP}/[^)]+)\)", summary["data"])
    store = stack.store()
    return {
        "index": store.link("statements/index.html", 600),
        "month": store.link(f"statements/{MONTH}/index.html", 600),
        "vpp": of_vpp,
        "site": link_of(stack, site),
    }


class Visitor:
    """Somebody at a window, who fails at what a console says, or is asked of others."""

    def __init__(self, browser: Browser, window: ViewportSize, **options: Any) -> None:
        self.page = browser.new_page(viewport=window, **options)
        said, asked = self.said, self.asked = list[str](), list[str]()
        self.page.on("console", lambda message: said.append(message.text))
        self.page.on("pageerror", lambda error: said.append(str(error)))
        self.page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: asked.append(request.url))

    def look(self, url: str) -> Page:
        """Open a page, and all that is folded in it; fail also if it is too wide."""
        self.asked.clear()
        self.page.goto(url)
        for summary in self.page.locator("summary").all():
            summary.click()
        assert self.said == []
        assert [request for request in self.asked if not request.startswith("data:")] == [url]
        assert not self.page.evaluate(IS_TOO_WIDE)
        return self.page


def look(browser: Browser, url: str, window: ViewportSize, **options: Any) -> Page:
    """Open a page as somebody who comes for it alone."""
    return Visitor(browser, window, **options).look(url)


def audit(page: Page) -> None:
    """Fail at what axe-core finds wrong for people who see little, or nothing, or use no mouse."""
    page.evaluate(AXE)
    assert page.evaluate(AUDIT) == []


def picture(page: Page, name: str) -> None:
    """Take a picture for the README; only when asked to."""
    if os.environ.get("UPDATE_SCREENSHOTS") == "1":
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = false)")
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=PICTURES / name)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", [PHONE, DESK], ids=["phone", "desk"])
def test_each_page_opens_by_its_link(
    browser: Browser, links: dict[str, str], window: ViewportSize, scheme: str
) -> None:
    for url in links.values():
        audit(look(browser, url, window, color_scheme=scheme))


def test_pages_say_what_the_report_says(
    browser: Browser, links: dict[str, str], stack: Stack
) -> None:
    report = read_json(stack.store(), f"reports/{MONTH}/{VPP}.json")
    totals, sites = report["totals"], report["sites"]
    page = look(browser, links["vpp"], DESK)
    head = page.locator("header").inner_text()
    assert aud(totals["vpp_total_revenue"]) in head
    assert aud(totals["site_total_revenue_after_fees"]) in head
    lines = page.locator("main table").first.locator("tbody td").all_inner_texts()
    names = ("total_revenue", "vpp_cost_only", "vpp_total_revenue", "site_total_revenue_after_fees")
    assert lines == [aud(totals[name]) for name in names]
    for nmi, site in sites.items():
        row = page.locator("tr", has_text=nmi).first
        receives = aud(site["site_revenue_after_fees"])
        assert row.locator("td").last.inner_text().strip() == receives
    picture(page, "statement.png")

    page = look(browser, links["site"], PHONE)
    receives = aud(sites[NMI]["site_revenue_after_fees"])
    assert page.locator("h1").inner_text() == f"You receive {receives} AUD for September 2025"
    picture(page, "site-statement.png")
    page = look(browser, links["month"], DESK)
    row = page.get_by_role("row", name="Hunter Banksia VPP")
    assert aud(totals["total_revenue"]) in row.inner_text()


def test_a_page_on_paper_has_all_of_it(
    browser: Browser, links: dict[str, str], tmp_path: Path
) -> None:
    page = browser.new_page(viewport=A4)
    page.goto(links["vpp"])
    page.emulate_media(media="print", color_scheme="light")
    assert not page.evaluate(IS_TOO_WIDE)
    audit(page)
    # What is folded on the screen is there on paper, and so are the columns that a phone hides.
    assert page.get_by_text("1 September 2025").count() >= 1
    assert page.locator("details table").first.evaluate("e => e.checkVisibility()")
    for hidden in page.locator(".narrow-hidden").all()[:20]:
        assert hidden.evaluate("e => getComputedStyle(e).display") != "none"
    page.pdf(path=tmp_path / "statement.pdf", format="A4", prefer_css_page_size=True)
    assert (tmp_path / "statement.pdf").stat().st_size > 10_000


@pytest.mark.parametrize("window", [PHONE, DESK], ids=["phone", "desk"])
def test_evil_names_are_text(browser: Browser, window: ViewportSize, tmp_path: Path) -> None:
    report = Report.model_validate_json((FOLDER / f"{MONTH}-{VPP}.json").read_bytes())
    path = tmp_path / "page.html"
    visitor = Visitor(browser, window)
    for name in EVIL:
        source = Source(renamed(report, name, name), "runs/1.json", None, None, no_detail="a test")
        for data in (vpp_statement(source), SiteStatements(source).page(NMI)):
            path.write_bytes(data)
            page = visitor.look(path.as_uri())
            assert page.locator("script, img, b").count() == 0
            assert page.title()
            heading = page.locator("header").bounding_box()
            assert heading is not None
            assert heading["height"] < 700


def test_ten_thousand_sites_are_one_usable_page(browser: Browser, tmp_path: Path) -> None:
    report = Report.model_validate_json((FOLDER / f"{MONTH}-{VPP}.json").read_bytes())
    path = tmp_path / "page.html"
    path.write_bytes(vpp_statement(big_source(report, 10_000)))
    page = browser.new_page(viewport=PHONE)
    page.goto(path.as_uri())
    assert page.locator("main section").nth(3).locator("table").first.locator("tr").count() == 51
    assert page.get_by_text("9,950 more sites").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
