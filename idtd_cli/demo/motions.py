"""Draws the demo clips: a textured shape whose motion is the class, and nothing but its motion.

A shape's pose has four coordinates: x, y, size and angle. A class moves one of them, one way or to and fro; the others
rest. A coordinate at rest stands where a moving one would be found at a random moment. So the pose in a frame from a
random moment follows the same law in every class, and such a frame says nothing about the class. (A frame that is known
to be the first does: a shape that slides to the right begins on the left.) Everything else (outline, colours, textures,
pace, a second shape at rest, camera jitter, noise) is drawn anew for each clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
#: A clip's time, 0 to 1, to a coordinate's way, 0 to 1.
Course = Callable[[Floats], Floats]
Coordinate = Literal["x", "y", "size", "angle"]


def _onward(time_T: Floats) -> Floats:
    return time_T


def _back(time_T: Floats) -> Floats:
    return 1 - time_T


def _to_and_fro(time_T: Floats) -> Floats:
    # In the middle of each frame's share of the time: else the way's start would be shown twice and its end once.
    middle_T = (time_T * (len(time_T) - 1) + 0.5) / len(time_T)
    there_and_back_T: Floats = 1 - np.abs(2 * middle_T - 1)
    return there_and_back_T


#: Class name → what moves, and how; in the order in which `--classes N` takes them. The y axis points down, an angle
#: grows clockwise.
MOTIONS: dict[str, tuple[Coordinate, Course]] = {
    "slide_left": ("x", _back),
    "slide_right": ("x", _onward),
    "slide_up": ("y", _back),
    "slide_down": ("y", _onward),
    "turn_left": ("angle", _back),
    "turn_right": ("angle", _onward),
    "grow": ("size", _onward),
    "shrink": ("size", _back),
    "sway_sideways": ("x", _to_and_fro),
    "sway_upright": ("y", _to_and_fro),
    "rock": ("angle", _to_and_fro),
    "pulse": ("size", _to_and_fro),
}

#: From the start of a coordinate's way to its end. Places are in half frame widths (the frame spans -1 to 1), sizes are
#: half a shape's length in the same unit, angles are in radians: an outline is the same after half a turn.
_WAYS: dict[Coordinate, tuple[float, float]] = {
    "x": (-0.8, 0.8),
    "y": (-0.8, 0.8),
    "size": (0.18, 0.5),
    "angle": (0.0, np.pi),
}
#: A clip shows a random stretch of the way: from a point in its first such share to a point in its last.
_RAGGED = 0.1
#: The second shape is smaller, so that it is plain which one the class is about.
_BYSTANDER = 0.6


@dataclass(frozen=True)
class Pose:
    """Where a shape is over time; each array has one value a frame, in the units of `_WAYS`."""

    x_T: Floats
    y_T: Floats
    size_T: Floats
    angle_T: Floats


def draw_pose(motion: str | None, frames: int, rng: np.random.Generator) -> Pose:
    """The pose over time of a shape that moves as its class does, or with None rests."""
    time_T = np.linspace(0, 1, frames, dtype=np.float32)
    moving, course = MOTIONS[motion] if motion is not None else (None, _onward)
    values: dict[Coordinate, Floats] = {}
    for coordinate, (start, end) in _WAYS.items():
        first, last = rng.uniform(0, _RAGGED), 1 - rng.uniform(0, _RAGGED)
        # A random frame, drawn either way, so that the other coordinates do not depend on what moves.
        moment = time_T[rng.integers(frames)]
        way_T = course(time_T) if coordinate == moving else np.full_like(time_T, moment)
        values[coordinate] = (start + (end - start) * (first + (last - first) * way_T)).astype(np.float32)
    return Pose(values["x"], values["y"], values["size"], values["angle"])


def draw_clip(motion: str, frames: int, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw one clip of a motion class.

    Args:
        motion: a key of `MOTIONS`.
        frames: number of frames T.
        size: height and width in pixels.
        rng: source of everything random in the clip; the same state draws the same clip.

    Returns:
        (T, H, W, 3) uint8, RGB.
    """
    jitter_T2 = rng.normal(0, 0.015, (frames, 2)).astype(np.float32)
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    x_THW = grid[None, None, :] - jitter_T2[:, 0, None, None]
    y_THW = grid[None, :, None] - jitter_T2[:, 1, None, None]

    image_THW3 = _textured(x_THW, y_THW, rng, frequency=3.0, brightness=0.3, contrast=0.2)
    bystander, mover = draw_pose(None, frames, rng), draw_pose(motion, frames, rng)
    smaller = Pose(bystander.x_T, bystander.y_T, bystander.size_T * _BYSTANDER, bystander.angle_T)
    for pose in (smaller, mover):
        _paint_shape(image_THW3, x_THW, y_THW, pose, rng)
    image_THW3 += rng.normal(0, 0.04, image_THW3.shape).astype(np.float32)
    clip: NDArray[np.uint8] = np.clip(image_THW3 * 255, 0, 255).astype(np.uint8)
    return clip


