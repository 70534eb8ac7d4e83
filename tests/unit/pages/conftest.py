"""A month of the demo that is published, and its reports as they are in tests/golden."""

from pathlib import Path

import pytest

from tasks.core.report import Report
from tests.golden.__main__ import FOLDER

# Names that somebody could record; each place has to show them, and to obey none.
EVIL = [
    '=HYPERLINK("https://example.com","Pay")',
    "@SUM(A1), -2, +3",
    "Two\r\nlines\rof\tit",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style><script>alert(1)</script>",
    "{{ 7 * 7 }} {% raw %}",
    "\u202e\u2066Right to left\u200f שלום",
    "\N{GRINNING FACE}\N{ZERO WIDTH JOINER}\N{FAMILY} Ünïcode",
    "'; DROP TABLE sites; --",
    "Wide " + "x" * 10_000,
    "Long " * 2_000,
]


def golden_report(month: str, vpp: str) -> Report:
    return Report.model_validate_json((FOLDER / f"{month}-{vpp}.json").read_bytes())


@pytest.fixture(scope="session")
def reports() -> list[Report]:
    paths: list[Path] = sorted(FOLDER.glob("2025-09-*.json"))
    return [Report.model_validate_json(path.read_bytes()) for path in paths]


def renamed(report: Report, name: str, address: str) -> Report:
    """Return a report whose names are others."""
    sites = {
        nmi: site.model_copy(update={"address": address}) for nmi, site in report.sites.items()
    }
    return report.model_copy(update={"vpp": name, "sites": sites})
