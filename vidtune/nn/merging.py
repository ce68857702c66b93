"""Merging similar tokens: bipartite matching and size-weighted averages, as pure functions.

ToMe (Bolya et al., ICLR 2023, arXiv:2210.09461), and TempMe's form of it for several [CLS]: among
all n tokens those at even places may merge into those at odd places, and no [CLS] takes part.
Checked against github.com/facebookresearch/ToMe at af95e4b and github.com/LunarShen/TempMe at
e624930. A distillation token is a second [CLS]; one without a class token is not provided for.
Shapes: N sequences, n tokens of which the first c are [CLS], s sources, t targets, r merged,
D channels, H heads.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vidtune.nn.clip import Block
from vidtune.nn.lean import lean


@dataclass(frozen=True)
class Matching:
    """Which sources stay, which merge, and into which target: places among the patches' halves."""

    cls: int  # c
    kept: Tensor  # (N, s - r) sources
    merged: Tensor  # (N, r) sources
    target: Tensor  # (N, r) targets


def merged_per_layer(r: int, inflection: float, layers: int) -> list[int]:
    """Tokens to merge per layer: r on average, falling (inflection -1), even (0) or rising (1)."""
    first = int(r * (1 - inflection))
    step = 2 * (r - first) / max(1, layers - 1)
    return [int(first + step * i) for i in range(layers)]


def at_most(r: int, tokens: int, cls: int) -> int:
    """ToMe's limit: half of what may merge at all."""
    return min(r, (tokens - cls) // 2)


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
    merged, kept = order[:, :r], order[:, r:]  # (N, r), (N, s - r)
    if cls:  # ToMe sorts to have [CLS] first, and without one leaves the best matches first
        kept = kept.sort(dim=-1).values
    return Matching(cls, kept, merged, target.gather(1, merged))


def merge(x: Tensor, size: Tensor | None, matching: Matching) -> tuple[Tensor, Tensor]:
    """Tokens (N, n, D) and how many each stands for (N, n, 1) -> both with n - r tokens.

    A merged token is the average of its parts weighted by `size` (None: all stand for one).
    New order: [CLS], kept sources, targets.
    """
    if size is None:
        size = torch.ones_like(x[..., :1])  # (N, n, 1)
    total = merge_sum(size, matching)  # (N, n - r, 1)
    return merge_sum(x * size, matching) / total, total  # (N, n - r, D)


def merge_sum(x: Tensor, matching: Matching) -> Tensor:
    """(N, n, D) -> (N, n - r, D): sums. Of the identity they are the sources of each token."""
    src, dst = _halves(x, matching.cls)
    kept = src.gather(1, _wide(matching.kept, src))  # (N, s - r, D)
    merged = src.gather(1, _wide(matching.merged, src))  # (N, r, D)
    into = _into_targets_on_cuda if x.is_cuda else _into_targets
    return torch.cat([x[:, : matching.cls], kept, into(dst, merged, matching.target)], dim=1)


def _into_targets(dst: Tensor, merged: Tensor, target: Tensor) -> Tensor:
    """Targets (N, t, D), each with the merged (N, r, D) added that go into it."""
    return dst.scatter_add(1, _wide(target, dst), merged)


def _into_targets_on_cuda(dst: Tensor, merged: Tensor, target: Tensor) -> Tensor:
    """The same by a product with zeros and ones: CUDA's `scatter_add` adds in any order, after which no
    training ends in the same bits twice."""
    goes = target[:, None] == torch.arange(dst.shape[1], device=dst.device)[:, None]  # (N, t, r)
    with torch.autocast(dst.device.type, enabled=False):
        return torch.baddbmm(dst, goes.to(dst.dtype), merged)


def unmerge(x: Tensor, matching: Matching) -> Tensor:
    """(N, n - r, D) -> (N, n, D): a merged token goes back to every place that it came from.

    The rows are read as all even tokens, then all odd ones. With two [CLS] `merge` puts the second,
    an odd one, before the sources; the official code does not undo that, so neither does this.
    """
    r, odd_cls = matching.merged.shape[1], matching.cls // 2
    even_cls = matching.cls - odd_cls
    first = torch.arange(even_cls, device=x.device).expand(len(x), -1)
    kept = torch.cat([first, matching.kept + even_cls], dim=1)  # (N, evens - r)
    even, odd = x.split([kept.shape[1], x.shape[1] - kept.shape[1]], dim=1)
    back = odd.gather(1, _wide(matching.target + odd_cls, x))  # (N, r, D)
    out = x.new_empty(len(x), x.shape[1] + r, x.shape[2])
    out[:, 1::2] = odd
    out = out.scatter(1, _wide(2 * kept, x), even)
    return out.scatter(1, _wide(2 * (matching.merged + even_cls), x), back)


def merging_block(
    block: Block, x: Tensor, size: Tensor | None, r: int, cls: int, prop_attn: bool = True
) -> tuple[Tensor, Tensor | None, Matching | None]:
    """A block that merges r tokens between attention and MLP, matched by their mean keys.

    (N, n, D), sizes (N, n, 1) -> (N, n - r, D), their sizes, and what was merged. `prop_attn`: a
    token that stands for k counts k times as a key.
    """
    bias = _sizes_as_bias(size, prop_attn)
    y, keys = block.attn(block.ln_1(x), bias, with_keys=True)
    x, matching = x + y, None
    if r:
        matching = match(keys, r, cls)
        x, size = merge(x, size, matching)
    return x + block.mlp(block.ln_2(x)), size, matching


def last_merging_block(
    block: Block, x: Tensor, size: Tensor | None, r: int, cls: int, prop_attn: bool = True
) -> Tensor:
    """`merging_block` where only [CLS], which takes no part in merging, is read of what leaves it:
    (N, n, D) -> (N, c, D); lean, nothing else is computed."""
    if not lean():
        return merging_block(block, x, size, r, cls, prop_attn)[0][:, :cls]
    return block(x, _sizes_as_bias(size, prop_attn), read=cls)


def _sizes_as_bias(size: Tensor | None, prop_attn: bool) -> Tensor | None:
    """(N, n, 1) -> (N, 1, 1, n)"""
    return size.log().transpose(1, 2)[:, None] if prop_attn and size is not None else None


def _wide(index: Tensor, like: Tensor) -> Tensor:
    return index[..., None].expand(-1, -1, like.shape[-1])  # (N, r, D)


def join(x: Tensor, clips: int, cls: int) -> Tensor:
    """Concatenate each `clips` consecutive sequences: all [CLS] first, then all patches.

    (N, n, D) -> (N / clips, n * clips, D).
    """
    x = x.unflatten(0, (-1, clips))  # (N / clips, clips, n, D)
    return torch.cat([x[:, :, :cls].flatten(1, 2), x[:, :, cls:].flatten(1, 2)], dim=1)
