"""The generated dataset "motion": what a clip shows is visible in any frame, how it moves is not.

Motion classes come in time-reversed pairs: a clip of the reversed class is a draw of the forward
class played backwards, frame for frame. Where a motion starts and how far it goes is drawn per
clip, so that the sampled frames without their order cannot tell the two apart, although official
samplers are not symmetric in time (they prefer early frames by about half a frame).

Everything is drawn from `GeneratedSet.seed`, one generator per clip: the pixels before encoding are
bit-identical on every machine with the same numpy (up to the last bit of sin and tanh, which may
move a grey level by one). The mp4 files are bit-identical for one FFmpeg/x264 build; other builds
may write other bytes that decode to nearly the same pixels. `manifest.json` names the versions.

Shapes: M clips, N stills, S pixels of the side.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.random import Generator
from numpy.typing import NDArray

from vidtune.motion.render import SIZES, Floats, Looks, Poses, render
from vidtune.motion.words import (
    APPEARANCES,
    ATTRIBUTES,
    MIRRORED,
    MOTIONS,
    PAIRS,
    PARTNER,
    WORDS,
    Appearance,
)
from vidtune.progress import progress
from vidtune.spec import SPLITS, GeneratedSet, UserError, write_json, write_text
from vidtune.spec.read import write_bytes

FORMAT = 1  # raise it whenever the same seed gives other clips
PAIRED = 0.5  # share of the test clips that have a twin which differs only in motion
STILL = 1 << 20  # a stream of random numbers that no split uses
PACK = 32  # clips drawn at once


@dataclass(frozen=True)
class Clip:
    """One clip to be drawn: its number is its seed within the split."""

    number: int
    appearance: Appearance
    motion: str
    group: int | None  # clips of a group differ only in motion


def plan_clips(files: GeneratedSet, split: str) -> list[Clip]:
    """Which clips a split holds.

    In the test split half of the clips form groups of two (an appearance with a motion and its
    reversal) and no two clips share a caption. Raises `UserError` where a test split is too large
    for that.
    """
    count = files.clips.get(split, 0)
    rng = np.random.default_rng([files.seed, SPLITS.index(split)])
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
            f"generated.{files.name}: clips.test: expected at most {int(room / (1 - PAIRED / 2))}, "
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


def _between(rng: Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _forward(rng: Generator, pair: int, radius: float, p: Floats) -> tuple[Floats, ...]:
    """x, y, radius and opacity along the progress `p` in 0..1 of the pair's forward motion.

    Starts vary by several times the share of the extent (about 2 %) by which samplers prefer early
    frames.
    """
    x = np.full_like(p, _between(rng, 0.15, 0.85))
    y = np.full_like(p, _between(rng, 0.15, 0.85))
    r = np.full_like(p, radius * np.exp(_between(rng, -0.1, 0.1)))
    alpha = np.full_like(p, _between(rng, 0.85, 1.0))
    if pair < 2:
        extent = _between(rng, 0.55, 0.8)
        line = _between(rng, 0, 1 - extent) + extent * p  # a shape may leave the image by half
        x, y = (line, y) if pair == 0 else (x, line)
    elif pair == 2:
        r = r * np.exp(_between(rng, 0.4, 0.55) * (p - 0.5))  # growth by 1.5 to 1.7
    else:
        extent = _between(rng, 0.4, 0.55)
        alpha = _between(rng, 0.25, 1 - extent) + extent * p
    return x, y, r, alpha


def _progress(rng: Generator, frames: int) -> Floats:
    """(frames,) share of the motion done; the shape may rest before and after."""
    start, stop = _between(rng, 0.0, 0.15), _between(rng, 0.85, 1.0)
    time = np.linspace(0, 1, frames, dtype=np.float32)
    return np.clip((time - start) / (stop - start), 0, 1)


def _draw(rng: Generator, clip: Clip, files: GeneratedSet) -> tuple[Looks, Poses]:
    """One clip's columns (M = 1)."""
    look = clip.appearance
    frames = round(files.fps * _between(rng, *files.seconds))
    pair = MOTIONS.index(clip.motion) // 2
    path = _forward(rng, pair, SIZES[look.size], _progress(rng, frames))
    if clip.motion == PAIRS[pair][1]:
        path = tuple(column[::-1] for column in path)
    x, y, radius, alpha = (np.asarray(column, np.float32) for column in path)
    diamond = (_between(rng, 0.1, 0.9), _between(rng, 0.1, 0.9), float(rng.random() < 0.5))
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


def _stack(drawn: list[tuple[Looks, Poses]], only: list[int] | None = None) -> tuple[Looks, Poses]:
    """Columns of many clips; `only` keeps one frame of each."""
    looks, poses = zip(*drawn, strict=True)
    if only is not None:
        poses = tuple(
            Poses(p.clip[:1], p.x[[k]], p.y[[k]], p.radius[[k]], p.alpha[[k]])
            for p, k in zip(poses, only, strict=True)
        )
    clip = np.concatenate([p.clip + i for i, p in enumerate(poses)])
    columns = {k: np.concatenate([getattr(v, k) for v in looks]) for k in Looks.__annotations__}
    moving = {
        k: np.concatenate([getattr(v, k) for v in poses]) for k in ("x", "y", "radius", "alpha")
    }
    return Looks(**columns), Poses(clip, **moving)


def frames_of(files: GeneratedSet, split: str, clips: list[Clip]) -> list[NDArray[np.uint8]]:
    """The frames of some clips before encoding, each (frames, S, S, 3)."""
    stream = SPLITS.index(split)
    drawn = [_draw(np.random.default_rng([files.seed, stream, c.number]), c, files) for c in clips]
    looks, poses = _stack(drawn)
    ends = np.cumsum([len(p.clip) for _, p in drawn])[:-1]
    return np.split(render(looks, poses, files.side), ends)


