"""The side network, which reads the video and the outputs of a frozen image trunk's blocks.

Shapes: B videos, T frames, P patches, D trunk width, d side width, K side blocks; S tokens of a
frame in the side network: P, or P + 1 where a token is prepended for the representation.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtune.nn.attention import again
from vidtune.nn.clip import Attention, LayerNorm, heads_of
from vidtune.nn.lean import lean
from vidtune.nn.over_time import convolve_over_time
from vidtune.nn.rows import RowModule
from vidtune.spec import Model

from .options import Options


def fusion_layers(fusion: str, layers: int, trunk: int) -> tuple[int, ...]:
    """0-based trunk layers after which a side block stands.

    "interval" of l blocks: the 1-based layers L/l, 2L/l, ..., L, and of half as many blocks as
    layers the code's 2, 4, ..., which is the same where L is even; "top": the last l layers.
    """
    if not 1 <= layers <= trunk:
        raise ValueError(f"layers: expected 1 to the trunk's {trunk} layers; found {layers}")
    if fusion == "top":
        return tuple(range(trunk - layers, trunk))
    if layers == trunk // 2:
        return tuple(range(1, trunk, 2))
    return tuple((k + 1) * trunk // layers - 1 for k in range(layers))


def positions_cls(model: Model) -> bool:
    """Whether the trunk's [CLS] gets a position, as in the retrieval code on CLIP."""
    return model.task == "retrieval" and model.backbone.arch == "clip"


def has_cls_key(options: Options) -> bool:
    """Whether the trunk's [CLS] is among the keys and values."""
    return options.cls_shift or options.unshifted_cls == "own"


class TokenBatchNorm(nn.BatchNorm1d, RowModule):
    """BatchNorm3d of the official code: statistics of a channel over B, T and S. In training the first
    clips of a step update the running ones, as those of the first GPU do.

    On flat tokens, because torch 2.13's CPU gradient of a 5-d BatchNorm is wrong where the input
    is a permuted view and its last side is 1.
    """

    mixes = True

    def forward(self, s: Tensor) -> Tensor:
        flat = s.flatten(0, -2)
        if self.training and self.rows is not None and not self.rows.first:
            y = F.batch_norm(flat, None, None, self.weight, self.bias, True, eps=self.eps)
        else:
            y = super().forward(flat)
        return y.view_as(s)  # (B, T, S, d)


class TemporalConv(nn.Sequential):
    """Point-wise, depth-wise over 3 frames, point-wise; without activations.

    Conv3d of the official code, without its sides of 1.
    """

    def __init__(self, d: int) -> None:
        super().__init__(nn.Linear(d, d), nn.Conv1d(d, d, 3, padding=1, groups=d), nn.Linear(d, d))

    def forward(self, s: Tensor) -> Tensor:
        first, over_time, last = self
        if lean() and s.dtype == torch.float32:
            x = first(s)
            before, now, after = over_time.weight[:, 0].unbind(-1)  # (d,) each
            y = x * now + over_time.bias
            y[:, 1:].addcmul_(x[:, :-1], before)
            y[:, :-1].addcmul_(x[:, 1:], after)
            return last(y)
        return last(convolve_over_time(first(s), over_time.weight, over_time.bias))


