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
