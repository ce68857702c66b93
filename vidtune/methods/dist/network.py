"""The trained network: layer by layer an integration branch joins the temporal encoder with the
trunk's tokens; learned queries pool the result.

Shapes: B videos, F frames, T = F / alpha frames of the trunk, P patches, S = P + 1 tokens with
[CLS] first, D trunk width, d integration width, e temporal width, E embedding, K layers.
"""

import math

import torch
from torch import Tensor, nn

from vidtune.nn.clip import Attention, LayerNorm, QuickGELU, heads_of
from vidtune.spec import Model

from .options import Options


class TemporalConv(nn.Conv2d):
    """Convolution over the frames of every place: Conv3d of the official code without its sides
    of 1. With a stride each output sees frames of its own; otherwise the length is kept."""

    def __init__(self, width: int, out: int, kernel: int, stride: int = 1) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(width, out, (kernel, 1), (stride, 1), (padding, 0))

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, S, c) -> (B, F / stride, S, out)."""
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class TemporalBlock(nn.Module):
    """Convolution over time, then over space; added to t before the last activation."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        width = options.temporal_width
        hidden = int(width * options.temporal_ratio)
        self.ln = LayerNorm(width)
        self.over_time = TemporalConv(width, hidden, options.kernel)
        self.over_space = nn.Conv2d(hidden, width, 3, padding=1)
        self.gelu = QuickGELU()

    def forward(self, t: Tensor) -> Tensor:
        """(B, F, P, e) -> the same; the patches of a frame are a square."""
        x = self.gelu(self.over_time(self.ln(t)))  # (B, F, P, hidden)
        x = x.flatten(0, 1).transpose(1, 2)  # (B*F, hidden, P)
        x = self.over_space(x.unflatten(2, (math.isqrt(x.shape[2]), -1)))  # (B*F, e, g, g)
        x = x.flatten(2).transpose(1, 2).unflatten(0, t.shape[:2])  # (B, F, P, e)
        return self.gelu(t + x)


class Integration(nn.Module):
    """An MLP, and beside it a bottleneck that mixes the frames."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        d, kernel = options.width, options.kernel
        self.ln = LayerNorm(d)
        self.mlp = mlp(d, int(d * options.mlp_ratio))
        self.ln_mix = LayerNorm(d)
        hidden = int(d * options.mixing_ratio)
        self.mix = nn.Sequential(
            nn.Linear(d, hidden),
            TemporalConv(hidden, hidden, kernel),
            QuickGELU(),
            nn.Linear(hidden, d),
        )

    def forward(self, u: Tensor) -> Tensor:
        """(B, T, S, d) -> what is added to it, the same."""
        return self.mlp(self.ln(u)) + self.mix(self.ln_mix(u))


class Layer(nn.Module):
    """One layer of both branches."""

    def __init__(self, options: Options, trunk: int, frames: int) -> None:
        super().__init__()
        d, e, alpha = options.width, options.temporal_width, options.alpha
        self.alpha = alpha
        self.temporal = TemporalBlock(options)
        self.reduce = nn.Linear(trunk, d)
        self.to_temporal = nn.Linear(d, e)
        self.to_integration = TemporalConv(e, d, alpha, stride=alpha)
        self.cls = nn.Parameter(torch.empty(frames, d))  # in the place of the missing [CLS]
        self.integrate = Integration(options)

    def join(self, m: Tensor, t: Tensor) -> Tensor:
        """The temporal encoder's patches (B, F, P, e) added to the tokens m (B, T, S, d)."""
        patches = self.to_integration(t)  # (B, T, P, d)
        cls = self.cls[:, None].expand(len(m), -1, -1, -1)  # (B, T, 1, d)
        return m + torch.cat([cls, patches], dim=2)

    def inform(self, t: Tensor, m: Tensor) -> Tensor:
        """The patches of m (B, T, S, d), each for alpha frames, added to t (B, F, P, e)."""
        x = self.to_temporal(m[:, :, 1:])  # (B, T, P, e)
        if not x.is_meta and torch.is_autocast_enabled(x.device.type):
            x = x.float()  # as CUDA's autocast leaves the released code's up-sampling
        return t + x[:, :, None].expand(-1, -1, self.alpha, -1, -1).flatten(1, 2)


