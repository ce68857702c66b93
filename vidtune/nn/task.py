"""What the engine asks of every model, whatever its method.

Shapes: B videos, T frames, C classes, E embedding, L words.
"""

import torch
from torch import Tensor, nn

from vidtune.nn.clip import CLIP
from vidtune.nn.similarity import cosine


class VideoModel(nn.Module):
    """A method on a backbone. Tuned parameters are those with `requires_grad`.

    `forward(*prepare(video))` is the vision side, whose cost the papers print. `prepare` is the
    part that no tuned parameter reaches; its outputs may be cached where `cacheable` is true.
    `trunk_blocks()` are the vision blocks whose tokens are traced: each has `.attn` (called once
    with (sequences, tokens, D) first) and `.mlp`.
    """

    cacheable = False
    clip: CLIP

    def prepare(self, video: Tensor) -> tuple[Tensor, ...]:
        """(B, T, 3, H, W) normalised frames -> what `forward` takes."""
        return (video,)

    def trunk_blocks(self) -> list[nn.Module]:
        return list(self.clip.visual.transformer.resblocks)

    def merge(self) -> None:
        """Fold low-rank updates into the weights for inference; outputs stay equal."""


class Recognizer(VideoModel):
    """`forward(*prepared) -> (B, C)` logits."""


class Retriever(VideoModel):
    """`forward(*prepared)` -> video features, each (B, ...); compared with text by `similarity`."""

    def encode_text(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """(B, L) token ids, 0 where padded -> text features, each (B, ...)."""
        return (self.clip.encode_text(tokens),)

    def similarity(self, text: tuple[Tensor, ...], video: tuple[Tensor, ...]) -> Tensor:
        """Unscaled similarities (texts, videos): the cosine, unless a method has its own."""
        return cosine(*text, *video)

    def loss(self, text: tuple[Tensor, ...], video: tuple[Tensor, ...]) -> Tensor:
        """Symmetric contrastive loss of matching pairs."""
        logits = self.clip.logit_scale.exp() * self.similarity(text, video)
        target = torch.arange(len(logits), device=logits.device)
        rows = nn.functional.cross_entropy(logits, target)
        columns = nn.functional.cross_entropy(logits.T, target)
        return (rows + columns) / 2
