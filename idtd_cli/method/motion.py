"""How much videos change over time: frame-difference energy, and how far their contents move.

These are what the paper's Figure 5 is about, that synthetic videos change more over time than those of image-style
matching. Its measure is not known to us; these two are our choice. Energy counts any change, flicker as well; flow
counts what can be followed from one frame to the next.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

#: Lucas-Kanade: window (deviation in pixels), halvings of the frame, and rounds on each size.
_WINDOW, _LEVELS, _ROUNDS = 1.5, 3, 3
#: Pixels to each side that a window looks at.
_REACH = round(2 * _WINDOW)
#: A frame is halved as long as both of its sides stay at least as long.
_SMALLEST = 8
#: Flow is known where the window has structure in two directions: the smaller eigenvalue of its tensor, grey in 0..1.
_STRUCTURE = 1e-4
_PAIRS = 256


def difference_energy(videos_NT3HW: Tensor) -> Tensor:
    """Mean square of the difference between neighbouring frames, (N,), for values in 0..1; 0 for a single frame."""
    if videos_NT3HW.shape[1] < 2:
        return torch.zeros(len(videos_NT3HW))
    return torch.stack([(video.double() / 255).diff(dim=0).square().mean() for video in videos_NT3HW]).float()


def flow_magnitude(videos_NT3HW: Tensor) -> Tensor:
    """Mean length of the optical flow between neighbouring frames, in pixels a frame, (N,), where it can be known.

    Lucas-Kanade in a Gaussian window, from coarse to fine (Bouguet, "Pyramidal implementation of the Lucas Kanade
    feature tracker", 2000). Pixels without structure are left out; a video without any has 0.

    Args:
        videos_NT3HW: values in 0..255.
    """
    count, frames = videos_NT3HW.shape[:2]
    if frames < 2:
        return torch.zeros(count)
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None] / 255
    grey_NTHW = torch.stack([(video.float() * weights).sum(1) for video in videos_NT3HW])
    before, after = grey_NTHW[:, :-1].flatten(0, 1), grey_NTHW[:, 1:].flatten(0, 1)
    sums, known = [], []
    for first in range(0, len(before), _PAIRS):
        flow_P2HW, known_PHW = _flow(before[first : first + _PAIRS], after[first : first + _PAIRS])
        length_PHW = flow_P2HW.square().sum(1).sqrt()
        sums.append((length_PHW * known_PHW).sum((1, 2)))
        known.append(known_PHW.sum((1, 2)))
    of_video = (torch.cat(each).view(count, frames - 1).sum(1) for each in (sums, known))
    total_N, pixels_N = of_video
    return total_N / pixels_N.clamp(min=1)


def _flow(before_PHW: Tensor, after_PHW: Tensor) -> tuple[Tensor, Tensor]:
    """Flow (P, 2, H, W), to the right and down, and where it is known."""
    pyramid = [(before_PHW[:, None], after_PHW[:, None])]
    while len(pyramid) < _LEVELS and min(pyramid[-1][0].shape[2:]) >= 2 * _SMALLEST:
        pyramid.append(tuple(functional.avg_pool2d(each, 2) for each in pyramid[-1]))  # type: ignore[arg-type]
    flow_P2HW = torch.zeros(len(before_PHW), 2, *pyramid[-1][0].shape[2:])
    for before, after in reversed(pyramid):
        if flow_P2HW.shape[2:] != before.shape[2:]:
            flow_P2HW = 2 * functional.interpolate(flow_P2HW, size=before.shape[2:], mode="bilinear")
        dx, dy = _gradient(before, 3), _gradient(before, 2)
        xx, xy, yy = (_blurred(product) for product in (dx * dx, dx * dy, dy * dy))
        determinant = xx * yy - xy * xy
        half = (xx + yy) / 2
        smaller = half - (half.square() - determinant).clamp(min=0).sqrt()
        known = smaller > _STRUCTURE
        for _ in range(_ROUNDS):
            change = _warped(after, flow_P2HW) - before
            x, y = -_blurred(dx * change), -_blurred(dy * change)
            step = torch.cat([yy * x - xy * y, xx * y - xy * x], dim=1) / determinant.clamp(min=_STRUCTURE**2)
            flow_P2HW = flow_P2HW + torch.where(known, step.clamp(-1, 1), 0)
    return flow_P2HW, known[:, 0] & _inside(flow_P2HW)


def _inside(flow_P2HW: Tensor) -> Tensor:
    """Where the window lies inside of both frames, (P, H, W): what comes in at the border cannot be followed."""
    height, width = flow_P2HW.shape[2:]
    y_HW, x_HW = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    inside = torch.ones_like(flow_P2HW[:, 0], dtype=torch.bool)
    for at_HW, moved_PHW, size in ((x_HW, x_HW + flow_P2HW[:, 0], width), (y_HW, y_HW + flow_P2HW[:, 1], height)):
        for place in (at_HW, moved_PHW):
            inside = inside & (place >= _REACH) & (place <= size - 1 - _REACH)
    return inside


def _gradient(image_P1HW: Tensor, dim: int) -> Tensor:
    (gradient,) = torch.gradient(image_P1HW, dim=dim)
    return gradient


def _blurred(image_P1HW: Tensor) -> Tensor:
    weights = torch.exp(-(torch.arange(-_REACH, _REACH + 1) ** 2) / (2 * _WINDOW**2))
    weights = weights / weights.sum()
    padded = functional.pad(image_P1HW, (_REACH,) * 4, mode="replicate")
    return functional.conv2d(functional.conv2d(padded, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))


def _warped(image_P1HW: Tensor, flow_P2HW: Tensor) -> Tensor:
    """Each pixel from where the flow leads to."""
    height, width = image_P1HW.shape[2:]
    y_HW, x_HW = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x_PHW = (2 * (x_HW + flow_P2HW[:, 0]) + 1) / width - 1
    y_PHW = (2 * (y_HW + flow_P2HW[:, 1]) + 1) / height - 1
    places = torch.stack([x_PHW, y_PHW], dim=-1)
    return functional.grid_sample(image_P1HW, places, mode="bilinear", padding_mode="border", align_corners=False)
