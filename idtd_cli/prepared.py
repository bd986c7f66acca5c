"""Prepared sets: the clips of a source, decoded, cut and split once. This is their only reader and writer.

    prepared.json   what it is, counts, normalisation, digests
    index.csv       one row a clip: id, label, split, group, facts of its video, which frames are stored, shard, row
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
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from fractions import Fraction
from io import BufferedReader, FileIO
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from idtd_cli import documents, provenance, storage
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.recipe import ClipConfig, SplitConfig
from idtd_cli.version import __version__

if TYPE_CHECKING:
    import torch

    from idtd_cli.runlog import Progress

SPLITS = ("train", "val", "test")
#: A shard is closed before it grows beyond this: large enough to read fast, small enough to copy.
SHARD_BYTES = 256 << 20
#: The stage of a progress in which shards are compared with their digests.
CHECK = "check shards"
_SHARD = re.compile(r"clips-\d{5}\.safetensors")
#: A shard's head, padded with spaces as the format allows, so that it can be filled in once the count is known.
_HEADER_BYTES = 264


class Spread(BaseModel):
    """How a quantity spreads over the videos of a set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least: float
    median: float
    most: float
    total: float = Field(le=1e13)  # 300,000 years of video

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(least=min(values), median=median(values), most=max(values), total=round(math.fsum(values), 3))


class Decoder(BaseModel):
    """What a decoder did for a set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    clips: int


class PreparedDocument(documents.Document):
    """prepared.json. Parents: `source`, the digest of its listing; `prepare`, that of the recipe's section."""

    KIND: ClassVar[str] = "prepared set"
    VERSION: ClassVar[int] = 2
    FILE: ClassVar[str] = "prepared.json"
    COMMAND: ClassVar[str] = "idtd prepare SOURCE OUT"

    source: str  #: name of the source's folder or file
    source_kind: str
    classes: tuple[str, ...]
    clip: ClipConfig
    split: SplitConfig
    limit: int  #: videos of each class and split that were taken; 0: all
    decoders: dict[str, Decoder]  #: a file that one refuses is tried by the other
    counts: dict[str, dict[str, int]]  #: split → class → clips
    mean: tuple[float, float, float]  #: of the train split's pixels in 0..1, R, G, B
    std: tuple[float, float, float]
    seconds: Spread  #: of the videos, as are frames, width and height (in pixels)
    frames: Spread
    width: Spread
    height: Spread
    rejected: int  #: videos that gave no clip
    missing: int  #: videos that the source lists and does not have
    bytes: int  #: of all stored clips
    shards: dict[str, str]  #: file name → sha256
    index: str  #: sha256 of index.csv


@dataclass(frozen=True, slots=True)
class Row:
    """One clip: a line of index.csv."""

    id: str
    label: int  #: index in the classes
    split: str
    group: str  #: empty: a group of its own
    frames: int  #: frames of the whole video
    first: int  #: its frames from `first` to `last` are stored
    last: int
    seconds: float  #: of the whole video
    width: int  #: pixels of the video as it is shown
    height: int
    decoder: str
    shard: str
    row: int  #: in its shard


@dataclass(frozen=True, slots=True)
class NoClip:
    """A video that gave no clip: a line of rejects.csv."""

    id: str
    reason: str


