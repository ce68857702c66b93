"""Scaled dot-product attention: fused by default, explicit where the weights are to be seen.

Both compute softmax(q k^T / sqrt(d) + bias) v; they differ in memory and in rounding.
Shapes: N sequences, H heads, Q queries, K keys, d channels of a head.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

Kernel = Callable[[Tensor, Tensor, Tensor, Tensor | None, bool], Tensor]  # `attend` by position
Backend = Literal["fused", "explicit"] | Kernel
_backend: Backend = (
    "fused"  # of all threads, as backward has its own; torch.compile reads no ContextVar
)


@contextmanager
def use_backend(backend: Backend) -> Iterator[None]:
    """Make `attend` use this backend inside the block."""
    global _backend
    before, _backend = _backend, backend
    try:
        yield
    finally:
        _backend = before


def attend(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, *, causal: bool = False
) -> Tensor:
    """(N, H, Q, d), (N, H, K, d), (N, H, K, d) -> (N, H, Q, d).

    `bias` is added to the logits and broadcasts to (N, H, Q, K); `causal` hides later keys.
    """
    if _backend == "fused":
        ordered = q.is_cuda and torch.is_grad_enabled() and not torch.compiler.is_compiling()
        ordered &= any(x is not None and x.requires_grad for x in (q, k, v, bias))
        fused = _repeatable if ordered else F.scaled_dot_product_attention
        return fused(q, k, v, attn_mask=bias, is_causal=causal)
    if callable(_backend):
        return _backend(q, k, v, bias, causal)
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (N, H, Q, K)
    if bias is not None:
        logits = logits + bias
    if causal:
        later = torch.ones(logits.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        logits = logits.masked_fill(later, -torch.inf)
    shares = logits.softmax(dim=-1)
    del logits  # free them: under autocast the product copies the equally large shares
    return shares @ v


def _repeatable(*inputs: Tensor, **given: Any) -> Tensor:
    """CUDA's fused attention with a backward that adds in one order. By itself it adds in any where there
    are many keys, after which no training ends in the same bits twice.

    cuDNN's kernel knows no other way and is left out. The others ask for torch's deterministic mode, in
    which other operations are slow or raise: it is on while backward starts the kernel, and after one that
    ran out of memory until `leave_deterministic`.
    """
    allowed = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        out = F.scaled_dot_product_attention(*inputs, **given)
    finally:
        torch.backends.cuda.enable_cudnn_sdp(allowed)
    node = out.grad_fn
    if node is not None and not node.name().startswith("ScaledDot"):
        node = node.next_functions[0][0]  # of heads that were padded
    if node is not None and node.name().startswith("ScaledDot"):
        node.register_prehook(lambda _: _enter_deterministic())
        node.register_hook(lambda *_: leave_deterministic())
    return out


_modes: list[tuple[int, bool]] = []  # torch's, while it is in another


def _enter_deterministic() -> None:
    fill = torch.utils.deterministic.fill_uninitialized_memory
    _modes.append((torch.get_deterministic_debug_mode(), fill))
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.set_deterministic_debug_mode("error")


def leave_deterministic() -> None:
    """Bring torch's own mode back."""
    if _modes:
        mode, torch.utils.deterministic.fill_uninitialized_memory = _modes.pop()
        torch.set_deterministic_debug_mode(mode)


def again(function: Callable[..., Tensor], *inputs: Any) -> Tensor:
    """`function(*inputs)`, of which only the inputs are kept: backward computes the rest again. Nothing
    in it may be random, or ask for rows (vidtune/nn/rows.py), which are then another pass's, and
    it may not end with `attend`, which CUDA would compute again in deterministic mode."""
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
