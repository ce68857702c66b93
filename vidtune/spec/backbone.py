"""A backbone: a dual encoder with CLIP's architecture, and where its weights come from."""

from collections.abc import Iterator
from typing import Literal

from vidtune.spec.frozen import Bytes, Count, Extent, Frozen, Rate
from vidtune.spec.names import Name


class Weights(Frozen):
    """An address of released weights; size and sha256 are checked whenever they are loaded."""

    url: str
    sha256: str | None  # None: nobody has published it
    bytes: Bytes | None = None  # None: unknown


class TextTower(Frozen):
    width: Extent
    layers: Extent
    context: Extent  # learned positions
    vocabulary: Literal["clip-bpe", "motion"]
    vocab_size: Count


class Backbone(Frozen):
    """Sizes are in pixels and channels. CLIP has width // 64 heads, at least 1."""

    name: Name
    arch: Literal["clip", "eva"] = "clip"
    image: Extent  # input side, pixels
    patch: Extent  # patch side, pixels
    width: Extent
    layers: Extent
    embed: Extent  # width of the joint embedding
    text: TextTower
    head_width: Extent = 64  # width of an attention head of the vision tower (EVA: 112)
    mlp_ratio: Rate = 4.0
    weights: Weights | None = None  # released weights
    pretraining: Name | None = None  # or the recipe by which a run makes them
    source: str | None = None

    def problems(self) -> Iterator[str]:
        if self.image % self.patch:
            yield f"image {self.image} is not a multiple of patch {self.patch}"
        if self.arch == "eva" and self.width % self.head_width:
            yield f"head_width: expected a divisor of {self.width}; found {self.head_width}"
        if self.arch == "clip" and self.head_width != 64:
            yield f"head_width: CLIP's heads have 64 channels; drop {self.head_width}"

    @property
    def patches(self) -> int:
        """Patch tokens of one frame."""
        return (self.image // self.patch) ** 2
