"""Shapes: B videos, T frames, C classes, E embedding."""

import torch
from torch import Tensor, nn

from vidtune import spec
from vidtune.nn.clip import CLIP
from vidtune.nn.task import Recognizer

from .options import Options


class LinearProbe(Recognizer):
    cacheable = True

    def __init__(self, clip: CLIP, embed: int, classes: int) -> None:
        super().__init__()
        self.clip = clip.requires_grad_(False)
        self.fc = nn.Linear(embed, classes)

    @property
    def head(self) -> nn.Module:
        return self.fc

    @torch.no_grad()
    def prepare(self, video: Tensor) -> tuple[Tensor, ...]:
        """(B, T, 3, H, W) -> ((B, E),): everything below the classifier is frozen."""
        frames = self.clip.encode_image(video.flatten(0, 1))  # (B*T, E)
        return (frames.unflatten(0, video.shape[:2]).mean(dim=1),)  # (B, E)

    def forward(self, features: Tensor) -> Tensor:
        return self.fc(features)  # (B, C)


def build(options: Options, model: spec.Model, clip: CLIP) -> Recognizer:
    return LinearProbe(clip, model.backbone.embed, model.classes)
