"""How a scale swaps backbones, datasets and recipes, and maps options of the declared backbone."""

from collections.abc import Iterator
from fnmatch import fnmatch
from fractions import Fraction
from typing import Annotated, Any

from pydantic import Field

from vidtune.plan.registry import marks, options_class
from vidtune.spec import Backbone, Frozen
from vidtune.spec.frozen import Amount, Seed
from vidtune.spec.names import Name


class Scale(Frozen):
    """One entry of `config/scales.yaml`. Patterns match "<task>/<name>" (backbones: the name), those of
    recipes "<paper>/<variant>" as well."""

    name: Name
    says: str
    backbones: dict[str, str]
    datasets: dict[str, str]
    recipes: dict[str, str]
    frames: Annotated[float, Field(gt=0, le=1)] = 1.0  # share of the declared frames that runs see
    seeds: tuple[Seed, ...]  # of all that is trained, so that comparisons are paired by seed
    together: bool = False  # all seeds of a variant in one job; else each training and each test
    learn: tuple[str, ...]  # variants that are trained
    skip: tuple[str, ...] = ()  # variants that `learn` matches and that are not trained
    memory: tuple[str, ...] = ("*",)  # which rows' memory is predicted
    seconds: dict[str, Amount]  # rule -> how long a job takes, of `learn` one seed; for estimates

    def problems(self) -> Iterator[str]:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            yield f"seeds: expected distinct numbers from 0; found {list(self.seeds)}"
        if self.name in ("reference", "data"):
            yield f"name: results/{self.name} holds what all scales share; choose another name"

    @property
    def at_full_size(self) -> bool:
        """Whether all that is trained has the declared backbone, dataset and frames, so that it may stand
        beside print, with whatever recipe."""
        return not self.unlike

    @property
    def unlike(self) -> str:
        """What trainings have otherwise than print, recipes aside: "data and backbones"; "": nothing."""
        swapped = {"data": self.datasets, "backbones": self.backbones, "frames": self.frames < 1.0}
        *first, last = [name for name, is_so in swapped.items() if is_so] or [""]
        return f"{', '.join(first)} and {last}" if first else last

    @property
    def job_seconds(self) -> dict[str, float]:
        """Rule -> how long a job takes."""
        one = self.seconds.get("learn")
        return self.seconds | ({} if one is None else {"learn": one * len(self.seeds)})

    def frames_of(self, declared: int) -> int:
        """How many frames a run sees. Raises `ValueError` where its share of them is not whole."""
        frames = declared * Fraction(str(self.frames))
        if frames.denominator != 1:
            raise ValueError(
                f"frames: expected a share of {declared} frames that is whole; "
                f"found {self.frames:g}, which is {float(frames):g}; give another share"
            )
        return int(frames)

    def trains(self, variant: str) -> bool:
        """Whether "<paper>/<variant>" is trained."""
        learned, skipped = (any(fnmatch(variant, p) for p in ps) for ps in (self.learn, self.skip))
        return learned and not skipped


def swap(table: dict[str, str], name: str, *also: str) -> str:
    """The value of the first pattern that matches `name` or one of `also`; `name` itself where none
    does."""
    names = (name, *also)
    found = (new for pattern, new in table.items() if any(fnmatch(n, pattern) for n in names))
    return next(found, name)


def map_options(
    method: str, options: dict[str, Any], declared: Backbone, used: Backbone, frames: float = 1.0
) -> dict[str, Any]:
    """Map options written for the declared backbone and frames to those that are used: another
    backbone, a share `frames` of the frames. Raises `ValueError` where one cannot be mapped."""
    rules = {
        "depth": lambda n: max(1, round(n * used.layers / declared.layers)) if n else 0,
        "layers": lambda ns: _indices(ns, declared.layers, used.layers),
        "width": lambda n: max(8, int(n * used.width / declared.width / 8 + 0.5) * 8) if n else 0,
        "tokens": lambda n: max(1, round(n * used.patches / declared.patches)) if n else 0,
    }
    if declared == used:
        rules = dict.fromkeys(rules, lambda same: same)
    rules["joins"] = lambda ns: _joins(ns, frames)
    mapped = {
        field: rules[mark](options[field]) for field, mark in marks(options_class(method)).items()
    }
    return {**options, **mapped}


def _joins(joins: list[int], share: float) -> list[int]:
    """Join a share of the frames to as many clips in the end.

    The first join whose share is whole becomes that share. Where that is 1, the later joins move up
    one layer, and the 1, which joins nothing, stands last.

    >>> _joins([2, 2, 3], 0.5), _joins([2, 3, 3], 0.5), _joins([4, 4, 4], 0.5)
    ([2, 3, 1], [3, 3, 1], [2, 4, 4])
    """
    if share == 1:
        return joins
    left = [n * Fraction(str(share)) for n in joins]
    k = next((k for k, n in enumerate(left) if n.denominator == 1), None)
    if k is None:
        raise ValueError(
            f"frames: none of the joins {joins} leaves a whole one at a share of {share:g}; "
            "give another share, or skip the variant"
        )
    before, n, after = joins[:k], int(left[k]), joins[k + 1 :]
    return [*before, *after, 1] if n == 1 else [*before, n, *after]


def _indices(indices: list[int], declared: int, used: int) -> list[int]:
    """Move 0-based layer indices to the same fractions of the depth, all distinct.

    >>> _indices([8, 9, 10], 12, 6)
    [3, 4, 5]
    """
    mapped = [min(used - 1, round(i * used / declared)) for i in indices]
    for k in range(len(mapped) - 2, -1, -1):
        mapped[k] = min(mapped[k], mapped[k + 1] - 1)
    if mapped and mapped[0] < 0:
        raise ValueError(f"{len(indices)} layer indices do not fit into {used} layers")
    return mapped
