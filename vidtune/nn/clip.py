"""CLIP (Radford et al., ICML 2021, arXiv:2103.00020) under OpenAI's parameter names.

An image and its caption are encoded apart and meet in one embedding space.
Checked against github.com/openai/CLIP at d05afc4.
Modifications: blocks are batch-first; attention is fused and takes an additive bias; the image
tower can be built alone; a text may be shorter than the context.
Shapes: N images or frames, P patches, S tokens (P + 1 with [CLS] first), D width, H heads,
L words, E joint embedding.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtune.nn.attention import attend
from vidtune.nn.lean import lean
from vidtune.spec import Backbone, TextTower

LOGIT_SCALE = math.log(1 / 0.07)  # start of the cosines' learned scale, a logarithm


def heads_of(width: int) -> int:
    """Heads of a block: 64 channels each; a narrower block has one."""
    return max(1, width // 64)


class Attention(nn.Module):
    """Multi-head self-attention with packed projections, rows [q; k; v] of `in_proj_weight`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width: expected a multiple of the {heads} heads; found {width}")
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        self.lora: nn.Module | None = None  # a low-rank update of q, k and v (vidtune.nn.lora)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (N, H, S, D/H)

    def qkv(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, S, D) -> queries, keys and values, each (N, H, S, D/H)."""
        qkv = self.project(x, slice(None))  # (N, S, 3D)
        return tuple(self.split(y) for y in qkv.chunk(3, dim=-1))

    def project(self, x: Tensor, rows: slice) -> Tensor:
        """(N, S, D) -> what these rows of the packed projections make of it, (N, S, rows)."""
        y = F.linear(x, self.in_proj_weight[rows], self.in_proj_bias[rows])
        return y if self.lora is None else y + self.lora(x, rows)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool) -> Tensor:
        """Heads -> projected tokens (N, S, D) of the queries."""
        y = attend(q, k, v, bias, causal=causal)
        return self.out_proj(y.transpose(1, 2).flatten(2))  # (N, S, D)

    def cross(self, x: Tensor, context: Tensor, bias: Tensor | None = None) -> Tensor:
        """(N, S, D), (N, K, D) -> (N, S, D): queries of `x`, keys and values of `context`."""
        width = x.shape[-1]
        q = self.project(x, slice(width))  # (N, S, D)
        k, v = self.project(context, slice(width, None)).chunk(2, dim=-1)  # (N, K, D)
        return self.mix(self.split(q), self.split(k), self.split(v), bias, causal=False)

    def tail(self, x: Tensor, queries: int) -> Tensor:
        """(N, S, D) -> (N, queries, D): queries of the last tokens alone; lean, they are not copied."""
        if not lean():
            return self.cross(x[:, -queries:], x)
        q, k, v = self.qkv(x)
        return self.mix(q[:, :, -queries:], k, v, None, causal=False)

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        *,
        causal: bool = False,
        with_keys: bool = False,
        with_heads: bool = False,
    ) -> Tensor | tuple[Tensor, ...]:
        """(N, S, D) -> (N, S, D); `with_keys` adds the keys, averaged over heads, (N, S, D/H);
        `with_heads` adds queries and keys, each (N, H, S, D/H).

        `bias` is added to the logits and broadcasts to (N, H, S, S).
        """
        q, k, v = self.qkv(x)
        y = self.mix(q, k, v, bias, causal)
        if with_heads:
            return y, q, k
        return (y, k.mean(dim=1)) if with_keys else y


class LayerNorm(nn.LayerNorm):
    """Computes in its weights' precision, under autocast in single, but returns the input's type,
    which torch's does not: the residual stream keeps its type, as in OpenAI's code."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.weight.dtype)).to(x.dtype)


class QuickGELU(nn.Module):
    """x sigmoid(1.702 x); lean as silu(1.702 x) / 1.702, of which backward needs one tensor, not two."""

    def forward(self, x: Tensor) -> Tensor:
        if lean():
            return F.silu(1.702 * x).mul_(1 / 1.702)
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """Pre-norm transformer block. Methods may also call `ln_1`, `attn`, `ln_2`, `mlp` one by one."""

    def __init__(self, width: int, gelu: type[nn.Module] = QuickGELU, eps: float = 1e-5) -> None:
        super().__init__()
        self.attn = Attention(width, heads_of(width))
        self.ln_1 = LayerNorm(width, eps=eps)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", gelu())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))
        self.ln_2 = LayerNorm(width, eps=eps)

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        *,
        causal: bool = False,
        read: int | None = None,
    ) -> Tensor:
        """(N, S, D) -> (N, S, D), or (N, read, D) where lean and nothing reads the other tokens."""
        x = torch.add(*self.attended(x, bias, causal=causal, read=read))  # no name keeps the terms
        return x + self.mlp(self.ln_2(x))

    def attended(
        self, x: Tensor, bias: Tensor | None, *, causal: bool, read: int | None
    ) -> tuple[Tensor, Tensor]:
        """The tokens that are read, and what attention adds to them. `bias` is alike for all queries."""
        y = self.ln_1(x)
        if read is None or causal or not lean():
            return x, self.attn(y, bias, causal=causal)
        return x[:, :read], self.attn.cross(y[:, :read], y, bias)