class Writer:
    """Writes a prepared set clip by clip; memory holds one clip at a time.

    `add` and `reject` take the videos in the order of the index, and `finish` completes the set. What was taken is
    there again after a crash: each video is a line of the journal, written after its clip, and a new writer goes on
    after the last line that holds.
    """

    def __init__(
        self,
        unfinished: storage.Unfinished,
        clip: ClipConfig,
        parents: dict[str, str],
        decoder_versions: dict[str, str],
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        """
        Raises:
            InputError: what lies there was begun with other parents or versions, or is damaged; nothing was changed.
        """
        self._folder = unfinished.folder
        self._clip, self._parents, self._decoder_versions = clip, parents, decoder_versions
        self._begun = {"parents": parents, "versions": {"idtd": __version__, **decoder_versions}}
        self._shape = (clip.stored_frames, 3, clip.height, clip.width)
        self._rows_a_shard = max(1, shard_bytes // math.prod(self._shape))
        #: What was done so far, in order.
        self.done: list[Row | NoClip] = []
        self._last: Row | None = None
        self._digests: dict[str, str] = {}
        self._histogram_3V = np.zeros((3, 256), dtype=np.int64)  # of the closed shards
        self._shard: FileIO | None = None
        self._shard_rows = 0
        self._shard_histogram_3V = np.zeros((3, 256), dtype=np.int64)
        lines = _journal(unfinished.journal)
        if lines and lines[0].get("begun") != self._begun:
            raise InputError(
                f"{unfinished.journal.parent} holds an unfinished set from another source, or with other settings or "
                "versions.",
                "Go on with those, name another OUT, or remove that folder.",
            )
        if not lines:
            unfinished.discard()
            (self._folder / "shards").mkdir(parents=True)
        self._journal_path = unfinished.journal
        self._journal: FileIO | None = None  # there is none before the first video
        if lines:
            try:
                self._recover(lines)
            except (LookupError, TypeError, ValueError, OverflowError, FileNotFoundError) as error:
                self.close()
                raise InputError(
                    f"{unfinished.journal.parent} is damaged: it cannot be gone on with.", "Remove that folder."
                ) from error

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
        seconds: float,
        width: int,
        height: int,
        decoder: str,
    ) -> None:
        """Append one clip, with the facts of its video."""
        if clip_F3HW.shape != self._shape or clip_F3HW.dtype != np.uint8:
            raise ValueError(f"a clip of this set is {self._shape} uint8, not {clip_F3HW.shape} {clip_F3HW.dtype}")
        facts = (id, label, split, group or "", frames, first, last, round(seconds, 3), width, height, decoder)
        row = Row(*facts, self._shard_name(), self._shard_rows)
        if self._last is not None and _order(self._last) >= _order(row):
            raise ValueError(f"clips come in the order of the index: {row.id} follows {self._last.id}")
        data = np.ascontiguousarray(clip_F3HW).tobytes()
        if self._shard is None:
            self._shard = open(self._folder / "shards" / row.shard, "w+b", buffering=0)  # noqa: SIM115 - with the shard
            _write(self._shard, bytes(_HEADER_BYTES))
        _write(self._shard, data)
        self._note({"row": astuple(row), "crc": zlib.crc32(data)})
        self._take(row, clip_F3HW)
        self._close_full_shard()

    def reject(self, id: str, reason: str) -> None:
        """Record a video that gave no clip."""
        # A reason may name a file, in letters that no text file can hold.
        rejected = NoClip(id, reason.encode(errors="backslashreplace").decode())
        self._note({"rejected": astuple(rejected)})
        self.done.append(rejected)

    def finish(
        self,
        *,
        source: str,
        source_kind: str,
        classes: tuple[str, ...],
        split: SplitConfig,
        limit: int,
        recipe_yaml: str,
        missing: Iterable[str] = (),
    ) -> PreparedDocument:
        """Write everything beside the shards; the document comes last and makes the set complete."""
        self._close_shard()
        rows = [done for done in self.done if isinstance(done, Row)]
        rejects = [(done.id, done.reason) for done in self.done if isinstance(done, NoClip)]
        absent = [(id, "is listed and not there") for id in missing]
        index = _csv([field.name for field in fields(Row)], map(astuple, rows))
        storage.write_bytes(self._folder / "index.csv", index)
        storage.write_bytes(self._folder / "rejects.csv", _csv(["path", "reason"], sorted(rejects + absent)))
        storage.write_text(self._folder / "recipe.yaml", recipe_yaml)
        mean, std = _moments(self._histogram_3V)
        used = Counter(row.decoder for row in rows)
        document = PreparedDocument(
            parents=self._parents,
            source=source,
            source_kind=source_kind,
            classes=classes,
            clip=self._clip,
            split=split,
            limit=limit,
            decoders={name: Decoder(version=self._decoder_versions[name], clips=used[name]) for name in sorted(used)},
            counts=_counts(rows, classes),
            mean=mean,
            std=std,
            seconds=Spread.of([row.seconds for row in rows]),
            frames=Spread.of([row.frames for row in rows]),
            width=Spread.of([row.width for row in rows]),
            height=Spread.of([row.height for row in rows]),
            rejected=len(rejects),
            missing=len(absent),
            bytes=len(rows) * math.prod(self._shape),
            shards=self._digests,
            index=storage.sha256_bytes(index),
        )
        document.write(self._folder)
        return document

    def close(self) -> None:
        """Let go of the files; what was taken stays."""
        if self._journal is not None:
            self._journal.close()
        if self._shard is not None:
            self._shard.close()

    def _take(self, row: Row, clip_F3HW: NDArray[np.uint8]) -> None:
        """Count a clip whose line is in the journal."""
        self.done.append(row)
        self._last = row
        self._shard_rows += 1
        if row.split == "train":
            self._shard_histogram_3V += _histogram(clip_F3HW)

    def _close_full_shard(self) -> None:
        if self._shard_rows == self._rows_a_shard:
            self._close_shard()

    def _note(self, line: dict[str, object]) -> None:
        if self._journal is None:
            self._journal = open(self._journal_path, "wb", buffering=0)  # noqa: SIM115 - closed by `close`
            _write(self._journal, _json_line({"begun": self._begun}))
        _write(self._journal, _json_line(line))

    def _shard_name(self) -> str:
        return f"clips-{len(self._digests):05d}.safetensors"

    def _close_shard(self) -> None:
        if self._shard is None:
            return
        with self._shard as file:
            file.seek(0)
            _write(file, _header(self._shard_rows, self._shape))
            os.fsync(file.fileno())
        name = self._shard_name()
        digest = storage.sha256_file(self._folder / "shards" / name)
        self._note({"closed": name, "sha256": digest, "histogram": self._shard_histogram_3V.tolist()})
        self._closed(name, digest, self._shard_histogram_3V)

    def _closed(self, name: str, digest: str, histogram_3V: NDArray[np.int64]) -> None:
        self._digests[name] = digest
        self._histogram_3V += histogram_3V
        self._shard, self._shard_rows = None, 0
        self._shard_histogram_3V = np.zeros((3, 256), dtype=np.int64)

    def _recover(self, lines: list[dict[str, Any]]) -> None:
        """Go on after the last line of the journal whose clip is there, and drop what follows it."""
        closed = max((number for number, line in enumerate(lines) if "closed" in line), default=0)
        rows_in = Counter(line["row"][-2] for line in lines[:closed] if "row" in line)
        for line in lines[: closed + 1]:
            if "row" in line:
                self._last = Row(*line["row"])
                self.done.append(self._last)
            elif "rejected" in line:
                self.done.append(NoClip(*line["rejected"]))
            elif "closed" in line:
                size = _HEADER_BYTES + rows_in[line["closed"]] * math.prod(self._shape)
                if (self._folder / "shards" / line["closed"]).stat().st_size != size:
                    raise ValueError("a shard was cut off")
                self._closed(line["closed"], line["sha256"], np.array(line["histogram"], dtype=np.int64))
        holds = closed + 1
        path = self._folder / "shards" / self._shard_name()
        if path.is_file():
            self._shard = open(path, "r+b", buffering=0)  # noqa: SIM115 - closed with the shard
            self._shard.seek(_HEADER_BYTES)
        for line in lines[holds:]:
            if "rejected" in line:
                self.done.append(NoClip(*line["rejected"]))
            else:
                data = self._shard.read(math.prod(self._shape)) if self._shard else b""
                if zlib.crc32(data) != line["crc"]:
                    break  # the machine went down before the clip was on the disk
                self._take(Row(*line["row"]), np.frombuffer(data, np.uint8).reshape(self._shape))
            holds += 1
        if self._shard is not None and not self._shard_rows:
            self._shard.close()  # it was opened for a clip that is not in it
            self._shard = None
        if self._shard is not None:
            end = _HEADER_BYTES + self._shard_rows * math.prod(self._shape)
            self._shard.truncate(end)
            self._shard.seek(end)
        for path in (self._folder / "shards").iterdir():
            if path.name > (self._shard_name() if self._shard else max(self._digests, default="")):
                path.unlink()
        self._journal = open(self._journal_path, "r+b", buffering=0)  # noqa: SIM115 - closed by `close`
        end = sum(len(_json_line(line)) for line in lines[:holds])
        self._journal.truncate(end)
        self._journal.seek(end)
        self._close_full_shard()


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
        again = _again(folder)
        try:
            data = (folder / "index.csv").read_bytes()
        except OSError as error:
            raise InputError(f"{folder}/index.csv cannot be read ({error.strerror}).", again) from error
        if storage.sha256_bytes(data) != document.index:
            raise InputError(f"{folder}/index.csv is not the one that {document.FILE} describes.", again)
        index = _parse(data, document)
        if index is None:
            raise InputError(f"{folder}/index.csv does not fit {document.FILE}.", again)
        rows = Counter(row.shard for row in index)
        for name in document.shards:
            path = folder / "shards" / name
            size = _HEADER_BYTES + rows[name] * math.prod(_shape(document))
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

        rows = self.rows(split)
        return self.read(rows), torch.tensor([row.label for row in rows], dtype=torch.int64)

    def read(self, rows: Sequence[Row], pinned: bool = False) -> torch.Tensor:
        """These clips, in this order: (N, F, 3, H, W) uint8. Of the shards, nothing else is read. For any thread.

        Args:
            rows: of the index.
            pinned: into memory that a GPU can take them from while it computes.

        Raises:
            InputError: a shard is damaged.
            IdtdError: a shard that was there when the set was opened is gone or cut off.
        """
        import torch

        clips_NF3HW = torch.empty((len(rows), *_shape(self.document)), dtype=torch.uint8, pin_memory=pinned)
        into_NF3HW = clips_NF3HW.numpy()
        in_place = sorted(range(len(rows)), key=lambda number: (rows[number].shard, rows[number].row))
        for name, numbers in groupby(in_place, key=lambda number: rows[number].shard):
            try:
                with self._open_shard(name) as file:
                    for number in numbers:
                        _read_clip(file, rows[number].row, into_NF3HW[number])
            except OSError as error:
                raise _lost(self.folder / "shards" / name, error, self.folder) from error
        return clips_NF3HW

    def _open_shard(self, name: str) -> BufferedReader:
        path, shape = self.folder / "shards" / name, _shape(self.document)
        file = open(path, "rb")  # noqa: SIM115 - closed by `read`
        rows = (os.fstat(file.fileno()).st_size - _HEADER_BYTES) // math.prod(shape)
        if file.read(_HEADER_BYTES) != _header(rows, shape):
            file.close()
            raise InputError(f"{path} is damaged: its header is not the one that was written.", _again(self.folder))
        return file

    def verify(self, progress: Progress) -> None:
        """Compare every shard with its digest, which reads all of the set.

        Raises:
            InputError: a shard is not as it was written.
            IdtdError: one cannot be read.
        """
        wanted = self.document.shards
        paths = [self.folder / "shards" / name for name in wanted]
        # Threads are enough: a digest is worked out without holding the interpreter.
        with ThreadPoolExecutor(provenance.cores()) as pool, progress.stage(CHECK, len(paths)) as bar:
            digests = [pool.submit(storage.sha256_file, path) for path in paths]
            try:
                for path, digest in zip(paths, digests, strict=True):
                    try:
                        found = digest.result()
                    except OSError as error:
                        raise _lost(path, error, self.folder) from error
                    if found != wanted[path.name]:
                        raise InputError(f"{path} has changed since it was written.", _again(self.folder))
                    bar.advance()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _lost(shard: Path, error: OSError, folder: Path) -> IdtdError:
    return IdtdError(f"{shard} can no longer be read ({error.strerror or error}).", _again(folder))


def _again(folder: Path) -> str:
    """What to do about a damaged set; `prepare` alone leaves what is there."""
    return f"Remove {folder} and prepare it again: the same videos and recipe give the same set."


def _read_clip(file: BufferedReader, row: int, into_F3HW: NDArray[np.uint8]) -> None:
    # Read, not mapped into memory: the pages of a map count as memory, and a file that is cut off ends the process.
    file.seek(_HEADER_BYTES + row * into_F3HW.nbytes)
    if file.readinto(into_F3HW.data) != into_F3HW.nbytes:
        raise OSError("it is cut off")


def _header(rows: int, shape: tuple[int, ...]) -> bytes:
    """The head of a shard, as safetensors has it: its length and a JSON text, padded with spaces."""
    tensor = {"dtype": "U8", "shape": [rows, *shape], "data_offsets": [0, rows * math.prod(shape)]}
    text = json.dumps({"clips": tensor}, separators=(",", ":")).encode().ljust(_HEADER_BYTES - 8)
    return len(text).to_bytes(8, "little") + text


def _json_line(line: dict[str, Any]) -> bytes:
    return (json.dumps(line) + "\n").encode()


def _journal(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal, up to one that was cut off in the writing."""
    lines: list[dict[str, Any]] = []
    if path.is_file():
        with open(path, "rb") as file:
            for text in file:
                try:
                    line = json.loads(text)
                except (ValueError, RecursionError):
                    break
                if not isinstance(line, dict) or _json_line(line) != text:
                    break
                lines.append(line)
    return lines


def _write(file: FileIO, data: bytes) -> None:
    """All of it: an unbuffered write may take a part."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _histogram(clip_F3HW: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each channel has each value: (3, 256)."""
    # Pillow counts bytes three times as fast as numpy does.
    planes = (Image.fromarray(clip_F3HW[:, channel].reshape(-1, clip_F3HW.shape[3])) for channel in range(3))
    return np.array([plane.histogram() for plane in planes], dtype=np.int64)


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
            Row(
                id, int(label), split, group, int(frames), int(first), int(last), float(seconds), int(width),
                int(height), decoder, shard, int(row),
            )
            for id, label, split, group, frames, first, last, seconds, width, height, decoder, shard, row in lines[1:]
        )  # fmt: skip
        ordered = all(_order(a) < _order(b) for a, b in pairwise(rows))
    except (ValueError, csv.Error):
        return None
    counts = Counter(row.shard for row in rows)
    expected = [(name, i) for name in document.shards for i in range(counts[name])]
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
