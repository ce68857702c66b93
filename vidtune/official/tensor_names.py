"""Where a tensor of the authors' code belongs in a model of ours."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidtune.nn.weights import difference
from vidtune.spec import UserError


@dataclass(frozen=True)
class Place:
    """A parameter or buffer of ours, or one of the equal parts of a packed one's rows."""

    name: str
    part: int = 0
    parts: int = 1

    def of(self, tensor: Tensor) -> Tensor:
        """The place within `tensor`: a view."""
        return tensor if self.parts == 1 else tensor.chunk(self.parts)[self.part]


@dataclass(frozen=True)
class Rule:
    """A pattern of the authors' names, which it must match wholly, and what is ours for it."""

    pattern: str
    ours: str
    part: int = 0
    parts: int = 1


def places(rules: Iterable[Rule], keys: Iterable[str]) -> dict[str, Place | None]:
    """The first rule that matches decides; DistributedDataParallel's prefix is no part of a name."""
    return {key: _place(rules, key.removeprefix("module.")) for key in keys}


def _place(rules: Iterable[Rule], key: str) -> Place | None:
    for rule in rules:
        match = re.fullmatch(rule.pattern, key)
        if match:
            return Place(match.expand(rule.ours), rule.part, rule.parts)
    return None


def fill(
    net: nn.Module,
    where: Mapping[str, Place | None],
    state: Mapping[str, Tensor],
    backbone: Mapping[str, Tensor],
    method: str,
) -> None:
    """Copy `state`, and under it `backbone` (OpenAI's names), into `net`; strict both ways.

    Of `backbone` only what the model has is taken: not every method uses every part of CLIP.
    Raises `UserError` that names the tensors which do not fit; then `net` is left as it was.
    """
    ours = net.state_dict()
    expected = {k: tuple(v.shape) for k, v in ours.items()}
    found: dict[str, tuple[int, ...]] = {}
    covered: dict[str, set[int]] = {}
    for key, place in where.items():
        taken = place is None or place.part in covered.get(place.name, ())
        if place is None or place.name not in ours or taken:
            found[f"their {key}"] = tuple(state[key].shape)  # unexpected; no name of ours
            continue
        covered.setdefault(place.name, set()).add(place.part)
        if _core(place.of(ours[place.name])) != _core(state[key]):
            found[place.name] = tuple(state[key].shape)
        elif len(covered[place.name]) == place.parts:  # all of a packed tensor is there
            found.setdefault(place.name, expected[place.name])
    given = {k: v for k, v in backbone.items() if f"clip.{k}" in ours.keys() - covered.keys()}
    found |= {f"clip.{k}": tuple(v.shape) for k, v in given.items()}
    problem = difference(expected, found)
    if problem:
        raise UserError(
            f"official {method}: the checkpoint does not fit the model: {problem}; check the "
            "arguments, and give the backbone's weights where the file holds only tuned tensors"
        )
    with torch.no_grad():
        for name, tensor in given.items():
            ours[f"clip.{name}"].copy_(tensor)
        for key, place in where.items():
            assert place is not None
            target = place.of(ours[place.name])
            target.copy_(state[key].reshape(target.shape))


def _core(tensor: Tensor) -> tuple[int, ...]:
    """The shape without sides of 1: a point-wise convolution is a linear layer."""
    return tuple(n for n in tensor.shape if n != 1)
