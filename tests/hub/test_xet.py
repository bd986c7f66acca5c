"""The client as it is with Xet on, as it is against the public Hub: `hf_xet` and all that it asks a storage for."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import constants
from huggingface_hub.utils._xet_progress_reporting import XetDownloadProgressReporter

from idtd_cli.errors import IdtdError
from idtd_cli.hub.client import Place
from idtd_cli.hub.fetching import _Bar
from idtd_cli.runlog import Meter
from idtd_cli.stages import download, publish
from idtd_cli.stages.publish import Published
from tests.hub_server import Account, Hub, files
from tests.tiny import Heard, contents
from tests.xet_storage import Storage

NAME = "me/motions"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("hf_xet") is None, reason="hf_xet is not built for this system"
)


@pytest.fixture(autouse=True)
def xet(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """Xet on, a Hub that has a storage for it, and an account."""
    hub.accounts["hf_secret"] = Account("me")
    hub.xet = Storage()
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)  # HF_HUB_DISABLE_XET, read when the client is imported
    # Read when hf_xet begins its session, once in a process.
    monkeypatch.setenv("HF_XET_CACHE", str(tmp_path / "xet"))
    monkeypatch.setenv("HF_XET_XORB_COMPRESSION_POLICY", "none")
    monkeypatch.setenv("HF_XET_TELEMETRY_ENABLED", "0")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    return hub.xet


def send(exported: Path, heard: Heard | None = None, *, bars: bool = False) -> Published:
    return publish.run(exported, NAME, heard or Heard(), licence="other", tag="v1", bars=bars)


def test_a_set_goes_by_xet_and_comes_back(hub: Hub, xet: Storage, exported: Path, tmp_path: Path) -> None:
    heard = Heard()
    done = send(exported, heard)
    assert done.commit == hub.repos[NAME].refs["v1"]
    mine = files(exported)
    assert {name: hub.repos[NAME].files[name] for name in mine} == mine
    assert xet.received > sum(path.stat().st_size for path in exported.glob("data/*.tar"))
    assert not [request for request in hub.requests if request.startswith("PUT")]
    assert heard.advanced > 0
    download.run(Place(NAME, "v1"), tmp_path / "back", None, Heard())
    assert contents(tmp_path / "back") == contents(exported)
    hub.requests.clear()
    assert not send(exported).changed
    assert not [request for request in hub.requests if "xet" in request]


def test_an_upload_that_was_stopped_goes_on(hub: Hub, xet: Storage, exported: Path) -> None:
    """What the storage has is not sent once more."""
    hub.fail("POST .*/commit/", 503)
    with pytest.raises(IdtdError, match=r"the Hub is out of order \(503\)"):
        send(exported)
    assert xet.received > 0
    xet.received = 0
    assert send(exported).changed
    assert xet.received == 0


def test_on_a_terminal_the_client_shows_how_far_it_is(
    hub: Hub, exported: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_VERBOSITY", raising=False)
    heard = Heard()
    send(exported, heard, bars=True)
    shown = capfd.readouterr().err
    assert "Processing Files" in shown
    assert "hf_secret" not in shown
    send(exported)
    assert capfd.readouterr().err == ""


def test_a_download_moves_one_meter() -> None:
    """The client draws two bars for a file that comes by Xet: what arrived, and what of it is in place."""
    heard = Heard()
    with XetDownloadProgressReporter(
        reconstruction_desc="a", total=3_000_000, log_level=30, tqdm_class=partial(_Bar, Meter(heard), "a")
    ) as bars:
        told = []
        for arrived, placed in [(1_500_000, 0), (2_500_000, 1_000_000), (2_700_000, 3_000_000)]:
            report = SimpleNamespace(
                total_bytes=3_000_000, total_bytes_completed=placed, total_bytes_completion_rate=1.0,
                total_transfer_bytes_completed=arrived, total_transfer_bytes_completion_rate=None,
            )  # fmt: skip
            bars.update_progress(report)
            told.append(heard.advanced)
    assert told == [2, 3, 3]


def test_a_hub_without_such_a_storage(hub: Hub, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client does not fall back by itself: what to do is said, and nothing is half-published."""
    hub.xet = None
    words = r"could not be published: .*404.*with a Hub that has no Xet storage, set HF_HUB_DISABLE_XET=1"
    with pytest.raises(IdtdError, match=words) as raised:
        send(exported)
    assert "\n" not in str(raised.value)
    assert set(hub.repos[NAME].files) == {".gitattributes"}
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    assert send(exported).changed
