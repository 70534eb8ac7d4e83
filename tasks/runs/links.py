"""Links with which anybody may read or upload one object for a while, without an account."""

from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from tasks.core import keys
from tasks.io.object_store import ObjectStore


class Link(NamedTuple):
    """A presigned URL, and when it ends (UTC)."""

    url: str
    until: str


def read_link(store: ObjectStore, key: str) -> Link:
    """Return a link to read an object; one to what people are sent is valid for longer."""
    is_for_people = key.startswith((keys.STATEMENTS, keys.RESULTS))
    settings = store.settings
    seconds = settings.presign_statement_seconds if is_for_people else settings.presign_seconds
    return _link(store, "get_object", key, seconds)


def upload_link(store: ObjectStore, key: str) -> Link:
    """Return a link to upload an object, or to replace it."""
    return _link(store, "put_object", key, store.settings.presign_upload_seconds)


def _link(
    store: ObjectStore, action: Literal["get_object", "put_object"], key: str, seconds: int
) -> Link:
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    return Link(store.link(action, key, seconds), f"{until:%Y-%m-%d %H:%M} UTC")
