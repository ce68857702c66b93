"""What the engine asks of every model, whatever its method.

Shapes: B videos, T frames, C classes, E embedding, L words.
"""

from typing import Any

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
    frozen_in_half = False  # whether the released code holds the frozen weights in float16
    clip: CLIP

    def prepare(self, video: Tensor) -> tuple[Tensor, ...]:
        """(B, T, 3, H, W) normalised frames -> what `forward` takes."""
        return (video,)

    def at_once(self, video: Tensor, mask: Tensor | None = None) -> Any:
        """`forward(*prepare(video))`; where it can be, what the one made is freed once it is read."""
        given = {} if mask is None else {"mask": mask}
        return self(*self.prepare(video), **given)

    def as_released(self) -> None:
        """From now on `at_once` keeps in memory what the released code keeps; outputs stay equal.

        For predictions that are compared with print; what is trained here needs less.
        """

    def trunk_blocks(self) -> list[nn.Module]:
        return list(self.clip.visual.transformer.resblocks)

    def fold_lora(self) -> None:
        """Fold low-rank updates into the weights for inference; outputs stay equal."""


class Recognizer(VideoModel):
    """`forward(*prepared) -> (B, C)` logits."""


class TextRecognizer(Recognizer):
    """Its classifier is what the frozen text tower makes of the classes' names, encoded once.

    Until `name_classes` all logits are 0. No checkpoint holds the names: they are the dataset's.
    """

    texts: Tensor

    def __init__(self, clip: CLIP, classes: int, embed: int) -> None:
        super().__init__()
        self.clip = clip
        self.names: Tensor | None = None
        self.encoded = -1  # of which state of the backbone `texts` are
        self.register_buffer("texts", torch.zeros(classes, embed), persistent=False)

    def name_classes(self, tokens: Tensor) -> None:
        """Token ids (C, L) of the classes' names, in the order of the labels."""
        self.names, self.encoded = tokens, -1

    def class_texts(self) -> Tensor:
        """(C, E), not normalised; encoded anew where the backbone's weights have changed."""
        state = sum(p._version for p in self.clip.parameters())  # torch counts in-place writes
        if self.names is not None and state != self.encoded:
            where = self.texts.device
            with torch.no_grad(), torch.autocast(where.type, enabled=False):
                self.texts = self.clip.encode_text(self.names.to(where))
            self.encoded = state
        return self.texts

    def logits(self, video: Tensor) -> Tensor:
        """Video features (B, E) -> (B, C)."""
        return self.clip.logit_scale.exp() * cosine(video, self.class_texts())


class Retriever(VideoModel):
    """`forward(*prepared, mask=None)` -> video features, each (B, ...), for `similarity`.

    `mask` (B, T) says which frames are real; without it all are.
    """

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
