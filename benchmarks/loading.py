"""Measure how many clips per second the loader makes for every recipe of full scale, end to end.

A clip is decoded, changed as its recipe says, resized, handed over by a worker and put into a batch, by
as many workers as a training on this machine would have, which has no other work for them. Videos are
made on the spot (`FORMATS`), one of a dataset, which every clip is; all are in the system's cache, so no
disk is timed. Hours are those of all clips of a training at that rate: it waits for them at most as long,
and not at all where its GPUs take longer. `make bench-data` writes benchmarks/loading.md.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import torch
from decoding import generate, machine, scene

from vidtune.cost.fits import items_of, trained
from vidtune.data import jpg_folder
from vidtune.data.batches import KEEP
from vidtune.data.clips import Clips
from vidtune.data.loader import stream
from vidtune.data.order import Part
from vidtune.data.records import Record
from vidtune.data.video import own_cores
from vidtune.engine.features import may_keep
from vidtune.methods.build import build_model
from vidtune.plan import Plan, load
from vidtune.spec import Run

CPU = torch.device("cpu")
AT_ONCE = 8  # clips of a batch here: the rate is that of a stream
VP9 = {"deadline": "realtime", "cpu-used": "8"}  # of the encoder
HEAD = ("recipe", "dataset", "frames", "clips/s", "clips", "hours", "videos, as assumed")


@dataclass(frozen=True)
class Format:
    """What the videos of a dataset are like; sizes and lengths differ, these stand for them."""

    suffix: str  # "": a folder of jpg frames
    codec: str
    size: tuple[int, int]  # height, width
    fps: int
    seconds: float

    def __str__(self) -> str:
        height, width = self.size
        form = self.suffix.lstrip(".") or "folder"
        return f"{form}, {self.codec}, {width}x{height}, {self.seconds:g} s of {self.fps} frames"

    def write(self, path: Path) -> Path:
        frames = scene(*self.size, self.seconds, self.fps)
        if self.suffix:
            options = VP9 if self.codec == "libvpx-vp9" else {}
            return generate(path.with_suffix(self.suffix), frames, self.codec, self.fps, options)
        path.mkdir()
        for k, frame in enumerate(frames, 1):
            jpg_folder.write_jpg(path / f"{k:05d}.jpg", frame)
        return path


# Something-Something as its owner describes it, MSR-VTT and Kinetics as their common copies are. For the
# others, which come from YouTube, Flickr and films in many sizes, a usual size and about the mean length.
FORMATS = {
    "ssv1": Format("", "jpg", (100, 176), 12, 4),
    "ssv2": Format(".webm", "libvpx-vp9", (240, 427), 12, 4),
    "k400": Format(".mp4", "libx264", (256, 340), 30, 10),
    "msrvtt": Format(".mp4", "libx264", (240, 320), 30, 15),
    "msvd": Format(".avi", "mpeg4", (240, 320), 30, 10),
    "vatex": Format(".mp4", "libx264", (360, 640), 30, 10),
    "activitynet": Format(".mp4", "libx264", (360, 640), 30, 120),
    "didemo": Format(".mp4", "libx264", (360, 640), 30, 30),
    "lsmdc": Format(".avi", "libx264", (720, 1280), 24, 4),
}


def clips_of(run: Run, path: Path) -> Clips:
    """The training clips of a run, all of them one video; their number is of no interest."""
    form = FORMATS[run.dataset.name]
    frames, classes = int(form.seconds * form.fps), run.model.classes
    label = 0 if classes else None
    video = Record("", path, frames, form.fps, form.seconds, label, label, ("",), ("",), None, {})
    m = run.model
    return Clips([video] * 4096, run.recipe, m.frames, m.backbone.image, train=True, seed=run.seed)


def rate(clips: Clips, seconds: float) -> float:
    """Clips per second of a training's stream, after its first batch; a repeated clip counts once."""
    generator, made = torch.Generator().manual_seed(0), 0
    order = (torch.randint(len(clips), (AT_ONCE,), generator=generator) for _ in count())
    parts = (Part(items, epoch) for epoch, items in enumerate(order))
    with closing(stream(clips, parts, AT_ONCE, CPU)) as batches:
        next(batches)
        start = time.perf_counter()
        while (spent := time.perf_counter() - start) < seconds or not made:
            next(batches)
            made += AT_ONCE
    return made / spent


def decoded(plan: Plan, run: Run, clips: Clips) -> tuple[int, bool]:
    """How many clips a training decodes, and whether that is each video once."""
    items, _ = items_of(plan, run.dataset.name)
    videos = plan.config.datasets[run.dataset.name].expected.get("train", items)
    assert items and videos
    shape = (videos, *clips.shape[1:])
    if clips.deterministic and clips.copies == 1:
        net = build_model(run.model, device=torch.device("meta"))
        if math.prod(shape) <= KEEP or may_keep(net, shape, torch.device("meta")):
            return videos, True
    recipe = run.recipe
    return recipe.steps * recipe.batch if recipe.steps else (recipe.epochs or 0) * items, False


def rows(plan: Plan, seconds: float, only: str = "") -> Iterator[tuple[str, ...]]:
    """Yield a row for every recipe with a dataset and a number of frames whose recipe's name holds `only`.
    Recipes that differ in what comes after the loader are measured once."""
    rates: dict[str, float] = {}
    rows_by_name: set[tuple[object, ...]] = set()
    with tempfile.TemporaryDirectory() as folder:
        paths: dict[str, Path] = {}
        for run in trained(plan).values():
            recipe, name = run.recipe, run.dataset.name
            if only not in recipe.name:
                continue
            if name not in paths:
                paths[name] = FORMATS[name].write(Path(folder) / name)
            clips = clips_of(run, paths[name])
            number, once = decoded(plan, run, clips)
            row = recipe.name, name, clips.frames, number
            if row in rows_by_name:
                continue
            rows_by_name.add(row)
            rule = recipe.frame_rule() | recipe.model_dump(
                include={"augment", "random_train_frames"}
            )
            key = f"{name} {clips.shape} {rule}"
            if key not in rates:
                rates[key] = rate(clips, seconds)
            speed = rates[key]
            hours = f"{number / speed / 3600:.1f}"
            kept = f"{number:,}" + (" (once)" if once else "")
            yield (
                recipe.name,
                name,
                str(clips.frames),
                f"{speed:.1f}",
                kept,
                hours,
                str(FORMATS[name]),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--recipe", default="", help="measure recipes whose name holds this text")
    parser.add_argument("--out", type=Path, help="a file for the table")
    args = parser.parse_args()
    torch.set_num_threads(1)
    conditions = machine()
    table = ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    for row in rows(load("config", {"scale": "full"}), args.seconds, args.recipe):
        table.append("| " + " | ".join(row) + " |")
        print(table[-1], flush=True)
    text = [
        "# Loading: clips per second of each recipe of full scale",
        "",
        f"`make bench-data`: {conditions}; {own_cores()} workers, {args.seconds:g} s each. `clips` are",
        "those that a training decodes, `hours` how long that takes at this rate; more cores take less.",
        "Videos of which the clips, or a frozen trunk's features, are kept are decoded once.",
        "",
        *table,
    ]
    if args.out:
        args.out.write_text("\n".join(text) + "\n")
    else:
        print("\n".join(text))


if __name__ == "__main__":
    main()
