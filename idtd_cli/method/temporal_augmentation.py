"""Stochastic Temporal Augmentation (STA): random temporal views of a video, resampled to T frames.

A view is a stretch of a video: one of its K segments, or a window of any place and of a length between a segment and
the whole, and within that a faster or slower part. The paper gives the stochastic augmentation; the kinds of view are
our choice. Time is never reversed: direction is often the label.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from idtd_cli.method.draws import Generators, uniform
from idtd_cli.method.streamed_clips import Clips, StreamedClips
from idtd_cli.recipe import AugmentationConfig


@dataclass(frozen=True)
class Views:
    """B stretches of time; `index_B` says of which videos, start and end are fractions of their length.

    `shortest` is a lower bound of all lengths, known without looking at the tensors (and so without waiting for a GPU).
    """

    index_B: Tensor
    start_B: Tensor
    end_B: Tensor
    shortest: float

    def __getitem__(self, rows: slice) -> Views:
        return Views(self.index_B[rows], self.start_B[rows], self.end_B[rows], self.shortest)


def whole(index_B: Tensor) -> Views:
    """Each video from its first to its last frame."""
    zeros_B = torch.zeros(index_B.shape, device=index_B.device)
    return Views(index_B, zeros_B, zeros_B + 1, shortest=1.0)


@dataclass(frozen=True)
class TemporalAugmentation:
    """Draws the views of synthetic videos, and those of real videos that are to be compared with them.

    Attributes:
        segments: K.
        span: how much of a real video (0..1] one segment stands for.
        window: share of views that are windows rather than segments.
        speed: ≥ 1; a view shows between 1/speed and all of its stretch, in the same T frames.
    """

    segments: int
    span: float = 1.0
    window: float = 0.0
    speed: float = 1.0

    @classmethod
    def of(cls, config: AugmentationConfig, segments: int) -> TemporalAugmentation:
        """As a recipe asks for, of videos of K = `segments`; videos that are seen whole are one segment."""
        return cls(segments if config.views == "segments" else 1, config.span, config.window, config.speed)

    def of_synthetic(self, index_B: Tensor, segment_B: Tensor, generator: Generators) -> Views:
        """View b shows segment `segment_B[b]` of video `index_B[b]`, or a window that starts anywhere."""
        length_B, is_window_B = self._lengths(index_B, generator)
        anywhere_B = uniform(index_B, generator) * (1 - length_B)
        start_B = torch.where(is_window_B, anywhere_B, segment_B / self.segments)
        return self._vary_speed(index_B, start_B, length_B, 1 / self.segments, generator)

    def of_real(self, index_B: Tensor, generator: Generators) -> Views:
        """Views of real videos of the same kinds: a synthetic segment stands for `span` of a real video."""
        length_B, _ = self._lengths(index_B, generator)
        length_B = (length_B * self.segments * self.span).clamp(max=1)
        start_B = uniform(index_B, generator) * (1 - length_B)
        return self._vary_speed(index_B, start_B, length_B, self.span, generator)

    def _lengths(self, index_B: Tensor, generator: Generators) -> tuple[Tensor, Tensor]:
        segment = 1 / self.segments
        is_window_B = uniform(index_B, generator) < self.window
        window_B = segment + uniform(index_B, generator) * (1 - segment)
        return torch.where(is_window_B, window_B, segment), is_window_B

    def _vary_speed(
        self, index_B: Tensor, start_B: Tensor, length_B: Tensor, shortest: float, generator: Generators
    ) -> Views:
        shown_B = length_B / (1 + uniform(index_B, generator) * (self.speed - 1))
        start_B = start_B + uniform(index_B, generator) * (length_B - shown_B)
        return Views(index_B, start_B, start_B + shown_B, shortest / self.speed)


def read(videos_NF3HW: Clips, views: Views, frames: int) -> Tensor:
    """The views as clips (B, T, 3, H, W), in the value range of the source and differentiable in it.

    Bytes stay bytes where no frames are blended, and are float where they are.

    Frame j of a view lies at the middle of the j-th of T equal parts of its stretch. Where the source is at least as
    dense as the view, the nearest frame is taken; where it is sparser, the two neighbours are blended. Reading stays
    within the frames of the stretch, so that a segment never shows its neighbour.

    Args:
        videos_NF3HW: videos of F frames each, uint8 or float, or clips that are streamed.
        views: which stretch of which video.
        frames: T, the frames of a view.
    """
    if isinstance(videos_NF3HW, StreamedClips):
        videos_NF3HW = videos_NF3HW.clips(views.index_B)
        views = replace(views, index_B=torch.arange(len(videos_NF3HW), device=videos_NF3HW.device))
    source_frames = videos_NF3HW.shape[1]
    place_BT = _places(views, source_frames, frames)
    index_B1 = views.index_B[:, None]
    before_BT = place_BT.floor().long()
    clip = videos_NF3HW[index_B1, before_BT]
    if views.shortest * source_frames >= frames:  # no place lies between two frames
        return clip
    share_BT111 = (place_BT - before_BT)[:, :, None, None, None]
    return torch.lerp(clip.float(), videos_NF3HW[index_B1, place_BT.ceil().long()].float(), share_BT111)


def _places(views: Views, source_frames: int, frames: int) -> Tensor:
    """Where on the source's frames (0 … F-1, fractions allowed) each frame of a view lies, (B, T)."""
    start_B1 = (views.start_B * source_frames)[:, None]
    length_B1 = ((views.end_B - views.start_B) * source_frames)[:, None]
    middle_T = (torch.arange(frames, device=start_B1.device) + 0.5) / frames
    place_BT = start_B1 + middle_T * length_B1 - 0.5
    # `slack` absorbs float rounding: a stretch that ends at 3.9999998 ends at 4, a place of 1.5 always rounds down.
    slack = 1e-3
    place_BT = torch.where(length_B1 >= frames - slack, (place_BT - slack).round(), place_BT)
    first_B1 = (start_B1 + slack).floor().clamp(max=source_frames - 1)
    last_B1 = torch.maximum((start_B1 + length_B1 - slack).ceil() - 1, first_B1)
    return torch.minimum(torch.maximum(place_BT, first_B1), last_B1)
