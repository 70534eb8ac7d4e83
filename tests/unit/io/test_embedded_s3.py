"""The embedded S3: an endpoint with the bucket and conditional writes, and no trace of it after."""

import os
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tasks.core.settings import Settings
from tasks.io.embedded_s3 import embedded_s3
from tasks.io.object_store import ObjectStore


def test_the_embedded_s3_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://example.invalid")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
    before = dict(os.environ)
    with embedded_s3() as endpoint:
        assert os.environ["AWS_ENDPOINT_URL_S3"] == endpoint
        store = ObjectStore(Settings())
        store.write("key", b"text")
        store.client.close()
    assert dict(os.environ) == before


def test_the_environment_is_as_it_was_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    with pytest.raises(ValueError, match="of ours"), embedded_s3():
        raise ValueError("of ours")
    assert "AWS_ENDPOINT_URL_S3" not in os.environ


def test_conditional_writes_are_honoured(store: ObjectStore) -> None:
    """Of S3 itself, past what the store makes of it."""
    place: dict[str, Any] = {"Bucket": store.bucket, "Key": f"{store.prefix}a"}
    etag = store.client.put_object(**place, Body=b"1", IfNoneMatch="*")["ETag"]
    store.client.put_object(**place, Body=b"2", IfMatch=etag)
    conditions: list[dict[str, Any]] = [{"IfNoneMatch": "*"}, {"IfMatch": etag}]
    for condition in conditions:
        with pytest.raises(ClientError, match="PreconditionFailed"):
            store.client.put_object(**place, Body=b"3", **condition)
    assert store.client.get_object(**place)["Body"].read() == b"2"
