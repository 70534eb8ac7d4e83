"""With which anybody may read or upload one object for a while, without an account."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tasks.core import keys
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import MAX_UPLOAD_BYTES

_MOST_IN_ONE_POST_BYTES = 5 << 30  # S3 takes no more


class Link(NamedTuple):
    """A presigned URL to read from, and when it ends (UTC)."""

    url: str
    until: str


class UploadForm(NamedTuple):
    """Where to post a file to, the fields that go before it, and when they end (UTC)."""

    url: str
    fields: dict[str, str]
    until: str

    def command(self, name: str) -> str:
        """Return the command that uploads a file of this name, for any system's shell."""
        before = " ".join(f'-F "{field}={value}"' for field, value in self.fields.items())
        return f'curl {before} -F "file=@{name}" "{self.url}"'


def read_link(store: ObjectStore, key: str) -> Link:
    """Return a link to read an object; one to what people are sent is valid for longer."""
    is_for_people = key.startswith((keys.STATEMENTS, keys.RESULTS))
    settings = store.settings
    seconds = settings.presign_statement_seconds if is_for_people else settings.presign_seconds
    return Link(store.link(key, seconds), _until(seconds))


def upload_form(store: ObjectStore, key: str) -> UploadForm:
    """Return a form to upload an object with, or to replace it: no bigger than it is read."""
    settings = store.settings
    most = min(int(settings.max_unpacked_gb * (1 << 30)), _MOST_IN_ONE_POST_BYTES)
    if key.startswith(keys.REGISTRY_UPLOADS):
        most = MAX_UPLOAD_BYTES
    seconds = settings.presign_upload_seconds
    return UploadForm(*store.form(key, most, seconds), _until(seconds))


def _until(seconds: int) -> str:
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%d %H:%M} UTC"
