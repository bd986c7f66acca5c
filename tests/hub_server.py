"""A small Hugging Face Hub on this machine, for the client as it is: what it needs to download, and to publish.

It speaks the routes of the real one: repositories, commits, tags, large files by LFS and by Xet, the check of cards,
rights. Tests read and change its state, and can have it fail in the ways of a real one (`Hub.fail`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.xet_storage import Storage

#: Files that the Hub keeps apart from git.
_LARGE = (".tar", ".safetensors", ".mp4", ".png", ".gif", ".jpg")
_LICENCES = {"apache-2.0", "mit", "cc-by-4.0", "cc-by-nc-4.0", "cc0-1.0", "other", "unknown"}


@dataclass
class Repo:
    """A dataset repository: its commits, and the branches and tags that name one."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    gated: bool = False
    private: bool = False

    def commit(self, files: Mapping[str, bytes], *refs: str) -> str:
        """Add a commit with exactly these files; main and the given refs name it."""
        listing = [(path, hashlib.sha256(data).hexdigest()) for path, data in sorted(files.items())]
        sha = hashlib.sha1(json.dumps([len(self.commits), listing]).encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.refs |= dict.fromkeys(("main", *refs), sha)
        self.tags |= set(refs)
        return sha

    def resolve(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.refs.get(revision)

    @property
    def files(self) -> dict[str, bytes]:
        """Those of main."""
        return self.commits[self.refs["main"]]


@dataclass
class Account:
    """Whom a token belongs to, and what it allows."""

    name: str
    role: str = "write"
    orgs: Mapping[str, str] = field(default_factory=dict)  #: organisation → role in it

    def may_write(self, owner: str) -> bool:
        return self.role != "read" and (owner == self.name or self.orgs.get(owner) in ("write", "admin"))


@dataclass
class Fault:
    """How requests that match fail, `times` of them: with a status, or by a connection that breaks or falls silent."""

    pattern: str
    times: int
    status: int | None = None
    after: int = 0  #: bytes that still pass where the connection breaks
    silent: bool = False  #: it stays open, and nothing passes any more


@dataclass
class Hub:
    """The server's state, which tests read and change."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)  #: large files that were uploaded, by sha256
    accounts: dict[str, Account] = field(default_factory=dict)  #: by token
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)  #: method and path of each, in order
    ranges: list[str] = field(default_factory=list)  #: the Range of each request that had one
    received: int = 0  #: bytes of large files
    over: threading.Event = field(default_factory=threading.Event)  #: set when the server ends
    xet: Storage | None = None  #: where large files go by Xet, if the Hub has such a storage
    #: Changes an answer to `METHOD /path`: its body and headers.
    tamper: Callable[[str, bytes, dict[str, str]], tuple[bytes, dict[str, str]]] | None = None

    def fail(self, pattern: str, status: int | None = None, *, times: int = 1, after: int = 0) -> None:
        """Fail requests whose `METHOD /path` matches; without a status, break their connections."""
        self.faults.append(Fault(pattern, times, status, after))

    def fall_silent(self, pattern: str, *, times: int = 1, after: int = 0) -> None:
        """Neither go on with requests that match, nor end their connections."""
        self.faults.append(Fault(pattern, times, None, after, silent=True))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the body of each answer waits 40 ms for word that its head arrived
    hub: ClassVar[Hub]

    def do_GET(self) -> None:
        self._route()

    def do_HEAD(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def do_PUT(self) -> None:
        self._route()

    def _route(self) -> None:
        path = unquote(urlsplit(self.path).path)
        request = f"{self.command} {path}"
        self.hub.requests.append(request)
        self._break_after: int | None = None
        self._silent = False
        for fault in self.hub.faults:
            if fault.times and re.search(fault.pattern, request):
                fault.times -= 1
                if fault.status:
                    self._body()
                    self._error(fault.status, "", "As the test asked", {"Retry-After": "0"})
                    return
                self._break_after, self._silent = fault.after, fault.silent
                break
        if self.command in ("GET", "HEAD"):
            self._read(path)
        else:
            self._write(path)

    def _read(self, path: str) -> None:
        match path.strip("/").split("/"):
            case ["api", "whoami-v2"]:
                if account := self._account():
                    self._json(_whoami(account))
                else:
                    self._error(401, "", "Invalid credentials in Authorization header")
            case ["api", "datasets", owner, name, "auth-check", *write]:
                if (repo := self._repo(owner, name)) and (not write or self._may_write(owner)):
                    assert repo
                    self._json({})
            case ["api", "datasets", owner, name, "refs"]:
                if repo := self._repo(owner, name):
                    self._json(_refs(repo))
            case ["api", "datasets", owner, name, "revision", revision]:
                self._info(owner, name, revision)
            case ["api", "datasets", owner, name]:
                self._info(owner, name, "main")
            case ["api", "datasets", owner, name, "tree", revision, *parts]:
                if found := self._find(owner, name, revision):
                    recursive = parse_qs(urlsplit(self.path).query).get("recursive", ["true"])[0] != "false"
                    self._json([*_tree(found[1], "/".join(parts), recursive)])
            case ["api", "datasets", owner, name, "xet-write-token", _] if self.hub.xet:
                if self._may_write(owner):
                    token = {"casUrl": f"{self.hub.url}/xet", "accessToken": "xet", "exp": int(time.time()) + 3600}
                    self._json(token)
            case ["datasets", owner, name, "resolve", revision, *parts]:
                if found := self._find(owner, name, revision):
                    self._file(*found, "/".join(parts))
            case ["large", owner, name, digest]:
                commits = self.hub.repos[f"{owner}/{name}"].commits.values()
                self._bytes(next(data for files in commits for data in files.values() if _sha256(data) == digest), {})
            case _:
                self._error(404, "", "Not found")

    def _write(self, path: str) -> None:
        match path.strip("/").split("/"):
            case ["large", digest]:
                self._receive(digest)
                return
        body = self._body()
        match path.strip("/").split("/"):
            case ["xet", "v1", "xorbs", "default", digest] if self.hub.xet:
                self.hub.xet.add_xorb(digest, body)
                self._json({"was_inserted": True})
            case ["xet", "v1", "shards"] if self.hub.xet:
                self.hub.objects |= self.hub.xet.files(body)
                self._json({"result": 1})
            case ["api", "validate-yaml"]:
                errors = _card_errors(json.loads(body)["content"])
                self._json({"errors": [{"message": text} for text in errors], "warnings": []}, 400 if errors else 200)
            case ["api", "repos", "create"]:
                self._create(json.loads(body))
            case ["api", "datasets", owner, name, "preupload", revision]:
                if self._may_write(owner) and (found := self._find(owner, name, revision)):
                    self._json({"files": [_mode(file, found[1]) for file in json.loads(body)["files"]]})
            case ["datasets", owner, name, "info", "lfs", "objects", "batch"]:
                assert name.endswith(".git")
                if self._may_write(owner):
                    self._json({"transfer": "basic", "objects": [*map(self._action, json.loads(body)["objects"])]})
            case ["api", "datasets", owner, name, "commit", revision]:
                if self._may_write(owner) and (found := self._find(owner, name, revision)):
                    self._commit(self.hub.repos[f"{owner}/{name}"], f"{owner}/{name}", found, body)
            case ["api", "datasets", owner, name, "paths-info", revision]:
                if found := self._find(owner, name, revision):
                    asked = [*parse_qs(body.decode())["paths"]]
                    self._json([_entry(path, found[1][path]) for path in asked if path in found[1]])
            case ["api", "datasets", owner, name, "tag", revision]:
                if self._may_write(owner) and (found := self._find(owner, name, revision)):
                    repo, tag = self.hub.repos[f"{owner}/{name}"], json.loads(body)["tag"]
                    if tag in repo.refs:
                        self._error(409, "", "Tag reference exists already")
                    else:
                        repo.refs[tag] = found[0]
                        repo.tags.add(tag)
                        self._json({})
            case _:
                self._error(404, "", "Not found")

    def _account(self) -> Account | None:
        return self.hub.accounts.get(self.headers.get("Authorization", "").removeprefix("Bearer "))

    def _may_write(self, owner: str) -> bool:
        account = self._account()
        if account is None:
            self._error(401, "", "Invalid username or password.")
        elif not account.may_write(owner):
            self._error(403, "", "You don't have the rights to write here")
        return account is not None and account.may_write(owner)

    def _repo(self, owner: str, name: str) -> Repo | None:
        repo, account = self.hub.repos.get(f"{owner}/{name}"), self._account()
        if repo is None or (repo.private and not (account and owner in (account.name, *account.orgs))):
            return self._error(401, "RepoNotFound", "Repository not found")
        if repo.gated:
            return self._error(403, "GatedRepo", "Access to this dataset is restricted")
        return repo

    def _find(self, owner: str, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        repo = self._repo(owner, name)
        if repo is None:
            return None
        sha = repo.resolve(revision)
        if sha is None:
            return self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return sha, repo.commits[sha]

    def _info(self, owner: str, name: str, revision: str) -> None:
        if found := self._find(owner, name, revision):
            private = self.hub.repos[f"{owner}/{name}"].private
            self._json({"id": f"{owner}/{name}", "sha": found[0], "private": private, "siblings": []})

    def _file(self, sha: str, files: dict[str, bytes], path: str) -> None:
        if path not in files:
            self._error(404, "EntryNotFound", "Entry not found")
            return
        data = files[path]
        if not _is_large(path, len(data)):
            self._bytes(data, {"X-Repo-Commit": sha, "ETag": f'"{_oid(data)}"'})
            return
        # Another host, as it is in truth: the client keeps its token from it.
        _, _, owner, name, *_ = urlsplit(self.path).path.split("/")
        port = self.server.server_address[1]
        headers = {
            "Location": f"http://localhost:{port}/large/{owner}/{name}/{_sha256(data)}",
            "X-Repo-Commit": sha,
            "X-Linked-Etag": f'"{_sha256(data)}"',
            "X-Linked-Size": str(len(data)),
        }
        self._send(302, b"", headers)

    def _bytes(self, data: bytes, headers: dict[str, str]) -> None:
        asked = self.headers.get("Range", "")
        if match := re.fullmatch(r"bytes=(\d+)-", asked):
            self.hub.ranges.append(asked)
            first = int(match[1])
            headers |= {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
            self._send(206, data[first:], headers)
        else:
            self._send(200, data, headers)

    def _create(self, asked: dict[str, Any]) -> None:
        account = self._account()
        owner = asked.get("organization") or (account.name if account else "")
        if not self._may_write(owner):
            return
        name = f"{owner}/{asked['name']}"
        if name in self.hub.repos:
            self._json(
                {"error": "You already created this dataset repo", "url": f"{self.hub.url}/datasets/{name}"}, 409
            )
            return
        repo = self.hub.repos[name] = Repo(private=bool(asked.get("private")) or asked.get("visibility") == "private")
        repo.commit({".gitattributes": b"*.tar filter=lfs\n"})
        self._json({"url": f"{self.hub.url}/datasets/{name}", "name": name})

    def _action(self, asked: dict[str, Any]) -> dict[str, Any]:
        thing = {"oid": asked["oid"], "size": asked["size"]}
        if asked["oid"] in self.hub.objects:
            return thing
        return thing | {"actions": {"upload": {"href": f"{self.hub.url}/large/{asked['oid']}", "header": {}}}}

    def _receive(self, digest: str) -> None:
        data = self._body()
        self.hub.received += len(data)
        if _sha256(data) == digest:
            self.hub.objects[digest] = data
            self._send(200, b"", {})
        elif not self.close_connection:
            self._error(400, "", "Not what was announced")

    def _commit(self, repo: Repo, name: str, found: tuple[str, dict[str, bytes]], body: bytes) -> None:
        head, files = found[0], dict(found[1])
        for item in map(json.loads, body.splitlines()):
            value = item["value"]
            match item["key"]:
                case "header":
                    if value.get("parentCommit") not in (None, head):
                        self._error(412, "", "A commit has happened since")
                        return
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    files[value["path"]] = self.hub.objects[value["oid"]]
                case "deletedFile":
                    del files[value["path"]]
        sha = repo.commit(files)
        self._json({"commitOid": sha, "commitUrl": f"{self.hub.url}/datasets/{name}/commit/{sha}"})

    def _body(self) -> bytes:
        """What was sent, unless the connection is to break before its end."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
                if self._breaks(len(data)):
                    return data
            self.rfile.readline()
            return data
        length = int(self.headers.get("Content-Length", 0))
        if self._break_after is not None and self._break_after < length:
            data = self.rfile.read(self._break_after)
            self._breaks(len(data))
            return data
        return self.rfile.read(length)

    def _breaks(self, done: int) -> bool:
        if self._break_after is None or done < self._break_after:
            return False
        self._hang_up()
        return True

    def _hang_up(self) -> None:
        if self._silent:
            self.hub.over.wait()
        self.close_connection = True
        with suppress(OSError):  # the client was quicker
            self.connection.shutdown(2)

    def _json(self, content: object, status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str, message: str, headers: Mapping[str, str] = {}) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": message, **headers})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        if self.close_connection and self._break_after is not None:
            return  # nobody listens any more
        if self.command == "HEAD" and self._silent:
            self._hang_up()
            return
        if self.hub.tamper:
            body, headers = self.hub.tamper(f"{self.command} {unquote(urlsplit(self.path).path)}", body, headers)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, " ".join(value.split()))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: self._break_after])
            if self._break_after is not None:
                self.wfile.flush()
                self._hang_up()

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up, or is killed, is no fault of the server's."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _whoami(account: Account) -> dict[str, object]:
    return {
        "type": "user",
        "name": account.name,
        "orgs": [{"name": name, "roleInOrg": role} for name, role in account.orgs.items()],
        "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": account.role}},
    }


