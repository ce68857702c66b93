"""Models that keep in memory what their methods' released code keeps; outputs stay equal.

Ours keep less. A prediction that is compared with a printed number (`vidtune.cost.predict_memory`) runs a
method through its module of this folder, which defines `Released`; a method without one keeps what
ours keeps.
Shapes: N sequences, S tokens, D width, H heads, B videos, T frames.
"""

from collections.abc import Iterable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from vidtune.nn.clip import Attention
from vidtune.nn.task import VideoModel


class Released:
    """A net, and how the released code of its method runs it."""

    frozen_in_half = False  # whether the released code holds the frozen weights in float16

    def __init__(self, net: VideoModel) -> None:
        self.net = net

    def at_once(self, video: Tensor) -> Any:
        """Videos (B, T, 3, H, W) to the net's outputs."""
        return self.net.at_once(video)


def as_released(net: VideoModel, method: str) -> Released:
    """A net as its method's released code holds it. May change how the net itself runs."""
    name = f"{__name__}.{method}"
    return (import_module(name).Released if find_spec(name) else Released)(net)


def pack(blocks: Iterable[nn.Module]) -> None:
    """Make queries, keys and values of every block one copy, as nn.MultiheadAttention has it.

    The copy has the sequence first; without a fused kernel its queries stay beside the scaled ones.
    """
    for block in blocks:
        block.attn.qkv = partial(_packed, block.attn)


def _packed(attn: Attention, x: Tensor) -> tuple[Tensor, ...]:
    """(N, S, D) -> queries, keys and values, each (N, H, S, D/H)."""
    qkv = F.linear(x, attn.in_proj_weight, attn.in_proj_bias)  # (N, S, 3D)
    qkv = qkv.unflatten(-1, (3, attn.heads, -1)).permute(2, 1, 0, 3, 4).contiguous()
    return tuple(y.permute(1, 2, 0, 3) for y in qkv)  # of (3, S, N, H, D/H)
