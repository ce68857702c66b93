"""Predicts what one GPU's part of a training step needs, and a test: memory for any number of clips, and
operations, without a GPU.

Our own code runs on fake tensors (vidtune/cost/predict_memory.py) under the recipe's precision, with
fused attention, once with FEW and once with MANY clips. Both runs allocate and free the same tensors,
whose sizes are straight lines in the clips: so is what is live at one moment, and the peak of any number
of clips is the highest of all moments' lines. vidtune/cost/fits.py adds what splitting a batch adds.

Operations are floating-point ones (a multiply-accumulate is two) of matrix products, convolutions and
attention, counted in both directions: through a frozen layer backward takes the gradient of its input
alone, through a frozen trunk that no gradient passes nothing, and what is checkpointed runs twice.
"""

import gc
from collections.abc import Iterable, Iterator
from concurrent.futures import as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from vidtune import provenance
from vidtune.cost.memory_cuda import autocast, cuda_like
from vidtune.cost.memory_ledger import Ledger
from vidtune.cost.predict_memory import allocate, ignore_unused, start_optimizer
from vidtune.data.batches import AT_ONCE
from vidtune.data.video import cores
from vidtune.data.workers import process_pool
from vidtune.engine.step import objective
from vidtune.methods.build import build_model
from vidtune.nn.rows import RowModule, undivided
from vidtune.nn.task import Recognizer, VideoModel
from vidtune.progress import progress
from vidtune.spec import GIB, Precision, Workload, write_json

FEW, MANY = 8, 16  # clips that are tried
Line = tuple[float, float]  # bytes without clips, bytes of each clip


class Operations(TorchDispatchMode):
    """Adds up the floating-point operations that run inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = op(*args, **(kwargs or {}))
        if formula := flop_registry.get(op._overloadpacket):
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        return out


class Part(NamedTuple):
    """What some clips of a training step need."""

    ledger: Ledger
    gradients: int  # bytes, of the tuned weights
    encode: int  # operations up to logits or features
    back: int  # and from there to the weights' gradients

    @property
    def operations(self) -> int:
        return self.encode + self.back


def keep(missing: dict[Path, Workload]) -> None:
    """Write `predict_step` of each workload to its file, with its provenance; on all cores."""
    with process_pool(cores()) as pool:
        jobs = {pool.submit(predict_step, load): path for path, load in missing.items()}
        try:
            for job in progress(as_completed(jobs), len(jobs), "predict steps"):
                load = missing[jobs[job]]
                digest = provenance.step_digest(load.model.method)
                stamp = provenance.stamp(digest, "fake tensors", load)
                write_json(jobs[job], {**job.result(), "provenance": stamp})
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def predict_step(load: Workload) -> dict[str, Any]:
    """Return in GiB `lines`, [without clips, of each clip], whose highest is the peak of a training step;
    `gradients`, of the tuned weights; `clip`, one as the loader gives it; `test`, the peak of a test of
    one clip at once. `recomputed`: the lines of a step whose backward computes blocks again, where the
    method can and the recipe does not; else none.

    `gflops`: of one clip {"encode": to the logits or features, "step": and back, "recomputed": with those
    blocks, "view": in a test}; the loss, and in retrieval the similarities, are left out. `mixes`: whether
    the model computes clips of a batch together.
    """
    few, many = train_part(load, FEW), train_part(load, MANY)
    test, flops = run_test(load)
    m, again = load.model, None
    gflops = {"encode": many.encode / MANY, "step": many.operations / MANY, "view": flops}
    if not load.checkpoint and _on_meta(load).recompute():
        less = load.model_copy(update={"checkpoint": True})
        again = train_part(less, FEW), train_part(less, MANY)
        gflops["recomputed"] = again[1].operations / MANY
    return {
        "lines": in_gib(lines(few, many)),
        "recomputed": in_gib(lines(*again)) if again else [],
        "gradients": many.gradients / GIB,
        "clip": m.frames * 3 * m.backbone.image**2 / GIB,
        "test": test.peak / GIB,
        "gflops": {name: n / 1e9 for name, n in gflops.items()},
        "mixes": any(isinstance(x, RowModule) and x.mixes for x in _on_meta(load).modules()),
        "whole": bool(undivided(_on_meta(load))),
    }


def train_part(load: Workload, clips: int) -> Part:
    """Run the second step of a training on `clips` clips. In retrieval their features meet those of the
    whole batch."""
    cast, net = _cast(load), _on_meta(load).train()
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with (
        _uncollected(),
        fake,
        Ledger() as ledger,
        Operations() as operations,
        cuda_like("fused", cast),
    ):
        net.to_empty(device="cpu")
        video, target = allocate(net, load.model, clips, ledger)
        raw = video.to(torch.uint8)
        optimizer, tuned = start_optimizer(net, ledger)
        before = operations.flops
        with ledger.phase("forward"), autocast(cast):
            outputs = net.at_once(video)
            texts = () if isinstance(net, Recognizer) else net.encode_text(target)
        encode = operations.flops - before
        with ledger.phase("loss"):
            if isinstance(net, Recognizer):
                with autocast(cast):
                    loss = objective(net, outputs, target)
                ends, gradients = (loss,), (None,)
            else:
                ends, gradients = _meet(net, texts, outputs, load.batch, cast)
        before = operations.flops
        with ledger.phase("backward"):
            torch.autograd.backward(ends, gradients)
        back = operations.flops - before
        with ledger.phase("sum over ranks"):  # vidtune.engine.ranks.sum_up
            for dtype in {p.dtype for p in tuned}:
                torch.cat(
                    [p.grad.view(-1) for p in tuned if p.grad is not None and p.dtype == dtype]
                )
        with ledger.phase("step"):
            optimizer.step()
        ignore_unused(optimizer, tuned, ledger)
        size = sum(p.grad.nbytes for p in tuned if p.grad is not None)
        del raw
    return Part(ledger, size, encode, back)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python's collector off, which frees tensors in cycles at moments of its own."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _meet(
    net: VideoModel,
    texts: tuple[Tensor, ...],
    videos: tuple[Tensor, ...],
    batch: int,
    cast: Precision,
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The features that a gradient enters, and that gradient: of the loss of a whole batch."""
    features = (*texts, *videos)
    leaves = [
        x.detach().requires_grad_(x.is_floating_point() and x.requires_grad) for x in features
    ]
    rest = max(batch - len(features[0]), 0)
    whole = tuple(torch.cat([x, x.new_empty(rest, *x.shape[1:])]) for x in leaves)
    with autocast(cast):
        loss = net.loss(whole[: len(texts)], whole[len(texts) :])
    loss.backward()
    reached = [
        (x, leaf.grad) for x, leaf in zip(features, leaves, strict=True) if leaf.grad is not None
    ]
    return tuple(x for x, _ in reached), tuple(gradient for _, gradient in reached)


