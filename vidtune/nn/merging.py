"""Merging similar tokens: bipartite matching and size-weighted averages, as pure functions.

After ToMe (Bolya et al., ICLR 2023, arXiv:2210.09461) in TempMe's form, which allows several [CLS].
Checked against github.com/LunarShen/TempMe at e624930.
Shapes: N sequences, n tokens of which the first c are [CLS], s sources, t targets, r merged,
D channels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Matching:
    """Which sources stay, which merge, and into which target: places among the patches' halves."""

    cls: int  # c
    kept: Tensor  # (N, s - r) sources, in their order
    merged: Tensor  # (N, r) sources
    target: Tensor  # (N, r) targets


def sources(tokens: int, cls: int) -> int:
    """How many patches may be merged away: every second, beginning with the first if c is even."""
    return (tokens - cls + 1 - cls % 2) // 2


def _halves(x: Tensor, cls: int) -> tuple[Tensor, Tensor]:
    """Patches -> sources (N, s, D) and targets (N, t, D), alternating; see `sources`."""
    even, odd = x[:, cls::2], x[:, cls + 1 :: 2]
    return (odd, even) if cls % 2 else (even, odd)


@torch.no_grad()
def match(metric: Tensor, r: int, cls: int) -> Matching:
    """Choose the r sources that are most similar (cosine) to their best target.

    `metric` is (N, n, D). No gradient flows through the choice. Ties go to the earlier token.
    """
    a, b = _halves(F.normalize(metric, dim=-1), cls)
    best, target = (a @ b.transpose(1, 2)).max(dim=-1)  # (N, s)
    order = best.argsort(dim=-1, descending=True, stable=True)
    merged, kept = order[:, :r], order[:, r:].sort(dim=-1).values  # (N, r), (N, s - r)
    return Matching(cls, kept, merged, target.gather(1, merged))


def merge(x: Tensor, size: Tensor | None, matching: Matching) -> tuple[Tensor, Tensor]:
    """Tokens (N, n, D) and how many each stands for (N, n, 1) -> both with n - r tokens.

    A merged token is the average of its parts weighted by `size` (None: all stand for one).
    New order: [CLS], kept sources, targets.
    """
    if size is None:
        size = torch.ones_like(x[..., :1])  # (N, n, 1)
    total = _merge_sum(size, matching)  # (N, n - r, 1)
    return _merge_sum(x * size, matching) / total, total  # (N, n - r, D)


def _merge_sum(x: Tensor, matching: Matching) -> Tensor:
    src, dst = _halves(x, matching.cls)
    kept = src.gather(1, _wide(matching.kept, src))  # (N, s - r, D)
    merged = src.gather(1, _wide(matching.merged, src))  # (N, r, D)
    dst = dst.scatter_add(1, _wide(matching.target, src), merged)
    return torch.cat([x[:, : matching.cls], kept, dst], dim=1)  # (N, n - r, D)


def _wide(index: Tensor, like: Tensor) -> Tensor:
    return index[..., None].expand(-1, -1, like.shape[-1])  # (N, r, D)


def join(x: Tensor, clips: int, cls: int) -> Tensor:
    """Concatenate each `clips` consecutive sequences: all [CLS] first, then all patches.

    (N, n, D) -> (N / clips, n * clips, D).
    """
    x = x.unflatten(0, (-1, clips))  # (N / clips, clips, n, D)
    return torch.cat([x[:, :, :cls].flatten(1, 2), x[:, :, cls:].flatten(1, 2)], dim=1)
