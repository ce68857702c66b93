"""Training, frames, metrics and tokens against what the official codes compute.

`VIDTUNE_GOLDENS` names another folder: every `extras_<kind>*.json` in it is run by nothing but its
own content, so other seeds, lengths and shapes run unchanged.
"""

import re
from typing import Any

import numpy as np
import pytest
import torch
from helpers import golden as goldens
from helpers.golden import close
from helpers.official_frames import FRAMEPOS, clips_of, of_kind, recipe
from torch import Tensor, nn

from vidtune.data import sampling
from vidtune.data.sampling import PADDING, indices
from vidtune.data.text import tokenizer
from vidtune.engine import metrics, optim
from vidtune.remote import cache
from vidtune.spec import Recipe

KINDS = ("metrics", "optim", "sampling", "tokenizer")
NUMBER = r"(\d+\.?\d*(?:e-?\d+)?|\.\d+(?:e-?\d+)?)"
RATE = 1e-12  # of a learning rate, absolute


def test_every_kind_is_there_and_known():
    assert {f"extras_{kind}" for kind in KINDS} <= set(goldens.names(goldens.HERE))
    known = {name for kind in KINDS for name in of_kind(kind)}
    extras = {n for n in goldens.names() if goldens.description(n).get("kind") == "extras"}
    assert extras == known, f"not known: {sorted(extras ^ known)}"


# --- optimisers and schedules ---


def number_in(text: str, before: str = "", after: str = "") -> float:
    """The number that stands between two words of a golden's arguments."""
    match = re.search(before + NUMBER + after, text)
    assert match, f"no number between {before!r} and {after!r} in {text!r}"
    return float(match[1])


def numbers_in(text: str, before: str) -> list[float]:
    match = re.search(before + r"[\[(]([^\])]*)[\])]", text)
    assert match, f"no list after {before!r} in {text!r}"
    return [float(x) for x in match[1].split(",")]


def stepped(
    golden: goldens.Golden,
    which: str,
    make: Any,
    rates: list[float],
    decays: list[float],
    how: Recipe,
    norm: float,
) -> list[list[float]]:
    """Take the golden's steps, compare the parameters after each; the rates that each step used."""
    count = len(golden.description["shapes"])
    ps = [nn.Parameter(golden.tensors[f"init/{i}"].clone()) for i in range(count)]
    groups = [
        {"params": [p], "lr": lr, "weight_decay": decay}
        for p, lr, decay in zip(ps, rates, decays, strict=True)
    ]
    optimizer = make(groups)
    steps = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: optim.rate(how, s, 1))
    used = []
    for step in range(golden.description["steps"]):
        used.append([g["lr"] for g in optimizer.param_groups])
        for i, p in enumerate(ps):
            p.grad = golden.tensors[f"grad/{step}/{i}"].clone()
        nn.utils.clip_grad_norm_(ps, norm)
        optimizer.step()
        steps.step()
        for i, p in enumerate(ps):
            close(p, golden.tensors[f"{which}/{step}/{i}"], f"{which}, step {step}, {i}")
    return used


