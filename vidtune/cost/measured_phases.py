"""The phases that are measured: training step, inference and decoding, as the engine runs them, and a
training step as the methods' own code holds it in memory.

Weights are random: neither time nor memory depends on their values. Decoding takes batches of
generated H.264 clips through the engine's own loader; after the first pass the system has the files
in its cache, so this times decoding and resizing, not a disk.
Shapes: B videos, T frames, S pixels, L words, C classes.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from vidtune.cost.clock import Clock, synchronise
from vidtune.cost.memory_cuda import halve
from vidtune.cost.released import as_released
from vidtune.data import records
from vidtune.data.clips import Clips
from vidtune.data.loader import stream
from vidtune.data.order import Part
from vidtune.data.video import own_cores
from vidtune.engine.build_run import lower
from vidtune.engine.device import precision
from vidtune.engine.step import Step
from vidtune.methods.build import build_model
from vidtune.motion import generate
from vidtune.nn.attention import use_backend
from vidtune.nn.lean import as_published
from vidtune.nn.pixels import normalise
from vidtune.nn.task import TextRecognizer
from vidtune.spec import Attention, Count, Frozen, GeneratedSet, Model, Recipe, UserError

# Roughly the size, frame rate and length of Something-Something's clips.
SIZES = {"train": 16, "val": 0, "test": 0}
CLIPS = GeneratedSet(
    name="bench",
    seed=0,
    motions=("moving",),
    extent=(0.5, 1.0),
    clips=SIZES,
    side=240,
    fps=12,
    seconds=(2.0, 5.0),
    stills=1,
)
Phase = Literal["train", "inference", "released", "loader"]


class BenchJob(Frozen):
    """A measurement to be made: a model and the conditions."""

    model: Model  # with the frames of this measurement
    recipe: Recipe  # with the batch and precision of this measurement
    device: Literal["cpu", "cuda"]
    compile: bool = False
    attention: Attention = "fused"
    steps: Count = 20
    warmup: int = 5  # discarded steps before the measured ones
    phases: tuple[Phase, ...] = ("train", "inference", "loader")


@contextmanager
def attention_of(job: BenchJob) -> Iterator[None]:
    """Make all models use the job's attention. Raises `UserError` if the device lacks it."""
    efficient = job.attention == "memory-efficient"
    if efficient and job.device == "cpu":
        raise UserError("--attention memory-efficient: a CPU has none; ask for fused or explicit")
    kernel = sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION) if efficient else nullcontext()
    with use_backend("fused" if efficient else job.attention), kernel:
        yield


class MeasuredPhase:
    """One phase of a job: `parts` names the intervals between the ticks of one `step`."""

    parts: tuple[str, ...]
    watched = True  # by NVML, from a process that takes a while to start

    def __init__(self, job: BenchJob) -> None:
        torch.manual_seed(0)
        self.job, self.device = job, torch.device(job.device)
        self.warmup, self.steps = job.warmup, job.steps
        self.net = build_model(job.model, device=self.device)
        if isinstance(self.net, TextRecognizer):
            text, classes = job.model.backbone.text, job.model.classes or 1
            self.net.name_classes(torch.randint(1, text.vocab_size, (classes, text.context)))

    def hold(self) -> None:
        """Turn the weights to the types that the engine holds them in."""
        lower(self.net, self.job.recipe)
        if self.job.recipe.weights == "fp16":
            self.net.to_half()

    def video(self) -> Tensor:
        """Return (B, T, 3, S, S) like `vidtune.nn.pixels.normalise`: mean 0, deviation near 1."""
        frames, side = self.job.model.frames, self.job.model.backbone.image
        return torch.randn(self.job.recipe.batch, frames, 3, side, side, device=self.device)

    def compile(self) -> None:
        """Give both parts of the model to torch.compile, if the job says so."""
        if self.job.compile:
            self.net.compile()
            self.net.prepare = torch.compile(self.net.prepare)

    def outputs(self, video: Tensor) -> Any:
        """Run the model as training does; compiled, its two parts run one after the other."""
        if self.job.compile:
            return self.net(*self.net.prepare(video))
        return self.net.at_once(video)

    def step(self, video: Tensor, clock: Clock) -> None:
        raise NotImplementedError


class Training(MeasuredPhase):
    """Forward with the loss (retrieval: with the text tower), backward, update."""

    parts = ("forward", "backward", "optimizer")

    def __init__(self, job: BenchJob) -> None:
        super().__init__(job)
        self.hold()
        if job.recipe.checkpoint:
            self.net.recompute()
        pretrained = {n for n, _ in self.net.named_parameters() if n.startswith("clip.")}
        self.net.train()
        self.engine_step = Step(self.net, pretrained, job.recipe, self.device)
        self.target = random_targets(job.model, job.recipe.batch).to(self.device)
        self.compile()

    def step(self, video: Tensor, clock: Clock) -> None:
        clock.tick()
        with precision(self.job.recipe, self.device):
            loss = self.engine_step.loss(self.outputs(video), self.target)
        clock.tick()
        self.engine_step.backward(loss)
        clock.tick()
        self.engine_step.update()
        clock.tick()


