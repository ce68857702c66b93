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

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from vidtune.motion.render import SIZES, Floats, Looks, Poses, render
from vidtune.motion.words import APPEARANCES, ATTRIBUTES, MOTIONS, PAIRS, Appearance
from vidtune.spec import SPLITS, GeneratedSet, UserError

PAIRED = 0.5  # share of the test clips that have a twin
STILL = 1 << 20  # stream of random numbers for stills, which no split uses


@dataclass(frozen=True)
class Clip:
    """A clip to be drawn; its number is its seed within the split."""

    number: int
    appearance: Appearance
    motion: str
    group: int | None  # shared by twins


def plan_clips(generated: GeneratedSet, split: str) -> list[Clip]:
    """Choose the clips of a split.

    In the test split half of the clips are twins (one appearance with a motion and its reversal)
    and no two clips share a caption. Raises `UserError` where a test split is too large for that.
    """
    count = generated.clips.get(split, 0)
    rng = np.random.default_rng([generated.seed, SPLITS.index(split)])
    if split != "test":
        motions = [MOTIONS[i % len(MOTIONS)] for i in range(count)]
        chosen = rng.integers(len(APPEARANCES), size=count)
        order = rng.permutation(count)
        return [Clip(i, APPEARANCES[a], motions[order[i]], None) for i, a in enumerate(chosen)]
    clips: list[Clip] = []
    twins = int(count * PAIRED) // 2
    room = len(APPEARANCES) * len(PAIRS)
    if count - twins > room:
        raise UserError(
            f"generated.{generated.name}: clips.test: expected at most {int(room / (1 - PAIRED / 2))}, "
            f"so that each clip has a caption of its own; found {count}; ask for fewer"
        )
    order = rng.permutation(len(APPEARANCES))
    for n in range(count - twins):
        turn, place = divmod(n, len(order))  # each turn gives an appearance another pair
        pair, turned = PAIRS[(n + turn) % len(PAIRS)], n // len(PAIRS) % 2
        for motion in pair if n < twins else pair[turned : turned + 1]:
            group = n if n < twins else None
            clips.append(Clip(len(clips), APPEARANCES[order[place]], motion, group))
    return clips


def _forward(rng: Generator, pair: int, radius: float, p: Floats) -> tuple[Floats, ...]:
    """Return x, y, radius and opacity along the progress `p` in 0..1 of the pair's forward motion.

    Samplers prefer early frames by about 2 % of the extent; starts vary by several times as much.
    """
    x = np.full_like(p, rng.uniform(0.15, 0.85))
    y = np.full_like(p, rng.uniform(0.15, 0.85))
    r = np.full_like(p, radius * np.exp(rng.uniform(-0.1, 0.1)))
    alpha = np.full_like(p, rng.uniform(0.85, 1.0))
    if pair < 2:
        extent = rng.uniform(0.55, 0.8)
        line = rng.uniform(0, 1 - extent) + extent * p  # a shape may leave the image by half
        x, y = (line, y) if pair == 0 else (x, line)
    elif pair == 2:
        r = r * np.exp(rng.uniform(0.4, 0.55) * (p - 0.5))  # growth by 1.5 to 1.7
    else:
        extent = rng.uniform(0.4, 0.55)
        alpha = rng.uniform(0.25, 1 - extent) + extent * p
    return x, y, r, alpha


def _draw(rng: Generator, clip: Clip, generated: GeneratedSet) -> tuple[Looks, Poses]:
    """Draw the columns of one clip (M = 1)."""
    look = clip.appearance
    frames = round(generated.fps * rng.uniform(*generated.seconds))
    start, stop = rng.uniform(0.0, 0.15), rng.uniform(0.85, 1.0)  # the shape may rest before, after
    time = np.linspace(0, 1, frames, dtype=np.float32)
    progress = np.clip((time - start) / (stop - start), 0, 1)
    pair = MOTIONS.index(clip.motion) // 2
    path = _forward(rng, pair, SIZES[look.size], progress)
    if clip.motion == PAIRS[pair][1]:
        path = tuple(column[::-1] for column in path)
    x, y, radius, alpha = (np.asarray(column, np.float32) for column in path)
    diamond = (rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), float(rng.random() < 0.5))
    looks = Looks(
        shape=np.array([ATTRIBUTES["shape"].index(look.shape)]),
        colour=np.array([ATTRIBUTES["colour"].index(look.colour)]),
        background=np.array([ATTRIBUTES["background"].index(look.background)]),
        # patterns hardly shift, so that a patch shows the same wherever it is
        phase=rng.uniform(-0.7, 0.7, (1, 3)).astype(np.float32),
        tint=rng.uniform(0.85, 1.1, (1, 3)).astype(np.float32),
        diamond=np.array([diamond], np.float32),
    )
    return looks, Poses(np.zeros(frames, np.int64), x, y, radius, alpha)


def _stack(drawn: list[tuple[Looks, Poses]]) -> tuple[Looks, Poses]:
    """Join the columns of many clips."""
    looks = zip(*(looks for looks, _ in drawn), strict=True)
    poses = zip(*(p._replace(clip=p.clip + i) for i, (_, p) in enumerate(drawn)), strict=True)
    return Looks(*map(np.concatenate, looks)), Poses(*map(np.concatenate, poses))


def frames(generated: GeneratedSet, split: str, clips: list[Clip]) -> list[NDArray[np.uint8]]:
    """Draw the frames of some clips before encoding, each (frames, S, S, 3)."""
    stream = SPLITS.index(split)
    drawn = [
        _draw(np.random.default_rng([generated.seed, stream, c.number]), c, generated)
        for c in clips
    ]
    looks, poses = _stack(drawn)
    ends = np.cumsum([len(p.clip) for _, p in drawn])[:-1]
    return np.split(render(looks, poses, generated.side), ends)


def stills(
    generated: GeneratedSet, count: int, seed: int, side: int
) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.int64]]]:
    """Draw single frames for pre-training: (N, 3, side, side), and their attributes (N,).

    Each is one frame, at a random moment, of a clip of its own, resized as frames of videos are.
    Attributes are indices into `ATTRIBUTES`.
    """
    from vidtune.nn.pixels import resize  # the one step that needs torch

    rng = np.random.default_rng([generated.seed, STILL, seed])
    chosen = rng.integers(len(APPEARANCES), size=count)
    images = np.empty((count, 3, side, side), np.uint8)
    for at in range(0, count, 512):
        rows = range(at, min(at + 512, count))
        clips = [
            Clip(i, APPEARANCES[chosen[i]], MOTIONS[rng.integers(len(MOTIONS))], None) for i in rows
        ]
        drawn = [_draw(rng, clip, generated) for clip in clips]
        picked = []
        for looks, poses in drawn:
            frame = [rng.integers(len(poses.clip))]
            picked.append((looks, Poses(*(column[frame] for column in poses))))
        pixels = render(*_stack(picked), generated.side)
        images[rows.start : rows.stop] = resize(pixels, side).numpy()
    shown = [APPEARANCES[i] for i in chosen]
    indices = {k: np.array([v.index(getattr(a, k)) for a in shown]) for k, v in ATTRIBUTES.items()}
    return images, indices
