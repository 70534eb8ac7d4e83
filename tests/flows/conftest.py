"""One real Prefect server for all flow tests, and an empty place on S3 for each."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

from flows.commands.up import SERVER
from tests.flows.failing_s3 import FailingS3
from tests.through_s3 import Place

SERVER_STARTS_WITHIN_SECONDS = 120


@pytest.fixture(scope="package")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="package")
def prefect_api(prefect_home: Path) -> Iterator[str]:
    """Start a Prefect server with all its services, and point this process at it.

    A server of its own rather than `prefect_test_harness`, whose server runs no scheduler. The
    heartbeat is off, since joining its thread costs a second at the end of every flow run.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    log = prefect_home / "server.log"
    command = [sys.executable, "-m", "prefect", "server", "start", "--no-ui"]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        "PREFECT_HOME": str(prefect_home),
        **SERVER,  # as in `make up`
    }
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            _wait_until_healthy(url, server, log)
            with temporary_settings(
                {
                    PREFECT_HOME: prefect_home,
                    PREFECT_API_URL: url,
                    PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
                    PREFECT_LOGGING_TO_API_ENABLED: False,
                }
            ):
                yield url
        finally:
            server.terminate()


def _wait_until_healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SERVER_STARTS_WITHIN_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{url}/health").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"the Prefect server did not start:\n{log.read_text()[-5000:]}")


@pytest.fixture
def client(prefect_api: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def place(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Give an empty place on S3, which is also where flows look."""
    place = Place()
    place.point_at(monkeypatch)
    yield place
    place.store.client.close()


@pytest.fixture
def proxy(place: Place, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FailingS3]:
    """Let flows reach S3 through a proxy that can fail; `place` goes there directly."""
    with FailingS3(s3_endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        yield proxy
