"""Hostile texts in names, addresses, serials, file names and rows, read back wherever they appear.

Each place is read by its own parser: Markdown by one that GitHub's is like, pages by one for HTML
and by a browser, PDFs by pypdf, tables as CSV, workbooks as the XML that they are, reports as JSON.
A leak is a text that has become anything but text: a link, a picture, a tag, an attribute, a
formula, a further row or cell, or what a terminal obeys.
"""

import csv
import io
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from uuid import uuid4
from xml.etree import ElementTree

from markdown_it import MarkdownIt
from playwright.sync_api import Dialog, sync_playwright
from pypdf import PdfReader
from pytest import MonkeyPatch

from flows import story
from flows.commands import instructions
from tasks.core import change_fields, keys
from tasks.core.change_file import read_changes
from tasks.core.errors import Refused
from tasks.core.inbox import inbox_key
from tasks.core.month import Month
from tasks.core.request import SettlementRequest
from tasks.core.run_record import SettledRunRecord
from tasks.evidence.explanation import explain, explanation_in_words
from tasks.imports.catalog import upload_key
from tasks.io.registry_log import append_changes, put_list
from tasks.pages import statements
from tasks.pages.sources import read_reports
from tasks.runs import summary
from tasks.runs.run import Run
from tests.e2e.test_browser import CHROMIUM, FLAGS
from tests.through_s3 import Place

MARK = "7ZQ"  # is in each text, so that it is found wherever it is
TEXTS = (
    f"=cmd|'/c {MARK}'!A1",
    f"+{MARK}",
    f"-2+3+{MARK}",
    f"@SUM({MARK})",
    f"<script>alert('{MARK}')</script>",
    f"<img src=x onerror=alert('{MARK}')>",
    f"\"><svg onload='{MARK}'>",
    f"![{MARK}](https://example.org/{MARK}.png)",
    f"[{MARK}](javascript:alert(1))",
    f"<https://example.org/{MARK}>",
    f"https://example.org/{MARK}",
    f"# {MARK} | a | b |",
    f"`{MARK}` *{MARK}* _{MARK}_ ~~{MARK}~~",
    f"&lt;{MARK}&gt; &amp;",
    f"'; drop table reports; -- {MARK}",
    f"{{{{ {MARK} }}}} {{% raw %}}",
    f"$({MARK}) `id`",
    f'a,b;c"{MARK}"',
    f"<!-- {MARK}",
    f"]]> {MARK} <![CDATA[",
    f"#set page() {MARK} $x$ *b*",
)
# What nobody means in a name: refused where it enters.
UNSEEN = (
    *(f"a{c}{MARK}" for c in "\0\x07\x1b\n\r\t\x0b\x85\u2028\u2029\u202e\u2066\u200b\u200f\ufeff"),
    MARK * 4000,
)


@dataclass
class Found:
    """What was read back in a place."""

    texts: int = 0
    leaks: list[str] = field(default_factory=list)


