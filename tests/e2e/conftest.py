"""One stack on SQLite for all tests here; what several of them look at is run once.

Most of the time here is waiting for other processes. So the first test here is the first of all,
then the long runs go on in the background while the tests of other folders have their turn, and the
rest of the tests here come last.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.background import Background
from tests.e2e.stack import PAGES, Stack, eventually, running_stack

HERE = Path(__file__).parent
FIRST = "test_a_run_that_died_with_its_worker_has_published_nothing"
MONTH = "2025-09"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(scope="session")
def settled(stack: Stack) -> str:
    """Settle the demo's September, as the first run there is; return the run's id.

    Its pages are made by the automation, which works for this month alone: the others would keep
    the worker busy.
    """
    stack.enable(PAGES, True)
    run = stack.run("settle-month", {"month": MONTH})
    stack.completed(run)
    wanted = {"deployments": {"name": {"any_": ["make-statements"]}}}

    def made_by_automation() -> list[str]:
        found = stack.post("/flow_runs/filter", wanted)
        return [of["id"] for of in found if not of["auto_scheduled"]]

    pages = eventually(made_by_automation, 60, "make-statements")
    stack.enable(PAGES, False)
    stack.completed(*pages)
    return run


@pytest.fixture(scope="session")
def parts() -> Iterator[ExitStack]:
    """What was started in the background is ended with this."""
    with ExitStack() as parts:
        yield parts


@pytest.fixture(scope="session")
def background(parts: ExitStack) -> Iterator[Background]:
    with ThreadPoolExecutor(1) as pool:
        yield Background(pool)


@pytest.fixture(autouse=True)
def quiet(
    request: pytest.FixtureRequest,
    background: Background,
    parts: ExitStack,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Let no test here meet runs of the background; with the first one, begin those."""
    background.wait()
    if request.node.name != FIRST:
        return
    from tests.e2e import test_artifacts, test_postgres, test_rest

    stack: Stack = request.getfixturevalue("stack")
    folder = tmp_path_factory.mktemp("production")
    work: dict[str, Callable[[], object]] = {
        "called": lambda: test_rest.call_all(stack),
        "refused": lambda: test_artifacts.refuse(stack),
        "production": lambda: test_postgres.start(parts, folder),
    }
    for name, make in work.items():
        if any(name in getattr(item, "fixturenames", ()) for item in request.session.items):
            background.begin(name, make)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the run that dies in silence, and look last at how that was noticed.

    It takes more than two minutes, which all other tests have meanwhile.
    """

    def when(item: pytest.Item) -> int:
        if item.path.parent != HERE or not isinstance(item, pytest.Function):
            return 1
        return 0 if item.name == FIRST else 3 if "noticed" in item.fixturenames else 2

    items.sort(key=when)
