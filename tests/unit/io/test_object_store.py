"""S3 over a network that fails, and the writes that only one of many may win."""

import random
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from urllib.parse import urlsplit

import pytest

from tasks.core.errors import ChangedMeanwhile, LostRace, Refused, Unreachable
from tasks.core.settings import Settings
from tasks.io.object_store import CHUNK_BYTES, ObjectStore

BIG = random.Random(1).randbytes(5 * CHUNK_BYTES // 2)


@dataclass
class Faults:
    """What the proxy does wrong, and how often; then it does everything right."""

    cut_bodies: int = 0
    cut_after: int = 0  # bytes of a body
    is_reset: bool = False  # the connection is reset rather than closed
    unavailable: int = 0  # requests answered with 503
    lost_answers: int = 0  # PUT requests that are carried out, but not answered
    requests: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, fault: str) -> bool:
        """Say whether it is time for a fault, and count it."""
        with self.lock:
            left: int = getattr(self, fault)
            setattr(self, fault, max(left - 1, 0))
            return left > 0


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faults: Faults
    target: str

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.faults.requests.append(self.command)
        if self.faults.take("unavailable"):
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        connection = HTTPConnection(self.target)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if self.command == "PUT" and self.faults.take("lost_answers"):
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "server", "date", "transfer-encoding"}:
                self.send_header(name, value)
        self.end_headers()
        is_longer = self.command == "GET" and len(data) > self.faults.cut_after
        if answer.status < 300 and is_longer and self.faults.take("cut_bodies"):
            self._cut(data[: self.faults.cut_after])
        elif self.command != "HEAD":
            self.wfile.write(data)

    def _cut(self, data: bytes) -> None:
        self.wfile.write(data)
        self.close_connection = True
        if self.faults.is_reset:
            self.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _forward

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: connections that end too early are what this is for."""


@contextmanager
def through_proxy(settings: Settings, endpoint: str, faults: Faults) -> Iterator[ObjectStore]:
    """Give a store whose requests go to the same S3 through a proxy with faults."""
    handler = type("Proxy", (_Proxy,), {"faults": faults, "target": urlsplit(endpoint).netloc})
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        store = ObjectStore(settings, endpoint_url=f"http://127.0.0.1:{server.server_port}")
        try:
            yield store
        finally:
            store.client.close()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("is_reset", [False, True])
@pytest.mark.parametrize("cut_after", [0, 1, 1000, CHUNK_BYTES, CHUNK_BYTES + 1, len(BIG) - 1])
def test_a_stream_goes_on_where_the_connection_broke(
    store: ObjectStore, settings: Settings, s3_endpoint: str, cut_after: int, is_reset: bool
) -> None:
    store.write("big", BIG)
    ((etag, size),) = [(version.etag, version.size) for version in store.versions("")]
    assert size == len(BIG)
    faults = Faults(cut_bodies=3, cut_after=cut_after, is_reset=is_reset)
    with through_proxy(settings, s3_endpoint, faults) as proxied:
        assert b"".join(proxied.stream("big", etag)) == BIG
    assert faults.cut_bodies < 3
    assert len(faults.requests) == 1 + 3 - faults.cut_bodies


def test_a_whole_read_and_a_download_survive_broken_connections(
    store: ObjectStore, settings: Settings, s3_endpoint: str, tmp_path: Path
) -> None:
    store.write("big", BIG)
    with through_proxy(settings, s3_endpoint, Faults(cut_bodies=4, cut_after=99)) as proxied:
        found = proxied.read("big")
        proxied.download(["big"], [tmp_path / "big"])
    assert found is not None
    assert found[0] == BIG
    assert (tmp_path / "big").read_bytes() == BIG


def test_a_stream_that_never_gets_on_gives_up(
    store: ObjectStore, settings: Settings, s3_endpoint: str
) -> None:
    store.write("big", BIG)
    (version,) = store.versions("")
    faults = Faults(cut_bodies=1000, cut_after=0)
    with (
        through_proxy(settings, s3_endpoint, faults) as proxied,
        pytest.raises(Unreachable, match="breaks off in the middle of big: 8 times in"),
    ):
        list(proxied.stream("big", version.etag))
    assert len(faults.requests) == 8


def test_requests_answered_with_503_are_repeated(
    store: ObjectStore, settings: Settings, s3_endpoint: str
) -> None:
    faults = Faults(unavailable=2)
    with through_proxy(settings, s3_endpoint, faults) as proxied:
        store.write("a", b"text")
        assert proxied.read("a") == store.read("a")
        assert faults.unavailable == 0
        faults.unavailable = 1
        proxied.write_if("b", b"text", None)
    assert [version.key for version in store.versions("")] == ["a", "b"]


def test_what_is_replaced_or_deleted_in_the_middle_of_reading_is_not_mixed(
    store: ObjectStore, settings: Settings, s3_endpoint: str
) -> None:
    def replace() -> None:
        store.write("big", BIG[::-1])

    for change in (replace, lambda: store.delete("big")):
        store.write("big", BIG)
        (version,) = store.versions("")
        faults = Faults(cut_bodies=1, cut_after=CHUNK_BYTES + 1)
        with through_proxy(settings, s3_endpoint, faults) as proxied:
            chunks = proxied.stream("big", version.etag)
            assert next(chunks) == BIG[:CHUNK_BYTES]
            change()
            with pytest.raises(ChangedMeanwhile):
                list(chunks)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_what_is_written_is_read(store: ObjectStore, tmp_path: Path, size: int) -> None:
    store.write("written", BIG[:size])
    (tmp_path / "file").write_bytes(BIG[:size])
    store.upload(tmp_path / "file", "uploaded")
    versions = store.versions("")
    assert [(version.key, version.size) for version in versions] == [
        ("uploaded", size),
        ("written", size),
    ]
    for version in versions:
        assert '"' not in version.etag
        assert store.read(version.key) == (BIG[:size], version.etag)
        assert b"".join(store.stream(version.key, version.etag)) == BIG[:size]


def test_what_is_not_there_is_read_as_none(store: ObjectStore, tmp_path: Path) -> None:
    assert store.read("nothing") is None
    assert store.versions("") == []
    store.delete("nothing")
    with pytest.raises(ChangedMeanwhile, match="nothing was replaced"):
        list(store.stream("nothing", "d41d8cd98f00b204e9800998ecf8427e"))
    with pytest.raises(Refused, match="nothing is missing; it was deleted by hand and must be"):
        store.download(["nothing"], [tmp_path / "file"])


def race(settings: Settings, etag: str | None) -> list[str]:
    """Let 12 writers write the same key, and return what those wrote who think that they won."""
    barrier = threading.Barrier(12)

    def write(number: int) -> str | None:
        store = ObjectStore(settings)
        data = f"writer {number}"
        store.read("other")  # the connection is open before the start
        barrier.wait()
        try:
            store.write_if("contested", data.encode(), etag)
        except LostRace:
            return None
        finally:
            store.client.close()
        return data

    with ThreadPoolExecutor(12) as pool:
        return [data for data in pool.map(write, range(12)) if data is not None]


@pytest.mark.parametrize("is_there", [False, True])
def test_one_of_twelve_writers_wins(store: ObjectStore, settings: Settings, is_there: bool) -> None:
    etag = store.write_if("contested", b"first", None) if is_there else None
    winners = race(settings, etag)
    assert len(winners) == 1
    found = store.read("contested")
    assert found is not None
    assert found[0].decode() == winners[0]


def test_a_conditional_write_needs_the_condition(store: ObjectStore) -> None:
    first = store.write_if("key", b"first", None)
    with pytest.raises(LostRace, match="key"):
        store.write_if("key", b"other", None)
    second = store.write_if("key", b"second", first)
    assert store.read("key") == (b"second", second)
    with pytest.raises(LostRace):
        store.write_if("key", b"third", first)
    store.delete("key")
    with pytest.raises(LostRace):
        store.write_if("key", b"fourth", second)
    assert store.read("key") is None


@pytest.mark.parametrize("is_there", [False, True])
def test_a_write_whose_answer_is_lost_has_not_lost_the_race(
    store: ObjectStore, settings: Settings, s3_endpoint: str, is_there: bool
) -> None:
    before = store.write_if("key", b"before", None) if is_there else None
    faults = Faults(lost_answers=1)
    with through_proxy(settings, s3_endpoint, faults) as proxied:
        etag = proxied.write_if("key", b"after", before)
    assert faults.requests.count("PUT") == 2
    assert store.read("key") == (b"after", etag)


def test_a_write_that_came_too_late_has_lost_although_its_answer_is_lost_too(
    store: ObjectStore, settings: Settings, s3_endpoint: str
) -> None:
    store.write("key", b"somebody else's")
    with (
        through_proxy(settings, s3_endpoint, Faults(lost_answers=1)) as proxied,
        pytest.raises(LostRace),
    ):
        proxied.write_if("key", b"mine", None)


def keys(store: ObjectStore, folder: str) -> list[str]:
    return [version.key for version in store.versions(folder)]


def test_keys_are_given_without_the_prefix_and_kept_below_it(settings: Settings) -> None:
    whole, test, live = (
        ObjectStore(settings.model_copy(update={"prefix": prefix}))
        for prefix in ("", "test/", "test/live/")
    )
    test.write("events/a.csv", b"a")
    live.write("events/a.csv", b"b")
    live.write_if("events/b.csv", b"c", None)
    test.write("eventsandmore/c.csv", b"d")
    assert keys(test, "events/") == ["events/a.csv"]
    assert keys(live, "events/") == ["events/a.csv", "events/b.csv"]
    assert keys(live, "") == ["events/a.csv", "events/b.csv"]
    assert keys(whole, "test/live/") == ["test/live/events/a.csv", "test/live/events/b.csv"]
    assert [store.read("events/a.csv") is not None for store in (whole, test, live)] == [
        False,
        True,
        True,
    ]
    live.delete("events/a.csv")
    assert keys(whole, "test/events/") == ["test/events/a.csv"]
    for store in (whole, test, live):
        store.client.close()


def test_more_objects_than_one_page_holds_are_listed(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")  # of the embedded S3: 1000
    names = [f"{number:02d}" for number in range(10)]
    for name in reversed(names):
        store.write(name, b"")
    assert len(store.client.list_objects_v2(Bucket=store.bucket)["Contents"]) == 3
    assert keys(store, "") == names


MISSING_BUCKET: list[Callable[[ObjectStore], object]] = [
    lambda store: store.versions(""),
    lambda store: store.write("key", b""),
    lambda store: store.write_if("key", b"", None),
]


@pytest.mark.parametrize("request_", MISSING_BUCKET, ids=["versions", "write", "write_if"])
def test_a_missing_bucket_is_said_in_a_sentence(
    s3_endpoint: str, request_: Callable[[ObjectStore], object]
) -> None:
    store = ObjectStore(Settings(bucket="not-made-yet"))
    with pytest.raises(Refused, match="there is no bucket 'not-made-yet'; make it, or set VPP_BUC"):
        request_(store)
    store.client.close()
