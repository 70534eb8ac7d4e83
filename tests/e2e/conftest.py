"""One stack on SQLite for all tests here; what several of them look at is run once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import Stack, running_stack

HERE = Path(__file__).parent
FIRST = "test_a_run_that_died_with_its_worker_has_published_nothing"
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

    That takes more than two minutes, in which all other tests here run.
    """

    def when(item: pytest.Function) -> int:
        return 0 if item.name == FIRST else 2 if "noticed" in item.fixturenames else 1

    here = [
        item for item in items if isinstance(item, pytest.Function) and item.path.parent == HERE
    ]
    places = [items.index(item) for item in here]
    for place, item in zip(places, sorted(here, key=when), strict=True):
        items[place] = item
