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
from idtd_cli.recipe import ClipConfig, EvaluateConfig, Recipe
from idtd_cli.video import decode, encode

CLIPS = "clips.safetensors"
SUMS = "SHA256SUMS"
_SUM = re.compile("([0-9a-f]{64})  (.+)")
_AGAIN = "Export or download the set again."


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
    temperature: float | None = Field(
        None,
        gt=0,
        description="τ: what the logits of the soft labels are divided by to learn from; null: there are none",
    )
    evaluate: EvaluateConfig = Field(description="the student and the training that the set's recipe recommends")
    stored_frames: int = Field(description="frames, in three colours, that the stored numbers of a byte would fill")
    stored_bytes: int = Field(
        description="of the uncompressed clips, uint8; of less, where the clips can be rendered from less"
    )
    stored_parameters: int = Field(0, description="numbers of four bytes among what is stored")
    fps: int = Field(description="of the video files")
    recipe: Recipe | None = Field(None, description="that it was distilled with, complete; null: not known")


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
        """Read a set and check its clips against their checksum.

        Raises:
            InputError: no finished set there, or its clips are damaged or not those that were exported.
        """
        document = documents.read(SetDocument, path)
        sums = read_sums(path)
        if CLIPS not in sums or not (path / CLIPS).is_file() or storage.sha256_file(path / CLIPS) != sums[CLIPS]:
            raise InputError(f"{path / CLIPS} does not match its checksum in {SUMS}.", _AGAIN)
        try:
            tensors = load_file(path / CLIPS)
        except SafetensorError as error:
            raise InputError(f"{path / CLIPS} is damaged ({error}).", _AGAIN) from error
        videos, labels, logits = (tensors.get(name) for name in ("videos_NT3HW", "labels_N", "logits_NKC"))
        clip = document.clip
        count = len(document.classes) * document.videos_a_class
        if (
            videos is None
            or labels is None
            or videos.dtype != torch.uint8
            or tuple(videos.shape) != (count, clip.frames, 3, clip.height, clip.width)
            or not torch.equal(labels, torch.arange(len(document.classes)).repeat_interleave(document.videos_a_class))
            or (logits is None) != (document.temperature is None)
            or (logits is not None and not _is_soft(logits, (count, document.segments, len(document.classes))))
        ):
            raise InputError(f"{path / CLIPS} does not hold what {SetDocument.FILE} says.", _AGAIN)
        return cls(path, document, videos, labels, logits)


def write(
    folder: Path, document: SetDocument, videos_NT3HW: Tensor, labels_N: Tensor, logits_NKC: Tensor | None = None
) -> None:
    """Write all forms of a set into a folder and read each one back.

    Raises:
        IdtdError: a form does not read back as it was written.
    """
    document.write(folder)
    soft = {} if logits_NKC is None else {"logits_NKC": logits_NKC.contiguous()}
    (folder / CLIPS).write_bytes(save({"videos_NT3HW": videos_NT3HW.contiguous(), "labels_N": labels_N} | soft))
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
        for number, (key, frames, label) in enumerate(zip(keys, frames_NTHW3, labels_N.tolist(), strict=True)):
            lossless = folder / "lossless.mp4"
            encode.write_lossless(lossless, frames, document.fps)
            facts = {"class": document.classes[label], "label": label, "segments": document.segments}
            if logits_NKC is not None:  # a row a segment
                facts |= {"logits": logits_NKC[number].tolist(), "temperature": document.temperature}
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
    _read_back(folder, videos_NT3HW, labels_N, logits_NKC)


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
            raise InputError(f"{path} is damaged or forged: line {number} is {line[:200]!r}.", _AGAIN)
        sums[match[2]] = match[1]
    return sums


def digest(folder: Path) -> str:
    """sha256 over the checksums of all files of a set."""
    return storage.sha256_file(folder / SUMS)


def _file_name(label: str) -> str:
    """A class name as part of a file name and of a WebDataset key, which may hold no dot."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", label)[:60]


def _is_plain(name: str) -> bool:
    """Whether a name is a path below a folder, on every system; hidden files, such as git's own, are none."""
    parts = name.split("/")
    return (
        name.isprintable()
        and not set(name) & set('\\:*?"<>|')
        and not any(not part or part[0] in ". " or part[-1] in ". " for part in parts)
    )


def _is_soft(logits_NKC: Tensor, shape: tuple[int, int, int]) -> bool:
    return logits_NKC.dtype == torch.float32 and tuple(logits_NKC.shape) == shape and bool(logits_NKC.isfinite().all())


def _read_back(folder: Path, videos_NT3HW: Tensor, labels_N: Tensor, logits_NKC: Tensor | None) -> None:
    """Open every form as its users do, and compare."""
    opened = DistilledSet.open(folder)
    if not torch.equal(opened.videos_NT3HW, videos_NT3HW) or not _same(opened.logits_NKC, logits_NKC):
        raise IdtdError(f"{CLIPS} does not read back as it was written.")
    # Absolute, because WebDataset takes a path like `a:b` for an address, and runs one like `pipe:b` as a command.
    shards = [path.as_posix() for path in sorted((folder.absolute() / "data").glob("*.tar"))]
    samples = list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False))
    if len(samples) != len(labels_N):
        raise IdtdError(f"The shards hold {len(samples)} videos, not {len(labels_N)}.")
    for number, (sample, label) in enumerate(zip(samples, labels_N.tolist(), strict=True)):
        frames_T3HW = torch.from_numpy(decode.read_exact(sample["mp4"])).permute(0, 3, 1, 2)
        logits = json.loads(sample["json"]).get("logits")
        if (
            int(sample["cls"]) != label
            or not torch.equal(frames_T3HW, videos_NT3HW[number])
            or not _same(logits and torch.tensor(logits), None if logits_NKC is None else logits_NKC[number])
        ):
            raise IdtdError(f"{sample['__key__']} in the shards does not read back as it was written.")
    for path in sorted((folder / "videos").glob("*.mp4")):
        if len(decode.read_exact(path)) != videos_NT3HW.shape[1]:
            raise IdtdError(f"{path.name} does not play to its end.")


def _same(one: Tensor | None, two: Tensor | None) -> bool:
    return one is two if one is None or two is None else torch.equal(one, two)
