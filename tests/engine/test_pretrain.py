"""Pre-training on stills and the check of its premise, on a scale of seconds."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.generated import record

from vidtune.data.text import EOT
from vidtune.engine.premise import (
    TWINS_AT_LEAST,
    chance_interval,
    fit,
    premise,
    probe,
    twins_in_batches,
)
from vidtune.engine.pretrain import caption_index, contrastive, pretrain, zero_shot
from vidtune.motion import generate
from vidtune.motion.words import ATTRIBUTES, MOTIONS, SEEN, STILL_CAPTIONS
from vidtune.spec import (
    Backbone,
    GeneratedSet,
    Premise,
    Pretraining,
    Probe,
    Recipe,
    Stills,
    TextTower,
    UserError,
)

BACKBONE = Backbone(
    name="tiny",
    image=32,
    patch=8,
    width=32,
    layers=2,
    embed=32,
    text=TextTower(width=32, layers=1, context=16, vocabulary="motion", vocab_size=EOT + 1),
)
STILLS_SET = GeneratedSet(
    name="tiny",
    seed=1,
    motions=("moving", "growing", "appearing", "brightening"),
    extent=(0.2, 1.0),
    clips={"train": 16, "val": 8, "test": 16},
    side=64,
    fps=16,
    seconds=(1.5, 2.0),
    stills=256,
)


def recipe(task: str, **changes: object) -> Recipe:
    base = {"lr": 3e-3, "weight_decay": 0.1, "batch": 32, "steps": 12, "warmup": 0.1}
    return Recipe.model_validate({"name": "r", "task": task, **base, **changes})


def job(count: int = 256) -> Pretraining:
    return Pretraining(
        backbone=BACKBONE,
        stills=Stills(seed=1, count=count, side=64),
        recipe=recipe("pretraining", clip_grad=1.0),
        seed=0,
    )


def test_pretraining_writes_weights_and_its_course(tmp_path: Path, capsys):
    for name in ("a", "b"):
        pretrain(job(), tmp_path / name / "clip.pt")
    a, b = (torch.load(tmp_path / n / "clip.pt", weights_only=True) for n in ("a", "b"))
    assert all(torch.equal(a[k], b[k]) for k in a)  # the same seed, the same weights
    report = json.loads((tmp_path / "a" / "pretrain.json").read_text())
    assert set(report["zero_shot_stills"]) == {*SEEN, "caption"}
    assert report["steps"] == 12 and report["loss"] < np.log(32)
    last = f"pretrain tiny: 12/12, \\d+ s, 0 s left, loss {report['loss']:.4f}\n"
    assert len(re.findall(last, capsys.readouterr().err)) == 2
    assert [p.name for p in sorted((tmp_path / "a").iterdir())] == ["clip.pt", "pretrain.json"]


def test_too_few_stills_for_a_batch_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"stills: expected at least a batch \(32\); found 8"):
        pretrain(job(count=8), tmp_path / "clip.pt")


def test_the_premise_is_judged_on_videos(tmp_path: Path):
    generate.generate(STILLS_SET, tmp_path)
    pretrain(job(), tmp_path / "clip.pt")
    how = {
        "recognition": recipe("recognition", sampler="segments"),
        "retrieval": recipe("retrieval", fps=8, max_words=16),
    }
    probes = {k: Probe(data=str(tmp_path), recipe=r, frames=4) for k, r in how.items()}
    result = premise(Premise(backbone=BACKBONE, probes=probes), tmp_path / "clip.pt")
    for task, sampler in (("recognition", "segments"), ("retrieval", "uniform")):
        check = result[task]
        assert check["probe"]["n"] == 16
        assert check["probe"]["chance"] == chance_interval(16, 0.99)
        assert {"appearance", "within_pairs_at_chance"} <= set(check["holds"])
        assert not check["holds"]["appearance"]  # twelve steps teach nothing
        assert check["sampler"] == {"name": sampler, "fps": how[task].fps}
        assert check["frames"] == 4
        assert check["probe"]["top1"] <= check["probe"]["top1_pairs_merged"]
    assert len(list((tmp_path / "decoded").iterdir())) == 6  # other frames of the same three splits
    assert "batches" not in result["recognition"]  # which need no twins
    assert result["retrieval"]["batches"]["batch"] == 16 and "batches_hold_twins" in check["holds"]
    within, known = result["recognition"]["probe"]["within_pairs"], result["references"]
    assert known["recognition"]["chance"] == {"top1": 12.5, "pair": 50.0}
    assert known["recognition"]["linear probe"]["pair"] == pytest.approx(100 * within)
    assert set(known["retrieval"]) == {"chance", "appearance oracle", "zero-shot CLIP"}
    assert known["retrieval"]["chance"]["r1"] == pytest.approx(100 / 16)
    for values in known["retrieval"].values():
        assert {"r1", "r5", "r10", "rsum", "pair"} <= set(values)


@pytest.mark.parametrize(("appearances", "batch"), [(12, 32), (72, 16)])
def test_few_appearances_put_twins_into_batches(appearances: int, batch: int):
    """Against the arithmetic of clips drawn at random, which the order of an epoch is not quite."""
    clips = [
        record(
            k,
            captions=(f"{k // 8 % appearances} {MOTIONS[k % 8]}",),
            appearance={"look": str(k // 8 % appearances)},
        )
        for k in range(8 * 144)
    ]
    recipe = Recipe(name="r", task="retrieval", lr=1.0, weight_decay=0.0, batch=batch, steps=1)
    found = twins_in_batches(clips, recipe)
    alone = (1 - 7 / (8 * appearances)) ** (batch - 1)  # no twin among the others
    assert found["with_twin"] == pytest.approx(1 - alone, abs=0.03)
    assert (found["with_twin"] >= TWINS_AT_LEAST) == (appearances == 12)
    assert found["least_loss"] < found["appearance_loss"]
    spread = twins_in_batches(clips, recipe.model_copy(update={"spread": True}))
    assert spread["least_loss"] == 0  # no caption is in a batch twice
    one = twins_in_batches(clips[:1] * 40, recipe)  # one caption alone
    assert one["with_twin"] == 0 and one["least_loss"] == pytest.approx(np.log(batch))


def test_stills_of_one_caption_are_no_negatives():
    """Two stills of one caption and one of another: perfect features cost nothing."""
    text = torch.eye(2)  # (U, E)
    target = torch.tensor([0, 0, 1])
    loss = contrastive(text[target], text, target, torch.tensor(5.0))
    # captions' targets are spread over their stills: the entropy of a half each remains
    assert loss == pytest.approx(0.5 * 0.5 * np.log(2), abs=1e-4)


def test_zero_shot_reads_what_is_shown_off_the_caption():
    shape = [len(words) for words in SEEN.values()]
    index = np.arange(len(STILL_CAPTIONS))
    indices = dict(zip(SEEN, np.unravel_index(index, shape), strict=True))
    assert (caption_index(indices) == index).all()
    text = torch.eye(len(STILL_CAPTIONS))
    assert set(zero_shot(text, text, indices).values()) == {1.0}
    moved = zero_shot(text.roll(-1, dims=1), text, indices)  # the next ground each time
    assert moved["ground"] == 0.0 and moved["caption"] == 0.0 and moved["colour"] > 0.9
    known = zero_shot(text.roll(-1, dims=1), text, {k: indices[k] for k in ATTRIBUTES})
    # of the 8 captions with the same colour and shape, the last one moves on to another
    assert known.keys() == {*ATTRIBUTES, "caption"} and known["caption"] == 0.875


def test_the_probe_converges_and_learns_the_labels():
    torch.manual_seed(0)
    x = torch.randn(200, 5, dtype=torch.double)
    labels = (x @ torch.randn(5, 4, dtype=torch.double)).argmax(dim=-1)
    weight, bias = fit(x, labels, 4, 1e-2)
    weight.requires_grad_()
    loss = torch.nn.functional.cross_entropy(x @ weight + bias, labels)
    (loss + 0.005 * weight.square().sum()).backward()
    assert weight.grad.abs().max() < 1e-5  # a minimum
    assert ((x @ weight + bias).argmax(dim=-1) == labels).float().mean() > 0.9


def test_within_pairs_is_judged_apart_from_the_kind():
    """Features that give the pair away but not the direction: merged high, within at chance."""
    torch.manual_seed(0)
    names = ["up", "down", "left", "right"]
    manifest = {
        "classes": names,
        "reversed": {"up": "down", "down": "up", "left": "right", "right": "left"},
    }
    clips, features = {}, {}
    for split in ("train", "val", "test"):
        labels = torch.randint(4, (400,))
        features[split] = torch.randn(400, 3) + 6 * (labels // 2)[:, None]
        clips[split] = [
            record(i, label=int(k), mirrored=int(k), captions=(), appearance={})
            for i, k in enumerate(labels)
        ]
    result = probe(features, clips, manifest)
    assert result["top1_pairs_merged"] > 0.99
    assert result["chance"][0] <= result["within_pairs"] <= result["chance"][1]


def test_the_interval_of_chance_is_the_binomial_one():
    assert chance_interval(10, 0.99) == (0.1, 0.9)  # no heads at all: 1 in 1024, under 0.5 %
    low, high = chance_interval(320, 0.99)
    assert (low, high) == (0.428125, 0.571875)
    assert low + high == pytest.approx(1)