def stills(
    files: GeneratedSet, count: int, seed: int, side: int
) -> tuple[NDArray[np.uint8], list[str], dict[str, NDArray[np.int64]]]:
    """Single frames for pre-training: (N, 3, side, side), captions without motion, attributes.

    Each is one frame, at a random moment, of a clip of its own, resized as frames of videos are.
    Attributes are indices into `ATTRIBUTES`.
    """
    from vidtune.nn.pixels import resize  # the one step that needs torch

    rng = np.random.default_rng([files.seed, STILL, seed])
    chosen = rng.integers(len(APPEARANCES), size=count)
    images = np.empty((count, 3, side, side), np.uint8)
    for at in range(0, count, 512):
        rows = range(at, min(at + 512, count))
        clips = [
            Clip(i, APPEARANCES[chosen[i]], MOTIONS[rng.integers(len(MOTIONS))], None) for i in rows
        ]
        drawn = [_draw(rng, clip, files) for clip in clips]
        looks, poses = _stack(drawn, [int(rng.integers(len(p.clip))) for _, p in drawn])
        images[rows.start : rows.stop] = resize(render(looks, poses, files.side), side).numpy()
    found = [APPEARANCES[i] for i in chosen]
    kinds = {k: np.array([v.index(getattr(a, k)) for a in found]) for k, v in ATTRIBUTES.items()}
    return images, [a.caption() for a in found], kinds


def _encode(frames: NDArray[np.uint8], fps: int) -> bytes:
    """(T, S, S, 3) -> an mp4 file with H.264. One thread and fixed flags: the same bytes again."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        stream.options = {"preset": "superfast", "crf": "16"}
        yuv = VideoReformatter()  # one for all frames, one thread: a quarter of the time
        for image in frames:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(yuv.reformat(frame, format="yuv420p", threads=1)))
        container.mux(stream.encode(None))
    return memory.getvalue()


def _name(split: str, number: int) -> str:
    return f"{split}_{number:05d}"


def _record(clip: Clip, split: str, frames: int, fps: int) -> dict[str, Any]:
    name = _name(split, clip.number)
    return {
        "id": name,
        "video": f"videos/{name}.mp4",
        "frames": frames,
        "fps": float(fps),
        "seconds": frames / fps,
        "label": clip.motion,
        "captions": [clip.appearance.caption(clip.motion)],
        "appearance": {k: getattr(clip.appearance, k) for k in ATTRIBUTES},
        "group": None if clip.group is None else f"{split}_pair_{clip.group:04d}",
    }


def _complete(files: GeneratedSet, out: Path) -> bool:
    """Whether `out` holds these very files, drawn by this version of the generator."""
    try:
        manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        present = {p.name for p in (out / "videos").iterdir() if p.stat().st_size}
    except (OSError, ValueError):
        return False
    wanted = {f"{_name(s, i)}.mp4" for s in SPLITS for i in range(files.clips.get(s, 0))}
    same = manifest.get("files") == files.model_dump(mode="json")
    lists = all((out / f"{split}.jsonl").is_file() for split in SPLITS)
    return same and manifest.get("format") == FORMAT and wanted <= present and lists


def _manifest(files: GeneratedSet, plans: dict[str, list[Clip]]) -> dict[str, Any]:
    test = plans["test"]
    paired = sum(clip.group is not None for clip in test)
    return {
        "format": FORMAT,
        "files": files.model_dump(mode="json"),
        "counts": {split: len(clips) for split, clips in plans.items()},
        "classes": list(MOTIONS),
        "reversed": PARTNER,
        "mirrored": MIRRORED,
        "attributes": {k: list(v) for k, v in ATTRIBUTES.items()},
        "words": list(WORDS),
        "test_share_differing_only_in_motion": paired / len(test) if test else 0.0,
        "versions": {
            "av": av.__version__,
            "numpy": np.__version__,
            **{k: ".".join(map(str, v)) for k, v in sorted(av.library_versions.items())},
        },
    }


def generate(files: GeneratedSet, out: Path, show: bool = True) -> None:
    """Write `out/videos/*.mp4`, `out/{train,val,test}.jsonl` and, last, `out/manifest.json`.

    Does nothing where `out` already holds this set. Every file appears under its name only when
    it is whole. Raises `UserError` where `out` cannot be written.
    """
    if _complete(files, out):
        return
    plans = {split: plan_clips(files, split) for split in SPLITS}
    try:
        (out / "manifest.json").unlink(missing_ok=True)  # a stopped run must not look complete
    except OSError as e:
        raise UserError(f"{out}: cannot write: {e.strerror}; choose another place") from None
    packs = [
        (split, clips[at : at + PACK])
        for split, clips in plans.items()
        for at in range(0, len(clips), PACK)
    ]
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    for split, clips in progress(packs, len(packs), f"generate {files.name} (x{PACK} clips)", show):
        for clip, frames in zip(clips, frames_of(files, split, clips), strict=True):
            name = f"{_name(split, clip.number)}.mp4"
            write_bytes(out / "videos" / name, _encode(frames, files.fps))
            record = _record(clip, split, len(frames), files.fps)
            lines[split].append(json.dumps(record, sort_keys=True) + "\n")
    for split, rows in lines.items():
        write_text(out / f"{split}.jsonl", "".join(rows))
    write_json(out / "manifest.json", _manifest(files, plans))
