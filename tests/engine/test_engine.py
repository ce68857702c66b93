"""Training and evaluation on a few generated clips; metrics on hand-made scores."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from helpers.common import REPO, one_line

from vidtune.data.text import tokenizer
from vidtune.engine import metrics, optim
from vidtune.engine import model as models
from vidtune.engine.evaluate import evaluate
from vidtune.engine.feed import Feed
from vidtune.engine.train import train
from vidtune.methods.build import build_model
from vidtune.motion import generate
from vidtune.motion.words import MOTIONS
from vidtune.nn.clip import CLIP
from vidtune.plan import load
from vidtune.spec import Recipe, Run, UserError, Weights, load_json, write_json


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Twelve clips a split and a randomly initialised mini CLIP."""
    root = tmp_path_factory.mktemp("engine")
    plan = load(REPO / "config", {"scale": "smoke"})
    files = plan.generated["motion-smoke"]
    small = files.model_copy(update={"clips": {"train": 24, "val": 4, "test": 12}})
    generate.generate(small, root / "data", show=False)
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
    assert all(c["used"] == c["expected"] > 0 for c in result["coverage"].values())
    assert set(result["coverage"]) == {"train", run.dataset.evaluate_on}


def named(place, **fields) -> Run:
    """A run whose classifier reads the classes' names."""
    run = job(place, "side4video/b16-ssv1@0")
    options = {"width": 32, "temporal_width": 8}
    update = {"method": "dist", "options": options, **fields}
    return run.model_copy(update={"model": run.model.model_copy(update=update)})


def test_class_names_reach_the_model(place, tmp_path):
    run = named(place)
    train(run, tmp_path / "model.pt")
    assert load_json(tmp_path / "train.json")["status"] == "ok"
    assert not any(".texts" in k for k in models.load_checkpoint(tmp_path / "model.pt")["state"])
    result = evaluate(run, tmp_path / "model.pt")
    assert result["status"] == "ok" and {"top1", "pair"} <= set(result["metrics"])
    net, _ = models.build(run, torch.device("cpu"))
    tokens = tokenizer("motion", 16)(list(MOTIONS))
    torch.testing.assert_close(net.class_texts(), net.clip.encode_text(tokens))


@pytest.mark.parametrize(
    "classes, says",
    [
        (["one"], "expected 8 names; found 1"),
        ([*MOTIONS[:7], "007"], "expected names in words, which dist reads; found '007'"),
        ([*MOTIONS[:7], "hovering"], "'hovering' is not among"),
    ],
)
def test_unnamed_classes_are_one_line(classes, says, place, tmp_path):
    write_json(tmp_path / "manifest.json", {"classes": classes})
    run = named(place).model_copy(update={"data": str(tmp_path)})
    with pytest.raises(UserError) as e:
        models.build(run, torch.device("cpu"))
    assert says in one_line(str(e.value))


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
    monkeypatch.setattr("vidtune.engine.feed.MOST_WORKERS", 0)
    train(run, tmp_path / "streamed" / "model.pt")
    kept, streamed = (
        models.load_checkpoint(tmp_path / k / "model.pt")["state"] for k in ("kept", "streamed")
    )
    for key in kept:
        torch.testing.assert_close(kept[key], streamed[key], rtol=1e-4, atol=1e-5)


