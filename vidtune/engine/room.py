"""How many clips a device takes at once where no gradient is needed: half as many wherever it is full."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vidtune.data.batches import as_input
from vidtune.engine.device import device_name, out_of_memory
from vidtune.progress import say


class Room:
    """Calls a model, and remembers how many clips were too many for it. That changes no output but for
    rounding."""

    def __init__(self, device: torch.device, label: str) -> None:
        self.device, self.label = device, label
        self.most: int | None = None  # clips at once, once it was full

    def call(
        self, model: Callable[..., Any], clips: tuple[Tensor, ...], masks: dict[str, Tensor]
    ) -> tuple[Tensor, ...]:
        """Return the model's outputs (B, ...) for clips (B, ...), on the CPU. An error of memory that is
        full is raised where it is with a single clip."""
        batch = len(clips[0])
        while True:
            size = min(batch, self.most or batch)
            try:
                pieces = [
                    self._call(model, clips, masks, slice(first, first + size))
                    for first in range(0, batch, size)
                ]
                return tuple(torch.cat(column) for column in zip(*pieces, strict=True))
            except (RuntimeError, MemoryError) as e:
                if size == 1 or not out_of_memory(e):
                    raise
            # Here, where the error no longer holds what it was computing.
            self.most = size // 2
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            say(
                f"{self.label}: {device_name(self.device)} is full with {size} clips at once; goes on with "
                f"{self.most}"
            )

    @staticmethod
    def _call(
        model: Callable[..., Any], clips: tuple[Tensor, ...], masks: dict[str, Tensor], rows: slice
    ) -> tuple[Tensor, ...]:
        out = model(
            *(as_input(x[rows]) for x in clips), **{key: mask[rows] for key, mask in masks.items()}
        )
        return tuple(x.cpu() for x in (out if isinstance(out, tuple) else (out,)))
