"""Which frames of a video a model sees: the official rules, one or several clips of a video.

| sampler | rule | of |
|---|---|---|
| uniform | evenly over what `fps` leaves; of a shorter video over all its frames | TempMe |
| clip4clip | head, tail or evenly over what `fps` leaves; a shorter video is padded | CLIP4Clip |
| side4video | every (n // T)-th frame of 30 a second, then evenly | Side4Video on MSR-VTT, MSVD |
| side4video_vatex | centres of T segments | Side4Video on VATEX |
| segments | T segments of (n - 1) / T frames, a fixed way into each | Side4Video on SSV1, SSV2 |
| tsn | the middle between the bounds of T segments | ST-Adapter, EVL, AIM on SSV2 |
| kinetics | T even steps of n / T frames | Side4Video on K400 |
| dense | every (128 // T)-th frame of a window of 128 | Side4Video, `--dense` |
| stride | every `stride`-th frame; the last one repeated | ST-Adapter, EVL on K400 |
| mmaction | every `stride`-th frame; from the start again | AIM on K400 |
| dist | T segments of n / T frames, a fixed way into each | DiST |

Several prefer early frames by up to half a step. Roundings are to even, as Python's and NumPy's.

Checked against github.com/LunarShen/TempMe at e624930, ArrowLuo/CLIP4Clip at 508ffa3,
HJYao00/Side4Video at 5d72352, linziyi96/st-adapter at b914b38, OpenGVLab/efficient-video-recognition
at b282e8b, taoyang1122/adapt-image-models at b3580d2 and alibaba-mmai-research/DiST at 4b3a09b.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from numpy.random import Generator

from vidtune.spec import Recipe

PADDING = -1  # in place of a frame that a short video lacks
WINDOW = 128  # frames that `dense` covers
FOLDER_FPS = 30  # of Side4Video's frame folders


def indices(
    n_frames: int,
    native_fps: float,
    frames: int,
    recipe: Recipe,
    rng: Generator | None,
    view: int = 0,
    views: int = 1,
    window: tuple[float, float] | None = None,
) -> list[int]:
    """`frames` indices in 0..n_frames-1 (`PADDING` where `clip4clip` pads); `rng` None: evaluation.

    `recipe.fps` first thins the video to every round(native_fps / recipe.fps)-th frame (clip4clip:
    rounded down). `view` of `views` is the clip of a test that averages several; retrieval's samplers
    give every view the same. `window` is the part of the video, in seconds, that counts.
    """
    assert n_frames > 0 and frames > 0 and 0 <= view < views
    first, last = 0, n_frames - 1
    if window is not None:
        first, last = int(window[0] * native_fps), int(min(window[1] * native_fps, last))
    taken = np.arange(first, last + 1, _thinning(native_fps, recipe))
    if recipe.sampler == "uniform":
        if len(taken) < frames:  # too short at this rate: as even as all its frames allow
            return np.linspace(first, last, frames, dtype=int).tolist()
        return taken[_even(len(taken), frames)].tolist()
    if recipe.random_train_frames and rng is not None:
        within = RANDOM[recipe.sampler](len(taken), frames, recipe, rng)
    else:
        within = FIXED[recipe.sampler](len(taken), frames, recipe, view, views)
    return [PADDING if i == PADDING else int(taken[i]) for i in within]


def _thinning(native_fps: float, recipe: Recipe) -> int:
    if not recipe.fps:
        return 1
    if recipe.sampler == "clip4clip":
        return max(1, int(int(native_fps) // recipe.fps))
    return max(1, round(native_fps / recipe.fps))


def _even(n: int, frames: int) -> list[int]:
    return np.linspace(0, n - 1, frames, dtype=int).tolist()


def _clip4clip(n: int, frames: int, recipe: Recipe, view: int, views: int) -> list[int]:
    """`slice_framepos` 0, 1 and 2 are head, tail and even."""
    if n <= frames:
        return [*range(n), *[PADDING] * (frames - n)]
    cut = {"head": list(range(frames)), "tail": list(range(n - frames, n))}
    return cut.get(recipe.slice_framepos) or _even(n, frames)


def every(n: int, frames: int) -> list[int]:
    """Side4Video's strategy 1 before its cut to `frames`; it may point behind a short video's end."""
    n = max(n, FOLDER_FPS)
    return list(range(0, n, max(1, n // frames)))


def _side4video(n: int, frames: int, recipe: Recipe, view: int, views: int) -> list[int]:
    """Of less than a second the official code asks for missing files; here the last frame stays."""
    found = every(n, frames)
    return [min(found[i], n - 1) for i in _even(len(found), frames)]


def _side4video_vatex(n: int, frames: int, recipe: Recipe, view: int, views: int) -> list[int]:
    if n <= frames:
        return [0] * frames
    step = n / frames
    return [int(step / 2 + step * i) for i in range(frames)]


def _segments(n: int, frames: int, recipe: Recipe, view: int, views: int) -> list[int]:
    length = (n - 1) / frames
    return [round(length * i) + int(length / (views + 1) * (view + 1)) for i in range(frames)]


def _tsn(n: int, frames: int, recipe: Recipe, view: int, views: int) -> list[int]:
    """The official codes have one clip; of several each goes its share into the segments."""
    return [a + (b - a) * (view + 1) // (views + 1) for a, b in pairwise(_bounds(n, frames))]


def _bounds(n: int, frames: int) -> list[int]:
    """The frames + 1 rounded bounds of as many segments."""
    length = (n - 1) / frames
    return [round(length * i) for i in range(frames + 1)]


def _kinetics(n: int, frames: int, recipe: Recipe, view: int, views: int) -> list[int]:
    step = n / frames
    start = int(np.linspace(0, step - 1, views, dtype=int)[view])
    return [int(start + step * i) % n for i in range(frames)]


def _dense(n: int, frames: int, recipe: Recipe, view: int, views: int) -> list[int]:
    """A single clip, which the official code draws even in validation, is the middle one here."""
    room = max(0, n - WINDOW)
    start = view * (room // (views - 1)) if views > 1 else room // 2
    return [(start + i * (WINDOW // frames)) % n for i in range(frames)]


def _stride(n: int, frames: int, recipe: Recipe, view: int, views: int) -> list[int]:
    assert recipe.stride
    room = max(0, n - (frames - 1) * recipe.stride - 1)
    start = round(room / (views - 1) * view) if views > 1 else room // 2
    return [min(start + i * recipe.stride, n - 1) for i in range(frames)]


def _mmaction(n: int, frames: int, recipe: Recipe, view: int, views: int) -> list[int]:
    assert recipe.stride
    room = (n - frames * recipe.stride + 1) / views
    start = int(view * room + room / 2) if room > 0 else 0
    return [(start + i * recipe.stride) % n for i in range(frames)]


def _dist(n: int, frames: int, recipe: Recipe, view: int, views: int) -> list[int]:
    """One clip takes the centres; of several the last goes to the segments' very ends."""
    bounds = torch.linspace(0, n, frames + 1)  # single precision, as the official one
    a, b = bounds[:-1], bounds[1:]
    at = (a + b) / 2 if views == 1 else a + (b - a) * (view + 1) / views
    return at.clamp(0, n - 1).round().long().tolist()


