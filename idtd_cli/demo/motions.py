"""Draws the demo clips: textured shapes whose class is their motion, and nothing but their motion.

Every other property (shape, colours, texture, place, phase, speed, camera jitter, noise) is drawn anew for each
clip. The shapes fill a scene that is larger than the frame, evenly and at any time, and leave and enter it unseen: one
frame of a clip says next to nothing about its class.
"""

from __future__ import annotations

import math
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


#: The scene's half width; a shape that leaves the frame (half width 1) is out of sight before it leaves the scene.
_SCENE = 1.5


def _anywhere(phase_T: Floats, rng: np.random.Generator) -> Pose:
    """A random fixed pose; the flows below change the part that they are about."""
    ones_T = np.ones_like(phase_T)
    return Pose(
        x_T=rng.uniform(-_SCENE, _SCENE) * ones_T,
        y_T=rng.uniform(-_SCENE, _SCENE) * ones_T,
        angle_T=rng.uniform(-np.pi, np.pi) * ones_T,
        scale_T=rng.uniform(0.8, 1.25) * ones_T,
    )


def _around(place_T: Floats) -> Floats:
    """What leaves the scene on one side enters it on the other."""
    around_T: Floats = np.mod(place_T + _SCENE, 2 * _SCENE) - _SCENE
    return around_T


#: Radius of the disc that turning and zooming scenes fill; of the area of the square ones.
_DISC = 2 * _SCENE / math.sqrt(math.pi)

#: One clip's flow: where each of its shapes goes, given the time (0..1) and the shape's own generator.
Flow = Callable[[Floats, np.random.Generator], Pose]


def _slide(dx: int, dy: int) -> Callable[[np.random.Generator], Flow]:
    def flow(clip_rng: np.random.Generator) -> Flow:
        travel = clip_rng.uniform(0.6, 1.0)

        def pose(phase_T: Floats, rng: np.random.Generator) -> Pose:
            at = _anywhere(phase_T, rng)
            x_T, y_T = at.x_T + dx * travel * phase_T, at.y_T + dy * travel * phase_T
            return Pose(_around(x_T), _around(y_T), at.angle_T, at.scale_T)

        return pose

    return flow


def _turn(sign: int) -> Callable[[np.random.Generator], Flow]:
    def flow(clip_rng: np.random.Generator) -> Flow:
        swing, centre_x, centre_y = clip_rng.uniform(1.0, 1.7), *clip_rng.uniform(-0.2, 0.2, 2)

        def pose(phase_T: Floats, rng: np.random.Generator) -> Pose:
            turned_T = sign * swing * phase_T
            angle_T, radius = rng.uniform(-np.pi, np.pi) + turned_T, _DISC * np.sqrt(rng.uniform())
            x_T, y_T = centre_x + radius * np.cos(angle_T), centre_y + radius * np.sin(angle_T)
            return Pose(x_T, y_T, rng.uniform(-np.pi, np.pi) + turned_T, _anywhere(phase_T, rng).scale_T)

        return pose

    return flow


def _zoom(sign: int) -> Callable[[np.random.Generator], Flow]:
    def flow(clip_rng: np.random.Generator) -> Flow:
        growth, centre_x, centre_y = clip_rng.uniform(0.3, 0.5), *clip_rng.uniform(-0.2, 0.2, 2)

        def pose(phase_T: Floats, rng: np.random.Generator) -> Pose:
            # Out of the middle and, once out of sight, back to it: whichever way it runs, the disc stays evenly full.
            cycle_T = np.mod(rng.uniform() + sign * growth * phase_T, 1.0)
            angle, radius_T = rng.uniform(-np.pi, np.pi), _DISC * np.sqrt(cycle_T)
            x_T, y_T = centre_x + radius_T * np.cos(angle), centre_y + radius_T * np.sin(angle)
            at = _anywhere(phase_T, rng)
            return Pose(x_T, y_T, at.angle_T, at.scale_T * (0.8 + 0.4 * cycle_T))

        return pose

    return flow


