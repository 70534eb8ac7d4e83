"""Templates: whatever is filled in is shown, in Markdown as in HTML, and never obeyed."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markdown_it import MarkdownIt

from tasks.core.difference import Cause, Difference, Values
from tasks.core.late_data import LateData
from tasks.core.month import Month
from tasks.io.rendering import render
from tests.golden.__main__ import ROOT
from tests.unit.pages.conftest import EVIL

TEMPLATES = sorted((ROOT / "tasks").glob("*/templates/*"))
MARKDOWN = [
    *EVIL,
    "a | b",
    "[x](y) ![x](y)",
    "`code` *b* ~~s~~ __u__",
    "\n# head\n\n- item",
    "&lt;",
]


def late(name: str) -> LateData:
    changed = {"9876543210": {"site_revenue_after_fees": Values(before=1.0, after=2.0)}}
    causes = [Cause(cause="file added", key=f"events/{name}.csv")]
    difference = Difference(
        vpp=name,
        vpp_id="a",
        month="2025-09",
        revision=2,
        previous_revision=1,
        totals={},
        sites=changed,
        causes=causes,
    )
    return LateData(Month(2025, 9), False, [difference], [name], "")


def outline(text: str) -> list[str]:
    """Return what a Markdown text is made of, but for its words, as Prefect's UI takes it."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)
    inner = [child for token in tokens for child in token.children or []]
    return [token.type for token in [*tokens, *inner] if token.type != "text_special"]


@pytest.mark.parametrize("name", MARKDOWN, ids=range(len(MARKDOWN)))
def test_no_name_is_markdown_or_html(name: str) -> None:
    text, plain = (render("runs", "late_data.md", found=[late(n)]).decode() for n in (name, "A"))
    found, expected = ([t for t in outline(of) if t != "text"] for of in (text, plain))
    assert found == expected
    assert len(text) < len(plain) + 45_000


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render("runs", "late_data.md")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_turns_escaping_off(path: Path) -> None:
    text = path.read_text()
    assert "|safe" not in text
    assert "autoescape" not in text