class AsReleased(Training):
    """A training step that keeps in memory what the method's own code keeps, of which the peak counts:
    the second step, as `vidtune.cost.predict_memory` predicts it."""

    def __init__(self, job: BenchJob) -> None:
        with as_published():
            super().__init__(job)
        self.warmup, self.steps, self.watched = 1, 1, False

    def hold(self) -> None:
        self.runner = as_released(self.net, self.job.model.method)
        if self.job.recipe.weights == "fp16":
            self.net.to_half()
        elif self.job.recipe.precision == "amp16" and self.runner.frozen_in_half:
            halve(self.net, frozen=True)

    def outputs(self, video: Tensor) -> Any:
        return self.runner.at_once(video)

    def step(self, video: Tensor, clock: Clock) -> None:
        with as_published():
            super().step(video, clock)


class Inference(MeasuredPhase):
    """The vision side with its head, low-rank updates folded, as in the papers' throughput."""

    parts = ("forward",)

    def __init__(self, job: BenchJob) -> None:
        super().__init__(job)
        self.net.eval()
        self.net.fold_lora()
        self.hold()
        self.compile()

    @torch.no_grad()
    def step(self, video: Tensor, clock: Clock) -> None:
        clock.tick()
        with precision(self.job.recipe, self.device):
            self.outputs(video)
        clock.tick()


PHASES: dict[Phase, type[MeasuredPhase]] = {
    "train": Training,
    "inference": Inference,
    "released": AsReleased,
}


def measured_recipe(recipe: Recipe, batch: int, given: str | None) -> Recipe:
    """A recipe at a batch of one GPU, and in another precision (fp16: of its weights) if given."""
    changes: dict[str, Any] = {"batch": batch, "source": None}
    changes["group"] = batch if recipe.group else None
    if given:
        half = given == "fp16"
        changes |= {"precision": "fp32" if half else given, "weights": "fp16" if half else "fp32"}
    return recipe.model_copy(update=changes)


def random_targets(model: Model, batch: int) -> Tensor:
    """Return random labels (B,), or random token ids (B, L)."""
    if model.task == "recognition":
        return torch.randint(model.classes or 1, (batch,))
    return torch.randint(1, model.backbone.text.vocab_size, (batch, model.max_words))


def videos(job: BenchJob, folder: Path) -> Iterator[Tensor]:
    """Yield uint8 (B, T, 3, S, S) for each warm-up and measured step, by the recipe's sampler."""
    generate.generate(CLIPS, folder)
    m, recipe = job.model, job.recipe
    if recipe.augment:  # a step takes as many clips as the batch says, so none is repeated
        once = recipe.augment.model_copy(update={"repeats": 1})
        recipe = recipe.model_copy(update={"augment": once})
    train = records.read(folder, "train")
    clips = Clips(train, recipe, m.frames, m.backbone.image, train=True, seed=0)
    order = torch.arange((job.warmup + job.steps) * job.recipe.batch) % len(clips)
    parts = [Part(items) for items in order.split(job.recipe.batch)]
    for _, decoded in stream(clips, parts, job.recipe.batch, torch.device(job.device)):
        yield decoded.video


def loader_row(job: BenchJob, folder: Path) -> dict[str, Any]:
    """Measure the loader without a model."""
    rate = _rate(job, folder, lambda batch: None)
    clips = CLIPS.model_dump(mode="json", include={"clips", "side", "fps", "seconds"})
    return {"videos_per_s": rate, "workers": own_cores(), "clips": clips}


def end_to_end(phase: MeasuredPhase, folder: Path) -> float:
    """Return videos per second of a phase that decodes, copies and normalises its own batches."""
    clock = Clock(phase.device)
    return _rate(phase.job, folder, lambda batch: phase.step(normalise(batch), clock))


def _rate(job: BenchJob, folder: Path, use: Callable[[Tensor], None]) -> float:
    """Return videos per second of the steps after the warm-up, each of which uses a batch."""
    device = torch.device(job.device)
    start = time.perf_counter()
    for k, batch in enumerate(videos(job, folder), 1):
        use(batch)
        if k == job.warmup:
            synchronise(device)
            start = time.perf_counter()
    synchronise(device)
    return job.steps * job.recipe.batch / (time.perf_counter() - start)
