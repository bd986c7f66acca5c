"""The cache of the Hub's client, as far as the client leaves it to others to keep it tidy."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path

from idtd_cli.hub.client import REPO_TYPE, Place

#: What the client calls a file that it is fetching: each try has one of its own, which no other goes on with.
_GROWING = re.compile(r"(?P<blob>.+)\.[0-9a-f]{8}\.incomplete")
#: Seconds without a write after which it is nobody's. The client's lock alone does not say so: some file systems of
#: clusters give a lock to everyone who asks.
_ABANDONED = 3600.0


def remove_abandoned(place: Place) -> None:
    """Remove what killed downloads of a dataset left in the cache, where it would stay for ever.

    What another user left, or what holds a lock, is left as it is.
    """
    from filelock import Timeout  # the client's own
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    cache = Path(constants.HF_HUB_CACHE)
    folder = repo_folder_name(repo_id=place.repo, repo_type=REPO_TYPE)
    for path in (cache / folder / "blobs").glob("*.incomplete"):
        if not (named := _GROWING.fullmatch(path.name)):
            continue
        with suppress(OSError, Timeout):
            if path.stat().st_mtime < time.time() - _ABANDONED:
                with WeakFileLock(cache / ".locks" / folder / f"{named['blob']}.lock", timeout=0.1):
                    path.unlink()
