"""Check the premise: the mini CLIP knows what a video shows, and frames without order do not tell
how it moves.

It is judged on the generated videos themselves, decoded and sampled as in training, for each task
apart. A linear probe on a clip's averaged frame features may recognise the kind of motion (shrunk
and grown shapes look different from shifted ones) but not its direction: within a time-reversed pair
it must be at chance. What such a probe and others without a sense of order reach is a reference for
the learned results (vidtune/engine/references.py).

Retrieval must also ask for the motion: a method learns it only where a training batch holds twins.

Shapes: N clips, T frames, E joint embedding, C classes, Q captions.
"""

import math
from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidtune import provenance
from vidtune.data import records
from vidtune.data.batches import AT_ONCE, shuffled, together
from vidtune.data.clips import Clips
from vidtune.data.decoded import read_kept
from vidtune.data.records import Record
from vidtune.data.text import tokenizer
from vidtune.engine import references
from vidtune.engine.checkpoints import load_weights
from vidtune.engine.device import device_name, pick_device
from vidtune.engine.pretrain import caption_tokens, zero_shot
from vidtune.motion.words import ATTRIBUTES
from vidtune.nn.clip import CLIP
from vidtune.nn.pixels import normalise
from vidtune.spec import Backbone, Premise, Probe, Recipe, UserError

APPEARANCE_AT_LEAST = 0.9  # zero-shot accuracy of every attribute
CONFIDENCE = 0.99  # of the interval that chance stays in
TWINS_AT_LEAST = 0.5  # of the captions of a training batch, the share with a twin in it
EPOCHS = 10  # whose batches are looked at
TEXTS_AT_ONCE = 256
DECAYS = (1e-4, 1e-3, 1e-2, 1e-1)  # L2 strengths tried on the validation split

Splits = dict[str, list[Record]]


def premise(job: Premise, weights: Path) -> dict[str, Any]:
    """`{<task>: what is seen and what must hold, references: {<task>: in percent}, provenance}`.

    Raises `UserError` where data or weights are missing.
    """
    device = pick_device()
    clip = CLIP(job.backbone)
    clip.load_state_dict(load_weights(weights, job.backbone))
    clip.to(device).eval()
    result: dict[str, Any] = {"references": {}}
    for task, one in job.probes.items():
        data = Path(one.data)
        clips: Splits = {split: records.read(data, split) for split in ("train", "val", "test")}
        label = f"premise: {task}: read"
        features = {
            k: _features(clip, job.backbone, one, v, f"{label} {k}") for k, v in clips.items()
        }  # (N, T, E)
        seen = appearance(clip, job.backbone, features["test"], clips["test"])
        means = {k: f.mean(dim=1) for k, f in features.items()}  # (N, E)
        judged = probe(means, clips, records.manifest(data))
        result[task] = _check(one, seen, judged)
        if task == "recognition":
            known = references.recognition(judged, len(records.manifest(data)["classes"]))
        else:
            tokens = tokenizer(job.backbone.text.vocabulary, one.recipe.max_words)
            texts, owner = records.queries(clips["test"])
            text = _texts(clip, tokens(texts))  # (Q, E)
            known = references.retrieval(clips["test"], text, means["test"], owner)
            asked = twins_in_batches(clips["train"], one.recipe)
            result[task]["batches"] = asked
            result[task]["holds"]["batches_hold_twins"] = asked["with_twin"] >= TWINS_AT_LEAST
        result["references"][task] = known
    code = provenance.digest("vidtune.engine.premise")
    return result | {"provenance": provenance.stamp(code, device_name(device))}


def _check(one: Probe, seen: dict[str, float], judged: dict[str, Any]) -> dict[str, Any]:
    """Zero-shot appearance and the converged probe, with what must hold and whether it does."""
    low, high = judged["chance"]
    return {
        "sampler": {"fps": one.recipe.fps, "name": one.recipe.sampler},
        "frames": one.frames,
        "zero_shot": seen,
        "probe": judged,
        "thresholds": {
            "appearance_at_least": APPEARANCE_AT_LEAST,
            "confidence": CONFIDENCE,
            "twins_at_least": TWINS_AT_LEAST,
        },
        "holds": {
            "appearance": min(seen[attribute] for attribute in ATTRIBUTES) >= APPEARANCE_AT_LEAST,
            "within_pairs_at_chance": low <= judged["within_pairs"] <= high,
        },
    }


@torch.no_grad()
def _features(
    clip: CLIP, backbone: Backbone, one: Probe, split: list[Record], label: str
) -> Tensor:
    """Every sampled frame's image feature of unit length, (N, T, E)."""
    clips = Clips(split, one.recipe, one.frames, backbone.image, train=False, seed=0)
    videos = read_kept(clips, label, Path(one.data))
    parts = []
    for batch in videos.split(AT_ONCE):
        frames = normalise(batch.to(clip.logit_scale.device)).flatten(0, 1)  # (B*T, 3, S, S)
        parts.append(F.normalize(clip.encode_image(frames), dim=-1).unflatten(0, batch.shape[:2]))
    return torch.cat(parts).cpu()  # (N, T, E)


