"""EVA02-CLIP-bigE-14 (Sun et al., 2023, arXiv:2303.15389), whose vision tower is "ViT-E/14".

A ViT of 4.4 billion parameters whose blocks normalise after each branch, and a text tower like
CLIP's with an exact GELU; official parameter names.
Checked against github.com/HJYao00/Side4Video at 5d72352 (Recognition/eva_clip, Retrieval/eva_clip).
Modifications: fused attention; no dropout; options that this model does not use are left out; a
text may have any length up to the context, where the official mask takes 32 words alone.
Shapes: N frames or texts, P patches, S tokens (P + 1 with [CLS] first), D width, H heads, L words,
E joint embedding.
"""

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtune.nn.attention import attend
from vidtune.nn.clip import LOGIT_SCALE, LayerNorm, TextEncoder
from vidtune.spec import Backbone

EPS = 1e-6  # of the trunk's LayerNorms


class EVAAttention(nn.Module):
    """Keys have no bias: it would cancel in the softmax."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, S, D) -> (N, S, D)."""
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])  # (3D,)
        qkv = F.linear(x, self.qkv.weight, bias)  # (N, S, 3D)
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in qkv.chunk(3, dim=-1))
        y = attend(q, k, v)  # (N, H, S, D/H)
        return self.proj(y.transpose(1, 2).flatten(2))  # (N, S, D)


class EVABlock(nn.Module):
    """Post-norm transformer block."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = LayerNorm(width, eps=EPS)
        self.attn = EVAAttention(width, heads)
        self.norm2 = LayerNorm(width, eps=EPS)
        fc1, fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.mlp = nn.Sequential(OrderedDict(fc1=fc1, gelu=nn.GELU(), fc2=fc2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.norm1(self.attn(x))
        return x + self.norm2(self.mlp(x))


class PatchEmbed(nn.Module):
    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, stride=patch)

    def forward(self, frames: Tensor) -> Tensor:
        return self.proj(frames).flatten(2).transpose(1, 2)  # (N, P, D)


class EVATower(nn.Module):
    """With the methods of `vidtune.nn.clip.VisionTower`."""

    def __init__(self, spec: Backbone) -> None:
        super().__init__()
        width = spec.width
        heads, hidden = width // spec.head_width, int(width * spec.mlp_ratio)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, spec.patches + 1, width))
        self.patch_embed = PatchEmbed(width, spec.patch)
        self.blocks = nn.ModuleList(EVABlock(width, heads, hidden) for _ in range(spec.layers))
        self.norm = LayerNorm(width, eps=EPS)
        self.head = nn.Linear(width, spec.embed)
        self._init()

    @torch.no_grad()
    def _init(self) -> None:
        """BEiT's start: deviation 0.02 everywhere; branches shrink with depth."""
        for table in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(table, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for i, block in enumerate(self.blocks, start=1):
            block.attn.proj.weight /= math.sqrt(2 * i)
            block.mlp.fc2.weight /= math.sqrt(2 * i)

    def embed(self, frames: Tensor) -> Tensor:
        x = self.patch_embed(frames)  # (N, P, D)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1).to(x.dtype), x], dim=1)  # (N, P+1, D)
        return x + self.pos_embed

    def project(self, x: Tensor) -> Tensor:
        return self.head(self.norm(x))  # (..., E)

    def forward(self, frames: Tensor) -> Tensor:
        x = self.embed(frames)
        for block in self.blocks:
            x = block(x)
        return self.project(x[:, 0])  # (N, E)


class EVA(nn.Module):
    """Both towers, with `vidtune.nn.clip.CLIP`'s methods, or the vision tower alone."""

    def __init__(self, backbone: Backbone, text: bool = True) -> None:
        super().__init__()
        self.visual = EVATower(backbone)
        if text:
            self.text = TextEncoder()
            self.text.add_text(backbone.text, backbone.embed, nn.GELU)
            self.logit_scale = nn.Parameter(torch.full((), LOGIT_SCALE))

    def encode_image(self, frames: Tensor) -> Tensor:
        return self.visual(frames)

    def text_states(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        return self.text.text_states(tokens)

    def encode_text(self, tokens: Tensor) -> Tensor:
        return self.text.encode_text(tokens)
