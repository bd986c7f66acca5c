"""The Hugging Face Hub as idtd meets it: the names of datasets, its client, and the client's errors in words."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from idtd_cli.errors import IdtdError, InputError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

#: How the client calls what is stored here.
REPO_TYPE = "dataset"
#: GB that a set may have unless the user says otherwise.
MAX_GB = 10.0
#: Seconds without a byte after which a request is given up, where the Hub's client itself would wait for ever.
_PATIENCE = 60.0
#: For what an HTTP request can wait.
_WAITS = ("connect", "read", "write", "pool")
_HOME = "https://huggingface.co"
COMMIT = re.compile("[0-9a-f]{40}")
_SHA256 = re.compile("[0-9a-f]{64}")
_ETAG = re.compile(r'(W/)?"?[0-9A-Za-z][0-9A-Za-z_=+:-]{0,127}"?')
_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN."


class NoDatasetError(InputError):
    """There is no such dataset on the Hub; a folder may have been meant."""


@dataclass(frozen=True)
class Place:
    """A dataset on the Hub, and one of its revisions: a branch, a tag or a commit; None is its main branch."""

    repo: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> Place:
        """
        Raises:
            InputError: it is not written as OWNER/NAME or OWNER/NAME@REVISION, or cannot be the name of a dataset.
        """
        repo, at, revision = text.partition("@")
        if not _NAME.fullmatch(repo) or bool(at) != bool(revision):
            raise NoDatasetError(f"{text!r} is no dataset on the Hub.", "Write OWNER/NAME or OWNER/NAME@REVISION.")
        with explained(cls(repo)):
            from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

            validate_repo_id(repo)
        return cls(repo, revision or None)

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}" if self.revision else self.repo


def endpoint(asked: str | None) -> str:
    """The address of the Hub: the one asked for, else HF_ENDPOINT, else the public one.

    Raises:
        InputError: it is no web address, or a time that the client has to wait is no number.
    """
    for name in ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"):
        if (said := os.environ.get(name, "")) and not said.isdecimal():  # the client would end in a traceback
            raise InputError(f"{name} is {said!r}, and no number of seconds.", "Set it to 60, or unset it.")
    address = (asked or os.environ.get("HF_ENDPOINT") or _HOME).rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(f"{address!r} is no address of a Hub.", f"Write it as {_HOME}.")
    return address


def open_client(address: str) -> HfApi:
    """The client, with the token that its own login or HF_TOKEN provides; it is quiet, as errors come in words.

    Its log of tries and its progress bars stay where the user asks for them (HF_HUB_VERBOSITY).
    """
    from huggingface_hub import HfApi  # slow to load
    from huggingface_hub.utils import disable_progress_bars, logging  # type: ignore[attr-defined]

    if "HF_HUB_VERBOSITY" not in os.environ:
        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        disable_progress_bars()
    guard()
    return HfApi(endpoint=address, library_name="idtd")


def uses_xet() -> bool:
    """Whether the client sends large files by Xet."""
    from huggingface_hub import constants

    return not constants.HF_HUB_DISABLE_XET and importlib.util.find_spec("hf_xet") is not None


@contextmanager
def own_bars() -> Iterator[None]:
    """Let the client draw its bars, unless HF_HUB_DISABLE_PROGRESS_BARS is set."""
    from huggingface_hub import constants
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    were_off = are_progress_bars_disabled()
    if were_off and not constants.HF_HUB_DISABLE_PROGRESS_BARS:
        enable_progress_bars()
    try:
        yield
    finally:
        if were_off and not constants.HF_HUB_DISABLE_PROGRESS_BARS:
            disable_progress_bars()


def patience() -> float:
    """Seconds that a request may go without a byte: what HF_HUB_DOWNLOAD_TIMEOUT says, if it says anything."""
    from huggingface_hub import constants

    asked = constants.HF_HUB_DOWNLOAD_TIMEOUT
    return _PATIENCE if asked == constants.DEFAULT_DOWNLOAD_TIMEOUT else asked


def guard() -> None:
    """Have the client give up requests that bring nothing more, and refuse answers whose digest or commit is none: it
    makes paths of its cache of these, unchecked, and `../../x` would lead out of there.
    """
    from huggingface_hub.utils import _http

    made_by = _http._GLOBAL_CLIENT_FACTORY  # that of the user, if there is one; no public name gives it
    if isinstance(made_by, _Guarded):
        return
    # Not on the session that there is: after a connection that failed the client makes itself another one.
    _http.set_client_factory(_Guarded(made_by))


class _Guarded:
    """Makes the sessions of the Hub's client, each with the guard."""

    def __init__(self, made_by: Callable[[], Any]) -> None:
        self._made_by = made_by

    def __call__(self) -> Any:
        session = self._made_by()
        hooks = session.event_hooks
        session.event_hooks = {
            "request": [*hooks.get("request", ()), _bound],
            "response": [*hooks.get("response", ()), _need_plain],
        }
        return session


