"""Training on a few generated clips, and what its results say."""

import math
import re
import shutil
from pathlib import Path

import pytest
import torch
from helpers.common import one_line

from vidtune.data import records
from vidtune.engine.build_run import build_run
from vidtune.engine.checkpoints import load_checkpoint
from vidtune.engine.device import pick_device
from vidtune.engine.evaluate import evaluate
from vidtune.engine.train import train
from vidtune.spec import UserError, load_json, write_json

RECOGNITION, RETRIEVAL = "side4video/b16-ssv1@0", "tempme/lora-b32@0"
RUNS = [
    RECOGNITION,
    "side4video/b16-ssv1-probe@0",
    "side4video/b32-msrvtt@0",
    "side4video/clip4clip-b32-msrvtt@0",
    RETRIEVAL,
    "tempme/tempme-b32@0",
]
BESIDE = ("model.pt", "best.pt", "train.json", "resume.pt", "resume-1.pt", "resume.pt.damaged")
AUGMENT = {
    "randaugment": "rand-m7-n4-mstd0.5-inc1",
    "crop": "side4video",
    "flip": 0.5,
    "gray": 0.2,
    "repeats": 2,
}


@pytest.mark.parametrize("name", RUNS)
def test_train_and_evaluate(name, short_run, tmp_path):
    run = short_run(name)
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


def test_a_run_is_evaluated_from_another_ones_checkpoint(short_run, tmp_path, vidtune):
    """Runs that differ in their views share a training."""
    run = short_run(RECOGNITION)
    train(run, tmp_path / "model.pt")
    several = run.model_copy(update={"model": run.model.model_copy(update={"views": "1x3"})})
    write_json(tmp_path / "spec.json", several)
    out = tmp_path / "other" / "eval.json"
    given = ("--spec", tmp_path / "spec.json", "--out", out)
    code, _, err = vidtune("evaluate", *given)
    assert code == 2 and "other/model.pt: No such file" in err
    assert vidtune("evaluate", *given, "--checkpoint", tmp_path / "model.pt")[0] == 0
    expected = evaluate(several, tmp_path / "model.pt")["metrics"]
    assert load_json(out)["metrics"] == expected
    assert vidtune("evaluate", *given, "--official", "x.pt", "--checkpoint", "x.pt")[0] == 2


def test_training_shows_the_loss(short_run, tmp_path, capsys):
    train(short_run(RECOGNITION), tmp_path / "model.pt")
    _, last = load_json(tmp_path / "train.json")["losses"][-1]
    assert re.search(rf"train: 4/4, \d+ s, 0 s left, loss {last:.4f}\n", capsys.readouterr().err)


def test_seeds_decide_everything(short_run, tmp_path):
    run = short_run(RECOGNITION)
    states = []
    for k, seed in enumerate([0, 0, 1]):
        out = tmp_path / str(k) / "model.pt"
        train(run.model_copy(update={"seed": seed}), out)
        states.append(load_checkpoint(out)["state"])
    same = [all(torch.equal(states[0][k], s[k]) for k in states[0]) for s in states]
    assert same == [True, True, False]


def test_frozen_weights_stay(short_run, tmp_path):
    run = short_run(RECOGNITION)
    train(run, tmp_path / "model.pt")
    tuned = load_checkpoint(tmp_path / "model.pt")["state"]
    original = torch.load(run.weights, weights_only=True)
    assert not {f"clip.{k}" for k in original} & set(tuned)


