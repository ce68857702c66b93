"""Pre-train a small CLIP on generated stills and their captions: what is there, never how it moves.

CLIP's contrastive loss, except that captions of a batch are compared once each, so that two stills
with the same caption are not each other's negatives.

Shapes: N stills, U distinct captions, E joint embedding, L words.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtune import provenance
from vidtune.data.text import tokenizer
from vidtune.engine import model as models
from vidtune.engine import optim
from vidtune.engine.step import MAX_LOGIT_SCALE
from vidtune.motion import draw
from vidtune.motion.words import APPEARANCES, ATTRIBUTES
from vidtune.nn.clip import CLIP
from vidtune.nn.pixels import normalise
from vidtune.progress import progress
from vidtune.spec import Backbone, Pretraining, Recipe, UserError, write_json

HELD_OUT = 1000  # stills that zero-shot accuracy is measured on


def pretrain(job: Pretraining, out: Path) -> None:
    """Write the backbone's state dict to `out` and `pretrain.json` beside it.

    Raises `UserError` where the recipe or the number of stills allows no step.
    """
    where = models.device()
    start = time.monotonic()
    torch.manual_seed(job.seed)
    if job.generated.stills < job.recipe.batch:
        raise UserError(
            f"generated.{job.generated.name}: stills: expected at least a batch ({job.recipe.batch}); "
            f"found {job.generated.stills}; raise it"
        )
    clip = CLIP(job.backbone).to(where)
    loss, steps = _train(clip, job, where)
    report = {
        "loss": loss,
        "steps": steps,
        "stills": job.generated.stills,
        "zero_shot_stills": _held_out(clip, job, where),
        "held_out": HELD_OUT,
        "seconds": time.monotonic() - start,
        "provenance": provenance.stamp(
            provenance.digest("vidtune.engine.pretrain"), models.device_name(where)
        ),
    }
    models.save(out, {k: v.cpu() for k, v in clip.state_dict().items()})
    write_json(out.parent / "pretrain.json", report)


def _train(clip: CLIP, job: Pretraining, where: torch.device) -> tuple[float, int]:
    """Mean loss of the last tenth of the steps, and the number of steps."""
    recipe, videos = job.recipe, job.generated
    images, kinds = draw.stills(videos, videos.stills, job.seed, job.backbone.image)
    pixels, which = torch.from_numpy(images), torch.from_numpy(appearance_index(kinds))
    captions = appearance_tokens(job.backbone).to(where)  # (U, L)
    per_epoch = videos.stills // recipe.batch
    steps = optim.length(recipe, per_epoch)
    optimizer = torch.optim.AdamW(
        decayed(clip, recipe), recipe.lr, recipe.betas, recipe.eps, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: optim.rate(recipe, step, per_epoch)
    )
    order = torch.randperm(videos.stills)
    losses: list[float] = []
    for step in progress(range(steps), steps, f"pretrain {job.backbone.name}"):
        at = step % per_epoch
        if at == 0:
            order = torch.randperm(videos.stills)
        rows = order[at * recipe.batch : (at + 1) * recipe.batch]
        present, target = which[rows].unique(return_inverse=True)  # (U,), (N,)
        text = clip.encode_text(captions[present.to(where)])  # (U, E)
        image = clip.encode_image(normalise(pixels[rows].to(where)))  # (N, E)
        loss = contrastive(image, text, target.to(where), clip.logit_scale)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if recipe.clip_grad:
            nn.utils.clip_grad_norm_(clip.parameters(), recipe.clip_grad)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            clip.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
        losses.append(loss.item())
    last = losses[-max(1, steps // 10) :]
    return sum(last) / len(last), steps


def contrastive(image: Tensor, text: Tensor, target: Tensor, logit_scale: Tensor) -> Tensor:
    """Mean of both directions; still i has caption `target[i]`, a caption one still or more.

    A caption's target is spread evenly over its stills.
    """
    logits = logit_scale.exp() * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T  # (N, U)
    own = F.one_hot(target, logits.shape[1]).to(logits.dtype)  # (N, U)
    back = F.cross_entropy(logits.T, (own / own.sum(dim=0)).T)
    return (F.cross_entropy(logits, target) + back) / 2


def decayed(clip: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Weight decay on matrices only, as CLIP has it (gains, biases and the scale go free)."""
    params = [p for p in clip.parameters() if p.requires_grad]
    return [
        {"params": [p for p in params if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0},
    ]


def appearance_index(kinds: dict[str, np.ndarray]) -> np.ndarray:
    """Attribute indices, each (N,) -> the row of `APPEARANCES`, (N,)."""
    sizes = [len(values) for values in ATTRIBUTES.values()]
    return np.ravel_multi_index([kinds[k] for k in ATTRIBUTES], sizes)


def appearance_tokens(backbone: Backbone) -> Tensor:
    """(U, L): the captions of all appearances, in the order of `APPEARANCES`, padding cut off."""
    tokens = tokenizer(backbone.text.vocabulary, backbone.text.context)
    ids = tokens([a.caption() for a in APPEARANCES])
    return ids[:, : int((ids > 0).sum(dim=1).max())]  # (U, L)


def zero_shot(features: Tensor, text: Tensor, kinds: dict[str, np.ndarray]) -> dict[str, float]:
    """Accuracy of the nearest caption's attributes and of the whole caption.

    `features` (N, E) and `text` (U, E) need no normalising; an attribute's score is the mean of the
    probabilities of all captions that name it, so each one is judged over all wordings.
    """
    cosine = F.normalize(features, dim=-1) @ F.normalize(text, dim=-1).T  # (N, U)
    sizes = [len(values) for values in ATTRIBUTES.values()]
    table = (100 * cosine).softmax(dim=-1).unflatten(-1, sizes)  # (N, size, colour, shape, back)
    found = {}
    for axis, key in enumerate(ATTRIBUTES, 1):
        others = tuple(i for i in range(1, len(sizes) + 1) if i != axis)
        guess = table.sum(dim=others).argmax(dim=-1).cpu()  # (N,)
        found[key] = float((guess == torch.from_numpy(kinds[key])).float().mean())
    joint = cosine.argmax(dim=-1).cpu() == torch.from_numpy(appearance_index(kinds))
    return {**found, "caption": float(joint.float().mean())}


@torch.no_grad()
def _held_out(clip: CLIP, job: Pretraining, where: torch.device) -> dict[str, float]:
    """Zero-shot accuracy on stills that no training has drawn."""
    clip.eval()
    images, kinds = draw.stills(job.generated, HELD_OUT, job.seed + 1, job.backbone.image)
    features = clip.encode_image(normalise(torch.from_numpy(images).to(where)))  # (N, E)
    text = clip.encode_text(appearance_tokens(job.backbone).to(where))  # (U, E)
    return zero_shot(features, text, kinds)
