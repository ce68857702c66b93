"""Train one run with its recipe's optimiser and schedule. One loop for every method."""

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from vidtune import provenance
from vidtune.data.batches import Batches, MakeBatches
from vidtune.engine import optim
from vidtune.engine.build_run import build_run
from vidtune.engine.checkpoints import save, tuned_state
from vidtune.engine.device import device_name, out_of_memory, pick_device, precision
from vidtune.engine.features import remember
from vidtune.engine.snapshot import LossCurve, Snapshot
from vidtune.engine.step import Step
from vidtune.nn.task import VideoModel
from vidtune.progress import progress
from vidtune.spec import Run, write_json


def train(run: Run, out: Path, make_batches: MakeBatches = Batches) -> None:
    """Write the tuned parameters to `out` and the course of training to `train.json` beside it.

    Running out of memory and diverging are results: `status` says so and nothing is tuned.
    A training that was stopped resumes from `resume.pt`.
    """
    start = time.monotonic()
    device = pick_device()
    snapshot = out.parent / "resume.pt"
    report: dict[str, Any] = {"status": "ok", "losses": [], "steps": 0, "replaced": 0}
    state: dict[str, Tensor] = {}
    try:
        model, curve, data = _trained(run, device, snapshot, make_batches)
        report |= {"losses": curve.points, "steps": curve.steps, "replaced": data.replaced}
        if curve.diverged:
            report["status"] = "diverged"
        else:
            state = tuned_state(model)
    except (RuntimeError, MemoryError) as e:
        if not out_of_memory(e):
            raise
        report["status"] = "oom"
    report["seconds"] = time.monotonic() - start
    report["provenance"] = provenance.stamp(provenance.run_digest(run), device_name(device), run)
    save(out, {"status": report["status"], "state": state, "replaced": report["replaced"]})
    write_json(out.parent / "train.json", report)
    snapshot.unlink(missing_ok=True)


def _trained(
    run: Run, device: torch.device, path: Path, make_batches: MakeBatches
) -> tuple[VideoModel, LossCurve, Batches]:
    """The model after its last step, or after the one in which the loss was no number."""
    torch.manual_seed(run.seed)
    recipe = run.recipe
    model, pretrained = build_run(run, device)
    data = make_batches(run, "train", train=True, device=device)
    with precision(recipe, device):
        forward = model if remember(model, data) else model.at_once
    steps = optim.total_steps(recipe, len(data))

    step = Step(model, pretrained, recipe, device)
    schedule = LambdaLR(step.optimizer, lambda i: optim.rate(recipe, i, len(data)))
    curve = LossCurve(steps)
    snapshot = Snapshot(path, model, data, {"step": step, "schedule": schedule, "losses": curve})
    done = snapshot.restore()
    stream = data.from_step(done)
    model.train()
    for i in progress(range(done, steps), steps - done, f"{run.name}: train", note=curve.describe):
        with precision(recipe, device):
            batch = next(stream)
            outputs = forward(*batch.inputs, **batch.masks)
            loss = step.loss(outputs, batch.target)
        step.backward(loss)
        step.update()
        schedule.step()
        curve.add(i + 1, loss.item())
        if curve.diverged:
            break
        snapshot.save_when_due(i + 1)
    return model, curve, data