class Transformer(nn.Module):
    def __init__(
        self, width: int, layers: int, gelu: type[nn.Module] = QuickGELU, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, gelu, eps) for _ in range(layers))

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        *,
        causal: bool = False,
        read: int | None = None,
    ) -> Tensor:
        """As a block; `read` is of what leaves the last one."""
        *blocks, last = self.resblocks
        for block in blocks:
            x = block(x, bias, causal=causal)
        return last(x, bias, causal=causal, read=read)


class VisionTower(nn.Module):
    """`project(blocks(embed(frames)))`; `blocks` are open to methods that own the loop."""

    def __init__(self, spec: Backbone) -> None:
        super().__init__()
        width, scale = spec.width, spec.width**-0.5
        self.conv1 = nn.Conv2d(3, width, spec.patch, stride=spec.patch, bias=False)
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(spec.patches + 1, width))
        self.ln_pre = LayerNorm(width)
        self.transformer = Transformer(width, spec.layers)
        self.ln_post = LayerNorm(width)
        self.proj = nn.Parameter(scale * torch.randn(width, spec.embed))

    @property
    def blocks(self) -> nn.ModuleList:
        return self.transformer.resblocks

    def tokens(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) -> [CLS] and patches with their positions, (N, P+1, D), before `ln_pre`."""
        x = self.conv1(frames.to(self.conv1.weight.dtype))
        x = x.flatten(2).transpose(1, 2)  # (N, P, D)
        cls = self.class_embedding.expand(len(x), 1, -1)  # (N, 1, D)
        x = torch.cat([cls.to(x.dtype), x], dim=1)  # (N, P+1, D)
        return x + self.positional_embedding.to(x.dtype)

    def embed(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) -> tokens that enter the first block, (N, P+1, D)."""
        return self.ln_pre(self.tokens(frames))

    def project(self, x: Tensor) -> Tensor:
        """Any tokens (..., D) that left the last block -> joint embedding (..., E)."""
        return self.ln_post(x) @ self.proj  # (..., E)

    def forward(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) -> [CLS] in the joint embedding, (N, E)."""
        return self.project(self.transformer(self.embed(frames), read=1)[:, 0])  # (N, E)


class TextEncoder(nn.Module):
    """A causal text transformer. CLIP is one beside its `visual`, EVA has one under `text`."""

    def add_text(self, tower: TextTower, embed: int, gelu: type[nn.Module] = QuickGELU) -> None:
        """CLIP's start: residual projections shrink with depth."""
        width, layers = tower.width, tower.layers
        self.transformer = Transformer(width, layers, gelu)
        self.token_embedding = nn.Embedding(tower.vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(tower.context, width))
        self.ln_final = LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, embed))
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=width**-0.5)
        for block in self.transformer.resblocks:
            nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)
            nn.init.normal_(block.attn.out_proj.weight, std=width**-0.5 * (2 * layers) ** -0.5)
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=width**-0.5 * (2 * layers) ** -0.5)

    def text_hidden(self, tokens: Tensor) -> Tensor:
        """(N, L) ids, L <= context -> states after `ln_final`, (N, L, D).

        Attention is causal only: what follows the end of a text never reaches it.
        """
        x = self.token_embedding(tokens).to(self.text_projection.dtype)  # (N, L, D)
        x = x + self.positional_embedding[: tokens.shape[1]].to(x.dtype)
        return self.ln_final(self.transformer(x, causal=True))

    def text_states(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(N, L) -> every word in the joint embedding, (N, L, E), and which are real, (N, L)."""
        return self.text_hidden(tokens) @ self.text_projection, text_mask(tokens)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """(N, L) -> the end-of-text token in the joint embedding, (N, E), not normalised."""
        x = self.text_hidden(tokens)
        end = tokens.argmax(dim=-1)[:, None, None].expand(-1, 1, x.shape[-1])  # (N, 1, D)
        return x.gather(1, end)[:, 0] @ self.text_projection  # (N, E)


class CLIP(TextEncoder):
    """Both towers, or the vision tower alone where `text` is false (recognition)."""

    def __init__(self, backbone: Backbone, text: bool = True) -> None:
        super().__init__()
        self.visual = VisionTower(backbone)
        if text:
            self.add_text(backbone.text, backbone.embed)
            self.logit_scale = nn.Parameter(torch.full((), LOGIT_SCALE))

    def encode_image(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, E), not normalised."""
        return self.visual(frames)


def text_mask(tokens: Tensor) -> Tensor:
    """(N, L) ids -> True up to and including end-of-text, which has the largest id."""
    place = torch.arange(tokens.shape[1], device=tokens.device)
    return place <= tokens.argmax(dim=-1, keepdim=True)  # (N, L)
