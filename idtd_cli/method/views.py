"""Views of real and of synthetic videos, as networks see them: drawn with STA, normalised, channels first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from idtd_cli.method import seeds
from idtd_cli.method.normalisation import Normalisation, for_network
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.shard import Shard
from idtd_cli.method.streamed_clips import StreamedClips
from idtd_cli.method.temporal_augmentation import TemporalAugmentation, Views, read
from idtd_cli.ranks import ALONE, Ranks
from idtd_cli.recipe import DistillConfig

#: Values of the clips that a CPU embeds at a time, so that it finds in its caches what the layer before has left.
_AT_A_TIME = 1 << 21


class RealViews:
    """Views of random real clips.

    Args:
        real: the training clips.
        normalisation: of them.
        augmentation: what kind of views.
        frames: T of a view.
        ranks: those that share the classes; each sees clips of its own.
    """

    def __init__(
        self,
        real: RealClips,
        normalisation: Normalisation,
        augmentation: TemporalAugmentation,
        frames: int,
        ranks: Ranks = ALONE,
    ) -> None:
        self.real, self.normalisation, self.augmentation, self.frames = real, normalisation, augmentation, frames
        self.shard = Shard(real.classes, ranks)
        #: views given so far
        self.shown = 0

    @property
    def classes(self) -> int:
        """C, of those that are seen."""
        return len(self.shard.classes)

    @property
    def device(self) -> torch.device:
        return self.real.videos_NF3HW.device

    def of_turn(self, config: DistillConfig, turn: int) -> Tensor:
        """The views (C·B, 3, T, H, W) of B = `config.batch_real` random clips of each class that a turn of a run sees.

        Clips that are streamed are read for the next turn from then on.
        """
        return self._for_network(self._read_turn(config, turn))

    def embedded(self, embed: Callable[[Tensor], Tensor], config: DistillConfig, turn: int) -> Tensor:
        """What `embed` makes of each of the views `of_turn`, (C·B, D), without gradients."""
        clips_BT3HW = self._read_turn(config, turn)
        count = max(1, _AT_A_TIME // clips_BT3HW[0].numel()) if self.device.type == "cpu" else len(clips_BT3HW)
        with torch.no_grad():
            return torch.cat([embed(self._for_network(piece)) for piece in clips_BT3HW.split(count)])

    def _read_turn(self, config: DistillConfig, turn: int) -> Tensor:
        """As `of_turn`, before the network sees them: frames first, 0..255, in class order."""

        def drawn(turn: int) -> tuple[Tensor, torch.Generator]:
            generator = torch.Generator(self.device).manual_seed(seeds.of_turn(config.seed, turn))
            return self.real.draw(config.batch_real, generator).flatten(), generator

        index_B, generator = drawn(turn)
        rows = self.shard.rows(len(index_B))
        views = self.augmentation.of_real(index_B, generator)[rows]
        self.shown += len(views.index_B)
        clips = read(self.real.videos_NF3HW, views, self.frames)
        if isinstance(self.real.videos_NF3HW, StreamedClips):
            index_B, _ = drawn(turn + 1)
            self.real.videos_NF3HW.prefetch(index_B[rows])
        return clips

    def _for_network(self, clips_BT3HW: Tensor) -> Tensor:
        return for_network(self.normalisation.normalise(clips_BT3HW))


class SyntheticViews:
    """Views of the synthetic videos of some classes, N in all, that are pieces of equal length; one view a piece.

    Piece p is segment p mod K of video p // K, so that pieces are in class order as videos are.

    Args:
        shard: the classes.
        videos_a_class: of each.
        augmentation: what kind of views, and K, the pieces of a video; 1 shows videos whole.
        frames: T of a view.
        device: where the videos are.
    """

    def __init__(
        self, shard: Shard, videos_a_class: int, augmentation: TemporalAugmentation, frames: int, device: torch.device
    ) -> None:
        self.shard, self.augmentation, self.frames = shard, augmentation, frames
        segments = augmentation.segments
        pieces = torch.arange(shard.of * videos_a_class * segments, device=device)
        self._own = shard.rows(len(pieces))
        self._video_of_all, self._segment_of_all = pieces // segments, pieces % segments
        self._video_P = self._video_of_all[self._own] - shard.classes.start * videos_a_class
        #: class of each piece
        self.label_P = (pieces // (videos_a_class * segments))[self._own]
        #: views given so far
        self.shown = 0

    def draw(self, generator: torch.Generator, piece_B: Tensor | None = None) -> Views:
        """A random view of each piece, or of those that are named; what is drawn for others must be the same then."""
        video_B, segment_B = self._video_of_all, self._segment_of_all
        if piece_B is not None:
            return self.augmentation.of_synthetic(video_B[piece_B], segment_B[piece_B], generator)
        views = self.augmentation.of_synthetic(video_B, segment_B, generator)
        return replace(views[self._own], index_B=self._video_P)

    def show(self, videos_NT3HW: Tensor, views: Views) -> Tensor:
        """The views (B, 3, T, H, W) of normalised videos, differentiable in them."""
        self.shown += len(views.index_B)
        return for_network(read(videos_NT3HW, views, self.frames))
