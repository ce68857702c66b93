"""What a layer may know of the clips of a batch: the numbers that their random choices follow from,
and which of them are computed together.

A training step may be split over processes and into parts of a batch. Its results stay the same if
nothing depends on how it was split: dropout follows from each clip's own key, and what mixes clips
(statistics of a BatchNorm, places that AIM drops) mixes those of one forward pass: as many as the
recipe says (`group`), which no split divides. The authors train on several GPUs, where such a group is
what one GPU has.

Shapes: B clips.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Constants of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), as signed 64-bit integers.
GAMMA, FIRST, SECOND = -7046029254386353131, -4658895280553007687, -7723592293110705685
BITS = 24  # of a uniform number: what single precision holds


@dataclass(frozen=True)
class Rows:
    """The clips of one forward pass."""

    keys: Tensor  # int64 (B,): what the random choices for a clip follow from
    first: bool = True  # whether they are the first ones of the step

    def uniform(self, layer: int, n: int) -> Tensor:
        """Return (B, n) numbers in [0, 1), which follow from key, layer and column alone."""
        return _uniform(self.keys, layer, n)

    def uniform_of_all(self, layer: int, n: int) -> Tensor:
        """Return (1, n) numbers in [0, 1) for all clips together, which follow from the first one's key."""
        return _uniform(self.keys[:1], layer, n)


class RowModule(nn.Module):
    """A layer that heeds `rows`; None: it draws and mixes as torch's own does."""

    mixes = False  # whether it computes the clips of a pass together
    rows: Rows | None = None
    layer = 0  # among those of its model


def undivided(model: nn.Module) -> set[str]:
    """The layers of torch whose statistics or random choices follow from how a batch is split."""
    drops = (m for m in model.modules() if isinstance(m, nn.modules.dropout._DropoutNd))
    return statistics(model) | {type(m).__name__ for m in drops if m.p > 0}


def statistics(model: nn.Module) -> set[str]:
    """The layers of torch that keep running statistics, which move with every forward pass."""
    kind = nn.modules.batchnorm._BatchNorm
    found = (m for m in model.modules() if isinstance(m, kind) and not isinstance(m, RowModule))
    return {type(m).__name__ for m in found}


def give_rows(model: nn.Module, rows: Rows | None) -> None:
    """Tell every layer that asks for it which clips the next forward pass has."""
    for i, layer in enumerate(m for m in model.modules() if isinstance(m, RowModule)):
        layer.rows, layer.layer = rows, i


class Dropout(RowModule):
    """torch's dropout over whole clips: what is dropped of one does not depend on the others."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)."""
        if not self.training or self.p == 0:
            return x
        if self.rows is None:
            return nn.functional.dropout(x, self.p)
        kept = self.rows.uniform(self.layer, x[0].numel()) >= self.p
        return x * kept.view_as(x) / (1 - self.p)


def mix(*parts: int | Tensor) -> Tensor:
    """Return well mixed int64 numbers, one for each element of the tensors among `parts`."""
    h: int | Tensor = 0
    for part in parts:
        h = _finish(torch.as_tensor(part) + h + GAMMA)
    return torch.as_tensor(h)


def _uniform(keys: Tensor, layer: int, n: int) -> Tensor:
    columns = torch.arange(n, device=keys.device)
    return _shift(mix(keys[:, None], layer, columns), 64 - BITS).float() / 2**BITS


def _finish(h: Tensor) -> Tensor:
    """SplitMix64's finaliser; products wrap around."""
    h = (h ^ _shift(h, 30)) * FIRST
    h = (h ^ _shift(h, 27)) * SECOND
    return h ^ _shift(h, 31)


def _shift(h: Tensor, by: int) -> Tensor:
    """Shift right without a sign."""
    return (h >> by) & ((1 << 64 - by) - 1)
