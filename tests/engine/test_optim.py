"""Learning-rate schedules by hand-made values, exemptions from decay, contradictory recipes."""

import math
import re
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from helpers.zoo import model
from torch import nn

from vidtune.engine import optim
from vidtune.engine.build_run import build_run
from vidtune.methods.build import build_model
from vidtune.nn.task import Recognizer
from vidtune.plan.registry import resolve
from vidtune.spec import Model, Recipe


def rates(per_epoch: int, **how) -> list[float]:
    """The schedule's shares over all steps."""
    base = {"name": "r", "task": "recognition", "lr": 1.0, "weight_decay": 0.0, "batch": 1}
    recipe = Recipe.model_validate({**base, **how})
    return [optim.rate(recipe, s, per_epoch) for s in range(optim.total_steps(recipe, per_epoch))]


def test_the_schedules_of_this_project():
    shares = rates(10, steps=100, warmup=0.1)
    assert shares[0] == 1 / 11 and max(shares) == 1.0
    assert shares.index(max(shares)) == 10 and shares[-1] < 0.001
    assert shares[55] == pytest.approx(0.5)
    shares = rates(10, steps=100, warmup=0.1, schedule="wsd", decay_from=0.4)
    assert shares[0] == 1 / 11 and {*shares[10:41]} == {1.0} and shares[70] == pytest.approx(0.5)
    assert shares[-1] == pytest.approx(1 / 60)


