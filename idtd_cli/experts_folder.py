"""The only reader and writer of experts: trained networks, as they were at several stages of their training.

experts.json                what they are, digests, how well they do
expert-0000.safetensors …   all snapshots of an expert: name of a weight → (S, …), from its start to its end
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from idtd_cli import documents, storage
from idtd_cli.documents import Document
from idtd_cli.errors import IdtdError
from idtd_cli.recipe import AugmentationConfig, ExpertsConfig, StudentConfig


class Check(BaseModel):
    """How well experts do beside a student on all training clips; top-1 on the validation split, as shares."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clips: int = Field(description="validation clips")
    experts: float = Field(description="mean of the experts, after their last update")
    student: float = Field(description="of a student that was trained as an evaluation trains those on the full data")


class ExpertsDocument(Document):
    """experts.json. Parents: `prepared`, the set they were trained on; `experts`, all settings that decide the weights.

    Nothing in it depends on how long the training took or how often it was stopped.
    """

    KIND: ClassVar[str] = "experts"
    FILE: ClassVar[str] = "experts.json"
    COMMAND: ClassVar[str] = "idtd experts PREPARED OUT"

    network: StudentConfig
    augmentation: AugmentationConfig = Field(description="of the clips they were trained on")
    config: ExpertsConfig
    classes: tuple[str, ...]
    device: str
    versions: dict[str, str]
    trajectories: tuple[str, ...] = Field((), description="sha256 of each expert's file, as far as they are trained")
    finished: bool = False
    check: Check | None = Field(None, description="null without validation clips")


class ExpertsFolder:
    """Experts on disk."""

    def __init__(self, path: Path, document: ExpertsDocument) -> None:
        self.path = path
        self.document = document

    @classmethod
    def create(cls, path: Path, document: ExpertsDocument) -> ExpertsFolder:
        """Begin in a new or an empty folder.

        Raises:
            InputError: the folder already holds something else.
        """
        with storage.new_folder(path) as staging:
            document.write(staging)
        return cls(path, document)

    @classmethod
    def open(cls, path: Path) -> ExpertsFolder:
        """Open experts, finished or not.

        Raises:
            InputError: there are none.
        """
        return cls(path, documents.read(ExpertsDocument, path))

    @property
    def trained(self) -> int:
        """How many experts are there."""
        return len(self.document.trajectories)

    def add(self, snapshots: Mapping[str, Tensor]) -> None:
        """Keep the next expert: name of a weight → (S, …)."""
        data = save({name: stacked.contiguous() for name, stacked in snapshots.items()})
        storage.write_bytes(self._file(self.trained), data)
        self._update(trajectories=(*self.document.trajectories, storage.sha256_bytes(data)))

    def finish(self, check: Check | None) -> None:
        """Mark the experts as complete."""
        self._update(finished=True, check=check)

    def snapshots(self, number: int, network: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The snapshots of an expert, mapped into memory: name of a weight → (S, …).

        Args:
            number: which expert.
            network: the weights of any network of their kind, for their shapes.

        Raises:
            IdtdError: its file is not what was written, or is none of such a network.
        """
        path = self._file(number)
        again = "Remove the folder and train the experts again."
        if not path.is_file() or storage.sha256_file(path) != self.document.trajectories[number]:
            raise IdtdError(f"{path} is missing or was changed since it was written.", again)
        try:
            found = load_file(path)
        except (SafetensorError, KeyError) as error:  # a KeyError: a kind of number that torch does not have
            raise IdtdError(f"{path} is no file of weights.", again) from error
        count = self.document.config.snapshots
        expected = {name: (torch.Size((count, *weight.shape)), weight.dtype) for name, weight in network.items()}
        if {name: (stacked.shape, stacked.dtype) for name, stacked in found.items()} != expected:
            raise IdtdError(f"{path} holds other weights than {self.document.FILE} says.", again)
        return found

    def _file(self, number: int) -> Path:
        return self.path / f"expert-{number:04d}.safetensors"

    def _update(self, **changes: object) -> None:
        self.document = self.document.model_copy(update=changes)
        self.document.write(self.path)
