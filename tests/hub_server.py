"""A small Hugging Face Hub on this machine, for the client as it is: what it needs to download a dataset."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import unquote, urlsplit


@dataclass
class Repo:
    """A dataset repository: its commits, and the branches and tags that name one."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False

    def commit(self, files: Mapping[str, bytes], *refs: str) -> str:
        """Add a commit with exactly these files; main and the given refs name it."""
        listing = [(path, hashlib.sha256(data).hexdigest()) for path, data in sorted(files.items())]
        sha = hashlib.sha1(json.dumps([len(self.commits), listing]).encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.refs |= dict.fromkeys(("main", *refs), sha)
        return sha

    def resolve(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.refs.get(revision)


@dataclass
class Hub:
    """The server's state, which tests read and change."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)  #: method and path of each, in order


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: ClassVar[Hub]

    def do_GET(self) -> None:
        self._route()

    def do_HEAD(self) -> None:
        self._route()

    def _route(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        match path.strip("/").split("/"):
            case ["api", "datasets", owner, name, "revision", revision]:
                if found := self._find(owner, name, revision):
                    self._json({"id": f"{owner}/{name}", "sha": found[0], "private": False, "siblings": []})
            case ["api", "datasets", owner, name]:
                if found := self._find(owner, name, "main"):
                    self._json({"id": f"{owner}/{name}", "sha": found[0], "private": False, "siblings": []})
            case ["api", "datasets", owner, name, "tree", revision]:
                if found := self._find(owner, name, revision):
                    self._json([_entry(path, data) for path, data in found[1].items()])
            case ["datasets", owner, name, "resolve", revision, *parts]:
                if found := self._find(owner, name, revision):
                    self._file(*found, "/".join(parts))
            case _:
                self._error(404, "", "Not found")

    def _find(self, owner: str, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        repo = self.hub.repos.get(f"{owner}/{name}")
        if repo is None:
            return self._error(401, "RepoNotFound", "Repository not found")
        if repo.gated:
            return self._error(403, "GatedRepo", "Access to this dataset is restricted")
        sha = repo.resolve(revision)
        if sha is None:
            return self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return sha, repo.commits[sha]

    def _file(self, sha: str, files: dict[str, bytes], path: str) -> None:
        if path not in files:
            self._error(404, "EntryNotFound", "Entry not found")
            return
        self._send(200, files[path], {"X-Repo-Commit": sha, "ETag": f'"{_oid(files[path])}"'})

    def _json(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str, message: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": message})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _oid(data: bytes) -> str:
    """The name that git gives to a file's bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _entry(path: str, data: bytes) -> dict[str, object]:
    return {"type": "file", "path": path, "size": len(data), "oid": _oid(data)}


@contextmanager
def serve() -> Iterator[Hub]:
    """A Hub without repositories, at a free port."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
