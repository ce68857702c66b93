"""Where a tensor of the authors' code belongs in a model of ours."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from vidtune.nn.weights import difference
from vidtune.spec import UserError


@dataclass(frozen=True)
class Slot:
    """A parameter or buffer of ours, or one of the equal parts of a packed one's rows."""

    name: str
    part: int = 0
    parts: int = 1

    def of(self, tensor: Tensor) -> Tensor:
        """This part of `tensor`, as a view."""
        return tensor if self.parts == 1 else tensor.chunk(self.parts)[self.part]


def slot_of(rules: Mapping[str, str | Slot], key: str) -> Slot | None:
    """Return our slot for the authors' tensor `key`: the first rule whose pattern matches it whole.

    DistributedDataParallel's prefix is ignored.
    """
    for pattern, ours in rules.items():
        if match := re.fullmatch(pattern, key.removeprefix("module.")):
            slot = ours if isinstance(ours, Slot) else Slot(ours)
            return replace(slot, name=match.expand(slot.name))
    return None


def fill(
    net: nn.Module,
    slots: Mapping[str, Slot | None],
    state: Mapping[str, Tensor],
    backbone: Mapping[str, Tensor],
    method: str,
) -> None:
    """Copy `state`, and under it `backbone` (OpenAI's names), into `net`; strict both ways.

    Of `backbone` only the tensors that the model has are taken: not every method uses all of CLIP.
    Raises `UserError` that names the tensors which do not fit; then `net` is left as it was.
    """
    ours = net.state_dict()
    expected = {k: tuple(v.shape) for k, v in ours.items()}
    given: dict[str, tuple[int, ...]] = {}
    covered: dict[str, set[int]] = {}
    for key, slot in slots.items():
        taken = slot is None or slot.part in covered.get(slot.name, ())
        if slot is None or slot.name not in ours or taken:
            given[f"their {key}"] = tuple(state[key].shape)  # unexpected; no name of ours
            continue
        covered.setdefault(slot.name, set()).add(slot.part)
        if _shape_without_ones(slot.of(ours[slot.name])) != _shape_without_ones(state[key]):
            given[slot.name] = tuple(state[key].shape)
        elif len(covered[slot.name]) == slot.parts:  # no part of a packed one is missing
            given.setdefault(slot.name, expected[slot.name])
    trunk = {k: v for k, v in backbone.items() if f"clip.{k}" in ours.keys() - covered.keys()}
    given |= {f"clip.{k}": tuple(v.shape) for k, v in trunk.items()}
    problem = difference(expected, given)
    if problem:
        raise UserError(
            f"official {method}: the checkpoint does not fit the model: {problem}; check the "
            "arguments, and give the backbone's weights where the file holds only tuned tensors"
        )
    with torch.no_grad():
        for name, tensor in trunk.items():
            ours[f"clip.{name}"].copy_(tensor)
        for key, slot in slots.items():
            assert slot is not None
            target = slot.of(ours[slot.name])
            target.copy_(state[key].reshape(target.shape))


def _shape_without_ones(tensor: Tensor) -> tuple[int, ...]:
    """The shape without sides of 1: a point-wise convolution is a linear layer."""
    return tuple(n for n in tensor.shape if n != 1)
