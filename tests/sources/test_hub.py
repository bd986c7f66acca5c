"""The Hub's client as it is, against a small server on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from idtd_cli.errors import IdtdError, InputError
from idtd_cli.hub import client
from idtd_cli.sources.registry import find
from idtd_cli.video import decode
from tests import hub_server
from tests.video.making import every_frame, make

FILES = {f"{name}/{i}.mp4": f"{name}{i}".encode() for name in ("run", "jump") for i in range(2)}


@pytest.fixture(autouse=True)
def motions(hub: hub_server.Hub) -> None:
    hub.repos["someone/motions"] = hub_server.Repo()


def test_a_folder_on_the_hub(hub: hub_server.Hub, tmp_path: Path) -> None:
    video = make(tmp_path / "v.mp4").read_bytes()
    sha = hub.repos["someone/motions"].commit(FILES | {"run/0.mp4": video, "README.md": b"# Motions"})
    source = find("hub:someone/motions")
    assert (source.name, source.kind, source.classes) == (f"someone/motions@{sha}", "hub/folder", ("jump", "run"))
    assert [v.id for v in source.videos] == ["jump/0.mp4", "jump/1.mp4", "run/0.mp4", "run/1.mp4"]
    assert decode.decode(source.videos[2].medium, every_frame(40)).frames == 40


def test_equal_files_are_two_videos(hub: hub_server.Hub) -> None:
    hub.repos["someone/motions"].commit(dict.fromkeys(FILES, b"the same"))
    assert len(find("hub:someone/motions").videos) == 4


def test_other_layouts(hub: hub_server.Hub, exported: Path) -> None:
    hub.repos["someone/motions"].commit(hub_server.files(exported))
    source = find("hub:someone/motions")
    assert (source.kind, source.classes) == ("hub/webdataset", ("left", "rest", "right"))
    assert decode.decode(source.videos[0].medium, every_frame(4)).frames == 4

    stills = {f"{c}/{v}/{i}.jpg": f"{c}{v}{i}".encode() for c in "ab" for v in "xy" for i in range(3)}
    hub.repos["someone/motions"].commit(stills)
    assert find("hub:someone/motions").kind == "hub/frames"

    rows = "".join(f"{name},{name[:3]}\n" for name in FILES)
    hub.repos["someone/motions"].commit(FILES | {"list.csv": b"path,label\n" + rows.encode()})
    assert find("hub:someone/motions/list.csv").kind == "hub/csv"


def test_a_revision_is_a_commit_from_then_on(hub: hub_server.Hub) -> None:
    repo = hub.repos["someone/motions"]
    first = repo.commit(FILES, "v1")
    second = repo.commit(FILES | {"run/2.mp4": b"new"})
    assert find("hub:someone/motions@v1").name == f"someone/motions@{first}"
    assert len(find("hub:someone/motions@v1").videos) == 4
    assert find("hub:someone/motions").name == f"someone/motions@{second}"
    assert len(find(f"hub:someone/motions@{second}").videos) == 5


def test_a_folder_of_it_is_fetched_alone(hub: hub_server.Hub) -> None:
    sha = hub.repos["someone/motions"].commit(
        {f"{part}/{n}": data for part in ("[a]", "b") for n, data in FILES.items()}
    )
    source = find("hub:someone/motions/[a]/")
    assert source.name == f"someone/motions@{sha}/[a]"
    assert len(source.videos) == 4
    fetched = {request.rpartition(sha)[2] for request in hub.requests if "resolve" in request}
    assert fetched == {f"/[a]/{name}" for name in FILES}


def test_what_is_there_is_not_fetched_again(hub: hub_server.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos["someone/motions"].commit(FILES)
    before = find("hub:someone/motions").digest()
    hub.requests.clear()
    assert find("hub:someone/motions").digest() == before
    assert not [request for request in hub.requests if request.startswith("GET /datasets")]
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert find("hub:someone/motions").digest() == before


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("someone/else", "There is no dataset someone/else on the Hub, or it is private"),
        ("someone/motions@v9", "The dataset someone/motions has no revision v9"),
        ("someone/closed", "The dataset someone/closed is gated. Ask for access"),
        ("someone/motions/nowhere", "has no nowhere at"),
        ("someone/motions/../..", "not a path inside the folder"),
        ("motions", "'motions' is no dataset on the Hub"),
        ("someone/motions@", "is no dataset on the Hub"),
        ("someone/--x", "cannot be the name of a dataset"),
        ("someone/texts", "holds no videos"),
    ],
)
def test_what_is_not_there(hub: hub_server.Hub, place: str, message: str) -> None:
    hub.repos["someone/motions"].commit(FILES)
    hub.repos["someone/closed"] = hub_server.Repo(gated=True)
    hub.repos["someone/texts"] = hub_server.Repo()
    hub.repos["someone/texts"].commit({"train.parquet": b"PAR1"})
    with pytest.raises(InputError, match=message) as raised:
        find(f"hub:{place}")
    assert "\n" not in str(raised.value)


def test_without_a_network(hub: hub_server.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(IdtdError, match="not wholly in the Hub's cache, and the Hub cannot be reached") as raised:
        find("hub:someone/motions")
    assert raised.value.exit_code == 1
    assert "\n" not in str(raised.value)


def test_offline_takes_what_is_in_the_cache(hub: hub_server.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = hub.repos["someone/motions"]
    repo.commit({f"{part}/{n}": data for part in "ab" for n, data in FILES.items()})
    before = find("hub:someone/motions/a").digest()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # HF_HUB_OFFLINE=1, read when the client is imported
    assert find("hub:someone/motions/a").digest() == before
    for place in ("someone/motions", "someone/motions/b", "someone/else"):
        with pytest.raises(InputError, match=r"is not wholly in the Hub's cache, and HF_HUB_OFFLINE is set. Unset it"):
            find(f"hub:{place}")


def test_a_repository_that_names_paths_outside(hub: hub_server.Hub, tmp_path: Path) -> None:
    hub.repos["someone/motions"].commit(FILES | {"../../../../escaped.mp4": b"x"})
    with pytest.raises(IdtdError, match="could not be fetched"):
        find("hub:someone/motions")
    assert not list(tmp_path.rglob("escaped*"))


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("GET /api/datasets/someone/motions/revision/main", lambda found: found | {"sha": "../../../../escaped"}),
        ("/tree/", lambda found: [entry | {"lfs": {"oid": "../../escaped", "size": 1}} for entry in found]),
    ],
)
def test_a_hub_whose_commits_and_digests_lead_outside(
    hub: hub_server.Hub, tmp_path: Path, path: str, change: Callable[[Any], Any], lost: bool
) -> None:
    """Also once the client has made itself another session, as it does when a connection fails."""
    from huggingface_hub.utils import close_session

    def tamper(request: str, body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        return (json.dumps(change(json.loads(body))).encode() if path in request else body), headers

    hub.repos["someone/motions"].commit(FILES)
    hub.tamper = tamper
    client.guard()
    if lost:
        close_session()
    with pytest.raises(IdtdError, match=r"the Hub answered with the (commit|digest)"):
        find("hub:someone/motions")
    assert any(path in request for request in hub.requests)
    assert not list(tmp_path.rglob("escaped*"))
