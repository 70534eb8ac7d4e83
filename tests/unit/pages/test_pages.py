"""Pages: the report's numbers, whatever names are in it, in the same bytes each time."""

import re
import subprocess
import sys
from decimal import Decimal
from html.parser import HTMLParser
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from zipfile import ZipFile

import pytest

from tasks.core.report import Report
from tasks.core.words import aud
from tasks.pages.site_statement import SiteStatements
from tasks.pages.sources import Source
from tasks.pages.vpp_statement import vpp_statement
from tests.e2e.stack import required
from tests.golden.__main__ import ROOT
from tests.unit.pages.big import big_source
from tests.unit.pages.conftest import EVIL, renamed

VOID = {"meta", "link", "br", "rect", "line"}
OPTIONAL = {"tr", "td", "th"}  # HTML lets these end by themselves
ADDRESSES_ELSEWHERE = re.compile(r"https?://|//[a-z]|url\(|@import")


class Outline(HTMLParser):
    """What a page is made of; it fails where tags do not fit."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(page.decode())
        self.close()
        assert not set(self.open) - OPTIONAL, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open[-1] in OPTIONAL and self.open[-1] != tag:
            self.open.pop()
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def source(report: Report) -> Source:
    return Source(report, "runs/2025-09/1.json", None, None, no_detail="it is a test")


def pages(of: Source) -> dict[str, bytes]:
    return {"vpp": vpp_statement(of), **dict(SiteStatements(of).pages())}


def test_pages_have_the_reports_numbers(reports: list[Report]) -> None:
    for report in reports:
        made = pages(source(report))
        page = made.pop("vpp").decode()
        for _, amount in report.totals:
            assert amount is None or aud(amount) in page
        for nmi, site in report.sites.items():
            assert nmi in page
            of_site = made[nmi].decode()
            amount = site.site_revenue_after_fees
            start = "Your balance is" if amount < 0 else "You receive"
            assert f"<h1>{start} {aud(amount)} AUD for September 2025</h1>" in of_site
            others = report.sites.keys() - {nmi}
            assert not any(other in of_site for other in others)


def test_each_page_stands_alone_and_is_in_order(reports: list[Report]) -> None:
    for page in pages(big_source(reports[0], 60)).values():
        outline = Outline(page)
        assert not {"script", "iframe", "object", "form"} & set(outline.tags)
        assert not ADDRESSES_ELSEWHERE.search(page.decode())
        assert ("lang", "en-AU") in outline.attributes
        levels = [int(tag[1]) for tag in outline.tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(b - a <= 1 for a, b in pairwise(levels))


@pytest.mark.parametrize("name", EVIL, ids=range(len(EVIL)))
def test_names_are_shown_and_never_run(reports: list[Report], name: str) -> None:
    plain = pages(source(renamed(reports[0], "A VPP", "An address")))
    for key, page in pages(source(renamed(reports[0], name, name))).items():
        outline, expected = Outline(page), Outline(plain[key])
        extra = 2 * (len(name) > 90)  # a paragraph with the whole name
        assert len(outline.tags) == len(expected.tags) + extra
        assert not [name for name, _ in outline.attributes if name.startswith("on")]
        assert name in "".join(outline.text)
        assert len(page) < len(plain[key]) + 130_000


def test_the_completeness_of_meter_data_is_shown_where_a_report_has_it(
    reports: list[Report],
) -> None:
    of_meter = {
        "basis": "meter",
        "intervals_expected": 8640,
        "intervals_missing": 12,
        "energy_by_quality_kwh": {
            "actual": Decimal("1234.5"),
            "substituted": Decimal(0),
            "final": Decimal(0),
            "estimated": Decimal(3),
        },
    }
    nmi, site = next(iter(reports[0].sites.items()))
    sites = {**reports[0].sites, nmi: site.model_copy(update=of_meter)}
    made = pages(source(reports[0].model_copy(update={"sites": sites})))
    page = made["vpp"].decode()
    assert (
        "12 of 8,640</td><td>actual 1,234.5, substituted 0.0, final 0.0, estimated 3.0</td>" in page
    )
    assert page.count("<td>meter data</td>") == 1
    assert b"12 intervals of your meter's data are missing" in made[nmi]
    assert b"Completeness" not in pages(source(reports[0]))["vpp"]


def test_pages_have_the_same_bytes_each_time(reports: list[Report]) -> None:
    of = big_source(reports[0], 20)
    assert pages(of) == pages(of)
    assert SiteStatements(of).zipped() == SiteStatements(of).zipped()


def test_a_pdf_is_tagged_and_has_the_same_bytes_whatever_names_are_in_it(
    reports: list[Report],
) -> None:
    required("typst", find_spec("typst") is not None)
    nmi = next(iter(reports[0].sites))
    for name in ["Hunter Banksia VPP", *EVIL, "#panic() $x$ *bold* = head", "\\u{41} // /* <a> @b"]:
        of = source(renamed(reports[0], name, name))
        made = SiteStatements(of).page(nmi, "pdf")
        assert made == SiteStatements(of).page(nmi, "pdf")
        for data in (made, vpp_statement(of, "pdf")):
            assert data.startswith(b"%PDF-")
            assert b"/StructTreeRoot" in data or b"/ObjStm" in data


def test_the_charts_of_a_pdf_are_those_of_the_page(reports: list[Report]) -> None:
    required("typst", find_spec("typst") is not None)
    of = big_source(reports[0], 2)
    nmi = next(iter(of.report.sites))
    without = source(of.report)
    assert len(vpp_statement(of, "pdf")) > len(vpp_statement(without, "pdf"))
    assert len(SiteStatements(of).page(nmi, "pdf")) > len(SiteStatements(without).page(nmi, "pdf"))


def test_a_vpp_of_ten_thousand_sites_is_one_page(reports: list[Report]) -> None:
    page = vpp_statement(big_source(reports[0], 10_000))
    assert len(page) < 5_000_000
    assert b"9,950 more sites" in page


def test_the_templates_are_in_the_wheel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with ZipFile(wheel) as packed:
        names = set(packed.namelist())
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "tasks").glob("*/templates/*")}
    assert len(templates) > 10
    assert templates <= names
