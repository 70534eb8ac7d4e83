"""What is used of S3: listings, whole and streamed reads, and writes that can lose a race."""

import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from shutil import copyfile
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from boto3.s3.transfer import TransferConfig
from botocore import session as botocore_session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)
from botocore.utils import parse_timestamp

from tasks.core.errors import ChangedMeanwhile, LostRace, Refused
from tasks.core.settings import Settings
from tasks.io.s3_failures import LOST, MISSING, NO_CREDENTIALS, Failures, in_words

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK_BYTES = 1 << 20
_PARALLEL_REQUESTS = 16
_CONNECTIONS = 4 * _PARALLEL_REQUESTS  # kept open: several imports read at once
_ONE_PUT_BYTES = 8 << 20
# Parts cost a request each and gain only with very large files (AWS: from 100 MB).
_TRANSFER = TransferConfig(multipart_threshold=100 << 20, multipart_chunksize=32 << 20)
_BROKEN = (ResponseStreamingError, IncompleteReadError, HTTPClientError)  # in mid-body


def _set_default_session() -> None:
    """Make boto3's session, with a parser of times that takes a hundredth of botocore's own.

    There is one time for each object of a listing.
    """
    session = botocore_session.get_session()
    parsers = session.get_component("response_parser_factory")
    parsers.set_parser_defaults(timestamp_parser=_moment)
    boto3.setup_default_session(botocore_session=session)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # as headers have it
        return parse_timestamp(text)


@dataclass(frozen=True, order=True)
class ObjectVersion:
    """One object as a listing showed it."""

    key: str
    etag: str
    size: int
    last_modified: datetime


