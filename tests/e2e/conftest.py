"""One stack on SQLite for all tests here; what several of them look at is run once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import Stack, running_stack

HERE = Path(__file__).parent
MONTH = "2025-09"


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(scope="package")
def settled(stack: Stack) -> str:
    """Settle the demo's last month, as the first run there is; return the run's id."""
    run = stack.run("settle-month", {"month": MONTH})
    stack.completed(run)
    return run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the run that dies in silence, and look last at how that was noticed.

    It takes more than two minutes, which all other tests here have meanwhile.
    """

    def when(item: pytest.Item) -> int:
        fixtures = getattr(item, "fixturenames", ())
        return 2 if "noticed" in fixtures else 0 if "silenced" in fixtures else 1

    places = [place for place, item in enumerate(items) if item.path.parent == HERE]
    for place, item in zip(places, sorted((items[p] for p in places), key=when), strict=True):
        items[place] = item
