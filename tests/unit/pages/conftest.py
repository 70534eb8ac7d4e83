"""A month of the demo that is published, and its reports as they are in tests/golden."""

from pathlib import Path

import pytest

from tasks.core.report import Report
from tests.golden.__main__ import FOLDER


def golden_report(month: str, vpp: str) -> Report:
    return Report.model_validate_json((FOLDER / f"{month}-{vpp}.json").read_bytes())


@pytest.fixture(scope="session")
def reports() -> list[Report]:
    paths: list[Path] = sorted(FOLDER.glob("2025-09-*.json"))
    return [Report.model_validate_json(path.read_bytes()) for path in paths]
