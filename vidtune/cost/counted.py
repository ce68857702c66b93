"""What a model costs by counting: parameters, multiply-accumulates, tokens. No weights, no GPU.

The papers' convention is fvcore's (github.com/facebookresearch/fvcore): one multiply-accumulate is
one operation, normalisation is a small multiple of its elements, everything else is free. fvcore
itself misses fused attention; here the operators are seen below it, on the meta device.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tag, Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from vidtune import methods
from vidtune.nn.task import VideoModel
from vidtune.spec import Model, UserError

aten = torch.ops.aten


def _mm(a: Tensor, b: Tensor) -> int:
    """(n, k) x (k, m): n k m multiply-accumulates."""
    return a.shape[0] * a.shape[1] * b.shape[1]


def _addmm(bias: Tensor, a: Tensor, b: Tensor, **_: Any) -> int:
    """A linear layer; its bias is free."""
    return _mm(a, b)


def _bmm(a: Tensor, b: Tensor) -> int:
    """b times (n, k) x (k, m)."""
    return prod(a.shape) * b.shape[2]


def _convolution(x: Tensor, weight: Tensor, *rest: Any, out: Tensor) -> int:
    """Each output element needs one filter: kernel x input channels per group."""
    transposed = rest[4]
    assert not transposed, "no method has a transposed convolution"
    return out.numel() * prod(weight.shape[1:])


def _attention(q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> int:
    """Both products of (..., S, d) queries with (..., K, d) keys and (..., K, e) values."""
    return q.numel() * k.shape[-2] + prod(q.shape[:-1]) * k.shape[-2] * v.shape[-1]


def _layer_norm(x: Tensor, shape: Any, weight: Tensor | None, *_: Any) -> int:
    """5 per element where affine, else 4: fvcore's rough estimate."""
    return x.numel() * (5 if weight is not None else 4)


def _batch_norm(x: Tensor, weight: Tensor | None, *_: Any) -> int:
    """In evaluation a scale and a shift per element: 2 where affine, else 1."""
    return x.numel() * (2 if weight is not None else 1)


FORMULAS: dict[Any, Callable[..., int]] = {
    aten.mm.default: _mm,
    aten.addmm.default: _addmm,
    aten.bmm.default: _bmm,
    aten.convolution.default: _convolution,
    aten._scaled_dot_product_flash_attention.default: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu.default: _attention,
    aten._scaled_dot_product_efficient_attention.default: _attention,
    aten._scaled_dot_product_cudnn_attention.default: _attention,
    aten.native_layer_norm.default: _layer_norm,
    aten.native_batch_norm.default: _batch_norm,
}

# Free besides views and point-wise operators: what only moves, chooses or reduces elements.
FREE = frozenset(
    {
        *(
            "_safe_softmax",
            "_softmax",
            "argmax",
            "amax",
            "linalg_vector_norm",
            "max",
            "mean",
            "sum",
        ),
        *("argsort", "sort", "topk", "gather", "index", "index_select", "embedding"),
        *("scatter_add", "constant_pad_nd", "cat", "stack", "_to_copy", "_unsafe_view", "copy_"),
        *("arange", "empty", "full", "ones", "ones_like", "zeros", "zeros_like", "scalar_tensor"),
        *("fill_", "zero_", "tril", "triu", "unsafe_split"),
    }
)


class Counter(TorchDispatchMode):
    """Adds up `macs` of everything that runs inside it.

    Raises `UserError` for an operator that has no formula and is not known to be free,
    so that no product is missed in silence.
    """

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(
        self, op: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = op(*args, **(kwargs or {}))
        if op is aten.convolution.default:
            self.macs += _convolution(*args, out=out)
        elif op in FORMULAS:
            self.macs += FORMULAS[op](*args, **(kwargs or {}))
        elif not (op.is_view or Tag.pointwise in op.tags or op.overloadpacket.__name__ in FREE):
            raise UserError(
                f"{op}: no counting formula; add one to FORMULAS, or to FREE if it costs nothing"
            )
        return out


class TokenTrace:
    """Hooks on the trunk's blocks: how many tokens enter attention and leave the block."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        self.layers: list[dict[str, int]] = [{} for _ in blocks]
        for layer, block in zip(self.layers, blocks, strict=True):
            block.attn.register_forward_pre_hook(self._enter(layer))
            block.mlp.register_forward_hook(self._leave(layer))

    @staticmethod
    def _enter(layer: dict[str, int]) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            if not layer:  # a second call, over time or with adapted tokens, is no new entry
                layer["sequences"], layer["entering_attention"] = args[0].shape[:2]

        return hook

    @staticmethod
    def _leave(layer: dict[str, int]) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
            layer["leaving"] = out.shape[1]

        return hook


def parameters(net: nn.Module) -> dict[str, int]:
    """All parameters, and the tuned ones: those with `requires_grad`."""
    sizes = [(p.numel(), p.requires_grad) for p in net.parameters()]
    return {
        "params_total": sum(n for n, _ in sizes),
        "params_tuned": sum(n for n, tuned in sizes if tuned),
    }


def vision_macs(net: VideoModel, video: Tensor) -> int:
    """Multiply-accumulates of the vision side on one batch, head included, text excluded."""
    with torch.no_grad(), Counter() as counter:
        net(*net.prepare(video))
    return counter.macs


def cost(model: Model) -> dict[str, Any]:
    """Counts of one video in evaluation, low-rank updates merged.

    `gmacs` is in G for one view; `views` how many the protocol takes; `tokens` per trunk layer of
    one video `{sequences, entering_attention, leaving}`; `output_tokens` all that leave the last
    layer. Parameters are counted before the merge, text tower included where there is one.
    """
    net = methods.build(model, device="meta").eval()
    params = parameters(net)
    net.merge()
    trace = TokenTrace(net.trunk_blocks())
    side = model.backbone.image
    macs = vision_macs(net, torch.empty(1, model.frames, 3, side, side, device="meta"))
    last = trace.layers[-1]
    return {
        **params,
        "gmacs": macs / 1e9,
        "views": model.n_views,
        "tokens": trace.layers,
        "output_tokens": last["sequences"] * last["leaving"],
    }
