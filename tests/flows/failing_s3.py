"""A network in front of S3 that fails on command, or lets something happen at a given request."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

Answer = int | Callable[[], None] | None


@dataclass
class Rule:
    """What becomes of the next so many requests that look like this: 'PUT /bucket/prefix/key'."""

    request: re.Pattern[str]
    times: int
    answer: Answer  # a status; None: the connection is closed; or what happens before it is passed


class Proxy:
    """An HTTP server that passes everything on, unless a rule says otherwise."""

    def __init__(self, endpoint: str) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self, "target": urlsplit(endpoint).netloc})
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

    def answer(self, request: str, status: int | None, times: int) -> None:
        """Answer the next requests of this pattern with a status, or (None) close on them."""
        self._rules.append(Rule(re.compile(request), times, status))

    def before(self, request: str, happens: Callable[[], None]) -> None:
        """Let something happen just before the next request of this pattern is passed on."""
        self._rules.append(Rule(re.compile(request), 1, happens))

    def is_used_up(self) -> bool:
        """Say whether all that was to fail or happen has."""
        return not any(rule.times for rule in self._rules)

    def take(self, request: str) -> Rule | None:
        with self._lock:
            for rule in self._rules:
                if rule.times and rule.request.search(request):
                    rule.times -= 1
                    return rule
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy
    target: str

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        rule = self.proxy.take(f"{self.command} {unquote(self.path)}")
        if rule and rule.answer is None:
            self.close_connection = True
            return
        if rule and isinstance(rule.answer, int):
            self.send_response(rule.answer)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if rule and callable(rule.answer):
            rule.answer()
        connection = HTTPConnection(self.target)
        try:
            headers = {n: v for n, v in self.headers.items() if n.lower() != "expect"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "server", "date", "transfer-encoding"}:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_PUT = do_HEAD = do_POST = do_PATCH = do_DELETE = _pass_on

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: connections that end too early are what this is for."""