class _Page(HTMLParser):
    """Finds tags and attributes that a text became."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.leaks: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            is_hidden = MARK in name or name.startswith("on")
            if is_hidden or (name in ("href", "src", "style") and MARK in (value or "")):
                self.leaks.append(f"<{tag} {name}={value}>")
        if tag in ("script", "img", "iframe", "object"):
            self.leaks.append(f"<{tag}>")

    def handle_comment(self, data: str) -> None:
        if MARK in data:
            self.leaks.append(f"<!--{data}-->")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _unseen(text: str) -> list[str]:
    """Return what is not shown of a text, but moves a cursor or turns the direction of writing."""
    return [f"U+{ord(c):04X}" for c in change_fields.UNSEEN.findall(text) if c not in "\n\r\t"]


def read_page(page: str) -> tuple[int, list[str]]:
    """Return how many texts a page shows, and the leaks."""
    found = _Page()
    found.feed(page)
    found.close()
    # Pages themselves have word joiners, where no line may end.
    return "".join(found.text).count(MARK), found.leaks + _unseen(page.replace("\u2060", ""))


# What of a page is of a text: all that it shows, and what has become an element or an attribute.
_DOM = f"""() => {{
  const leaks = []
  for (const element of document.querySelectorAll('*')) {{
    if (/^(script|iframe|object|embed|img|form|base|meta-refresh)$/i.test(element.tagName))
      leaks.push(element.outerHTML)
    for (const {{name, value}} of element.attributes)
      if (name.startsWith('on') || name.includes('{MARK}')
          || (/^(href|src|style|action)$/.test(name) && value.includes('{MARK}')))
        leaks.push(element.tagName + ' ' + name + '=' + value)
  }}
  const comments = document.createNodeIterator(document, NodeFilter.SHOW_COMMENT)
  for (let found; found = comments.nextNode();)
    if (found.data.includes('{MARK}')) leaks.push(found.data)
  return [document.body.textContent.split('{MARK}').length - 1, leaks]
}}"""


def read_in_browser(pages: Iterable[str]) -> tuple[int, list[str]]:
    """Return how many texts a browser shows of pages, and the leaks: what it ran or asked for."""
    shown = 0
    leaks: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        leaks.append(dialog.message)
        dialog.dismiss()

    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as browser,
        browser.new_page() as page,
    ):
        page.on("dialog", dismiss)
        page.on("request", lambda request: leaks.append(request.url))
        page.on("console", lambda message: leaks.append(message.text))
        for content in pages:
            page.set_content(content)
            texts, found = page.evaluate(_DOM)
            shown += texts
            leaks += found
    return shown, [leak for leak in leaks if not leak.startswith("data:")]


def read_pdf(data: bytes) -> tuple[int, list[str]]:
    """Return how many texts a PDF shows, and what it does: its links, scripts and files."""
    reader = PdfReader(io.BytesIO(data))
    # Lines are broken where they are full, also within a text.
    text = "".join(page.extract_text() for page in reader.pages).replace("\n", "")
    does = re.compile("/(URI|JS|JavaScript|Launch|OpenAction|AA|EmbeddedFiles|AcroForm)$")

    def look(found: object) -> Iterator[str]:
        if isinstance(found, list):
            for item in found:
                yield from look(item)
        if isinstance(found, dict):
            for name, value in found.items():
                if does.match(name):
                    yield f"{name} {value}"
                yield from look(value)

    objects = range(1, int(str(reader.trailer["/Size"])))
    leaks = [leak for number in objects for leak in look(reader.get_object(number))]
    return text.count(MARK), leaks


def read_terminal(text: str) -> tuple[int, list[str]]:
    """Return how many texts a program says, and what a terminal would obey."""
    return text.count(MARK), _unseen(text)


def read_markdown(text: str) -> tuple[int, list[str]]:
    """Return how many texts Markdown shows, and the leaks."""
    shown, leaks = 0, _unseen(text)
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    for token in [child for t in tokens for child in (t, *(t.children or []))]:
        if token.type in ("html_inline", "html_block", "code_inline", "fence", "heading_open"):
            leaks += [token.content] if MARK in token.content else []
        elif token.type in ("link_open", "image"):
            leaks += [str(token.attrs)] if MARK in str(token.attrs) else []
        elif token.type == "text":
            shown += MARK in token.content
    return shown, leaks


def read_csv(data: bytes) -> tuple[int, list[str]]:
    """Return how many texts a table has, and the cells that a spreadsheet would run."""
    table = list(csv.reader(io.StringIO(data.decode(), newline="")))
    cells = [cell for row in table for cell in row]
    leaks = [cell for cell in cells if re.match(r"\s*[=+@-]", cell) and MARK in cell]
    leaks += [str(row) for row in table if len(row) != len(table[0])] + _unseen(data.decode())
    return sum(MARK in cell for cell in cells), leaks


def read_workbook(data: bytes) -> tuple[int, list[str]]:
    """Return how many texts a workbook has, and its formulas and links."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    elements = [
        (name, e) for name, part in parts.items() for e in ElementTree.fromstring(part).iter()
    ]
    texts = [e.text or "" for _, e in elements if e.tag.endswith("}t")]
    leaks = [
        f"{name}: {e.tag} {e.attrib} {e.text}"
        for name, e in elements
        if e.tag.rpartition("}")[2] in ("f", "hyperlink", "externalReference", "oleObject")
        or MARK in str(e.attrib)
    ]
    return sum(text.count(MARK) for text in texts), leaks + _unseen("".join(texts))


