"""Views of real and of synthetic videos, as networks see them: drawn with STA, normalised, channels first."""

from __future__ import annotations

import torch
from torch import Tensor

from idtd_cli.method import seeds
from idtd_cli.method.normalisation import Normalisation, for_network
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.streamed_clips import StreamedClips
from idtd_cli.method.temporal_augmentation import TemporalAugmentation, Views, read
from idtd_cli.recipe import DistillConfig


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
        #: views given so far
        self.shown = 0

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
        self.shown += len(index_B)
        clips = read(self.real.videos_NF3HW, self.augmentation.of_real(index_B, generator), self.frames)
        return for_network(self.normalisation.normalise(clips))

    def of_turn(self, config: DistillConfig, turn: int) -> Tensor:
        """The views (C·B, 3, T, H, W) of B = `config.batch_real` clips of each class that a turn of a run sees.

        Clips that are streamed are read for the next turn from then on.
        """

        def generator(turn: int) -> torch.Generator:
            return torch.Generator(self.device).manual_seed(seeds.of_turn(config.seed, turn))

        clips = self.draw(config.batch_real, generator(turn))
        if isinstance(self.real.videos_NF3HW, StreamedClips):
            self.real.videos_NF3HW.prefetch(self.real.draw(config.batch_real, generator(turn + 1)).flatten())
        return clips


class SyntheticViews:
    """Views of N synthetic videos that are pieces of equal length, one view a piece.

    Piece p is segment p mod K of video p // K, so that pieces are in class order as videos are.

    Args:
        classes: C.
        videos_a_class: N/C.
        augmentation: what kind of views, and K, the pieces of a video; 1 shows videos whole.
        frames: T of a view.
        device: where the videos are.
    """

    def __init__(
        self, classes: int, videos_a_class: int, augmentation: TemporalAugmentation, frames: int, device: torch.device
    ) -> None:
        self.augmentation, self.frames = augmentation, frames
        segments = augmentation.segments
        pieces = torch.arange(classes * videos_a_class * segments, device=device)
        self._video_P, self._segment_P = pieces // segments, pieces % segments
        #: class of each piece
        self.label_P = pieces // (videos_a_class * segments)
        #: views given so far
        self.shown = 0

    def draw(self, generator: torch.Generator, piece_B: Tensor | None = None) -> Views:
        """A random view of each piece, or of those that are named."""
        video_B, segment_B = self._video_P, self._segment_P
        if piece_B is not None:
            video_B, segment_B = video_B[piece_B], segment_B[piece_B]
        return self.augmentation.of_synthetic(video_B, segment_B, generator)

    def show(self, videos_NT3HW: Tensor, views: Views) -> Tensor:
        """The views (B, 3, T, H, W) of normalised videos, differentiable in them."""
        self.shown += len(views.index_B)
        return for_network(read(videos_NT3HW, views, self.frames))
