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
        """This part of `tensor`, as a view."""
        return tensor if self.parts == 1 else tensor.chunk(self.parts)[self.part]


@dataclass(frozen=True)
class Rule:
    """A pattern that matches the authors' whole name of a tensor, and our name for it."""

    pattern: str
    ours: str
    part: int = 0
    parts: int = 1


def places(rules: Iterable[Rule], keys: Iterable[str]) -> dict[str, Place | None]:
    """Apply to each key the first rule that matches; DistributedDataParallel's prefix is ignored."""
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

    Of `backbone` only the tensors that the model has are taken: not every method uses all of CLIP.
    Raises `UserError` that names the tensors which do not fit; then `net` is left as it was.
    """
    ours = net.state_dict()
    expected = {k: tuple(v.shape) for k, v in ours.items()}
    given: dict[str, tuple[int, ...]] = {}
    covered: dict[str, set[int]] = {}
    for key, place in where.items():
        taken = place is None or place.part in covered.get(place.name, ())
        if place is None or place.name not in ours or taken:
            given[f"their {key}"] = tuple(state[key].shape)  # unexpected; no name of ours
            continue
        covered.setdefault(place.name, set()).add(place.part)
        if _core(place.of(ours[place.name])) != _core(state[key]):
            given[place.name] = tuple(state[key].shape)
        elif len(covered[place.name]) == place.parts:  # no part of a packed one is missing
            given.setdefault(place.name, expected[place.name])
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
        for key, place in where.items():
            assert place is not None
            target = place.of(ours[place.name])
            target.copy_(state[key].reshape(target.shape))


def _core(tensor: Tensor) -> tuple[int, ...]:
    """The shape without sides of 1: a point-wise convolution is a linear layer."""
    return tuple(n for n in tensor.shape if n != 1)
