"""A stopped training resumes bit for bit and counts nothing twice."""

import math
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from vidtune.data import records
from vidtune.data.clips import Clips
from vidtune.data.video import cores
from vidtune.engine import optim
from vidtune.engine.checkpoints import load_checkpoint
from vidtune.engine.made import REQUEUE, alone
from vidtune.engine.snapshot import CHECKSUM, LossCurve, Snapshot
from vidtune.engine.step import Step
from vidtune.engine.train import train
from vidtune.spec import Run, Stopped, UserError, load_json, write_json

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adamw_hf": optim.AdamWHF, "bertadam": optim.BertAdam}


def train_with_a_stop(
    run: Run, out: Path, monkeypatch: pytest.MonkeyPatch, between: Callable[[], None] = lambda: None
) -> int:
    """Train, stopped in the fourth step and taken up again; the number of steps begun."""
    save_every_step(monkeypatch)
    update, calls = Step.update, []

    def stop(step: Step) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        update(step)

    monkeypatch.setattr(Step, "update", stop)
    with pytest.raises(KeyboardInterrupt):
        train(run, out)
    assert sorted(p.name for p in out.parent.iterdir()) == ["resume-1.pt", "resume.pt"]
    between()
    train(run, out)
    assert sorted(p.name for p in out.parent.iterdir()) == ["model.pt", "train.json"]
    return len(calls)


def save_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidtune.engine.snapshot.SAVE_EVERY", 0.0)
    monkeypatch.setattr("vidtune.engine.snapshot.SHARE", math.inf)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_stopped_training_resumes(optimizer, short_run, tmp_path, monkeypatch):
    run = short_run("tempme/lora-b32@0", steps=6, optimizer=optimizer)
    whole, stopped = tmp_path / "whole" / "model.pt", tmp_path / "stopped" / "model.pt"
    train(run, whole)
    assert train_with_a_stop(run, stopped, monkeypatch) == 4 + 3  # three steps were not done twice
    states = load_checkpoint(whole)["state"], load_checkpoint(stopped)["state"]
    for key in states[0]:
        assert torch.equal(states[0][key], states[1][key]), key


def test_dropout_resumes_too(short_run, tmp_path, monkeypatch):
    """Its draws follow from the clips, also where workers decode them anew in every epoch."""
    run = short_run("side4video/b16-ssv1@0", steps=6, random_train_frames=True)
    options = {"layers": 2, "width": 16, "dropout": 0.5, "pre_mlp": True, "pre_attn": False}
    model = run.model.model_copy(update={"method": "st_adapter", "options": options})
    run = run.model_copy(update={"model": model})
    train(run, tmp_path / "whole" / "model.pt")
    train_with_a_stop(run, tmp_path / "stopped" / "model.pt", monkeypatch, perturb)
    states = [load_checkpoint(tmp_path / k / "model.pt")["state"] for k in ("whole", "stopped")]
    for key in states[0]:
        assert torch.equal(states[0][key], states[1][key]), key


def perturb() -> None:
    torch.manual_seed(123)


def test_told_to_stop_a_training_leaves_its_last_step(short_run, tmp_path, monkeypatch, vidtune):
    """By a scheduler, which ends it soon: the code says that it can go on."""
    run = short_run("tempme/lora-b32@0", steps=6)
    write_json(tmp_path / "spec.json", run)
    out, update, calls = tmp_path / "x" / "model.pt", Step.update, []

    def told(step: Step) -> None:
        update(step)
        calls.append(1)
        if len(calls) in (2, 3):
            os.kill(os.getpid(), (signal.SIGTERM, signal.SIGUSR1)[len(calls) - 2])

    monkeypatch.setattr(Step, "update", told)
    for step in (2, 3):
        code, _, err = vidtune("train", "--spec", tmp_path / "spec.json", "--out", out)
        os.kill(os.getpid(), signal.SIGTERM)  # once more, as it ends
        assert code == 75 and f"stopped after step {step} of 6\n" in err
    assert "resume.pt" in [p.name for p in out.parent.iterdir()] and not out.exists()
    assert vidtune("train", "--spec", tmp_path / "spec.json", "--out", out)[0] == 0
    assert len(calls) == 6
    train(run, tmp_path / "whole" / "model.pt")
    states = [load_checkpoint(p)["state"] for p in (out, tmp_path / "whole" / "model.pt")]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_told_to_stop_as_it_decodes_a_job_ends_at_once(short_run, tmp_path, monkeypatch, vidtune):
    """A training, and then a test: what they were at is nothing that a snapshot could keep."""
    run, read, videos = short_run("tempme/lora-b32@0", steps=2), Clips.__getitem__, []
    run = run.model_copy(update={"dataset": run.dataset.model_copy(update={"generated": None})})
    write_json(tmp_path / "spec.json", run)
    out, result = tmp_path / "x" / "model.pt", tmp_path / "x" / "eval.json"
    jobs = ("train", "--out", out), ("evaluate", "--checkpoint", out, "--out", result)

    def told(clips: Clips, item: int):
        videos.append(item)
        if item == clips.firsts[0]:
            os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.2)
        return read(clips, item)

    for verb, *places in jobs:
        monkeypatch.setattr(Clips, "__getitem__", told)
        code, _, err = vidtune(verb, "--spec", tmp_path / "spec.json", *places)
        assert code == 75 and "stopped as it was starting\n" in err
        assert 0 < len(videos) <= 2 * cores()
        assert out.parent.exists() == (verb == "evaluate") and not result.exists()
        monkeypatch.setattr(Clips, "__getitem__", read)
        videos.clear()
        assert vidtune(verb, "--spec", tmp_path / "spec.json", *places)[0] == 0


