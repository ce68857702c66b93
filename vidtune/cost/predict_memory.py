"""Predicts the peak memory of a training step and of inference, at any size, without a GPU.

The real model runs on fake tensors under a convention, whose parts decide the number: precision
(`amp16`: weights in float32 under CUDA's autocast; `fp32`; `fp16`: weights in float16, as CLIP's
own code holds them), the kernel of attention, batch and frames. A training step is the second one,
in which the optimiser's state exists; the optimiser is AdamW, and all forms of Adam keep the same
two moments. GiB are 2^30 bytes of live tensors, not what a driver or `nvidia-smi` shows.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from vidtune.cost.memory_cuda import autocast, cuda_like, halve
from vidtune.cost.memory_ledger import IGNORED, Ledger
from vidtune.cost.released import Released, as_released
from vidtune.engine.step import objective
from vidtune.methods.build import build_model
from vidtune.nn.lean import as_published
from vidtune.nn.task import TextRecognizer, VideoModel
from vidtune.spec import GIB, Attention, Model, Precision, UserError

KINDS = ("weights", "gradients", "optimizer", "activations", "workspace")


def predict(
    model: Model,
    batch: int,
    precision: Precision = "amp16",
    attention: Attention = "explicit",
    released: bool = True,
    checkpoint: bool = False,
) -> dict[str, Any]:
    """Return the convention, `train` and `inference`: each {peak_gib, by_kind, by_phase} in GiB.

    `released`: what the methods' own code keeps in memory is kept, also where ours keeps less.
    `checkpoint`: backward computes again what a recipe of this setting lets it.
    """
    if batch < 1:
        raise UserError(f"{model.name}: batch: expected at least 1 video; found {batch}")
    return {
        "convention": f"{precision}, {attention} attention"
        + (", checkpointed" if checkpoint else "")
        + ("" if released else ", our code"),
        "precision": precision,
        "attention": attention,
        "batch": batch,
        "frames": model.frames,
        "train": _peaks(training_ledger(model, batch, precision, attention, released, checkpoint)),
        "inference": _peaks(inference_ledger(model, batch, precision, attention, released)),
    }


def training_ledger(
    model: Model,
    batch: int,
    precision: Precision,
    attention: Attention,
    released: bool = True,
    checkpoint: bool = False,
) -> Ledger:
    """Record the second step of a training, as vidtune/engine/train.py takes it."""
    net = _on_meta(model, precision, released).train()
    if checkpoint:
        net.recompute()
    with _as(released), FakeTensorMode(allow_non_fake_inputs=True), Ledger() as ledger:
        runner, video, target = _allocate(net, model, batch, precision, released, ledger)
        optimizer, tuned = start_optimizer(net, ledger)
        with cuda_like(attention, precision):
            with ledger.phase("forward"):
                with autocast(precision):
                    loss = objective(net, runner.at_once(video), target)
                ledger.label_rest("activations")
            with ledger.phase("backward"):
                loss.backward()
                ledger.label((p.grad for p in tuned), "gradients")
            with ledger.phase("step"):
                optimizer.step()
        ignore_unused(optimizer, tuned, ledger)
    return ledger


def inference_ledger(
    model: Model, batch: int, precision: Precision, attention: Attention, released: bool = True
) -> Ledger:
    """Record one batch's vision side in evaluation, with low-rank updates not folded."""
    net = _on_meta(model, precision, released).eval()
    with _as(released), FakeTensorMode(allow_non_fake_inputs=True), Ledger() as ledger:
        runner, video, _ = _allocate(net, model, batch, precision, released, ledger)
        phase = ledger.phase("forward")
        with phase, torch.no_grad(), cuda_like(attention, precision), autocast(precision):
            runner.at_once(video)
    return ledger


def _as(released: bool) -> AbstractContextManager[None]:
    return as_published() if released else nullcontext()


def _on_meta(model: Model, precision: Precision, released: bool) -> VideoModel:
    """Build the model without storages; our own code keeps frozen weights in autocast's type."""
    net = build_model(model, "meta")
    if precision == "amp16" and not released:
        net.lower_frozen(torch.float16)
    return net


def _allocate(
    net: VideoModel, model: Model, batch: int, precision: Precision, released: bool, ledger: Ledger
) -> tuple[Released, Tensor, Tensor]:
    """Give the model its storages; return what runs it, and what `allocate` returns."""
    net.to_empty(device="cpu")
    runner = as_released(net, model.method) if released else Released(net)
    if precision == "fp16":
        halve(net)
    elif precision == "amp16" and runner.frozen_in_half:
        halve(net, frozen=True)
    return runner, *allocate(net, model, batch, ledger)


def allocate(net: VideoModel, model: Model, batch: int, ledger: Ledger) -> tuple[Tensor, Tensor]:
    """Enter a model's weights into the ledger; return a batch of videos with its labels (B,) or token
    ids (B, L)."""
    if isinstance(net, TextRecognizer):
        net.name_classes(torch.zeros(model.classes, model.backbone.text.context, dtype=torch.int64))
        net.class_texts()  # encoded in the first step only
    ledger.label((*net.parameters(), *net.buffers()), "weights")
    side, task = model.backbone.image, model.task
    video = torch.empty(batch, model.frames, 3, side, side)
    shape = (batch,) if task == "recognition" else (batch, model.max_words)
    target = torch.zeros(shape, dtype=torch.int64)
    ledger.label((video, target), "activations")
    return video, target


def start_optimizer(
    net: VideoModel, ledger: Ledger
) -> tuple[torch.optim.Optimizer, list[nn.Parameter]]:
    """Return an optimiser that has its state, and the tuned parameters, without gradients."""
    tuned = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(tuned, fused=True)
    for p in tuned:  # a first step in which all have gradients creates the optimiser's state
        p.grad = torch.zeros_like(p)
    optimizer.step()
    optimizer.zero_grad()
    for p in tuned:
        ledger.label(optimizer.state[p].values(), "optimizer")
    return optimizer, tuned


def ignore_unused(
    optimizer: torch.optim.Optimizer, tuned: list[nn.Parameter], ledger: Ledger
) -> None:
    """Leave out the state of parameters that have got no gradient: a step creates none."""
    for p in tuned:
        if p.grad is None:
            ledger.label(optimizer.state[p].values(), IGNORED)


def _peaks(ledger: Ledger) -> dict[str, Any]:
    """Return a ledger's peak in GiB, by kind at the peak and by phase."""
    by_phase, by_kind = ledger.peaks()
    return {
        "peak_gib": max(by_phase.values()) / GIB,
        "by_kind": {kind: by_kind.get(kind, 0) / GIB for kind in KINDS},
        "by_phase": {phase: size / GIB for phase, size in by_phase.items()},
    }


def largest_batch(peak: Callable[[int], float], limit: float) -> int:
    """Return the largest batch with `peak(batch) <= limit`, or 0; `peak` must never fall.

    A search by bisection, whose next guess is where a line through both ends meets the limit:
    peaks are almost straight lines.
    """
    known = {1: peak(1)}
    if known[1] > limit:
        return 0
    low, high = 1, 2
    while (known.setdefault(high, peak(high))) <= limit:
        slope = max((known[high] - known[low]) / (high - low), 1e-9)
        low, high = high, high + max(1, int((limit - known[high]) / slope) + 1)
    while high - low > 1:
        share = (limit - known[low]) / (known[high] - known[low])
        middle = min(max(low + int(share * (high - low)), low + 1), high - 1)
        known[middle] = peak(middle)
        low, high = (middle, high) if known[middle] <= limit else (low, middle)
    return low
