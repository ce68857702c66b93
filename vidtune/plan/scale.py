"""How a scale swaps nouns and maps options written for the declared backbone."""

from fnmatch import fnmatch
from typing import Any

from pydantic import model_validator

from vidtune.plan.registry import marks, options_class
from vidtune.spec import Backbone, Frozen


class Scale(Frozen):
    """One entry of `config/scales.yaml`. Patterns match "<task>/<name>" (backbones: the name)."""

    name: str
    says: str
    backbones: dict[str, str]
    datasets: dict[str, str]
    recipes: dict[str, str]
    seeds: dict[str, tuple[int, ...]]
    learn: tuple[str, ...]
    skip: tuple[str, ...] = ()  # of these, what is not
    memory: tuple[str, ...] = ("*",)  # which rows' memory is predicted
    seconds: dict[str, float]

    @model_validator(mode="after")
    def _seeds(self) -> "Scale":
        for pattern, seeds in self.seeds.items():
            if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
                raise ValueError(
                    f"seeds.{pattern}: expected distinct numbers from 0; found {seeds}"
                )
        return self


def swap(table: dict[str, str], name: str) -> str:
    """The first entry whose pattern matches, or the name itself."""
    return next((new for pattern, new in table.items() if fnmatch(name, pattern)), name)


def seeds_of(scale: Scale, variant: str) -> tuple[int, ...]:
    """Seeds of "<paper>/<variant>": first pattern that matches; none: not trained."""
    learned = any(fnmatch(variant, pattern) for pattern in scale.learn)
    if not learned or any(fnmatch(variant, pattern) for pattern in scale.skip):
        return ()
    return next((s for p, s in scale.seeds.items() if fnmatch(variant, p)), (0,))


def map_options(
    method: str, options: dict[str, Any], declared: Backbone, here: Backbone
) -> dict[str, Any]:
    """Options of the declared backbone, mapped to the one at hand."""
    if declared == here:
        return options
    rules = {
        "depth": lambda n: max(1, round(n * here.layers / declared.layers)) if n else 0,
        "layers": lambda ns: _indices(ns, declared.layers, here.layers),
        "width": lambda n: max(8, round(n * here.width / declared.width / 8) * 8) if n else 0,
        "tokens": lambda n: max(1, round(n * here.patches / declared.patches)) if n else 0,
    }
    mapped = {
        field: rules[mark](options[field]) for field, mark in marks(options_class(method)).items()
    }
    return {**options, **mapped}


def _indices(indices: list[int], declared: int, here: int) -> list[int]:
    """0-based layers at the same fractions of the depth, pushed down where two would fall together.

    >>> _indices([8, 9, 10], 12, 6)
    [3, 4, 5]
    """
    mapped = [min(here - 1, round(i * here / declared)) for i in indices]
    for k in range(len(mapped) - 2, -1, -1):
        mapped[k] = min(mapped[k], mapped[k + 1] - 1)
    if mapped and mapped[0] < 0:
        raise ValueError(f"{len(indices)} layer indices do not fit into {here} layers")
    return mapped
