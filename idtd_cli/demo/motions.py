"""Draws the demo clips: textured shapes whose class is their motion, and nothing but their motion.

Every other property (shape, colours, texture, place, phase, speed, camera jitter, noise) is drawn anew for each
clip. Places wrap around the frame and sizes repeat, so that one frame of a clip says nothing about its class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Pose:
    """Where a shape is over time; each array has one value a frame.

    Lengths are in half frame widths (the frame spans -1 to 1), angles in radians.
    """

    x_T: Floats
    y_T: Floats
    angle_T: Floats
    scale_T: Floats


def _still(phase_T: Floats, rng: np.random.Generator) -> Pose:
    """A random fixed pose; the motions below change the part that they are named after."""
    ones_T = np.ones_like(phase_T)
    return Pose(
        x_T=rng.uniform(-1, 1) * ones_T,
        y_T=rng.uniform(-1, 1) * ones_T,
        angle_T=rng.uniform(-np.pi, np.pi) * ones_T,
        scale_T=rng.uniform(0.8, 1.25) * ones_T,
    )


def _slide(dx: int, dy: int) -> Callable[[Floats, np.random.Generator], Pose]:
    def pose(phase_T: Floats, rng: np.random.Generator) -> Pose:
        start = _still(phase_T, rng)
        travel_T = phase_T * rng.uniform(1.2, 2.0)
        return Pose(start.x_T + dx * travel_T, start.y_T + dy * travel_T, start.angle_T, start.scale_T)

    return pose


def _turn(sign: int) -> Callable[[Floats, np.random.Generator], Pose]:
    def pose(phase_T: Floats, rng: np.random.Generator) -> Pose:
        start = _still(phase_T, rng)
        return Pose(start.x_T, start.y_T, start.angle_T + sign * phase_T * rng.uniform(2.5, 4.5), start.scale_T)

    return pose


def _zoom(sign: int) -> Callable[[Floats, np.random.Generator], Pose]:
    def pose(phase_T: Floats, rng: np.random.Generator) -> Pose:
        start = _still(phase_T, rng)
        # A saw tooth between half and full size: whichever way it runs, one frame shows every size alike.
        cycle_T = np.mod(rng.uniform() + sign * phase_T * rng.uniform(0.9, 1.5), 1.0)
        return Pose(start.x_T, start.y_T, start.angle_T, 0.6 * 2.2**cycle_T)

    return pose


def _orbit(sign: int) -> Callable[[Floats, np.random.Generator], Pose]:
    def pose(phase_T: Floats, rng: np.random.Generator) -> Pose:
        start = _still(phase_T, rng)
        angle_T = rng.uniform(-np.pi, np.pi) + sign * phase_T * rng.uniform(4.0, 7.0)
        radius = rng.uniform(0.3, 0.45)
        return Pose(
            start.x_T + radius * np.cos(angle_T), start.y_T + radius * np.sin(angle_T), start.angle_T, start.scale_T
        )

    return pose


def _sway(dx: int, dy: int) -> Callable[[Floats, np.random.Generator], Pose]:
    def pose(phase_T: Floats, rng: np.random.Generator) -> Pose:
        start = _still(phase_T, rng)
        swing_T = rng.uniform(0.3, 0.45) * np.sin(rng.uniform(-np.pi, np.pi) + phase_T * rng.uniform(6.0, 10.0))
        return Pose(start.x_T + dx * swing_T, start.y_T + dy * swing_T, start.angle_T, start.scale_T)

    return pose


#: Class name → pose over time, in the order in which `--classes N` takes them. The y axis points down.
MOTIONS: dict[str, Callable[[Floats, np.random.Generator], Pose]] = {
    "slide_left": _slide(-1, 0),
    "slide_right": _slide(1, 0),
    "slide_up": _slide(0, -1),
    "slide_down": _slide(0, 1),
    "turn_left": _turn(-1),
    "turn_right": _turn(1),
    "grow": _zoom(1),
    "shrink": _zoom(-1),
    "orbit_left": _orbit(-1),
    "orbit_right": _orbit(1),
    "sway_sideways": _sway(1, 0),
    "sway_upright": _sway(0, 1),
}


def _texture(u: NDArray[Any], v: NDArray[Any], rng: np.random.Generator, frequency: float) -> Floats:
    """A soft random pattern with values in 0..1 over the coordinates (u, v)."""
    waves = np.zeros(np.broadcast_shapes(u.shape, v.shape), dtype=np.float32)
    for _ in range(2):
        direction, offset = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        strength = frequency * rng.uniform(0.6, 1.4)
        waves += np.sin(strength * (np.cos(direction) * u + np.sin(direction) * v) + offset)
    mixed: Floats = 0.5 + 0.25 * waves
    return mixed


def _colours(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Two RGB colours for the two ends of a texture."""
    return rng.uniform(0, 1, 3).astype(np.float32), rng.uniform(0, 1, 3).astype(np.float32)


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

    dark = _colours(rng)
    image_THW3: NDArray[Any] = 0.1 + 0.2 * (dark[0] + (dark[1] - dark[0]) * _texture(x_THW, y_THW, rng, frequency=3.0)[..., None])
    for _ in range(int(rng.integers(6, 9))):
        pose = MOTIONS[motion](np.linspace(0, 1, frames, dtype=np.float32), rng)
        image_THW3 = _paint_shape(image_THW3, x_THW, y_THW, pose, rng)
    image_THW3 = image_THW3 + rng.normal(0, 0.04, image_THW3.shape).astype(np.float32)
    clip: NDArray[np.uint8] = np.clip(image_THW3 * 255, 0, 255).astype(np.uint8)
    return clip


def _paint_shape(
    image_THW3: NDArray[Any], x_THW: NDArray[Any], y_THW: NDArray[Any], pose: Pose, rng: np.random.Generator
) -> Floats:
    """Paint one textured star over the image, where its pose says."""
    # Into the shape's own axes: wrap around the frame, turn back, scale back.
    dx_THW = np.mod(x_THW - pose.x_T[:, None, None] + 1, 2) - 1
    dy_THW = np.mod(y_THW - pose.y_T[:, None, None] + 1, 2) - 1
    cos_T11, sin_T11 = np.cos(pose.angle_T)[:, None, None], np.sin(pose.angle_T)[:, None, None]
    u_THW = (cos_T11 * dx_THW + sin_T11 * dy_THW) / pose.scale_T[:, None, None]
    v_THW = (cos_T11 * dy_THW - sin_T11 * dx_THW) / pose.scale_T[:, None, None]

    # A star in polar form: 2 to 5 lobes of random depth, stretched so that its turning shows.
    lobes, depth, lean = int(rng.integers(2, 6)), rng.uniform(0.15, 0.4), rng.uniform(0.7, 1.0)
    radius_THW = np.hypot(u_THW, v_THW / lean)
    edge_THW = rng.uniform(0.24, 0.34) * (1 + depth * np.cos(lobes * np.arctan2(v_THW, u_THW)))
    sharpness = 0.3 * image_THW3.shape[1]
    inside_THW1 = (1 / (1 + np.exp(np.clip((radius_THW - edge_THW) * 2 * sharpness, -30, 30))))[..., None]

    bright = _colours(rng)
    weave_THW1 = _texture(u_THW, v_THW, rng, frequency=5.0)[..., None]
    shape_THW3 = 0.5 + 0.5 * (bright[0] + (bright[1] - bright[0]) * weave_THW1)
    painted: Floats = image_THW3 + inside_THW1 * (shape_THW3 - image_THW3)
    return painted
