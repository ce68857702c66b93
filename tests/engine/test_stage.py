"""Videos that are read from a node's own disk change no result, and nothing tells of them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.outcome import same

from vidtune.data.batches import Batches
from vidtune.datasets.node_copy import STAGE, staged
from vidtune.spec import Run, load_json, write_json


@pytest.fixture
def real_run(short_run: Callable[..., Run], tmp_path: Path) -> Run:
    """A run on a copy of generated clips that counts as a real dataset, decoded as the training goes."""
    run = short_run("side4video/b16-ssv1@0", random_train_frames=True)
    data = shutil.copytree(run.data, tmp_path / "data")
    dataset = run.dataset.model_copy(update={"generated": None})
    return run.model_copy(update={"dataset": dataset, "data": str(data)})


def test_train_and_evaluate(real_run, tmp_path, monkeypatch, vidtune):
    spec, scratch = tmp_path / "spec.json", tmp_path / "scratch"
    write_json(spec, real_run)
    for place in ("shared", "node"):
        if place == "node":
            monkeypatch.setenv("SCRATCH_OF_TEST", str(scratch))
            monkeypatch.setenv(STAGE, "$SCRATCH_OF_TEST")
        out = tmp_path / place
        assert vidtune("train", "--spec", spec, "--out", out / "model.pt")[0] == 0
        code, _, err = vidtune("evaluate", "--spec", spec, "--out", out / "eval.json")
        assert code == 0 and ("copy test to" in err) == (place == "node")
    same(tmp_path / "node", tmp_path / "shared", finished=True)
    for name in ("train.json", "eval.json"):
        one, other = (load_json(tmp_path / place / name) for place in ("node", "shared"))
        for key in ("spec", "digest"):
            assert one["provenance"][key] == other["provenance"][key]
        assert str(scratch) not in (tmp_path / "node" / name).read_text()
    shutil.rmtree(tmp_path / "data" / "videos")
    again = ("--checkpoint", tmp_path / "node/model.pt", "--out", tmp_path / "again.json")
    assert vidtune("evaluate", "--spec", spec, *again)[0] == 0
    before = load_json(tmp_path / "shared/eval.json")
    assert load_json(tmp_path / "again.json")["metrics"] == before["metrics"]


def test_learn(real_run, tmp_path, monkeypatch, vidtune):
    spec = tmp_path / "spec.json"
    write_json(spec, real_run)
    monkeypatch.setenv(STAGE, str(tmp_path / "scratch"))
    assert vidtune("learn", "--spec", spec, "--out", tmp_path / "out")[0] == 0
    copies = list((tmp_path / "scratch").rglob("*.mp4"))
    assert len(copies) == 24 + 12 and (tmp_path / "out" / real_run.name / "eval.json").exists()


def test_batches_name_the_run_itself(real_run, short_run, tmp_path, monkeypatch):
    """A snapshot of a node's copies is one of the run, and generated clips are not copied."""
    monkeypatch.setenv(STAGE, str(tmp_path / "scratch"))
    made = staged(Batches)(real_run, "train", train=True, device=torch.device("cpu"))
    assert made.run == real_run and made.records[0].path.is_relative_to(tmp_path / "scratch")
    generated = short_run("side4video/b16-ssv1@0")
    made = staged(Batches)(generated, "train", train=True, device=torch.device("cpu"))
    assert made.records[0].path.is_relative_to(generated.data)
