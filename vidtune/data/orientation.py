"""Upright frames: turned and mirrored as a file's display matrix says."""

import av
import numpy as np
from av.sidedata.sidedata import Type
from numpy.typing import NDArray

ZERO = 0.01  # of the matrix's largest entry: half a degree


def _matrix(frame: av.VideoFrame) -> tuple[float, float, float, float] | None:
    """(a, b, c, d) of what shows a point (x, y) at (a x + c y, b x + d y); None: as it is stored.

    Of slanted frames, and of a matrix of zeros, none is made: such frames stay as they are stored.
    """
    try:
        side = next((s for s in frame.side_data if s.type == Type.DISPLAYMATRIX), None)
        if side is None:
            return None
        entries = np.frombuffer(side, np.int32)[[0, 1, 3, 4]].astype(float)
    except (
        ValueError
    ):  # PyAV does not name all that lies beside frames; it knows the angle all the same
        angle = np.deg2rad(frame.rotation)
        entries = np.array([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)])
    largest = np.abs(entries).max()
    a, b, c, d = np.where(np.abs(entries) <= ZERO * largest, 0.0, entries).tolist()
    straight = (a and d and not b and not c) or (b and c and not a and not d)
    return (a, b, c, d) if straight else None


def swaps_sides(frame: av.VideoFrame) -> bool:
    """Whether an upright frame is as high as the stored one is wide."""
    matrix = _matrix(frame)
    return matrix is not None and not matrix[0]


def upright(image: NDArray[np.uint8], frame: av.VideoFrame) -> NDArray[np.uint8]:
    """The picture (H, W, 3) of a frame as it is shown."""
    matrix = _matrix(frame)
    if matrix is None:
        return image
    a, b, c, d = matrix
    if not a:
        image = image.swapaxes(0, 1)  # (W, H, 3)
    across, down = (a, d) if a else (c, b)
    return image[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