@pytest.mark.parametrize("name", of_kind("optim"))
def test_bertadam(name):
    golden = goldens.read(name)
    content = golden.description["bertadam"]
    args = content["args"]
    how = recipe(
        schedule="bert",
        warmup=number_in(args, "warmup "),
        steps=int(number_in(args, "t_total ")),
    )
    betas = number_in(args, "b1 "), number_in(args, "b2 ")
    rates, decays = numbers_in(args, "lr groups: "), numbers_in(args, "wd ")
    assert number_in(args, "max_grad_norm ") == optim.BertAdam.MAX_NORM
    used = stepped(
        golden,
        "bertadam",
        lambda g: optim.BertAdam(g, betas, number_in(args, r"\be ")),
        rates,
        decays,
        how,
        number_in(args, r"clip_grad_norm_\("),
    )
    after = [[lr * optim.rate(how, golden.description["steps"], 1) for lr in rates]]
    for ours, theirs in zip([*used[1:], *after], content["lr_after_step"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9, abs=RATE)


@pytest.mark.parametrize("name", of_kind("optim"))
def test_adamw_of_tempme(name):
    golden = goldens.read(name)
    content = golden.description["tempme_adamw"]
    args = content["args"]
    how = recipe(
        schedule="huggingface",
        warmup=number_in(args, r"warm-up int\(", r"\*"),
        steps=int(number_in(args, "total ")),
    )
    first, second = numbers_in(args, "betas ")
    count = len(golden.description["shapes"])
    used = stepped(
        golden,
        "tempme_adamw",
        lambda g: optim.AdamWHF(g, (first, second), number_in(args, "eps ")),
        [number_in(args, "lr ")] * count,
        [number_in(args, "wd ")] * count,
        how,
        number_in(args, "clip_grad_norm_ "),
    )
    assert [lr for lr, *_ in used] == pytest.approx(content["lr_used"], rel=1e-9, abs=RATE)


@pytest.mark.parametrize("name", of_kind("optim"))
def test_rates_of_side4video_recognition(name):
    content = goldens.description(name)["side4video_recognition_lr"]
    args = content["args"]
    per_epoch = int(number_in(args, after=" iterations per epoch"))
    how = recipe(
        schedule="side4video",
        lr=number_in(args, "base "),
        epochs=int(number_in(args, "epochs ")),
        warmup_epochs=number_in(args, "warm-up "),
    )
    for epoch, at, expected in content["epoch_iter_lr"]:
        ours = how.lr * optim.rate(how, epoch * per_epoch + at, per_epoch)
        assert ours == pytest.approx(expected, rel=1e-9, abs=RATE), (epoch, at)


# --- frames ---


@pytest.mark.parametrize("name", of_kind("sampling"))
def test_frames_of_recognition_and_clip4clip(name):
    content = goldens.description(name)
    frames = content["num_frames"]
    for length, rules in content["cases"].items():
        n = int(length)
        for case, expected in rules.items():
            if case == "clip4clip_slice_framepos":
                for position, theirs in expected.items():
                    how = recipe(
                        task="retrieval",
                        steps=1,
                        sampler="clip4clip",
                        slice_framepos=FRAMEPOS[position],
                    )
                    ours = indices(n, 1.0, frames, how, None)
                    assert len(ours) == frames
                    assert [i for i in ours if i != PADDING] == theirs, (case, n, position)
            else:
                theirs = np.array(expected).ravel().tolist()
                assert clips_of(case, n, frames) == theirs, (case, n)


@pytest.mark.parametrize("name", of_kind("sampling"))
def test_frames_of_tempme(name):
    content = goldens.description(name)
    rates = [(k, re.fullmatch(r"tempme_decord_(\d+)fps", k)) for k in content]
    assert any(m for _, m in rates), "no frames of TempMe in this golden"
    for key, rate in ((k, m[1]) for k, m in rates if m):
        for case in content[key]:
            how = recipe(task="retrieval", steps=1, sampler="uniform", fps=float(rate))
            window = None if case["start"] is None else (case["start"], case["end"])
            ours = indices(
                case["frames"], case["fps"], case["max_frames"], how, None, window=window
            )
            assert ours == case["indices"], case


@pytest.mark.parametrize("name", of_kind("sampling"))
def test_frames_of_side4video_retrieval(name):
    content = goldens.description(name)
    frames = content["num_frames"]
    for case in content["side4video_retrieval_frames_1based"]:
        n = case["frames"]
        every = [i + 1 for i in sampling.every(n, frames)]
        assert every == case["strategy1"], n
        cut = np.array(case["strategy1"])[np.linspace(0, len(every) - 1, frames, dtype=int)]
        for sampler, theirs in (
            ("side4video", cut.clip(max=n).tolist()),
            ("side4video_vatex", case["strategy4"]),
        ):
            how = recipe(task="retrieval", steps=1, sampler=sampler)
            assert [i + 1 for i in indices(n, 30.0, frames, how, None)] == theirs, (sampler, n)


# --- metrics ---


def check_metrics(
    ranks: Tensor, expected: dict[str, Any], ours: dict[str, float], v2t: str
) -> None:
    """Every value of a golden, from the ranks; those we report, from the report too."""
    for key, theirs in expected.items():
        at = re.fullmatch(r"R(\d+)", key)
        if at:
            assert metrics.top(ranks, int(at[1])) == pytest.approx(theirs), key
            assert ours.get(f"{v2t}r{at[1]}", theirs) == pytest.approx(theirs), key
        elif key in ("MR", "MedianR"):
            assert ours[f"{v2t}mdr"] == pytest.approx(theirs), key
        elif key == "MeanR":
            assert ours[f"{v2t}mnr"] == pytest.approx(theirs), key
        elif key == "Std_Rank":
            assert ranks.std(correction=0).item() == pytest.approx(theirs), key
        else:
            assert key == "cols", f"{key}: not a known metric"
            assert (ranks - 1).tolist() == theirs


@pytest.mark.parametrize("name", of_kind("metrics"))
def test_metrics_of_single_captions(name):
    content = goldens.description(name)
    sim = torch.tensor(content["sim"], dtype=torch.double)
    owner = torch.arange(len(sim))
    ours = metrics.retrieval(sim, owner, [], "official")
    check_metrics(metrics.entries(sim, owner), content["t2v"], ours, "")
    check_metrics(metrics.entries(sim.T, owner), content["v2t"], ours, "v2t_")


@pytest.mark.parametrize("name", of_kind("metrics"))
def test_metrics_of_several_captions(name):
    content = goldens.description(name)["multi"]
    sim = torch.tensor(content["sim"], dtype=torch.double)
    counts = torch.tensor(content["captions_per_video"])
    assert counts.cumsum(0).tolist() == content["cut_off_points"]
    videos = torch.arange(len(counts))
    owner = videos.repeat_interleave(counts)
    ours = metrics.retrieval(sim, owner, [], "official")
    check_metrics(metrics.places(sim, owner), content["t2v"], ours, "")
    back = metrics.entries(metrics.best_captions(sim, owner), videos)
    check_metrics(back, {**content["v2t"], "cols": content["v2t_cols"]}, ours, "v2t_")


# --- tokens ---


@pytest.mark.parametrize("name", of_kind("tokenizer"))
def test_tokens(name):
    if not cache.CLIP_BPE.path.is_file():
        pytest.skip("CLIP's BPE vocabulary is not in the cache (vidtune fetch clip-bpe)")
    for case in goldens.description(name)["cases"]:
        ids = tokenizer("clip-bpe", case["max_words"])([case["caption"]])[0]
        assert ids.tolist() == case["input_ids"], case["caption"]
        real = torch.arange(len(ids)) <= ids.argmax()  # up to the end of text, the largest id
        assert real.int().tolist() == case["input_mask"], case["caption"]
