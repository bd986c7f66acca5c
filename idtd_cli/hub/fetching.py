"""Distilled sets on the Hub → files in the Hub client's cache that are what SHA256SUMS promises.

Nothing is fetched that SHA256SUMS does not list, and nothing before its size is known to be in bounds and, where the
Hub knows its digest, that to be right. What is in the cache is not fetched again, and is enough where there is no
network.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idtd_cli import documents, storage
from idtd_cli.distilled import SUMS, SetDocument, read_sums, strange
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.hub import cache, client
from idtd_cli.hub.client import MAX_GB, Place
from idtd_cli.runlog import Meter, Progress

if TYPE_CHECKING:
    from huggingface_hub import HfApi

#: What the Hub holds beside a set, and idtd writes when it publishes.
CARD, RESULTS = "README.md", "evaluation/results.json"
CITATION, LICENCE, PROVENANCE = "CITATION.cff", "LICENSE", "provenance.json"
WRITTEN = frozenset((CARD, RESULTS, CITATION, LICENCE, PROVENANCE))
BESIDE = WRITTEN | {".gitattributes"}
#: Bytes of set.json and of SHA256SUMS, which have to be read before anything is known of the rest.
_MAX_HEAD = 64 << 20
_THREADS = 8


@dataclass(frozen=True)
class HubFile:
    """What the Hub says of a file."""

    size: int
    sha256: str | None  #: of large files
    git_sha1: str  #: of small ones, as git counts it


@dataclass(frozen=True)
class Listing:
    """A dataset at one commit."""

    commit: str
    files: dict[str, HubFile]


@dataclass(frozen=True)
class Fetched:
    """A distilled set in the cache of the Hub client.

    Attributes:
        place: as it was asked for.
        commit: that it stood for at this moment.
        folder: of the files; each is a link into the cache.
        document: what the set is.
        sums: path → sha256 of all its files.
        files: those that were fetched, SHA256SUMS among them.
        listing: what the Hub holds; None if it was not asked.
    """

    place: Place
    commit: str
    folder: Path
    document: SetDocument
    sums: dict[str, str]
    files: tuple[str, ...]
    listing: Listing | None


def listing(api: HfApi, place: Place) -> Listing:
    """What the Hub holds; the client's errors are the caller's to explain."""
    from huggingface_hub.hf_api import RepoFile

    commit = api.dataset_info(place.repo, revision=place.revision).sha
    if not isinstance(commit, str) or not client.COMMIT.fullmatch(commit):  # it becomes part of addresses and of paths
        raise IdtdError(f"The Hub names no commit of the dataset {place}.", "Try again later.")
    entries = api.list_repo_tree(place.repo, recursive=True, revision=commit, repo_type=client.REPO_TYPE)
    files = {}
    for entry in entries:
        if isinstance(entry, RepoFile):
            file = HubFile(entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)
            if type(entry.path) is not str or type(file.size) is not int or file.size < 0:
                raise IdtdError(f"The Hub does not say how large a file of the dataset {place} is.", "Try again later.")
            files[entry.path] = file
    return Listing(commit, files)


def fetch(
    place: Place,
    address: str,
    progress: Progress,
    max_gb: float = MAX_GB,
    only: Callable[[str], bool] | None = None,
) -> Fetched:
    """Fetch a distilled set into the client's cache.

    Args:
        place: which one.
        address: of the Hub.
        progress: is told how far it is, in MB.
        max_gb: more is not fetched.
        only: of the files of the set, those that this is true of, and set.json; None takes all.

    Raises:
        InputError: there is no such set, it is not to be had, it is larger than `max_gb`, or not what it promises.
        IdtdError: the Hub cannot be reached and the cache does not hold all of the set.
    """
    api = client.open_client(address)
    cache.remove_abandoned(place)
    found = _look(api, place, address, progress)
    if found:
        for name in (SetDocument.FILE, SUMS):
            if name not in found.files:
                raise InputError(f"The dataset {place} is no distilled set: it has no {name}.", "Name another one.")
            if found.files[name].size > _MAX_HEAD:
                raise InputError(
                    f"{name} of {place} has {found.files[name].size} bytes: it is none of idtd's.",
                    "Name another dataset.",
                )
    with client.explained(place, address=address):
        folder = _cached(api, place, SUMS, place.revision, found).parent
    commit = folder.name
    if found and found.commit != commit:
        raise _changed(place)
    with client.explained(place, address=address):
        if _cached(api, place, SetDocument.FILE, commit, found) != folder / SetDocument.FILE:
            raise _changed(place)
    with client.named(place, folder):
        document, sums = documents.read(SetDocument, folder), read_sums(folder)
    if SetDocument.FILE not in sums:
        raise InputError(f"{SUMS} of {place} does not list {SetDocument.FILE}: it was changed.", "Tell its owner.")
    if others := strange(sums):
        raise InputError(
            f"{SUMS} of {place} lists {_some(others)}, which is no file that a distilled set has.",
            f"Nothing was written. Do not trust {place.repo}.",
        )
    wanted = [name for name in sums if only is None or only(name) or name == SetDocument.FILE]
    if found:
        _need_right(place, found, {name: sums[name] for name in wanted}, max_gb)

    total = sum(found.files[name].size for name in wanted) if found else None
    with (
        client.explained(place, address=address),
        progress.stage(f"fetch {place} (MB)", total and Meter.megabytes(total)) as bar,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        meter = Meter(bar)

        def get(name: str) -> None:
            for again in (False, True):  # once more, as it may have been damaged in the cache or on its way
                path = _cached(api, place, name, commit, found, again and found is not None, meter)
                if path != folder / name:
                    raise _changed(place)
                if storage.sha256_file(path) == sums[name]:
                    meter.reach(name, path.stat().st_size)  # also of what was in the cache
                    return
            raise _wrong([name], place)

        try:
            for _ in pool.map(get, wanted):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return Fetched(place, commit, folder, document, sums, (*wanted, SUMS), found)


def _look(api: HfApi, place: Place, address: str, progress: Progress) -> Listing | None:
    """What the Hub holds; None if it cannot be asked, and the cache has to do."""
    if client.is_offline():
        return None
    try:
        with client.explained(place, address=address):
            return listing(api, place)
    except InputError:
        raise
    except IdtdError as error:
        if not _is_cached(api, place):
            raise
        progress.note(f"{error.message} Taking what the cache holds.")
        return None


def _is_cached(api: HfApi, place: Place) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(
        try_to_load_from_cache(place.repo, SUMS, revision=place.revision, repo_type=client.REPO_TYPE), str
    )


def _cached(
    api: HfApi,
    place: Place,
    name: str,
    revision: str | None,
    found: Listing | None,
    again: bool = False,
    meter: Meter | None = None,
) -> Path:
    """The path of a file in the cache, fetched if it is not there; from the cache alone if the Hub was not asked."""
    bar: Any = partial(_Bar, meter, name) if meter else None  # for the client, a class of bars
    path = api.hf_hub_download(
        place.repo,
        name,
        repo_type=client.REPO_TYPE,
        revision=revision,
        force_download=again,
        local_files_only=found is None,
        tqdm_class=bar,
    )
    return Path(path)


class _Bar:
    """What the client of the Hub moves while a file comes, for a meter, which has no use for what else bars can do.

    By Xet it has two for a file; the one that is ahead counts.
    """

    def __init__(self, meter: Meter, name: str, *, initial: int = 0, **_: object) -> None:
        self._meter, self._name, self.n = meter, name, initial
        self.update(0)

    def update(self, n: int) -> None:
        self.n += n
        self._meter.reach(self._name, self.n)

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        pass

    def refresh(self) -> None:
        pass

    def close(self) -> None:
        pass

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _need_right(place: Place, found: Listing, sums: dict[str, str], max_gb: float) -> None:
    """Refuse, before it is fetched, what cannot be right."""
    if missing := [name for name in sums if name not in found.files]:
        raise InputError(
            f"The dataset {place} lacks {_some(missing)}, which its {SUMS} lists.", f"Tell the owner of {place.repo}."
        )
    wrong = [name for name, digest in sums.items() if found.files[name].sha256 not in (None, digest)]
    if wrong:
        raise _wrong(wrong, place)
    size = sum(found.files[name].size for name in sums)
    if size > max_gb * 1e9:
        raise InputError(
            f"The dataset {place} has {size / 1e9:.2f} GB, and the limit is {max_gb:g} GB.",
            f"If you trust its owner, raise it: idtd download {place} OUT --max-gb {size / 1e9 + 1:.0f}.",
        )


def _changed(place: Place) -> IdtdError:
    return IdtdError(f"The dataset {place} was changed at this moment.", "Run the same command again.")


def _wrong(names: list[str], place: Place) -> InputError:
    return InputError(
        f"{_some(names)} of {place} does not match its checksum in {SUMS}: it was changed or is damaged.",
        f"Nothing was written. Tell the owner of {place.repo}, or name an older revision.",
    )


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def extra(fetched: Fetched, name: str, address: str) -> Path | None:
    """A file that lies on the Hub beside a set, in the cache; None if there is none.

    Where the Hub was not asked, the cache may have it from another time.

    Raises:
        InputError: it is too large to be what idtd writes.
        IdtdError: the Hub cannot be reached.
    """
    found = fetched.listing
    if found is None:
        from huggingface_hub import try_to_load_from_cache

        kept = try_to_load_from_cache(fetched.place.repo, name, revision=fetched.commit, repo_type=client.REPO_TYPE)
        return Path(kept) if isinstance(kept, str) else None
    if name not in found.files:
        return None
    if found.files[name].size > _MAX_HEAD:
        raise InputError(
            f"{name} of {fetched.place} has {found.files[name].size} bytes: it is none of idtd's.",
            "Name another dataset.",
        )
    with client.explained(fetched.place, address=address):
        return _cached(client.open_client(address), fetched.place, name, fetched.commit, found)


def copy_to(fetched: Fetched, out: Path, progress: Progress) -> None:
    """Make a folder of the fetched files, wholly or not at all.

    Raises:
        InputError: `out` holds something.
        IdtdError: the cache was changed meanwhile.
    """
    with storage.new_folder(out, progress.note) as staging:
        for name in fetched.files:
            target = staging / name
            target.parent.mkdir(parents=True, exist_ok=True)
            digest = storage.copy(fetched.folder / name, target)
            if digest != fetched.sums.get(name, digest):
                raise IdtdError(f"{name} was changed in the Hub's cache.", "Run the same command again.")
