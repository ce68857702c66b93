"""Decoding with PyAV: the frames asked for, exactly, or an error. Never a black frame instead.

Frames are counted in the order in which they are shown, from 0; decoding starts at the first and
stops at the last one asked for. (Seeking would win time on long videos only.)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vidtune.spec import UserError

ADVICE = "fetch or generate it again, or remove its line from the list"


@dataclass(frozen=True)
class Video:
    """What a file says about itself."""

    frames: int
    fps: float
    seconds: float
    height: int
    width: int


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its first video stream; what FFmpeg raises becomes a `UserError`."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UserError(f"{path}: holds no video stream; {ADVICE}")
            yield container, container.streams.video[0]
    except (OSError, av.FFmpegError) as e:
        raise UserError(f"{path}: cannot be read as a video: {e.strerror}; {ADVICE}") from None


def _decode(path: Path, threads: int) -> Iterator[av.VideoFrame]:
    """Shown frames in order."""
    with _opened(path) as (container, stream):
        stream.thread_count = threads
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise UserError(f"{path}: a frame is damaged; {ADVICE}")
            yield frame


def read_frames(path: Path, indices: list[int], threads: int = 1) -> NDArray[np.uint8]:
    """RGB frames (T, H, W, 3) at `indices`, which may repeat and come in any order.

    Raises `UserError` where the file is missing, empty, cut short, damaged or no video.
    """
    assert indices and min(indices) >= 0
    wanted, last, seen = set(indices), max(indices), 0
    found: dict[int, NDArray[np.uint8]] = {}
    rgb = VideoReformatter()  # one for all frames, one thread: a quarter of the time
    for n, frame in enumerate(_decode(path, threads)):
        seen = n + 1
        if n in wanted:
            found[n] = rgb.reformat(frame, format="rgb24", threads=threads).to_ndarray()
        if n == last:
            return np.stack([found[i] for i in indices])  # (T, H, W, 3)
    raise UserError(f"{path}: ends after {seen} frames, frame {last} was asked for; {ADVICE}")


def probe(path: Path) -> Video:
    """Frames, rate and size; frames are counted by decoding where the container does not say."""
    with _opened(path) as (_, stream):
        frames, rate = stream.frames, stream.average_rate
        height, width = stream.height, stream.width
    frames = frames or sum(1 for _ in _decode(path, 1))
    if not frames or not rate:
        raise UserError(f"{path}: holds no frames; {ADVICE}")
    return Video(frames, float(rate), frames / float(rate), height, width)
