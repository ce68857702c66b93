"""Video frames as rows of tiles, a block for each clip. Shapes: T frames, S pixels of a tile's side."""

import math
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vidtune.report.plots import style

Image = NDArray[np.uint8]  # (S, S, 3)
TEXT = 1.0  # inches on the left of a block
LARGEST = 0.75  # inches of a tile
GAP = 0.06  # of a tile, between tiles
FEW = 6  # frames up to which two blocks stand side by side


class Block(NamedTuple):
    """A clip: rows of T tiles, each with its text."""

    texts: tuple[str, ...]
    rows: tuple[list[Image], ...]


def mosaic(blocks: list[Block]) -> tuple[Figure, list[Axes]]:
    """The figure, and for each block its axes, in pixels of its tiles: see `corner`."""
    columns, rows = len(blocks[0].rows[0]), len(blocks[0].rows)
    across = 2 if columns <= FEW and len(blocks) > 1 else 1
    inch = min(LARGEST, (style.WIDTH / across - TEXT) / columns / (1 + GAP))
    wide, tall = columns * inch * (1 + GAP), rows * inch * (1 + GAP) + 0.1
    high = style.TITLE + math.ceil(len(blocks) / across) * tall
    figure = Figure(figsize=(style.WIDTH, high))
    axes = []
    for k, block in enumerate(blocks):
        left = k % across * style.WIDTH / across + TEXT
        top = high - style.TITLE - k // across * tall
        place = (left, top - tall + 0.1, wide, tall - 0.1)
        panel = figure.add_axes(tuple(x / (style.WIDTH, high)[i % 2] for i, x in enumerate(place)))
        axes.append(_fill(panel, block))
    return figure, axes


def corner(side: int, row: int, column: int) -> tuple[float, float]:
    """The upper left (x, y) of a tile in a block of tiles of that side."""
    step = side + max(1, round(GAP * side))
    return column * step - 0.5, row * step - 0.5


def _fill(axes: Axes, block: Block) -> Axes:
    side = block.rows[0][0].shape[0]
    step = side + max(1, round(GAP * side))
    canvas = np.zeros((len(block.rows) * step, len(block.rows[0]) * step, 4), np.uint8)
    for i, (text, tiles) in enumerate(zip(block.texts, block.rows, strict=True)):
        for j, tile in enumerate(tiles):
            part = canvas[i * step : i * step + side, j * step : j * step + side]
            part[..., :3], part[..., 3] = tile, 255
        look: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": style.SMALL}
        axes.text(-0.08 * side, (i + 0.5) * step - 0.03 * side, text, color=style.INK, **look)
    axes.imshow(canvas, aspect="auto")
    axes.set_axis_off()
    return axes


def enlarged(patches: NDArray[Any], side: int) -> NDArray[Any]:
    """(G, G) -> (S, S): every pixel has the value of its patch."""
    at = np.arange(side) * len(patches) // side
    return patches[at][:, at]