def _bound(request: Any) -> None:
    """Where the client sets no limit to the time of a request, it says so in each; the session's own does not count."""
    limits = request.extensions.get("timeout", {})
    bounded = {kind: patience() if limits.get(kind) is None else limits[kind] for kind in _WAITS}
    request.extensions = {**request.extensions, "timeout": bounded}


def _need_plain(response: Any) -> None:
    commit = response.headers.get("X-Repo-Commit")
    if commit is not None:  # it is about a file of a repository; of one that is not there, the commit alone is used
        etag = response.headers.get("X-Linked-Etag") or response.headers.get("ETag") or ""
        if not COMMIT.fullmatch(commit) or (response.status_code < 400 and not _ETAG.fullmatch(etag)):
            raise ValueError(f"the Hub answered with the digest {etag[:80]!r} and the commit {commit[:80]!r}")
    if "/api/" in response.url.path and "json" in response.headers.get("Content-Type", ""):
        response.read()
        try:
            content = json.loads(response.content)
        except (ValueError, RecursionError):
            return  # the client says what it thinks of it
        for entry in content if isinstance(content, list) else [content]:
            if isinstance(entry, dict):
                _need_plain_entry(entry)


def _need_plain_entry(entry: dict[str, Any]) -> None:
    """Of a repository, its commit; of a file in a list of files, its digest."""
    lfs = entry.get("lfs")
    commit, digest = entry.get("sha"), lfs.get("oid") if isinstance(lfs, dict) else None
    if commit is not None and not COMMIT.fullmatch(str(commit)):
        raise ValueError(f"the Hub answered with the commit {str(commit)[:80]!r}")
    if digest is not None and not _SHA256.fullmatch(str(digest)):
        raise ValueError(f"the Hub answered with the digest {str(digest)[:80]!r}")


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE is set."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


@contextmanager
def explained(place: Place, doing: str = "be fetched", address: str | None = None) -> Iterator[None]:
    """Say in a sentence what went wrong between the client and the Hub, and what to do next.

    Args:
        place: what it is about.
        doing: what was tried, as in "could not be fetched".
        address: of the Hub, where it is worth saying.

    Raises:
        InputError: the user has to change something: a name, a login, a right.
        IdtdError: the Hub or the way to it failed.
        OSError: a file on this machine could not be read or written.
    """
    try:
        yield
    except IdtdError:
        raise
    except Exception as error:  # the client passes on what its HTTP library raises
        raise _in_words(error, place, doing, address) from error


@contextmanager
def no_folder(source: str) -> Iterator[None]:
    """Say of what is no dataset on the Hub that it is no folder here either: it may have been meant as one."""
    try:
        yield
    except NoDatasetError as error:
        raise InputError(f"There is no folder {source} here. {error.message}", error.hint) from error


@contextmanager
def named(place: Place, folder: Path) -> Iterator[None]:
    """Call files of a dataset by its name, and not by that of the folder that they were fetched into."""
    try:
        yield
    except InputError as error:
        said = error.message.replace(f"{folder}/", "").replace(f"{folder} ", "it ")
        raise InputError(f"{place}: {said}", f"Tell the owner of {place.repo}, or name another revision.") from error