def _refs(repo: Repo) -> dict[str, object]:
    def each(kind: str, names: set[str]) -> list[dict[str, str]]:
        return [
            {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": sha}
            for name, sha in repo.refs.items()
            if name in names
        ]

    return {"branches": each("heads", set(repo.refs) - repo.tags), "tags": each("tags", repo.tags), "converts": []}


def _mode(file: dict[str, Any], there: dict[str, bytes]) -> dict[str, object]:
    large = _is_large(file["path"], file["size"])
    mode: dict[str, object] = {
        "path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False
    }  # fmt: skip
    if file["path"] in there:
        data = there[file["path"]]
        mode["oid"] = _sha256(data) if large else _oid(data)
    return mode


def _card_errors(content: str) -> list[str]:
    """A part of what the Hub asks of a dataset's card."""
    match = re.match(r"---\n(.*?)\n---\n", content, re.S)
    facts = yaml.safe_load(match[1]) if match else None
    if not isinstance(facts, dict):
        return ["Front matter is missing"]
    errors = []
    if facts.get("license") not in _LICENCES:
        errors.append('"license" must be one of the known ones')
    for name in ("task_categories", "size_categories", "tags", "annotations_creators", "source_datasets"):
        if not all(isinstance(value, str) for value in facts.get(name, [])):
            errors.append(f'"{name}" must be an array of strings')
    if not set(facts.get("task_categories", [])) <= {"video-classification"}:
        errors.append('"task_categories" must be known ones')
    return errors


def _is_large(path: str, size: int) -> bool:
    return path.endswith(_LARGE) or size > 10 << 20


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _oid(data: bytes) -> str:
    """The name that git gives to a file's bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _entry(path: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(data), "oid": _oid(data)}
    if _is_large(path, len(data)):
        entry["lfs"] = {"oid": _sha256(data), "size": len(data), "pointerSize": 130}
    return entry


def _tree(made: Mapping[str, bytes], under: str, recursive: bool) -> Iterator[dict[str, object]]:
    """What lies in a folder of a commit."""
    folders = set()
    for path, data in made.items():
        inside = path.removeprefix(f"{under}/") if under else path
        if under and inside == path:
            continue
        folder, slash, _ = inside.partition("/")
        if recursive or not slash:
            yield _entry(path, data)
        elif folder not in folders:
            folders.add(folder)
            yield {"type": "directory", "path": f"{under}/{folder}".strip("/"), "size": 0, "oid": _oid(b"")}


def files(folder: Path) -> dict[str, bytes]:
    """What a folder holds, as a commit."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def serve() -> Iterator[Hub]:
    """A Hub without repositories, at a free port."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with _Server(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub
        finally:
            hub.over.set()
            server.shutdown()
            thread.join()
