"""A file server on this machine with the faults of real ones."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Served:
    """A file, how it is served, and what was asked of it."""

    body: bytes
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True  #: whether Range is heeded
    if_range: bool = True  #: whether If-Range is heeded
    misplaced: int = 0  #: by how much Content-Range is wrong
    sized: bool = True  #: whether Content-Length is sent
    claims: int | None = None  #: what Content-Length says instead of the truth
    drop_after: int | None = None  #: bytes after which each connection breaks
    changed: bytes | None = None  #: what is served from the second GET on, with another ETag
    statuses: list[int] = field(default_factory=list)  #: answers to the first GETs instead of the file
    redirect: str | None = None
    hold_at: int | None = None  #: the first GET stands still here until `release` is set
    release: threading.Event = field(default_factory=threading.Event)
    asked: list[int] = field(default_factory=list)  #: for each GET, the first byte that was asked for
    sent: list[int] = field(default_factory=list)  #: and how many were sent
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def serving(certificate: Path | None = None, **files: Served) -> Iterator[str]:
    """Serve files by name, `a_zip` as `a.zip`; gives the address, which ends in a slash.

    Over https with a certificate: a PEM file with its key.
    """
    by_path = {f"/{name.replace('_', '.')}": served for name, served in files.items()}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            if (served := by_path.get(self.path)) is None:
                self.send_error(404)
            else:
                self._head(served, 200, len(served.body), {})

        def do_GET(self) -> None:
            served = by_path.get(self.path)
            if served is None:
                self.send_error(404)
                return
            served.headers.append(dict(self.headers))
            match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            served.asked.append(int(match[1]) if match else 0)
            served.sent.append(0)
            if served.changed is not None and len(served.asked) == 2:
                served.body, served.etag, served.changed = served.changed, '"two"', None
            if served.statuses:
                self.send_error(served.statuses.pop(0))
                return
            if served.redirect:
                self.send_response(302)
                self.send_header("Location", served.redirect)
                self.end_headers()
                return
            first = served.asked[-1]
            wanted = self.headers.get("If-Range")
            same = not served.if_range or wanted is None or wanted in (served.etag, served.modified)
            if match and served.ranges and same:
                if first >= len(served.body):
                    self.send_error(416)
                    return
                place = f"bytes {first + served.misplaced}-{len(served.body) - 1}/{len(served.body)}"
                self._head(served, 206, len(served.body) - first, {"Content-Range": place})
            else:
                first = 0
                self._head(served, 200, len(served.body), {})
            self._send(served, served.body[first:])

        def _head(self, served: Served, status: int, length: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            if served.sized:
                self.send_header("Content-Length", str(served.claims or length))
            for name, value in {"ETag": served.etag, "Last-Modified": served.modified, **headers}.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()

        def _send(self, served: Served, body: bytes) -> None:
            number = len(served.asked) - 1
            body = body[: served.drop_after]
            at = served.hold_at if number == 0 else None
            for piece in (body[:at], body[at:]) if at is not None else (body,):
                try:
                    self.wfile.write(piece)
                    self.wfile.flush()
                except OSError:  # the other side is gone
                    return
                served.sent[number] += len(piece)
                if at is not None:
                    served.release.wait(30)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}/"
    finally:
        for served in files.values():
            served.release.set()
        server.shutdown()
        thread.join()
        server.server_close()
