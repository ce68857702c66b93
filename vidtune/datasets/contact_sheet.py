"""A contact sheet: the middle frames of some clips in one jpg."""

from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from vidtune.data.records import Record
from vidtune.data.video import read_frames
from vidtune.spec import UserError

TILE = (160, 120)  # width, height of a clip's picture, pixels
COLUMNS = 6


def sheet(records: Sequence[Record], columns: int = COLUMNS) -> bytes:
    """A jpg of at most `columns` pictures a row; a clip that cannot be read stays grey."""
    width, height = TILE
    rows = -(-len(records) // columns)
    canvas = np.full((rows * height, min(columns, len(records)) * width, 3), 128, np.uint8)
    for i, record in enumerate(records):
        top, left = i // columns * height, i % columns * width
        try:
            canvas[top : top + height, left : left + width] = _tile(record)
        except UserError:
            continue
    return _jpg(canvas)


def _tile(record: Record) -> NDArray[np.uint8]:
    """(H, W, 3) of `TILE`, the whole frame on black."""
    frame = read_frames(record.path, [record.frames // 2])[0]
    width, height = TILE
    scale = min(width / frame.shape[1], height / frame.shape[0])
    w, h = (max(1, round(n * scale)) for n in (frame.shape[1], frame.shape[0]))
    image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    small = VideoReformatter().reformat(image, width=w, height=h, format="rgb24").to_ndarray()
    tile = np.zeros((height, width, 3), np.uint8)
    top, left = (height - h) // 2, (width - w) // 2
    tile[top : top + h, left : left + w] = small
    return tile


def _jpg(image: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) -> a jpg file."""
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.height, encoder.width = image.shape[:2]
    encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuvj420p")
    frame.pts = 0
    return b"".join(bytes(p) for p in [*encoder.encode(frame), *encoder.encode(None)])
