"""Render anti-aliased textured shapes on textured backgrounds, with NumPy alone.

A frame shows one shape on a background and, in some clips, a small gray diamond that never moves.
`Looks` holds what stays the same in a clip, `Poses` what changes from frame to frame. Both are
columns, so that hundreds of frames are drawn at once. Lengths are shares of the image side; y
points down.

Shapes: M clips, N frames, S pixels of the side.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

COLOURS = {
    "red": (0.92, 0.10, 0.10),
    "green": (0.10, 0.80, 0.15),
    "blue": (0.15, 0.35, 1.0),
    "yellow": (0.95, 0.90, 0.10),
}
PERIODS = 4  # of a background's pattern across the image: one per patch of the mini backbone
DIAMOND = 0.07  # radius of the diamond

# shape -> (signed distance to its edge at unit radius, negative inside; brightness of its core).
# A small CLIP takes too long to learn an outline alone, which is 4 pixels in radius; hence the core.
SHAPES: dict[str, tuple[Callable[[Floats, Floats], Floats], float | None]] = {
    "circle": (lambda x, y: np.sqrt(x * x + y * y) - 1, None),
    "square": (lambda x, y: np.maximum(np.abs(x), np.abs(y)) - 0.88, 1.0),
}
CORE = 0.55  # radius of the core, in radii of the shape

# background -> pattern in -1..1 over the phases (x, y) in radians
BACKGROUNDS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "striped": lambda x, y: np.tanh(3 * np.sin(y)) + 0 * x,
    "checked": lambda x, y: np.tanh(4 * np.sin(x) * np.sin(y)),
    "dotted": lambda x, y: np.tanh(3 * (np.cos(x) + np.cos(y) - 0.9)),
}


class Looks(NamedTuple):
    """What stays the same in each of M clips. Indices point into the tables above."""

    shape: Ints  # (M,)
    colour: Ints  # (M,)
    background: Ints  # (M,)
    phase: Floats  # (M, 3) radians: background x and y, stripes on the shape
    tint: Floats  # (M, 3) background colour
    diamond: Floats  # (M, 3) centre and visibility (0 or 1) of the diamond


class Poses(NamedTuple):
    """Where and how the shape is drawn in each of N frames."""

    clip: Ints  # (N,) row of the frame's clip in `Looks`
    x: Floats  # (N,) centre
    y: Floats  # (N,)
    radius: Floats  # (N,)
    alpha: Floats  # (N,) opacity
    ground: Floats  # (N,) brightness of the background, 1 as painted


def _grid(side: int) -> tuple[Floats, Floats]:
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side
    return axis[None, None, :], axis[None, :, None]  # x (1, 1, S), y (1, S, 1)


def _cover(distance: Floats, radius: Floats, side: int) -> Floats:
    """Return the share of each pixel inside the shape, whose edge is one pixel wide."""
    return np.clip(0.5 - distance * (radius * side), 0, 1)


def draw_backgrounds(looks: Looks, side: int) -> Floats:
    """Return backgrounds (M, S, S, 3) in 0..1, diamonds included."""
    x, y = _grid(side)
    turn = 2 * np.pi * PERIODS
    pattern = np.empty((len(looks.shape), side, side), np.float32)
    for kind, draw in enumerate(BACKGROUNDS.values()):
        rows = np.flatnonzero(looks.background == kind)
        px, py = looks.phase[rows, 0, None, None], looks.phase[rows, 1, None, None]
        pattern[rows] = draw(turn * x + px, turn * y + py)  # (m, S, S)
    # dark as painted: beside a background as bright as the shapes, motions take far longer to learn
    image = looks.tint[:, None, None, :] * (0.20 + 0.08 * pattern[..., None])  # (M, S, S, 3)
    dx = x - looks.diamond[:, 0, None, None]
    dy = y - looks.diamond[:, 1, None, None]
    edge = (np.abs(dx) + np.abs(dy)) / DIAMOND - 1  # (M, S, S)
    cover = _cover(edge, np.float32(DIAMOND), side) * looks.diamond[:, 2, None, None]
    image += cover[..., None] * (np.float32(0.5) - image)
    return image


def render(looks: Looks, poses: Poses, side: int) -> NDArray[np.uint8]:
    """Return frames (N, S, S, 3) in RGB."""
    x, y = _grid(side)
    backgrounds = draw_backgrounds(looks, side)
    radius = poses.radius[:, None, None]
    u = (x - poses.x[:, None, None]) / radius  # (N, 1, S)
    v = (y - poses.y[:, None, None]) / radius  # (N, S, 1)
    colour = np.array(list(COLOURS.values()), np.float32)[looks.colour[poses.clip]]  # (N, 3)
    inner = np.empty_like(colour)  # (N, 3)
    cover = np.empty((len(poses.clip), side, side), np.float32)
    for kind, (distance, core) in enumerate(SHAPES.values()):
        rows = np.flatnonzero(looks.shape[poses.clip] == kind)
        cover[rows] = _cover(distance(u[rows], v[rows]), radius[rows], side)  # (n, S, S)
        inner[rows] = colour[rows] if core is None else core
    cover *= poses.alpha[:, None, None]
    core_cover = _cover(np.sqrt(u * u + v * v) - CORE, radius, side)  # (N, S, S)
    stripes = 0.86 + 0.14 * np.sin(5 * (u + v) + looks.phase[poses.clip, 2, None, None])
    frames = np.empty((len(poses.clip), side, side, 3), np.uint8)
    for c in range(3):  # one channel at a time: a third of the memory
        ground = backgrounds[..., c][poses.clip] * poses.ground[:, None, None]  # (N, S, S)
        paint = stripes * colour[:, c, None, None]  # (N, S, S)
        paint += core_cover * (inner[:, c, None, None] - paint)
        ground += cover * (paint - ground)
        frames[..., c] = np.clip(ground * 255 + 0.5, 0, 255)
    return frames
