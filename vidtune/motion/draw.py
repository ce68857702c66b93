"""The pixels of the generated clips: any single frame shows the shape, only the order the motion.

Motion classes come in time-reversed pairs: a clip of the reversed class is a draw of the forward
class played backwards, frame for frame. Where a motion starts and how far it goes is drawn for each
clip, so that the sampled frames without their order cannot tell the two apart, although official
samplers are not symmetric in time (they prefer early frames by about half a frame).

Everything is drawn from `GeneratedSet.seed`, with one random generator per clip. The pixels are
bit-identical on every machine with the same NumPy (up to the last bit of sin and tanh, which may
change a level by one).

Shapes: M clips, N stills, S pixels of the side.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from vidtune.motion.render import BACKGROUNDS, Floats, Looks, Poses, render
from vidtune.motion.words import (
    APPEARANCES,
    ATTRIBUTES,
    MOTIONS,
    PAIRS,
    SEEN,
    STATES,
    Appearance,
)
from vidtune.spec import SPLITS, GeneratedSet, Stills, UserError

STILL = 1 << 20  # stream of random numbers for stills, which no split uses
MOMENTS = 24  # frames of a clip that a still is taken from
JITTER = 0.005  # of places from frame to frame, standard deviation
FLICKER = 0.02  # of brightness, likewise


@dataclass(frozen=True)
class Clip:
    """A clip to be drawn; its number is its seed within the split."""

    number: int
    appearance: Appearance
    motion: str
    group: int | None = None  # shared by twins
    gallery: int | None = None  # of the test clips that are ranked together


def motions(generated: GeneratedSet) -> tuple[str, ...]:
    """The classes of a set, in the order of their labels."""
    return tuple(name for kind in generated.motions for name in PAIRS[kind])


def plan_clips(generated: GeneratedSet, split: str) -> list[Clip]:
    """Choose the clips of a split, every appearance with every motion equally often.

    Every clip has a partner, alike but for the motion's direction and what no caption says; retrieval
    trains on both in one batch. Test clips come as twins (one appearance with a motion and its
    reversal) in galleries, in which no two clips share a caption; the last gallery may be smaller.
    Raises `UserError` where the number of test clips is odd.
    """
    count = generated.clips.get(split, 0)
    rng = np.random.default_rng([generated.seed, SPLITS.index(split)])
    if split != "test":
        both = list(product(APPEARANCES, motions(generated)))
        order = rng.permutation(count)
        return [Clip(i, *both[o % len(both)], _partners(o, len(both))) for i, o in enumerate(order)]
    if count % 2:
        raise UserError(
            f"generated.{generated.name}: clips.test: expected an even number, because test clips are "
            f"twins; found {count}"
        )
    pairs = list(product(APPEARANCES, generated.motions))
    clips: list[Clip] = []
    for group in range(count // 2):
        gallery, place = divmod(group, len(pairs))
        if place == 0:
            order = rng.permutation(len(pairs))
        look, kind = pairs[order[place]]
        clips += [Clip(2 * group + k, look, PAIRS[kind][k], group, gallery) for k in range(2)]
    return clips


def _partners(drawn: int, captions: int) -> int:
    """The group of the clip `drawn`: motions come in pairs, and every caption recurs."""
    return int(drawn // captions * captions // 2 + drawn % captions // 2)


def _forward(rng: Generator, kind: str, extent: float, p: Floats) -> Poses:
    """Return the poses along the progress `p` in 0..1 of the kind's forward motion.

    `extent` is the share of the largest change. What does not change is anything it could be.
    Samplers prefer early frames by half a frame, 1 to 2 % of a change; where changes start varies by
    several times as much.
    """
    x = np.full_like(p, rng.uniform(0.2, 0.8))
    y = np.full_like(p, rng.uniform(0.2, 0.8))
    radius = np.full_like(p, 0.24 * np.exp(rng.uniform(-0.3, 0.3)))
    alpha = np.full_like(p, rng.uniform(0.7, 1.0))
    ground = np.full_like(p, rng.uniform(0.45, 1.6))
    if kind == "moving":
        far = 0.3 + 0.55 * extent  # at least by the width of a patch of the mini backbone
        x = rng.uniform(0.05, 0.95 - far) + far * p
        y = np.full_like(p, rng.uniform(0.35, 0.65))
        radius = np.full_like(p, 0.26 * np.exp(rng.uniform(-0.2, 0.2)))
    elif kind == "growing":
        radius = radius * np.exp(1.1 * extent * (p - 0.5))
    elif kind == "appearing":
        alpha = rng.uniform(0.15, 1 - 0.65 * extent) + 0.65 * extent * p
    else:
        ground = 0.4 * np.exp(rng.uniform(0, 1.45 - 0.95 * extent) + 0.95 * extent * p)
    shake = JITTER * rng.standard_normal((3, len(p)))
    glow = FLICKER * rng.standard_normal((2, len(p)))
    return Poses(
        clip=np.zeros(len(p), np.int64),
        x=x + shake[0],
        y=y + shake[1],
        radius=radius * np.exp(2 * shake[2]),
        alpha=np.clip(alpha + glow[0], 0.1, 1),
        ground=ground * np.exp(2 * glow[1]),
    )


def _draw(
    rng: Generator, clip: Clip, span: tuple[float, float], frames: int
) -> tuple[Looks, Poses]:
    """Draw the columns of one clip (M = 1), whose change is a share in `span` of the largest."""
    start, stop = rng.uniform(0.0, 0.15), rng.uniform(0.85, 1.0)  # it may rest before, after
    time = np.linspace(0, 1, frames, dtype=np.float32)
    progress = np.clip((time - start) / (stop - start), 0, 1)
    kind = next(kind for kind, pair in PAIRS.items() if clip.motion in pair)
    poses = _forward(rng, kind, rng.uniform(*span), progress)
    if clip.motion == PAIRS[kind][1]:
        poses = Poses(*(column[::-1] for column in poses))
    diamond = (rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), float(rng.random() < 0.5))
    looks = Looks(
        shape=np.array([ATTRIBUTES["shape"].index(clip.appearance.shape)]),
        colour=np.array([ATTRIBUTES["colour"].index(clip.appearance.colour)]),
        background=rng.integers(len(BACKGROUNDS), size=1),
        # patterns hardly shift, so that a patch shows the same wherever it is
        phase=rng.uniform(-0.7, 0.7, (1, 3)).astype(np.float32),
        tint=rng.uniform(0.85, 1.1, (1, 3)).astype(np.float32),
        diamond=np.array([diamond], np.float32),
    )
    columns = (np.asarray(column, np.float32) for column in poses[1:])
    return looks, Poses(poses.clip, *columns)


def _stack(drawn: list[tuple[Looks, Poses]]) -> tuple[Looks, Poses]:
    """Join the columns of many clips."""
    looks = zip(*(looks for looks, _ in drawn), strict=True)
    poses = zip(*(p._replace(clip=p.clip + i) for i, (_, p) in enumerate(drawn)), strict=True)
    return Looks(*map(np.concatenate, looks)), Poses(*map(np.concatenate, poses))


def frames(generated: GeneratedSet, split: str, clips: list[Clip]) -> list[NDArray[np.uint8]]:
    """Draw the frames of some clips before encoding, each (frames, S, S, 3)."""
    stream = SPLITS.index(split)
    drawn = []
    for clip in clips:
        rng = np.random.default_rng([generated.seed, stream, clip.number])
        length = round(generated.fps * rng.uniform(*generated.seconds))
        drawn.append(_draw(rng, clip, generated.extent, length))
    looks, poses = _stack(drawn)
    ends = np.cumsum([len(p.clip) for _, p in drawn])[:-1]
    return np.split(render(looks, poses, generated.side), ends)


def stills(
    job: Stills, count: int, seed: int, side: int
) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.int64]]]:
    """Draw single frames for pre-training: (N, 3, side, side), and what each shows, (N,).

    Each is one frame, at a random moment, of a clip of its own with any of all motions, resized as
    frames of videos are. What it shows are indices into `SEEN`.
    """
    from vidtune.nn.pixels import resize  # the one step that needs torch

    rng = np.random.default_rng([job.seed, STILL, seed])
    images = np.empty((count, 3, side, side), np.uint8)
    seen: dict[str, list[NDArray[np.int64]]] = {name: [] for name in SEEN}
    for at in range(0, count, 512):
        rows = range(at, min(at + 512, count))
        drawn = []
        for i in rows:
            look, motion = rng.integers(len(APPEARANCES)), rng.integers(len(MOTIONS))
            clip = Clip(i, APPEARANCES[look], MOTIONS[motion])
            looks, poses = _draw(rng, clip, (0.0, 1.0), MOMENTS)
            frame = [rng.integers(MOMENTS)]
            drawn.append((looks, Poses(*(column[frame] for column in poses))))
        looks, poses = _stack(drawn)
        images[rows.start : rows.stop] = resize(render(looks, poses, job.side), side).numpy()
        for name in ATTRIBUTES:
            seen[name].append(getattr(looks, name))
        for name, (column, split, _) in STATES.items():
            seen[name].append((getattr(poses, column) >= split).astype(np.int64))
    return images, {name: np.concatenate(parts) for name, parts in seen.items()}
