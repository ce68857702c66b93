"""Optimisers, learning-rate schedules and parameter groups, as the official codes have them.

`bertadam`: BERT's Adam as CLIP4Clip and Side4Video (retrieval) use it.
`adamw_hf`: Hugging Face's first AdamW, which TempMe uses.
`adamw`: PyTorch's, everywhere else.

Schedules give the share of a base rate at a step (counted from 0). Warm-ups are linear.
| name | warm-up | afterwards | of |
|---|---|---|---|
| cosine | (step+1)/(warm+1) | half a cosine over the other steps | the project's own |
| huggingface | step/warm, warm rounded down | the same | TempMe, ST-Adapter, EVL |
| bert | x/warm-up, x = step/steps | (1+cos(pi x))/2: never shifted | CLIP4Clip |
| side4video | epochs/warm-up | half a cosine over the other epochs | Side4Video, recognition |
| slowfast | from `warmup_from` to the cosine | (1+cos(pi x))/2 | DiST (runs/train.py) |
| mmcv | the cosine x (`warmup_from` to 1) | (1+cos(pi epoch/epochs))/2 | AIM (mmcv's hooks) |
| wsd | (step+1)/(warm+1) | 1 up to `decay_from`, then a line to 0 | the project's own |
`side4video` counts fractions of an epoch, but looks only at an epoch's first iteration and at every
10th; `mmcv` counts whole epochs (its warm-up steps).

Kinds of parameters that a recipe exempts from decay: `bias` (the name ends so), `vector` (at most
one axis), `norm` (gains and biases of normalisation layers), `token` and `position` (learned tokens
and positions, as `VideoModel.is_token` and `is_position` of vidtune.nn.task say).

Checked against github.com/ArrowLuo/CLIP4Clip at 508ffa3, HJYao00/Side4Video at 5d72352,
LunarShen/TempMe at e624930, linziyi96/st-adapter at b914b38, alibaba-mmai-research/DiST at 4b3a09b
and taoyang1122/adapt-image-models at b3580d2.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from vidtune.nn.task import Recognizer, VideoModel
from vidtune.spec import Recipe

NORMS = (nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def optimizer(model: VideoModel, pretrained: set[str], recipe: Recipe) -> Optimizer:
    parts = groups(model, pretrained, recipe)
    named = {"adamw": partial(AdamW, fused=True), "bertadam": BertAdam, "adamw_hf": AdamWHF}
    return named[recipe.optimizer](parts, betas=recipe.betas, eps=recipe.eps)


def groups(model: VideoModel, pretrained: set[str], recipe: Recipe) -> list[dict[str, Any]]:
    """New parameters at `lr`, the classifier at `head_lr`, tuned pre-trained ones at `backbone_lr`,
    each with and without decay. `pretrained` holds the names of pre-trained parameters.
    """
    exempt = {n for n, of in kinds(model).items() if of & set(recipe.no_decay)}
    classifier = model.head if isinstance(model, Recognizer) else None
    head = set(classifier.parameters()) if classifier is not None else set()
    rates = {"new": recipe.lr, "head": recipe.head_lr, "old": recipe.backbone_lr}
    parts: dict[tuple[str, bool], dict[str, Any]] = {}
    for (place, lr), decays in product(rates.items(), (True, False)):
        decay = recipe.weight_decay if decays else 0.0
        parts[place, decays] = {"params": [], "lr": lr or recipe.lr, "weight_decay": decay}
    for name, p in model.named_parameters():
        if p.requires_grad:
            place = "head" if p in head else "old" if name in pretrained else "new"
            parts[place, name not in exempt]["params"].append(p)
    return [g for g in parts.values() if g["params"]]


def kinds(model: VideoModel) -> dict[str, set[str]]:
    """The kinds of every parameter, by its name."""
    normal = {id(p) for m in model.modules() if isinstance(m, NORMS) for p in m.parameters()}
    kinds_of = {}
    for name, p in model.named_parameters():
        is_a = {
            "bias": name.endswith("bias"),
            "vector": p.ndim <= 1,
            "norm": id(p) in normal,
            "token": model.is_token(name),
            "position": model.is_position(name),
        }
        kinds_of[name] = {kind for kind, yes in is_a.items() if yes}
    return kinds_of


class Adam(Optimizer):
    """An Adam, whose `update` changes parameters of one type that have gradients, all at once: one by one
    they take, in float16 on a GPU, most of a training step."""

    def __init__(self, params: Iterable[Any], betas: tuple[float, float], eps: float) -> None:
        super().__init__(params, {"betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            alike: dict[Any, list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    alike.setdefault((p.device, p.dtype), []).append(p)
            for params in alike.values():
                self.update(params, [p.grad for p in params], group)

    def update(self, params: list[Tensor], grads: list[Tensor], group: dict[str, Any]) -> None:
        raise NotImplementedError

    def moments(
        self, params: list[Tensor], grads: list[Tensor], betas: tuple[float, float]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Update and return the running means of the gradients and of their squares."""
        states = [self.state[p] for p in params]
        for p, state in zip(params, states, strict=True):
            if "mean" not in state:
                state["mean"], state["square"] = torch.zeros_like(p), torch.zeros_like(p)
        means, squares = ([state[name] for state in states] for name in ("mean", "square"))
        torch._foreach_mul_(means, betas[0])
        torch._foreach_add_(means, grads, alpha=1 - betas[0])
        torch._foreach_mul_(squares, betas[1])
        torch._foreach_addcmul_(squares, grads, grads, 1 - betas[1])
        return means, squares


