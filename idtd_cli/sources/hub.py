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

from idtd_cli.errors import InputError
from idtd_cli.hub import cache, client
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
    place = client.Place(repo, revision)
    with client.explained(place):
        cache.remove_abandoned(place)
        from huggingface_hub import snapshot_download  # slow to load

        client.open_client(client.endpoint(None))  # quiet, and on its guard
        snapshot = snapshot_download(
            repo,
            repo_type=client.REPO_TYPE,
            revision=revision,
            allow_patterns=None if folder == "." else f"{glob.escape(folder)}/*",
            endpoint=os.environ.get("HF_ENDPOINT"),
        )
    return Path(snapshot)
