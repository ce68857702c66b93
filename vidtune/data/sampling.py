"""Which frames of a video a model sees.

`uniform` is TempMe's and CLIP4Clip's rule (slice_framepos 2; LunarShen/TempMe at e624930,
tvr/dataloaders/rawvideo_util.py), `segments` that of Side4Video on Something-Something (TSN's
segments; HJYao00/Side4Video at 5d72352). Both prefer early frames by up to half a step.
"""

from itertools import pairwise

import numpy as np
from numpy.random import Generator

from vidtune.spec import Recipe


def indices(
    n_frames: int, native_fps: float, frames: int, recipe: Recipe, rng: Generator | None
) -> list[int]:
    """`frames` indices in 0..n_frames-1, never falling; `rng` None means evaluation.

    `recipe.fps` first thins the video to every round(native_fps / recipe.fps)-th frame.
    """
    assert n_frames > 0 and frames > 0
    stride = max(1, round(native_fps / recipe.fps)) if recipe.fps else 1
    taken = np.arange(0, n_frames, stride)
    if recipe.sampler == "segments":
        random = recipe.random_train_frames and rng is not None
        within = (
            _random_segments(len(taken), frames, rng) if random else _segments(len(taken), frames)
        )
        return [int(taken[i]) for i in within]
    if len(taken) < frames:  # too short at this rate: as even as all its frames allow
        return np.linspace(0, n_frames - 1, frames, dtype=int).tolist()
    return taken[np.linspace(0, len(taken) - 1, frames, dtype=int)].tolist()


def _segments(n: int, frames: int) -> list[int]:
    """The middle of each segment (Python's half-to-even rounding is the official one)."""
    length = (n - 1) / frames
    return [round(length * i) + int(length / 2) for i in range(frames)]


def _random_segments(n: int, frames: int, rng: Generator) -> list[int]:
    """A random frame of each segment; of a short video all frames and random ones again."""
    if n <= frames:
        return sorted([*range(n), *rng.integers(n, size=frames - n).tolist()])
    ticks = [i * n // frames for i in range(frames + 1)]
    return [int(rng.integers(a, b)) for a, b in pairwise(ticks)]
