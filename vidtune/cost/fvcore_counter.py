"""Counts with fvcore's own counter (github.com/facebookresearch/fvcore), on real tensors.

fvcore traces the model and reads shapes off the graph, so it has to run every product: seconds for
ViT-B/16, and no meta tensors. It skips operators that it has no formula for; this module gives it
formulas for the two that hold products, and the result names them. The graph lacks what nothing
reads: 0.036 % of DiST, whose last layer feeds the temporal encoder although nothing reads that.
"""

import timeit
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import torch
from torch import Tag, Tensor, nn

from vidtune.cost import formulas
from vidtune.nn.task import VideoModel

Handle = Callable[[list[Any], list[Any]], int]


@dataclass(frozen=True)
class Traced:
    """fvcore's count of one call."""

    products: int  # multiply-accumulates
    given: Counter[str]  # calls of operators whose formula is one of HANDLES
    unseen: Counter[str]  # calls of operators that have no formula and are not known to be free


def _shape(value: Any) -> list[int]:
    return value.type().sizes()


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    """Count both products of (..., S, d) queries with (..., K, d) keys and (..., K, e) values."""
    q, k, v = map(_shape, inputs[:3])
    return prod(q) * k[-2] + prod(q[:-1]) * k[-2] * v[-1]


def _lstm(inputs: list[Any], outputs: list[Any]) -> int:
    """Count one product for every matrix of the gates and every step of every sequence."""
    steps = prod(_shape(inputs[0])[:-1])
    weights = [_shape(w) for w in inputs[2].node().inputs()]
    return steps * sum(prod(w) for w in weights if len(w) == 2)


HANDLES: dict[str, Handle] = {"scaled_dot_product_attention": _attention, "lstm": _lstm}
NORMS = ("layer_norm", "batch_norm", "group_norm", "instance_norm")
# Composite operators, which stand in a traced graph only: they move elements, or are a softmax.
COMPOSITES = frozenset(
    {"unflatten", "view_as", "expand_as", "pad", "numpy_T", "softmax", "repeat_interleave"}
)


class _Call(nn.Module):
    """Wraps a function of a model as a module, because only a module can be traced."""

    def __init__(self, net: VideoModel, call: Callable[[], Any]) -> None:
        super().__init__()
        self.net, self.call = net, call

    def forward(self, nothing: Tensor) -> Any:
        return self.call()


def count_products(net: VideoModel, call: Callable[[], Any]) -> Traced:
    """Return fvcore's count of `call()`, which runs `net`; matrix products only."""
    given: Counter[str] = Counter()

    def counting(name: str) -> Handle:
        def handle(inputs: list[Any], outputs: list[Any]) -> int:
            given[name] += 1
            return HANDLES[name](inputs, outputs)

        return handle

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and warns of what it traces
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(_Call(net, call), torch.zeros(()))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analysis.set_op_handle(**{f"aten::{name}": counting(name) for name in HANDLES})
        with torch.no_grad():
            by_operator = analysis.by_operator()
    products = sum(n for name, n in by_operator.items() if name not in NORMS)
    missing = {op.removeprefix("aten::"): n for op, n in analysis.unsupported_ops().items()}
    return Traced(int(products), given, Counter({k: n for k, n in missing.items() if not _free(k)}))


def _free(name: str) -> bool:
    """Tell whether an operator is known to hold no product."""
    by_name = (formulas.FREE, formulas.NAMED, formulas.PER_INPUT, formulas.PER_OUTPUT)
    if name in COMPOSITES or any(name in table for table in by_name):
        return True
    packet = getattr(torch.ops.aten, name, None)
    overloads = [getattr(packet, o) for o in packet.overloads()] if packet else []
    return any(Tag.pointwise in o.tags for o in overloads)


def to_zeros(net: VideoModel) -> VideoModel:
    """Move a model from the meta device into memory, as zeros in this CPU's faster precision.

    Only shapes are read. A recurrent net stays in float32, which every CPU supports.
    """
    net = net.to_empty(device="cpu")
    with torch.no_grad():
        for x in (*net.parameters(), *net.buffers()):
            x.zero_()
    recurrent = any(isinstance(m, nn.RNNBase) for m in net.modules())
    return net if recurrent else net.to(_faster_dtype())


@cache
def _faster_dtype() -> torch.dtype:
    """Return float32 or bfloat16, whichever this CPU multiplies faster."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.ones(512, 512, dtype=dtype)
        seconds[dtype] = min(timeit.repeat(lambda x=x: x @ x, number=1, repeat=10))
    return min(seconds, key=seconds.__getitem__)
