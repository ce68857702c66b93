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
    """The first rule that matches decides."""
    return {key: _place(rules, key) for key in keys}


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
    given = {f"clip.{k}": v for k, v in backbone.items() if f"clip.{k}" in ours}
    covered: dict[str, set[tuple[int, int]]] = {k: {(0, 1)} for k in given}
    expected = {k: tuple(v.shape) for k, v in ours.items()}
    found = {k: tuple(v.shape) for k, v in given.items()}
    for key, place in where.items():
        if place is None or place.name not in ours:
            found[f"their {key}"] = tuple(state[key].shape)  # unexpected; no name of ours
            continue
        if place.name in given:
            del given[place.name], covered[place.name]
        target = place.of(ours[place.name])
        same = _core(target) == _core(state[key])
        found[place.name] = expected[place.name] if same else tuple(state[key].shape)
        covered.setdefault(place.name, set()).add((place.part, place.parts))
    for name, parts in covered.items():
        if len(parts) < next(iter(parts))[1]:  # a packed tensor of which not all parts came
            del found[name]
    problem = difference(expected, found)
    if problem:
        raise UserError(
            f"official {method}: the checkpoint does not fit the model: {problem}; check the "
            "arguments, and give the backbone's weights where the file holds only tuned tensors"
        )
    with torch.no_grad():
        for name, tensor in given.items():
            ours[name].copy_(tensor)
        for key, place in where.items():
            assert place is not None
            target = place.of(ours[place.name])
            target.copy_(state[key].reshape(target.shape))


def _core(tensor: Tensor) -> tuple[int, ...]:
    """The shape without sides of 1: a point-wise convolution is a linear layer."""
    return tuple(n for n in tensor.shape if n != 1)
