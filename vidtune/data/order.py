"""In which order a training takes its items, and which processes take which of a batch."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """How the work is split: each of `ranks` processes takes neighbouring clips of every batch, in
    training as `parts` of equal size one after another, and each of these in as many `groups`."""

    rank: int = 0
    ranks: int = 1
    parts: int = 1
    groups: int = 1  # which the recipe decides (`Recipe.groups`): the same ones for every split

    @property
    def pieces(self) -> int:
        """How many forward passes this process makes of a batch."""
        return self.parts * self.groups

    def of(self, size: int, piece: int) -> slice:
        """The places of one piece in a batch of `size` clips."""
        each = size // (self.ranks * self.pieces)
        first = (self.rank * self.pieces + piece) * each
        return slice(first, first + each)


WHOLE = Split()


class Part(NamedTuple):
    """Items whose clips a model takes at once: in training a piece of a batch."""

    items: Tensor  # int64 (b,)
    epoch: int = 0
    first: bool = False  # whether it is the first one of its batch, over all processes


def together(groups: Iterable[str | None]) -> list[list[int]]:
    """Return sets of items that follow each other in a training: those of one group, which contrast in
    one respect; without one every item alone."""
    sets: dict[Any, list[int]] = {}
    for item, group in enumerate(groups):
        sets.setdefault(item if group is None else group, []).append(item)
    return list(sets.values())


def shuffled(
    sets: list[list[int]], seed: int, epoch: int, texts: Sequence[Hashable] | None = None
) -> Tensor:
    """Return the order (items,) in which a training with this seed takes its items in an epoch.

    With `texts`, of each item, sets of the same texts are spread evenly: the first ones of all kinds
    come first, in random order, then the second ones, and so on.
    """
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    order = torch.randperm(len(sets), generator=generator).tolist()
    if texts is not None:
        seen: Counter[Hashable] = Counter()
        turns = []
        for i in order:
            kind = frozenset(texts[item] for item in sets[i])
            turns.append(seen[kind])
            seen[kind] += 1
        order = [i for _, i in sorted(zip(turns, order, strict=True), key=lambda one: one[0])]
    return torch.tensor([item for i in order for item in sets[i]])
