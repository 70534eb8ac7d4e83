"""A small S3 server on files, so that it is not the stand-in for S3 which the benchmark measures.

`python -m tests.bench.s3 PORT FOLDER`. It speaks what boto3 asks of it here: listings, reads whole
and in ranges (by sendfile), conditional reads and writes, uploads in parts. It looks at nobody's
signature, and forgets which objects there are when it ends.
"""

import hashlib
import os
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from shutil import copyfileobj
from threading import Lock
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

PAGE = 1000  # keys of a listing, as S3 has it


class Stored(NamedTuple):
    """An object: its file, quoted ETag, size and time."""

    path: Path
    etag: str
    size: int
    modified: float


class Handler(BaseHTTPRequestHandler):
    """Answers one connection; what is stored is shared by all."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    folder: Path
    objects: dict[str, Stored]
    uploads: dict[str, dict[int, Path]]
    lock: Lock

    def _request(self) -> tuple[str, dict[str, str]]:
        url = urlsplit(self.path)
        query = parse_qs(url.query, keep_blank_values=True)
        return unquote(url.path).lstrip("/"), {name: values[0] for name, values in query.items()}

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _error(self, status: int, code: str) -> None:
        body = b"" if self.command == "HEAD" else f"<Error><Code>{code}</Code></Error>".encode()
        self._answer(status, body)

    def _receive(self) -> tuple[Path, str]:
        """Write the body to a file; return it and its ETag: the MD5 of its content."""
        path, md5 = self.folder / uuid.uuid4().hex, hashlib.md5(usedforsecurity=False)
        with path.open("wb") as file:
            for size in self._sizes():
                left = size
                while left:
                    data = self.rfile.read(min(left, 1 << 20))
                    if not data:
                        raise ConnectionError("the client went away")
                    md5.update(data)
                    file.write(data)
                    left -= len(data)
        return path, f'"{md5.hexdigest()}"'

    def _sizes(self) -> "Iterable[int]":
        if "x-amz-decoded-content-length" in self.headers:
            return ChunkSizes(self.rfile)
        return [int(self.headers.get("Content-Length", 0))]

    def do_PUT(self) -> None:
        """Store an object or a part of one; a bucket needs no storing."""
        name, query = self._request()
        if "/" not in name:
            return self._answer(200)
        path, etag = self._receive()
        if "uploadId" in query:
            self.uploads[query["uploadId"]][int(query["partNumber"])] = path
            return self._answer(200, ETag=etag)
        return self._store(name, path, etag)

    def _store(self, name: str, path: Path, etag: str, body: bytes = b"") -> None:
        stored = Stored(path, etag, path.stat().st_size, time.time())
        with self.lock:
            there = self.objects.get(name)
            wanted = self.headers.get("If-Match")
            is_taken = there is not None and "If-None-Match" in self.headers
            if is_taken or (wanted and (not there or there.etag.strip('"') != wanted.strip('"'))):
                path.unlink()
                return self._error(412, "PreconditionFailed")
            self.objects[name] = stored
        if there:
            there.path.unlink()
        return self._answer(200, body, ETag=etag)

    def do_POST(self) -> None:
        """Begin an upload in parts, or put its parts together."""
        name, query = self._request()
        if "uploads" in query:
            upload = uuid.uuid4().hex
            self.uploads[upload] = {}
            body = f"<R><UploadId>{upload}</UploadId></R>".encode()
            return self._answer(200, body)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = self.uploads.pop(query["uploadId"])
        [first, *others] = [path for _, path in sorted(parts.items())]
        with first.open("ab") as whole:
            for path in others:
                with path.open("rb") as part:
                    copyfileobj(part, whole, 1 << 20)
                path.unlink()
        etag = f'"{uuid.uuid4().hex}"'
        return self._store(name, first, etag, f"<R><ETag>{escape(etag)}</ETag></R>".encode())

    def do_GET(self) -> None:
        """Send an object, a range of it, or a listing."""
        name, query = self._request()
        if "list-type" in query or "/" not in name:
            return self._list(name.rstrip("/"), query)
        stored = self.objects.get(name)
        if stored is None:
            return self._error(404, "NoSuchKey")
        wanted = self.headers.get("If-Match", stored.etag)
        if wanted.strip('"') != stored.etag.strip('"'):
            return self._error(412, "PreconditionFailed")
        start, end = 0, stored.size
        if asked := self.headers.get("Range"):
            low, high = asked.removeprefix("bytes=").split("-")
            start, end = int(low), min(int(high or stored.size) + 1, stored.size)
            if start >= stored.size:
                return self._error(416, "InvalidRange")
        self.send_response(206 if asked else 200)
        self.send_header("ETag", stored.etag)
        self.send_header("Last-Modified", formatdate(stored.modified, usegmt=True))
        self.send_header("Content-Length", str(end - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{stored.size}")
        self.end_headers()
        if self.command == "GET":
            with stored.path.open("rb") as file:
                self.wfile.flush()
                while start < end:
                    start += os.sendfile(
                        self.connection.fileno(), file.fileno(), start, end - start
                    )
        return None

    do_HEAD = do_GET

    def do_DELETE(self) -> None:
        """Forget an object."""
        if stored := self.objects.pop(self._request()[0], None):
            stored.path.unlink()
        self._answer(204)

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        begin = f"{bucket}/{query.get('prefix', '')}"
        after = query.get("continuation-token", "")
        found = sorted(name for name in [*self.objects] if name.startswith(begin) and name > after)
        root = ElementTree.Element("ListBucketResult")
        ElementTree.SubElement(root, "Name").text = bucket
        page = found[:PAGE]
        ElementTree.SubElement(root, "IsTruncated").text = str(len(found) > PAGE).lower()
        if len(found) > PAGE:
            ElementTree.SubElement(root, "NextContinuationToken").text = page[-1]
        for name in page:
            stored, contents = self.objects[name], ElementTree.SubElement(root, "Contents")
            modified = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(stored.modified))
            for tag, text in (
                ("Key", name.removeprefix(f"{bucket}/")),
                ("LastModified", modified),
                ("ETag", stored.etag),
                ("Size", str(stored.size)),
            ):
                ElementTree.SubElement(contents, tag).text = text
        self._answer(200, ElementTree.tostring(root))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of requests."""


class ChunkSizes:
    """The sizes of the chunks of a body that boto3 sends with its checksum behind them."""

    def __init__(self, body: BufferedIOBase) -> None:
        self.body = body

    def __iter__(self) -> Iterator[int]:
        while size := int(self.body.readline().split(b";")[0], 16):
            yield size
            self.body.readline()
        while self.body.readline().strip():  # the trailer
            pass


def main() -> None:
    """Serve until the process is ended."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(exist_ok=True)
    Handler.folder, Handler.objects, Handler.uploads = folder, {}, {}
    Handler.lock = Lock()
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
