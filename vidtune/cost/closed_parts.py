"""What the closed forms of `vidtune.cost.closed` share: towers and their parts, as arithmetic.

Shapes: n sequences of S tokens, D width, T frames, P patches of a frame, L words, E embedding.
"""

from dataclasses import dataclass
from typing import Any

from vidtune.plan.options import options_class
from vidtune.spec import Model


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of what `vidtune.cost.count.passes` counts apart."""

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
    """Some tokens ask, others are keys and values."""
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
    """All blocks of the vision tower on `frames` (None: all), which stay apart."""
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
    """One text, of which the last word's state is projected; `added` prompts stand among it."""
    tower = model.backbone.text
    return text_blocks(model, model.max_words + added) + tower.width * model.backbone.embed


def cosine(model: Model) -> int:
    """One text, one video."""
    return model.backbone.embed


def options(model: Model) -> Any:
    """All options of the method, defaults included."""
    return options_class(model.method)(**_tuples(model.options))


def _tuples(given: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
