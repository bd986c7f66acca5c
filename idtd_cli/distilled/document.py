"""set.json: what a distilled set is, and how the clips in its files are called."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import Field

from idtd_cli.documents import Document
from idtd_cli.recipe import ClipConfig, EvaluateConfig, ExportConfig, Recipe, Selection

#: What to do about a set that is not as it was made.
AGAIN = "Export or download the set again."


class SetDocument(Document):
    """set.json: the contract of a distilled set."""

    KIND: ClassVar[str] = "distilled set"
    VERSION: ClassVar[int] = 3
    FILE: ClassVar[str] = "set.json"
    COMMAND: ClassVar[str] = "idtd export RUN OUT"

    method: str = Field(description="what made the videos")
    seed: int = Field(description="of the distillation")
    selection: Selection = Field("last", description="how the videos were chosen among those of all steps")
    classes: tuple[str, ...] = Field(description="their names, in the order of the labels")
    ipc: int = Field(
        ge=1, description="I: videos a class that the set stores, or that what it stores takes the place of"
    )
    videos_a_class: int = Field(ge=1, description="videos a class that the set holds, to train on")
    clip: ClipConfig = Field(
        description="of the prepared set, as networks see them; the videos have its height and width"
    )
    frames: int = Field(ge=1, description="T: of a video")
    segments: int = Field(ge=1, description="K: a video is K pieces, and a student trains on views of them")
    mean: tuple[float, float, float] = Field(description="to normalise with, per channel, in 0..1")
    std: tuple[float, float, float] = Field(description="the same")
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
    device: str | None = Field(None, description="that it was distilled on: cpu or cuda; null: not known")
    versions: dict[str, str] = Field({}, description="of the software that it was distilled with")
    export: ExportConfig = Field(ExportConfig(), description="how the clips lie in the shards")
    shards: int = Field(1, ge=1, description="how many there are")
    payload_bytes: int = Field(0, ge=0, description="of the clips as they lie there, without the tar around them")
    lossy_error: float = Field(
        0,
        ge=0,
        description="how far values of the MP4s for people are from those of the clips, of 255, in the mean",
    )

    @property
    def count(self) -> int:
        """N: videos in the set."""
        return len(self.classes) * self.videos_a_class

    def key(self, number: int) -> str:
        """What the files of a clip are called, `0002-walk-000`: in ASCII, without a dot, sorted as the clips are."""
        label, place = divmod(number, self.videos_a_class)
        return f"{label:04d}-{_plain(self.classes[label])}-{place:03d}"

    def class_files(self) -> list[str]:
        """What the file or folder of each class is called: as the class is, if that is possible for all of them."""
        names = [_plain(name) for name in self.classes]
        if len({name.casefold() for name in names} - {""}) < len(names):
            return [f"{label:04d}-{name}" for label, name in enumerate(names)]
        return names


def _plain(name: str) -> str:
    """A class name as part of a file name and of a WebDataset key, which may hold no dot."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:60]
