"""Training and evaluation on a few generated clips; metrics on hand-made scores."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from conftest import REPO, one_line

from vidtune.data import motion
from vidtune.engine import metrics
from vidtune.engine import model as models
from vidtune.engine.evaluate import evaluate
from vidtune.engine.train import rate, train
from vidtune.nn.clip import CLIP
from vidtune.plan import load
from vidtune.spec import Recipe, Run, UserError, Weights, load_json, write_json


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Twelve clips a split and a randomly initialised mini CLIP."""
    root = tmp_path_factory.mktemp("engine")
    plan = load(REPO / "config", {"scale": "smoke"})
    files = plan.files["motion-smoke"]
    small = files.model_copy(update={"clips": {"train": 24, "val": 4, "test": 12}})
    motion.generate(small, root / "data", show=False)
    torch.manual_seed(0)
    torch.save(CLIP(plan.config.backbones["mini-smoke"]).state_dict(), root / "clip.pt")
    return plan, root


def job(place, name: str, **recipe) -> Run:
    plan, root = place
    run = plan.runs[name]
    fields = {**dict(run.recipe), "batch": 8, "steps": 4, **recipe}
    if fields.get("epochs"):
        fields["steps"] = None
    update = {
        "recipe": Recipe(**fields),
        "data": str(root / "data"),
        "weights": str(root / "clip.pt"),
    }
    return run.model_copy(update=update)


NAMES = [
    "side4video/b16-ssv1@0",
    "side4video/b16-ssv1-probe@0",
    "side4video/b32-msrvtt@0",
    "side4video/clip4clip-b32-msrvtt@0",
    "tempme/lora-b32@0",
    "tempme/tempme-b32@0",
]