@pytest.mark.parametrize("refuses", [False, True])
def test_a_job_that_is_warned_queues_itself_again(
    refuses, short_run, tmp_path, monkeypatch, vidtune
):
    """Of SLURM, by SIGUSR1 alone, and where it has got any further."""
    run, update, steps = short_run("tempme/lora-b32@0", steps=6), Step.update, []
    write_json(tmp_path / "spec.json", run)
    out, scontrol, said = tmp_path / "x" / "model.pt", tmp_path / "scontrol", tmp_path / "said"
    refusal = "echo slurm_update error: Access denied >&2; exit 1" if refuses else ""
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {said}\n{refusal}\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "47")
    monkeypatch.setenv(REQUEUE, "1")

    def told(step: Step) -> None:
        update(step)
        steps.append(1)
        os.kill(os.getpid(), signal.SIGTERM if len(steps) == 1 else signal.SIGUSR1)

    monkeypatch.setattr(Step, "update", told)
    given = ("train", "--spec", tmp_path / "spec.json", "--out", out)
    assert vidtune(*given)[0] == 75 and not said.exists()
    code, _, err = vidtune(*given)
    assert code == 75 and said.read_text() == "requeue 47\n"
    how = "Access denied; it is left to Snakemake" if refuses else "queued again, as the time ends"
    assert how in err and "stopped after step 2 of 6\n" in err


