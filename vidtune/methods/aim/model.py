"""Shapes: B videos, T frames, S tokens of a frame (patches and [CLS]), D width, C classes."""

import torch
from torch import Tensor, nn

from vidtune import spec
from vidtune.nn.clip import CLIP, Block
from vidtune.nn.rows import Dropout
from vidtune.nn.task import Recognizer

from .options import Options


class Adapter(nn.Sequential):
    """A bottleneck that starts at 0."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))
        nn.init.trunc_normal_(self[0].weight, std=0.02)
        for p in (self[0].bias, self[2].weight, self[2].bias):
            nn.init.zeros_(p)


class DropPath(Dropout):
    """Drops a branch at whole places of the frame, in every frame and video alike.

    The official tokens are (S, B*T, D), and timm's layer drops along the first axis.
    """

    mixes = True

    def forward(self, x: Tensor) -> Tensor:
        """(B*T, S, D) -> (B*T, S, D)."""
        if not self.training or self.p == 0:
            return x
        if self.rows is None:
            drawn = torch.rand(1, x.shape[1], device=x.device)  # (1, S)
        else:
            drawn = self.rows.uniform_of_all(self.layer, x.shape[1])
        kept = (drawn >= self.p).to(x.dtype)
        return x * (kept / (1 - self.p))[..., None]


class SpatialAttention(nn.Module):
    """Frozen attention within frames and an adapter that adds to it."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.adapter = Adapter(width, inner)

    def forward(self, x: Tensor, attn: nn.Module) -> Tensor:
        y = attn(x)  # (B*T, S, D)
        return y + self.adapter(y)


class TemporalAttention(nn.Module):
    """The same attention over the frames of each place, [CLS] included, between adapters."""

    def __init__(self, width: int, inner: int, adapters: int) -> None:
        super().__init__()
        self.before = Adapter(width, inner) if adapters == 2 else None
        self.after = Adapter(width, inner)

    def forward(self, x: Tensor, attn: nn.Module, frames: int) -> Tensor:
        x = x.unflatten(0, (-1, frames)).transpose(1, 2)  # (B, S, T, D)
        y = x.flatten(0, 1)  # (B*S, T, D)
        if self.before is not None:
            y = y + self.before(y)
        y = self.after(attn(y)).unflatten(0, x.shape[:2])  # (B, S, T, D)
        return y.transpose(1, 2).flatten(0, 1)  # (B*T, S, D)


class JointMLP(nn.Module):
    """The frozen MLP and an adapter beside it."""

    def __init__(self, width: int, inner: int, scale: float, drop_path: float) -> None:
        super().__init__()
        self.adapter = Adapter(width, inner)
        self.scale = scale
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, mlp: nn.Module) -> Tensor:
        return mlp(x) + self.drop_path(self.scale * self.adapter(x))


class AIMBlock(nn.Module):
    """The tuned modules around one frozen block. `attn` and `mlp` see the tokens of each frame."""

    def __init__(self, width: int, options: Options, drop_path: float) -> None:
        super().__init__()
        inner = int(width * options.ratio)
        self.temporal = TemporalAttention(width, inner, options.temporal_adapters)
        self.drop_path = DropPath(drop_path)
        self.attn = SpatialAttention(width, inner)
        self.mlp = JointMLP(width, inner, options.scale, drop_path)

    def forward(self, x: Tensor, frozen: Block, frames: int) -> Tensor:
        """(B*T, S, D) -> (B*T, S, D)."""
        x = x + self.drop_path(self.temporal(frozen.ln_1(x), frozen.attn, frames))
        x = x + self.attn(frozen.ln_1(x), frozen.attn)
        return x + self.mlp(frozen.ln_2(x), frozen.mlp)


class AIM(Recognizer):
    def __init__(self, clip: CLIP, options: Options, model: spec.Model) -> None:
        super().__init__()
        width, layers = model.backbone.width, model.backbone.layers
        self.clip = clip.requires_grad_(False)
        del clip.visual.proj
        clip.visual.ln_post.requires_grad_(True)
        self.temporal_embedding = nn.Parameter(torch.zeros(model.frames, width))
        # Drop rates grow with depth.
        rates = [options.drop_path * i / max(1, layers - 1) for i in range(layers)]
        self.blocks = nn.ModuleList(AIMBlock(width, options, rate) for rate in rates)
        self.dropout = Dropout(options.dropout)
        self.fc = nn.Linear(width, model.classes)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    @property
    def head(self) -> nn.Module:
        return self.fc

    def trunk_blocks(self) -> list[nn.Module]:
        return list(self.blocks)

    def frames(self, video: Tensor) -> Tensor:
        """(B, T, 3, H, W) -> the [CLS] of every frame, (B, T, D)."""
        visual = self.clip.visual
        x = visual.tokens(video.flatten(0, 1)).unflatten(0, video.shape[:2])  # (B, T, S, D)
        x = visual.ln_pre(x + self.temporal_embedding[:, None]).flatten(0, 1)  # (B*T, S, D)
        for block, frozen in zip(self.blocks, visual.blocks, strict=True):
            x = block(x, frozen, video.shape[1])
        return visual.ln_post(x)[:, 0].unflatten(0, video.shape[:2])

    def forward(self, video: Tensor) -> Tensor:
        """(B, T, 3, H, W) -> (B, C)."""
        return self.fc(self.dropout(self.frames(video).mean(dim=1)))


def build(options: Options, model: spec.Model, clip: CLIP) -> Recognizer:
    if model.backbone.width * options.ratio < 1:
        raise ValueError(
            f"ratio: expected at least 1 / {model.backbone.width}; found {options.ratio}"
        )
    return AIM(clip, options, model)
