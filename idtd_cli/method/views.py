"""Views of real and of synthetic videos, as networks see them: drawn with STA, normalised, channels first."""

from __future__ import annotations

import torch
from torch import Tensor

from idtd_cli.method.normalisation import Normalisation, for_network
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.temporal_augmentation import TemporalAugmentation, Views, read


class RealViews:
    """Views of random real clips.

    Args:
        real: the training clips.
        normalisation: of them.
        augmentation: what kind of views.
        frames: T of a view.
    """

    def __init__(
        self, real: RealClips, normalisation: Normalisation, augmentation: TemporalAugmentation, frames: int
    ) -> None:
        self.real, self.normalisation, self.augmentation, self.frames = real, normalisation, augmentation, frames

    @property
    def classes(self) -> int:
        """C."""
        return self.real.classes

    @property
    def device(self) -> torch.device:
        return self.real.videos_NF3HW.device

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """One view each of `count` = B random clips of each class, (C·B, 3, T, H, W), in class order."""
        index_B = self.real.draw(count, generator).flatten()
        clips = read(self.real.videos_NF3HW, self.augmentation.of_real(index_B, generator), self.frames)
        return for_network(self.normalisation.normalise(clips))


class SyntheticViews:
    """Views of N = C·I synthetic videos that are pieces of equal length, one view a piece.

    Piece p is segment p mod K of video p // K, so that pieces are in class order as videos are.

    Args:
        classes: C.
        ipc: I, videos of a class.
        augmentation: what kind of views, and K, the pieces of a video; 1 shows videos whole.
        frames: T of a view.
        device: where the videos are.
    """

    def __init__(
        self, classes: int, ipc: int, augmentation: TemporalAugmentation, frames: int, device: torch.device
    ) -> None:
        self.augmentation, self.frames = augmentation, frames
        segments = augmentation.segments
        pieces = torch.arange(classes * ipc * segments, device=device)
        self._video_P, self._segment_P = pieces // segments, pieces % segments
        #: class of each piece
        self.label_P = pieces // (ipc * segments)

    def draw(self, generator: torch.Generator, piece_B: Tensor | None = None) -> Views:
        """A random view of each piece, or of those that are named."""
        video_B, segment_B = self._video_P, self._segment_P
        if piece_B is not None:
            video_B, segment_B = video_B[piece_B], segment_B[piece_B]
        return self.augmentation.of_synthetic(video_B, segment_B, generator)

    def show(self, videos_NT3HW: Tensor, views: Views) -> Tensor:
        """The views (B, 3, T, H, W) of normalised videos, differentiable in them."""
        return for_network(read(videos_NT3HW, views, self.frames))
