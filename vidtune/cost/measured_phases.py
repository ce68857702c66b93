"""The phases that are measured: a model's training step and its inference, as the engine runs them.

Weights are random: neither time nor memory depends on their values.
Shapes: B videos, T frames, S pixels, L words, C classes.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from vidtune.cost.clock import Clock
from vidtune.engine.device import precision
from vidtune.engine.step import Step
from vidtune.methods.build import build_model
from vidtune.nn.attention import attention
from vidtune.nn.task import TextRecognizer, VideoModel
from vidtune.spec import Attention, Count, Frozen, Model, Recipe, UserError

Phase = Literal["train", "inference", "loader"]


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
    """Makes all models use the job's attention. Raises `UserError` if the device lacks it."""
    if job.attention == "memory-efficient" and job.device == "cpu":
        raise UserError("--attention memory-efficient: a CPU has none; ask for fused or explicit")
    with ExitStack() as stack:
        stack.enter_context(attention("explicit" if job.attention == "explicit" else "fused"))
        if job.attention == "memory-efficient":
            stack.enter_context(sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION))
        yield


class MeasuredPhase:
    """One phase of a job: `parts` names the intervals between the marks of one `step`."""

    parts: tuple[str, ...]

    def __init__(self, job: BenchJob) -> None:
        torch.manual_seed(0)
        self.job, self.device = job, torch.device(job.device)
        self.net = build_model(job.model, device=self.device)
        name_random_classes(self.net, job.model)

    def video(self) -> Tensor:
        """Returns (B, T, 3, S, S) like `vidtune.nn.pixels.normalise`: mean 0, deviation near 1."""
        m = self.job.model
        side = m.backbone.image
        return torch.randn(self.job.recipe.batch, m.frames, 3, side, side, device=self.device)

    def compile(self) -> None:
        """Gives both parts of the model to torch.compile, if the job says so."""
        if self.job.compile:
            self.net.compile()
            self.net.prepare = torch.compile(self.net.prepare)

    def outputs(self, video: Tensor) -> Any:
        """Runs the model as training does; compiled, its two parts run one after the other."""
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
        pretrained = {n for n, _ in self.net.named_parameters() if n.startswith("clip.")}
        self.net.train()
        self.engine_step = Step(self.net, pretrained, job.recipe, self.device)
        self.target = random_targets(job.model, job.recipe.batch).to(self.device)
        self.compile()

    def step(self, video: Tensor, clock: Clock) -> None:
        clock.mark()
        with precision(self.job.recipe, self.device):
            loss = self.engine_step.loss(self.outputs(video), self.target)
        clock.mark()
        self.engine_step.backward(loss)
        clock.mark()
        self.engine_step.update()
        clock.mark()


class Inference(MeasuredPhase):
    """The vision side with its head, low-rank updates folded, as in the papers' throughput."""

    parts = ("forward",)

    def __init__(self, job: BenchJob) -> None:
        super().__init__(job)
        self.net.eval()
        self.net.fold_lora()
        self.compile()

    @torch.no_grad()
    def step(self, video: Tensor, clock: Clock) -> None:
        clock.mark()
        with precision(self.job.recipe, self.device):
            self.outputs(video)
        clock.mark()


PHASES: dict[Phase, type[MeasuredPhase]] = {"train": Training, "inference": Inference}


def random_targets(model: Model, batch: int) -> Tensor:
    """Returns random labels (B,), or random token ids (B, L)."""
    if model.task == "recognition":
        return torch.randint(model.classes or 1, (batch,))
    return torch.randint(1, model.backbone.text.vocab_size, (batch, model.max_words))


def name_random_classes(net: VideoModel, model: Model) -> None:
    """Gives random class names (C, L) to a method that classifies by texts."""
    if isinstance(net, TextRecognizer):
        text = model.backbone.text
        net.name_classes(torch.randint(1, text.vocab_size, (model.classes or 1, text.context)))
