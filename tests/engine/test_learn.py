"""Seeds that share a process: the same numbers as apart, and nothing made twice."""

import os
import signal
from pathlib import Path

import pytest
import torch
from helpers.common import one_line

from vidtune.data.batches import Batches, SharedBatches
from vidtune.engine import evaluate as testing
from vidtune.engine import scores
from vidtune.engine.build_run import build_run
from vidtune.engine.checkpoints import load_checkpoint
from vidtune.engine.evaluate import evaluate
from vidtune.engine.learn import learn
from vidtune.engine.step import Step
from vidtune.engine.train import Training, train
from vidtune.nn.task import VideoModel
from vidtune.spec import Run, Stopped, load_json, write_json

FROZEN, TUNED = "side4video/b16-ssv1@0", "tempme/tempme-b32@0"
FILES = [".eval.json", "eval.json", "model.pt", "train.json"]


def with_seed(run: Run, seed: int) -> Run:
    name = run.name.replace("@0", f"@{seed}")
    return run.model_copy(update={"name": name, "seed": seed})


@pytest.mark.parametrize("name", [FROZEN, TUNED, "side4video/clip4clip-b32-msrvtt@0"])
def test_learning_together_is_learning_apart(name, short_run, tmp_path):
    runs = [with_seed(short_run(name), seed) for seed in (2, 0)]
    learn(runs, tmp_path)
    for run in runs:
        together, apart = tmp_path / run.name, tmp_path / "apart" / run.name
        assert sorted(p.name for p in together.iterdir()) == FILES
        train(run, apart / "model.pt")
        write_json(apart / "eval.json", evaluate(run, apart / "model.pt"))
        states = (load_checkpoint(folder / "model.pt")["state"] for folder in (together, apart))
        for ours, theirs in zip(*(s.values() for s in states), strict=True):
            assert torch.equal(ours, theirs)
        for file, keys in {
            "train.json": ("losses", "steps"),
            "eval.json": ("metrics", "n"),
        }.items():
            ours, theirs = (load_json(folder / file) for folder in (together, apart))
            assert [ours[k] for k in keys] == [theirs[k] for k in keys]
            assert ours["provenance"]["spec"] == theirs["provenance"]["spec"]


def test_clips_and_features_are_made_once(short_run, tmp_path, monkeypatch):
    run = short_run(FROZEN)
    method = type(build_run(run, torch.device("cpu"))[0])
    prepared, kept = [], method.prepare

    def prepare(model: VideoModel, video: torch.Tensor) -> tuple[torch.Tensor, ...]:
        prepared.append(len(video))
        return kept(model, video)

    monkeypatch.setattr(method, "prepare", prepare)
    learn([with_seed(run, seed) for seed in range(3)], tmp_path)
    assert [n for n in prepared if n > 1] == [24, 12]  # training and test clips; 1: for their size


def test_shared_batches_keep_the_order_of_each_seed(short_run):
    make, cpu = SharedBatches(), torch.device("cpu")
    for seed in (0, 1):
        run = with_seed(short_run(FROZEN), seed)
        shared = make(run, "train", train=True, device=cpu)
        alone = Batches(run, "train", train=True, device=cpu)
        for ours, theirs in zip(shared.epoch(1), alone.epoch(1), strict=True):
            assert torch.equal(ours.target, theirs.target)
            assert torch.equal(ours.inputs[0], theirs.inputs[0])
        assert shared.clips.seed == seed and shared.videos.data_ptr() == first(make).data_ptr()


def first(make: SharedBatches) -> torch.Tensor:
    return make.made["train", True, "1x1"].videos


def ages(folder: Path) -> dict[str, int]:
    return {
        str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*.*") if p.is_file()
    }


def test_a_stopped_job_goes_on_with_the_seed_it_was_at(short_run, tmp_path, monkeypatch):
    """Also where Snakemake has deleted the results that it knows of."""
    runs = [with_seed(short_run(TUNED), seed) for seed in range(3)]
    update, steps = Step.update, []

    def stop(step: Step) -> None:
        steps.append(1)
        if len(steps) == 4 + 2:
            raise KeyboardInterrupt
        update(step)

    monkeypatch.setattr(Step, "update", stop)
    with pytest.raises(KeyboardInterrupt):
        learn(runs, tmp_path)
    finished = tmp_path / runs[0].name
    assert sorted(p.name for p in finished.iterdir()) == FILES
    before = load_json(finished / "eval.json")
    (finished / "eval.json").unlink()
    trained, tests = ages(finished), []
    monkeypatch.setattr(testing, "score", lambda *a: tests.append(1) or scores.score(*a))
    learn(runs, tmp_path)
    assert len(tests) == 2  # nor is the first one tested again
    assert len(steps) == 4 + 2 + 4 + 4
    assert trained.items() <= ages(finished).items()
    assert load_json(finished / "eval.json") == before
    made = ages(tmp_path)
    learn(runs, tmp_path)
    assert ages(tmp_path) == made and len(made) == 12


def test_a_job_that_is_told_at_the_end_of_a_training_begins_no_other(
    short_run, tmp_path, monkeypatch
):
    runs, write = [with_seed(short_run(TUNED), seed) for seed in range(2)], Training.write

    def told(training: Training, out: Path) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        write(training, out)

    monkeypatch.setattr(Training, "write", told)
    with pytest.raises(Stopped, match="stopped as it was starting"):
        learn(runs, tmp_path)
    assert sorted(p.name for p in (tmp_path / runs[0].name).iterdir()) == ["model.pt", "train.json"]
    assert not (tmp_path / runs[1].name).exists()


@pytest.mark.parametrize("change", ["spec", "weights", "code", "half a file"])
def test_what_is_out_of_date_is_learned_again(change, short_run, tmp_path, monkeypatch):
    run = short_run(TUNED)
    weights = tmp_path / "clip.pt"
    weights.write_bytes(Path(run.weights).read_bytes())
    run = run.model_copy(update={"weights": str(weights)})
    learn([run], tmp_path)
    made = ages(tmp_path / run.name)
    if change == "spec":
        run = run.model_copy(update={"recipe": run.recipe.model_copy(update={"lr": 1e-4})})
    elif change == "weights":
        weights.write_bytes(weights.read_bytes() + b"0")  # which torch does not read
    elif change == "code":
        monkeypatch.setattr("vidtune.provenance.run_digest", lambda run: "another")
    else:
        (tmp_path / run.name / "train.json").write_text("{")
    learn([run], tmp_path)
    same = {name for name, _ in made.items() & ages(tmp_path / run.name).items()}
    assert same == (
        {"eval.json", ".eval.json"} if change == "half a file" else set()
    )  # of the very same weights


def test_runs_that_are_learned_together_differ_in_their_seed_alone(short_run, tmp_path, vidtune):
    specs = [tmp_path / f"{k}.json" for k in range(2)]
    for path, name in zip(specs, (FROZEN, "side4video/b16-ssv1-cls@0"), strict=True):
        write_json(path, short_run(name))
    code, _, err = vidtune("learn", "--spec", *specs, "--out", tmp_path / "out")
    assert code == 2 and "differ in their seed alone" in one_line(err)
    assert not (tmp_path / "out").exists()
