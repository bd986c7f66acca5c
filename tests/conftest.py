"""The smallest sets on which every stage runs, each made once a session. Tests that change one work on a copy."""

from __future__ import annotations

import os

# Before torch is loaded, and for the processes that tests start: tiny tensors gain nothing from threads, and the bytes
# of a result may depend on how many there are.
os.environ["OMP_NUM_THREADS"] = "1"
# Before the Hub's client is loaded: the server has no Xet storage, as a mirror has none, unless a test brings one.
os.environ["HF_HUB_DISABLE_XET"] = "1"

import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests import hub_server, tiny
from tests.spoiling import SPOILT

# The same examples in every run, and no limit on the time of one: the machine may be busy.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.load_profile("same")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_prepared(tmp_path_factory.mktemp("tiny") / "prepared")


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source: a few drawn videos of three classes, with lists."""
    return tiny.draw_videos(tmp_path_factory.mktemp("videos") / "demo")


@pytest.fixture(scope="session")
def finished(prepared: Path) -> Path:
    """A finished run of IDTD."""
    return tiny.distil(prepared, prepared.parent / "runs" / "idtd")


@pytest.fixture(scope="session")
def experts(prepared: Path) -> Path:
    """Two experts."""
    return tiny.experts(prepared, prepared.parent / "experts")


@pytest.fixture(scope="session")
def exported(finished: Path) -> Path:
    """The set of the finished run."""
    return tiny.export(finished, finished.parents[1] / "sets" / "idtd")


@pytest.fixture(scope="session")
def reported(exported: Path, prepared: Path) -> Path:
    """An evaluation of the exported set."""
    return tiny.evaluate([exported], prepared, prepared.parent / "report")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hub_server.Hub]:
    """A Hub on this machine, known by HF_ENDPOINT, and an empty cache of its client."""
    from huggingface_hub import constants

    with hub_server.serve() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        # What HF_HOME sets, read by the client when it is imported.
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        yield hub


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds for which the Hub's client waits for a byte; between two tries it does not wait at all."""
    from huggingface_hub import constants, file_download

    seconds = 0.2
    for module, name in (
        (constants, "HF_HUB_DOWNLOAD_TIMEOUT"),
        (constants, "HF_HUB_ETAG_TIMEOUT"),
        (file_download, "_ETAG_RETRY_TIMEOUT"),
    ):
        monkeypatch.setattr(module, name, seconds)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return seconds


@pytest.fixture
def published(hub: hub_server.Hub, exported: Path) -> hub_server.Repo:
    """someone/motions: the exported set, as v1."""
    repo = hub.repos["someone/motions"] = hub_server.Repo()
    repo.commit(hub_server.files(exported) | {"README.md": b"# Motions", ".gitattributes": b""}, "v1")
    return repo


@pytest.fixture(params=sorted(SPOILT))
def spoilt_shard(request: pytest.FixtureRequest, exported: Path) -> bytes:
    """The shard of the exported set with something in it that has no place there."""
    [shard] = exported.glob("data/*.tar")
    return SPOILT[request.param](shard)
