"""A distilled set as what a network trains on: normalised clips in the views that the set was made for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from idtd_cli.distilled import DistilledSet, shards
from idtd_cli.errors import InputError
from idtd_cli.hub import client, fetching
from idtd_cli.hub.client import Place
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.soft_labels import SoftLabels
from idtd_cli.method.temporal_augmentation import TemporalAugmentation, Views, read, whole
from idtd_cli.runlog import Quiet

View = Literal["sta", "plain"]


class TrainingSet(Dataset[tuple[Tensor, Tensor]]):
    """A distilled set as pairs (clip_CTHW, label): float32, normalised; and the number of the class.

    With view "sta" an item is a random temporal view of one of the K pieces of a video, drawn anew whenever it is asked
    for, as students of `idtd evaluate` see it; with "plain" it is a whole video, in as many frames as a network sees.
    With soft labels, a label is what to learn in place of the class: a share for each class, (C,). Draws follow the
    seed of torch (`torch.manual_seed`), and in workers the seed that `DataLoader` gives to each.

    Attributes:
        document: what the set is, a `SetDocument`.
        classes: their names; a label is a place among these.
        normalisation: between uint8 videos and clips; `normalise` takes (…, T, 3, H, W), for real videos to test on.
        videos_NT3HW, labels_N: the set itself, uint8 and classes.
        logits_NKC: its soft labels, of each piece for each class; None without some.
    """

    def __init__(self, distilled: DistilledSet, view: View = "sta", soft_labels: bool = False) -> None:
        """
        Raises:
            InputError: there is no such view, or the set has no soft labels.
        """
        if view not in ("sta", "plain"):
            raise InputError(
                f"There is no view {view!r}.", "Take 'sta', the views that the set was made for, or 'plain'."
            )
        document = distilled.document
        self._soft: SoftLabels | None = None
        if soft_labels:
            if distilled.logits_NKC is None or document.temperature is None:
                raise InputError(f"{distilled.path} has no soft labels.", "Load it without them.")
            self._soft = SoftLabels(distilled.logits_NKC, document.temperature)
        self.path, self.document, self.view, self.classes = distilled.path, document, view, document.classes
        self.videos_NT3HW, self.labels_N, self.logits_NKC = (
            distilled.videos_NT3HW, distilled.labels_N, distilled.logits_NKC,
        )  # fmt: skip
        self.normalisation = Normalisation(document.mean, document.std, "cpu")
        self._augmentation = TemporalAugmentation.of(document.evaluate.augmentation, document.segments)
        self._flips = view == "sta" and document.evaluate.fit.flip

    def __len__(self) -> int:
        return len(self.labels_N) * (self._augmentation.segments if self.view == "sta" else 1)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Several items at once, which is how `DataLoader` asks for a batch."""
        size = len(self)
        if any(not -size <= index < size for index in indices):
            raise IndexError(f"{self.path} has {size} items")
        views = self._views(torch.tensor([index % size for index in indices], dtype=torch.long))
        clips_BT3HW = self.normalisation.normalise(read(self.videos_NT3HW, views, self.document.clip.frames))
        if self._flips:
            flipped_B = torch.rand(len(clips_BT3HW)) < 0.5
            clips_BT3HW = torch.where(flipped_B[:, None, None, None, None], clips_BT3HW.flip(-1), clips_BT3HW)
        labels_B = self.labels_N[views.index_B]
        if self._soft:
            labels_B = torch.softmax(self._soft.of_views(views) / self._soft.temperature, 1)
        return list(zip(clips_BT3HW.transpose(1, 2).contiguous(), labels_B, strict=True))

    def loss(self, scores_BC: Tensor, labels_B: Tensor) -> Tensor:
        """What students minimise: cross-entropy against the labels of this set, be they classes or soft labels."""
        if self._soft is None:
            return functional.cross_entropy(scores_BC, labels_B)
        temperature = self._soft.temperature
        return temperature**2 * functional.cross_entropy(scores_BC / temperature, labels_B)

    def _views(self, item_B: Tensor) -> Views:
        if self.view == "plain":
            return whole(item_B)
        segments = self._augmentation.segments
        return self._augmentation.of_synthetic(item_B // segments, item_B % segments, torch.default_generator)


def open_set(source: str | Path, endpoint: str | None = None) -> DistilledSet:
    """A distilled set: a folder or, where there is none of that name, OWNER/NAME[@REVISION] on the Hub.

    Of a set on the Hub its clips alone are fetched, checked, and kept in the cache of the Hub client.

    Raises:
        InputError: there is no such set, or it is damaged.
        IdtdError: the Hub cannot be reached, and the cache does not hold the set.
    """
    path = Path(source)
    if path.exists() or not isinstance(source, str):
        return DistilledSet.open(path)
    with client.no_folder(source):
        fetched = fetching.fetch(Place.parse(source), client.endpoint(endpoint), Quiet(), only=shards.is_shard)
    with client.named(fetched.place, fetched.folder):
        return DistilledSet.open(fetched.folder)


def loader(data: TrainingSet, batch_size: int | None = None, num_workers: int = 0) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches of a set in random order: `clips_BCTHW, labels_B`.

    Args:
        data: the set.
        batch_size: clips a batch; by default that of the set's recipe, or all of a smaller set.
        num_workers: processes that draw views.
    """
    size = min(batch_size or data.document.evaluate.fit.batch, len(data))
    return DataLoader(data, batch_size=size, shuffle=True, num_workers=num_workers)
