"""Publishing, downloading and verifying, as a user does: processes of their own, and the Hub's client as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.running import Done
from tests.hub_server import Account, Hub, Repo
from tests.tiny import contents

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