class TemporalAttention(nn.Module):
    """Each place attends over its T frames. The paper compares with it but releases no code:
    a pre-norm attention of the side network's own width is our reading."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.ln = LayerNorm(d)
        self.attn = Attention(d, heads_of(d))

    def forward(self, s: Tensor) -> Tensor:
        x = s.transpose(1, 2).flatten(0, 1)  # (B*S, T, d)
        x = self.attn(self.ln(x))
        return x.unflatten(0, (len(s), -1)).transpose(1, 2)  # (B, T, S, d)


class SideBlock(nn.Module):
    """Temporal module, spatial attention with the shifted [CLS], MLP; each added to s."""

    def __init__(self, options: Options, model: Model) -> None:
        super().__init__()
        d = options.width
        self.options = options
        self.post_norm = model.backbone.arch == "eva"  # norms stand after each branch, not before
        self.cls_position = positions_cls(model)
        if options.temporal == "conv":
            self.bn_1 = TokenBatchNorm(d)
            self.conv = TemporalConv(d)
        elif options.temporal == "attention":
            self.temporal = TemporalAttention(d)
        self.ln_1 = LayerNorm(d)
        self.attn = Attention(d, heads_of(d))
        self.bn_2 = TokenBatchNorm(d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
        self.recomputed = False  # whether backward computes the three branches again

    def forward(self, s: Tensor, cls: Tensor, position: Tensor) -> Tensor:
        """Tokens (B, T, S, d), the trunk's [CLS] (B, T, 1, d), positions -> (B, T, S, d)."""
        if self.options.temporal == "conv":
            conv = self._branch(self.conv, s if self.post_norm else self.bn_1(s))
            s = s + (self.bn_1(conv) if self.post_norm else conv)
        elif self.options.temporal == "attention":
            s = s + self.temporal(s)
        s = s + self._attend(s, cls, position)
        mlp = self._branch(self.mlp, s if self.post_norm else self.bn_2(s))
        return s + (self.bn_2(mlp) if self.post_norm else mlp)

    def _branch(self, branch: Callable[..., Tensor], *inputs: Any) -> Tensor:
        return again(branch, *inputs) if self.recomputed else branch(*inputs)

    def _attend(self, s: Tensor, cls: Tensor, position: Tensor) -> Tensor:
        """Spatial attention of the tokens; the trunk's [CLS] is a key and a value, but no query.

        `position` is (P, d), or (P + 1, d) with the [CLS]'s first.
        """
        if self.options.pool == "gap":
            parts = [placed(s, position[-s.shape[2] :])]
        else:  # the prepended token has no position
            parts = [s[:, :, :1], placed(s[:, :, 1:], position[-(s.shape[2] - 1) :])]
        if has_cls_key(self.options):
            cls = shift(cls) if self.options.cls_shift else cls
            parts.insert(0, placed(cls, position[0]) if self.cls_position else cls)
        u = torch.cat(parts, dim=2).flatten(0, 1)  # (B*T, S or 1 + S, d)
        u = u if self.post_norm else self.ln_1(u)
        y = self._branch(self.attn.tail, u, s.shape[2])
        y = self.ln_1(y) if self.post_norm else y
        return y.unflatten(0, s.shape[:2])  # (B, T, S, d)


def placed(x: Tensor, position: Tensor) -> Tensor:
    """Tokens with their positions; in the tokens' type, which autocast would widen."""
    return (x + position).to(x.dtype)


def shift(cls: Tensor) -> Tensor:
    """(B, T, 1, d): the first half of the channels comes from the next frame, the second from the
    previous one; zeros where there is none. A frame never sees its own."""
    half = cls.shape[-1] // 2
    later, earlier = cls[:, 1:, :, :half], cls[:, :-1, :, half:]  # (B, T - 1, 1, d / 2)
    return torch.cat([F.pad(later, (0, 0, 0, 0, 0, 1)), F.pad(earlier, (0, 0, 0, 0, 1, 0))], dim=-1)


