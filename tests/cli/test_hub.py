"""Publishing, downloading and verifying, as a user does: processes of their own, and the Hub's client as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.running import Done
from tests.hub_server import Account, Hub, Repo
from tests.tiny import contents, write_recipe

ROOT = Path(__file__).parents[2]
Idtd = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def user(hub: Hub, tmp_path: Path) -> Idtd:
    """The command line in a process, for somebody who is logged in to the Hub by a token in a file."""
    hub.accounts["hf_secret"] = Account("me")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "token").write_text("hf_secret")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    settings = {
        "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1", "PYTHONPATH": str(ROOT)
    }  # fmt: skip

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "idtd_cli", *map(str, arguments)],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, encoding="utf-8",
            env=clean | settings | environment,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert "Warning" not in done.stderr
        assert "hf_secret" not in done.stdout + done.stderr
        return done

    return run


def test_there_and_back(user: Idtd, hub: Hub, exported: Path, reported: Path, tmp_path: Path) -> None:
    page = f"{hub.url}/datasets/me/motions"
    done = user("publish", exported, "me/motions", "--report", reported, "--license", "cc-by-4.0", "--tag", "v1")
    assert (done.returncode, done.stdout) == (
        0, f"{page}: published and verified. To load it: idtd_cli.load('me/motions@v1')\n"
    )  # fmt: skip
    assert f"{page} (public, new)\n" in done.stderr

    done = user("download", "me/motions@v1", "set")
    commit = hub.repos["me/motions"].refs["v1"]
    assert done.stdout.startswith(f"set: me/motions at {commit[:12]}, ")
    assert contents(tmp_path / "set") == contents(exported)

    hub.requests.clear()
    done = user("download", "me/motions@v1", "again", HF_HUB_OFFLINE="1")
    assert (done.returncode, hub.requests) == (0, [])
    assert contents(tmp_path / "again") == contents(exported)


def test_what_is_wrong_takes_a_sentence(user: Idtd, published: Repo, tmp_path: Path) -> None:
    done = user("download", "someone/else", "set")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "idtd: There is no dataset someone/else on the Hub, or it is private. "
        "To read your own: Log in with `hf auth login`, or set HF_TOKEN.\n"
    )
    assert not (tmp_path / "set").exists()


def test_publishing_in_words(
    idtd: Callable[..., Done], hub: Hub, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.accounts["t"] = Account("me")
    monkeypatch.setenv("HF_TOKEN", "t")
    done = idtd("publish", exported, "motions", "--tag", "main", "--dry-run")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-5:] == [
        f"idtd: {exported} cannot be published as motions:",
        "  - 'motions' is no dataset on the Hub. Write OWNER/NAME or OWNER/NAME@REVISION.",
        "  - no licence is named: --license cc-by-4.0 for one, or --license other; the source's terms count",
        "  - 'main' cannot be a tag: write v1 for one",
        "Nothing was changed.",
    ]
    page, named = f"{hub.url}/datasets/me/motions", ("publish", exported, "me/motions", "--license", "other")
    assert idtd(*named, "--dry-run").out == f"{page}: this would go; nothing was done.\n"
    assert idtd(*named).code == 0
    assert idtd(*named, "--dry-run").out == f"{page}: nothing would change; nothing was done.\n"
    assert idtd(*named).out == f"{page}: unchanged, and verified. No commit was made.\n"
    assert idtd("verify", "me/motions").out.splitlines()[-1] == "me/motions is what it promises to be."
    hub.repos["me/motions"].commit(hub.repos["me/motions"].files | {"evil.pkl": b"x"})
    done = idtd("verify", "me/motions")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-3:] == [
        "idtd: me/motions is not as it was made:",
        "  - evil.pkl is not listed in SHA256SUMS",
        "Export or download the set again.",
    ]


def test_reproducing_in_words(
    idtd: Callable[..., Done], hub: Hub, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.accounts["t"] = Account("me")
    monkeypatch.setenv("HF_TOKEN", "t")
    path = write_recipe(tmp_path / "r.yaml", methods=["idtd"])
    assert idtd("reproduce", path, tmp_path / "made", "--source", videos).code == 0
    made = (tmp_path / "made/sets/idtd", "me/motions", "--report", tmp_path / "made/report")
    assert idtd("publish", *made, "--license", "other", "--tag", "v1").code == 0

    command = ("reproduce", "--from", "me/motions@v1", tmp_path / "out", "--source", videos)
    done = idtd(*command)
    assert done.code == 0
    assert "IDTD" in done.out
    assert done.err.count("as expected") == 3
    assert json.loads(idtd(*command, "--json").out)["kind"] == "report"

    repo = hub.repos["me/motions"]
    report = json.loads(repo.files["evaluation/results.json"])
    del report["sha256"]  # which whoever changes a report could write as well
    for result in report["results"]:
        if result["method"] == "random":
            result["top1"] |= {"values": [1.0, 1.0], "mean": 1.0, "std": 0.0}
            result["interval"] = [1.0, 1.0]
            each = sum(result["confusion"][0])
            result["confusion"] = [[each, 0, 0], [0, each, 0], [0, 0, each]]
    repo.commit(repo.files | {"evaluation/results.json": json.dumps(report).encode()})
    done = idtd("reproduce", "--from", "me/motions", tmp_path / "out", "--source", videos)
    assert done.code == 1
    assert "1 of 3 figures are outside of what was published, by more than chance: random real clips." in done.err

    for arguments, words in [
        (("reproduce", "demo"), "lacks a word. Name RECIPE and OUT, or --from OWNER/NAME and OUT."),
        (("reproduce", "demo", tmp_path / "x", "--from", "a/b"), "A recipe and --from do not go together"),
        (("reproduce", tmp_path / "x", "--from", "a/b", "--only", "ipc=1"), "a published set has none"),
        (("reproduce", tmp_path / "x", "--from", "a/b"), "There is no dataset a/b on the Hub"),
    ]:
        done = idtd(*arguments)
        assert (done.code, done.out) == (2, "")
        assert words in done.err
        assert done.err.count("\n") == 1
    assert not (tmp_path / "x").exists()