def test_the_schedules_of_the_compared_methods():
    half = [0.5 * (1 + math.cos(math.pi * x / 100)) for x in range(100)]
    # EVL: no warm-up; ST-Adapter: two epochs from 0
    assert rates(10, steps=100, schedule="huggingface") == pytest.approx(half)
    shares = rates(10, epochs=10, warmup_epochs=2, schedule="huggingface")
    assert shares[:21] == pytest.approx([s / 20 for s in range(21)]) and shares[60] == 0.5
    # DiST: from a share to the cosine, which is never shifted
    shares = rates(10, epochs=10, warmup_epochs=2, warmup_from=0.1, schedule="slowfast")
    assert shares[20:] == pytest.approx(half[20:]) and shares[0] == pytest.approx(0.1)
    assert shares[10] == pytest.approx((0.1 + half[20]) / 2)
    # AIM: whole epochs, under a line from a tenth to 1
    shares = rates(10, epochs=10, warmup_epochs=2.5, warmup_from=0.1, schedule="mmcv")
    assert shares[25:] == pytest.approx([half[s // 10 * 10] for s in range(25, 100)])
    line = [0.1 + 0.9 * s / 25 for s in range(25)]
    assert shares[:25] == pytest.approx([line[s] * half[s // 10 * 10] for s in range(25)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 5}, "give either epochs or steps"),
        ({"warmup": 0.1, "warmup_epochs": 1}, "in place of warmup"),
        ({"epochs": None, "steps": 5, "schedule": "mmcv"}, "mmcv counts in epochs"),
        ({"warmup_from": 0.1}, "warmup_from: schedule cosine"),
        ({"decay_from": 0.5}, "decay_from: expected with schedule wsd alone"),
        ({"warmup": 0.5, "schedule": "wsd", "decay_from": 0.4}, "decay_from: expected after"),
        ({"spread": True}, "spread: only retrieval has captions"),
        ({"sampler": "stride"}, "stride: expected with samplers"),
        ({"stride": 4}, "stride: expected with samplers"),
        ({"random_train_frames": True}, "uniform has no random rule"),
        ({"sampler": "clip4clip"}, "only retrieval masks"),
        ({"slice_framepos": "head"}, "slice_framepos: only sampler clip4clip cuts"),
        (
            {"task": "retrieval", "augment": {"flip": 0.5, "repeats": 2}},
            "a pair's copy would be one of its neg",
        ),
        ({"task": "retrieval", "label_smoothing": 0.1}, "only recognition has labels"),
        ({"task": "retrieval", "head_lr": 0.1}, "only recognition has a classifier"),
    ],
)
def test_recipes_that_make_no_sense(changes, message):
    with pytest.raises(ValueError, match=message):
        rates(1, **{"epochs": 1, **changes})


@pytest.mark.parametrize(
    ("method", "name", "exempt", "decaying"),
    [
        ("st_adapter", "st-adapter-ss", r"\.bias$", "adapters.0.pre_mlp.conv.weight"),
        ("aim", "aim-ss", r"ln_post", "temporal_embedding"),
        (
            "dist",
            "dist-ss",
            r"bias$|ln\w*\.weight$|position$|query$|\.cls$",
            "dist.reduce_cls.weight",
        ),
    ],
)
def test_the_compared_methods_decay_what_they_should(method, name, exempt, decaying, plan):
    backbone = plan.config.backbones["vit-b16"]
    options = resolve(method, {}, Path("x"), ())
    model = Model(
        name="x/y",
        method=method,
        options=options,
        backbone=backbone,
        task="recognition",
        frames=8,
        classes=174,
    )
    with torch.device("meta"):
        net = build_model(model)
    kinds, free = optim.kinds(net), set(plan.config.recipes[name].no_decay)
    tuned = [n for n, p in net.named_parameters() if p.requires_grad]
    assert decaying in tuned
    assert [n for n in tuned if kinds[n] & free] == [n for n in tuned if re.search(exempt, n)]


def test_groups_by_origin_and_kind(short_run):
    run = short_run("side4video/b16-ssv1@0", no_decay=("bias", "norm"), head_lr=7.0)
    model, pretrained = build_run(run, torch.device("cpu"))
    parts = optim.groups(model, pretrained, run.recipe)
    names = {id(p): n for n, p in model.named_parameters() if p.requires_grad}
    assert sorted(names) == sorted(id(p) for g in parts for p in g["params"])
    for group in parts:
        for name in (names[id(p)] for p in group["params"]):
            assert group["lr"] == (7.0 if name.startswith("fc.") else run.recipe.lr)
            exempt = name.endswith("bias") or optim.kinds(model)[name] & {"norm"}
            assert group["weight_decay"] == (0.0 if exempt else run.recipe.weight_decay)
    kinds = optim.kinds(
        build_run(short_run("side4video/clip4clip-b32-msrvtt@0"), torch.device("cpu"))[0]
    )
    visual = "clip.visual"
    assert kinds[f"{visual}.class_embedding"] == {"vector", "token"}
    assert kinds[f"{visual}.positional_embedding"] == {"position"}
    assert kinds[f"{visual}.ln_post.weight"] == {"vector", "norm"}
    assert kinds["clip.token_embedding.weight"] == set()


class Renamed(Recognizer):
    """Its classifier has a name of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)  # no classifier, whatever its name
        self.readout = nn.Linear(4, 2)

    @property
    def head(self) -> nn.Module:
        return self.readout


class Headless(Recognizer):
    pass


def test_the_classifier_gets_its_rate_whatever_its_name():
    base = {"name": "r", "task": "recognition", "epochs": 1, "weight_decay": 0.0, "batch": 1}
    recipe = Recipe.model_validate({**base, "lr": 1.0, "head_lr": 7.0})
    net = Renamed()
    rates = {id(p): g["lr"] for g in optim.groups(net, set(), recipe) for p in g["params"]}
    assert {n: rates[id(p)] for n, p in net.named_parameters()} == {
        "fc.weight": 1.0,
        "fc.bias": 1.0,
        "readout.weight": 7.0,
        "readout.bias": 7.0,
    }


def test_a_recognizer_must_say_what_its_classifier_is(monkeypatch):
    monkeypatch.setattr("vidtune.methods.linear_probe.model.build", lambda *_: Headless())
    with pytest.raises(TypeError, match=r"linear_probe\.model: Headless\.head: expected"):
        build_model(model("linear_probe", "recognition", {}))


class Exempting(Renamed):
    inside: ClassVar[dict[str, str]] = {"gate": "gates"}

    def is_token(self, name: str) -> bool:
        return name == "readout.weight"


def test_a_method_names_its_own_tokens_and_parts():
    net = Exempting()
    assert optim.kinds(net)["readout.weight"] == {"token"}
    assert net.part_of("clip.visual.transformer.resblocks.0.gate.weight") == "trunk gates"
    assert net.part_of("clip.visual.transformer.resblocks.0.attn.lora.a") == "trunk"