def _paint_shape(
    image_THW3: NDArray[Any], x_THW: NDArray[Any], y_THW: NDArray[Any], pose: Pose, rng: np.random.Generator
) -> None:
    """Paint one bright long shape into the image, where its pose says."""
    # |u|^p + |v|^p = 1 is an ellipse for p = 2, nearly a rectangle for 6 and nearly a diamond for 1.3.
    power, slenderness = rng.choice([1.3, 2.0, 6.0]), rng.uniform(0.3, 0.55)
    edge_pixels = image_THW3.shape[1] * 0.35

    # The pixels P near the shape, and no others.
    reach_T = 1.5 * pose.size_T + 4 / edge_pixels
    dx_THW, dy_THW = x_THW - pose.x_T[:, None, None], y_THW - pose.y_T[:, None, None]
    t_P, y_P, x_P = np.nonzero(dx_THW**2 + dy_THW**2 < reach_T[:, None, None] ** 2)
    dx_P, dy_P = dx_THW[t_P, 0, x_P], dy_THW[t_P, y_P, 0]

    # Into the shape's own axes, of length 1.
    cos_P, sin_P, size_P = np.cos(pose.angle_T)[t_P], np.sin(pose.angle_T)[t_P], pose.size_T[t_P]
    u_P, v_P = (cos_P * dx_P + sin_P * dy_P) / size_P, (cos_P * dy_P - sin_P * dx_P) / size_P / slenderness
    radius_P = (np.abs(u_P) ** power + np.abs(v_P) ** power) ** (1 / power)
    inside_P1 = (1 / (1 + np.exp(np.clip((radius_P - 1) * size_P * edge_pixels, -30, 30))))[:, None]

    shape_P3 = _textured(u_P, v_P, rng, frequency=4.0, brightness=0.75, contrast=0.5)
    image_THW3[t_P, y_P, x_P] += inside_P1 * (shape_P3 - image_THW3[t_P, y_P, x_P])


def _textured(
    u: NDArray[Any], v: NDArray[Any], rng: np.random.Generator, *, frequency: float, brightness: float, contrast: float
) -> NDArray[Any]:
    """A soft random two-coloured pattern over the coordinates (u, v): their shape and (3,), around a brightness."""
    waves = np.zeros(np.broadcast_shapes(u.shape, v.shape), dtype=np.float32)
    for _ in range(2):
        direction, offset = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        strength = frequency * rng.uniform(0.6, 1.4)
        waves += np.sin(strength * (np.cos(direction) * u + np.sin(direction) * v) + offset)
    one, other = rng.uniform(0, 1, (2, 3)).astype(np.float32)
    pattern: NDArray[Any] = brightness + contrast * (one - 0.5 + (other - one) * (0.5 + 0.25 * waves[..., None]))
    return pattern
