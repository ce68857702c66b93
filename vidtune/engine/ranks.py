"""Several processes that train or test one run together: who this one is, and what they share.

A process is started for every rank with torchrun's variables (RANK, WORLD_SIZE, LOCAL_RANK and where
the first one listens); without them there is one rank, and nothing here does anything.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from vidtune.spec import Lost, NotMet, UserError

# How long ranks wait for each other, as for one whose part of a test was not begun where others are done;
# torch's own 10 minutes (NCCL) would end that. A rank that dies is seen by who has started it.
PATIENCE = timedelta(days=1)
PARTING = 60.0  # seconds that rank 0 waits for the others to be gone

_met: dict[str, dist.Store] = {}  # where the ranks have met, which rank 0 holds


def start(device: torch.device) -> None:
    """Meet the other ranks: over NCCL on GPUs, else over gloo. Raises `UserError` without NCCL, and
    `NotMet` where they do not answer."""
    if _number("WORLD_SIZE", "1") > 1 and not dist.is_initialized():
        if device.type == "cuda" and not dist.is_nccl_available():
            raise UserError(
                f"torch {torch.__version__} has no NCCL, by which several GPUs work together; install "
                "one for CUDA on Linux, or take one GPU and more --parts"
            )
        if _number("RANK", "") >= _number("WORLD_SIZE", "1"):
            raise UserError(
                "RANK: expected less than WORLD_SIZE; start the processes by torchrun or --ranks"
            )
        try:
            _met["store"], mine, ranks = next(dist.rendezvous("env://"))
            # what a rank sends first may come hours after the others'
            _met["store"].set_timeout(PATIENCE)
            dist.init_process_group(
                "nccl" if device.type == "cuda" else "gloo",
                store=dist.PrefixStore("ranks", _met["store"]),
                rank=mine,
                world_size=ranks,
                timeout=PATIENCE,
            )
        except (RuntimeError, ValueError) as e:
            where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
            reason = (str(e).strip().splitlines() or [type(e).__name__])[0]
            raise NotMet(f"the processes did not meet at {where}: {reason}") from None


def count() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def local_rank() -> int:
    """This process among those of its machine: the GPU that it takes."""
    return _number("LOCAL_RANK", "0")


def _number(name: str, default: str) -> int:
    """A variable of the environment as torchrun sets it."""
    value = os.environ.get(name, default)
    if not value.isdecimal():
        raise UserError(
            f"{name}: expected a number from 0; found {value!r}; start the processes by torchrun or --ranks"
        )
    return int(value)


def gather(x: Tensor) -> Tensor:
    """(b, ...) -> (ranks * b, ...), in the order of ranks, all of one shape. Gradients reach this
    rank's own part, and are those of the function of all parts that it computes."""
    if count() == 1:
        return x
    sent = x.detach().contiguous()
    sent = sent.view(torch.uint8) if x.dtype == torch.bool else sent
    parts = [torch.empty_like(sent) for _ in range(count())]
    dist.all_gather(parts, sent)
    parts = [part.view(x.dtype) for part in parts]
    parts[rank()] = x
    return torch.cat(parts)


def sum_up(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its sum over the ranks; those of one type travel together."""
    if count() == 1:
        return
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        by_type.setdefault(tensor.dtype, []).append(tensor)
    for same in by_type.values():
        flat = torch.cat([tensor.reshape(-1) for tensor in same])
        dist.all_reduce(flat)
        for tensor, part in zip(same, flat.split([t.numel() for t in same]), strict=True):
            tensor.copy_(part.view_as(tensor))


def spread(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by that of rank 0."""
    if count() == 1:
        return
    for tensor in tensors:
        sent = tensor.detach().contiguous()
        dist.broadcast(sent.view(torch.uint8) if sent.dtype == torch.bool else sent, 0)
        if sent.data_ptr() != tensor.data_ptr():
            tensor.copy_(sent)


def any_of(*flags: bool) -> Sequence[bool]:
    """Whether any rank has raised each flag: what all decide together."""
    if count() == 1:
        return flags
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    raised = torch.tensor(flags, dtype=torch.int32, device=device)
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return tuple(bool(n) for n in raised.tolist())


def tell(value: Any) -> Any:
    """What rank 0 has as `value`, on all ranks: something small."""
    if count() == 1:
        return value
    told = [value]
    dist.broadcast_object_list(told)
    return told[0]


def collect(values: Sequence[object]) -> list[object]:
    """The values of all ranks on rank 0, in their order; on others nothing."""
    if count() == 1:
        return list(values)
    parts: list[Sequence[object] | None] | None = [None] * count() if rank() == 0 else None
    dist.gather_object(values, parts)
    return [value for part in parts or () for value in part or ()]


def wait() -> None:
    """Wait until all ranks are here, so that what rank 0 wrote is there for all."""
    if count() > 1:
        dist.barrier()


@contextmanager
def losses_explained(what: str) -> Iterator[None]:
    """Turn an error of what ranks send each other, mostly because one of them has ended, into `Lost`."""
    try:
        yield
    except RuntimeError as e:
        words = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")
        if count() == 1 or not any(word in str(e) for word in words):
            raise
        raise Lost(
            f"{what}: another of the {count()} processes has ended, or is not reached: "
            f"{str(e).strip().splitlines()[0]}"
        ) from None


def end() -> None:
    """Part from the other ranks, when all have come here: NCCL's groups end together. Rank 0, which holds
    the place where they met, goes last."""
    if not dist.is_initialized():
        return
    store, ranks, mine = _met["store"], count(), rank()
    try:
        _pass(store, "here", ranks, PATIENCE.total_seconds())
    except RuntimeError:
        raise Lost(f"the first of the {ranks} processes has ended before the others") from None
    dist.destroy_process_group()
    with suppress(RuntimeError):  # rank 0 has waited long enough
        if mine:
            store.add("gone", 1)
        else:
            _pass(store, "gone", ranks, PARTING)


def _pass(store: dist.Store, gate: str, ranks: int, seconds: float) -> None:
    """Wait until as many ranks have come to a gate, or that time has gone by."""
    until = time.monotonic() + seconds
    come = store.add(gate, 1)
    while come < ranks and time.monotonic() < until:
        time.sleep(0.01)
        come = store.add(gate, 0)
