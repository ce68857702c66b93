"""Linear probe (as in CLIP, Radford et al., ICML 2021, arXiv:2103.00020): the lower bound.

The frozen image tower's features are averaged over frames; only a linear classifier is tuned.
Shapes: B videos, T frames, C classes, E embedding.
"""

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from vidtune import spec
from vidtune.nn.clip import CLIP
from vidtune.nn.task import Recognizer


class Options(spec.Options):
    tasks: ClassVar[tuple[str, ...]] = ("recognition",)
    archs: ClassVar[tuple[str, ...]] = ("clip", "eva")


class LinearProbe(Recognizer):
    cacheable = True

    def __init__(self, clip: CLIP, embed: int, classes: int) -> None:
        super().__init__()
        self.clip = clip.requires_grad_(False)
        self.fc = nn.Linear(embed, classes)

    @torch.no_grad()
    def prepare(self, video: Tensor) -> tuple[Tensor, ...]:
        """(B, T, 3, H, W) -> ((B, E),): everything below the classifier is frozen."""
        frames = self.clip.encode_image(video.flatten(0, 1))  # (B*T, E)
        return (frames.unflatten(0, video.shape[:2]).mean(dim=1),)  # (B, E)

    def forward(self, features: Tensor) -> Tensor:
        return self.fc(features)  # (B, C)


def build(model: spec.Model, clip: CLIP) -> Recognizer:
    spec.parse(Options, model.options, Path(model.name), ("options",))
    return LinearProbe(clip, model.backbone.embed, model.classes)