@pytest.mark.parametrize("name", NAMES)
def test_train_and_evaluate(name, place, tmp_path):
    run = job(place, name)
    train(run, tmp_path / "model.pt")
    report = load_json(tmp_path / "train.json")
    assert report["status"] == "ok" and report["steps"] == 4
    assert all(math.isfinite(loss) for _, loss in report["losses"])
    assert report["provenance"]["versions"]["torch"] and report["provenance"]["digest"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.pt", "train.json"]
    result = evaluate(run, tmp_path / "model.pt")
    expected = (
        {"top1", "top5", "pair"} if run.model.task == "recognition" else {"r1", "rsum", "v2t_r1"}
    )
    assert result["status"] == "ok" and result["n"] == 12 and expected <= set(result["metrics"])
    assert result["metrics"] == evaluate(run, tmp_path / "model.pt")["metrics"]


def test_seeds_decide_everything(place, tmp_path):
    run = job(place, "side4video/b16-ssv1@0")
    states = []
    for k, seed in enumerate([0, 0, 1]):
        out = tmp_path / str(k) / "model.pt"
        train(run.model_copy(update={"seed": seed}), out)
        states.append(models.load_checkpoint(out)["state"])
    same = [all(torch.equal(states[0][k], s[k]) for k in states[0]) for s in states]
    assert same == [True, True, False]


def test_kept_and_streamed_batches_are_the_same(place, tmp_path, monkeypatch):
    """Features of the frozen trunk, kept for all epochs, change no number."""
    run = job(place, "side4video/b16-ssv1@0")
    train(run, tmp_path / "kept" / "model.pt")
    monkeypatch.setattr("vidtune.engine.feed.KEEP", 0)
    monkeypatch.setattr("vidtune.engine.feed.os.sched_getaffinity", lambda _: ())
    train(run, tmp_path / "streamed" / "model.pt")
    kept, streamed = (
        models.load_checkpoint(tmp_path / k / "model.pt")["state"] for k in ("kept", "streamed")
    )
    for key in kept:
        torch.testing.assert_close(kept[key], streamed[key], rtol=1e-4, atol=1e-5)


def test_a_stopped_training_goes_on(place, tmp_path, monkeypatch):
    run = job(place, "tempme/lora-b32@0", steps=6)
    train(run, tmp_path / "whole" / "model.pt")
    monkeypatch.setattr("vidtune.engine.train.SAVE_EVERY", -1.0)
    real, calls = torch.optim.AdamW.step, []

    def stop(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", stop)
    with pytest.raises(KeyboardInterrupt):
        train(run, tmp_path / "stopped" / "model.pt")
    assert [p.name for p in (tmp_path / "stopped").iterdir()] == ["resume.pt"]
    train(run, tmp_path / "stopped" / "model.pt")
    assert not (tmp_path / "stopped" / "resume.pt").exists()
    assert len(calls) == 4 + 3  # three steps were not done twice
    whole, stopped = (
        models.load_checkpoint(tmp_path / k / "model.pt")["state"] for k in ("whole", "stopped")
    )
    for key in whole:
        torch.testing.assert_close(whole[key], stopped[key], rtol=1e-5, atol=1e-6)


def test_divergence_and_lack_of_memory_are_results(place, tmp_path, monkeypatch):
    run = job(place, "tempme/lora-b32@0", lr=1e30, clip_grad=None, steps=8)
    train(run, tmp_path / "a" / "model.pt")
    assert load_json(tmp_path / "a" / "train.json")["status"] == "diverged"
    result = evaluate(run, tmp_path / "a" / "model.pt")
    assert result["status"] == "diverged" and result["metrics"] == {}

    def no_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("vidtune.engine.train._loss", no_memory)
    train(run, tmp_path / "b" / "model.pt")
    assert evaluate(run, tmp_path / "b" / "model.pt")["status"] == "oom"


def test_frozen_weights_stay(place, tmp_path):
    run = job(place, "side4video/b16-ssv1@0")
    train(run, tmp_path / "model.pt")
    tuned = models.load_checkpoint(tmp_path / "model.pt")["state"]
    original = torch.load(run.weights, weights_only=True)
    assert not {f"clip.{k}" for k in original} & set(tuned)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit, which makes the archive
def test_released_archives_load(place, tmp_path):
    """OpenAI's files are TorchScript archives in half precision, with three entries more."""
    backbone = place[0].config.backbones["mini-smoke"]
    clip = CLIP(backbone)
    archive = torch.nn.Module()
    archive.register_buffer("input_resolution", torch.tensor(32))
    for key, value in clip.state_dict().items():
        *path, leaf = key.split(".")
        module = archive
        for name in path:
            if name not in dict(module.named_children()):
                module.add_module(name, torch.nn.Module())
            module = getattr(module, name)
        module.register_parameter(leaf, torch.nn.Parameter(value.half()))
    torch.jit.save(torch.jit.script(archive), str(tmp_path / "clip.pt"))
    state = models.load_weights(tmp_path / "clip.pt", backbone)
    assert all(v.dtype == torch.float32 for v in state.values())
    clip.load_state_dict(state)
    known = Weights(url="https://example.org/clip.pt", sha256="0" * 64)
    with pytest.raises(UserError, match="sha256 is not 0000"):
        models.load_weights(tmp_path / "clip.pt", backbone.model_copy(update={"weights": known}))


@pytest.mark.parametrize("damage", ["missing", "truncated", "other"])
def test_bad_weights(damage, place, tmp_path):
    run = job(place, "tempme/lora-b32@0")
    path = tmp_path / "clip.pt"
    if damage == "truncated":
        path.write_bytes(Path(run.weights).read_bytes()[:1000])
    if damage == "other":
        state = torch.load(run.weights, weights_only=True)
        state["visual.conv1.weight"] = torch.zeros(1)
        torch.save(state, path)
    words = {
        "missing": "no weights of",
        "truncated": "not a readable weights",
        "other": "visual.conv1",
    }
    with pytest.raises(UserError, match=words[damage]):
        models.build(run.model_copy(update={"weights": str(path)}), torch.device("cpu"))


def test_bad_checkpoint_and_bad_spec(place, tmp_path, vidtune):
    run = job(place, "tempme/lora-b32@0")
    write_json(tmp_path / "spec.json", run)
    code, _, err = vidtune(
        "evaluate", "--spec", tmp_path / "spec.json", "--out", tmp_path / "eval.json"
    )
    assert code == 2 and "model.pt: No such file" in one_line(err)
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04")
    code, _, err = vidtune(
        "evaluate", "--spec", tmp_path / "spec.json", "--out", tmp_path / "eval.json"
    )
    assert code == 2 and "not a readable checkpoint" in one_line(err)
    assert not (tmp_path / "eval.json").exists()
    fields = json.loads((tmp_path / "spec.json").read_text())
    fields["recipe"]["lr"] = "fast"
    (tmp_path / "spec.json").write_text(json.dumps(fields))
    code, _, err = vidtune("train", "--spec", tmp_path / "spec.json", "--out", tmp_path / "m.pt")
    assert code == 2 and "recipe.lr" in one_line(err)


def test_scores_that_are_no_numbers_are_a_result_not_a_perfect_model(place, tmp_path):
    run = job(place, "side4video/b16-ssv1@0")
    train(run, tmp_path / "model.pt")
    content = models.load_checkpoint(tmp_path / "model.pt")
    content["state"]["fc.bias"][:] = float("nan")
    models.save(tmp_path / "model.pt", content)
    result = evaluate(run, tmp_path / "model.pt")
    assert result["status"] == "diverged" and result["metrics"] == {}


@pytest.mark.parametrize("damage", ["missing", "truncated", "streamed"])
def test_a_bad_video_ends_a_job_in_one_line(damage, place, tmp_path, vidtune):
    data = Path(shutil.copytree(place[1] / "data", tmp_path / "data"))
    video = data / "videos" / "train_00003.mp4"
    whole = video.read_bytes()
    video.unlink()
    if damage != "missing":
        video.write_bytes(whole[: len(whole) // 3])
    streamed = {"sampler": "segments", "random_train_frames": True} if damage == "streamed" else {}
    run = job(place, "tempme/lora-b32@0", **streamed).model_copy(update={"data": str(data)})
    write_json(tmp_path / "spec.json", run)
    out = tmp_path / "out" / "model.pt"
    code, _, err = vidtune("train", "--spec", tmp_path / "spec.json", "--out", out)
    assert code == 2 and "train_00003.mp4" in one_line(err)
    assert not out.parent.exists()


def test_ranks_with_ties():
    scores = torch.tensor([[3.0, 1.0, 2.0], [1.0, 1.0, 1.0], [0.0, 5.0, 5.0]])
    assert metrics.ranks(scores, torch.tensor([0, 1, 2])).tolist() == [1.0, 2.0, 1.5]


def test_recognition_metrics():
    logits = torch.tensor([[2.0, 1.0, 0.0, 0.0], [2.0, 1.0, 3.0, 0.0]])
    out = metrics.recognition(logits, torch.tensor([0, 1]), [1, 0, 3, 2])
    assert out == {"top1": 50.0, "top5": 100.0, "pair": 50.0}
    assert "pair" not in metrics.recognition(logits, torch.tensor([0, 1]), None)


def test_retrieval_metrics():
    sim = torch.tensor([[0.9, 0.8, 0.1], [0.95, 0.5, 0.2], [0.1, 0.2, 0.3]])
    out = metrics.retrieval(sim, [(0, 1)])
    assert out["r1"] == pytest.approx(200 / 3) and out["mdr"] == 1.0
    assert out["mnr"] == pytest.approx(4 / 3) and out["r5"] == 100.0
    assert out["rsum"] == pytest.approx(out["r1"] + out["r5"] + out["r10"])
    assert out["v2t_r1"] == pytest.approx(100 / 3)
    assert out["pair"] == 50.0


def test_schedule():
    rates = [rate(s, 100, 0.1) for s in range(100)]
    assert rates[0] > 0 and max(rates) == pytest.approx(1.0, abs=0.01)
    assert rates.index(max(rates)) == 10 and rates[-1] < 0.001
    assert rates[55] == pytest.approx(0.5)