OPTIMIZERS = {"adamw": torch.optim.AdamW, "adamw_hf": optim.AdamWHF, "bertadam": optim.BertAdam}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_stopped_training_goes_on(optimizer, place, tmp_path, monkeypatch):
    run = job(place, "tempme/lora-b32@0", steps=6, optimizer=optimizer)
    train(run, tmp_path / "whole" / "model.pt")
    monkeypatch.setattr("vidtune.engine.train.SAVE_EVERY", -1.0)
    kind = OPTIMIZERS[optimizer]
    real, calls = kind.step, []

    def stop(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    monkeypatch.setattr(kind, "step", stop)
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

    monkeypatch.setattr("vidtune.engine.step.Step.loss", no_memory)
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
    released = backbone.model_copy(update={"weights": known})
    with pytest.raises(UserError, match="sha256 is not 0000"):
        models.load_weights(tmp_path / "clip.pt", released)


def test_released_weights_come_from_the_cache(place, tmp_path, monkeypatch):
    run = job(place, "tempme/lora-b32@0")
    known = Weights(url="https://example.org/clip.pt", sha256=None)
    backbone = run.model.backbone.model_copy(update={"pretraining": None, "weights": known})
    model = run.model.model_copy(update={"backbone": backbone})
    run = run.model_copy(update={"weights": None, "model": model})
    monkeypatch.setenv("VIDTUNE_CACHE", str(tmp_path))
    with pytest.raises(
        UserError, match=r"weights/mini-smoke\.pt: no such file; run `vidtune fetch"
    ):
        models.build(run, torch.device("cpu"))
    (tmp_path / "weights").mkdir()
    state = torch.load(place[1] / "clip.pt", weights_only=True)
    wrapped = {"module": state}  # as EVA's own loader takes them
    for content in (state, wrapped):
        torch.save(content, tmp_path / "weights" / "mini-smoke.pt")
        net, names = models.build(run, torch.device("cpu"))
        assert names == {f"clip.{k}" for k in state}
        assert torch.equal(net.clip.visual.proj, state["visual.proj"])
    torch.save([1, 2], tmp_path / "weights" / "mini-smoke.pt")
    with pytest.raises(UserError, match="holds no named tensors"):
        models.build(run, torch.device("cpu"))


def test_other_weights_are_told_apart_in_one_line(place):
    run = job(place, "tempme/lora-b32@0")
    state = torch.load(run.weights, weights_only=True)
    state["visual.conv1.weight"] = torch.zeros(64, 3, 16, 16)
    del state["ln_final.bias"], state["ln_final.weight"]
    state |= {f"side.{i}": torch.zeros(2) for i in range(5)}
    with pytest.raises(UserError) as e:
        build_model(run.model, state=state)
    text = one_line(str(e.value))
    assert (
        "2 missing: ln_final.bias (64,), ln_final.weight (64,); 5 unexpected: side.0 (2,)" in text
    )
    assert "side.2 (2,) and 2 more; 1 of another shape: visual.conv1.weight" in text
    assert "(expected (64, 3, 8, 8), found (64, 3, 16, 16))" in text


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


def test_every_caption_is_a_query_and_every_video_is_encoded_once(place, tmp_path, monkeypatch):
    data = tmp_path / "data"
    shutil.copytree(place[1] / "data", data)
    rows = [json.loads(line) for line in (data / "test.jsonl").read_text().splitlines()]
    for k, row in enumerate(rows):
        row["captions"] = row["captions"] * (1 + k % 3)
    (data / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = job(place, "tempme/lora-b32@0", steps=1)
    train(run, tmp_path / "model.pt")
    single = evaluate(run, tmp_path / "model.pt")
    seen = []
    real = metrics.retrieval
    monkeypatch.setattr(metrics, "retrieval", lambda *a: seen.append(a[:2]) or real(*a))
    several = evaluate(run.model_copy(update={"data": str(data)}), tmp_path / "model.pt")
    ((sim, owner),) = seen
    assert sim.shape == (sum(1 + k % 3 for k in range(12)), 12)
    assert owner.tolist() == [k for k in range(12) for _ in range(1 + k % 3)]
    assert several["n"] == single["n"] == 12
    # the same caption twice: videos find the same captions
    assert several["metrics"]["v2t_mnr"] == pytest.approx(single["metrics"]["v2t_mnr"])


def test_probabilities_are_averaged_over_views(place, tmp_path, monkeypatch):
    run = job(place, "side4video/b16-ssv1@0", steps=1)
    train(run, tmp_path / "model.pt")
    seen = []
    real = metrics.recognition
    monkeypatch.setattr(metrics, "recognition", lambda *a: seen.append(a[0]) or real(*a))
    evaluate(run, tmp_path / "model.pt")
    # square videos: three crops of one clip are three times the same
    for views in ("3x1", "1x2"):
        model = run.model.model_copy(update={"views": views})
        evaluate(run.model_copy(update={"model": model}), tmp_path / "model.pt")
    one, crops, clips = seen
    torch.testing.assert_close(one.softmax(dim=-1), crops)
    assert not torch.allclose(crops, clips) and torch.allclose(clips.sum(dim=-1), torch.ones(12))


def test_groups_by_origin_and_kind(place):
    run = job(place, "side4video/b16-ssv1@0", no_decay=("bias", "norm"), head_lr=7.0)
    model, pretrained = models.build(run, torch.device("cpu"))
    parts = optim.groups(model, pretrained, run.recipe)
    names = {id(p): n for n, p in model.named_parameters() if p.requires_grad}
    assert sorted(names) == sorted(id(p) for g in parts for p in g["params"])
    for group in parts:
        for name in (names[id(p)] for p in group["params"]):
            assert group["lr"] == (7.0 if name.startswith("fc.") else run.recipe.lr)
            exempt = name.endswith("bias") or optim.kinds(model)[name] & {"norm"}
            assert group["weight_decay"] == (0.0 if exempt else run.recipe.weight_decay)
    kinds = optim.kinds(models.build(job(place, NAMES[3]), torch.device("cpu"))[0])
    visual = "clip.visual"
    assert kinds[f"{visual}.class_embedding"] == {"vector", "token"}
    assert kinds[f"{visual}.positional_embedding"] == {"position"}
    assert kinds[f"{visual}.ln_post.weight"] == {"vector", "norm"}
    assert kinds["clip.token_embedding.weight"] == set()


def test_clip4clip_is_told_which_frames_are_real(place, monkeypatch):
    run = job(place, "side4video/clip4clip-b32-msrvtt@0", sampler="clip4clip", fps=4.0)
    model, _ = models.build(run, torch.device("cpu"))
    kept = Feed(run, model, "test", train=False, where=torch.device("cpu"))
    (video, mask), _ = next(kept.epoch(0))
    frames = [len(range(0, r.frames, 4)) for r in kept.records]  # 16 a second
    assert mask.sum(dim=1).tolist() == [min(n, run.model.frames) for n in frames]
    assert not mask.all()
    black = video[~mask]
    assert torch.equal(black, black[:1].expand_as(black))
    monkeypatch.setattr("vidtune.engine.feed.KEEP", 0)
    monkeypatch.setattr("vidtune.engine.feed.MOST_WORKERS", 0)
    streamed = Feed(run, model, "test", train=False, where=torch.device("cpu"))
    (_, again), _ = next(streamed.epoch(0))
    assert torch.equal(mask, again)
    # padding changes nothing
    other = video.clone()
    other[~mask] = 1.0
    with torch.no_grad():
        ours, theirs = kept.outputs((video, mask))[0], kept.outputs((other, mask))[0]
        torch.testing.assert_close(ours, theirs)
        assert not torch.allclose(ours, model(video)[0])
