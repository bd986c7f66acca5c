"""The only reader and writer of distilled sets: the lossless clips, videos to look at, WebDataset shards, checksums."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import ClassVar

import torch
import webdataset
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from idtd_cli import documents, storage
from idtd_cli.documents import Document
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.recipe import ClipConfig, EvaluateConfig
from idtd_cli.video import decode, encode

CLIPS = "clips.safetensors"
SUMS = "SHA256SUMS"


class SetDocument(Document):
    """set.json: the contract of a distilled set."""

    KIND: ClassVar[str] = "distilled set"
    FILE: ClassVar[str] = "set.json"
    COMMAND: ClassVar[str] = "idtd export RUN OUT"

    method: str
    seed: int = Field(description="of the distillation")
    classes: tuple[str, ...]
    ipc: int = Field(
        ge=1, description="I: videos a class that the set stores, or that what it stores takes the place of"
    )
    videos_a_class: int = Field(ge=1, description="videos a class that the set holds, to train on")
    clip: ClipConfig = Field(description="of the prepared set; the videos have its frames, height and width")
    segments: int = Field(ge=1, description="K: a video is K pieces, and a student trains on views of them")
    mean: tuple[float, float, float] = Field(description="to normalise with, per channel, in 0..1")
    std: tuple[float, float, float]
    evaluate: EvaluateConfig = Field(description="the student and the training that the set's recipe recommends")
    stored_frames: int = Field(description="frames, in three colours, that the stored numbers of a byte would fill")
    stored_bytes: int = Field(
        description="of the uncompressed clips, uint8; of less, where the clips can be rendered from less"
    )
    stored_parameters: int = Field(0, description="numbers of four bytes among what is stored")
    fps: int = Field(description="of the video files")


class DistilledSet:
    """A distilled set on disk, opened.

    Attributes:
        document: what the set is.
        videos_NT3HW: uint8, in class order.
        labels_N: class of each video.
    """

    def __init__(self, path: Path, document: SetDocument, videos_NT3HW: Tensor, labels_N: Tensor) -> None:
        self.path = path
        self.document = document
        self.videos_NT3HW = videos_NT3HW
        self.labels_N = labels_N

    @classmethod
    def open(cls, path: Path) -> DistilledSet:
        """Read a set and check its clips against their checksum.

        Raises:
            InputError: no finished set there, or its clips are damaged or not those that were exported.
        """
        document = documents.read(SetDocument, path)
        again = "Export or download the set again."
        sums = read_sums(path)
        if CLIPS not in sums or not (path / CLIPS).is_file() or storage.sha256_file(path / CLIPS) != sums[CLIPS]:
            raise InputError(f"{path / CLIPS} does not match its checksum in {SUMS}.", again)
        try:
            tensors = load_file(path / CLIPS)
        except SafetensorError as error:
            raise InputError(f"{path / CLIPS} is damaged ({error}).", again) from error
        videos, labels = tensors.get("videos_NT3HW"), tensors.get("labels_N")
        clip = document.clip
        count = len(document.classes) * document.videos_a_class
        if (
            videos is None
            or labels is None
            or videos.dtype != torch.uint8
            or tuple(videos.shape) != (count, clip.frames, 3, clip.height, clip.width)
            or not torch.equal(labels, torch.arange(len(document.classes)).repeat_interleave(document.videos_a_class))
        ):
            raise InputError(f"{path / CLIPS} does not hold what {SetDocument.FILE} says.", again)
        return cls(path, document, videos, labels)


def write(folder: Path, document: SetDocument, videos_NT3HW: Tensor, labels_N: Tensor) -> None:
    """Write all forms of a set into a folder and read each one back.

    Raises:
        IdtdError: a form does not read back as it was written.
    """
    document.write(folder)
    (folder / CLIPS).write_bytes(save({"videos_NT3HW": videos_NT3HW.contiguous(), "labels_N": labels_N}))
    frames_NTHW3 = videos_NT3HW.permute(0, 1, 3, 4, 2).contiguous().numpy()
    keys = [
        f"{label:04d}-{_file_name(document.classes[label])}-{number % document.videos_a_class:03d}"
        for number, label in enumerate(labels_N.tolist())
    ]

    (folder / "videos").mkdir()
    for key, frames in zip(keys, frames_NTHW3, strict=True):
        encode.write_viewable(folder / "videos" / f"{key}.mp4", frames, document.fps)

    shard = folder / "data" / "train-000000-of-000001.tar"
    shard.parent.mkdir()
    # Fixed times and owners, sorted keys, canonical JSON: the same clips give the same bytes.
    with (
        open(shard, "wb") as file,
        webdataset.TarWriter(file, mtime=0, user="", group="", mode=0o644, encoder=False) as tar,
    ):
        for key, frames, label in zip(keys, frames_NTHW3, labels_N.tolist(), strict=True):
            lossless = folder / "lossless.mp4"
            encode.write_lossless(lossless, frames, document.fps)
            facts = {"class": document.classes[label], "label": label, "segments": document.segments}
            tar.write(
                {
                    "__key__": key,
                    "cls": str(label).encode(),
                    "json": json.dumps(facts, sort_keys=True).encode(),
                    "mp4": lossless.read_bytes(),
                }
            )
            lossless.unlink()

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{storage.sha256_file(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    _read_back(folder, videos_NT3HW, labels_N)


def read_sums(folder: Path) -> dict[str, str]:
    """SHA256SUMS as {relative path: digest}; empty if it is missing."""
    path = folder / SUMS
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def digest(folder: Path) -> str:
    """sha256 over the checksums of all files of a set."""
    return storage.sha256_file(folder / SUMS)


def _file_name(label: str) -> str:
    """A class name as part of a file name and of a WebDataset key, which may hold no dot."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", label)[:60]


def _read_back(folder: Path, videos_NT3HW: Tensor, labels_N: Tensor) -> None:
    """Open every form as its users do, and compare."""
    if not torch.equal(DistilledSet.open(folder).videos_NT3HW, videos_NT3HW):
        raise IdtdError(f"{CLIPS} does not read back as it was written.")
    # Absolute, because WebDataset takes a path like `a:b` for an address, and runs one like `pipe:b` as a command.
    shards = [path.as_posix() for path in sorted((folder.absolute() / "data").glob("*.tar"))]
    samples = list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False))
    if len(samples) != len(labels_N):
        raise IdtdError(f"The shards hold {len(samples)} videos, not {len(labels_N)}.")
    for sample, video_T3HW, label in zip(samples, videos_NT3HW, labels_N.tolist(), strict=True):
        frames_T3HW = torch.from_numpy(decode.read_exact(sample["mp4"])).permute(0, 3, 1, 2)
        if int(sample["cls"]) != label or not torch.equal(frames_T3HW, video_T3HW):
            raise IdtdError(f"{sample['__key__']} in the shards does not read back as it was written.")
    for path in sorted((folder / "videos").glob("*.mp4")):
        if len(decode.read_exact(path)) != videos_NT3HW.shape[1]:
            raise IdtdError(f"{path.name} does not play to its end.")