class Query(nn.Module):
    """A token that reads a sequence; one norm for both."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(d)
        self.attn = Attention(d, heads_of(d))
        self.ln_2 = LayerNorm(d)
        self.mlp = mlp(d, 4 * d)

    def forward(self, query: Tensor, x: Tensor) -> Tensor:
        """(N, 1, d), (N, S, d) -> (N, 1, d)."""
        query = query + self.attn.cross(self.ln_1(query), self.ln_1(x))
        return query + self.mlp(self.ln_2(query))


class Pooling(nn.Module):
    """A query per frame reads the frame's tokens, one per video reads those queries."""

    def __init__(self, d: int, frames: int) -> None:
        super().__init__()
        self.frame, self.video = Query(d), Query(d)
        self.position = nn.Parameter(torch.empty(frames, d))

    def forward(self, x: Tensor, s: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, S, d), queries (B*T, 1, d) and (B, 1, d) -> the queries."""
        s = self.frame(s, x.flatten(0, 1))  # (B*T, 1, d)
        frames = s.view(*x.shape[:2], -1) + self.position  # (B, T, d)
        return s, self.video(g, frames)


class DiSTNetwork(nn.Module):
    def __init__(self, options: Options, model: Model) -> None:
        super().__init__()
        d, n, backbone = options.width, options.stem_frames, model.backbone
        p, frames = backbone.patch, model.frames // options.alpha  # pixels, T
        self.stem = nn.Conv3d(3, options.temporal_width, (n, p, p), (1, p, p), (n // 2, 0, 0))
        layers = range(len(options.layers) or backbone.layers)
        self.layers = nn.ModuleList(Layer(options, backbone.width, frames) for _ in layers)
        self.frame_query = nn.Parameter(torch.empty(d))
        self.video_query = nn.Parameter(torch.empty(d))
        self.pools = nn.ModuleList(Pooling(d, frames) for _ in range(options.pooling_layers))
        self.reduce_cls = nn.Linear(backbone.width, d)
        self.ln_post = LayerNorm(d)
        self.proj = nn.Parameter(d**-0.5 * torch.randn(d, backbone.embed))
        self._init()

    def _init(self) -> None:
        """Start with deviation 0.02 and biases of 0; attentions' packed projections keep Xavier's."""
        tables = (self.frame_query, self.video_query, *(p.position for p in self.pools))
        for table in (*tables, *(layer.cls for layer in self.layers)):
            nn.init.trunc_normal_(table, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, video: Tensor, taps: tuple[Tensor, ...]) -> Tensor:
        """(B, F, 3, H, W) and K trunk outputs (B, T, S, D) -> the video in the embedding, (B, E).

        What the last layer adds to the temporal encoder is read by nothing, but the published numbers
        count it: the official code computes it, and the released files hold its weights.
        """
        t = self.stem(video.transpose(1, 2)).flatten(3).permute(0, 2, 3, 1)  # (B, F, P, e)
        update: Tensor | float = 0.0
        for layer, z in zip(self.layers, taps, strict=True):
            t = layer.temporal(t)
            m = layer.reduce(z) + update  # (B, T, S, d)
            u = layer.join(m, t)
            update = layer.integrate(u)
            t = layer.inform(t, m)
        return self._pool(u + update, taps[-1][:, :, 0])

    def _pool(self, x: Tensor, cls: Tensor) -> Tensor:
        """Tokens (B, T, S, d) and the trunk's last [CLS] (B, T, D) -> (B, E)."""
        s = self.frame_query.expand(x.shape[0] * x.shape[1], 1, -1)  # (B*T, 1, d)
        g = self.video_query.expand(len(x), 1, -1)  # (B, 1, d)
        for pool in self.pools:
            s, g = pool(x, s, g)
        return self.ln_post(g[:, 0] + self.reduce_cls(cls.mean(dim=1))) @ self.proj


def mlp(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), QuickGELU(), nn.Linear(hidden, width))
