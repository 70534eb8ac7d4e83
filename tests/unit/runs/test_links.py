"""Links: for how long what is valid."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.runs.links import Link, read_link, upload_link

SETTINGS = {
    "presign_seconds": 60,
    "presign_upload_seconds": 120,
    "presign_statement_seconds": 7200,
}


@pytest.fixture
def store(settings: Settings) -> ObjectStore:
    return ObjectStore(settings.model_copy(update=SETTINGS))


def seconds(link: Link) -> int:
    end = datetime.strptime(link.until, "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)
    [valid] = parse_qs(urlsplit(link.url).query)["X-Amz-Expires"]
    expected = datetime.now(UTC) + timedelta(seconds=int(valid))
    assert timedelta(0) <= expected - end < timedelta(seconds=70)
    return int(valid)


@pytest.mark.parametrize(
    ("key", "valid"),
    [
        ("reports/2025-09/one.json", 60),
        ("disputes/2025-09/one/6001000001-r1.zip", 60),
        ("statements/2025-09/one/r1.html", 7200),
        ("results/workbooks/2025-09.xlsx", 7200),
    ],
)
def test_links_to_what_people_are_sent_are_valid_for_longer(
    store: ObjectStore, key: str, valid: int
) -> None:
    assert seconds(read_link(store, key)) == valid


def test_anybody_may_upload_and_read_with_a_link(store: ObjectStore) -> None:
    link = upload_link(store, "events/a.csv")
    assert seconds(link) == 120
    assert httpx.put(link.url, content=b"text").is_success
    assert httpx.get(read_link(store, "events/a.csv").url).content == b"text"
