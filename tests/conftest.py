"""One real S3 server for all tests, and an empty place in it for each."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tasks.core.settings import Settings
from tasks.io.embedded_s3 import embedded_s3
from tasks.io.object_store import ObjectStore


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    with embedded_s3() as endpoint:
        yield endpoint


@pytest.fixture
def settings(s3_endpoint: str) -> Settings:
    return Settings(prefix=f"{uuid4().hex}/")


@pytest.fixture
def store(settings: Settings) -> Iterator[ObjectStore]:
    store = ObjectStore(settings)
    yield store
    store.client.close()
