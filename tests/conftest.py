"""One real S3 server for all tests, and an empty place in it for each."""

import gc
from collections.abc import Generator, Iterator
from typing import Any

import certifi
import pytest
from moto import backends
from xdist.scheduler import LoadFileScheduling

from tasks.core.settings import Settings
from tasks.io.embedded_s3 import embedded_s3
from tasks.io.object_store import ObjectStore
from tests.through_s3 import empty_place

# Tests make objects by the hundred thousand, and nearly all go without it. To look for cycles after
# each 700 of them (Python's default) takes an eighth of the time of settlements and explanations.
gc.set_threshold(10_000)


class _ByStack(LoadFileScheduling):  # type: ignore[misc]
    """Lets the tests of a file run in one process, and those of `e2e` and of `flows` too.

    All of `e2e` have one stack, and all of `flows` one Prefect server. Groups by marker
    (`--dist loadgroup`) are silently none at all with this xdist and pytest.
    """

    def _split_scope(self, nodeid: str) -> str:
        folder = nodeid.split("/")[1]
        return folder if folder in ("e2e", "flows") else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return _ByStack(config, log)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name bytes by what they are alone: in an archive is the time, and its size depends on that.

    Else two processes that made it in different seconds would have different tests, which ends the
    run.
    """
    return "bytes" if isinstance(val, bytes) else None


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


@pytest.fixture(scope="session", autouse=True)
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let HTTP clients know one certificate authority, not all: nothing here speaks TLS.

    Each client that is made reads them, which takes 15 ms for all and nothing for one. Prefect
    makes several for each run.
    """
    file = tmp_path_factory.mktemp("authority") / "one.pem"
    end = "-----END CERTIFICATE-----\n"
    file.write_text(certifi.contents().split(end)[0] + end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        patch.setenv("PREFECT_API_SSL_CERT_FILE", str(file))
        yield


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
