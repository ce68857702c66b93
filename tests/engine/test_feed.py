"""Batches that are decoded as training goes: augmented, repeated, and with broken videos replaced."""

from pathlib import Path

import pytest
import torch
from helpers.common import REPO

from vidtune.data import records
from vidtune.engine import model as models
from vidtune.engine.evaluate import evaluate
from vidtune.engine.feed import Feed
from vidtune.engine.step import Step
from vidtune.engine.train import train
from vidtune.motion import generate
from vidtune.nn.clip import CLIP
from vidtune.plan import load
from vidtune.spec import Recipe, Resized, Run, UserError, load_json, write_json

AUGMENT = {
    "randaugment": "rand-m7-n4-mstd0.5-inc1",
    "crop": "side4video",
    "flip": 0.5,
    "gray": 0.2,
    "repeats": 2,
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Eight training clips and a randomly initialised mini CLIP."""
    plan = load(REPO / "config", {"scale": "smoke"})
    files = plan.generated["motion-smoke"]
    small = files.model_copy(update={"clips": {"train": 8, "val": 4, "test": 4}})
    generate.generate(small, tmp_path / "data", show=False)
    torch.manual_seed(0)
    torch.save(CLIP(plan.config.backbones["mini-smoke"]).state_dict(), tmp_path / "clip.pt")
    places = {"data": str(tmp_path / "data"), "weights": str(tmp_path / "clip.pt")}
    return plan.runs["side4video/b16-ssv1@0"].model_copy(update=places)


def changed(run: Run, **changes: object) -> Run:
    fields = {**run.recipe.model_dump(), "batch": 4, "steps": 4, **changes}
    return run.model_copy(update={"recipe": Recipe.model_validate(fields)})


def test_an_augmented_training_sees_every_clip_twice(run: Run, tmp_path: Path):
    run = changed(run, augment=AUGMENT)
    feed = Feed(run, models.build(run, torch.device("cpu"))[0], "train", True, torch.device("cpu"))
    sizes = [(len(inputs[0]), len(target)) for inputs, target in feed.epoch(0)]
    assert sizes == [(8, 8), (8, 8)] and len(feed) == 2
    several = [[target for _, target in feed.epoch(k)] for k in (0, 0, 1)]
    assert all(map(torch.equal, several[0], several[1]))
    train(run, tmp_path / "out" / "model.pt")
    report = load_json(tmp_path / "out" / "train.json")
    assert report["status"] == "ok" and report["steps"] == 4 and report["replaced"] == 0
    about = {**load_json(tmp_path / "data" / "manifest.json"), "resized": {"short": 256}}
    write_json(tmp_path / "data" / "manifest.json", about)
    scored = evaluate(run, tmp_path / "out" / "model.pt")
    assert scored["resized"] == {"short": 256} and "replaced" not in scored
    resized = Resized(short=256)
    declared = run.dataset.model_copy(update={"resized": resized})
    run_on_copies = run.model_copy(update={"dataset": declared})
    for does in (train, evaluate):  # the manifest does not tell of their form
        with pytest.raises(UserError, match=f"run `vidtune data resize {declared.name}`"):
            does(run_on_copies, tmp_path / "out" / "model.pt")
    write_json(
        tmp_path / "data" / "manifest.json", {**about, "resized": resized.model_dump(mode="json")}
    )
    assert evaluate(run_on_copies, tmp_path / "out" / "model.pt")["status"] == "ok"
    test = Feed(run, feed.model, "test", False, torch.device("cpu"))
    assert sum(len(target) for _, target in test.epoch(0)) == 4


def test_broken_training_videos_stop_it_or_are_counted(run: Run, tmp_path: Path):
    records.read(tmp_path / "data", "train")[2].path.write_bytes(b"")
    with pytest.raises(UserError, match="cannot be read as a video"):
        train(changed(run, augment=AUGMENT), tmp_path / "strict" / "model.pt")
    assert not (tmp_path / "strict" / "model.pt").exists()
    lenient = changed(run, augment=AUGMENT, on_broken="replace")
    train(lenient, tmp_path / "lenient" / "model.pt")
    assert load_json(tmp_path / "lenient" / "train.json")["replaced"] == 2  # once an epoch
    assert evaluate(lenient, tmp_path / "lenient" / "model.pt")["replaced"] == 2
    # without anything random in the recipe the replaced clip must not be kept for all epochs
    train(changed(run, on_broken="replace"), tmp_path / "plain" / "model.pt")
    assert load_json(tmp_path / "plain" / "train.json")["replaced"] == 2


def test_a_stopped_training_counts_no_broken_video_twice(run: Run, tmp_path: Path, monkeypatch):
    """Stopped in the middle of an epoch: the batches before are neither made nor counted again."""
    for record in records.read(tmp_path / "data", "train")[:5]:  # one or more in each batch
        record.path.write_bytes(b"")
    lenient = changed(run, random_train_frames=True, on_broken="replace")
    train(lenient, tmp_path / "whole" / "model.pt")
    monkeypatch.setattr("vidtune.engine.train.SAVE_EVERY", -1.0)
    update, calls = Step.update, []

    def stop(self: Step) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        update(self)

    monkeypatch.setattr(Step, "update", stop)
    with pytest.raises(KeyboardInterrupt):
        train(lenient, tmp_path / "stopped" / "model.pt")
    train(lenient, tmp_path / "stopped" / "model.pt")
    whole, stopped = (load_json(tmp_path / k / "train.json") for k in ("whole", "stopped"))
    assert len(calls) == 4 + 1
    assert stopped["losses"] == [[k, pytest.approx(loss)] for k, loss in whole["losses"]]
    assert stopped["replaced"] == whole["replaced"] == 10  # five an epoch
