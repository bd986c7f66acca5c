"""Soft labels: what networks that were trained on real clips, the teachers, say of each piece of a video.

A piece that is made rather than filmed is seldom of one class alone, and how far it is from the others is worth more to
a student than the class is: Hinton, Vinyals & Dean, arXiv 1503.02531; of distilled sets, Qin, Deng & Alvarez-Melis, "A
Label is Worth a Thousand Images in Dataset Distillation", arXiv 2406.10485.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import Normalisation, for_network
from idtd_cli.method.temporal_augmentation import TemporalAugmentation, Views, read

#: Pieces that a teacher looks at together, so that memory is bounded.
_AT_A_TIME = 64


@dataclass(frozen=True)
class SoftLabels:
    """Class scores of each piece of some videos.

    Attributes:
        logits_NKC: of piece k of video n for each class.
        temperature: τ, what scores are divided by before they become shares.
    """

    logits_NKC: Tensor
    temperature: float

    def of_views(self, views: Views) -> Tensor:
        """The logits (B, C) of views: of the pieces that they show, weighted by how much of the view each takes."""
        pieces = self.logits_NKC.shape[1]
        edge_K = torch.arange(pieces + 1, device=self.logits_NKC.device) / pieces
        begins_BK = torch.maximum(views.start_B[:, None], edge_K[:-1])
        overlap_BK = (torch.minimum(views.end_B[:, None], edge_K[1:]) - begins_BK).clamp(min=0)
        share_BK = overlap_BK / overlap_BK.sum(1, keepdim=True)
        return torch.einsum("bk,bkc->bc", share_BK, self.logits_NKC[views.index_B])

    def loss(self, scores_BC: Tensor, views: Views) -> Tensor:
        """Cross-entropy of a student's scores of the views against the teachers', both softened by τ.

        Times τ², so that gradients are as large whatever τ is (section 2 of Hinton, Vinyals & Dean).
        """
        target_BC = torch.softmax(self.of_views(views) / self.temperature, 1)
        return self.temperature**2 * functional.cross_entropy(scores_BC / self.temperature, target_BC)


@torch.no_grad()
def soft_labels(
    videos_NT3HW: Tensor,
    segments: int,
    teachers: Iterable[Network],
    normalisation: Normalisation,
    frames: int,
    temperature: float,
) -> SoftLabels:
    """What teachers say of each piece, on average.

    Args:
        videos_NT3HW: uint8, on the teachers' device.
        segments: K, pieces of a video; each is seen by itself, in T = `frames` frames, as students see it.
        teachers: in eval mode; at least one.
        normalisation: of the real training clips.
        frames: T.
        temperature: τ.
    """
    device = videos_NT3HW.device
    piece_P = torch.arange(len(videos_NT3HW) * segments, device=device)
    # Nothing is random in a view of one whole piece.
    views = TemporalAugmentation(segments).of_synthetic(
        piece_P // segments, piece_P % segments, torch.Generator(device)
    )

    def seen(first: int) -> Tensor:
        clips = read(videos_NT3HW, views[first : first + _AT_A_TIME], frames)
        return for_network(normalisation.normalise(clips))

    lots = range(0, len(piece_P), _AT_A_TIME)
    said = [torch.cat([teacher(seen(first)).float() for first in lots]) for teacher in teachers]
    return SoftLabels(torch.stack(said).mean(0).unflatten(0, (-1, segments)), temperature)
