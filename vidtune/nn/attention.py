"""Scaled dot-product attention: fused by default, explicit where the weights are to be seen.

Both compute softmax(q k^T / sqrt(d) + bias) v; they differ in memory and in rounding.
Shapes: N sequences, H heads, Q queries, K keys, d channels of a head.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

Kernel = Callable[[Tensor, Tensor, Tensor, Tensor | None, bool], Tensor]  # `attend` by position
Backend = Literal["fused", "explicit"] | Kernel
_backend: ContextVar[Backend] = ContextVar("attention", default="fused")


@contextmanager
def use_backend(backend: Backend) -> Iterator[None]:
    """Make `attend` use this backend inside the block."""
    token = _backend.set(backend)
    try:
        yield
    finally:
        _backend.reset(token)


def attend(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, *, causal: bool = False
) -> Tensor:
    """(N, H, Q, d), (N, H, K, d), (N, H, K, d) -> (N, H, Q, d).

    `bias` is added to the logits and broadcasts to (N, H, Q, K); `causal` hides later keys.
    """
    backend = _backend.get()
    if callable(backend):
        return backend(q, k, v, bias, causal)
    if backend == "fused":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=causal)
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (N, H, Q, K)
    if bias is not None:
        logits = logits + bias
    if causal:
        later = torch.ones(logits.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        logits = logits.masked_fill(later, -torch.inf)
    shares = logits.softmax(dim=-1)
    del logits  # free them: under autocast the product copies the equally large shares
    return shares @ v


def again(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """`function(*inputs)`, of which only the inputs are kept: backward computes the rest again, with
    the same kernels also in a thread of its own. Nothing in it may be random."""
    backend = _backend.get()

    def run(*inputs: Tensor) -> Tensor:
        with use_backend(backend):
            return function(*inputs)

    return checkpoint(run, *inputs, use_reentrant=False, preserve_rng_state=False)
