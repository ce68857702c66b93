"""Tests in the course of a training: when, what they leave alone, and which weights count as the best."""

import math
import os
import signal

import pytest
import torch
from helpers.common import REPO

from vidtune.engine import scores
from vidtune.engine.checkpoints import load_checkpoint
from vidtune.engine.evaluate import evaluate
from vidtune.engine.step import Step
from vidtune.engine.train import train
from vidtune.plan import load
from vidtune.spec import UserError, load_json, write_json
from vidtune.spec.recipe import Recipe, Selection

RECOGNITION, RETRIEVAL = "side4video/b16-ssv1@0", "tempme/lora-b32@0"
EVERY_STEP = {"metric": "r1", "every": 1}


@pytest.mark.parametrize(
    ("recipe", "per_epoch", "epochs", "tests"),
    [
        ("tempme-retrieval", 1406, 5, 52),  # main.py:335,487 on MSR-VTT's 180,000 pairs
        ("clip4clip-retrieval", 1406, 5, 5),
        ("side4video-ss-b", 1319, 30, 24),  # 6 epochs are passed over
        ("side4video-ss-e", 1319, 25, 2),
        ("side4video-k400-e", 1000, 20, 2),
    ],
)
def test_the_authors_times(recipe, per_epoch, epochs, tests):
    select = load(REPO / "config", {"scale": "full"}).config.recipes[recipe].select
    steps = per_epoch * epochs
    due = [k for k in range(1, steps + 1) if select.is_due(k, per_epoch, steps)]
    assert len(due) == tests and due[-1] == steps
    assert (due[0] == 1) == (recipe == "tempme-retrieval")


def test_those_who_report_the_last_weights_select_none():
    recipes = load(REPO / "config").config.recipes
    last = ("st-adapter-ss", "aim-k400-l", "evl-k400", "dist-ss", "mini-retrieval")
    assert not any(recipes[name].select for name in last)


def test_the_first_or_the_last_of_equals_counts():
    first, last = (Selection(metric="r1", ties=ties) for ties in ("first", "last"))
    assert not first.is_better(40.0, 40.0) and last.is_better(40.0, 40.0)
    assert first.is_better(40.1, 40.0) and not last.is_better(39.9, 40.0)
    fields = {"name": "x", "task": "recognition", "lr": 1.0, "weight_decay": 0.0, "batch": 1}
    with pytest.raises(ValueError, match="metric: expected top1 in recognition; found r1"):
        Recipe.model_validate({**fields, "steps": 1, "select": {"metric": "r1"}})


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (RETRIEVAL, {}),
        (RECOGNITION, {"random_train_frames": True, "group": 4}),  # decoded by workers, BatchNorm
        ("side4video/b16-ssv1-probe@0", {}),  # features of a frozen trunk
    ],
)
def test_a_training_goes_on_as_if_it_was_not_tested(name, changes, short_run, tmp_path):
    metric = "r1" if name == RETRIEVAL else "top1"
    states, losses, draws = [], [], []
    for select in (None, {"metric": metric, "every": 1}):
        run, out = short_run(name, **changes, select=select), tmp_path / str(select) / "model.pt"
        train(run, out)
        draws.append(torch.get_rng_state())
        states.append(load_checkpoint(out)["state"])
        report = load_json(out.parent / "train.json")
        losses.append(report["losses"])
    assert losses[0] == losses[1] and torch.equal(*draws)
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert [step for step, _ in report["tested"]] == [1, 2, 3, 4]


@pytest.mark.parametrize(("name", "metric"), [(RETRIEVAL, "r1"), (RECOGNITION, "top1")])
@pytest.mark.parametrize("ties", ["first", "last"])
def test_both_the_last_and_the_best_are_evaluated(name, metric, ties, short_run, tmp_path, capsys):
    run = short_run(name, steps=6, select={"metric": metric, "every": 1, "ties": ties})
    out = tmp_path / "model.pt"
    train(run, out)
    report = load_json(tmp_path / "train.json")
    said = [line for line in capsys.readouterr().err.splitlines() if "; best " in line]
    assert len(said) == 6 and said[-1].endswith(f"after step {report['best']}")
    curve = {step: found for step, found in report["tested"]}
    most = max(found[metric] for found in curve.values())
    steps = [step for step, found in curve.items() if found[metric] == most]
    assert list(curve) == [1, 2, 3, 4, 5, 6]
    assert report["best"] == (steps[0] if ties == "first" else steps[-1])
    result = evaluate(run, out)
    assert result["metrics"] == curve[6]
    assert result["best"] == {"step": report["best"], "tests": 6, "metrics": curve[report["best"]]}
    assert evaluate(run, tmp_path / "best.pt")["metrics"] == curve[report["best"]]


