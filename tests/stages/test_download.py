"""The Hub's client as it is, against a small server on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import WeakFileLock

from idtd_cli.distilled import SUMS
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.hub.client import Place
from idtd_cli.stages import download, verify
from tests.hub_server import Hub, Repo, files
from tests.tiny import Heard, contents

NAME = "someone/motions"
SHARD = "data/train-000000-of-000001.tar"


def fetch(out: Path, name: str = NAME, **options: float) -> Heard:
    heard = Heard()
    download.run(Place.parse(name), out, None, heard, **options)
    return heard


def listed(changes: dict[str, bytes], exported: Path) -> dict[str, bytes]:
    """The files of a set with some changed, and with the checksums to match."""
    made = files(exported) | changes
    made.pop(SUMS)
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(made.items()))
    return made | {SUMS: sums.encode()}


def test_a_set_comes_as_it_was_exported(hub: Hub, published: Repo, exported: Path, tmp_path: Path) -> None:
    fetch(tmp_path / "set")
    assert contents(tmp_path / "set") == contents(exported)  # and so without the card of the Hub
    assert not [path for path in (tmp_path / "set").rglob("*") if path.is_symlink()]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "set"]
    # In the cache it is not fetched again, and what is there already is left as it is.
    hub.requests.clear()
    fetch(tmp_path / "again")
    assert not [request for request in hub.requests if request.startswith("GET /large")]
    assert fetch(tmp_path / "set").notes == [f"{tmp_path / 'set'} already holds this set: nothing to do."]


def test_a_revision_is_a_tag_a_branch_or_a_commit(hub: Hub, published: Repo, exported: Path, tmp_path: Path) -> None:
    first = published.refs["v1"]
    published.commit(listed({"videos/new.mp4": b"new"}, exported))
    for number, revision in enumerate(("v1", first)):
        fetch(tmp_path / f"{number}", f"{NAME}@{revision}")
        assert contents(tmp_path / f"{number}") == contents(exported)
    fetch(tmp_path / "main")
    assert (tmp_path / "main/videos/new.mp4").read_bytes() == b"new"
    with pytest.raises(InputError, match=r"main holds another set. Name a new folder"):
        fetch(tmp_path / "main", f"{NAME}@v1")


def test_a_connection_that_breaks_is_gone_on_with(hub: Hub, published: Repo, exported: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256((exported / SHARD).read_bytes()).hexdigest()
    hub.fail(f"GET /large/{NAME}/{digest}", after=2000)
    fetch(tmp_path / "set")
    assert contents(tmp_path / "set") == contents(exported)
    assert hub.requests.count(f"GET /large/{NAME}/{digest}") == 2


def test_what_arrived_before_the_hub_failed_is_kept(hub: Hub, published: Repo, exported: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256((exported / SHARD).read_bytes()).hexdigest()
    hub.fail(f"GET /large/{NAME}/{digest}", 503)
    with pytest.raises(IdtdError, match=r"could not be fetched: the Hub is out of order \(503\). Run the same command"):
        fetch(tmp_path / "set")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]
    hub.requests.clear()
    fetch(tmp_path / "set")
    assert contents(tmp_path / "set") == contents(exported)
    assert f"GET /large/{NAME}/{digest}" in hub.requests


@pytest.mark.parametrize(
    ("request_", "after"),
    [
        ("GET /api/datasets/.*", 20),
        ("GET /api/datasets/.*/tree/", 20),
        ("HEAD /datasets/.*/SHA256SUMS", 0),
        ("GET /datasets/.*/set.json", 20),
        ("GET /large/", 2000),
    ],
    ids=["what it is", "its list of files", "what a file is", "a small file", "a large one"],
)
def test_a_hub_that_falls_silent(
    hub: Hub, published: Repo, exported: Path, tmp_path: Path, patience: float, request_: str, after: int
) -> None:
    hub.fall_silent(request_, times=99, after=after)
    with pytest.raises(
        IdtdError, match=r"Hub( at http.*)? (stopped answering|cannot be reached)\W.*(again|once it can)"
    ):
        fetch(tmp_path / "set")
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}
    hub.faults.clear()
    fetch(tmp_path / "set")
    assert contents(tmp_path / "set") == contents(exported)


def test_what_a_killed_download_left_in_the_cache_is_removed(
    hub: Hub, published: Repo, exported: Path, tmp_path: Path
) -> None:
    """The client gives each try a file of its own, which nobody goes on with."""
    fetch(tmp_path / "set")
    blobs = next((tmp_path / "cache").glob("datasets--*")) / "blobs"
    digest = hashlib.sha256((exported / SHARD).read_bytes()).hexdigest()
    names = {
        "of a killed run": f"{digest}.0123abcd.incomplete",
        "still growing": f"{digest}.4567abcd.incomplete",
        "locked": "ab" * 32 + ".89abcdef.incomplete",
        "of an older client, which goes on with it": f"{digest}.incomplete",
    }
    for name in names.values():
        (blobs / name).write_bytes(b"half")
    for which in set(names) - {"still growing"}:
        os.utime(blobs / names[which], (0, 0))
    with WeakFileLock(tmp_path / "cache/.locks" / blobs.parent.name / ("ab" * 32 + ".lock")):
        fetch(tmp_path / "again")
    assert {path.name for path in blobs.glob("*.incomplete")} == set(names.values()) - {names["of a killed run"]}


def test_without_a_network_the_cache_will_do(
    hub: Hub, published: Repo, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (NAME, f"{NAME}@v1"):
        fetch(tmp_path / name.replace("/", "-"), name)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "cannot be reached" in fetch(tmp_path / "unreachable").notes[0]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # HF_HUB_OFFLINE=1, read when the client is imported
    fetch(tmp_path / "offline", f"{NAME}@v1")
    for name in ("unreachable", "offline"):
        assert contents(tmp_path / name) == contents(exported)
    with pytest.raises(InputError, match="someone/else is not wholly in the Hub's cache, and HF_HUB_OFFLINE is set"):
        fetch(tmp_path / "else", "someone/else")


def test_a_cache_that_was_damaged_is_mended(hub: Hub, published: Repo, exported: Path, tmp_path: Path) -> None:
    fetch(tmp_path / "one")
    for path in (tmp_path / "cache").rglob("blobs/*"):
        if path.stat().st_size == (exported / SHARD).stat().st_size:
            path.write_bytes(b"x" * path.stat().st_size)
    fetch(tmp_path / "two")
    assert contents(tmp_path / "two") == contents(exported)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("someone/else", "There is no dataset someone/else on the Hub, or it is private"),
        (f"{NAME}@v9", f"The dataset {NAME} has no revision v9. Name a branch, tag or commit"),
        ("someone/closed", "The dataset someone/closed is gated. Ask for access on its page"),
        ("someone/texts", "The dataset someone/texts is no distilled set: it has no set.json"),
        ("motions", "'motions' is no dataset on the Hub. Write OWNER/NAME"),
        (f"{NAME}@", "is no dataset on the Hub"),
        ("someone/--x", "cannot be the name of a dataset"),
    ],
)
def test_what_is_not_there(hub: Hub, published: Repo, tmp_path: Path, name: str, message: str) -> None:
    hub.repos["someone/closed"] = Repo(gated=True)
    hub.repos["someone/texts"] = Repo()
    hub.repos["someone/texts"].commit({"train.parquet": b"PAR1"})
    with pytest.raises(InputError, match=message) as raised:
        fetch(tmp_path / "set", name)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "is private|does not know your token"),
        (403, "your token does not allow it"),
        (429, r"asks for fewer requests \(429\)"),
        (503, r"is out of order \(503\)"),
    ],
)
def test_a_hub_that_refuses(hub: Hub, published: Repo, tmp_path: Path, status: int, message: str) -> None:
    hub.fail("GET /api/datasets", status, times=9)
    with pytest.raises(IdtdError, match=message) as raised:
        fetch(tmp_path / "set")
    assert "\n" not in str(raised.value)


def test_no_network_and_no_cache(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(IdtdError, match=r"the Hub at http://127.0.0.1:9 cannot be reached") as raised:
        fetch(tmp_path / "set")
    assert raised.value.exit_code == 1
    monkeypatch.setenv("HF_ENDPOINT", "ftp://x")
    with pytest.raises(InputError, match="'ftp://x' is no address of a Hub"):
        fetch(tmp_path / "set")


def test_a_large_file_that_was_changed_is_not_even_fetched(hub: Hub, published: Repo, tmp_path: Path) -> None:
    published.commit(published.files | {SHARD: b"x" + published.files[SHARD][1:]})
    with pytest.raises(InputError, match=r"train-000000-of-000001.tar of .* does not match its checksum in SHA256SUMS"):
        fetch(tmp_path / "set")
    assert not [request for request in hub.requests if request.startswith("GET /large")]


def test_a_small_file_that_was_changed_is_refused(hub: Hub, published: Repo, tmp_path: Path) -> None:
    document = json.loads(published.files["set.json"]) | {"seed": 7}
    published.commit(published.files | {"set.json": json.dumps(document).encode()})
    with pytest.raises(InputError, match=r"set.json of .* does not match its checksum in SHA256SUMS") as raised:
        fetch(tmp_path / "set")
    assert not (tmp_path / "set").exists()
    assert "Nothing was written" in str(raised.value)


def test_a_file_that_is_missing_is_named(hub: Hub, published: Repo, tmp_path: Path) -> None:
    published.commit({name: data for name, data in published.files.items() if name != SHARD})
    with pytest.raises(InputError, match=r"lacks data/train-000000-of-000001.tar, which its SHA256SUMS lists"):
        fetch(tmp_path / "set")


def test_a_set_that_is_too_large_is_refused_before_it_is_fetched(hub: Hub, published: Repo, tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"GB, and the limit is 1e-06 GB\. .* raise it: idtd download someone/motions OUT --max-gb 1",
    ):
        fetch(tmp_path / "set", max_gb=1e-6)
    assert not [request for request in hub.requests if request.startswith("GET /large")]


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "a/../../escaped", ".git/config"])
def test_checksums_that_name_paths_outside_are_refused(
    hub: Hub, published: Repo, exported: Path, tmp_path: Path, name: str
) -> None:
    published.commit(listed({name: b"x"}, exported))
    with pytest.raises(IdtdError, match="SHA256SUMS is damaged or forged"):
        fetch(tmp_path / "set")
    assert not list(tmp_path.rglob("escaped*"))
    assert not (tmp_path / "set").exists()


def test_a_repository_with_more_than_it_lists(hub: Hub, published: Repo, exported: Path, tmp_path: Path) -> None:
    """What is not listed is not fetched, be it a pickle or a path outside."""
    others = {"../../escaped": b"x", "evil.pkl": b"\x80\x04.", "data/evil-000000-of-000001.tar": b"x"}
    published.commit(published.files | others)
    fetch(tmp_path / "set")
    assert contents(tmp_path / "set") == contents(exported)
    with pytest.raises(InputError, match=r"- evil.pkl is not listed in SHA256SUMS"):
        verify.run(NAME, None, Heard())


def test_shards_that_hold_what_no_sample_is(
    hub: Hub, published: Repo, exported: Path, tmp_path: Path, spoilt_shard: bytes
) -> None:
    [shard] = exported.glob("data/*.tar")
    published.commit(listed({f"data/{shard.name}": spoilt_shard}, exported))
    words = r"^someone/motions: data/train-.*\.tar .* Nothing was written\. Do not trust someone/motions"
    with pytest.raises(InputError, match=words):
        fetch(tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_the_hub_is_verified_as_it_is(hub: Hub, published: Repo, exported: Path, tmp_path: Path) -> None:
    said = verify.run(f"{NAME}@v1", None, Heard())
    shutil.copytree(exported, tmp_path / "here")
    assert said == verify.run(str(tmp_path / "here"), None, Heard())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "here"]


@pytest.mark.parametrize("name", ["evil.pkl", "data/run.sh", "model.pt", "setup.py"])
def test_a_listed_file_of_a_kind_that_no_set_has_is_not_fetched(
    hub: Hub, published: Repo, exported: Path, tmp_path: Path, name: str
) -> None:
    published.commit(listed({name: b"x"}, exported))
    with pytest.raises(
        InputError, match=f"lists {name}, which is no file that a distilled set has. Nothing was written"
    ):
        fetch(tmp_path / "set")
    assert not [request for request in hub.requests if name in request]
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Linked-Etag", '"../../../../escaped"'),
        ("X-Linked-Etag", '"/tmp/escaped"'),
        ("X-Linked-Etag", '".."'),
        ("X-Repo-Commit", "../../escaped"),
        ("X-Repo-Commit", "0" * 40),
    ],
)
def test_answers_that_would_write_outside_of_the_cache(
    hub: Hub, published: Repo, tmp_path: Path, header: str, value: str
) -> None:
    """The client makes paths of digests and commits as a server names them."""

    def tamper(request: str, body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        return body, headers | ({header: value} if "/resolve/" in request and request.endswith(".tar") else {})

    hub.tamper = tamper
    with pytest.raises(IdtdError, match=r"the Hub answered with the digest|was changed at this moment"):
        fetch(tmp_path / "set")
    assert not list(tmp_path.rglob("escaped*"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]


@pytest.mark.parametrize(
    ("request_of", "change"),
    [
        ("GET /api/datasets/someone/motions", lambda found: found | {"sha": "../x"}),
        ("GET /api/datasets/someone/motions", lambda found: found | {"sha": None}),
        ("/tree/", lambda found: [entry | {"size": -(10**15)} for entry in found]),
        ("/tree/", lambda found: [entry | {"size": "many"} for entry in found]),
    ],
)
def test_a_hub_that_says_nonsense(
    hub: Hub, published: Repo, tmp_path: Path, request_of: str, change: Callable[[Any], Any]
) -> None:
    def tamper(request: str, body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        hit = request == request_of or (request_of == "/tree/" and "/tree/" in request)
        return (json.dumps(change(json.loads(body))).encode() if hit else body), headers

    hub.tamper = tamper
    with pytest.raises(IdtdError, match=r"The Hub (names no|does not say how)|the Hub answered with the commit"):
        fetch(tmp_path / "set")