def test_a_damaged_snapshot_is_set_aside(short_run, tmp_path, monkeypatch, capsys):
    """The one before it is taken; with both damaged the training starts anew."""
    for damaged in (["resume.pt"], ["resume.pt", "resume-1.pt"]):
        out = tmp_path / str(len(damaged)) / "model.pt"

        def damage(out: Path = out, names: list[str] = damaged) -> None:
            for name in names:
                content = bytearray((out.parent / name).read_bytes())
                content[len(content) // 2] ^= 1
                (out.parent / name).write_bytes(content)

        run = short_run("tempme/lora-b32@0", steps=6)
        with pytest.raises(AssertionError, match="damaged"):  # the file is still there to look at
            train_with_a_stop(run, out, monkeypatch, damage)
        monkeypatch.undo()
        assert capsys.readouterr().err.count("a damaged snapshot") == len(damaged)
        kept = sorted(p.name for p in out.parent.iterdir())
        assert kept == sorted(["model.pt", "train.json", *(f"{n}.damaged" for n in damaged)])


def test_a_snapshot_that_cannot_be_written_ends_nothing(short_run, tmp_path, monkeypatch, capsys):
    def full(path: Path, data: bytes) -> None:
        raise UserError(f"{path}: cannot write: No space left on device; free some space")

    monkeypatch.setattr("vidtune.engine.snapshot.write_bytes", full)
    save_every_step(monkeypatch)
    train(short_run("tempme/lora-b32@0"), tmp_path / "model.pt")
    assert capsys.readouterr().err.count("goes on without one") == 4
    assert load_json(tmp_path / "train.json")["status"] == "ok"


def test_a_stop_of_which_nothing_is_kept_says_so(short_run, tmp_path, monkeypatch, vidtune):
    def full(path: Path, data: bytes) -> None:
        raise UserError(f"{path}: cannot write: No space left on device; free some space")

    def told(step: Step) -> None:
        update(step)
        os.kill(os.getpid(), signal.SIGTERM)

    write_json(tmp_path / "spec.json", short_run("tempme/lora-b32@0"))
    update = Step.update
    monkeypatch.setattr(Step, "update", told)
    monkeypatch.setattr("vidtune.engine.snapshot.write_bytes", full)
    given = ("train", "--spec", tmp_path / "spec.json", "--out", tmp_path / "x" / "model.pt")
    code, _, err = vidtune(*given)
    assert code == 75 and "stopped after step 1 of 4; what is kept ends with step 0" in err


def test_hours_of_work_of_other_code_are_not_thrown_away(short_run, tmp_path, monkeypatch, capsys):
    run, out = short_run("tempme/lora-b32@0", steps=6), tmp_path / "model.pt"
    monkeypatch.setattr("vidtune.engine.snapshot.WORTH", 0.0)

    def change() -> None:
        monkeypatch.setattr("vidtune.provenance.run_digest", lambda run: "another")

    with pytest.raises(UserError, match=r"resume.pt: a snapshot of step 3 .*made by code"):
        train_with_a_stop(run, out, monkeypatch, change)
    assert (out.parent / "resume.pt").exists()
    monkeypatch.setattr("vidtune.engine.snapshot.WORTH", 600.0)
    monkeypatch.setattr(Step, "update", Step.update)
    train(run, out)
    assert "made by other code (step 3 after 0 min); starting anew" in capsys.readouterr().err


def test_hours_of_work_of_another_recipe_are_kept_beside(short_run, tmp_path, monkeypatch, capsys):
    update, out = Step.update, tmp_path / "model.pt"

    def told(step: Step) -> None:
        update(step)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Step, "update", told)
    monkeypatch.setattr("vidtune.engine.snapshot.WORTH", 0.0)
    for _ in range(2):
        with pytest.raises(Stopped):
            train(short_run("tempme/lora-b32@0", steps=6), out)
    kept = (tmp_path / "resume.pt").read_bytes()
    monkeypatch.setattr(Step, "update", update)
    train(short_run("tempme/lora-b32@0", lr=0.5), out)
    assert "a snapshot of another spec, or of other clips" in capsys.readouterr().err
    assert (tmp_path / "resume.pt.other").read_bytes() == kept
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "model.pt",
        "resume.pt.other",
        "train.json",
    ]


def test_one_run_is_trained_by_one_process(short_run, tmp_path):
    run = short_run("tempme/lora-b32@0")
    with alone(run, tmp_path), pytest.raises(UserError, match=f"process {os.getpid()} on"):
        train(run, tmp_path / "model.pt")
    write_json(tmp_path / "training.json", {"host": "another", "pid": 1})
    os.utime(tmp_path / "training.json", (time.time() - 4000, time.time() - 4000))  # it has died
    train(run, tmp_path / "model.pt")
    made = (tmp_path / "model.pt").stat().st_mtime_ns
    train(run, tmp_path / "model.pt")  # what is made is not made again
    assert (tmp_path / "model.pt").stat().st_mtime_ns == made


def test_a_training_on_new_weights_does_not_resume(short_run, tmp_path, monkeypatch):
    weights = tmp_path / "clip.pt"
    weights.write_bytes(Path(short_run("tempme/lora-b32@0").weights).read_bytes())
    run = short_run("tempme/lora-b32@0", steps=6).model_copy(update={"weights": str(weights)})
    other = weights.read_bytes() + b"0"  # which torch does not read
    exchange = partial(weights.write_bytes, other)
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


def test_another_machine_waits_for_the_snapshot_that_the_first_process_has(
    short_run, tmp_path, monkeypatch
):
    monkeypatch.setattr("vidtune.engine.snapshot.LATE", 0.0)
    run = short_run("tempme/lora-b32@0", steps=6)
    seen = []

    def look() -> None:
        path = tmp_path / "resume.pt"
        data = path.read_bytes()
        snapshot = object.__new__(Snapshot)
        seen.append(snapshot._same(path, data[-CHECKSUM:])["done"])
        with pytest.raises(UserError, match="not the snapshot that the first process goes on from"):
            snapshot._same(path, bytes(CHECKSUM))

    train_with_a_stop(run, tmp_path / "model.pt", monkeypatch, look)
    assert seen == [3]


def test_one_loss_that_is_no_number_is_no_divergence_even_at_the_end():
    curve = LossCurve(20)
    for number in range(1, 21):
        curve.add(number, math.nan if number == 20 else 1.0)
    assert not curve.diverged
    for number in range(21, 30):
        curve.add(number, math.inf)
    assert curve.diverged


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
