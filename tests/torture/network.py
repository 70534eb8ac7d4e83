"""A network between us and S3 that breaks at random, with a seed, or at a request by number."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

FAULTS = ("503", "reset before", "reset after", "reset in the body", "truncated", "late")
_LATE_SECONDS = 0.2


class Network:
    """An HTTP proxy in front of an S3 endpoint.

    `rate` is the part of the requests that a fault is drawn for. `at` is called with the number of
    each request and its text ('PUT /bucket/key') before it is passed on, and again after it was,
    before its answer is. While `is_gone`, each connection is closed unanswered.
    """

    def __init__(self, endpoint: str, seed: int = 0, rate: float = 0) -> None:
        self.rate = rate
        self.at: Callable[[int, str, bool], None] = lambda number, request, is_done: None
        self.is_gone = False
        self.requests = 0
        self.faults: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"network": self, "host": urlsplit(endpoint).netloc})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self) -> tuple[int, str | None]:
        """Return the number of a request, and the fault that it meets."""
        with self._lock:
            self.requests += 1
            fault = "gone" if self.is_gone else None
            if fault is None and self._random.random() < self.rate:
                fault = self._random.choice(FAULTS)
            if fault:
                self.faults[fault] += 1
            return self.requests, fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    network: Network
    host: str

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        number, fault = self.network.take()
        request = f"{self.command} {unquote(self.path)}"
        self.network.at(number, request, False)
        if fault in ("gone", "reset before"):
            self.close_connection = True
            return
        if fault == "503":
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault == "late":
            time.sleep(_LATE_SECONDS)
        status, headers, data = self._ask(body)
        self.network.at(number, request, True)
        if fault == "reset after":
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in {"connection", "server", "transfer-encoding"}:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault in ("reset in the body", "truncated"):
            # Closed in its middle, or just before its last byte.
            data = data[: len(data) // 2] if fault != "truncated" else data[:-1]
            self.close_connection = True
        self.wfile.write(data)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = HTTPConnection(self.host)
        try:
            headers = {n: v for n, v in self.headers.items() if n.lower() != "expect"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass_on

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: connections that end too early are what this is for."""