@torch.no_grad()
def run_test(load: Workload) -> tuple[Ledger, int]:
    """Run the vision side on one clip of a test's batch; return its ledger and operations."""
    cast, net = _cast(load), _on_meta(load).eval()
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with fake, Ledger() as ledger, Operations() as operations, cuda_like("fused", cast):
        net.to_empty(device="cpu")
        video, _ = allocate(net, load.model, 1, ledger)
        raw = video.new_empty((AT_ONCE, *video.shape[1:]), dtype=torch.uint8)
        before = operations.flops
        with ledger.phase("forward"), autocast(cast):
            net.at_once(video)
        del raw
    return ledger, operations.flops - before


def _on_meta(load: Workload) -> VideoModel:
    """Build the model as a run of the recipe holds it, without storages."""
    net = build_model(load.model, "meta")
    if load.weights == "fp16":
        net.to_half()
    if load.precision != "fp32":
        net.lower_frozen(torch.float16)  # bfloat16 is as large
    if load.checkpoint:
        net.recompute()
    return net


def _cast(load: Workload) -> Precision:
    """The autocast; weights in half precision need none."""
    return "fp32" if load.precision == "fp32" else "amp16"


def lines(few: Part, many: Part) -> set[Line]:
    """Return for each moment the line through what is live then with FEW and with MANY clips."""
    low, high = few.ledger.moments(), many.ledger.moments()
    assert len(low) == len(high), "the number of clips decides what is allocated"
    each = {(a, (b - a) / (MANY - FEW)) for a, b in zip(low, high, strict=True)}
    return {(a - slope * FEW, slope) for a, slope in each}


def in_gib(lines: Iterable[Line]) -> list[Line]:
    """Return what is left of lines in bytes by `highest`."""
    return [(fixed / GIB, each / GIB) for fixed, each in highest(lines)]


def highest(lines: Iterable[Line]) -> list[Line]:
    """Return the lines that are the highest somewhere from one clip on, in the order of clips."""
    left = set(lines)
    top = max(left, key=lambda line: (line[0] + line[1], line[1]))
    out = [top]
    while left := {line for line in left if line[1] > top[1]}:
        fixed, each = top
        top = min(left, key=lambda line: ((fixed - line[0]) / (line[1] - each), -line[1]))
        out.append(top)
    return out
