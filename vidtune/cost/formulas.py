"""Formulas for what one call of an operator costs: one small rule for each class of operators.

Every rule takes the call's output and then its arguments. Three kinds of operations are counted
separately (`Tally`). An operator in no class is an error, so that no product is missed in silence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tag, Tensor

from vidtune.spec import UserError

aten = torch.ops.aten


@dataclass
class Tally:
    """Operations by kind; `macs` adds them up under the named conventions."""

    products: int = 0  # multiply-accumulates of matrix products
    norms: int = 0  # what fvcore adds for normalisation
    elements: int = 0  # operations on single elements

    def __iadd__(self, other: "Tally") -> "Tally":
        self.products += other.products
        self.norms += other.norms
        self.elements += other.elements
        return self

    def macs(self) -> dict[str, float]:
        """Convention -> multiply-accumulates, each worth two FLOPs.

        `paper`: what fvcore says once it sees fused attention, products and its terms of
        normalisation. `macs`: products alone. `full`: products and, at half a multiply-accumulate
        each, the operations on elements; biases, softmax and normalisation are among them.
        """
        return {
            "paper": self.products + self.norms,
            "macs": self.products,
            "full": self.products + self.elements / 2,
        }


def _mm(out: Tensor, a: Tensor, b: Tensor) -> int:
    """(n, k) x (k, m): n k m multiply-accumulates."""
    return a.shape[0] * a.shape[1] * b.shape[1]


def _addmm(out: Tensor, bias: Tensor, a: Tensor, b: Tensor, **_: Any) -> int:
    """A linear layer; its bias is no product."""
    return _mm(out, a, b)


def _bmm(out: Tensor, a: Tensor, b: Tensor) -> int:
    """b times (n, k) x (k, m)."""
    return prod(a.shape) * b.shape[2]


def _convolution(out: Tensor, x: Tensor, weight: Tensor, *rest: Any) -> int:
    """Each output element needs one filter: kernel x input channels per group."""
    assert not rest[4], "no method has a transposed convolution"
    return out.numel() * prod(weight.shape[1:])


def _attention(out: Any, q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> int:
    """Both products of (..., S, d) queries with (..., K, d) keys and (..., K, e) values."""
    return q.numel() * k.shape[-2] + prod(q.shape[:-1]) * k.shape[-2] * v.shape[-1]


FUSED = (
    aten._scaled_dot_product_flash_attention.default,
    aten._scaled_dot_product_flash_attention_for_cpu.default,
    aten._scaled_dot_product_efficient_attention.default,
    aten._scaled_dot_product_cudnn_attention.default,
)
PRODUCTS: dict[Any, Callable[..., int]] = {
    aten.mm.default: _mm,
    aten.addmm.default: _addmm,
    aten.bmm.default: _bmm,
    aten.convolution.default: _convolution,
    **dict.fromkeys(FUSED, _attention),
}


def _layer_norm(out: Any, x: Tensor, shape: Any, weight: Tensor | None, *_: Any) -> int:
    """5 per element where affine, else 4: fvcore's rough estimate."""
    return x.numel() * (5 if weight is not None else 4)


def _batch_norm(out: Any, x: Tensor, weight: Tensor | None, *_: Any) -> int:
    """In evaluation a scale and a shift per element: 2 where affine, else 1."""
    return x.numel() * (2 if weight is not None else 1)


NORMS: dict[Any, Callable[..., int]] = {
    aten.native_layer_norm.default: _layer_norm,
    aten.native_batch_norm.default: _batch_norm,
}


def _bias(out: Tensor, bias: Tensor, *_: Any, **__: Any) -> int:
    """One addition per element of the output."""
    return out.numel()


def _conv_bias(out: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, *_: Any) -> int:
    return out.numel() if bias is not None else 0


def _logits(out: Any, q: Tensor, k: Tensor, *_: Any, **__: Any) -> int:
    """Fused attention: each logit is scaled and passes the softmax."""
    return 6 * prod(q.shape[:-1]) * k.shape[-2]


def _normalised(out: Any, x: Tensor, shape: Any, weight: Tensor | None, *_: Any) -> int:
    """Mean, difference, square, variance, division: 5 per element, and 2 more where affine."""
    return x.numel() * (7 if weight is not None else 5)


def _scattered(out: Tensor, x: Tensor, dim: int, index: Tensor, source: Tensor) -> int:
    """One addition per element that is added."""
    return source.numel()


def _sorted(out: Any, x: Tensor, *_: Any, **__: Any) -> int:
    """ceil(log2 n) comparisons for each of the n elements of a row."""
    return x.numel() * (x.shape[-1] - 1).bit_length()


ELEMENTS: dict[Any, Callable[..., int]] = {
    aten.addmm.default: _bias,
    aten.convolution.default: _conv_bias,
    **dict.fromkeys(FUSED, _logits),
    aten.native_layer_norm.default: _normalised,
    aten.native_batch_norm.default: _batch_norm,
}
# The next tables go by the operator's name, whatever its overload.
PER_INPUT = {  # operations per element of the input
    **dict.fromkeys(("argmax", "amax", "max", "mean", "sum"), 1),
    "linalg_vector_norm": 2,  # a square and an addition
}
PER_OUTPUT = {  # operations per element of the output; 1 of every other pointwise operator
    **dict.fromkeys(("_softmax", "_safe_softmax"), 5),  # largest, difference, exp, sum, division
    **dict.fromkeys(("sigmoid", "sigmoid_"), 4),  # 1 / (1 + exp(-x))
    "gelu": 5,  # x / 2 (1 + erf(x / sqrt 2))
}
NAMED: dict[str, Callable[..., int]] = {
    "scatter_add": _scattered,
    **dict.fromkeys(("argsort", "sort", "topk"), _sorted),
}
# What only moves, chooses, makes or casts elements.
FREE = frozenset(
    {
        *("gather", "index", "index_select", "embedding", "constant_pad_nd", "cat", "stack"),
        *("_to_copy", "_unsafe_view", "clone", "copy_", "fill_", "zero_", "unsafe_split"),
        *("arange", "empty", "full", "ones", "ones_like", "zeros", "zeros_like", "scalar_tensor"),
        *("tril", "triu"),
    }
)


def tally(op: Any, out: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tally:
    """What a call of an operator costs. Raises `UserError` for one that is in no class."""
    name = op.overloadpacket.__name__
    if op in PRODUCTS or op in NORMS:
        rules = (table.get(op) for table in (PRODUCTS, NORMS, ELEMENTS))
        return Tally(*(rule(out, *args, **kwargs) if rule else 0 for rule in rules))
    if op.is_view or name in FREE:
        return Tally()
    if name in NAMED:
        return Tally(elements=NAMED[name](out, *args, **kwargs))
    if name in PER_INPUT:
        return Tally(elements=PER_INPUT[name] * args[0].numel())
    if name in PER_OUTPUT or Tag.pointwise in op.tags:
        return Tally(elements=PER_OUTPUT.get(name, 1) * out.numel())
    raise UserError(
        f"{op}: no counting formula; add one to PRODUCTS in vidtune/cost/formulas.py, or to FREE "
        "if it costs nothing"
    )
