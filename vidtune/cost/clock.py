"""Times the parts of a step: with CUDA events on a GPU, with the processor's clock otherwise.

Events are recorded in the stream and read after one synchronisation at the end, so that measuring
delays nothing that it measures.
"""

import itertools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

PERCENTILES = (50, 90, 95, 99)


class Clock:
    """Takes a `tick` before the first part of a step and after each part; `laps` reads them all."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.ticks: list[Any] = []

    def tick(self) -> None:
        if self.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self.ticks.append(event)
        else:
            self.ticks.append(time.perf_counter())

    def laps(self, parts: int) -> list[list[float]]:
        """Return the milliseconds of each part of every step; a step has `parts` + 1 ticks."""
        assert parts and len(self.ticks) % (parts + 1) == 0
        steps = [self.ticks[i : i + parts + 1] for i in range(0, len(self.ticks), parts + 1)]
        synchronise(self.device)
        return [[self._between(a, b) for a, b in itertools.pairwise(s)] for s in steps]

    def span(self) -> float:
        """Return the seconds from the first tick to the last, gaps between steps included."""
        synchronise(self.device)
        return self._between(self.ticks[0], self.ticks[-1]) / 1e3

    def _between(self, a: Any, b: Any) -> float:
        return a.elapsed_time(b) if self.device.type == "cuda" else (b - a) * 1e3


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def summary(laps: list[list[float]], parts: Sequence[str]) -> dict[str, float]:
    """Return percentiles and mean of whole steps and the mean of each part, in milliseconds."""
    whole = [sum(lap) for lap in laps]
    percentiles = {f"p{q}": float(np.percentile(whole, q)) for q in PERCENTILES}
    means = {part: float(np.mean([lap[k] for lap in laps])) for k, part in enumerate(parts)}
    return {**percentiles, "mean": float(np.mean(whole)), **means}