def read_json(data: bytes) -> tuple[int, list[str]]:
    """Return how many texts JSON has."""
    return json.dumps(json.loads(data)).count(MARK), _unseen(data.decode())


def torture(looked_at: int = len(TEXTS)) -> tuple[dict[str, Found], int, list[str]]:
    """Settle a month full of hostile texts; return what each place shows of them.

    Args:
        looked_at: how many sites are explained and have a page of their own.

    Returns:
        The places by name; how many texts were refused where they enter; and those that were not.
    """
    place = Place()
    refused, taken = _refuse(place)
    _lay_out(place)
    request = SettlementRequest(datetime.now(UTC), 100, allow_missing=True)
    run = Run(place.store, Month.parse("2025-09"), request, str(uuid4()), "torture", {})
    with run.recorded():
        story.settle_and_publish(run)
    return {**_look(place, run, looked_at), "names of uploads": upload_names()}, refused, taken


def _refuse(place: Place) -> tuple[int, list[str]]:
    """Try to record what nobody means."""
    refused, taken = 0, []
    for text in UNSEEN:
        for change in (
            {"change": "create-vpp", "name": text, "revenue_percentage": 1},
            {"change": "update-vpp", "vpp": text, "name": "a"},
            {"change": "create-site", "nmi": "6001000001", "vpp": "a", "address": text},
            {"change": "create-site", "nmi": text, "vpp": "a", "address": "1 St"},
            {
                "change": "add-battery",
                "nmi": "6001000001",
                "manufacturer": text,
                "serial": "1",
                "capacity_kwh": 1,
            },
            {
                "change": "add-battery",
                "nmi": "6001000001",
                "manufacturer": "T",
                "serial": text,
                "capacity_kwh": 1,
            },
        ):
            try:
                changes = list(read_changes(json.dumps(change).encode()))
                append_changes(place.store, place.settings, changes, "torture")
                taken.append(f"{change}"[:200])
            except Refused as problem:
                refused += 1
                if len(str(problem)) > 1000 or _unseen(str(problem)):
                    taken.append(f"its sentence shows it: {problem!r}"[:200])
    return refused, taken


def _lay_out(place: Place) -> None:
    changes = []
    for number, text in enumerate(TEXTS):
        nmi = _nmi(number)
        changes += [
            {"change": "create-vpp", "name": _vpp(number)},
            {"change": "create-site", "nmi": nmi, "vpp": _vpp(number), "address": text},
            {
                "change": "add-battery",
                "nmi": nmi,
                "manufacturer": text,
                "serial": f"{text}{number}",
            },
        ]
    for change in changes:
        if change["change"] == "create-vpp":
            change["revenue_percentage"] = "20"
        if change["change"] == "add-battery":
            change["capacity_kwh"] = "13.5"
    place.record(changes)
    place.put("events.csv", [f"{_nmi(n)},2025-09-01,Discharge,5,25" for n in range(len(TEXTS))])
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(
        [text, "2025-09-01", text, text, text] for text in TEXTS
    )
    for number, text in enumerate(TEXTS):
        name = text.replace("/", "|")
        place.put(f"{number}{name}.csv", table.getvalue().splitlines()[number : number + 1])
    for text in UNSEEN[:-1]:  # no key is as long as the last one
        if "\n" not in text:  # which moto does not take
            place.put(f"{text}.csv", table.getvalue().splitlines()[:1])


