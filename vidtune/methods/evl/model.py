"""Shapes: B videos, T frames, P patches, D trunk width, H trunk heads, d channels of a trunk
head, C classes."""

import torch
from torch import Tensor, nn

from vidtune import spec
from vidtune.nn.clip import CLIP
from vidtune.nn.rows import Dropout
from vidtune.nn.task import Recognizer

from .network import Decoder
from .options import Options


class EVL(Recognizer):
    cacheable = True

    def __init__(self, clip: CLIP, options: Options, model: spec.Model) -> None:
        super().__init__()
        trunk = model.backbone.width
        self.clip = clip.requires_grad_(False)
        del clip.visual.ln_post, clip.visual.proj  # the released code's trunk ends with its blocks
        self.first = model.backbone.layers - options.layers  # 0-based, of the layers that are read
        self.with_heads = options.temporal_cross_attention
        self.decoder = Decoder(options, model)
        self.fc = nn.Sequential(
            nn.LayerNorm(trunk), Dropout(options.cls_dropout), nn.Linear(trunk, model.classes)
        )

    @property
    def head(self) -> nn.Module:
        return self.fc

    @torch.no_grad()
    def prepare(self, video: Tensor) -> tuple[Tensor, ...]:
        """(B, T, 3, H, W) -> of every layer that is read the tokens (B, T, P+1, D) and, where
        neighbours are looked at, the patches' queries and keys (B, T, H, P, d)."""
        visual, taps = self.clip.visual, []
        x = visual.embed(video.flatten(0, 1))  # (B*T, P+1, D)
        for i, block in enumerate(visual.blocks):
            y, q, k = block.attn(block.ln_1(x), with_heads=True)
            x = x + y
            x = x + block.mlp(block.ln_2(x))
            if i >= self.first:
                heads = (q[:, :, 1:], k[:, :, 1:]) if self.with_heads else ()
                taps += [t.unflatten(0, video.shape[:2]) for t in (x, *heads)]
        return tuple(taps)

    def forward(self, *taps: Tensor) -> Tensor:
        step = 3 if self.with_heads else 1
        by_layer = [taps[i : i + step] for i in range(0, len(taps), step)]
        return self.fc(self.decoder(by_layer))  # (B, C)


def build(options: Options, model: spec.Model, clip: CLIP) -> Recognizer:
    trunk = model.backbone.layers
    if not 1 <= options.layers <= trunk:
        raise ValueError(
            f"layers: expected 1 to the trunk's {trunk} layers; found {options.layers}"
        )
    return EVL(clip, options, model)
