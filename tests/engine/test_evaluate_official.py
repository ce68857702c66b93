"""Checkpoints of a method's authors in the harness."""

import re

import pytest
import torch

from vidtune.engine.build_run import build_run
from vidtune.engine.checkpoints import load_checkpoint, load_tuned
from vidtune.engine.evaluate import evaluate
from vidtune.engine.evaluate_official import evaluate_official, official_model
from vidtune.engine.train import train
from vidtune.methods.build import build_model
from vidtune.spec import Run, UserError, load_json, write_json


def full_state(run: Run, checkpoint) -> dict[str, torch.Tensor]:
    model, _ = build_run(run, torch.device("cpu"))
    load_tuned(model, load_checkpoint(checkpoint)["state"], checkpoint)
    return model.state_dict()


def tempme_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Our TempMe under its authors' names."""
    out = {}
    for key, value in state.items():
        key = re.sub(r"lora\.([ab])$", r"TVPt_LoRA_\1", key)
        blocks = r"clip.visual.transformer.resblocks.\1.TVPt_Video_Positional_embedding"
        out[re.sub(r"positions\.(\d+)", blocks, key)] = value
    return out


@pytest.mark.parametrize("prefix", ["", "module."])
def test_an_official_checkpoint_is_evaluated(prefix, short_run, tmp_path, vidtune):
    run = short_run("tempme/tempme-b32@0")
    train(run, tmp_path / "model.pt")
    own = evaluate(run, tmp_path / "model.pt")
    state = tempme_names(full_state(run, tmp_path / "model.pt"))
    torch.save({prefix + k: v for k, v in state.items()}, tmp_path / "best.pth")
    write_json(tmp_path / "spec.json", run.model_dump(mode="json"))
    code, _, err = vidtune(
        "evaluate",
        *("--spec", tmp_path / "spec.json"),
        *("--official", tmp_path / "best.pth"),
        *("--out", tmp_path / "official.json"),
    )
    assert code == 0, err
    result = load_json(tmp_path / "official.json")
    assert result["official"].endswith("best.pth") and result["n"] == own["n"]
    assert result["metrics"] == own["metrics"]
    net = official_model(run, tmp_path / "best.pth", torch.device("cpu"))
    for key, value in full_state(run, tmp_path / "model.pt").items():
        assert torch.equal(net.state_dict()[key], value), key


def test_a_file_of_tuned_tensors_gets_the_backbones_weights(short_run, tmp_path):
    run = short_run("side4video/b16-ssv1@0")
    m = run.model.model_copy(update={"method": "st_adapter", "options": {"width": 8, "layers": 6}})
    run = run.model_copy(update={"model": m})
    train(run, tmp_path / "own" / "model.pt")
    state = load_checkpoint(tmp_path / "own" / "model.pt")["state"]
    ours, theirs = r"adapters\.(\d+)\.(pre_\w+)\.", r"transformer.resblocks.\1.adapter_\2."
    names = {re.sub(ours, theirs, k): v for k, v in state.items()}
    torch.save({"model": names}, tmp_path / "official.pth")
    net = official_model(run, tmp_path / "official.pth", torch.device("cpu"))
    for key, value in full_state(run, tmp_path / "own" / "model.pt").items():
        torch.testing.assert_close(net.state_dict()[key], value)


def test_checkpoints_that_cannot_be_used_are_one_line(short_run, tmp_path, vidtune):
    run = short_run("tempme/tempme-b32@0")
    write_json(tmp_path / "spec.json", run.model_dump(mode="json"))
    state = build_model(run.model).state_dict()
    cases = {
        "absent.pth": (None, "No such file"),
        "text.pth": (b"no tensors here", "not a file of tensors"),
        "epoch.pth": ({"epoch": 3}, "epoch: expected a tensor"),
        "ours.pth": (state, "the checkpoint does not fit the model"),
    }
    for name, (content, message) in cases.items():
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        elif content is not None:
            torch.save(content, tmp_path / name)
        code, _, err = vidtune(
            "evaluate", "--spec", tmp_path / "spec.json", "--official", tmp_path / name
        )
        assert code == 2 and message in err and len(err.strip().splitlines()) == 1, err
    code, _, err = vidtune("evaluate", "no/such", "--official", tmp_path / "ours.pth")
    assert code == 2 and "'no/such' is not known" in err
    code, _, err = vidtune("evaluate", "--out", tmp_path / "x.json")
    assert code == 2 and "give --spec and --out" in err


def test_a_method_without_official_checkpoints_is_refused(short_run, tmp_path):
    run = short_run("side4video/b16-ssv1-probe@0")
    with pytest.raises(UserError, match="official method 'linear_probe': unknown; known: "):
        evaluate_official(run, tmp_path / "best.pth")
