"""Makes fake tensors on the CPU allocate as on a GPU: autocast's lists and the chosen kernels.

`autocast("cuda")` does nothing without a GPU, and `autocast("cpu")` has lists of its own: it leaves
softmax and normalisation in half precision, while CUDA's computes them, and keeps them for
backward, in single precision. So `cuda_like` reads CUDA's list from torch's dispatcher and
registers it for the CPU. It sends attention to the operators that CUDA would choose.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from vidtune.nn.attention import use_backend
from vidtune.spec import Attention, Precision

HALF, SINGLE = torch.float16, torch.float32
CPU = "AutocastCPU"
aten = torch.ops.aten

# CUDA's list has four parts (aten/src/ATen/autocast_mode.h). An operator in none of the three sets
# below is computed in single precision.
# Computed in half precision:
LOWER = frozenset({"addmv", "addr", "chain_matmul", "einsum", "linalg_multi_dot", "mv"})
# Computed in the widest type among the inputs:
WIDEST = frozenset(
    {"addcdiv", "addcmul", "atan2", "bilinear", "cross", "dot", "index_put", "scatter_add"}
    | {"tensordot", "vdot"}
)
# Half precision in, single precision out:
WIDENS = frozenset({"cumprod", "cumsum", "linalg_matrix_norm", "linalg_vector_norm", "sum"})
SOFTMAX = {"softmax.int": aten._softmax, "log_softmax.int": aten._log_softmax}
# Not registered: recurrent cells, and the operators inside convolutions, attention and up-sampling,
# which this project does not call itself.
ELSEWHERE = ("_cell", "cudnn_", "convolution", "_upsample", "_scaled", "rms_norm")


def listed(key: str) -> set[str]:
    """Return the operators, with overload, on one of torch's autocast lists."""
    names = torch._C._dispatch_get_registrations_for_dispatch_key(key)
    return {name.removeprefix("aten::") for name in names}


def policy() -> dict[str, str]:
    """Map operators on CUDA's list that are not on the CPU's to how CUDA computes them: lower,
    widest, widens, softmax or single."""
    parts = {"lower": LOWER, "widest": WIDEST, "widens": WIDENS}
    out = {}
    for name in sorted(listed("AutocastCUDA") - listed(CPU)):
        base = name.split(".")[0]
        if not any(part in name for part in ELSEWHERE):
            out[name] = next((kind for kind, names in parts.items() if base in names), "single")
    return out | dict.fromkeys(SOFTMAX, "softmax")


def _cast(args: Any, dtype: torch.dtype) -> Any:
    """Cast floating-point tensors to `dtype`, except doubles."""
    kept = torch.float64
    return tree_map_only(
        Tensor, lambda x: x.to(dtype) if x.is_floating_point() and x.dtype != kept else x, args
    )


def _kernel(name: str, kind: str) -> Callable[..., Any]:
    """Return an operator as CUDA's autocast calls it."""
    base, _, overload = name.partition(".")
    op = getattr(getattr(aten, base), overload or "default")
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)

    def run(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(keys):
            if kind == "softmax" and args[0].dtype == HALF:
                return SOFTMAX[name](args[0], args[1], True)  # writes single: no copy of the input
            if kind == "widens" and args[0].dtype == HALF:
                kwargs["dtype"] = kwargs.get("dtype") or SINGLE
            if kind in ("softmax", "widens"):
                return op(*args, **kwargs)
            types = {x.dtype for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
            single = kind == "single" or (kind == "widest" and SINGLE in types)
            args, kwargs = _cast((args, kwargs), SINGLE if single else HALF)
            return op(*args, **kwargs)

    return run


class _Kernels(TorchFunctionMode):
    """Redirects the calls that a GPU would serve with other kernels."""

    def __init__(self, precision: Precision) -> None:
        super().__init__()
        self.halved = precision == "fp16"

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is nn.functional.batch_norm:  # CUDA's keeps a contiguous copy of its input
            return func(args[0].contiguous(), *args[1:], **kwargs)
        if func in (torch.cat, torch.stack):  # only the CPU's autocast copies its inputs first
            with torch.autocast("cpu", enabled=False):
                return func(*args, **kwargs)
        if self.halved and func is nn.functional.layer_norm:  # CLIP's: in single precision and back
            return func(args[0].float(), *args[1:], **kwargs).to(args[0].dtype)
        if self.halved and func is nn.functional.embedding:
            return func(*args, **kwargs).half()
        if self.halved and func in (torch.conv2d, torch.conv3d):
            return func(args[0].half(), *args[1:], **kwargs)
        return func(*args, **kwargs)


def _attend(
    attention: Attention, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool
) -> Tensor:
    """Map (N, H, Q, d), (N, H, K, d), (N, H, K, d) to (N, H, Q, d); for backward it keeps the
    result and a log-sum-exp.

    Flash attention takes half precision without a mask, the memory-efficient kernel the rest.
    """
    if torch.is_autocast_enabled("cpu"):
        q, k, v, mask = _cast((q, k, v, mask), HALF)
    if attention == "fused" and q.dtype == HALF and mask is None:
        return aten._scaled_dot_product_flash_attention(q, k, v, 0.0, causal)[0]
    if mask is not None:
        mask = mask.expand(*q.shape[:3], k.shape[2])
    kernel = aten._scaled_dot_product_efficient_attention
    return kernel(q, k, v, mask, torch.is_grad_enabled(), 0.0, causal)[0]


def halve(net: nn.Module, frozen: bool = False) -> None:
    """Cast weights to half precision, except normalisation and embeddings, as CLIP's own code
    does; `frozen`: only weights that are not tuned."""
    single = (nn.LayerNorm, nn.modules.batchnorm._BatchNorm, nn.Embedding)
    for module in net.modules():
        if not isinstance(module, single):
            for name, p in module.named_parameters(recurse=False):
                if not (frozen and p.requires_grad):
                    setattr(module, name, nn.Parameter(p.half(), p.requires_grad))


@contextmanager
def cuda_like(attention: Attention, precision: Precision) -> Iterator[None]:
    """Make what runs inside allocate as on a GPU; forward passes need `autocast(precision)`."""
    with (
        torch.library._scoped_library("aten", "IMPL") as library,
        _Kernels(precision),
        use_backend("explicit" if attention == "explicit" else partial(_attend, attention)),
    ):
        if precision == "amp16":
            for name, kind in policy().items():
                library.impl(name, _kernel(name, kind), CPU)
        yield


def autocast(precision: Precision) -> torch.autocast:
    """Return autocast to float16 on the CPU, switched on for `amp16` only."""
    return torch.autocast("cpu", HALF, enabled=precision == "amp16")
