"""LoRA (Hu et al., ICLR 2022, arXiv:2106.09685) of an attention's packed q, k, v.

A trained product of two thin matrices is added to a frozen weight, and can be folded into it.
Checked against github.com/LunarShen/TempMe at e624930: q, k and v share one A; there is no
alpha / rank scaling and no dropout; the output projection has none.
Shapes: N sequences, S tokens, D width, r rank.
"""

import math

import torch
from torch import Tensor, nn

from vidtune.nn.clip import Attention


class LoRA(nn.Module):
    """(N, S, D) -> what is added to `rows` of the packed projections, (N, S, rows); zero at the start."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.empty(rank, width))
        self.b = nn.Parameter(torch.zeros(3 * width, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x: Tensor, rows: slice) -> Tensor:
        return x @ self.a.T @ self.b[rows].T


def add_lora(module: nn.Module, rank: int) -> None:
    """Give every packed attention inside `module` an update of this rank."""
    for attn in _attentions(module):
        if not 0 < rank <= attn.out_proj.in_features:
            raise ValueError(
                f"lora_rank: expected 1 to the width {attn.out_proj.in_features}; found {rank}"
            )
        attn.lora = LoRA(attn.out_proj.in_features, rank)


@torch.no_grad()
def fold_into_weights(module: nn.Module) -> None:
    """Fold every update into its weight; afterwards `module` costs as much as without them."""
    for attn in _attentions(module):
        if attn.lora is not None:
            attn.in_proj_weight += attn.lora.b @ attn.lora.a
            attn.lora = None


def _attentions(module: nn.Module) -> list[Attention]:
    return [m for m in module.modules() if isinstance(m, Attention)]
