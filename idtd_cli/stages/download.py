"""`idtd download`: a distilled set on the Hub → the same folder here."""

from __future__ import annotations

from pathlib import Path

from idtd_cli.distilled import SetDocument, read_sums, shards
from idtd_cli.errors import InputError
from idtd_cli.hub import client, fetching
from idtd_cli.hub.client import MAX_GB, Place
from idtd_cli.hub.fetching import Fetched
from idtd_cli.runlog import Progress
from idtd_cli.storage import forget, sha256_file


def run(place: Place, out: Path, endpoint: str | None, progress: Progress, max_gb: float = MAX_GB) -> Fetched:
    """Download a set and check each file; what was fetched before is taken from the cache of the Hub client.

    Args:
        place: which set, at which revision.
        out: the folder to make: that which was exported, byte for byte. If it holds this very set it is left as it is.
        endpoint: address of the Hub; None is HF_ENDPOINT or the public one.
        progress: where to report to.
        max_gb: a larger set is refused.

    Raises:
        InputError: no such set, or not what it promises, or too large, or `out` holds something else.
        IdtdError: the Hub cannot be reached, and the cache does not hold all of it.
    """
    fetched = fetching.fetch(place, client.endpoint(endpoint), progress, max_gb)
    if (out / SetDocument.FILE).is_file():
        if read_sums(out) != fetched.sums:
            raise InputError(f"{out} holds another set.", "Name a new folder.")
        for name, digest in fetched.sums.items():
            if not (out / name).is_file() or sha256_file(out / name) != digest:
                raise InputError(f"{out} holds this set, and {name} in it is damaged.", "Name a new folder.")
        forget(out)
        progress.note(f"{out} already holds this set: nothing to do.")
        return fetched
    try:
        for _ in shards.samples(fetched.folder, fetched.document):
            pass  # tars may hold what has no place in a set: nothing of that is to lie here
    except InputError as error:
        said = error.message.replace(f"{fetched.folder}/", "")
        raise InputError(f"{place}: {said}", f"Nothing was written. Do not trust {place.repo}.") from error
    fetching.copy_to(fetched, out, progress)
    return fetched
