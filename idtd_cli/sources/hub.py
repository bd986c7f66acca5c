"""A dataset repository on the Hugging Face Hub, in any of the layouts that are read from a disk.

Its files are fetched into the Hub client's own cache, at the commit that the revision stands for at this moment; the
source's name says which one that is.
"""

from __future__ import annotations

import glob
import os
import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from idtd_cli.errors import IdtdError, InputError
from idtd_cli.sources.source import Source, relative_id

NAME = "hub"
EXPECTS = """hub:OWNER/NAME, a dataset on the Hugging Face Hub that holds any of the other kinds.
hub:OWNER/NAME@REVISION names a branch, tag or commit; a folder or CSV file in it may follow: hub:OWNER/NAME/FOLDER."""

_PLACE = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[^/@]+))?(/(?P<within>.+))?", re.ASCII)


def fits(path: Path) -> bool:
    return False  # it is no path


def read(place: str, fold: int) -> Source:
    """Fetch a dataset and list its videos.

    Raises:
        InputError: there is no such dataset, revision or folder, or it does not hold together.
        IdtdError: the Hub cannot be reached.
    """
    from idtd_cli.sources import registry  # which knows this module as one of the kinds

    match = _PLACE.fullmatch(place.rstrip("/"))
    if match is None:
        raise InputError(f"{place!r} is no dataset on the Hub.", "Write hub:OWNER/NAME or hub:OWNER/NAME@REVISION.")
    repo, within = match["repo"], relative_id(match["within"] or "", place)
    is_list = within.endswith(".csv")
    folder = str(PurePosixPath(within).parent) if is_list else within
    snapshot = _fetch(repo, match["revision"], folder)
    if not (snapshot / within).exists():
        raise InputError(f"The dataset {repo} has no {within} at {snapshot.name}.", "Look at its files on the Hub.")
    found = registry.find(snapshot / within, fold)
    name = f"{repo}@{snapshot.name}" if within == "." else f"{repo}@{snapshot.name}/{within}"
    return replace(found, name=name, kind=f"{NAME}/{found.kind}")


def _fetch(repo: str, revision: str | None, folder: str) -> Path:
    """The files of a repository below a folder: a folder whose name is that of their commit."""
    from huggingface_hub import errors as hub
    from huggingface_hub import snapshot_download  # slow to load

    at = f"{repo}@{revision}" if revision else repo
    try:
        snapshot = snapshot_download(
            repo,
            repo_type="dataset",
            revision=revision,
            allow_patterns=None if folder == "." else f"{glob.escape(folder)}/*",
            endpoint=os.environ.get("HF_ENDPOINT"),
        )
    except hub.GatedRepoError as error:
        raise InputError(
            f"The dataset {repo} is gated.", "Ask for access on its page, then log in with `hf auth login`."
        ) from error
    except hub.RepositoryNotFoundError as error:
        raise InputError(
            f"There is no dataset {repo} on the Hub, or it is private.",
            "To read your own, log in with `hf auth login`.",
        ) from error
    except hub.RevisionNotFoundError as error:
        raise InputError(f"The dataset {repo} has no revision {revision}.", "Name a branch, tag or commit.") from error
    except hub.LocalEntryNotFoundError as error:  # also: a part of it is there
        if isinstance(error.__cause__, hub.OfflineModeIsEnabled):
            raise InputError(
                f"The dataset {at} is not wholly in the Hub's cache, and HF_HUB_OFFLINE is set.", "Unset it."
            ) from error
        raise IdtdError(
            f"The dataset {at} is not wholly in the Hub's cache, and the Hub cannot be reached.",
            "Try again once it can.",
        ) from error
    except hub.HFValidationError as error:
        raise InputError(f"{repo!r} cannot be the name of a dataset.", "Write hub:OWNER/NAME.") from error
    except Exception as error:  # the client passes on what its HTTP library raises
        words = str(error).partition("\n")[0].strip().rstrip(".") or type(error).__name__
        raise IdtdError(f"The dataset {at} could not be fetched: {words}.", "Try again later.") from error
    return Path(snapshot)
