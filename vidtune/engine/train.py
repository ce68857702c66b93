"""Train one run with its recipe's optimiser and schedule. The loop, readable top to bottom."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidtune import provenance
from vidtune.engine import model as models
from vidtune.engine import optim
from vidtune.engine.feed import Feed
from vidtune.engine.step import Step
from vidtune.nn.task import VideoModel
from vidtune.progress import progress
from vidtune.spec import Run, write_json

POINTS = 60  # of the loss curve that is kept
SAVE_EVERY = 60.0  # seconds between snapshots to resume from

Losses = list[tuple[int, float]]
Parts = dict[str, Any]  # what has a state besides the model: optimiser, schedule, scaler


def train(run: Run, out: Path) -> None:
    """Write the tuned parameters to `out` and the course of training to `train.json` beside it.

    Running out of memory and diverging are results: `status` says so and nothing is tuned.
    A training that was stopped goes on from `resume.pt`.
    """
    where = models.device()
    torch.manual_seed(run.seed)
    start = time.monotonic()
    report: dict[str, Any] = {"status": "ok", "losses": [], "steps": 0, "replaced": 0}
    state: dict[str, Tensor] = {}
    try:
        model, pretrained = models.build(run, where)
        with models.precision(run.recipe, where):
            feed = Feed(run, model, "train", train=True, where=where)
        report["losses"] = _loop(run, model, pretrained, feed, out.parent / "resume.pt")
        report["steps"] = optim.length(run.recipe, len(feed))
        report["replaced"] = feed.replaced
        state = models.tuned_state(model)
        if not math.isfinite(report["losses"][-1][1]):
            report["status"], state = "diverged", {}
    except (RuntimeError, MemoryError) as e:
        if not models.out_of_memory(e):
            raise
        report["status"] = "oom"
    report["seconds"] = time.monotonic() - start
    report["provenance"] = provenance.stamp(
        provenance.run_digest(run), models.device_name(where), run
    )
    result = {"status": report["status"], "state": state, "replaced": report["replaced"]}
    models.save(out, result)
    write_json(out.parent / "train.json", report)
    (out.parent / "resume.pt").unlink(missing_ok=True)


def _loop(run: Run, model: VideoModel, pretrained: set[str], feed: Feed, snapshot: Path) -> Losses:
    """The loss curve as [step, mean loss since the last point]; ends early where it diverges."""
    recipe = run.recipe
    steps = optim.length(recipe, len(feed))
    stage = Step(model, pretrained, recipe, feed.where)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        stage.optimizer, lambda step: optim.rate(recipe, step, len(feed))
    )
    parts = {"optimizer": stage.optimizer, "schedule": schedule, "scaler": stage.scaler}
    first, losses, feed.replaced = _resume(run, model, parts, snapshot)
    batches = _forever(feed, first)
    model.train()
    recent: list[float] = []
    saved = time.monotonic()
    for step in progress(range(first, steps), steps - first, f"{run.name}: train"):
        with models.precision(recipe, feed.where):
            inputs, target = next(batches)
            loss = stage.loss(feed.outputs(inputs), target)
        stage.backward(loss)
        stage.update()
        schedule.step()
        recent.append(loss.item())
        if not math.isfinite(recent[-1]):
            return [*losses, (step + 1, float("nan"))]
        if (step + 1) % max(1, steps // POINTS) == 0 or step + 1 == steps:
            losses.append((step + 1, sum(recent) / len(recent)))
            recent = []
        if time.monotonic() - saved > SAVE_EVERY:
            saved = time.monotonic()
            facts = {"step": step + 1, "losses": losses, "replaced": feed.replaced}
            _save_snapshot(run, model, parts, snapshot, facts)
    return losses


def _forever(feed: Feed, first: int) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
    """Batches from step `first` on, epoch after epoch."""
    epoch, skip = divmod(first, len(feed))
    while True:
        yield from feed.epoch(epoch, skip)
        epoch, skip = epoch + 1, 0


def _made_by(run: Run) -> str:
    return f"{provenance.spec_digest(run)} {provenance.run_digest(run)}"


def _save_snapshot(
    run: Run, model: VideoModel, parts: Parts, path: Path, facts: dict[str, Any]
) -> None:
    content = {
        "made_by": _made_by(run),
        **facts,
        "state": models.tuned_state(model),
        "rng": torch.get_rng_state(),
        **{name: part.state_dict() for name, part in parts.items()},
    }
    models.save(path, content)


def _resume(run: Run, model: VideoModel, parts: Parts, path: Path) -> tuple[int, Losses, int]:
    """The step to go on from: 0 unless a snapshot of this very run and code is there."""
    if not path.is_file():
        return 0, [], 0
    content = models.load_checkpoint(path)
    if content["made_by"] != _made_by(run):
        return 0, [], 0
    models.load_tuned(model, content["state"], path)
    for name, part in parts.items():
        if content[name]:  # a scaler that was not used has none
            part.load_state_dict(content[name])
    torch.set_rng_state(content["rng"])
    return content["step"], content["losses"], content["replaced"]