def _in_words(error: Exception, place: Place, doing: str, address: str | None) -> Exception:
    from huggingface_hub import errors as hub
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    what = f"The dataset {place}"
    at = f" at {address}" if address else ""
    match error:
        case hub.GatedRepoError():
            return InputError(f"The dataset {place.repo} is gated.", f"Ask for access on its page. {_LOG_IN}")
        case hub.RepositoryNotFoundError():
            return NoDatasetError(
                f"There is no dataset {place.repo} on the Hub, or it is private.", f"To read your own: {_LOG_IN}"
            )
        case hub.RevisionNotFoundError():
            return InputError(
                f"The dataset {place.repo} has no revision {place.revision}.", "Name a branch, tag or commit."
            )
        case hub.LocalEntryNotFoundError():  # also: a part of it is there
            if isinstance(error.__cause__, hub.OfflineModeIsEnabled) or is_offline():
                return InputError(f"{what} is not wholly in the Hub's cache, and HF_HUB_OFFLINE is set.", "Unset it.")
            return IdtdError(
                f"{what} is not wholly in the Hub's cache, and the Hub cannot be reached.", "Try again once it can."
            )
        case hub.OfflineModeIsEnabled():
            return InputError(f"{what} could not {doing}: HF_HUB_OFFLINE is set.", "Unset it.")
        case hub.HFValidationError():
            return InputError(f"{place.repo!r} cannot be the name of a dataset.", "Write OWNER/NAME.")
        case hub.LocalTokenNotFoundError():
            return InputError(f"{what} could not {doing}: nobody is logged in.", _LOG_IN)
        case hub.HfHubHTTPError():
            return _of_status(error, what, doing)
        case httpx.TimeoutException():
            return IdtdError(
                f"{what} could not {doing}: the Hub{at} stopped answering.",
                "Run the same command again; what was transferred whole is kept. HF_HUB_DOWNLOAD_TIMEOUT=300 has it "
                "wait for 300 seconds.",
            )
        case httpx.TransportError():
            return IdtdError(
                f"{what} could not {doing}: the Hub{at} cannot be reached, or drops its connections.",
                "Try again once it can; what was transferred whole is kept.",
            )
        case RuntimeError() if isinstance(error.__cause__, Exception):  # around what stopped an upload
            return _in_words(error.__cause__, place, doing, address)
        case ConnectionError() | TimeoutError():  # the builtin ones: Xet's own words
            return IdtdError(
                f"{what} could not {doing}: {_first_line(error)}.",
                "Try again later; with a Hub that has no Xet storage, set HF_HUB_DISABLE_XET=1.",
            )
        case OSError() if error.errno is not None:
            return error  # of this machine: a full disk, a folder that cannot be written to
    return IdtdError(f"{what} could not {doing}: {_first_line(error)}.", "Try again later.")


def _of_status(error: Exception, what: str, doing: str) -> IdtdError:
    status = error.response.status_code  # type: ignore[attr-defined]
    match status:
        case 401:
            return InputError(f"{what} could not {doing}: the Hub does not know your token.", _LOG_IN)
        case 403:
            return InputError(
                f"{what} could not {doing}: your token does not allow it.",
                "Take a token with the right to write there (https://huggingface.co/settings/tokens).",
            )
        case 409 | 412:
            return IdtdError(
                f"{what} could not {doing}: somebody else changed it at the same moment.",
                "Look at it, and run the same command again.",
            )
        case 429:
            return IdtdError(
                f"{what} could not {doing}: the Hub asks for fewer requests (429).",
                "Wait some minutes and run the same command again; what was transferred is kept.",
            )
        case 500 | 502 | 503 | 504:
            return IdtdError(
                f"{what} could not {doing}: the Hub is out of order ({status}).",
                "Run the same command again later; what was transferred is kept.",
            )
    return IdtdError(f"{what} could not {doing}: {_first_line(error)}.", "Try again later.")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
