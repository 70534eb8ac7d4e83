"""The templates: what is filled in is text, and is escaped for where it appears.

A room has its templates in a folder of that name. The suffix says what they make: pages and charts
(html, svg), Markdown (md), or typst's markup of a PDF (typ). Escaping is on in each of them, so
that no template can forget it; a value that is missing is an error.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tasks.core import words


def _escaping(escape: Callable[[str], str]) -> Callable[[Any], Markup]:
    """Escape each value with a function, unless it is what a macro or the filter `address` made."""

    def finalize(value: Any) -> Markup:
        return value if hasattr(value, "__html__") else Markup(escape(str(value)))

    return finalize


def _address(url: str) -> Markup:
    """Write a URL for the parentheses of a link."""
    return Markup(url.replace(" ", "%20").replace("(", "%28").replace(")", "%29"))


# HTML and SVG are escaped by Jinja itself.
_ESCAPES = {"md": _escaping(words.escape_markdown), "typ": _escaping(words.escape_typst)}


@cache
def _environment(room: str, suffix: str) -> Environment:
    environment = Environment(
        loader=PackageLoader(f"tasks.{room}"),
        autoescape=True,
        finalize=_ESCAPES.get(suffix),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=suffix == "md",
    )
    for function in (
        words.aud,
        words.change,
        words.clipped,
        words.count,
        words.day_name,
        words.is_clipped,
        words.kwh,
        words.moment,
        words.month_name,
        words.shortest,
        words.without_directions,
    ):
        environment.filters[function.__name__] = function
    environment.filters["address"] = _address
    return environment


def render(room: str, template: str, **values: object) -> bytes:
    """Fill in a template of a room, and return what it makes as UTF-8.

    A lone surrogate, which no encoding has, becomes a question mark.
    """
    environment = _environment(room, template.rsplit(".", maxsplit=1)[-1])
    text = environment.get_template(template).render(**values)
    return text.encode("utf-8", errors="replace")
