"""What a training keeps besides the model: its loss curve, and the snapshot to resume from."""

import math
import time
from pathlib import Path
from typing import Any

import torch

from vidtune import provenance
from vidtune.data.batches import Batches
from vidtune.engine.checkpoints import load_checkpoint, load_tuned, save, tuned_state
from vidtune.nn.task import VideoModel
from vidtune.spec import Run

POINTS = 60  # of the loss curve that is kept
SAVE_EVERY = 60.0  # seconds between snapshots


def inputs(run: Run) -> list[Path]:
    """The files that say which clips and weights a run is made of."""
    return [Path(run.data) / "manifest.json", *([Path(run.weights)] if run.weights else [])]


def follows(made: Path, of: list[Path]) -> bool:
    """Whether a file is no older than what it is made of. Raises `OSError` where one is missing."""
    return made.stat().st_mtime >= max(path.stat().st_mtime for path in of)


class LossCurve:
    """Losses of a training of `steps` steps, as `points` (step, mean loss since the last point)."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.points: list[tuple[int, float]] = []
        self.recent: list[float] = []  # since the last point
        self.last = 0.0

    def add(self, number: int, loss: float) -> None:
        """The loss of the step `number`, counted from 1."""
        self.last = loss
        self.recent.append(loss)
        if self.diverged:
            self.points.append((number, math.nan))
        elif number % max(1, self.steps // POINTS) == 0 or number == self.steps:
            self.points.append((number, sum(self.recent) / len(self.recent)))
            self.recent = []

    @property
    def diverged(self) -> bool:
        return not math.isfinite(self.last)

    def describe(self) -> str:
        return f"loss {self.last:.4f}"

    def state_dict(self) -> dict[str, Any]:
        return {"points": self.points, "recent": self.recent, "last": self.last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.points, self.recent, self.last = state["points"], state["recent"], state["last"]


class Snapshot:
    """The file that a stopped training resumes from, bit for bit.

    `parts` have a state besides the model's: optimiser with scaler, schedule, loss curve.
    """

    def __init__(self, path: Path, model: VideoModel, data: Batches, parts: dict[str, Any]) -> None:
        self.path, self.model, self.data, self.parts = path, model, data, parts
        self.made_by = f"{provenance.spec_digest(data.run)} {provenance.run_digest(data.run)}"
        self.saved = time.monotonic()

    def save_when_due(self, number: int) -> None:
        """Write the state after `number` steps, where the last one is older than `SAVE_EVERY`."""
        if time.monotonic() - self.saved <= SAVE_EVERY:
            return
        self.saved = time.monotonic()
        content = {
            "made_by": self.made_by,
            "done": number,
            "replaced": self.data.replaced,
            "model": tuned_state(self.model),
            "rng": torch.get_rng_state(),
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
        }
        save(self.path, content)

    def restore(self) -> int:
        """The steps done: 0 unless the file is a snapshot of this very run, its inputs and code."""
        if not self.path.is_file() or not follows(self.path, inputs(self.data.run)):
            return 0
        content = load_checkpoint(self.path)
        if content["made_by"] != self.made_by:
            return 0
        load_tuned(self.model, content["model"], self.path)
        for name, part in self.parts.items():
            part.load_state_dict(content["parts"][name])
        self.data.replaced = content["replaced"]
        torch.set_rng_state(content["rng"])
        return content["done"]
