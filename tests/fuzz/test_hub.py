"""A Hub that answers anything: wrong JSON, wrong kinds, sizes and digests, names and tags that lead elsewhere."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from huggingface_hub import constants

from idtd_cli.errors import IdtdError
from idtd_cli.hub.client import Place
from idtd_cli.runlog import Quiet
from idtd_cli.sources import registry
from idtd_cli.stages import download
from tests import hub_server
from tests.distilled import making
from tests.fuzz.mutation import Mutator
from tests.fuzz.watching import attempt, cases

_HEADERS = ("ETag", "X-Linked-Etag", "X-Linked-Size", "X-Repo-Commit", "Content-Type", "X-Xet-Hash")
_SAID = (
    *("", '""', '"../../../../escaped"', '"/tmp/escaped"', '"a/../../../../escaped"', 'W/"../../escaped"', "..", "."),
    *("../../escaped", "0", "-1", "9" * 30, "x", '"' + "a" * 3000 + '"', "%2e%2e/escaped", "main", "0" * 40, '"C:\\x"'),
)

Tamper = Callable[[str, bytes, dict[str, str]], tuple[bytes, dict[str, str]]]


def tampering(seed: int) -> Tamper:
    """Answers of which some are changed, the same ones for the same seed."""
    mutator = Mutator(seed)
    draw = mutator.random
    share = draw.choice((0.05, 0.3, 1.0))
    what = draw.choice(("api", "headers", "head files", "all"))

    def tamper(request: str, body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        if draw.random() > share:
            return body, headers
        if "/api/" in request and what in ("api", "all") and body:
            return mutator.json(body), headers
        if "/resolve/" in request and what in ("headers", "all"):
            name = draw.choice(_HEADERS)
            if name in headers or draw.random() < 0.3:
                return body, headers | {name: draw.choice(_SAID)}
        if request.endswith(("SHA256SUMS", "set.json", "classes.txt")) and what in ("head files", "all") and body:
            return mutator.spoilt(body), headers
        return body, headers

    return tamper


@pytest.fixture
def cache(tmp_path: Path, hub: hub_server.Hub, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that is fetched goes there; nothing waits."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "inside" / "cache"))
    # What the client notes for itself once a day, in the home of whoever runs it.
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "inside" / "note"), raising=False)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # before another try
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["distilled set", "source"])
def test_the_hub(hub: hub_server.Hub, cache: Path, tmp_path: Path, what: str) -> None:
    making.small(tmp_path / "set")
    repo = hub.repos["someone/motions"] = hub_server.Repo()
    made = hub_server.files(tmp_path / "set")
    videos = {f"{name}/{n}.mp4": b"%d" % n for n in range(2) for name in ("run", "jump")}
    repo.commit(made if what == "distilled set" else videos | {"classes.txt": b"0 run\n1 jump\n"})
    out = cache / "out"

    def one(seed: int) -> None:
        for folder in (out, cache / "cache"):
            shutil.rmtree(folder, ignore_errors=True)
        hub.tamper = tampering(seed) if seed else None
        if what == "source":
            registry.find("hub:someone/motions").digest()
            return
        try:
            download.run(Place.parse("someone/motions"), out, None, Quiet())
        except IdtdError:
            assert not out.exists()
            raise
        assert hub_server.files(out) == made

    there = sorted(path for path in tmp_path.iterdir())
    found = attempt(one, range(cases(60)), tmp_path, urlsplit(hub.url).port)
    shown = Counter(how for _, how in found.broken)
    assert not shown, [(how, next(case for case, of in found.broken if of == how)) for how in shown]
    assert found.values > 0
    assert found.refused.total() > 0
    assert sorted(path for path in tmp_path.iterdir()) == there
    assert not list(tmp_path.rglob("escaped*"))
    assert not Path("/tmp/escaped").exists()
