"""What a trained student says of held-out videos."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import Normalisation, for_network
from idtd_cli.method.temporal_augmentation import Views, read
from idtd_cli.recipe import ScoringConfig
from idtd_cli.students.training import LabelledVideos


@dataclass(frozen=True)
class Predictions:
    """Of N videos, each asked for V times; V is 1 where what was said of a video's views was put together.

    Attributes:
        found_VN: the class with the highest score.
        place_VN: the place of the true class among all, by score; 0 where it was found.
    """

    found_VN: Tensor
    place_VN: Tensor

    def top(self, count: int) -> float:
        """Share of videos whose class is among the `count` with the highest scores."""
        return (self.place_VN < count).double().mean().item()


@torch.no_grad()
def predict(
    student: Network,
    videos: LabelledVideos,
    normalisation: Normalisation,
    frames: int,
    scoring: ScoringConfig | None = None,
    seed: int = 0,
    batch: int = 64,
) -> Predictions:
    """Of videos, seen by a student in eval mode; the first of equal scores wins.

    Args:
        student: a network that was trained.
        videos: to be asked for.
        normalisation: as in training.
        frames: T that a student sees of a view.
        scoring: the views, and how they are put together; None shows each video whole, once.
        seed: of flips.
        batch: videos at a time.
    """
    scoring = scoring or ScoringConfig()
    student.eval()
    device = videos.labels_N.device
    generator = torch.Generator(device).manual_seed(seed)
    scores_VNC = []
    for view in range(scoring.views):
        scores_NC = []
        for index_B in torch.arange(len(videos.labels_N), device=device).split(batch):
            clips = read(videos.videos_NF3HW, _view(index_B, view, scoring, videos.draws), frames)
            if scoring.flip:
                flipped_B = torch.rand(len(clips), generator=generator, device=device) < 0.5
                clips = torch.where(flipped_B[:, None, None, None, None], clips.flip(-1), clips)
            scores_NC.append(student(for_network(normalisation.batch(clips))))
        scores_VNC.append(torch.cat(scores_NC))
    if scoring.combine == "scores" and scoring.views > 1:
        scores_VNC = [torch.stack(scores_VNC).softmax(2).mean(0)]
    order_VNC = torch.stack(scores_VNC).argsort(dim=2, descending=True, stable=True)
    return Predictions(order_VNC[..., 0].cpu(), (order_VNC == videos.labels_N[:, None]).long().argmax(2).cpu())


def _view(index_B: Tensor, view: int, scoring: ScoringConfig, draws: int) -> Views:
    """View number `view` of some videos: one of their draws, or the window at its place."""
    if draws > 1:
        start, span = view / draws, 1 / draws
    else:
        start, span = (1 - scoring.span) * (view / (scoring.views - 1) if scoring.views > 1 else 0.5), scoring.span
    start_B = torch.full(index_B.shape, start, device=index_B.device)
    return Views(index_B, start_B, start_B + span, shortest=span)


def top1(student: Network, videos: LabelledVideos, normalisation: Normalisation, frames: int, batch: int = 64) -> float:
    """Share of videos, each seen whole, whose highest score is that of their class."""
    return predict(student, videos, normalisation, frames, batch=batch).top(1)
