from __future__ import annotations

import errno
import logging

import pytest
from huggingface_hub.utils import httpx

from idtd_cli.errors import IdtdError, InputError
from idtd_cli.hub.client import Place, endpoint, explained, open_client

PLACE = Place("me/x", "v1")


@pytest.mark.parametrize(
    ("text", "place"),
    [("me/x", Place("me/x")), ("me/x@v1", PLACE), ("a.b/c_d-e@refs/pr/1", Place("a.b/c_d-e", "refs/pr/1"))],
)
def test_names(text: str, place: Place) -> None:
    assert Place.parse(text) == place
    assert str(place) == text


@pytest.mark.parametrize("text", ["", "x", "/x", "me/", "me/x@", "me/x/y", "me/x y", "../x", "me/..", "me/x\n", "mé/x"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(InputError):
        Place.parse(text)


def test_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert endpoint(None) == "https://huggingface.co"
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror/")
    assert endpoint(None) == "http://mirror"
    assert endpoint("https://other/hub/") == "https://other/hub"
    for wrong in ("mirror", "file:///etc", "https://"):
        with pytest.raises(InputError, match="is no address of a Hub"):
            endpoint(wrong)


@pytest.mark.parametrize("name", ["HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"])
def test_a_time_that_is_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The client reads it while it is imported, and ends in a traceback."""
    monkeypatch.setenv(name, "a minute")
    with pytest.raises(InputError, match=rf"{name} is 'a minute', and no number of seconds\. Set it to 60"):
        endpoint(None)
    monkeypatch.setenv(name, "30")
    assert endpoint("http://h") == "http://h"


def uploading(cause: Exception) -> RuntimeError:
    """How the client wraps what stops an upload."""
    error = RuntimeError("Error while uploading 'x' to the Hub.")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx.ConnectError("refused"), "the Hub at http://h cannot be reached, or drops its connections. Try again"),
        (uploading(httpx.ReadError("reset")), "the Hub at http://h cannot be reached, or drops its connections"),
        (ConnectionError("no xet\nat all."), "could not be sent: no xet. Try again later; with a Hub that has no Xet"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "with a Hub that has no Xet storage"),
        (ValueError("odd.\nmore"), "The dataset me/x@v1 could not be sent: odd. Try again later."),
        (ValueError(), "could not be sent: ValueError. Try again later."),
    ],
)
def test_errors_take_a_sentence(error: Exception, words: str) -> None:
    with pytest.raises(IdtdError) as raised, explained(PLACE, "be sent", "http://h"):
        raise error
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is error


def test_a_full_disk_is_no_fault_of_the_hub() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/x")
    with pytest.raises(OSError, match="No space left") as raised, explained(PLACE):
        raise full
    assert raised.value is full


def test_our_own_errors_pass() -> None:
    ours = InputError("Wrong.")
    with pytest.raises(InputError) as raised, explained(PLACE):
        raise ours
    assert raised.value is ours


def test_the_client_is_quiet_unless_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_VERBOSITY", raising=False)
    open_client("http://h")  # it reads its own settings once, when it is imported
    logger = logging.getLogger("huggingface_hub")
    logger.setLevel(logging.WARNING)
    monkeypatch.setenv("HF_HUB_VERBOSITY", "info")
    open_client("http://h")
    assert logger.level == logging.WARNING
    monkeypatch.delenv("HF_HUB_VERBOSITY")
    assert open_client("http://h").endpoint == "http://h"
    assert logger.level == logging.ERROR
