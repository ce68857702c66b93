"""Files of weights and of what was tuned."""

import json

import pytest
import torch
from helpers.common import one_line

from vidtune.engine.checkpoints import load_weights
from vidtune.nn.clip import CLIP
from vidtune.spec import UserError, Weights, write_json


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit, which makes the archive
def test_released_archives_load(short_run, tmp_path):
    """OpenAI's files are TorchScript archives in half precision, with three entries more."""
    backbone = short_run("tempme/lora-b32@0").model.backbone
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
    state = load_weights(tmp_path / "clip.pt", backbone)
    assert all(v.dtype == torch.float32 for v in state.values())
    clip.load_state_dict(state)
    known = Weights(url="https://example.org/clip.pt", sha256="0" * 64)
    released = backbone.model_copy(update={"weights": known})
    with pytest.raises(UserError, match="sha256 is not 0000"):
        load_weights(tmp_path / "clip.pt", released)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.to("meta"), "holds no values as such"),
        (lambda t: t.to_sparse(), "holds no values as such"),
        (lambda t: t.to(torch.complex64), "expected real numbers"),
        (lambda t: t.index_fill(0, torch.tensor([0]), torch.nan), "expected real numbers"),
    ],
)
def test_weights_that_are_no_numbers_are_named(change, said, short_run, tmp_path):
    backbone = short_run("tempme/lora-b32@0").model.backbone
    state, name = CLIP(backbone).state_dict(), "visual.proj"
    torch.save({**state, name: change(state[name])}, tmp_path / "clip.pt")
    with pytest.raises(UserError, match=f"clip.pt: {name}: {said}"):
        load_weights(tmp_path / "clip.pt", backbone)
    torch.save({**state, 3: state[name]}, tmp_path / "clip.pt")
    with pytest.raises(UserError, match="holds no named tensors"):
        load_weights(tmp_path / "clip.pt", backbone)


@pytest.mark.parametrize(
    ("name", "place", "value", "said"),
    [
        ("tempme/lora-b32@0", ("recipe", "betas"), [1.0, 1.0], "betas: expected shares below 1"),
        ("tempme/lora-b32@0", ("model", "task"), "recognition", "task: model, dataset and recipe"),
        ("tempme/lora-b32@0", ("model", "max_words"), 1, "model.max_words: expected 2 to the text"),
        ("tempme/lora-b32@0", ("model", "max_words"), 10**4, "model.max_words: expected 2 to the"),
        (
            "tempme/lora-b32@0",
            ("model", "frames"),
            10**9,
            "frames: input should be less than or eq",
        ),
        (
            "tempme/lora-b32@0",
            ("recipe", "resize"),
            10**9,
            "resize: input should be less than or eq",
        ),
        (
            "tempme/lora-b32@0",
            ("recipe", "resize"),
            "224",
            "recipe.resize: input should be a valid",
        ),
        ("side4video/b16-ssv1@0", ("model", "classes"), 3, "model.classes: expected the dataset's"),
        ("side4video/b16-ssv1@0", ("model", "backbone", "head_width"), 48, "CLIP's heads have 64"),
    ],
)
def test_a_spec_that_contradicts_itself(name, place, value, said, short_run, tmp_path, vidtune):
    fields = short_run(name).model_dump(mode="json")
    *parts, key = place
    inside = fields
    for part in parts:
        inside = inside[part]
    inside[key] = value
    (tmp_path / "spec.json").write_text(json.dumps(fields))
    code, _, err = vidtune("train", "--spec", tmp_path / "spec.json", "--out", tmp_path / "m.pt")
    assert code == 2 and said in one_line(err)


def test_bad_checkpoint_and_bad_spec(short_run, tmp_path, vidtune):
    spec, out = tmp_path / "spec.json", tmp_path / "eval.json"
    write_json(spec, short_run("tempme/lora-b32@0"))
    code, _, err = vidtune("evaluate", "--spec", spec, "--out", out)
    assert code == 2 and "model.pt: No such file" in one_line(err)
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04")
    code, _, err = vidtune("evaluate", "--spec", spec, "--out", out)
    assert code == 2 and "not a readable checkpoint" in one_line(err)
    assert not out.exists()
    fields = json.loads(spec.read_text())
    fields["recipe"]["lr"] = "fast"
    spec.write_text(json.dumps(fields))
    code, _, err = vidtune("train", "--spec", spec, "--out", tmp_path / "m.pt")
    assert code == 2 and "recipe.lr" in one_line(err)
