"""Pre-train a small CLIP on generated stills and captions, which say what is shown, never how it
moves.

The loss is CLIP's contrastive one, except that captions of a batch are compared once each, so that
two stills with the same caption are not each other's negatives.

Shapes: N stills, U distinct captions, E joint embedding, L words.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from vidtune import provenance
from vidtune.data.text import tokenizer
from vidtune.engine import optim
from vidtune.engine.checkpoints import save
from vidtune.engine.device import device_name, pick_device
from vidtune.engine.step import clamp_logit_scale
from vidtune.motion import draw
from vidtune.motion.words import SEEN, STILL_CAPTIONS
from vidtune.nn.clip import CLIP
from vidtune.nn.pixels import normalise
from vidtune.progress import progress
from vidtune.spec import Backbone, Pretraining, Recipe, UserError, write_json

SIZES = [len(words) for words in SEEN.values()]  # of the axes of `STILL_CAPTIONS`
HELD_OUT = 1000  # stills that zero-shot accuracy is measured on


def pretrain(job: Pretraining, out: Path) -> None:
    """Write the backbone's state dict to `out` and `pretrain.json` beside it.

    Raises `UserError` where there are fewer stills than a batch.
    """
    start = time.monotonic()
    device = pick_device()
    torch.manual_seed(job.seed)
    if job.stills.count < job.recipe.batch:
        raise UserError(
            f"{job.backbone.name}: stills: expected at least a batch ({job.recipe.batch}); found "
            f"{job.stills.count}; raise stills of the generated set in config/datasets.yaml"
        )
    clip = CLIP(job.backbone).to(device)
    losses = _train(clip, job, device)
    last = losses[-max(1, len(losses) // 10) :]
    code = provenance.digest("vidtune.engine.pretrain")
    report = {
        "loss": sum(last) / len(last),
        "steps": len(losses),
        "stills": job.stills.count,
        "zero_shot_stills": _held_out_accuracy(clip, job, device),
        "held_out": HELD_OUT,
        "seconds": time.monotonic() - start,
        "provenance": provenance.stamp(code, device_name(device)),
    }
    save(out, {k: v.cpu() for k, v in clip.state_dict().items()})
    write_json(out.parent / "pretrain.json", report)


def _train(clip: CLIP, job: Pretraining, device: torch.device) -> list[float]:
    """The loss of every step."""
    recipe, n = job.recipe, job.stills.count
    images, indices = draw.stills(job.stills, n, job.seed, job.backbone.image)
    pixels = torch.from_numpy(images)
    caption_of = torch.from_numpy(caption_index(indices))  # (N,)
    captions = caption_tokens(job.backbone).to(device)  # (U, L)
    per_epoch = n // recipe.batch
    steps = optim.total_steps(recipe, per_epoch)
    optimizer = torch.optim.AdamW(
        decay_groups(clip, recipe), recipe.lr, recipe.betas, recipe.eps, fused=True
    )
    schedule = LambdaLR(optimizer, lambda i: optim.rate(recipe, i, per_epoch))
    order = torch.randperm(n)  # never used, but the draws of the epochs follow it
    losses: list[float] = []
    label = f"pretrain {job.backbone.name}"
    for i in progress(range(steps), steps, label, note=lambda: f"loss {losses[-1]:.4f}"):
        at = i % per_epoch
        if at == 0:
            order = torch.randperm(n)
        stills = order[at * recipe.batch : (at + 1) * recipe.batch]
        shown, target = caption_of[stills].unique(return_inverse=True)  # (U,), (N,)
        text = clip.encode_text(captions[shown.to(device)])  # (U, E)
        image = clip.encode_image(normalise(pixels[stills].to(device)))  # (N, E)
        loss = contrastive(image, text, target.to(device), clip.logit_scale)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if recipe.clip_grad:
            nn.utils.clip_grad_norm_(clip.parameters(), recipe.clip_grad)
        optimizer.step()
        schedule.step()
        clamp_logit_scale(clip)
        losses.append(loss.item())
    return losses


def contrastive(image: Tensor, text: Tensor, target: Tensor, logit_scale: Tensor) -> Tensor:
    """The mean of both directions' cross-entropy, where still i has the caption `target[i]`.

    A caption has one still or more, and its target is spread evenly over them.
    """
    logits = logit_scale.exp() * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T  # (N, U)
    matches = F.one_hot(target, logits.shape[1]).to(logits.dtype)  # (N, U)
    by_text = F.cross_entropy(logits.T, (matches / matches.sum(dim=0)).T)
    return (F.cross_entropy(logits, target) + by_text) / 2


def decay_groups(clip: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameter groups as CLIP has them: gains, biases and the logit scale do not decay."""
    params = [p for p in clip.parameters() if p.requires_grad]
    return [
        {"params": [p for p in params if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0},
    ]


def caption_index(indices: dict[str, np.ndarray]) -> np.ndarray:
    """The row of `STILL_CAPTIONS`, (N,), of what each still shows, indices of (N,)."""
    return np.ravel_multi_index([indices[k] for k in SEEN], SIZES)


def caption_tokens(backbone: Backbone) -> Tensor:
    """All `STILL_CAPTIONS` in their order, (U, L), without common padding."""
    tokenize = tokenizer(backbone.text.vocabulary, backbone.text.context)
    ids = tokenize(list(STILL_CAPTIONS))
    return ids[:, : int((ids > 0).sum(dim=1).max())]  # (U, L)


def zero_shot(features: Tensor, text: Tensor, indices: dict[str, np.ndarray]) -> dict[str, float]:
    """Accuracy in each of the `indices` of `SEEN`, each (N,), and, as "caption", in all of them at once.

    `features` (N, E) and `text` (U, E) need no normalising. The score of a word is the sum of the
    probabilities of all captions that have it, so it is judged over all wordings.
    """
    cosine = F.normalize(features, dim=-1) @ F.normalize(text, dim=-1).T  # (N, U)
    table = (100 * cosine).softmax(dim=-1).unflatten(-1, SIZES).cpu()  # (N, one axis for each)
    axes = {name: axis for axis, name in enumerate(SEEN, 1)}

    def accuracy(*names: str) -> float:
        others = tuple(axis for name, axis in axes.items() if name not in names)
        scores = table.sum(dim=others) if others else table
        sizes = scores.shape[1:]
        right = np.ravel_multi_index([indices[name] for name in axes if name in names], sizes)
        return float((scores.flatten(1).argmax(dim=-1) == torch.from_numpy(right)).float().mean())

    return {name: accuracy(name) for name in indices} | {"caption": accuracy(*indices)}


@torch.no_grad()
def _held_out_accuracy(clip: CLIP, job: Pretraining, device: torch.device) -> dict[str, float]:
    """Zero-shot accuracy on stills of another seed than the training's."""
    clip.eval()
    images, indices = draw.stills(job.stills, HELD_OUT, job.seed + 1, job.backbone.image)
    features = clip.encode_image(normalise(torch.from_numpy(images).to(device)))  # (N, E)
    text = clip.encode_text(caption_tokens(job.backbone).to(device))  # (U, E)
    return zero_shot(features, text, indices)
