"""The writing side of a dataset on the Hub: what it holds, what of it has to change, and one commit that changes it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from idtd_cli import storage
from idtd_cli.hub import client
from idtd_cli.hub.fetching import HubFile, Listing, listing

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True)
class LocalFile:
    """A file that is to be on the Hub: one on the disk, or bytes that were made for it."""

    content: Path | bytes
    size: int
    sha256: str

    @classmethod
    def of(cls, content: Path | bytes, sha256: str = "") -> LocalFile:
        """`sha256` may be given where it is known to be right."""
        if isinstance(content, bytes):
            return cls(content, len(content), storage.sha256_bytes(content))
        return cls(content, content.stat().st_size, sha256 or storage.sha256_file(content))

    def content_bytes(self) -> bytes:
        """All of it: for small files."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()

    def is_on_the_hub(self, there: HubFile | None) -> bool:
        """Whether the Hub has these very bytes, going by the digest that it keeps."""
        if there is None or there.size != self.size:
            return False
        if there.sha256:
            return there.sha256 == self.sha256
        data = self.content_bytes()
        return there.git_sha1 == hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


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


def commit(api: HfApi, repo: str, wanted: Changes, parent: str, message: str) -> str:
    """One commit on top of `parent` and nothing else, after all large files were uploaded; gives its name.

    A large file that the Hub has, from an upload that was stopped for one, is not uploaded again.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationAdd(path, file.content) for path, file in wanted.files.items()
    ]
    operations += [CommitOperationDelete(path) for path in wanted.stale]
    made = api.create_commit(repo, operations, commit_message=message, repo_type=client.REPO_TYPE, parent_commit=parent)
    return str(made.oid)