class ObjectStore:
    """One bucket and prefix. Keys are given and returned without the prefix."""

    def __init__(self, settings: Settings, **client_options: Any) -> None:
        self.settings = settings
        self.bucket = settings.bucket
        self.prefix = settings.prefix
        # 'standard' with 8 attempts rides out 30% of errors; 'adaptive' slows down to a crawl.
        # SigV4 by name, since boto3 presigns with SigV2 for endpoints that are not AWS.
        config = Config(
            signature_version="s3v4",
            retries={"mode": "standard", "total_max_attempts": 8},
            max_pool_connections=_CONNECTIONS,
            connect_timeout=settings.s3_connect_seconds,
            read_timeout=settings.s3_read_seconds,
        )
        try:
            if boto3.DEFAULT_SESSION is None:
                _set_default_session()
            self.client: S3Client = boto3.client("s3", config=config, **client_options)
        except (BotoCoreError, ValueError) as problem:
            raise Refused(in_words(problem)) from None
        self._failures = Failures(
            self.client, settings.s3_connect_seconds, settings.s3_read_seconds
        )
        self.bytes_streamed = 0  # by all threads together, for people who wait
        self._date: str | None = None
        self.client.meta.events.register("after-call.s3", self._note_date)

    def _note_date(self, parsed: dict[str, Any], **_: Any) -> None:
        headers = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        self._date = headers.get("date", self._date)

    def require_access(self) -> None:
        """Find out at once what boto3 finds out by trying: for what people start by hand.

        Raises:
            Refused: there are no credentials, or nothing listens at the endpoint.
        """
        if boto3.Session().get_credentials() is None:
            raise Refused(NO_CREDENTIALS)
        address = urlsplit(self.client.meta.endpoint_url)
        port = address.port or (443 if address.scheme == "https" else 80)
        try:
            socket.create_connection((address.hostname or "", port), timeout=5).close()
        except (ConnectionRefusedError, socket.gaierror) as problem:
            raise Refused(
                f"Nothing answers at {self.client.meta.endpoint_url} ({problem.strerror}): start "
                "that S3, or correct AWS_ENDPOINT_URL_S3"
            ) from None
        except OSError:
            pass  # boto3 may know another way, through a proxy

    @property
    def clock(self) -> datetime | None:
        """Return what the store's clock said in its last answer, to the second, if it did."""
        try:
            return parsedate_to_datetime(self._date) if self._date else None
        except ValueError:
            return None

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process as the settings that it is made from."""
        return type(self), (self.settings,)

    def versions(self, folder: str) -> list[ObjectVersion]:
        """Return all objects below a folder, in key order."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix + folder
        )
        return [
            ObjectVersion(
                item["Key"].removeprefix(self.prefix),
                item["ETag"].strip('"'),
                item["Size"],
                item["LastModified"],
            )
            for page in pages
            for item in page.get("Contents", [])
        ]

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Return an object's bytes and ETag, or None where there is none."""
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key)
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return None
            raise
        etag = answer["ETag"].strip('"')
        try:
            return answer["Body"].read(), etag
        except _BROKEN:
            try:
                return b"".join(self.stream(key, etag)), etag
            except ChangedMeanwhile:
                return self.read(key)

    def stream(self, key: str, etag: str) -> Iterator[bytes]:
        """Yield the bytes of exactly this version, going on where a connection broke.

        boto3 retries a request, but never a body that breaks off in the middle; its transfer
        manager does, and reads in ranges, which cannot be hashed and unpacked on the way.

        Raises:
            ChangedMeanwhile: the object has another ETag now, or was deleted.
        """
        offset, broken, last = 0, 0, monotonic()
        rest: dict[str, Any] = {}
        while True:
            try:
                answer = self.client.get_object(
                    Bucket=self.bucket,
                    Key=self.prefix + key,
                    IfMatch=etag,
                    **rest,
                )
                for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):
                    offset += len(chunk)
                    self.bytes_streamed += len(chunk)
                    broken = 0
                    yield chunk
                    last = monotonic()
                return
            except _BROKEN:
                broken += 1
                seconds = monotonic() - last
                if broken == 8 or seconds > self._failures.patience_seconds:
                    raise self._failures.broken(key, broken, seconds) from None
                rest = {"Range": f"bytes={offset}-"} if offset else {}
            except ClientError as error:
                if error.response["Error"]["Code"] in MISSING | LOST:
                    raise ChangedMeanwhile(f"{key} was replaced while it was read") from None
                if error.response["Error"]["Code"] == "InvalidRange":  # it broke at the last byte
                    return
                raise

    def write(self, key: str, data: bytes, content_type: str = "application/json") -> None:
        """Write an object that nobody else writes differently."""
        self.client.put_object(
            Bucket=self.bucket, Key=self.prefix + key, Body=data, ContentType=content_type
        )

    def write_if(self, key: str, data: bytes, etag: str | None) -> str:
        """Write an object if it still has this ETag, or (None) if there is none; return its ETag.

        A write whose answer got lost is repeated by boto3 and then loses against itself. So the
        object is read before a race is called lost.

        Raises:
            LostRace: it has another ETag now.
        """
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            answer = self.client.put_object(
                Bucket=self.bucket,
                Key=self.prefix + key,
                Body=data,
                ContentType="application/json",
                **condition,  # type: ignore[arg-type]
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in LOST | MISSING:
                raise
            now = self.read(key)
            if now is not None and now[0] == data:
                return now[1]
            raise LostRace(key) from None
        return answer["ETag"].strip('"')

    def upload(self, path: Path, key: str) -> None:
        """Write a file of any size that nobody else writes differently."""
        if path.stat().st_size <= _ONE_PUT_BYTES:
            self.write(key, path.read_bytes(), "application/octet-stream")
        else:
            self.client.upload_file(str(path), self.bucket, self.prefix + key, Config=_TRANSFER)

    def exists(self, key: str) -> bool:
        """Say whether there is such an object."""
        try:
            self.client.head_object(Bucket=self.bucket, Key=self.prefix + key)
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return False
            raise
        return True

    def link(self, key: str, seconds: int) -> str:
        """Return a presigned URL with which anybody may read this key for a while."""
        return self.client.generate_presigned_url(
            "get_object", {"Bucket": self.bucket, "Key": self.prefix + key}, ExpiresIn=seconds
        )

    def form(self, key: str, most_bytes: int, seconds: int) -> tuple[str, dict[str, str]]:
        """Return where to post a form to, and its fields, with which anybody may write this key.

        For a while, with one object of 1 to so many bytes: S3 itself refuses another, which it
        does not for a presigned PUT.
        """
        form = self.client.generate_presigned_post(
            self.bucket,
            self.prefix + key,
            Conditions=[["content-length-range", 1, most_bytes]],
            ExpiresIn=seconds,
        )
        return form["url"], form["fields"]

    def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        self.client.delete_object(Bucket=self.bucket, Key=self.prefix + key)

    def download(self, keys: Sequence[str], paths: Sequence[Path]) -> None:
        """Download immutable objects to files, several at a time.

        Raises:
            Refused: one is missing.
        """

        def bring(key: str, path: Path) -> None:
            found = self.read(key)
            if found is None:
                raise Refused(f"{key} is missing; it was deleted by hand and must be restored")
            path.write_bytes(found[0])

        with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
            list(pool.map(bring, keys, paths))


class ScratchStore(ObjectStore):
    """Reads what is on S3, and keeps what is written in a folder of this machine instead."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        super().__init__(settings)
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process of this machine."""
        return type(self), (self.settings, self.folder)

    def _path(self, key: str) -> Path:
        return self.folder / key.replace("/", "|")

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Return what was written here, or else what is on S3."""
        path = self._path(key)
        return (path.read_bytes(), "scratch") if path.exists() else super().read(key)

    def write(self, key: str, data: bytes, content_type: str = "application/json") -> None:
        """Keep it here."""
        self._path(key).write_bytes(data)

    def write_if(self, key: str, data: bytes, etag: str | None) -> str:
        """Keep it here, where nobody else writes."""
        self.write(key, data)
        return "scratch"

    def upload(self, path: Path, key: str) -> None:
        """Keep a file here."""
        copyfile(path, self._path(key))
