"""A stopped training resumes bit for bit and counts nothing twice."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from vidtune.data import records
from vidtune.engine import optim
from vidtune.engine.checkpoints import load_checkpoint
from vidtune.engine.snapshot import LossCurve
from vidtune.engine.step import Step
from vidtune.engine.train import train
from vidtune.spec import Run, load_json

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adamw_hf": optim.AdamWHF, "bertadam": optim.BertAdam}


def train_with_a_stop(
    run: Run, out: Path, monkeypatch: pytest.MonkeyPatch, between: Callable[[], None] = lambda: None
) -> int:
    """Train, stopped in the fourth step and taken up again; the number of steps begun."""
    monkeypatch.setattr("vidtune.engine.snapshot.SAVE_EVERY", -1.0)
    update, calls = Step.update, []

    def stop(step: Step) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        update(step)

    monkeypatch.setattr(Step, "update", stop)
    with pytest.raises(KeyboardInterrupt):
        train(run, out)
    assert [p.name for p in out.parent.iterdir()] == ["resume.pt"]
    between()
    train(run, out)
    assert not (out.parent / "resume.pt").exists()
    return len(calls)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_stopped_training_resumes(optimizer, short_run, tmp_path, monkeypatch):
    run = short_run("tempme/lora-b32@0", steps=6, optimizer=optimizer)
    whole, stopped = tmp_path / "whole" / "model.pt", tmp_path / "stopped" / "model.pt"
    train(run, whole)
    assert train_with_a_stop(run, stopped, monkeypatch) == 4 + 3  # three steps were not done twice
    states = load_checkpoint(whole)["state"], load_checkpoint(stopped)["state"]
    for key in states[0]:
        assert torch.equal(states[0][key], states[1][key]), key


def test_a_training_on_new_weights_does_not_resume(short_run, tmp_path, monkeypatch):
    weights = tmp_path / "clip.pt"
    weights.write_bytes(Path(short_run("tempme/lora-b32@0").weights).read_bytes())
    run = short_run("tempme/lora-b32@0", steps=6).model_copy(update={"weights": str(weights)})
    exchange = partial(os.utime, weights, (time.time() + 9, time.time() + 9))
    assert train_with_a_stop(run, tmp_path / "a" / "model.pt", monkeypatch, exchange) == 4 + 6


def test_a_stopped_training_counts_no_broken_video_twice(damageable_run, tmp_path, monkeypatch):
    """Stopped in the middle of an epoch: the batches before are neither made nor counted again."""
    run = damageable_run(random_train_frames=True, on_broken="replace")
    for record in records.read(Path(run.data), "train")[:5]:  # one or more in each batch
        record.path.write_bytes(b"")
    train(run, tmp_path / "whole" / "model.pt")
    assert train_with_a_stop(run, tmp_path / "stopped" / "model.pt", monkeypatch) == 4 + 1
    whole, stopped = (load_json(tmp_path / k / "train.json") for k in ("whole", "stopped"))
    assert stopped["losses"] == [[k, pytest.approx(loss)] for k, loss in whole["losses"]]
    assert stopped["replaced"] == whole["replaced"] == 10  # five an epoch


def test_a_loss_curve_resumes_between_two_points():
    losses = [float(k) for k in range(1, 121)]
    whole, first, second = LossCurve(120), LossCurve(120), LossCurve(120)
    for number, loss in enumerate(losses, 1):
        whole.add(number, loss)
        if number == 62:
            second.load_state_dict(first.state_dict())
        (first if number < 62 else second).add(number, loss)
    assert second.points == whole.points and len(whole.points) == 60
    assert whole.points[0] == (2, 1.5) and whole.points[-1] == (120, 119.5)
    assert whole.describe() == "loss 120.0000" and not whole.diverged
