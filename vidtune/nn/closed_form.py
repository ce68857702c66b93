"""Closed forms: what towers and their parts cost, as arithmetic of widths, depths, tokens, frames.

No network is built or run, no torch is imported. A method's `closed_form.py` adds these up: `macs`
gives the multiply-accumulates of matrix products, attention's among them, for one video in
evaluation, with low-rank updates folded: the independent count of `vidtune audit`.

Shapes: n sequences of S tokens, D width, T frames, P patches of a frame, L words, E embedding.
"""

from dataclasses import dataclass

from vidtune.spec import Model


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of the sides that `vidtune.cost.count.passes` counts separately."""

    vision: int
    text: int = 0
    head: int = 0


def attention(n: int, queries: int, keys: int, width: int) -> int:
    """Both products, all heads together; nothing is saved where attention is causal."""
    return 2 * n * queries * keys * width


def self_attention(n: int, tokens: int, width: int) -> int:
    """Queries, keys, values and the way out are one square projection each."""
    return 4 * n * tokens * width**2 + attention(n, tokens, tokens, width)


def cross_attention(n: int, queries: int, keys: int, width: int) -> int:
    """Some tokens are queries, others keys and values."""
    projected = (2 * queries + 2 * keys) * width**2
    return n * projected + attention(n, queries, keys, width)


def mlp(tokens: int, width: int, hidden: int) -> int:
    return 2 * tokens * width * hidden


def block(n: int, tokens: int, width: int, hidden: int | None = None) -> int:
    """A transformer block; its MLP is four times as wide unless `hidden` says otherwise."""
    return self_attention(n, tokens, width) + mlp(n * tokens, width, hidden or 4 * width)


def stem(model: Model) -> int:
    """Every frame is cut into patches, a linear layer of their pixels."""
    b = model.backbone
    return model.frames * b.patches * 3 * b.patch**2 * b.width


def trunk(model: Model, frames: int | None = None) -> int:
    """All blocks of the vision tower on `frames` (None: all), which stay separate."""
    b = model.backbone
    hidden = int(b.width * b.mlp_ratio) if b.arch == "eva" else 4 * b.width
    return b.layers * block(frames or model.frames, b.patches + 1, b.width, hidden)


def projection(model: Model, tokens: int) -> int:
    """Tokens that left the trunk into the joint embedding."""
    return tokens * model.backbone.width * model.backbone.embed


def text_blocks(model: Model, words: int) -> int:
    tower = model.backbone.text
    return tower.layers * block(1, words, tower.width)


def text(model: Model, added: int = 0) -> int:
    """One text, of which the last word's state is projected; `added` prompts stand among its words."""
    tower = model.backbone.text
    return text_blocks(model, model.max_words + added) + tower.width * model.backbone.embed


def cosine(model: Model) -> int:
    """Compare one text with one video."""
    return model.backbone.embed


def frames_alone(model: Model) -> int:
    """Every frame's [CLS] in the joint embedding: what CLIP costs."""
    return stem(model) + trunk(model) + projection(model, model.frames)


def matching(n: int, tokens: int, cls: int, width: int) -> int:
    """One product: all sources (patches at even places of the whole sequence) with all targets
    (patches at odd ones)."""
    even = (tokens + 1) // 2 - (cls + 1) // 2
    return n * even * (tokens - cls - even) * width


def merging_block(model: Model, n: int, tokens: int, cls: int, merged: int) -> int:
    """Attention sees all tokens, the MLP what is left; keys are matched by their mean head."""
    b = model.backbone
    cost = self_attention(n, tokens, b.width) + mlp(n * (tokens - merged), b.width, 4 * b.width)
    head = b.width // max(1, b.width // 64)
    return cost + (matching(n, tokens, cls, head) if merged else 0)


def adapted_frames(model: Model, inner: int) -> Macs:
    """CLIP with two bottlenecks of width `inner` in every block of both towers."""
    b = model.backbone
    vision = b.layers * 2 * mlp(model.frames * (b.patches + 1), b.width, inner)
    words = b.text.layers * 2 * mlp(model.max_words, b.text.width, inner)
    return Macs(frames_alone(model) + vision, text(model) + words, cosine(model))