@torch.no_grad()
def _texts(clip: CLIP, tokens: Tensor) -> Tensor:
    """The features of token ids (Q, L), (Q, E)."""
    parts = tokens.to(clip.logit_scale.device).split(TEXTS_AT_ONCE)
    return torch.cat([clip.encode_text(part) for part in parts]).cpu()


@torch.no_grad()
def appearance(
    clip: CLIP, backbone: Backbone, features: Tensor, split: list[Record]
) -> dict[str, float]:
    """Zero-shot accuracy over all frames of the videos, each frame judged alone, in what captions of
    videos name."""
    text = clip.encode_text(caption_tokens(backbone).to(clip.logit_scale.device))  # (U, E)
    frames = features.shape[1]
    indices = {
        key: np.repeat([values.index(r.appearance[key]) for r in split], frames)
        for key, values in ATTRIBUTES.items()
    }
    return zero_shot(features.flatten(0, 1), text.cpu(), indices)


def twins_in_batches(clips: list[Record], recipe: Recipe) -> dict[str, float]:
    """Say what the batches of the first epochs ask of a training with seed 0.

    `with_twin`: the share of captions with a twin in their batch. In nats: `appearance_loss`, the
    least contrastive loss of a method that knows appearance alone, and `least_loss`, that of one
    that knows the motion too (captions that repeat in a batch cannot be told apart).
    """
    texts, owner = records.queries(clips)
    looks = [tuple(sorted(clips[i].appearance.items())) for i in owner]
    size = recipe.size(len(owner))
    sets = together(clips[i].group for i in owner)
    alike, same = [], []  # of each caption: how many of its batch have its appearance, its words
    for epoch in range(EPOCHS):
        order = shuffled(sets, 0, epoch, texts if recipe.spread else None)
        for items in order[: len(owner) // size * size].view(-1, size).tolist():
            looking, worded = (Counter(of[k] for k in items) for of in (looks, texts))
            alike += [looking[looks[k]] for k in items]
            same += [worded[texts[k]] for k in items]
    return {
        "batch": size,
        "with_twin": fmean(a > s for a, s in zip(alike, same, strict=True)),
        "appearance_loss": fmean(map(math.log, alike)),
        "least_loss": fmean(map(math.log, same)),
    }


def probe(features: dict[str, Tensor], clips: Splits, manifest: dict[str, Any]) -> dict[str, Any]:
    """Multinomial logistic regression on averaged features (N, E); L2 chosen on validation."""
    labels = {split: torch.tensor([r.label for r in v]) for split, v in clips.items()}
    if "reversed" not in manifest:
        raise UserError("manifest.json: reversed: missing; generate the data again")
    classes, reverse = manifest["classes"], manifest["reversed"]
    partner = torch.tensor([classes.index(reverse[name]) for name in classes])  # (C,)
    mean, std = features["train"].mean(dim=0), features["train"].std(dim=0) + 1e-6
    x = {split: ((f - mean) / std).double() for split, f in features.items()}  # (N, E)
    fits = {d: fit(x["train"], labels["train"], len(classes), d) for d in DECAYS}
    scores = {d: _top1(x["val"] @ w + b, labels["val"]) for d, (w, b) in fits.items()}
    decay = max(DECAYS, key=lambda d: (scores[d], d))
    weight, bias = fits[decay]
    logits, label = x["test"] @ weight + bias, labels["test"]  # (N, C), (N,)
    n = len(label)
    rows = torch.arange(n)
    own, other = logits[rows, label], logits[rows, partner[label]]  # (N,)
    guess = logits.argmax(dim=-1)
    return {
        "top1": _top1(logits, label),
        "top1_pairs_merged": float(((guess == label) | (guess == partner[label])).float().mean()),
        "within_pairs": float((own > other).float().mean()),
        "n": n,
        "chance": chance_interval(n, CONFIDENCE),
        "l2": decay,
        "val_top1": scores[decay],
    }


def fit(x: Tensor, labels: Tensor, classes: int, decay: float) -> tuple[Tensor, Tensor]:
    """Weights (E, C) and bias (C,) at the minimum of mean cross-entropy + decay/2 |W|^2."""
    weight = torch.zeros(x.shape[1], classes, dtype=x.dtype, requires_grad=True)
    bias = torch.zeros(classes, dtype=x.dtype, requires_grad=True)
    lbfgs = torch.optim.LBFGS(
        [weight, bias],
        max_iter=1000,
        tolerance_grad=1e-6,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        lbfgs.zero_grad()
        loss = F.cross_entropy(x @ weight + bias, labels) + decay / 2 * weight.square().sum()
        loss.backward()
        return loss

    lbfgs.step(closure)
    return weight.detach(), bias.detach()


def chance_interval(n: int, confidence: float) -> tuple[float, float]:
    """The accuracies that `n` throws of a fair coin stay within with `confidence` (exact)."""
    heads = torch.arange(n + 1, dtype=torch.double)
    total = torch.tensor(float(n + 1), dtype=torch.double)
    log_p = total.lgamma() - (heads + 1).lgamma() - (n - heads + 1).lgamma() - n * np.log(2.0)
    below = log_p.exp().cumsum(dim=0)
    tail = (1 - confidence) / 2
    low = int((below < tail).sum())  # the fewest heads up to which the probability is `tail`
    return low / n, (n - low) / n


def _top1(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(dim=-1) == labels).float().mean())
