"""The only reader and writer of run folders: what is being distilled, its checkpoints, and its result.

Of all files, SPEED and the event files for TensorBoard alone tell of time and place: they differ from run to run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save
from torch import Tensor

from idtd_cli import documents, storage
from idtd_cli.documents import Document
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.recipe import ClipConfig, Recipe, flat
from idtd_cli.runlog import read_steps

RECIPE = "recipe.yaml"
METRICS = "metrics.jsonl"
SPEED = "speed.jsonl"
RESULT = "synthetic.safetensors"
_CHECKPOINTS = "checkpoints"
_BEST = "best.safetensors"
_PREVIEWS = "previews"
_KEPT = 2
#: What reading a checkpoint that is cut off, changed, or another program's, ends in.
_UNREADABLE = (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError)
#: The entry of a checkpoint's metadata that says what it is, and a digest's place in it. In one entry: safetensors
#: writes several in any order, and the same state is to have the same bytes.
_FACTS, _NO_DIGEST = "checkpoint", "0" * 64


class RunDocument(Document):
    """run.json: what a run folder holds. Nothing in it depends on how long the run took or how often it was resumed."""

    KIND: ClassVar[str] = "run"
    FILE: ClassVar[str] = "run.json"
    COMMAND: ClassVar[str] = "idtd distill PREPARED RUN"

    method: str
    recipe: Recipe = Field(description="the resolved recipe")
    classes: tuple[str, ...]
    clip: ClipConfig
    segments: int = Field(description="K of the videos that the method makes")
    mean: tuple[float, float, float] = Field(description="of the real training clips, per channel, in 0..1")
    std: tuple[float, float, float]
    device: str
    versions: dict[str, str]
    result_sha256: str | None = Field(None, description=f"of {RESULT}; null while the run is unfinished")
    stored_values: int = Field(0, description="numbers of a byte each, as pixels are, that a set of the result stores")
    stored_parameters: int = Field(0, description="numbers of four bytes each that it stores")

    @property
    def frames(self) -> int:
        """T: of a video."""
        return self.recipe.distill.video_frames(self.clip.frames)


class RunFolder:
    """A run on disk."""

    def __init__(self, path: Path, document: RunDocument) -> None:
        self.path = path
        self.document = document

    @classmethod
    def create(cls, path: Path, document: RunDocument) -> RunFolder:
        """Begin a run in a new or an empty folder.

        Raises:
            InputError: the folder already holds something else.
        """
        with storage.new_folder(path) as staging:
            storage.write_text(staging / RECIPE, document.recipe.to_yaml())
            document.write(staging)
        return cls(path, document)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a run, finished or not.

        Raises:
            InputError: there is no run.
        """
        return cls(path, documents.read(RunDocument, path))

    @property
    def metrics(self) -> Path:
        return self.path / METRICS

    @property
    def speed(self) -> Path:
        return self.path / SPEED

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def finished(self) -> bool:
        return self.document.result_sha256 is not None

    def seconds(self) -> float | None:
        """What all steps took, by SPEED; None where nothing was written to it."""
        done, took = 0, 0.0
        for line in read_steps(self.speed, "seconds_per_step"):
            took += (line["step"] + 1 - done) * line["seconds_per_step"]
            done = line["step"] + 1
        return took if done else None

    def save_checkpoint(self, step: int, state: dict[str, Tensor]) -> None:
        """Keep the state after `step` steps, and the checkpoint before it; all others go.

        A later one is one that was passed over as damaged, as the run has only just come to this step.
        """
        path = self.path / _CHECKPOINTS / f"step-{step:06d}.safetensors"
        storage.write_bytes(path, _sealed(state, step=step))
        there = self._checkpoints()
        at = there.index(path)
        for other in [*there[: max(0, at + 1 - _KEPT)], *there[at + 1 :]]:
            other.unlink()

    def latest_checkpoint(
        self, damaged: Callable[[Path], None] = lambda _: None
    ) -> tuple[int, dict[str, Tensor]] | None:
        """Steps taken and the state after them, of the newest checkpoint that is as it was written; None without any.

        `damaged` is told of each that is not, and that was passed over.
        """
        for path in reversed(self._checkpoints()):
            try:
                facts, state = _unsealed(path)
                return int(facts["step"]), state
            except _UNREADABLE:
                damaged(path)
        return None

    def save_best(self, step: int, score: float, state: dict[str, Tensor]) -> None:
        """Keep the state after `step` steps, whose videos got this score, in place of the best one before it."""
        storage.write_bytes(self.path / _CHECKPOINTS / _BEST, _sealed(state, step=step, score=score))

    def best_checkpoint(self) -> tuple[int, float, dict[str, Tensor]] | None:
        """Steps taken, score and state of the best checkpoint; None without one.

        Raises:
            IdtdError: its file is damaged, and no older one takes its place.
        """
        path = self.path / _CHECKPOINTS / _BEST
        if not path.is_file():
            return None
        try:
            facts, state = _unsealed(path)
            return int(facts["step"]), float(facts["score"]), state
        except _UNREADABLE as error:
            raise IdtdError(f"{path} is damaged.", "Distil again, into a new folder.") from error

    def save_preview(self, step: int, png: bytes) -> None:
        """Keep a picture of the videos after `step` steps."""
        storage.write_bytes(self.path / _PREVIEWS / f"step-{step:06d}.png", png)

    def finish(
        self,
        videos_NT3HW: Tensor,
        labels_N: Tensor,
        stored_values: int,
        stored_parameters: int = 0,
        logits_NKC: Tensor | None = None,
    ) -> RunFolder:
        """Write the result: uint8 videos in class order, their labels, soft ones as well, and what a set stores."""
        result = {"videos_NT3HW": videos_NT3HW, "labels_N": labels_N}
        if logits_NKC is not None:
            result["logits_NKC"] = logits_NKC
        data = save({name: tensor.contiguous() for name, tensor in result.items()})
        storage.write_bytes(self.path / RESULT, data)
        facts = {"stored_values": stored_values, "stored_parameters": stored_parameters}
        self.document = self.document.model_copy(update={"result_sha256": storage.sha256_bytes(data)} | facts)
        self.document.write(self.path)
        return self

    def result(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """The finished videos (N, T, 3, H, W) uint8, labels (N), and the logits (N, K, C) of soft labels, if any.

        Raises:
            InputError: the run is not finished.
            IdtdError: the result is not what the run wrote.
        """
        if not self.finished:
            raise InputError(f"{self.path} is not finished.", "Go on with `idtd distill PREPARED RUN --resume`.")
        path = self.path / RESULT
        if not path.is_file() or storage.sha256_file(path) != self.document.result_sha256:
            raise IdtdError(f"{path} is missing or was changed since the run wrote it.", "Distil again.")
        try:
            tensors = load_file(path)
            videos_NT3HW, labels_N = tensors["videos_NT3HW"], tensors["labels_N"]
        except _UNREADABLE as error:
            raise IdtdError(f"{path} holds no videos.", "Distil again.") from error
        logits_NKC = tensors.get("logits_NKC")
        if not self._is_result(videos_NT3HW, labels_N, logits_NKC):
            raise IdtdError(f"{path} holds other videos than {RunDocument.FILE} says.", "Distil again.")
        return videos_NT3HW, labels_N, logits_NKC

    def _is_result(self, videos: Tensor, labels: Tensor, logits: Tensor | None) -> bool:
        """Whether tensors have the sizes and kinds of the result of this run."""
        document, clip = self.document, self.document.clip
        expected = torch.arange(len(document.classes)).repeat_interleave(document.recipe.distill.videos_a_class)
        return (
            videos.shape == (len(expected), document.frames, 3, clip.height, clip.width)
            and videos.dtype == torch.uint8
            and labels.dtype == torch.int64
            and torch.equal(labels, expected)
            and (
                logits is None
                or (
                    logits.shape == (len(expected), document.segments, len(document.classes))
                    and logits.is_floating_point()
                )
            )
        )

    def _checkpoints(self) -> list[Path]:
        # Six digits in a name, or more: the shorter name is the earlier step.
        return sorted((self.path / _CHECKPOINTS).glob("step-*.safetensors"), key=lambda path: (len(path.name), path))


class FollowedRun(RunFolder):
    """A run that another process reads and writes, as rank 0 does for the others: here it is empty, and stays so."""

    def latest_checkpoint(self, damaged: object = None) -> None:
        return None

    def best_checkpoint(self) -> None:
        return None

    def save_checkpoint(self, step: int, state: dict[str, Tensor]) -> None:
        pass

    def save_best(self, step: int, score: float, state: dict[str, Tensor]) -> None:
        pass

    def save_preview(self, step: int, png: bytes) -> None:
        pass

    def finish(self, *_: object) -> RunFolder:
        return self


def _sealed(state: dict[str, Tensor], **facts: float) -> bytes:
    """A checkpoint: its state, facts, and the sha256 of all of it with zeros in the digest's place."""
    data = save(state, metadata={_FACTS: json.dumps(facts | {"sha256": _NO_DIGEST})})
    return data.replace(_NO_DIGEST.encode(), storage.sha256_bytes(data).encode(), 1)


def _unsealed(path: Path) -> tuple[dict[str, float], dict[str, Tensor]]:
    """The facts and the state of a checkpoint.

    Raises:
        ValueError: a byte of it has changed; and others, if it is none.
    """
    data = path.read_bytes()
    # The metadata come first in a safetensors file: its length, then JSON whose first key is theirs.
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    facts = json.loads(header["__metadata__"][_FACTS])
    if storage.sha256_bytes(data.replace(facts["sha256"].encode(), _NO_DIGEST.encode(), 1)) != facts["sha256"]:
        raise ValueError("it has changed since it was written")
    return facts, load(data)


def differences(old: Recipe, new: Recipe, section: str) -> list[str]:
    """The keys of a section, such as `evaluate.fit`, in which two recipes differ, as `distill.ipc: 1, now 5`."""
    before, now = flat(old), flat(new)
    keys = [key for key in sorted(before.keys() | now.keys()) if f"{key}.".startswith(f"{section}.")]
    return [
        f"{key}: {json.dumps(before.get(key))}, now {json.dumps(now.get(key))}"
        for key in keys
        if before.get(key) != now.get(key)
    ]
