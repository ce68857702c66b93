"""Bottleneck adapters after the attention and the MLP of frozen blocks.

After Houlsby et al. (ICML 2019, arXiv:1902.00751), as Cross-Modal Adapter places them: inside the
residual branch, with a residual of their own.
Checked against github.com/LeapLabTHU/Cross-Modal-Adapter at 07b2203.
Shapes: N sequences, S tokens, D width, C bottleneck, s channels that another module makes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidtune.nn.clip import CLIP, Block, QuickGELU


class Bottleneck(nn.Module):
    """x + up(gelu(down(x))). The last s of `up`'s channels may come from a shared layer, which
    stays a part of its owner alone: its parameters are none of the adapter's."""

    def __init__(self, width: int, inner: int, shared: nn.Linear | None = None) -> None:
        super().__init__()
        self.down = nn.Linear(width, inner)
        self.gelu = QuickGELU()
        self.up = nn.Linear(inner, width - (shared.out_features if shared else 0))
        self.shared = shared.forward if shared else None  # a function: registers no module

    def forward(self, x: Tensor) -> Tensor:
        z = self.gelu(self.down(x))  # (N, S, C)
        y = self.up(z)
        if self.shared is not None:
            y = torch.cat([y, self.shared(z)], dim=-1)
        return x + y


class Adapted(nn.Module):
    """A frozen block with an adapter after its attention and one after its MLP."""

    def __init__(self, block: Block, after_attn: Bottleneck, after_mlp: Bottleneck) -> None:
        super().__init__()
        self.block = block
        self.after_attn = after_attn
        self.after_mlp = after_mlp

    @property
    def attn(self) -> nn.Module:
        return self.block.attn

    @property
    def mlp(self) -> nn.Module:
        return self.block.mlp

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        *,
        causal: bool = False,
        read: int | None = None,
    ) -> Tensor:
        """As the block."""
        x, y = self.block.attended(x, bias, causal=causal, read=read)
        x = x + self.after_attn(y)
        del y  # it would stay in memory
        return x + self.after_mlp(self.mlp(self.block.ln_2(x)))


def add_adapters(clip: CLIP, inner: int, shared: Sequence[nn.Linear] = ()) -> list[Bottleneck]:
    """Wrap every block of both towers; in each the k-th adapter has the k-th layer of `shared`."""
    adapters = []
    for blocks in (clip.visual.transformer.resblocks, clip.transformer.resblocks):
        for i, block in enumerate(blocks):
            width = block.attn.out_proj.in_features
            layers = shared[2 * i : 2 * i + 2] or (None, None)
            pair = [Bottleneck(width, inner, layer) for layer in layers]
            blocks[i] = Adapted(block, *pair)
            adapters += pair
    return adapters
