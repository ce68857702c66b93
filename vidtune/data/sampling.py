"""Which frames of a video a model sees, by the official rules, for one or several clips of it.

| sampler | rule | used by |
|---|---|---|
| uniform | evenly over the frames that `fps` keeps; in a shorter video over all frames | TempMe |
| clip4clip | head, tail or even, of the frames that `fps` keeps; pads a shorter video | CLIP4Clip |
| side4video | every (n // T)-th frame of 30 a second, then evenly | Side4Video on MSR-VTT, MSVD |
| side4video_vatex | centres of T segments | Side4Video on VATEX |
| segments | a fixed offset into each of T segments of (n - 1) / T frames | Side4Video on SSV1, SSV2 |
| tsn | the middle between the rounded bounds of T segments | ST-Adapter, EVL, AIM on SSV2 |
| kinetics | T even steps of n / T frames | Side4Video on K400 |
| dense | every (128 // T)-th frame of a window of 128 | Side4Video, `--dense` |
| stride | every `stride`-th frame; past the end the last one is repeated | ST-Adapter, EVL on K400 |
| mmaction | every `stride`-th frame; past the end it starts again | AIM on K400 |
| dist | a fixed offset into each of T segments of n / T frames | DiST |

Several prefer early frames by up to half a step. Halves are rounded to even, as in Python and NumPy.

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

PADDING = -1  # index in place of a frame that a short video lacks
WINDOW = 128  # frames that `dense` covers
FOLDER_FPS = 30  # frames a second in Side4Video's frame folders
Rng = Generator | None  # None: nothing is drawn


def indices(
    n_frames: int,
    native_fps: float,
    frames: int,
    recipe: Recipe,
    rng: Rng,
    view: int = 0,
    views: int = 1,
    window: tuple[float, float] | None = None,
) -> list[int]:
    """Return `frames` indices in 0..n_frames-1, or `PADDING` where `clip4clip` pads.

    `rng` None means evaluation. `recipe.fps` first thins the video to every
    round(native_fps / recipe.fps)-th frame (clip4clip: rounded down). `view` of `views` is the clip
    of a test that averages several; retrieval's samplers take the same frames in every view.
    `window` = (start, end) in seconds limits the video to a part of it.
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
    drawn_by = rng if recipe.random_train_frames else None
    within = RULES[recipe.sampler](len(taken), frames, recipe, drawn_by, view, views)
    return [PADDING if i == PADDING else int(taken[i]) for i in within]