@pytest.mark.parametrize(
    ("name", "folder", "said"),
    [
        ("resume.pt", None, "a file of this name is written beside the checkpoint; choose another"),
        ("train.json", None, "a file of this name is written beside"),
        ("m" * 240, None, "expected the name of a file, of 200 bytes at most"),
        *(("model.pt", name, f"{name}: cannot write: it is a folder") for name in BESIDE),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_computed(
    name, folder, said, short_run, tmp_path, monkeypatch
):
    monkeypatch.setattr("vidtune.engine.train.build_run", None)
    if folder:
        (tmp_path / folder).mkdir()
    with pytest.raises(UserError, match=re.escape(said)):
        train(short_run(RECOGNITION), tmp_path / name)


def test_divergence_is_a_result(short_run, tmp_path, capsys):
    run = short_run(RETRIEVAL, lr=1e30, clip_grad=None, steps=40)
    train(run, tmp_path / "a" / "model.pt")
    report = load_json(tmp_path / "a" / "train.json")
    assert f"{RETRIEVAL}: diverged: " in capsys.readouterr().err
    assert report["status"] == "diverged" and math.isnan(report["losses"][-1][1])
    assert 10 < report["losses"][-1][0] < 40  # some steps without a number end it
    result = evaluate(run, tmp_path / "a" / "model.pt")
    assert result["status"] == "diverged" and result["metrics"] == {}


@pytest.mark.parametrize(
    ("name", "group", "where", "said"),
    [
        (
            RETRIEVAL,
            2,
            "step.Step.backward",
            "with 2 of the 8 clips of a step at once; train with more memory\n",
        ),
        (RETRIEVAL, None, "step.Step.backward", "at once; train with more --ranks or --parts\n"),
        (RECOGNITION, 4, "step.Step.backward", "at once; train with --recompute\n"),
        (
            RETRIEVAL,
            4,
            "train.Step",
            "before the first step; check the sizes in its spec, or give it more memory\n",
        ),
    ],
)
def test_a_full_memory_ends_a_training_in_one_line(
    name, group, where, said, short_run, tmp_path, vidtune, monkeypatch
):
    """Nothing is left that looks finished: more memory, or a finer split, trains it."""

    def no_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    write_json(tmp_path / "spec.json", short_run(name, group=group))
    out = tmp_path / "b" / "model.pt"
    monkeypatch.setattr(f"vidtune.engine.{where}", no_memory)
    code, _, err = vidtune("train", "--spec", tmp_path / "spec.json", "--out", out, "--parts", "2")
    assert code == 2 and f"{one_line(err)}\n".endswith(said)
    assert not out.parent.exists()


def test_a_leased_gpu_that_torch_cannot_use_is_one_line(monkeypatch):
    """It would train on the CPU, and hold the GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("VIDTUNE_GPU_LEASE", raising=False)
    assert pick_device().type == "cpu"  # by hand, without a lease
    monkeypatch.setenv("VIDTUNE_GPU_LEASE", "alone")
    with pytest.raises(UserError, match=r"CUDA_VISIBLE_DEVICES is 0,1, but torch .* sees no GPU"):
        pick_device()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert pick_device().type == "cpu"


@pytest.mark.parametrize("name", [RECOGNITION, "tempme/tempme-b32@0"])
def test_half_precision_trains_near_single(name, short_run, tmp_path):
    """Same clips, same draws: the loss curve is nearly the same and evaluation runs."""
    curves = {}
    for precision in ("fp32", "amp16", "bf16"):
        run, out = short_run(name, precision=precision), tmp_path / precision / "model.pt"
        train(run, out)
        curves[precision] = [loss for _, loss in load_json(out.parent / "train.json")["losses"]]
        assert evaluate(run, out)["status"] == "ok"
    single = curves.pop("fp32")
    for curve in curves.values():
        assert curve != single  # something was computed otherwise
        assert all(math.isfinite(loss) for loss in curve)
        assert curve == pytest.approx(single, rel=0.15)


def test_an_augmented_training_is_whole(damageable_run, tmp_path):
    run = damageable_run(augment=AUGMENT)
    train(run, tmp_path / "model.pt")
    report = load_json(tmp_path / "train.json")
    assert report["status"] == "ok" and report["steps"] == 4 and report["replaced"] == 0
    assert "replaced" not in evaluate(run, tmp_path / "model.pt")


def test_broken_training_videos_stop_it_or_are_counted(damageable_run, tmp_path):
    lenient = damageable_run(augment=AUGMENT, on_broken="replace")
    records.read(Path(lenient.data), "train")[2].path.write_bytes(b"")
    strict = damageable_run(augment=AUGMENT)
    with pytest.raises(ValueError, match="cannot be read as a video"):
        train(strict, tmp_path / "strict" / "model.pt")
    assert not (tmp_path / "strict" / "model.pt").exists()
    train(lenient, tmp_path / "lenient" / "model.pt")
    assert load_json(tmp_path / "lenient" / "train.json")["replaced"] == 2  # once an epoch
    assert evaluate(lenient, tmp_path / "lenient" / "model.pt")["replaced"] == 2
    # without anything random in the recipe the replaced clip must not be kept for all epochs
    train(damageable_run(on_broken="replace"), tmp_path / "plain" / "model.pt")
    assert load_json(tmp_path / "plain" / "train.json")["replaced"] == 2


@pytest.mark.parametrize("damage", ["missing", "truncated", "streamed"])
def test_a_bad_video_ends_a_job_in_one_line(damage, short_run, tmp_path, vidtune):
    streamed = {"sampler": "segments", "random_train_frames": True} if damage == "streamed" else {}
    run = short_run(RETRIEVAL, **streamed)
    data = Path(shutil.copytree(run.data, tmp_path / "data"))
    video = data / "videos" / "train_00003.mp4"
    whole = video.read_bytes()
    video.unlink()
    if damage != "missing":
        video.write_bytes(whole[: len(whole) // 3])
    write_json(tmp_path / "spec.json", run.model_copy(update={"data": str(data)}))
    out = tmp_path / "out" / "model.pt"
    code, _, err = vidtune("train", "--spec", tmp_path / "spec.json", "--out", out)
    assert code == 2 and "train_00003.mp4" in one_line(err)
    assert not out.parent.exists()


def test_computing_blocks_again_changes_no_training(short_run, tmp_path, vidtune):
    """Where the recipe says so, and where a job does."""
    losses = []
    for on, given in ((False, ()), (True, ()), (False, ("--recompute",))):
        folder = tmp_path / f"{on}{len(given)}"
        write_json(folder / "spec.json", short_run(RECOGNITION, checkpoint=on))
        out = ("--out", folder / "model.pt")
        assert vidtune("train", "--spec", folder / "spec.json", *out, *given)[0] == 0
        losses.append(load_json(folder / "train.json")["losses"])
    assert losses[0] == losses[1] == losses[2]
    with pytest.raises(UserError, match=r"checkpoint: lora has no blocks .* drop it"):
        train(short_run(RETRIEVAL, checkpoint=True), tmp_path / "x" / "model.pt")
    with pytest.raises(UserError, match=r"--recompute: lora has no blocks .* drop it"):
        train(short_run(RETRIEVAL), tmp_path / "x" / "model.pt", recompute=True)


def test_a_frozen_trunk_in_half_precision_trains_and_is_tested(short_run, tmp_path):
    run = short_run(RECOGNITION, precision="bf16")
    model, _ = build_run(run, torch.device("cpu"))
    types = {n: p.dtype for n, p in model.named_parameters()}
    assert types["clip.visual.conv1.weight"] == torch.bfloat16
    assert types["fc.weight"] == types["clip.visual.ln_pre.weight"] == torch.float32
    train(run, tmp_path / "model.pt")
    assert evaluate(run, tmp_path / "model.pt")["metrics"]