class Down(nn.Sequential):
    """A trunk block's output to the side width; the EVA code normalises after, not before."""

    def __init__(self, trunk_width: int, d: int, post_norm: bool) -> None:
        norm = LayerNorm(d if post_norm else trunk_width)
        linear = nn.Linear(trunk_width, d)
        super().__init__(*([linear, norm] if post_norm else [norm, linear]))
        self.post_norm = post_norm

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., d). In training lean: the trunk is frozen, so that what is normalised needs
        no gradient once the norm's weights are part of the projection's. Also where a batch's parts are
        first computed without gradients, whose features must be those of the second time to the bit."""
        if self.post_norm or x.requires_grad or not (lean() and self.training):
            return super().forward(x)
        norm, linear = self
        if (
            linear.weight.dtype != norm.weight.dtype
        ):  # in half precision rounded as the authors' are
            return super().forward(x)
        plain = F.layer_norm(x.to(norm.weight.dtype), norm.normalized_shape, eps=norm.eps)
        weight, bias = linear.weight * norm.weight, linear.bias + linear.weight @ norm.bias
        return F.linear(plain.to(x.dtype), weight, bias)


class SideNetwork(nn.Module):
    def __init__(self, options: Options, model: Model) -> None:
        super().__init__()
        width, trunk = options.width, model.backbone
        patch, blocks = trunk.patch, range(options.layers)
        if width % heads_of(width):
            raise ValueError(f"width: expected a multiple of its heads; found {width}")
        self.options = options
        self.post_norm = trunk.arch == "eva"
        self.stem = nn.Conv3d(3, width, (3, patch, patch), (1, patch, patch), (1, 0, 0))
        self.stem_bn = TokenBatchNorm(width)
        # One table for all blocks, seen by the attention only; the paper does not mention it.
        rows = trunk.patches + (positions_cls(model) and has_cls_key(options))
        self.position = nn.Parameter(torch.empty(rows, width))
        if options.pool == "extra_cls":
            self.token = nn.Parameter(torch.zeros(width))
        self.down = nn.ModuleList(Down(trunk.width, width, self.post_norm) for _ in blocks)
        self.blocks = nn.ModuleList(SideBlock(options, model) for _ in blocks)
        # EVA's recognition code has no BatchNorm before pooling.
        post_bn = model.task == "retrieval" or trunk.arch == "clip"
        self.post_bn = TokenBatchNorm(width) if post_bn else nn.Identity()

    def forward(self, video: Tensor, taps: Iterable[Tensor]) -> Tensor:
        """(B, T, 3, H, W) and K trunk outputs (B, T, P+1, D), perhaps made on demand -> frame
        features (B, T, d)."""
        video = video.transpose(1, 2).to(self.stem.weight.dtype)
        s = self.stem(video).flatten(3)  # (B, d, T, P)
        s = self.stem_bn(s.permute(0, 2, 3, 1))  # (B, T, P, d)
        if self.options.pool == "extra_cls":
            token = self.token.to(s.dtype).expand(*s.shape[:2], 1, -1)  # else autocast widens all
            s = torch.cat([token, s], dim=2)  # (B, T, P+1, d)
        taps = iter(taps)
        for down, block in zip(self.down, self.blocks, strict=True):
            z = down(next(taps))  # (B, T, P+1, d); no name keeps the tap while the next is made
            s = block(self._fuse(s, z), z[:, :, :1], self.position)
        s = self.post_bn(s)
        return s.mean(dim=2) if self.options.pool == "gap" else s[:, :, 0]  # (B, T, d)

    def _fuse(self, s: Tensor, z: Tensor) -> Tensor:
        """Add the trunk's patches to the side's, or average both."""
        half, pool = self.options.fuse == "half", self.options.pool
        if pool == "vit_cls" and s.shape[2] < z.shape[2]:
            # First block: the trunk's reduced [CLS] opens the sequence; below it fuses with itself.
            share = 1.0 if half else 0.0
            s = torch.cat([share * z[:, :, :1], s], dim=2)  # (B, T, P+1, d)
        head = []
        if pool == "extra_cls":  # a learned token has no counterpart in the trunk
            head, s = [s[:, :, :1]], s[:, :, 1:]
        z = z if pool == "vit_cls" else z[:, :, 1:]  # (B, T, S, d)
        fused = 0.5 * s + 0.5 * z if half else s + z
        return torch.cat([*head, fused], dim=2) if head else fused


@torch.no_grad()
def init_recognition(side: SideNetwork) -> None:
    """Set the recognition code's start values; parameters not named keep torch's own.

    Its intended start of `down` reaches only an unused copy, so torch's own is what it trains from.
    EVA's variant differs in the position table (0.02) and leaves all else to torch, whose linear layers
    are its projections of attention (eva_clip/eva_vit_model.py:36-57).
    """
    nn.init.normal_(side.position, std=0.02 if side.post_norm else 0.01)
    for block in side.blocks:
        d, attn = block.attn.out_proj.in_features, block.attn
        if side.post_norm:
            for x in (attn.in_proj_weight, attn.in_proj_bias, attn.out_proj.bias):
                nn.init.uniform_(x, -(d**-0.5), d**-0.5)
            continue
        nn.init.normal_(block.attn.in_proj_weight, std=d**-0.5)
        # 24 = 2 x 12: written for 12 layers and used at every depth.
        nn.init.normal_(block.attn.out_proj.weight, std=d**-0.5 * 24**-0.5)
        nn.init.normal_(block.mlp[0].weight, std=(2 * d) ** -0.5)
        nn.init.normal_(block.mlp[2].weight, std=d**-0.5 * 24**-0.5)


@torch.no_grad()
def init_retrieval(side: SideNetwork) -> None:
    """Set the retrieval code's start values: BERT's 0.02 for linear layers, its own for the rest.

    EVA's variant starts as in recognition.
    """
    if side.post_norm:
        init_recognition(side)
        return
    nn.init.normal_(side.position, std=0.01)
    for module in side.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
    for block in side.blocks:
        d = block.attn.out_proj.in_features
        nn.init.normal_(block.attn.in_proj_weight, std=d**-0.5)
        if block.options.temporal == "conv":
            nn.init.normal_(block.conv[1].weight, std=d**-0.5)
            for point_wise in (block.conv[0], block.conv[2]):  # convolutions there: torch's bias
                nn.init.uniform_(point_wise.bias, -(d**-0.5), d**-0.5)
