"""The Hub's client as it is, against a small server on this machine."""

from __future__ import annotations

import re
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from huggingface_hub import DatasetCard, constants
from huggingface_hub.repocard_data import DatasetCardData

from idtd_cli import distilled, documents
from idtd_cli.distilled import SUMS, SetDocument
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.hub.client import Place
from idtd_cli.recipe import ClipConfig, EvaluateConfig, ExportConfig
from idtd_cli.stages import download, publish, verify
from idtd_cli.stages.publish import Published
from tests import tiny
from tests.hub_server import Account, Hub, Repo, files
from tests.tiny import Heard, contents, recipe

NAME = "me/motions"
#: What publishing writes beside a set, and the Hub by itself.
BESIDE = {"README.md", "LICENSE", "CITATION.cff", "provenance.json", ".gitattributes"}


@pytest.fixture(autouse=True)
def account(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Account:
    account = hub.accounts["hf_secret"] = Account("me", orgs={"lab": "write", "guild": "read"})
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    return account


@pytest.fixture(scope="module")
def other(prepared: Path) -> Path:
    """Another set of the same classes."""
    run = tiny.distil(prepared, prepared.parent / "runs" / "other", recipe(distill__seed=5))
    return tiny.export(run, prepared.parent / "sets" / "other")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set with a shard of more than 10 MB, which is what tensors take; as videos, its clips are nearly nothing."""
    folder = tmp_path_factory.mktemp("large")
    clip = ClipConfig(frames=16, stored_frames=16, height=352, width=352)
    document = SetDocument(
        parents={}, method="idtd", seed=0, classes=("a", "b"), ipc=1, videos_a_class=1, clip=clip, frames=16,
        segments=2, mean=(0.5,) * 3, std=(0.2,) * 3, evaluate=EvaluateConfig(), stored_frames=32, stored_bytes=1, fps=8,
        export=ExportConfig(payload="tensor"),
    )  # fmt: skip
    videos = torch.full((2, clip.frames, 3, clip.height, clip.width), 100, dtype=torch.uint8)
    distilled.write(folder, document, videos, torch.arange(2))
    assert max(path.stat().st_size for path in folder.glob("data/*.tar")) > 10 << 20
    return folder


def send(folder: Path, name: str = NAME, heard: Heard | None = None, **options: object) -> Published:
    given: dict[str, object] = {"licence": "other"} | options
    return publish.run(folder, name, heard or Heard(), **given)  # type: ignore[arg-type]


def writes(hub: Hub) -> list[str]:
    return [request for request in hub.requests if "/commit/" in request or "/create" in request or "/tag/" in request]


def test_a_set_goes_and_comes_back(hub: Hub, exported: Path, reported: Path, tmp_path: Path) -> None:
    heard = Heard()
    done = send(exported, heard=heard, report=reported, tag="v1")
    repo = hub.repos[NAME]
    assert done == Published(f"{hub.url}/datasets/{NAME}", repo.refs["main"], True)
    assert (repo.refs["v1"], repo.tags, repo.private) == (done.commit, {"v1"}, False)
    assert len(repo.commits) == 2  # that of the empty repository, and one with everything
    mine = files(exported)
    assert {name: repo.files[name] for name in mine} == mine
    assert set(repo.files) - set(mine) == BESIDE | {"evaluation/results.json"}
    assert repo.files["evaluation/results.json"] == (reported / "report.json").read_bytes()
    assert heard.notes[0] == f"{done.address} (public, new)"
    assert re.fullmatch(r"  \d+ files go, [\d.]+ KB; 0 are there; 0 are removed", heard.notes[1])
    download.run(Place(NAME, "v1"), tmp_path / "back", None, Heard())
    assert contents(tmp_path / "back") == contents(exported)
    assert verify.run(NAME, None, Heard())[-1] == "evaluation/results.json reports on this set"


def test_the_same_set_again_changes_nothing(hub: Hub, exported: Path, reported: Path) -> None:
    first = send(exported, report=reported, tag="v1")
    hub.requests.clear()
    for tag in ("v1", None):
        again = send(exported, report=reported, tag=tag)
        assert (again.commit, again.changed) == (first.commit, False)
    assert writes(hub) == []
    send(exported, report=reported, tag="v1.0")  # another name for the same state
    assert writes(hub) == [f"POST /api/datasets/{NAME}/tag/{first.commit}"]
    assert hub.repos[NAME].refs["v1.0"] == first.commit


def test_a_changed_set_asks_for_a_new_tag(hub: Hub, exported: Path, other: Path) -> None:
    first = send(exported, tag="v1")
    repo = hub.repos[NAME]
    repo.commit(repo.files | {"NOTES.md": b"mine", "data/train-000009-of-000010.tar": b"stray"})
    before = dict(repo.refs)
    with pytest.raises(InputError, match="the tag v1 names another state of me/motions, and tags do not move"):
        send(other, tag="v1")
    assert repo.refs == before
    heard = Heard()
    second = send(other, tag="v2", heard=heard)
    assert (repo.refs["v1"], repo.refs["v2"]) == (first.commit, second.commit)
    # Nothing of the old set is left, and what somebody put there is.
    assert set(repo.files) == {*files(other), *BESIDE, "NOTES.md"}
    assert "    removed: data/train-000009-of-000010.tar" in heard.notes


def test_a_dry_run_changes_nothing(hub: Hub, exported: Path, account: Account) -> None:
    heard = Heard()
    done = send(exported, heard=heard, dry_run=True, private=True)
    assert (done.commit, done.changed) == (None, True)
    assert heard.notes[0].endswith(f"/datasets/{NAME} (private, new)")
    assert writes(hub) == []
    assert hub.repos == {}
    send(exported)
    assert not send(exported, dry_run=True).changed


def test_private(hub: Hub, exported: Path) -> None:
    send(exported, private=True)
    assert hub.repos[NAME].private
    assert not send(exported, private=True).changed
    assert not send(exported).changed  # it stays what it is
    hub.repos[NAME].private = False
    with pytest.raises(InputError, match="is there and public: make it private on its page"):
        send(exported, private=True)


def test_all_problems_are_said_at_once(
    hub: Hub, exported: Path, other: Path, reported: Path, tmp_path: Path, account: Account
) -> None:
    copy = Path(shutil.copytree(other, tmp_path / "copy"))
    next(copy.glob("data/*.tar")).write_bytes(b"x")
    (copy / "notes.txt").touch()
    account.role = "read"
    with pytest.raises(InputError) as raised:
        send(copy, report=reported, licence=None, tag="no tag")
    message = str(raised.value)
    for words in (
        "no licence is named",
        "'no tag' cannot be a tag",
        ".tar does not match its checksum",
        "notes.txt is not listed in SHA256SUMS",
        "reports on other sets",
        "your token may only read",
        "Nothing was changed.",
    ):
        assert words in message
    assert message.count("\n  - ") == 6
    assert writes(hub) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("motions", "'motions' is no dataset on the Hub"),
        ("me/--x", "cannot be the name of a dataset"),
        ("me/motions@v1", "names a revision: say --tag v1"),
        ("guild/motions", "you are me, and may not write to guild"),
        ("stranger/motions", "you are me, and may not write to stranger"),
    ],
)
def test_names_that_cannot_be_published_to(hub: Hub, exported: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        send(exported, name)
    assert writes(hub) == []


def test_an_organisation(hub: Hub, exported: Path) -> None:
    send(exported, "lab/motions")
    assert "lab/motions" in hub.repos


@pytest.mark.parametrize("licence", ["MIT License", "", "-x", "a" * 99])
def test_a_licence_that_is_none(exported: Path, licence: str) -> None:
    with pytest.raises(InputError, match="is no licence identifier"):
        send(exported, licence=licence)


def test_a_licence_that_the_hub_does_not_know(hub: Hub, exported: Path) -> None:
    for dry_run in (True, False):
        with pytest.raises(InputError, match='- the Hub refuses the card: "license" must be one of the known ones'):
            send(exported, licence="my-own", dry_run=dry_run)
    assert writes(hub) == []


def test_a_token_that_may_not_write_there(hub: Hub, exported: Path, account: Account) -> None:
    send(exported)
    account.role = "read"
    hub.requests.clear()
    with pytest.raises(InputError, match="could not be written to: your token does not allow it"):
        send(exported)
    assert writes(hub) == []


@pytest.mark.parametrize(("token", "message"), [("hf_wrong", "does not know your token"), ("", "nobody is logged in")])
def test_without_a_login(exported: Path, monkeypatch: pytest.MonkeyPatch, token: str, message: str) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(InputError, match=f"could not be published: .*{message}") as raised:
        send(exported)
    assert "hf_" not in str(raised.value).replace("HF_TOKEN", "")


def test_no_network(hub: Hub, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IdtdError, match=r"the Hub at http://127.0.0.1:9 cannot be reached") as raised:
        send(exported, endpoint="http://127.0.0.1:9")
    assert raised.value.exit_code == 1
    with pytest.raises(InputError, match="no licence is named"):  # which is known without one
        send(exported, endpoint="http://127.0.0.1:9", licence=None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
        send(exported)


def test_a_dataset_of_something_else_is_not_overwritten(hub: Hub, exported: Path) -> None:
    repo = hub.repos[NAME] = Repo()
    repo.commit({"train.parquet": b"PAR1", "README.md": b"mine"})
    with pytest.raises(InputError, match="holds something else than a distilled set: name a new dataset"):
        send(exported)
    assert repo.files["README.md"] == b"mine"


def test_a_set_that_brings_its_own_card(hub: Hub, exported: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(exported, tmp_path / "copy"))
    (copy / "README.md").write_text("mine")
    send(copy)  # one that is not listed is no part of the set: a clone of the dataset has one
    with open(copy / SUMS, "a") as file:
        file.write(f"{distilled.storage.sha256_file(copy / 'README.md')}  README.md\n")
    with pytest.raises(InputError, match=r"README.md of the set would be overwritten"):
        send(copy)


def test_the_terms_of_the_source_go_along(hub: Hub, exported: Path, tmp_path: Path) -> None:
    first = send(exported)
    terms = tmp_path / "terms.txt"
    terms.write_text("Für Forschung.\nFor research.\n", encoding="utf-8")
    hub.requests.clear()
    second = send(exported, terms=terms)
    assert (second.changed, first.commit == second.commit) == (True, False)
    licence = hub.repos[NAME].files["LICENSE"].decode()
    assert licence.startswith(f"{NAME} is a distilled video set. Its licence, as named by whoever published it: other")
    assert licence.endswith("\n\nFür Forschung.\nFor research.\n")
    assert not send(exported, terms=terms).changed
    assert verify.run(NAME, None, Heard())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff\xfe", "it is no text in UTF-8"),
        (b"x" * (1 << 21), "no text of terms"),
    ],
)
def test_terms_that_are_none(hub: Hub, exported: Path, tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "terms").write_bytes(content)
    with pytest.raises(InputError, match=words):
        send(exported, terms=tmp_path / "terms")
    assert writes(hub) == []


def test_a_large_shard_over_a_connection_that_breaks(hub: Hub, large: Path, tmp_path: Path) -> None:
    shard = max(large.glob("data/*.tar"), key=lambda path: path.stat().st_size)
    size, digest = shard.stat().st_size, distilled.storage.sha256_file(shard)
    hub.fail(f"PUT /large/{digest}", after=5 << 20)
    send(large, tag="v1")
    assert hub.requests.count(f"PUT /large/{digest}") == 2
    assert hub.repos[NAME].files[f"data/{shard.name}"] == shard.read_bytes()
    # And back again: what arrived is not fetched once more.
    hub.fail(f"GET /large/{NAME}/{digest}", after=(10 << 20) + 1000)
    download.run(Place(NAME, "v1"), tmp_path / "back", None, Heard())
    assert contents(tmp_path / "back") == contents(large)
    assert hub.ranges == [f"bytes={10 << 20}-"]
    assert size > 10 << 20


def test_an_upload_that_was_stopped_goes_on(hub: Hub, large: Path) -> None:
    """The commit fails after the uploads, as when a machine is switched off."""
    hub.fail("POST .*/commit/", 503)
    with pytest.raises(IdtdError, match=r"the Hub is out of order \(503\). Run the same command again"):
        send(large)
    assert set(hub.repos[NAME].files) == {".gitattributes"}
    uploaded, hub.received = hub.received, 0
    assert uploaded > 10 << 20
    send(large)
    assert hub.received == 0
    assert set(files(large)) < set(hub.repos[NAME].files)


@pytest.mark.parametrize(
    ("request_", "after"),
    [
        ("GET /api/whoami-v2", 0),
        ("POST /api/repos/create", 0),
        ("POST .*/preupload/", 10),
        ("POST .*/objects/batch", 10),
        ("PUT /large/", 1000),
        ("POST .*/commit/", 100),
    ],
)
def test_a_hub_that_falls_silent(hub: Hub, exported: Path, patience: float, request_: str, after: int) -> None:
    hub.fall_silent(request_, times=99, after=after)
    with pytest.raises(IdtdError, match=r"the Hub( at http.*)? stopped answering\. Run the same command again"):
        send(exported, tag="v1")
    hub.faults.clear()
    assert send(exported, tag="v1").commit == hub.repos[NAME].refs["v1"]


class Watched(Heard):
    """A progress that remembers how far the last stage was, and what the Hub had by then."""

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self.hub, self.steps = hub, list[tuple[int, int]]()

    def stage(self, name: str, total: int | None, done: int = 0) -> AbstractContextManager[Heard]:
        self.advanced, self.steps = 0, []
        return super().stage(name, total, done)

    def advance(self, n: int = 1, **facts: object) -> None:
        super().advance(n, **facts)
        self.steps.append((self.advanced, self.hub.received))


def test_how_far_a_large_file_is_is_told_while_it_goes(hub: Hub, large: Path, tmp_path: Path) -> None:
    heard = Watched(hub)
    hub.fail("PUT /large/", 503, times=3)  # what is sent once more counts once
    send(large, heard=heard)
    sent = sum(len(data) for name, data in hub.repos[NAME].files.items() if name != ".gitattributes")
    assert heard.advanced == -(-sent // 10**6)
    told = [done for done, received in heard.steps if received < 10 << 20]
    assert len(told) > 5  # before all of it was there
    heard = Watched(hub)
    download.run(Place(NAME), tmp_path / "back", None, heard)
    size = sum(map(len, files(large).values()))
    assert heard.advanced == -(-size // 10**6) > heard.steps[0][0] > 0


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ("POST .*/commit/", 412, "somebody else changed it at the same moment"),
        ("POST .*/tag/", 409, "could not be tagged: somebody else changed it at the same moment"),
        ("POST .*/commit/", 403, "your token does not allow it"),
        ("POST /api/repos/create", 429, r"asks for fewer requests \(429\)"),
        ("GET /api/whoami-v2", 503, r"is out of order \(503\)"),
        ("GET /api/whoami-v2", 401, "does not know your token"),
    ],
)
def test_a_hub_that_refuses(hub: Hub, exported: Path, request_: str, status: int, message: str) -> None:
    hub.fail(request_, status)
    with pytest.raises(IdtdError, match=message):
        send(exported, tag="v1")
    assert send(exported, tag="v1").commit == hub.repos[NAME].refs["v1"]  # the next one goes through


def test_retries_are_the_client_s(hub: Hub, exported: Path) -> None:
    hub.fail("POST .*/preupload/", 429)
    hub.fail("PUT /large/", 503)
    assert send(exported).changed


def test_somebody_else_was_faster(hub: Hub, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send(exported)
    repo, look = hub.repos[NAME], publish._look

    def late(*arguments: object) -> object:
        seen = look(*arguments)  # type: ignore[arg-type]
        repo.commit(repo.files | {"NOTES.md": b"theirs"})
        return seen

    monkeypatch.setattr(publish, "_look", late)
    with pytest.raises(IdtdError, match=r"somebody else changed it at the same moment\. Look at it"):
        send(exported, licence="mit")
    assert repo.files["NOTES.md"] == b"theirs"


def test_a_hub_that_does_not_keep_what_it_got(hub: Hub, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = Repo.commit

    def spoilt(self: Repo, made: dict[str, bytes], *refs: str) -> str:
        return commit(self, {name: data[:-1] if name.endswith("tar") else data for name, data in made.items()}, *refs)

    monkeypatch.setattr(Repo, "commit", spoilt)
    with pytest.raises(IdtdError, match=r"me/motions does not hold what was uploaded: data/train-000000-of-000001.tar"):
        send(exported)


def test_the_card_passes_the_client_s_checks(
    hub: Hub, exported: Path, reported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(exported, report=reported, licence="cc-by-4.0")
    text = hub.repos[NAME].files["README.md"].decode()
    card = DatasetCard(text)
    assert isinstance(card.data, DatasetCardData)
    assert (card.data.license, card.data.task_categories) == ("cc-by-4.0", ["video-classification"])
    assert card.data.size_categories == ["n<1K"]
    document = documents.read(SetDocument, exported)
    [cls] = [each for each in card.data.to_dict()["dataset_info"]["features"] if each["name"] == "cls"]
    assert tuple(cls["dtype"]["class_label"]["names"].values()) == document.classes
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)  # HF_ENDPOINT, read when the client is imported
    hub.requests.clear()
    card.validate()
    assert hub.requests == ["POST /api/validate-yaml"]


def test_the_token_is_never_written(
    hub: Hub, exported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    heard = Heard()
    send(exported, heard=heard, tag="v1")
    written = "".join(heard.notes) + caplog.text + "".join(capfd.readouterr())
    assert "hf_secret" not in written
    assert not [name for name, data in hub.repos[NAME].files.items() if b"hf_secret" in data]
    found = [path for path in tmp_path.rglob("*") if path.is_file() and b"hf_secret" in path.read_bytes()]
    assert found == []