def _orbit(sign: int) -> Callable[[np.random.Generator], Flow]:
    def flow(clip_rng: np.random.Generator) -> Flow:
        swing, radius, start = clip_rng.uniform(3.0, 5.0), clip_rng.uniform(0.3, 0.5), clip_rng.uniform(-np.pi, np.pi)

        def pose(phase_T: Floats, rng: np.random.Generator) -> Pose:
            at, angle_T = _anywhere(phase_T, rng), start + sign * swing * phase_T
            return Pose(at.x_T + radius * np.cos(angle_T), at.y_T + radius * np.sin(angle_T), at.angle_T, at.scale_T)

        return pose

    return flow


def _sway(dx: int, dy: int) -> Callable[[np.random.Generator], Flow]:
    def flow(clip_rng: np.random.Generator) -> Flow:
        reach, pace, start = clip_rng.uniform(0.3, 0.45), clip_rng.uniform(6.0, 10.0), clip_rng.uniform(-np.pi, np.pi)

        def pose(phase_T: Floats, rng: np.random.Generator) -> Pose:
            at, swing_T = _anywhere(phase_T, rng), reach * np.sin(start + pace * phase_T)
            return Pose(at.x_T + dx * swing_T, at.y_T + dy * swing_T, at.angle_T, at.scale_T)

        return pose

    return flow


#: Class name → draws a clip's flow, in the order in which `--classes N` takes them. The y axis points down.
MOTIONS: dict[str, Callable[[np.random.Generator], Flow]] = {
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
    image_THW3: NDArray[Any] = 0.1 + 0.2 * (
        dark[0] + (dark[1] - dark[0]) * _texture(x_THW, y_THW, rng, frequency=3.0)[..., None]
    )
    flow = MOTIONS[motion](rng)
    for _ in range(int(rng.integers(14, 19))):
        pose = flow(np.linspace(0, 1, frames, dtype=np.float32), rng)
        _paint_shape(image_THW3, x_THW, y_THW, pose, rng)
    image_THW3 = image_THW3 + rng.normal(0, 0.04, image_THW3.shape).astype(np.float32)
    clip: NDArray[np.uint8] = np.clip(image_THW3 * 255, 0, 255).astype(np.uint8)
    return clip


def _paint_shape(
    image_THW3: NDArray[Any], x_THW: NDArray[Any], y_THW: NDArray[Any], pose: Pose, rng: np.random.Generator
) -> None:
    """Paint one textured star into the image, where its pose says."""
    # A star in polar form: 2 to 5 lobes of random depth, stretched so that its turning shows.
    lobes, depth, lean = int(rng.integers(2, 6)), rng.uniform(0.15, 0.4), rng.uniform(0.7, 1.0)
    size, sharpness = rng.uniform(0.22, 0.34), 0.6 * image_THW3.shape[1]

    # The few pixels P near the star, and no others: a scene has many stars.
    reach_T = pose.scale_T * (size * (1 + depth) + 8 / sharpness)
    dx_THW, dy_THW = x_THW - pose.x_T[:, None, None], y_THW - pose.y_T[:, None, None]
    t_P, y_P, x_P = np.nonzero(dx_THW**2 + dy_THW**2 < reach_T[:, None, None] ** 2)
    dx_P, dy_P = dx_THW[t_P, 0, x_P], dy_THW[t_P, y_P, 0]

    # Into the shape's own axes: turn back, scale back.
    cos_P, sin_P, scale_P = np.cos(pose.angle_T)[t_P], np.sin(pose.angle_T)[t_P], pose.scale_T[t_P]
    u_P, v_P = (cos_P * dx_P + sin_P * dy_P) / scale_P, (cos_P * dy_P - sin_P * dx_P) / scale_P
    edge_P = size * (1 + depth * np.cos(lobes * np.arctan2(v_P, u_P)))
    inside_P1 = (1 / (1 + np.exp(np.clip((np.hypot(u_P, v_P / lean) - edge_P) * sharpness, -30, 30))))[:, None]

    bright = _colours(rng)
    shape_P3 = 0.5 + 0.5 * (bright[0] + (bright[1] - bright[0]) * _texture(u_P, v_P, rng, frequency=5.0)[:, None])
    image_THW3[t_P, y_P, x_P] += inside_P1 * (shape_P3 - image_THW3[t_P, y_P, x_P])
