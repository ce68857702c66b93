"""A backbone: a dual encoder with CLIP's architecture, and where its weights come from."""

from collections.abc import Iterator
from typing import Literal

from vidtune.spec.frozen import Bytes, Count, Frozen, Rate
from vidtune.spec.names import Name


class Weights(Frozen):
    """An address of released weights; size and sha256 are checked whenever they are loaded."""

    url: str
    sha256: str | None  # None: nobody has published it
    bytes: Bytes | None = None  # None: unknown


class TextTower(Frozen):
    width: Count
    layers: Count
    context: Count  # learned positions
    vocabulary: Literal["clip-bpe", "motion"]
    vocab_size: Count


class Backbone(Frozen):
    """Sizes are in pixels and channels. CLIP has width // 64 heads, at least 1."""

    name: Name
    arch: Literal["clip", "eva"] = "clip"
    image: Count  # input side, pixels
    patch: Count  # patch side, pixels
    width: Count
    layers: Count
    embed: Count  # width of the joint embedding
    text: TextTower
    head_width: Count = 64  # width of an attention head of the vision tower (EVA: 112)
    mlp_ratio: Rate = 4.0
    weights: Weights | None = None  # released weights
    pretraining: Name | None = None  # or the recipe by which a run makes them
    source: str | None = None

    def problems(self) -> Iterator[str]:
        if self.image % self.patch:
            yield f"image {self.image} is not a multiple of patch {self.patch}"

    @property
    def patches(self) -> int:
        """Patch tokens of one frame."""
        return (self.image // self.patch) ** 2