def _thinning(native_fps: float, recipe: Recipe) -> int:
    if not recipe.fps:
        return 1
    if recipe.sampler == "clip4clip":
        return max(1, int(int(native_fps) // recipe.fps))
    return max(1, round(native_fps / recipe.fps))


def _even(n: int, frames: int) -> list[int]:
    return np.linspace(0, n - 1, frames, dtype=int).tolist()


# Rules: the places of `frames` among `n` frames, drawn with `rng` where one is given.


def _clip4clip(n: int, frames: int, recipe: Recipe, rng: Rng, view: int, views: int) -> list[int]:
    """Take the official code's `slice_framepos` 0, 1 or 2: head, tail or even."""
    if n <= frames:
        return [*range(n), *[PADDING] * (frames - n)]
    cut = {"head": list(range(frames)), "tail": list(range(n - frames, n))}
    return cut.get(recipe.slice_framepos) or _even(n, frames)


def every(n: int, frames: int) -> list[int]:
    """Follow Side4Video's strategy 1 before its cut to `frames`; indices may exceed a short video."""
    n = max(n, FOLDER_FPS)
    return list(range(0, n, max(1, n // frames)))


def _side4video(n: int, frames: int, recipe: Recipe, rng: Rng, view: int, views: int) -> list[int]:
    """Repeat the last frame of a video under a second, where the official code opens missing files.

    Drawn: a frame of each of T segments of n // T frames; short videos give their first frame.
    """
    length = n // frames
    if rng and length:
        return [i * length + int(k) for i, k in enumerate(rng.integers(length, size=frames))]
    if rng:
        return [0] * frames
    taken = every(n, frames)
    return [min(taken[i], n - 1) for i in _even(len(taken), frames)]


def _vatex(n: int, frames: int, recipe: Recipe, rng: Rng, view: int, views: int) -> list[int]:
    if rng:
        return _side4video(n, frames, recipe, rng, view, views)
    step = n / frames
    return [int(step / 2 + step * i) if n > frames else 0 for i in range(frames)]


def _segments(n: int, frames: int, recipe: Recipe, rng: Rng, view: int, views: int) -> list[int]:
    """Drawn: a frame of each segment; of a short video all frames, and random ones a second time."""
    if rng and n <= frames:
        return sorted([*range(n), *rng.integers(n, size=frames - n).tolist()])
    if rng:
        ticks = [i * n // frames for i in range(frames + 1)]
        return [int(rng.integers(a, b)) for a, b in pairwise(ticks)]
    length = (n - 1) / frames
    return [round(length * i) + int(length / (views + 1) * (view + 1)) for i in range(frames)]


def _tsn(n: int, frames: int, recipe: Recipe, rng: Rng, view: int, views: int) -> list[int]:
    """Take clip k of n at k / (n + 1) of each segment; the official rule has one, in the middle.

    Drawn: a frame of each segment, bounds included on both sides.
    """
    length = (n - 1) / frames
    bounds = pairwise([round(length * i) for i in range(frames + 1)])
    if rng:
        return [int(rng.integers(a, b + 1)) for a, b in bounds]
    return [a + (b - a) * (view + 1) // (views + 1) for a, b in bounds]


def _kinetics(n: int, frames: int, recipe: Recipe, rng: Rng, view: int, views: int) -> list[int]:
    if rng:
        return _tsn(n, frames, recipe, rng, view, views)
    step = n / frames
    start = int(np.linspace(0, step - 1, views, dtype=int)[view])
    return [int(start + step * i) % n for i in range(frames)]


def _dense(n: int, frames: int, recipe: Recipe, rng: Rng, view: int, views: int) -> list[int]:
    """Take the middle window as the single clip, which the official code draws even in validation."""
    room = max(0, n - WINDOW)
    start = view * (room // (views - 1)) if views > 1 else room // 2
    if rng:
        start = int(rng.integers(room)) if room else 0
    return [(start + i * (WINDOW // frames)) % n for i in range(frames)]


def _stride(n: int, frames: int, recipe: Recipe, rng: Rng, view: int, views: int) -> list[int]:
    """Drawn: the start; a short video gives every `stride`-th frame, the last of them repeated."""
    room = n - (frames - 1) * recipe.stride
    if rng and room <= 1:
        return [min(i, (n - 1) // recipe.stride) * recipe.stride for i in range(frames)]
    last = max(0, room - 1)
    start = round(last / (views - 1) * view) if views > 1 else last // 2
    if rng:
        start = int(rng.integers(room))
    return [min(start + i * recipe.stride, n - 1) for i in range(frames)]


def _mmaction(n: int, frames: int, recipe: Recipe, rng: Rng, view: int, views: int) -> list[int]:
    room = max(0, n - frames * recipe.stride + 1)
    start = int(view * (room / views) + room / views / 2)
    if rng:
        start = int(rng.integers(room)) if room else 0
    return [(start + i * recipe.stride) % n for i in range(frames)]


def _dist(n: int, frames: int, recipe: Recipe, rng: Rng, view: int, views: int) -> list[int]:
    """Take the centres for one clip; of several clips the last takes the segments' very ends."""
    if rng:
        bounds = np.linspace(0, n, frames + 1)
        at = rng.uniform(bounds[:-1], bounds[1:])
        return at.clip(0, n - 1).round().astype(int).tolist()
    bounds = torch.linspace(0, n, frames + 1)  # single precision, as in the official code
    a, b = bounds[:-1], bounds[1:]
    at = (a + b) / 2 if views == 1 else a + (b - a) * (view + 1) / views
    return at.clamp(0, n - 1).round().long().tolist()


RULES: dict[str, Callable[[int, int, Recipe, Rng, int, int], list[int]]] = {
    "clip4clip": _clip4clip,
    "side4video": _side4video,
    "side4video_vatex": _vatex,
    "segments": _segments,
    "tsn": _tsn,
    "kinetics": _kinetics,
    "dense": _dense,
    "stride": _stride,
    "mmaction": _mmaction,
    "dist": _dist,
}
