"""The only reader and writer of run folders: what is being distilled, its checkpoints, and its result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from idtd_cli import documents, storage
from idtd_cli.documents import Document
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.recipe import ClipConfig, Recipe

RECIPE = "recipe.yaml"
METRICS = "metrics.jsonl"
RESULT = "synthetic.safetensors"
_CHECKPOINTS = "checkpoints"
_KEPT = 2


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
    def finished(self) -> bool:
        return self.document.result_sha256 is not None

    def save_checkpoint(self, step: int, state: dict[str, Tensor]) -> None:
        """Keep the state after `step` steps, and the checkpoint before it; older ones go."""
        data = save(state, metadata={"step": str(step)})
        storage.write_bytes(self.path / _CHECKPOINTS / f"step-{step:06d}.safetensors", data)
        for old in self._checkpoints()[:-_KEPT]:
            old.unlink()

    def latest_checkpoint(self) -> tuple[int, dict[str, Tensor]] | None:
        """Steps taken and the state after them, of the newest checkpoint that can be read; None without any."""
        for path in reversed(self._checkpoints()):
            try:
                with safe_open(path, framework="pt") as file:
                    return int(file.metadata()["step"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            except (SafetensorError, OSError, KeyError, TypeError, ValueError):
                continue
        return None

    def finish(self, videos_NT3HW: Tensor, labels_N: Tensor) -> RunFolder:
        """Write the result: uint8 videos in class order, and their labels."""
        data = save({"videos_NT3HW": videos_NT3HW.contiguous(), "labels_N": labels_N})
        storage.write_bytes(self.path / RESULT, data)
        self.document = self.document.model_copy(update={"result_sha256": storage.sha256_bytes(data)})
        self.document.write(self.path)
        return self

    def result(self) -> tuple[Tensor, Tensor]:
        """The finished videos (N, T, 3, H, W) uint8 and labels (N).

        Raises:
            InputError: the run is not finished.
            IdtdError: the result is not what the run wrote.
        """
        if not self.finished:
            raise InputError(f"{self.path} is not finished.", "Go on with `idtd distill PREPARED RUN --resume`.")
        path = self.path / RESULT
        if not path.is_file() or storage.sha256_file(path) != self.document.result_sha256:
            raise IdtdError(f"{path} is missing or was changed since the run wrote it.", "Distil again.")
        tensors = load_file(path)
        return tensors["videos_NT3HW"], tensors["labels_N"]

    def _checkpoints(self) -> list[Path]:
        # Six digits in a name, or more: the shorter name is the earlier step.
        return sorted((self.path / _CHECKPOINTS).glob("step-*.safetensors"), key=lambda path: (len(path.name), path))


def differences(old: Recipe, new: Recipe, section: str) -> list[str]:
    """The keys of a section in which two recipes differ, as `distill.ipc: 1, now 5`."""
    found: list[str] = []

    def compare(a: object, b: object, where: str) -> None:
        if isinstance(a, dict) and isinstance(b, dict):
            for key in sorted(a.keys() | b.keys()):
                compare(a.get(key), b.get(key), f"{where}.{key}")
        elif a != b:
            found.append(f"{where}: {json.dumps(a)}, now {json.dumps(b)}")

    compare(old.model_dump(mode="json")[section], new.model_dump(mode="json")[section], section)
    return found
