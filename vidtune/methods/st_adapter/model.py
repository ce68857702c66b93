"""Shapes: B videos, T frames, P = h w patches, D width, A adapter width, C classes."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtune import spec
from vidtune.nn.clip import CLIP
from vidtune.nn.lean import lean
from vidtune.nn.over_time import convolve_over_time
from vidtune.nn.rows import Dropout
from vidtune.nn.task import Recognizer

from .options import Options


class Adapter(nn.Module):
    """Adds what a bottleneck makes of the patches; [CLS] passes. Starts as the identity."""

    def __init__(self, width: int, options: Options) -> None:
        super().__init__()
        a, kernel = options.width, options.kernel
        self.fc1 = nn.Linear(width, a)
        self.conv = nn.Conv3d(a, a, kernel, padding=tuple(k // 2 for k in kernel), groups=a)
        self.fc2 = nn.Linear(a, width)
        for p in (self.fc1.bias, self.conv.weight, self.conv.bias, self.fc2.bias):
            nn.init.zeros_(p)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(B*T, P+1, D) -> (B*T, P+1, D), which may take the place of `x`."""
        z = self.fc1(x[:, 1:]).unflatten(0, (-1, frames))  # (B, T, P, A)
        if self.conv.kernel_size[1:] == (1, 1):
            z = convolve_over_time(z, self.conv.weight.flatten(2), self.conv.bias)  # (B, T, P, A)
        else:
            z = self._over_volume(z)  # (B, T, P, A)
        y = self.fc2(z.flatten(0, 1))  # (B*T, P, D)
        if lean() and len(x) > 1:  # backward has a copy of the patches
            x[:, 1:] += y
            return x
        return x + F.pad(y, (0, 0, 1, 0))

    def _over_volume(self, z: Tensor) -> Tensor:
        side = math.isqrt(z.shape[2])
        y = z.unflatten(2, (side, side)).permute(0, 4, 1, 2, 3)  # (B, A, T, h, w)
        return self.conv(y).permute(0, 2, 3, 4, 1).flatten(2, 3)  # (B, T, P, A)


class STAdapter(Recognizer):
    def __init__(self, clip: CLIP, options: Options, model: spec.Model) -> None:
        super().__init__()
        width, layers = model.backbone.width, model.backbone.layers
        self.clip = clip.requires_grad_(False)
        del clip.visual.proj
        where = [k for k in ("pre_attn", "pre_mlp") if getattr(options, k)]
        self.adapters = nn.ModuleList(
            nn.ModuleDict(
                {k: Adapter(width, options) for k in where if i >= layers - options.layers}
            )
            for i in range(layers)
        )
        self.dropout = Dropout(options.dropout)
        self.fc = nn.Linear(width, model.classes)
        nn.init.normal_(self.fc.weight, std=0.02)
        nn.init.zeros_(self.fc.bias)

    @property
    def head(self) -> nn.Module:
        return self.fc

    def forward(self, video: Tensor) -> Tensor:
        """(B, T, 3, H, W) -> (B, C)."""
        visual, frames = self.clip.visual, video.shape[1]
        x = visual.embed(video.flatten(0, 1))  # (B*T, P+1, D)
        last = visual.blocks[-1]
        for block, adapters in zip(visual.blocks, self.adapters, strict=True):
            if "pre_attn" in adapters:
                x = adapters["pre_attn"](x, frames)
            read = 1 if block is last and "pre_mlp" not in adapters else None
            x = torch.add(*block.attended(x, None, causal=False, read=read))
            if "pre_mlp" in adapters:
                x = adapters["pre_mlp"](x, frames)
            x = x + block.mlp(block.ln_2(x))
        cls = x[:, 0].unflatten(0, video.shape[:2]).mean(dim=1)  # (B, D)
        return self.fc(self.dropout(visual.ln_post(cls)))


def build(options: Options, model: spec.Model, clip: CLIP) -> Recognizer:
    if options.layers > model.backbone.layers:
        raise ValueError(
            f"layers: expected 0 to the trunk's {model.backbone.layers} layers; "
            f"found {options.layers}"
        )
    if options.layers and not (options.pre_attn or options.pre_mlp):
        raise ValueError("pre_mlp: expected it or pre_attn; for no adapters set layers to 0")
    if any(k < 1 or k % 2 == 0 for k in options.kernel):
        raise ValueError(f"kernel: expected odd sizes; found {list(options.kernel)}")
    return STAdapter(clip, options, model)
