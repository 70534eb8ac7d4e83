"""The templates: what is filled in is text, and is escaped for where it appears.

Escaping is on for every template, also where its name would not say so, and a value that is missing
is an error. No template marks a value as safe.
"""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from tasks.pages import words


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tasks.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
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
        words.plain,
        words.without_directions,
    ):
        environment.filters[function.__name__] = function
    return environment


def render(template: str, **values: object) -> bytes:
    """Fill in a template of the folder `templates`, and return the page as UTF-8.

    A lone surrogate, which no encoding has, becomes a question mark.
    """
    text = _environment().get_template(template).render(**values)
    return text.encode("utf-8", errors="replace")
