"""Measures decoding: batches of generated H.264 clips, through the engine's own loader.

After the first pass the system has the files in its cache, so this times decoding and resizing, not
a disk.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidtune.cost.clock import Clock, synchronise
from vidtune.cost.measured_phases import BenchJob, MeasuredPhase
from vidtune.data import records
from vidtune.data.batches import decoded, workers
from vidtune.data.clips import Clips
from vidtune.motion import generate
from vidtune.nn.pixels import normalise
from vidtune.spec import GeneratedSet

# Roughly the size, frame rate and length of Something-Something's clips.
CLIPS = GeneratedSet(
    name="bench",
    generator="motion",
    seed=0,
    clips={"train": 16, "val": 0, "test": 0},
    side=240,
    fps=12,
    seconds=(2.0, 5.0),
)


def videos(job: BenchJob, folder: Path) -> Iterator[Tensor]:
    """Yields uint8 (B, T, 3, S, S) for each warm-up and measured step, by the recipe's sampler."""
    generate.generate(CLIPS, folder)
    m, recipe = job.model, job.recipe
    if recipe.augment:  # a step takes as many clips as the batch says, so none is repeated
        once = recipe.augment.model_copy(update={"repeats": 1})
        recipe = recipe.model_copy(update={"augment": once})
    train = records.read(folder, "train")
    clips = Clips(train, recipe, m.frames, m.backbone.image, train=True, seed=0)
    order = torch.arange((job.warmup + job.steps) * job.recipe.batch) % len(clips)
    for batch in decoded(clips, list(order.split(job.recipe.batch))):
        yield batch["video"]


def loader_row(job: BenchJob, folder: Path) -> dict[str, Any]:
    """Measures the loader without a model."""
    start = time.perf_counter()
    for k, _ in enumerate(videos(job, folder), 1):
        if k == job.warmup:
            start = time.perf_counter()
    seconds = time.perf_counter() - start
    clips = CLIPS.model_dump(mode="json", include={"clips", "side", "fps", "seconds"})
    return {"videos_per_s": _rate(job, seconds), "workers": workers(), "clips": clips}


def end_to_end(phase: MeasuredPhase, folder: Path) -> float:
    """Returns videos per second of a phase that decodes, copies and normalises its own batches."""
    job, device = phase.job, phase.device
    clock = Clock(device)
    start = time.perf_counter()
    for k, batch in enumerate(videos(job, folder), 1):
        phase.step(normalise(batch.to(device)), clock)
        if k == job.warmup:
            synchronise(device)
            start = time.perf_counter()
    synchronise(device)
    return _rate(job, time.perf_counter() - start)


def _rate(job: BenchJob, seconds: float) -> float:
    return job.steps * job.recipe.batch / seconds
