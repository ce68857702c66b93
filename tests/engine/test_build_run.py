"""A run's model: its dataset's class names and its backbone's weights reach it, or one line says why
not."""

from pathlib import Path

import pytest
import torch
from helpers.common import one_line
from helpers.zoo import MODELS

from vidtune.data.text import tokenizer
from vidtune.engine.build_run import build_run
from vidtune.engine.checkpoints import load_checkpoint
from vidtune.engine.evaluate import evaluate
from vidtune.engine.train import train
from vidtune.methods.build import build_model
from vidtune.motion.words import MOTIONS
from vidtune.nn.clip import CLIP
from vidtune.spec import UserError, Weights, load_json, write_json

CPU = torch.device("cpu")


@pytest.fixture
def named_run(short_run):
    """A run whose classifier reads the classes' names."""
    run = short_run("side4video/b16-ssv1@0")
    update = {"method": "dist", "options": {"width": 32, "temporal_width": 8}}
    return run.model_copy(update={"model": run.model.model_copy(update=update)})


def test_class_names_reach_the_model(named_run, tmp_path):
    train(named_run, tmp_path / "model.pt")
    assert load_json(tmp_path / "train.json")["status"] == "ok"
    assert not any(".texts" in k for k in load_checkpoint(tmp_path / "model.pt")["state"])
    result = evaluate(named_run, tmp_path / "model.pt")
    assert result["status"] == "ok" and {"top1", "pair"} <= set(result["metrics"])
    model, _ = build_run(named_run, CPU)
    tokens = tokenizer("motion", 16)(list(MOTIONS))
    torch.testing.assert_close(model.class_texts(), model.clip.encode_text(tokens))


@pytest.mark.parametrize(
    "classes, message",
    [
        (["one"], "expected 8 names; found 1"),
        ([*MOTIONS[:7], "007"], "expected names in words, which dist reads; found '007'"),
        ([*MOTIONS[:7], "hovering"], "'hovering' is not among"),
    ],
)
def test_unnamed_classes_are_one_line(classes, message, named_run, tmp_path):
    write_json(tmp_path / "manifest.json", {"classes": classes})
    with pytest.raises(UserError) as e:
        build_run(named_run.model_copy(update={"data": str(tmp_path)}), CPU)
    assert message in one_line(str(e.value))


def test_released_weights_come_from_the_cache(short_run, tmp_path, monkeypatch):
    run = short_run("tempme/lora-b32@0")
    state = torch.load(run.weights, weights_only=True)
    released = Weights(url="https://example.org/clip.pt", sha256=None)
    backbone = run.model.backbone.model_copy(update={"pretraining": None, "weights": released})
    model = run.model.model_copy(update={"backbone": backbone})
    run = run.model_copy(update={"weights": None, "model": model})
    monkeypatch.setenv("VIDTUNE_CACHE", str(tmp_path))
    with pytest.raises(
        UserError, match=r"weights/mini-smoke\.pt: no such file; run `vidtune fetch"
    ):
        build_run(run, CPU)
    (tmp_path / "weights").mkdir()
    wrapped = {"module": state}  # as EVA's own loader takes them
    for content in (state, wrapped):
        torch.save(content, tmp_path / "weights" / "mini-smoke.pt")
        net, names = build_run(run, CPU)
        assert names == {f"clip.{k}" for k in state}
        assert torch.equal(net.clip.visual.proj, state["visual.proj"])
    torch.save([1, 2], tmp_path / "weights" / "mini-smoke.pt")
    with pytest.raises(UserError, match="holds no named tensors"):
        build_run(run, CPU)


def test_pretrained_parameters_are_known_inside_what_wraps_them():
    m = next(m for m in MODELS if m.method == "adapter")
    net = build_model(m, state=CLIP(m.backbone).state_dict())
    known = {n for n, p in net.named_parameters() if getattr(p, "pretrained", False)}
    assert any(n.endswith("resblocks.0.block.ln_1.weight") for n in known)
    new = {n for n, p in net.named_parameters() if p.requires_grad} - known
    assert new and len(known) == len(list(CLIP(m.backbone).parameters()))


def test_weights_of_another_model_are_listed_in_one_line(short_run):
    run = short_run("tempme/lora-b32@0")
    state = torch.load(run.weights, weights_only=True)
    state["visual.conv1.weight"] = torch.zeros(48, 3, 16, 16)
    del state["ln_final.bias"], state["ln_final.weight"]
    state |= {f"side.{i}": torch.zeros(2) for i in range(5)}
    with pytest.raises(UserError) as e:
        build_model(run.model, state=state)
    text = one_line(str(e.value))
    assert (
        "2 missing: ln_final.bias (48,), ln_final.weight (48,); 5 unexpected: side.0 (2,)" in text
    )
    assert "side.2 (2,) and 2 more; 1 of another shape: visual.conv1.weight" in text
    assert "(expected (48, 3, 8, 8), found (48, 3, 16, 16))" in text


@pytest.mark.parametrize(
    "damage, message",
    [
        ("missing", "no weights of"),
        ("truncated", "not a readable weights"),
        ("other", "visual.conv1"),
    ],
)
def test_bad_weights(damage, message, short_run, tmp_path):
    run = short_run("tempme/lora-b32@0")
    path = tmp_path / "clip.pt"
    if damage == "truncated":
        path.write_bytes(Path(run.weights).read_bytes()[:1000])
    if damage == "other":
        state = torch.load(run.weights, weights_only=True)
        state["visual.conv1.weight"] = torch.zeros(1)
        torch.save(state, path)
    with pytest.raises(UserError, match=message):
        build_run(run.model_copy(update={"weights": str(path)}), CPU)
