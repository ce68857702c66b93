"""Closed forms of the methods that merge tokens; see `vidtune.cost.closed`.

How many tokens each block sees follows from the options alone, by the rule of the released codes
with its truncations. A matching costs one product: all sources with all targets.
Shapes: N sequences of n tokens, of which c are [CLS]; h channels of an attention head.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vidtune.cost.closed_parts import (
    Macs,
    cosine,
    mlp,
    options,
    projection,
    self_attention,
    stem,
    text,
)
from vidtune.spec import Model


def matching(n: int, tokens: int, cls: int, width: int) -> int:
    """Patches are dealt out in turn, the place of a token in the whole deciding: odd places take
    in those of even ones, among which a [CLS] does not count."""
    even = (tokens + 1) // 2 - (cls + 1) // 2
    return n * even * (tokens - cls - even) * width


def merging_block(model: Model, n: int, tokens: int, cls: int, merged: int) -> int:
    """Attention sees all tokens, the MLP what is left; keys are matched by their mean head."""
    b = model.backbone
    cost = self_attention(n, tokens, b.width) + mlp(n * (tokens - merged), b.width, 4 * b.width)
    head = b.width // max(1, b.width // 64)
    return cost + (matching(n, tokens, cls, head) if merged else 0)


def tome(model: Model) -> Macs:
    """r tokens a block on average, changing evenly with depth, at most half of the patches."""
    o, b, n = options(model), model.backbone, model.backbone.patches + 1
    first = int(o.merged * (1 - o.inflection))
    slope = 2 * (o.merged - first) / max(1, b.layers - 1)
    vision = stem(model) + projection(model, model.frames)
    for i in range(b.layers):
        r = min(int(first + slope * i), (n - 1) // 2)
        vision += merging_block(model, model.frames, n, 1, r)
        n -= r
    return Macs(vision, text(model), cosine(model))


@dataclass(frozen=True)
class Stage:
    """What enters one block of TempMe, and what it merges."""

    clips: int  # N
    cls: int  # c of each
    tokens: int  # n of each, after joining
    across: int  # merged before attention
    within: int  # merged after it


def tempme(model: Model) -> Macs:
    """Frames, then ever longer clips; all frames' [CLS] are kept and projected."""
    o, width = options(model), model.backbone.width
    vision = stem(model) + projection(model, model.frames)
    for s in stages(model, o):
        if s.across:
            vision += matching(s.clips, s.tokens, s.cls, width)
        vision += merging_block(model, s.clips, s.tokens - s.across, s.cls, s.within)
    return Macs(vision, text(model), cosine(model))


def stages(model: Model, o: Any) -> Iterator[Stage]:
    """Tokens of every block. Shares are of all tokens, [CLS] included, and truncated; what is
    merged is at most half of the patches."""
    factors = (
        {} if o.clip_merge == "none" else dict(zip(o.merge_layers, o.merge_frames, strict=True))
    )
    across = o.cross if o.clip_merge in ("both", "cross") else 0
    within = o.intra if o.clip_merge in ("both", "intra") else 0
    frames_until = min(o.merge_layers, default=model.backbone.layers)
    clips, cls, n = model.frames, 1, model.backbone.patches + 1
    for i in range(model.backbone.layers):
        k = factors.get(i, 1) if o.join else 1
        clips, cls, n = clips // k, cls * k, n * k
        before = min((n - cls) // 2, int(n * (across / 100))) if i in factors else 0
        if i not in factors and (i < frames_until or o.img_merge_layers == "all"):
            after = o.img_merge
        else:
            after = min((n - cls - before) // 2, int((n - before) * (within / 100)))
        if factors.get(i) == 1:  # one clip has no neighbours: counted as merged, but kept
            before = 0
        yield Stage(clips, cls, n, before, after)
        n -= before + after


FORMS = {"tome": tome, "tempme": tempme}
