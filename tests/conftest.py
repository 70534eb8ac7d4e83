"""One real S3 server for all tests, and an empty place in it for each."""

from collections.abc import Generator, Iterator

import pytest
from moto import backends

from tasks.core.settings import Settings
from tasks.io.embedded_s3 import embedded_s3
from tasks.io.object_store import ObjectStore
from tests.through_s3 import empty_place


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests of a file, and all of `e2e`, which share a stack, run in one process."""
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(folder if folder == "e2e" else item.path.name))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make what was captured text that can be sent: hostile names are no UTF-8, and end a run."""
    report = yield
    report.sections = [
        (title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    # For each request moto lists its 190 services twice, from the disk, which is a quarter of its
    # time; they stay the same.
    services = tuple(backends.list_of_moto_modules())
    with pytest.MonkeyPatch.context() as patch, embedded_s3() as endpoint:
        patch.setattr(backends, "list_of_moto_modules", lambda: services)
        yield endpoint


@pytest.fixture
def settings(s3_endpoint: str) -> Settings:
    return empty_place()


@pytest.fixture
def store(settings: Settings) -> Iterator[ObjectStore]:
    store = ObjectStore(settings)
    yield store
    store.client.close()
