"""The templates: what is filled in is text, and is escaped for where it appears.

A room has its templates in a folder of that name. The suffix says what they make: pages and charts
(html, svg), or Markdown (md). Escaping is on in each of them, so that a template forgets none; a
value that is missing is an error.
"""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tasks.core import words


def _for_markdown(value: Any) -> Markup:
    """Escape a value, unless it is what a macro or the filter `address` made."""
    is_done = hasattr(value, "__html__")
    return value if is_done else Markup(words.escape_markdown(str(value)))


def _address(url: str) -> Markup:
    """Write a URL for the parentheses of a link."""
    return Markup(url.replace(" ", "%20").replace("(", "%28").replace(")", "%29"))


@cache
def _environment(room: str, suffix: str) -> Environment:
    is_markdown = suffix == "md"
    environment = Environment(
        loader=PackageLoader(f"tasks.{room}"),
        autoescape=True,
        finalize=_for_markdown if is_markdown else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=is_markdown,
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
