"""Decoding beside the model: batches of generated H.264 clips, through the engine's own loader.

The clips lie in the system's cache of files after the first pass, so this is the time to decode and
resize, not a disk's.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidtune.cost.clock import Clock, synchronise
from vidtune.cost.measured_phases import BenchJob, Work
from vidtune.data import records
from vidtune.data.clips import Clips
from vidtune.engine.feed import decoded, workers
from vidtune.motion import generate
from vidtune.nn.pixels import normalise
from vidtune.spec import GeneratedSet

# About Something-Something's size, rate and length.
CLIPS = GeneratedSet(
    name="bench",
    generator="motion",
    seed=0,
    clips={"train": 16, "val": 0, "test": 0},
    side=240,
    fps=12,
    seconds=(2.0, 5.0),
)


def videos(job: BenchJob, place: Path) -> Iterator[Tensor]:
    """uint8 (B, T, 3, S, S) of the job's warm-up and steps, by the recipe's sampler."""
    generate.generate(CLIPS, place)
    m = job.model
    found = records.read(place, "train")
    recipe = job.recipe
    if recipe.augment:  # a step takes as many clips as the batch says, so none is repeated
        once = recipe.augment.model_copy(update={"repeats": 1})
        recipe = recipe.model_copy(update={"augment": once})
    clips = Clips(found, recipe, m.frames, m.backbone.image, train=True, seed=0)
    order = torch.arange((job.warmup + job.steps) * job.recipe.batch) % len(clips)
    for batch in decoded(clips, list(order.split(job.recipe.batch))):
        yield batch["video"]


def alone(job: BenchJob, place: Path) -> dict[str, Any]:
    """The loader without a model."""
    start = time.perf_counter()
    for k, _ in enumerate(videos(job, place), 1):
        if k == job.warmup:
            start = time.perf_counter()
    seconds = time.perf_counter() - start
    about = {"clips": CLIPS.model_dump(mode="json", include={"clips", "side", "fps", "seconds"})}
    return {"videos_per_s": _rate(job, seconds), "workers": workers(), **about}


def fed(work: Work, place: Path) -> float:
    """Videos per second of a phase that decodes its own batches, copies them and normalises."""
    job, where = work.job, work.where
    clock = Clock(where)
    start = time.perf_counter()
    for k, batch in enumerate(videos(job, place), 1):
        work.step(normalise(batch.to(where)), clock)
        if k == job.warmup:
            synchronise(where)
            start = time.perf_counter()
    synchronise(where)
    return _rate(job, time.perf_counter() - start)


def _rate(job: BenchJob, seconds: float) -> float:
    return job.steps * job.recipe.batch / seconds