def test_several_views_are_for_the_end(short_run, tmp_path):
    """A training is tested in a single view; its best weights then in all."""
    run = short_run(RECOGNITION, select={"metric": "top1", "every": 2, "ties": "last"})
    several = run.model_copy(update={"model": run.model.model_copy(update={"views": "3x2"})})
    for which, its in (("one", run), ("several", several)):
        train(its, tmp_path / which / "model.pt")
    tested = [load_json(tmp_path / k / "train.json")["tested"] for k in ("one", "several")]
    assert tested[0] == tested[1] and [step for step, _ in tested[0]] == [2, 3, 4]
    best = evaluate(several, tmp_path / "several" / "model.pt")["best"]
    alone = evaluate(several, tmp_path / "several" / "best.pt")
    assert best["metrics"] == alone["metrics"]


def test_best_weights_of_another_training_are_refused(short_run, tmp_path):
    run, out = short_run(RETRIEVAL, select=EVERY_STEP), tmp_path / "model.pt"
    train(run, out)
    content = load_checkpoint(out)
    content["best"] = {"step": 3, "tests": 4}
    torch.save(content, out)
    best = load_checkpoint(tmp_path / "best.pt")
    torch.save({**best, "step": 2}, tmp_path / "best.pt")
    with pytest.raises(UserError, match=r"best.pt: step: expected 3, .* found 2; train again"):
        evaluate(run, out)
    torch.save({k: v for k, v in content.items() if k != "best"}, out)
    with pytest.raises(UserError, match=r"model.pt: best: missing"):
        evaluate(run, out)


def test_a_stopped_training_has_the_same_curve_and_best_weights(
    short_run, tmp_path, monkeypatch, vidtune
):
    """Told before a test that is due, and in the middle of one: both are made up for."""
    run = short_run(RETRIEVAL, steps=6, select={**EVERY_STEP, "every": 2})
    train(run, tmp_path / "whole" / "model.pt")
    write_json(tmp_path / "spec.json", run)
    out = tmp_path / "stopped" / "model.pt"
    update, outputs, stops = Step.update, scores._outputs, []

    def told_in_step(step: Step) -> None:
        update(step)
        stops.append("step")
        if stops.count("step") == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    def told_in_test(*args):
        stops.append("test")
        if stops.count("test") == 4:
            os.kill(os.getpid(), signal.SIGUSR1)
        return outputs(*args)

    monkeypatch.setattr(Step, "update", told_in_step)
    monkeypatch.setattr(scores, "_outputs", told_in_test)
    given = ("train", "--spec", tmp_path / "spec.json", "--out", out)
    for step in (3, 4):
        code, _, err = vidtune(*given)
        assert code == 75 and f"stopped after step {step} of 6" in err
    assert vidtune(*given)[0] == 0
    assert (
        stops.count("step") == 6 and stops.count("test") == 6
    )  # after 2, 3, 4 and 6, those at a stop twice
    reports = [load_json(tmp_path / k / "train.json") for k in ("whole", "stopped")]
    assert reports[0]["tested"] == reports[1]["tested"] and reports[0]["best"] == reports[1]["best"]
    for name in ("model.pt", "best.pt"):
        one, other = (load_checkpoint(tmp_path / k / name)["state"] for k in ("whole", "stopped"))
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_training_without_its_best_weights_is_not_made(short_run, tmp_path):
    run, out = short_run(RETRIEVAL, select=EVERY_STEP), tmp_path / "model.pt"
    train(run, out)
    (tmp_path / "best.pt").unlink()
    train(run, out)
    assert (tmp_path / "best.pt").is_file()


def test_a_test_leaves_the_model_in_training(short_run, tmp_path, monkeypatch):
    modes = []
    gradients = Step.gradients

    def look(step: Step, *args):
        modes.append(step.model.training)
        return gradients(step, *args)

    monkeypatch.setattr(Step, "gradients", look)
    train(short_run(RECOGNITION, select={"metric": "top1", "every": 1}), tmp_path / "model.pt")
    assert modes == [True] * 4


def test_a_training_that_diverges_later_leaves_its_best_weights(
    short_run, tmp_path, monkeypatch, capsys
):
    """As its authors would report them; of the last ones there is nothing."""
    run, update, steps = short_run(RETRIEVAL, steps=40, select=EVERY_STEP), Step.update, []

    def spoil(step: Step) -> None:
        update(step)
        steps.append(1)
        if len(steps) == 3:
            step.tuned[0].data.fill_(math.nan)

    monkeypatch.setattr(Step, "update", spoil)
    train(run, tmp_path / "model.pt")
    best = load_json(tmp_path / "train.json")["best"]
    assert best in (1, 2)
    said = f"the loss or the weights are no numbers; the best weights, after step {best}, are kept"
    assert said in capsys.readouterr().err
    result = evaluate(run, tmp_path / "model.pt")
    tested = dict(load_json(tmp_path / "train.json")["tested"])
    assert result["status"] == "diverged" and result["metrics"] == {}
    assert result["best"] == {"step": best, "tests": len(tested), "metrics": tested[best]}
    assert result["n"] == 12
