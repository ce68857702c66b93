"""The decoder.

Modifications: the query's attention is fused; what the trunk gave is not changed in place.
Shapes: B videos, T frames, P patches of a square grid, D trunk width, H trunk heads, d channels
of a trunk head, C decoder width, h decoder heads, R = (2 sqrt(P) - 1)^2 offsets between patches.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtune.nn.attention import attend
from vidtune.nn.clip import LayerNorm, QuickGELU, heads_of
from vidtune.nn.over_time import convolve_over_time
from vidtune.nn.rows import Dropout
from vidtune.spec import Model

from .options import Options


def offsets(grid: int) -> Tensor:
    """(P, P): the row, of R, that stands for the offset from a key's patch to a query's."""
    place = torch.arange(grid * grid)
    y, x = place // grid, place % grid
    dy = y[:, None] - y + grid - 1
    dx = x[:, None] - x + grid - 1
    return dy * (2 * grid - 1) + dx


class Neighbours(nn.Module):
    """Encodes where a patch looks in the previous and in the next frame, as learned offset vectors.

    The trunk's own queries and keys, of neighbouring frames, say how much it looks at each patch.
    """

    def __init__(self, width: int, grid: int) -> None:
        super().__init__()
        rows = (2 * grid - 1) ** 2
        self.previous = nn.Parameter(torch.zeros(rows, width))
        self.next = nn.Parameter(torch.zeros(rows, width))
        self.register_buffer("offsets", offsets(grid), persistent=False)

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        """Twice (B, T, H, P, d) -> (B, T, P+1, D); zeros for the [CLS] and where no frame is."""
        previous = self._offset_features(q[:, 1:], k[:, :-1], self.previous)  # (B, T-1, P, D)
        following = self._offset_features(q[:, :-1], k[:, 1:], self.next)  # (B, T-1, P, D)
        return F.pad(previous, (0, 0, 1, 0, 1, 0)) + F.pad(following, (0, 0, 1, 0, 0, 1))

    def _offset_features(self, q: Tensor, k: Tensor, table: Tensor) -> Tensor:
        logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (B, T-1, H, P, P)
        share = logits.softmax(dim=-1).mean(dim=2)  # (B, T-1, P, P)
        return torch.einsum("btqk,qkd->btqd", share, F.embedding(self.offsets, table))


class LocalTemporal(nn.Module):
    """Adds to the trunk's tokens what each place saw in neighbouring frames, and the frame's position."""

    def __init__(self, options: Options, model: Model) -> None:
        super().__init__()
        d, grid = model.backbone.width, model.backbone.image // model.backbone.patch
        conv, position = options.temporal_conv, options.temporal_pos_embed
        self.conv = nn.Conv1d(d, d, 3, padding=1, groups=d) if conv else None
        self.position = nn.Parameter(torch.zeros(model.frames, d)) if position else None
        self.neighbours = Neighbours(d, grid) if options.temporal_cross_attention else None

    def forward(self, tokens: Tensor, *heads: Tensor) -> Tensor:
        """(B, T, P+1, D) and, for `neighbours`, the trunk's q and k -> (B, T, P+1, D)."""
        y = tokens
        if self.conv is not None:
            y = y + convolve_over_time(tokens, self.conv.weight, self.conv.bias)
        if self.position is not None:
            y = y + self.position[:, None]
        if self.neighbours is not None:
            y = y + self.neighbours(*heads)
        return y


class Gather(nn.Module):
    """Attention of the query over all tokens of a video."""

    def __init__(self, options: Options, trunk: int) -> None:
        super().__init__()
        width = options.width or trunk
        self.heads = options.heads or heads_of(width)
        if width % self.heads:
            raise ValueError(f"width: expected a multiple of the {self.heads} heads; found {width}")
        self.q = nn.Linear(trunk, width)
        self.kv = nn.Linear(trunk, 2 * width)
        self.out = nn.Linear(width, trunk)
        for matrix in (self.q.weight, *self.kv.weight.chunk(2), self.out.weight):
            nn.init.xavier_uniform_(matrix)
        for linear in (self.q, self.kv, self.out):
            nn.init.zeros_(linear.bias)

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        """(B, 1, D), (B, T*(P+1), D) -> (B, 1, D)."""
        key, value = zip(self.kv.weight.chunk(2), self.kv.bias.chunk(2), strict=True)
        projected = (self.q(query), F.linear(tokens, *key), F.linear(tokens, *value))
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in projected)
        y = attend(q, k, v)  # (B, h, 1, C/h)
        return self.out(y.transpose(1, 2).flatten(2))


class DecoderLayer(nn.Module):
    def __init__(self, options: Options, model: Model) -> None:
        super().__init__()
        d = model.backbone.width
        self.temporal = LocalTemporal(options, model)
        self.ln_query, self.ln_tokens = LayerNorm(d), LayerNorm(d)
        self.attn = Gather(options, d)
        self.ln_mlp = LayerNorm(d)
        hidden = round(options.mlp_ratio * d)
        self.mlp = nn.Sequential(
            nn.Linear(d, hidden), QuickGELU(), Dropout(options.mlp_dropout), nn.Linear(hidden, d)
        )
        for linear in (self.mlp[0], self.mlp[-1]):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.normal_(linear.bias, std=1e-6)

    def forward(self, query: Tensor, tokens: Tensor, *heads: Tensor) -> Tensor:
        """(B, 1, D) and what one trunk layer gave, see `LocalTemporal` -> (B, 1, D)."""
        y = self.temporal(tokens, *heads).flatten(1, 2)  # (B, T*(P+1), D)
        query = query + self.attn(self.ln_query(query), self.ln_tokens(y))
        return query + self.mlp(self.ln_mlp(query))


class Decoder(nn.Module):
    """The query, the tables of positions and those of offsets start at zero: the official code has
    another start for the query alone, and never calls it."""

    def __init__(self, options: Options, model: Model) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(model.backbone.width))
        self.layers = nn.ModuleList(DecoderLayer(options, model) for _ in range(options.layers))

    def forward(self, taps: Iterable[tuple[Tensor, ...]]) -> Tensor:
        """What each trunk layer gave: (B, T, P+1, D)[, q, k] -> the video (B, D)."""
        x = None
        for layer, tap in zip(self.layers, taps, strict=True):
            x = self.query.expand(len(tap[0]), 1, -1) if x is None else x  # (B, 1, D)
            x = layer(x, *tap)
        return x[:, 0]
