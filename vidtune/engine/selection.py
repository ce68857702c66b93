"""The tests of a training on the test set, at its recipe's times, and the weights of the best of them."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from torch import Tensor

from vidtune.engine.checkpoints import tuned_state
from vidtune.nn.task import VideoModel
from vidtune.spec import Selection


def best_of(checkpoint: Path) -> Path:
    """Where the best weights of a training stand whose last ones are `checkpoint`."""
    return checkpoint.with_name("best.pt")


class Best:
    """The curve of a training's tests, as (step, metrics), and the best of them.

    Its state, which a snapshot holds, has the best weights: a training that resumes at an earlier step
    has those that were the best up to there.
    """

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.tested: list[tuple[int, dict[str, float]]] = []
        self.step = 0  # after which the best weights were; 0: none yet
        self.state: dict[str, Tensor] = {}

    def add(self, step: int, metrics: dict[str, float], model: VideoModel) -> None:
        """The metrics of the model after a step."""
        value = metrics[self.selection.metric]
        known = dict(self.tested)
        if not self.step or self.selection.is_better(
            value, known[self.step][self.selection.metric]
        ):
            self.step = step
            self.state = {k: v.clone() for k, v in tuned_state(model).items()}
        self.tested.append((step, metrics))

    def is_due(self, step: int, per_epoch: int, steps: int) -> bool:
        """Whether the model is to be tested after a step, and was not."""
        due = self.selection.is_due(step, per_epoch, steps)
        return due and step not in dict(self.tested)

    def describe(self) -> str:
        """The last test beside the best one."""
        (number, metrics), name = self.tested[-1], self.selection.metric
        best = dict(self.tested)[self.step][name]
        return f"{name} {metrics[name]:.1f} after step {number}; best {best:.1f} after step {self.step}"

    def state_dict(self) -> dict[str, Any]:
        return {"tested": deepcopy(self.tested), "step": self.step, "state": self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
