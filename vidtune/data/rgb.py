"""A decoded frame as RGB, as FFmpeg's programs and decord show it.

Turned and mirrored upright as the file's display matrix says. Chroma of interlaced 4:2:0 is taken for that
of a whole frame, as by FFmpeg's `scale` without `interl`; PyAV alone would take it for that of two fields.
"""

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

ZERO = 0.01  # of the matrix's largest entry: half a degree


def to_rgb(frame: av.VideoFrame, reformatter: VideoReformatter, threads: int) -> NDArray[np.uint8]:
    """(H, W, 3), upright. One `reformatter` for all frames of a video takes a quarter of the time."""
    whole = _as_progressive(frame)
    image = reformatter.reformat(whole, format="rgb24", threads=threads).to_ndarray()
    return upright(image, frame)


def _as_progressive(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame, or a copy that is not marked as two fields where that would change its chroma."""
    if not frame.interlaced_frame or frame.format.chroma_height(8) == 8:
        return frame
    copy = av.VideoFrame(frame.width, frame.height, frame.format.name)
    copy.colorspace, copy.color_range = frame.colorspace, frame.color_range
    for source, target in zip(frame.planes, copy.planes, strict=True):
        width = min(source.line_size, target.line_size)  # bytes
        rows = (np.frombuffer(p, np.uint8).reshape(-1, p.line_size) for p in (source, target))
        old, new = (r[: source.height, :width] for r in rows)
        new[:] = old
    return copy


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
