"""An HTTP server that passes requests on to another one, unless a subclass decides otherwise."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Answer:
    """What goes back to whoever asked."""

    status: int
    headers: tuple[tuple[str, str], ...] = (("Content-Length", "0"),)
    body: bytes = b""
    closes: bool = False  # the connection, also where the body is shorter than its headers say


class Proxy:
    """A server before an endpoint, for as long as it is entered. `meet` decides on each request."""

    def __init__(self, endpoint: str) -> None:
        handler = type("Handler", (_Handler,), {"proxy": self, "host": urlsplit(endpoint).netloc})
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

    def meet(self, request: str, pass_on: Callable[[], Answer]) -> Answer | None:
        """Return the answer to a request ('PUT /bucket/key'); None closes the connection."""
        return pass_on()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy
    host: str

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = f"{self.command} {unquote(self.path)}"
        answer = self.proxy.meet(request, lambda: self._ask(body))
        self.close_connection = answer is None or answer.closes
        if answer is None:
            return
        self.send_response(answer.status)
        for name, value in answer.headers:
            if name.lower() not in {"connection", "server", "date", "transfer-encoding"}:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _ask(self, body: bytes) -> Answer:
        connection = HTTPConnection(self.host)
        try:
            headers = {n: v for n, v in self.headers.items() if n.lower() != "expect"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, tuple(answer.getheaders()), answer.read())
        finally:
            connection.close()

    do_GET = do_PUT = do_HEAD = do_POST = do_PATCH = do_DELETE = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: connections that end too early are what this is for."""
