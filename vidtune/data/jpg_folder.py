"""A video as a folder of numbered jpg frames, such as 00001.jpg or img_00001.jpg.

The frame with the smallest number is frame 0. Numbers must follow one another: a hole would shift
the frames behind it.
"""

import re
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from vidtune.spec import UserError

ADVICE = "fetch or generate it again, or remove its line from the list"
NAME = re.compile(r"(.*?)(\d+)\.jpe?g", re.IGNORECASE)


def frames(path: Path) -> list[Path]:
    """The frames' files in order. Raises `UserError` where there are none or one is missing."""
    try:
        found = [(m[1], int(m[2]), p) for p in path.iterdir() if (m := NAME.fullmatch(p.name))]
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}; expected a folder of frames") from None
    if not found:
        raise UserError(f"{path}: holds no frames; expected files such as 00001.jpg; {ADVICE}")
    found.sort(key=lambda one: one[1])
    if len({prefix for prefix, _, _ in found}) > 1:
        raise UserError(f"{path}: frames of several names ({found[0][2].name}, ...); keep one kind")
    numbers = [n for _, n, _ in found]
    for n, after in pairwise(numbers):
        if after != n + 1:
            raise UserError(f"{path}: behind frame number {n} comes {after}; {ADVICE}")
    return [p for _, _, p in found]


def read(path: Path, wanted: list[int]) -> dict[int, NDArray[np.uint8]]:
    """Number -> RGB (H, W, 3) for ascending numbers. Raises `UserError`."""
    files = frames(path)
    if wanted[-1] >= len(files):
        raise UserError(
            f"{path}: ends after {len(files)} frames, frame {wanted[-1]} was asked for; {ADVICE}"
        )
    rgb = VideoReformatter()
    return {
        n: rgb.reformat(image(files[n]), format="rgb24", threads=1).to_ndarray() for n in wanted
    }


def image(path: Path) -> av.VideoFrame:
    """One jpg. Raises `UserError` where it is empty, damaged or something else."""
    try:
        data = path.read_bytes()
        decoder = av.CodecContext.create("mjpeg", "r")
        decoder.options = {"err_detect": "explode"}
        found = data and (decoder.decode(av.Packet(data)) or decoder.decode(None))
    except (OSError, av.FFmpegError) as e:
        raise UserError(f"{path}: cannot be read as a jpg: {e.strerror}; {ADVICE}") from None
    if not found or found[0].is_corrupt:
        raise UserError(f"{path}: cannot be read as a jpg: it holds no picture; {ADVICE}")
    return found[0]
