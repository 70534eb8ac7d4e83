"""Statements as PDF, by typst: an extra, since few need it and it weighs 34 MB.

A template makes typst's markup, with every text escaped; charts are the pages' own, as SVG. Only
the fonts that typst brings are used, so the bytes are the same on each machine. The PDF is tagged,
and follows PDF/UA-1 unless a name has characters that those fonts lack; they are then shown as
boxes.
"""

from typing import Any, Literal

from tasks.core.errors import Refused
from tasks.core.words import clipped, without_directions
from tasks.io.rendering import render

Format = Literal["html", "pdf"]


def pdf(template: str, values: dict[str, Any]) -> bytes:
    """Return a statement as PDF, from what its page is filled in with.

    Raises:
        Refused: typst is not installed.
    """
    try:
        import typst
    except ImportError:
        raise Refused(
            "format: PDF needs typst, which is not installed here: pip install '.[pdf]' on the "
            "machine of the worker, or ask for html"
        ) from None
    inputs = {"author": without_directions(clipped(values["vpp"]))}
    if values["days"]:
        inputs["columns"] = render("pages", "columns.svg", chart=values["days"]["chart"]).decode()
    source = render("pages", template, **values)
    options: Any = {"format": "pdf", "ignore_system_fonts": True, "sys_inputs": inputs}
    try:
        made = typst.compile(source, pdf_standards="ua-1", **options)
    except typst.TypstError as problem:
        if "could not be displayed" not in problem.message:
            raise
        made = typst.compile(source, **options)
    assert isinstance(made, bytes)
    return made
