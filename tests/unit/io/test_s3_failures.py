"""What S3 fails with, each by a real HTTP server that does so: a sentence, without any secret."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from operator import methodcaller
from pathlib import Path

import boto3
import pytest
from botocore.retries.standard import ExponentialBackoff

from tasks.core.errors import Refused, Unreachable
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore

SECRET = "sEcReT"
NOWHERE = "http://127.0.0.1:9"
Call = Callable[[ObjectStore], object]
LIST, READ = methodcaller("versions", "events/"), methodcaller("read", "a")
WRITE, HEAD = methodcaller("write_if", "a", b"", None), methodcaller("exists", "a")


class _Failing(BaseHTTPRequestHandler):
    """Answers each request alike: '503 SlowDown', '200 <html/>', 'hangs', 'closes'."""

    answer = ""

    def _fail(self) -> None:
        status, _, said = self.answer.partition(" ")
        if status == "hangs":
            time.sleep(1)
        if not status.isdigit():
            return
        body = said if said.startswith("<") else f"<Error><Code>{said}</Code></Error>"
        self.send_response(int(status))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    do_GET = do_PUT = do_HEAD = _fail

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def failing_s3(answer: str) -> Iterator[str]:
    handler = type("Handler", (_Failing,), {"answer": answer})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "VPP_S3_READ_SECONDS": "0.2",
        "VPP_BUCKET": "bucket",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps credentials
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0.0)


def said(kind: type[Exception], call: Call, endpoint: str) -> str:
    """Return what a call of a store fails with, without the name of the endpoint."""
    with pytest.raises(kind) as failed:
        call(ObjectStore(Settings(), endpoint_url=endpoint))
    text = str(failed.value)
    assert SECRET not in text
    assert "\n" not in text
    return text.replace(endpoint, "S3")


REFUSED: dict[str, tuple[str, Call, str]] = {
    "wrong key": ("403 InvalidAccessKeyId", LIST, "S3 at S3 does not take these credentials (I"),
    "wrong secret": ("403 SignatureDoesNotMatch", READ, "S3 at S3 does not take these credentials"),
    "wrong token": ("400 InvalidToken", READ, "S3 at S3 does not take these credentials (Inv"),
    "expired token": ("400 ExpiredToken", WRITE, "The credentials for S3 at S3 have expired (Exp"),
    "no listing": (
        "403 AccessDenied",
        LIST,
        "S3 at S3 does not permit s3:ListBucket on bucket/events/ (AccessDenied): the policy",
    ),
    "no reading": ("403 AccessDenied", READ, "S3 at S3 does not permit s3:GetObject on bucket/a ("),
    "no writing": ("403 AccessDenied", WRITE, "S3 at S3 does not permit s3:PutObject on bucket/a"),
    "no looking": ("403", HEAD, "S3 at S3 does not permit s3:GetObject on bucket/a (403)"),
    "clock": ("403 RequestTimeTooSkewed", READ, "This machine's clock is off: it says "),
    "no bucket": ("404 NoSuchBucket", WRITE, "there is no bucket 'bucket'; make it, or set VPP_"),
    "another region": (
        "400 AuthorizationHeaderMalformed",
        READ,
        "S3 at S3 answers s3:GetObject on",
    ),
    "a page": ("200 <html></html>", LIST, "What answers at S3 is no S3: correct AWS_ENDPOINT"),
    "no page": ("404 <html></html>", LIST, "What answers at S3 is no S3: correct AWS_ENDPOINT_URL"),
    "not built": (
        "501 NotImplemented",
        WRITE,
        "S3 at S3 answers s3:PutObject on bucket/a with 501",
    ),
}


@pytest.mark.parametrize(("answer", "call", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_a_person_has_to_change_is_refused(answer: str, call: Call, sentence: str) -> None:
    with failing_s3(answer) as endpoint:
        assert said(Refused, call, endpoint).startswith(sentence)


PASSING = {
    "an error": (
        "503 SlowDown",
        READ,
        "S3 at S3 cannot be used (s3:GetObject on bucket/a): it ans",
    ),
    "silence": (
        "hangs",
        LIST,
        "S3 at S3 cannot be used (s3:ListBucket on bucket/events/): it takes connections and does "
        "not answer within 0.2 s, for ",
    ),
    "no answer": ("closes", WRITE, "S3 at S3 cannot be used (s3:PutObject on bucket/a): it closes"),
}


@pytest.mark.parametrize(("answer", "call", "sentence"), PASSING.values(), ids=PASSING)
def test_what_may_pass_is_not_refused(answer: str, call: Call, sentence: str) -> None:
    with failing_s3(answer) as endpoint:
        assert said(Unreachable, call, endpoint).startswith(sentence)


def hurry(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the clock of the failures go on by this much each time that it is looked at."""
    times = count(0, seconds)
    monkeypatch.setattr("tasks.io.s3_failures.monotonic", lambda: next(times))


def test_where_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch, 12)
    assert said(Unreachable, LIST, NOWHERE) == (
        "S3 at S3 cannot be used (s3:ListBucket on bucket/events/): nothing answers there "
        "(Connection refused), for 12 s"
    )
    with pytest.raises(Refused, match="start that S3, or correct"):
        ObjectStore(Settings(), endpoint_url=NOWHERE).require_access()


def test_waiting_is_said_and_bounded(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VPP_S3_READ_SECONDS", "7")  # it is tried again for 14 s
    hurry(monkeypatch, 6)
    with failing_s3("503 SlowDown") as endpoint:
        assert said(Unreachable, READ, endpoint).endswith("it answers with 503, for 18 s")
    assert [record.getMessage() for record in caplog.records if record.name == "vpp.s3"] == [
        f"waiting for S3 at {endpoint}: s3:GetObject on bucket/a, it answers with 503, for {said} "
        "s now"
        for said in (6, 12)
    ]


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"AWS_ACCESS_KEY_ID": ""}, "There are no credentials for S3: set AWS_ACCESS_KEY_ID"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "The credentials for S3 are not complete: Partial creden"),
        ({"AWS_PROFILE": "x"}, "The credentials for S3 are not complete: The config profile (x)"),
        ({"AWS_ACCESS_KEY_ID": f"{SECRET}\nx"}, "The credentials for S3 cannot be sent: a line"),
        (
            {"AWS_ENDPOINT_URL_S3": f"http://{SECRET}:{SECRET}@127.0.0.1:9"},
            "The URL of S3 has a user or password in it; leave them out",
        ),
        ({"AWS_ENDPOINT_URL_S3": f"a:{SECRET}@b"}, "AWS_ENDPOINT_URL_S3 is no URL of an S3, like"),
    ],
)
def test_wrong_credentials_and_urls_are_not_shown(
    environment: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", NOWHERE)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Refused) as refused:
        ObjectStore(Settings()).read("a")
    assert str(refused.value).startswith(sentence)
    assert SECRET not in str(refused.value)
