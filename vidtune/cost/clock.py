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
    """Takes a `mark` before the first part of a step and after each part; `laps` reads them all."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.marks: list[Any] = []

    def mark(self) -> None:
        if self.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self.marks.append(event)
        else:
            self.marks.append(time.perf_counter())

    def laps(self, parts: int) -> list[list[float]]:
        """Returns the milliseconds of each part of every step; a step has `parts` + 1 marks."""
        assert parts and len(self.marks) % (parts + 1) == 0
        steps = [self.marks[i : i + parts + 1] for i in range(0, len(self.marks), parts + 1)]
        synchronise(self.device)
        return [[self._between(a, b) for a, b in itertools.pairwise(s)] for s in steps]

    def span(self) -> float:
        """Returns the seconds from the first mark to the last, gaps between steps included."""
        synchronise(self.device)
        return self._between(self.marks[0], self.marks[-1]) / 1e3

    def _between(self, a: Any, b: Any) -> float:
        return a.elapsed_time(b) if self.device.type == "cuda" else (b - a) * 1e3


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def summary(laps: list[list[float]], parts: Sequence[str]) -> dict[str, float]:
    """Returns percentiles and mean of whole steps and the mean of each part, in milliseconds."""
    whole = [sum(lap) for lap in laps]
    percentiles = {f"p{q}": float(np.percentile(whole, q)) for q in PERCENTILES}
    means = {part: float(np.mean([lap[k] for lap in laps])) for k, part in enumerate(parts)}
    return {**percentiles, "mean": float(np.mean(whole)), **means}
