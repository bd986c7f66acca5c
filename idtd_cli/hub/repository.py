"""The writing side of a dataset on the Hub: what it holds, what of it has to change, and one commit that changes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from idtd_cli.hub import client
from idtd_cli.hub.fetching import HubFile, Listing, listing
from idtd_cli.hub.local_file import LocalFile
from idtd_cli.runlog import Meter

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True)
class Changes:
    """What a commit has to do: files that go, and files on the Hub that are no more."""

    files: dict[str, LocalFile]
    stale: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.files or self.stale)

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files.values())


@dataclass(frozen=True)
class State:
    """A dataset as it is: `main` and its tags, each with the commit that it names."""

    main: Listing
    tags: dict[str, str]
    private: bool


def changes(files: Mapping[str, LocalFile], there: Mapping[str, HubFile], owned: Collection[str]) -> Changes:
    """From what is there to what is to be there.

    Args:
        files: path → what is to be there.
        there: what is.
        owned: paths on the Hub that go if they are not in `files`; others are somebody's own and stay.
    """
    return Changes(
        {path: file for path, file in files.items() if not file.is_on_the_hub(there.get(path))},
        tuple(sorted(path for path in owned if path in there and path not in files)),
    )


def state(api: HfApi, repo: str) -> State | None:
    """What a dataset is now; None if there is none that this token can see."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        info = api.dataset_info(repo)
    except GatedRepoError:
        raise
    except RepositoryNotFoundError:
        return None
    refs = api.list_repo_refs(repo, repo_type=client.REPO_TYPE)
    tags = {tag.name: tag.target_commit for tag in refs.tags}
    return State(listing(api, client.Place(repo)), tags, bool(info.private))


def card_problems(api: HfApi, card: bytes) -> list[str]:
    """What the Hub has against the front matter of a card."""
    from huggingface_hub.utils import get_session, hf_raise_for_status  # type: ignore[attr-defined]

    asked = {"repoType": client.REPO_TYPE, "content": card.decode()}
    answer = get_session().post(f"{api.endpoint}/api/validate-yaml", json=asked)
    if answer.status_code == 400:
        return [f"the Hub refuses the card: {error.get('message')}" for error in answer.json().get("errors", [])]
    hf_raise_for_status(answer)
    return []


def commit(api: HfApi, repo: str, wanted: Changes, parent: str, message: str, meter: Meter) -> str:
    """One commit on top of `parent` and nothing else, after all large files were uploaded; gives its name.

    A large file that the Hub has, from an upload that was stopped for one, is not uploaded again.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    from idtd_cli.hub import uploading  # it needs the client, which is slow to load

    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        *uploading.upload(api, repo, wanted.files, meter),
        *(CommitOperationDelete(path) for path in wanted.stale),
    ]
    made = api.create_commit(repo, operations, commit_message=message, repo_type=client.REPO_TYPE, parent_commit=parent)
    return str(made.oid)
