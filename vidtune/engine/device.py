"""The device that computes, what it computes in, and whether its memory is full."""

import os
import socket
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from vidtune.gpu.devices import NAME
from vidtune.gpu.lease import HELD
from vidtune.spec import Recipe, UserError

AUTOCAST = {"amp16": torch.float16, "bf16": torch.bfloat16}  # recipe.precision -> type of products


def pick_device(index: int = 0) -> torch.device:
    """The GPU of that number, of those that this process sees, or the CPU.

    Raises `UserError` where there are fewer, and where torch cannot use one that was leased.
    """
    if not torch.cuda.is_available():
        given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        if HELD in os.environ and NAME.match(given.split(",")[0]):
            raise UserError(
                f"CUDA_VISIBLE_DEVICES is {given}, but torch {torch.__version__} sees no GPU on "
                f"{socket.gethostname()}: its build is for CUDA {torch.version.cuda}; install one for the "
                "node's driver, or unset the variable to compute on the CPU"
            )
        return torch.device("cpu")
    if index >= torch.cuda.device_count():
        raise UserError(
            f"process {index + 1} of this machine has no GPU: {torch.cuda.device_count()} are visible "
            "(CUDA_VISIBLE_DEVICES); start as many --ranks as there are GPUs"
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads"


def precision(recipe: Recipe, device: torch.device) -> AbstractContextManager[Any]:
    """The autocast that a training computes in; tuned weights stay in float32."""
    dtype = AUTOCAST.get(recipe.precision)
    return torch.autocast(device.type, dtype) if dtype else nullcontext()


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device's or the machine's memory is full."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = ("out of memory", "can't allocate memory", "status_alloc_failed")
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in words)
