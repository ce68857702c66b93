"""How many tokens each block sees follows from the options alone, by the rule of the released code
with its truncations.
Shapes: N clips of n tokens, of which c are [CLS].
"""

from collections.abc import Iterator
from dataclasses import dataclass

from vidtune.nn.closed_form import Macs, cosine, matching, merging_block, projection, stem, text
from vidtune.spec import Model

from .options import Options


@dataclass(frozen=True)
class BlockTokens:
    """What enters one block of TempMe, and what it merges."""

    clips: int  # N
    cls: int  # c of each
    tokens: int  # n of each, after joining
    across: int  # merged before attention
    within: int  # merged after it


def macs(model: Model, options: Options) -> Macs:
    """Frames, then ever longer clips; all frames' [CLS] are kept and projected."""
    width = model.backbone.width
    vision = stem(model) + projection(model, model.frames)
    for s in tokens_per_block(model, options):
        if s.across:
            vision += matching(s.clips, s.tokens, s.cls, width)
        vision += merging_block(model, s.clips, s.tokens - s.across, s.cls, s.within)
    return Macs(vision, text(model), cosine(model))


def tokens_per_block(model: Model, o: Options) -> Iterator[BlockTokens]:
    """Tokens of every block. Shares are of all tokens, [CLS] included, and truncated; what is
    merged is at most half of the patches."""
    joins = () if o.clip_merge == "none" else zip(o.merge_layers, o.merge_frames, strict=True)
    factors = dict(joins)
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
        if factors.get(i) == 1:  # a clip without neighbours keeps what the shares count as merged
            before = 0
        yield BlockTokens(clips, cls, n, before, after)
        n -= before + after
