"""Shapes: B videos, F frames, T = F / alpha frames of the trunk, P patches, D trunk width, C
classes, E embedding, K layers."""

import torch
from torch import Tensor

from vidtune import spec
from vidtune.nn.clip import CLIP
from vidtune.nn.task import TextRecognizer

from .network import DiSTNetwork
from .options import Options


class DiST(TextRecognizer):
    cacheable = True

    def __init__(self, clip: CLIP, options: Options, model: spec.Model) -> None:
        super().__init__(clip, model.classes, model.backbone.embed)
        self.clip.requires_grad_(False)
        self.alpha = options.alpha
        self.layers = options.layers or tuple(range(model.backbone.layers))
        self.dist = DiSTNetwork(options, model)

    @torch.no_grad()
    def prepare(self, video: Tensor) -> tuple[Tensor, ...]:
        """(B, F, 3, H, W) -> the pixels and the K trunk outputs (B, T, P+1, D) that are read.

        As in the official code all frames are cut into patches and most are dropped then, which is
        0.6 % of the model's operations.
        """
        visual = self.clip.visual
        x = visual.embed(video.flatten(0, 1)).unflatten(0, video.shape[:2])  # (B, F, P+1, D)
        x, taps = x[:, :: self.alpha].flatten(0, 1), []  # (B*T, P+1, D)
        for i, block in enumerate(visual.blocks):
            x = block(x)
            if i in self.layers:
                taps.append(x.unflatten(0, (len(video), -1)))  # (B, T, P+1, D)
        return (video, *taps)

    def forward(self, video: Tensor, *taps: Tensor) -> Tensor:
        return self.logits(self.dist(video, taps))  # (B, C)


def build(options: Options, model: spec.Model, clip: CLIP) -> DiST:
    if model.frames % options.alpha:
        raise ValueError(
            f"frames: expected a multiple of alpha, {options.alpha}; found {model.frames}"
        )
    for name in ("stem_frames", "kernel"):
        if getattr(options, name) % 2 == 0:
            raise ValueError(f"{name}: expected an odd number; found {getattr(options, name)}")
    hidden = {
        "temporal_ratio": options.temporal_width * options.temporal_ratio,
        "mlp_ratio": options.width * options.mlp_ratio,
        "mixing_ratio": options.width * options.mixing_ratio,
    }
    for name, channels in hidden.items():
        if channels < 1:
            raise ValueError(f"{name}: expected at least one channel; found {channels:.3g}")
    trunk = range(model.backbone.layers)
    if list(options.layers) != sorted(set(options.layers) & set(trunk)):
        raise ValueError(
            f"layers: expected rising layers from 0 to {trunk[-1]}; found {list(options.layers)}"
        )
    return DiST(clip, options, model)
