"""The only reader and writer of distilled sets.

The shards are the set. All else in its folder is made from them, for people and for other programs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from idtd_cli import documents, storage
from idtd_cli.distilled import croissant, previews, shards, viewable
from idtd_cli.distilled.document import AGAIN, SetDocument
from idtd_cli.errors import IdtdError, InputError

__all__ = ["SUMS", "DistilledSet", "SetDocument", "digest", "read_sums", "strange", "write"]

SUMS = "SHA256SUMS"
_SUM = re.compile("([0-9a-f]{64})  (.+)")
#: Endings of all that `write` writes.
_KINDS = (".json", ".tar", ".mp4", ".png", ".gif", ".jpg")


class DistilledSet:
    """A distilled set on disk, opened.

    Attributes:
        document: what the set is.
        videos_NT3HW: uint8, in class order.
        labels_N: class of each video.
        logits_NKC: soft labels, the scores that trained networks gave each of the K pieces of a video; None in a set
            that has classes alone. Their softmax, divided by `document.temperature`, is what to learn.
    """

    def __init__(
        self, path: Path, document: SetDocument, videos_NT3HW: Tensor, labels_N: Tensor, logits_NKC: Tensor | None
    ) -> None:
        self.path = path
        self.document = document
        self.videos_NT3HW = videos_NT3HW
        self.labels_N = labels_N
        self.logits_NKC = logits_NKC

    @classmethod
    def open(cls, path: Path) -> DistilledSet:
        """Read a set and check its document and its shards against their checksums.

        Raises:
            InputError: no finished set there, or its shards are damaged or not those that were exported.
        """
        document = documents.read(SetDocument, path)
        shards.need_all(path, document)
        check(path, [SetDocument.FILE, *shards.names(document)])
        videos, logits = shards.read(path, document)
        return cls(path, document, videos, _labels(document), logits)

    def lossy_videos(self) -> Tensor:
        """The videos as a program gets them that takes the MP4s for people for the set: (N, T, 3, H, W) uint8.

        Raises:
            InputError: the MP4s are not those that were exported.
            IdtdError: one cannot be decoded.
        """
        check(self.path, viewable.names(self.document))
        return viewable.read(self.path, self.document)


def write(
    folder: Path,
    document: SetDocument,
    videos_NT3HW: Tensor,
    labels_N: Tensor,
    logits_NKC: Tensor | None = None,
    done: Callable[[], None] = lambda: None,
) -> SetDocument:
    """Write all files of a set into a folder and read each form of the clips back.

    Args:
        folder: empty.
        document: what the set is.
        videos_NT3HW: uint8, in class order.
        labels_N: class of each video.
        logits_NKC: soft labels, if there are some.
        done: called when a clip is in its shard, and again when it is an MP4 for people.

    Returns:
        the document as it was written, with what is known of the files.

    Raises:
        IdtdError: a form does not read back as it was written.
    """
    if not torch.equal(labels_N, _labels(document)):
        raise ValueError("videos must be in class order, as many of each")
    document = shards.write(folder, document, videos_NT3HW, logits_NKC, done)
    document = viewable.write(folder, document, videos_NT3HW, done)
    previews.write(folder, document, videos_NT3HW)
    croissant.write(folder, document)
    document.write(folder)

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{storage.sha256_file(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    _read_back(folder, videos_NT3HW, logits_NKC)
    return document


def read_sums(folder: Path) -> dict[str, str]:
    """SHA256SUMS as {relative path: digest}; empty if it is missing.

    Raises:
        InputError: it is not what `write` writes, or names a file that is not visibly inside of the folder.
    """
    path = folder / SUMS
    if not path.is_file():
        return {}
    sums: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        match = _SUM.fullmatch(line)
        if match is None or not _is_plain(match[2]) or match[2] in sums:
            raise InputError(f"{path} is damaged or forged: line {number} is {line[:200]!r}.", AGAIN)
        sums[match[2]] = match[1]
    return sums


def strange(sums: Iterable[str]) -> list[str]:
    """Files of a kind that no set holds, such as pickles and programs, among the names in SHA256SUMS."""
    return [name for name in sums if not name.endswith(_KINDS)]


def digest(folder: Path) -> str:
    """sha256 over the checksums of all files of a set."""
    return storage.sha256_file(folder / SUMS)


def check(folder: Path, names: list[str]) -> None:
    """
    Raises:
        InputError: one of these files of a set is missing, or not as its checksum says.
    """
    sums = read_sums(folder)
    for name in names:
        if name not in sums or not (folder / name).is_file() or storage.sha256_file(folder / name) != sums[name]:
            raise InputError(f"{folder / name} does not match its checksum in {SUMS}.", AGAIN)


def _is_plain(name: str) -> bool:
    """Whether a name is a path below a folder, on every system; hidden files, such as git's own, are none."""
    parts = name.split("/")
    return (
        name.isprintable()
        and not set(name) & set('\\:*?"<>|')
        and not any(not part or part[0] in ". " or part[-1] in ". " for part in parts)
    )


def _labels(document: SetDocument) -> Tensor:
    return torch.arange(len(document.classes)).repeat_interleave(document.videos_a_class)


def _read_back(folder: Path, videos_NT3HW: Tensor, logits_NKC: Tensor | None) -> None:
    opened = DistilledSet.open(folder)
    for number, (found, written) in enumerate(zip(opened.videos_NT3HW, videos_NT3HW, strict=True)):
        if not torch.equal(found, written):
            raise IdtdError(
                f"{opened.document.key(number)} in the shards does not read back as it was written.",
                "Export again; if it comes back, look at the disk and the memory of this machine.",
            )
    if not (opened.logits_NKC is logits_NKC is None or torch.equal(opened.logits_NKC, logits_NKC)):  # type: ignore[arg-type]
        raise IdtdError(
            "The soft labels in the shards do not read back as they were written.",
            "Export again; if it comes back, look at the disk and the memory of this machine.",
        )
