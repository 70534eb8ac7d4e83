"""Links and forms: for how long what is valid, and for which object.

The S3 of the tests takes any form: it looks neither at the policy nor at its signature. So what is
shown is that the policy says what S3 goes by, and not that S3 does.
"""

import base64
import json
import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.runs.links import Link, UploadForm, read_link, upload_form

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


def policy(form: UploadForm) -> dict[str, Any]:
    """Read what was signed, and which S3 compares an upload with."""
    signed: dict[str, Any] = json.loads(base64.b64decode(form.fields["policy"]))
    return signed


def test_anybody_may_upload_and_read_for_a_while(store: ObjectStore, tmp_path: Path) -> None:
    form = upload_form(store, "events/a b.csv")
    (tmp_path / "a b.csv").write_text("text")
    said = subprocess.check_output([*shlex.split(form.command("a b.csv")), "-sSf"], cwd=tmp_path)
    assert said == b""
    assert httpx.get(read_link(store, "events/a b.csv").url).content == b"text"


def test_a_form_is_for_one_key_and_ends(store: ObjectStore) -> None:
    form = upload_form(store, "events/a.csv")
    signed = policy(form)
    conditions = signed["conditions"]
    assert {"bucket": store.bucket} in conditions
    assert {"key": f"{store.prefix}events/a.csv"} in conditions
    assert [c for c in conditions if isinstance(c, list)] == [["content-length-range", 1, 5 << 30]]
    # A field that is not among them S3 refuses, and each of them must be as it is here.
    named = {name: value for c in conditions if isinstance(c, dict) for name, value in c.items()}
    assert (
        named.items()
        >= {
            name: value
            for name, value in form.fields.items()
            if name not in ("policy", "x-amz-signature")
        }.items()
    )
    end = datetime.fromisoformat(signed["expiration"])
    assert timedelta(seconds=60) < end - datetime.now(UTC) <= timedelta(seconds=120)
    assert f"{end:%Y-%m-%d %H:%M} UTC" == form.until


@pytest.mark.parametrize(
    ("key", "gigabytes", "most"),
    [
        ("events/a.csv", 16, 5 << 30),
        ("prices/a.zip", 0.5, 1 << 29),
        ("registry/uploads/a.csv", 16, 100 << 20),
    ],
)
def test_what_is_uploaded_is_no_bigger_than_what_is_read(
    store: ObjectStore, key: str, gigabytes: float, most: int
) -> None:
    store.settings = store.settings.model_copy(update={"max_unpacked_gb": gigabytes})
    assert ["content-length-range", 1, most] in policy(upload_form(store, key))["conditions"]
