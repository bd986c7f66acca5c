"""Prepared sets: the clips of a source, decoded, cut and split once. This is their only reader and writer.

    prepared.json   what it is, counts, normalisation, digests
    index.csv       one row a clip: id, label, split, group, frames, first, last, shard, row
    shards/         clips-00000.safetensors …: one tensor "clips", (n, F, 3, H, W) uint8, in the order of the index
    rejects.csv     path and reason of each video that gave no clip
    recipe.yaml     the whole recipe it was made with

The index is sorted by split (train, val, test), then label, then id. Nothing in the folder depends on the time or the
machine: the same source, recipe and versions give the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

from idtd_cli import documents, storage
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.recipe import ClipConfig, SplitConfig

if TYPE_CHECKING:
    import torch

SPLITS = ("train", "val", "test")
#: A shard is closed before it grows beyond this: large enough to read fast, small enough to copy.
SHARD_BYTES = 256 << 20
_SHARD = re.compile(r"clips-\d{5}\.safetensors")
#: A shard's header, padded with spaces as the format allows, so that it can be filled in once the count is known.
_HEADER_BYTES = 256


class PreparedDocument(documents.Document):
    """prepared.json. Parents: `source`, the digest of its listing; `prepare`, that of the recipe's section."""

    KIND: ClassVar[str] = "prepared set"
    FILE: ClassVar[str] = "prepared.json"
    COMMAND: ClassVar[str] = "idtd prepare SOURCE OUT"

    source: str  #: name of the source's folder or file
    source_kind: str
    classes: tuple[str, ...]
    clip: ClipConfig
    split: SplitConfig
    decoder: str
    decoder_version: str
    counts: dict[str, dict[str, int]]  #: split → class → clips
    mean: tuple[float, float, float]  #: of the train split's pixels in 0..1, R, G, B
    std: tuple[float, float, float]
    rejected: int
    bytes: int  #: of all stored clips
    shards: dict[str, str]  #: file name → sha256
    index: str  #: sha256 of index.csv


@dataclass(frozen=True)
class Row:
    """One clip: a line of index.csv."""

    id: str
    label: int  #: index in the classes
    split: str
    group: str  #: empty: a group of its own
    frames: int  #: frames of the whole video
    first: int  #: its frames from `first` to `last` are stored
    last: int
    shard: str
    row: int  #: in its shard


