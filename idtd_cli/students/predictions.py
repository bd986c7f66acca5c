"""What a trained student says of held-out videos."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import Normalisation, for_network
from idtd_cli.method.temporal_augmentation import read, whole
from idtd_cli.students.training import LabelledVideos


@dataclass(frozen=True)
class Predictions:
    """Of N videos.

    Attributes:
        found_N: the class with the highest score.
        place_N: the place of the true class among all, by score; 0 where it was found.
    """

    found_N: Tensor
    place_N: Tensor

    def top(self, count: int) -> float:
        """Share of videos whose class is among the `count` with the highest scores."""
        return (self.place_N < count).double().mean().item()


@torch.no_grad()
def predict(
    student: Network, videos: LabelledVideos, normalisation: Normalisation, frames: int, batch: int = 64
) -> Predictions:
    """Of videos, each seen whole in T = `frames` frames by a student in eval mode; the first of equal scores wins."""
    student.eval()
    found, places = [], []
    for index_B in torch.arange(len(videos.labels_N), device=videos.labels_N.device).split(batch):
        clips = read(videos.videos_NF3HW, whole(index_B), frames)
        order_BC = student(for_network(normalisation.normalise(clips))).argsort(dim=1, descending=True, stable=True)
        found.append(order_BC[:, 0])
        places.append((order_BC == videos.labels_N[index_B, None]).long().argmax(1))
    return Predictions(torch.cat(found).cpu(), torch.cat(places).cpu())


def top1(student: Network, videos: LabelledVideos, normalisation: Normalisation, frames: int, batch: int = 64) -> float:
    """Share of videos, each seen whole, whose highest score is that of their class."""
    return predict(student, videos, normalisation, frames, batch).top(1)