def _random_side4video(n: int, frames: int, recipe: Recipe, rng: Generator) -> list[int]:
    """A random frame of each of T segments of n // T frames; short videos give their first frame."""
    length = n // frames
    if not length:
        return [0] * frames
    return [i * length + int(k) for i, k in enumerate(rng.integers(length, size=frames))]


def _random_segments(n: int, frames: int, recipe: Recipe, rng: Generator) -> list[int]:
    """A random frame of each segment; of a short video all frames and random ones again."""
    if n <= frames:
        return sorted([*range(n), *rng.integers(n, size=frames - n).tolist()])
    ticks = [i * n // frames for i in range(frames + 1)]
    return [int(rng.integers(a, b)) for a, b in pairwise(ticks)]


def _random_tsn(n: int, frames: int, recipe: Recipe, rng: Generator) -> list[int]:
    """A random frame of each segment, bounds included on both sides."""
    return [int(rng.integers(a, b + 1)) for a, b in pairwise(_bounds(n, frames))]


def _random_dense(n: int, frames: int, recipe: Recipe, rng: Generator) -> list[int]:
    room = n - WINDOW
    start = int(rng.integers(room)) if room > 0 else 0
    return [(start + i * (WINDOW // frames)) % n for i in range(frames)]


def _random_stride(n: int, frames: int, recipe: Recipe, rng: Generator) -> list[int]:
    """Of a short video every frame of the stride, the last of them repeated."""
    assert recipe.stride
    room = n - (frames - 1) * recipe.stride
    if room <= 1:
        return [min(i, (n - 1) // recipe.stride) * recipe.stride for i in range(frames)]
    start = int(rng.integers(room))
    return [start + i * recipe.stride for i in range(frames)]


def _random_mmaction(n: int, frames: int, recipe: Recipe, rng: Generator) -> list[int]:
    assert recipe.stride
    room = n - frames * recipe.stride + 1
    start = int(rng.integers(room)) if room > 0 else 0
    return [(start + i * recipe.stride) % n for i in range(frames)]


def _random_dist(n: int, frames: int, recipe: Recipe, rng: Generator) -> list[int]:
    bounds = np.linspace(0, n, frames + 1)
    at = rng.uniform(bounds[:-1], bounds[1:])
    return at.clip(0, n - 1).round().astype(int).tolist()


FIXED: dict[str, Callable[[int, int, Recipe, int, int], list[int]]] = {
    "clip4clip": _clip4clip,
    "side4video": _side4video,
    "side4video_vatex": _side4video_vatex,
    "segments": _segments,
    "tsn": _tsn,
    "kinetics": _kinetics,
    "dense": _dense,
    "stride": _stride,
    "mmaction": _mmaction,
    "dist": _dist,
}
RANDOM: dict[str, Callable[[int, int, Recipe, Generator], list[int]]] = {
    "side4video": _random_side4video,
    "side4video_vatex": _random_side4video,
    "segments": _random_segments,
    "tsn": _random_tsn,
    "kinetics": _random_tsn,
    "dense": _random_dense,
    "stride": _random_stride,
    "mmaction": _random_mmaction,
    "dist": _random_dist,
}