class BertAdam(Adam):
    """Adam without bias correction; decay is part of the update, and so scaled by the rate.

    Each parameter's gradient is clipped to `MAX_NORM` on top of any global clipping.
    """

    MAX_NORM = 1.0

    def update(self, params: list[Tensor], grads: list[Tensor], group: dict[str, Any]) -> None:
        norms = torch.stack(torch._foreach_norm(grads))
        shares = (self.MAX_NORM / (norms + 1e-6)).clamp(max=1.0)  # as nn.utils.clip_grad_norm_
        torch._foreach_mul_(grads, list(shares.unbind()))
        means, squares = self.moments(params, grads, group["betas"])
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        updates = torch._foreach_div(means, roots)
        torch._foreach_add_(updates, params, alpha=group["weight_decay"])
        torch._foreach_mul_(updates, group["lr"])
        torch._foreach_sub_(params, updates)


class AdamWHF(Adam):
    """Adam whose eps is added to the square root before its bias is corrected; decay comes last."""

    def update(self, params: list[Tensor], grads: list[Tensor], group: dict[str, Any]) -> None:
        sizes = []
        for p in params:
            state = self.state[p]
            state["step"] = state.get("step", 0) + 1
            first, second = (1 - beta ** state["step"] for beta in group["betas"])
            sizes.append(-group["lr"] * math.sqrt(second) / first)
        means, squares = self.moments(params, grads, group["betas"])
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        torch._foreach_addcdiv_(params, means, roots, sizes)
        torch._foreach_add_(params, params, alpha=-group["lr"] * group["weight_decay"])


def total_steps(recipe: Recipe, per_epoch: int) -> int:
    return recipe.steps or (recipe.epochs or 0) * per_epoch


def rate(recipe: Recipe, step: int, per_epoch: int) -> float:
    """The share of the base rates at `step`, counted from 0."""
    return SCHEDULES[recipe.schedule](recipe, step, per_epoch)


def warmup_steps(recipe: Recipe, per_epoch: int) -> float:
    """The length of the warm-up in steps, which need not be a whole number."""
    if recipe.warmup_epochs is None:
        return recipe.warmup * total_steps(recipe, per_epoch)
    return recipe.warmup_epochs * per_epoch


def _half_cosine(x: float) -> float:  # from 1 at x = 0 to 0 at x = 1
    return 0.5 * (1 + math.cos(math.pi * x))


def _cosine(recipe: Recipe, step: int, per_epoch: int) -> float:
    steps, ramp = total_steps(recipe, per_epoch), warmup_steps(recipe, per_epoch)
    if step < ramp:
        return (step + 1) / (ramp + 1)
    return _half_cosine((step - ramp) / max(1.0, steps - ramp))


def _huggingface(recipe: Recipe, step: int, per_epoch: int) -> float:
    steps, ramp = total_steps(recipe, per_epoch), int(warmup_steps(recipe, per_epoch))
    if step < ramp:
        return step / ramp
    return _half_cosine((step - ramp) / max(1, steps - ramp))


def _bert(recipe: Recipe, step: int, per_epoch: int) -> float:
    x = step / total_steps(recipe, per_epoch)
    return x / recipe.warmup_share if x < recipe.warmup_share else _half_cosine(x)


def _side4video(recipe: Recipe, step: int, per_epoch: int) -> float:
    ramp = warmup_steps(recipe, per_epoch) / per_epoch  # epochs, as x
    epoch, at = divmod(step, per_epoch)
    x = epoch + max(0, (at + 1) // 10 * 10 - 1) / per_epoch  # at the last refresh
    return x / ramp if x < ramp else _half_cosine((x - ramp) / (recipe.epochs - ramp))


def _slowfast(recipe: Recipe, step: int, per_epoch: int) -> float:
    x, ramp = step / total_steps(recipe, per_epoch), recipe.warmup_share
    if x >= ramp:
        return _half_cosine(x)
    return recipe.warmup_from + (_half_cosine(ramp) - recipe.warmup_from) * x / ramp


def _mmcv(recipe: Recipe, step: int, per_epoch: int) -> float:
    share, ramp = _half_cosine(step // per_epoch / recipe.epochs), warmup_steps(recipe, per_epoch)
    if step >= ramp:
        return share
    return share * (1 - (1 - step / ramp) * (1 - recipe.warmup_from))


def _wsd(recipe: Recipe, step: int, per_epoch: int) -> float:
    assert recipe.decay_from is not None
    ramp, x = warmup_steps(recipe, per_epoch), step / total_steps(recipe, per_epoch)
    if step < ramp:
        return (step + 1) / (ramp + 1)
    return min(1.0, (1 - x) / (1 - recipe.decay_from))


SCHEDULES: dict[str, Callable[[Recipe, int, int], float]] = {
    "cosine": _cosine,
    "huggingface": _huggingface,
    "bert": _bert,
    "side4video": _side4video,
    "slowfast": _slowfast,
    "mmcv": _mmcv,
    "wsd": _wsd,
}