class Writer:
    """Writes a prepared set into a folder, clip by clip; memory holds one clip at a time.

    `add` takes the clips in the order of the index, and `finish` completes the set.
    """

    def __init__(self, folder: Path, clip: ClipConfig, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder = folder
        self._shape = (clip.stored_frames, 3, clip.height, clip.width)
        self._clip = clip
        self._rows_a_shard = max(1, shard_bytes // math.prod(self._shape))
        self._rows: list[Row] = []
        self._rejects: list[tuple[str, str]] = []
        self._digests: dict[str, str] = {}
        self._shard: BinaryIO | None = None
        self._shard_rows = 0
        self._histogram = np.zeros((3, 256), dtype=np.int64)
        (folder / "shards").mkdir(parents=True)

    def add(
        self,
        clip_F3HW: NDArray[np.uint8],
        *,
        id: str,
        label: int,
        split: str,
        group: str | None,
        frames: int,
        first: int,
        last: int,
    ) -> None:
        """Append one clip."""
        if clip_F3HW.shape != self._shape or clip_F3HW.dtype != np.uint8:
            raise ValueError(f"a clip of this set is {self._shape} uint8, not {clip_F3HW.shape} {clip_F3HW.dtype}")
        if self._shard is None:
            self._shard = open(self._folder / "shards" / self._shard_name(), "w+b")  # noqa: SIM115 - closed with the shard
            self._shard.write(b" " * (8 + _HEADER_BYTES))
        row = Row(id, label, split, group or "", frames, first, last, self._shard_name(), self._shard_rows)
        if self._rows and _order(self._rows[-1]) >= _order(row):
            raise ValueError(f"clips come in the order of the index: {row.id} follows {self._rows[-1].id}")
        self._rows.append(row)
        self._shard.write(np.ascontiguousarray(clip_F3HW).tobytes())
        self._shard_rows += 1
        if split == "train":
            for channel in range(3):
                self._histogram[channel] += np.bincount(clip_F3HW[:, channel].ravel(), minlength=256)
        if self._shard_rows == self._rows_a_shard:
            self._close_shard()

    def reject(self, path: str, reason: str) -> None:
        """Record a video that gave no clip."""
        self._rejects.append((path, reason))

    def finish(
        self,
        *,
        source: str,
        source_kind: str,
        classes: tuple[str, ...],
        split: SplitConfig,
        decoder: str,
        decoder_version: str,
        recipe_yaml: str,
        parents: dict[str, str],
    ) -> PreparedDocument:
        """Write everything beside the shards; the document comes last and makes the set complete."""
        self._close_shard()
        index = _csv([field.name for field in fields(Row)], (astuple(row) for row in self._rows))
        storage.write_bytes(self._folder / "index.csv", index)
        storage.write_bytes(self._folder / "rejects.csv", _csv(["path", "reason"], sorted(self._rejects)))
        storage.write_text(self._folder / "recipe.yaml", recipe_yaml)
        mean, std = _moments(self._histogram)
        document = PreparedDocument(
            parents=parents,
            source=source,
            source_kind=source_kind,
            classes=classes,
            clip=self._clip,
            split=split,
            decoder=decoder,
            decoder_version=decoder_version,
            counts=_counts(self._rows, classes),
            mean=mean,
            std=std,
            rejected=len(self._rejects),
            bytes=len(self._rows) * math.prod(self._shape),
            shards=self._digests,
            index=storage.sha256_bytes(index),
        )
        document.write(self._folder)
        return document

    def close(self) -> None:
        """Let go of the open shard of a set that will not be finished."""
        if self._shard is not None:
            self._shard.close()

    def _shard_name(self) -> str:
        return f"clips-{len(self._digests):05d}.safetensors"

    def _close_shard(self) -> None:
        if self._shard is None:
            return
        size = self._shard_rows * math.prod(self._shape)
        tensor = {"dtype": "U8", "shape": [self._shard_rows, *self._shape], "data_offsets": [0, size]}
        header = json.dumps({"clips": tensor}, separators=(",", ":")).encode()
        with self._shard as file:
            file.seek(0)
            file.write(_HEADER_BYTES.to_bytes(8, "little") + header.ljust(_HEADER_BYTES))
        name = self._shard_name()
        self._digests[name] = storage.sha256_file(self._folder / "shards" / name)
        self._shard, self._shard_rows = None, 0


class PreparedSet:
    """A prepared set on disk, open for reading."""

    def __init__(self, folder: Path, document: PreparedDocument, index: tuple[Row, ...]) -> None:
        self.folder = folder
        self.document = document
        self.index = index

    @staticmethod
    def open(folder: Path) -> PreparedSet:
        """Read the document and the index, and check that every shard is there at its full size.

        Raises:
            InputError: the folder holds no prepared set, or one that is damaged.
        """
        document = documents.read(PreparedDocument, folder)
        again = f"Write it again with `{PreparedDocument.COMMAND}`."
        try:
            data = (folder / "index.csv").read_bytes()
        except OSError as error:
            raise InputError(f"{folder}/index.csv cannot be read ({error.strerror}).", again) from error
        if storage.sha256_bytes(data) != document.index:
            raise InputError(f"{folder}/index.csv is not the one that {document.FILE} describes.", again)
        index = _parse(data, document)
        if index is None:
            raise InputError(f"{folder}/index.csv does not fit {document.FILE}.", again)
        for name in document.shards:
            rows = sum(row.shard == name for row in index)
            path = folder / "shards" / name
            size = 8 + _HEADER_BYTES + rows * math.prod(_shape(document))
            if not path.is_file() or path.stat().st_size != size:
                raise InputError(f"{path} is missing or cut off.", again)
        return PreparedSet(folder, document, index)

    def rows(self, split: str) -> tuple[Row, ...]:
        """The index of one split: train, val or test."""
        if split not in SPLITS:
            raise ValueError(f"the splits are {SPLITS}, not {split!r}")
        return tuple(row for row in self.index if row.split == split)

    def clips(self, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        """All clips of a split, sorted by class: (N, F, 3, H, W) uint8 and labels (N,) int64.

        Raises:
            InputError: a shard is damaged.
        """
        import torch
        from safetensors import SafetensorError, safe_open

        rows = self.rows(split)
        clips_NF3HW = torch.empty((len(rows), *_shape(self.document)), dtype=torch.uint8)
        done = 0
        for name in self.document.shards:
            here = [row.row for row in rows if row.shard == name]
            if not here:
                continue
            path = self.folder / "shards" / name
            try:
                with safe_open(path, framework="pt") as shard:
                    part = shard.get_slice("clips")[here[0] : here[-1] + 1]
                    if part.dtype != torch.uint8 or part.shape != (len(here), *_shape(self.document)):
                        raise SafetensorError("of another shape")
                    clips_NF3HW[done : done + len(here)] = part
            except SafetensorError as error:
                again = f"Write it again with `{PreparedDocument.COMMAND}`."
                raise InputError(f"{path} is damaged ({error}).", again) from error
            done += len(here)
        return clips_NF3HW, torch.tensor([row.label for row in rows], dtype=torch.int64)

    def verify(self) -> None:
        """Compare every shard with its digest, which reads all of the set.

        Raises:
            IdtdError: a shard is not as it was written.
        """
        for name, digest in self.document.shards.items():
            if storage.sha256_file(self.folder / "shards" / name) != digest:
                raise IdtdError(
                    f"{self.folder / 'shards' / name} has changed since it was written.",
                    f"Write it again with `{PreparedDocument.COMMAND}`.",
                )


def _shape(document: PreparedDocument) -> tuple[int, int, int, int]:
    return (document.clip.stored_frames, 3, document.clip.height, document.clip.width)


def _order(row: Row) -> tuple[int, int, str]:
    return (SPLITS.index(row.split), row.label, row.id)


def _counts(rows: list[Row], classes: tuple[str, ...]) -> dict[str, dict[str, int]]:
    counts = {split: dict.fromkeys(classes, 0) for split in SPLITS}
    for row in rows:
        counts[row.split][classes[row.label]] += 1
    return counts


def _csv(header: list[str], rows: Iterable[tuple[object, ...]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _parse(data: bytes, document: PreparedDocument) -> tuple[Row, ...] | None:
    """The rows of an index, or None if they are not what a `Writer` writes."""
    try:
        lines = list(csv.reader(io.StringIO(data.decode(), newline="")))
        rows = tuple(
            Row(id, int(label), split, group, int(frames), int(first), int(last), shard, int(row))
            for id, label, split, group, frames, first, last, shard, row in lines[1:]
        )
        ordered = all(_order(a) < _order(b) for a, b in pairwise(rows))
    except (ValueError, csv.Error):
        return None
    expected = [(name, i) for name in document.shards for i in range(sum(row.shard == name for row in rows))]
    fits = (
        ordered
        and all(_SHARD.fullmatch(name) for name in document.shards)
        and [(row.shard, row.row) for row in rows] == expected
        and all(0 <= row.label < len(document.classes) for row in rows)
    )
    return rows if fits else None


def _moments(histogram_3V: NDArray[np.int64]) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of each channel in 0..1, from how often each value occurs.

    In whole numbers, so that the order of the clips cannot change a digit.
    """
    means, stds = [], []
    for counts in histogram_3V.tolist():
        n = max(1, sum(counts))
        mean = Fraction(sum(value * count for value, count in enumerate(counts)), n)
        square = Fraction(sum(value * value * count for value, count in enumerate(counts)), n)
        means.append(float(mean / 255))
        stds.append(math.sqrt((square - mean * mean) / 255**2))
    return (means[0], means[1], means[2]), (stds[0], stds[1], stds[2])