def _look(place: Place, run: Run, looked_at: int) -> dict[str, Found]:
    """Read back all that shows texts of the month."""
    store, month = place.store, Month.parse("2025-09")
    places = {name: Found() for name in _READERS}
    assert isinstance(run.record, SettledRunRecord)
    ids = {report.name: report.vpp for report in run.record.reports or []}

    def read(name: str, data: bytes) -> None:
        shown, leaks = _READERS[name](data)
        places[name].texts += shown
        places[name].leaks += [f"{name}: {leak}" for leak in leaks]

    def table(table: list[dict[str, object]], **_: object) -> None:
        cells = "\n".join(str(cell) for row in table for cell in row.values())
        read("tables of artifacts", cells.encode())

    with MonkeyPatch.context() as patch:
        patch.setattr(
            summary, "create_markdown_artifact", lambda text, **_: read("artifacts", text.encode())
        )
        patch.setattr(summary, "create_table_artifact", table)
        summary.show_settlement(run)
        assert run.inputs
        summary.show_rejected(run.inputs)
        for number in range(looked_at):
            [explained] = explain(store, month, ids[_vpp(number)], [_nmi(number)], 0)
            read("explanations", explanation_in_words(explained.explanation))
    reports = read_reports(store, month)
    days = statements.put_vpp_statements(store, reports)
    statements.put_results(store, reports, days)
    statements.put_overview(store, [month])
    for number in range(looked_at):
        vpp = ids[_vpp(number)]
        statements.put_vpp_statement(store, month, vpp, 0, "pdf")
        for form in ("html", "pdf"):
            statements.put_site_statement(store, month, vpp, _nmi(number), form)
    put_list(store, place.settings, None, None)
    pages = []
    for version in store.versions(""):
        found = store.read(version.key)
        assert found is not None
        folder, suffix = version.key.split("/")[0], version.key.rsplit(".", maxsplit=1)[-1]
        if (folder, suffix) in _PLACES:
            read(_PLACES[folder, suffix], found[0])
        if suffix == "html":
            pages.append(found[0].decode())
    shown, leaks = read_in_browser(pages)
    places["pages in a browser"] = Found(shown, leaks)
    places["the line program"] = _run_lines(place, UNSEEN[: 2 * looked_at])
    return places


def _run_lines(place: Place, texts: Iterable[str]) -> Found:
    """Give the line program texts where it takes one, and a report of them to make."""
    found = Found()
    programs = [f"Create Report: {_vpp(0)}, 2025-09"]
    for text in texts:
        programs += [
            f"Create VPP: {text}, 10",
            f"Create Site: {_vpp(0)}, {_nmi(0)}, {text}",
            f"Import Events: {text}.csv",
            text,
        ]
    for program in programs:
        out, said = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        with MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(said):
            place.point_at(patch)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(program.encode())))
            instructions.main([])
        out.flush()
        for text in (out.buffer.getvalue().decode(), said.getvalue()):
            shown, leaks = read_terminal(text)
            found.texts += shown
            found.leaks += leaks
            if len(text) > 10_000 and program != programs[0]:
                found.leaks.append(f"{len(text)} characters")
    return found


def upload_names() -> Found:
    """Ask for an upload of each name: refused, or a command that a shell takes for just that."""
    found = Found()
    for text in (*TEXTS, *UNSEEN):
        for name_of in (upload_key, lambda name: inbox_key(keys.REGISTRY_UPLOADS, name)):
            try:
                key = name_of(f"{text}.csv")
            except Refused as problem:
                found.texts += 1
                found.leaks += _unseen(str(problem))
                if len(str(problem)) > 1000:
                    found.leaks.append(f"{problem}")
            else:
                found.leaks.append(f"{key} may be uploaded")
    return found


def _vpp(number: int) -> str:
    return f"{TEXTS[number]} {number}"


def _nmi(number: int) -> str:
    return f"60010000{number:02}"


_READERS: dict[str, Callable[[bytes], tuple[int, list[str]]]] = {
    "artifacts": lambda data: read_markdown(data.decode()),
    "tables of artifacts": lambda data: read_terminal(data.decode()),
    "explanations": lambda data: read_markdown(data.decode()),
    "pages": lambda data: read_page(data.decode()),
    "PDFs": read_pdf,
    "workbook": read_workbook,
    "payees": read_csv,
    "list of rejected rows": read_csv,
    "list of the registry": read_csv,
    "reports": read_json,
    "run records": read_json,
}
_PLACES = {
    ("statements", "html"): "pages",
    ("statements", "pdf"): "PDFs",
    ("results", "xlsx"): "workbook",
    ("results", "csv"): "payees",
    ("rejected", "csv"): "list of rejected rows",
    ("registry", "csv"): "list of the registry",
    ("reports", "json"): "reports",
    ("runs", "json"): "run records",
}
