"""Ours against other code, paired: with a copy of ours in the place of the authors'."""

import copy
import math
import sys
from types import SimpleNamespace

import pytest
import torch
from helpers.common import REPO, one_line
from helpers.zoo import model

from vidtune.spec import UserError

PROBE = model("linear_probe", "recognition", {})
LORA = model("lora", "retrieval", {"lora_rank": 2}).model_copy(update={"max_words": 8})


@pytest.fixture
def against(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(REPO / "benchmarks"))
    import adapters
    import against

    def copied(folder, m, ours):
        net = copy.deepcopy(ours)

        def video(x):
            out = net(*net.prepare(x))
            return out if m.task == "recognition" else out[0]

        text = (lambda tokens: net.encode_text(tokens)[0]) if m.task == "retrieval" else None
        return adapters.Official("copy", net, video, text)

    copies = {"probe": (copied, PROBE.name), "lora": (copied, LORA.name)}
    monkeypatch.setattr(against, "ADAPTERS", copies)
    models = {m.name: m for m in (PROBE, LORA)}
    monkeypatch.setattr(against, "load", lambda _: SimpleNamespace(models=models))
    monkeypatch.setattr(
        against.load_official, "load_into", lambda net, _, state: net.load_state_dict(state)
    )
    for name in copies:
        (tmp_path / name).mkdir()
    return against


@pytest.mark.parametrize("name", ["probe", "lora"])
def test_a_copy_of_ours_gives_the_same_outputs_and_a_whole_row(
    against, tmp_path, monkeypatch, name
):
    monkeypatch.setattr(against, "alone", lambda *_: 0.5)
    args = SimpleNamespace(official=str(tmp_path), batch=2, rounds=3, precision="fp32")
    row = against.compare(name, args, torch.device("cpu"))
    assert row["outputs_differ_by"] < 1e-6
    for phase in ("train", "inference"):
        time = row[phase]["time"]
        assert 0 < time["low"] <= time["ratio"] <= time["high"]
        assert row[phase]["peak_gib"] == {"ours": 0.5, "theirs": 0.5}
    assert all(line.count("|") == 8 for line in against.lines_of(row))


def test_both_sides_get_the_same_gradients(against, tmp_path):
    pair = against.build("lora", tmp_path, 2, torch.device("cpu"))
    against.prepare(pair, "train")
    for side in against.SIDES:
        pair.train(side)
    ours, theirs = (dict(pair.net(side).named_parameters()) for side in against.SIDES)
    tuned = [n for n, p in ours.items() if p.requires_grad]
    assert tuned and any("text" not in n for n in tuned)
    for n in tuned:
        torch.testing.assert_close(ours[n].grad, theirs[n].grad)


def test_half_halves_our_side_alone(against, tmp_path):
    pair = against.build("lora", tmp_path, 2, torch.device("cpu"), "half")
    held = {side: {p.dtype for p in pair.net(side).parameters()} for side in against.SIDES}
    assert held == {"ours": {torch.float32, torch.bfloat16}, "theirs": {torch.float32}}
    assert 1e-5 < against.difference(pair) < 0.05


def test_rounds_alternate_who_comes_first(against, monkeypatch):
    seen = []
    monkeypatch.setattr(against, "seconds", lambda _, side, where: seen.append(side) or len(seen))
    warm = []
    ratios = against.ratios(warm.append, 3, torch.device("cpu"))
    assert warm == ["ours", "theirs"]
    assert seen == ["theirs", "ours", "ours", "theirs", "theirs", "ours"]
    assert ratios == [2 / 1, 3 / 4, 6 / 5]


def test_the_range_holds_the_geometric_mean(against):
    range_ = against.spread([0.5, 2.0, 1.0])
    assert range_["ratio"] == pytest.approx(1)
    assert 0.5 <= range_["low"] < 1 < range_["high"] <= 2
    assert math.isclose(against.spread([0.9] * 4)["low"], 0.9)


def test_a_missing_checkout_is_one_line(against, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert against.main(["--official", str(empty), "--only", "probe"]) == 2
    assert "no folder probe" in one_line(capsys.readouterr().err)


def test_imports_of_a_checkout_leave_nothing_behind(against, tmp_path):
    import adapters

    (tmp_path / "their_module.py").write_text("import their_dependency\nVALUE = 3\n")
    stand_in = adapters._module("their_dependency")
    with adapters.importing(tmp_path, their_dependency=stand_in):
        import their_module
    assert their_module.VALUE == 3
    assert not {"their_module", "their_dependency"} & set(sys.modules)
    with pytest.raises(UserError, match="install"), adapters.importing(tmp_path):
        import their_module
