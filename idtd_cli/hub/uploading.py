"""Large files → the Hub, which keeps them until a commit names them; a bar moves while one of them goes.

By LFS what the client reads of a file is counted. By Xet it tells its own bars alone how far a file is, so that ours
moves when a batch is there (`client.own_bars`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from huggingface_hub import CommitOperationAdd, HfApi

from idtd_cli.hub import client
from idtd_cli.hub.local_file import LocalFile
from idtd_cli.runlog import Meter

#: A batch has no more than this, unless it is one file: what went by Xet in a batch that was stopped is sent again.
_BATCH_BYTES, _BATCH_FILES = 64 << 20, 256


def upload(api: HfApi, repo: str, files: Mapping[str, LocalFile], meter: Meter) -> list[CommitOperationAdd]:
    """Send the large files among these that the Hub lacks; gives what a commit adds them all by."""
    added: list[CommitOperationAdd] = []
    for batch in _batches(files):
        operations = [_Addition(path, file.content, meter) for path, file in batch.items()]
        api.preupload_lfs_files(repo, operations, repo_type=client.REPO_TYPE)
        for path, file in batch.items():  # there now, there before, or small and a part of the commit
            meter.reach(path, file.size)
        added += operations
    return added


def _batches(files: Mapping[str, LocalFile]) -> Iterator[dict[str, LocalFile]]:
    batch: dict[str, LocalFile] = {}
    for path, file in files.items():
        if batch and (len(batch) == _BATCH_FILES or sum(f.size for f in batch.values()) + file.size > _BATCH_BYTES):
            yield batch
            batch = {}
        batch[path] = file
    if batch:
        yield batch


class _Addition(CommitOperationAdd):
    """A file of a commit that says how far it was read to be sent."""

    def __init__(self, path: str, content: Any, meter: Meter) -> None:
        super().__init__(path, content)
        self._meter = meter

    @contextmanager
    def as_file(self, with_tqdm: bool = False) -> Iterator[BinaryIO]:
        """The client's own way to read it; `with_tqdm` where it sends what it reads."""
        if not with_tqdm or not isinstance(self.path_or_fileobj, str):
            with super().as_file() as file:
                yield file
            return
        with _Counted(self.path_or_fileobj, self.path_in_repo, self._meter) as counted:
            yield counted


class _Counted(io.BufferedReader):
    """A file that tells a meter how far it was read; read once more after a failure, it is as far as it was."""

    def __init__(self, path: str, name: str, meter: Meter) -> None:
        super().__init__(io.FileIO(path))
        self._name, self._meter = name, meter

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._meter.reach(self._name, self.tell())
        return data
