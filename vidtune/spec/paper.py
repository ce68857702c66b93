"""One paper's declaration: variants, published numbers with their sources, claims."""

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from vidtune.spec.nouns import Noun


class Citation(Noun):
    key: str
    title: str
    arxiv: str
    code: str  # owner/name@commit
    venue: str | None = None


class Variant(Noun):
    """method x backbone x dataset x frames x recipe x options, declared once."""

    name: str
    method: str
    backbone: str
    dataset: str
    frames: int = Field(gt=0)
    views: str = Field(default="1x1", pattern=r"^(1|3)x[1-9]\d*$")  # crops x clips
    recipe: str
    options: dict[str, Any] = Field(default_factory=dict)
    label: str | None = None  # the row's name in the paper
    note: str | None = None
    fitted: tuple[str, ...] = ()  # metrics whose printed value the reading was chosen to have


class Numbers(Noun):
    """Published cells: `rows` maps a variant (or a cited system) to metric -> number.

    A number may be written as a string to keep its digits ("0.50"). `reasons` are standing ones,
    for a whole row ("row") or one cell ("row/metric"). `trust` marks how sure the transcription
    is, where a number does not come from the paper's own page.
    """

    where: str  # "Table 9 (f)"
    caption: str
    condition: str | None = None  # what the cells were measured under
    views: str | None = None
    rows: dict[str, dict[str, float | int | str]]
    labels: dict[str, str] = Field(default_factory=dict)  # how the paper's table names a row
    reasons: dict[str, str] = Field(default_factory=dict)
    trust: str | None = None

    @model_validator(mode="after")
    def _numbers(self) -> "Numbers":
        for row, cells in self.rows.items():
            for metric, value in cells.items():
                try:
                    known = math.isfinite(float(value))
                except ValueError:
                    known = False
                if not known:
                    raise ValueError(f"rows.{row}.{metric}: expected a number; found {value!r}")
        cells = {f"{row}/{metric}" for row, found in self.rows.items() for metric in found}
        for key in (*self.labels, *self.reasons):
            if key not in self.rows and key not in cells:
                raise ValueError(
                    f"labels, reasons: {key!r} is no row (or row/metric) of this table"
                )
        return self


class ClaimTest(Noun):
    """Either an order (`best_first`) or a change of `of` against `against` in percent."""

    metric: str
    best_first: tuple[str, ...] | None = None
    of: str | None = None
    against: str | None = None
    percent: float | None = None  # signed change that the paper states
    within: float = 1.0  # percentage points

    @model_validator(mode="after")
    def _one_kind(self) -> "ClaimTest":
        change = (self.of, self.against, self.percent)
        if (self.best_first is None) == (None in change) or (self.best_first and any(change)):
            raise ValueError("give either best_first, or of, against and percent")
        return self


class Claim(Noun):
    """What the paper says, or, as a `control`, what we check beside it."""

    says: str
    where: str
    tests: tuple[ClaimTest, ...]
    control: bool = False  # not the paper's: it prints no numbers for it


class Paper(Noun):
    """`config/papers/<name>.yaml`, with `base` and `each` already expanded."""

    name: str
    cite: Citation
    variants: dict[str, Variant]
    cited: dict[str, str] = Field(default_factory=dict)  # row -> system, not declared as variant
    numbers: tuple[Numbers, ...] = ()
    claims: dict[str, Claim] = Field(default_factory=dict)


class Table(Noun):
    """`config/tables/<name>.yaml`: the rows of published tables plus matching variants.

    Without `paper` it is an overview: every variant that matches `also`, of every paper, with what
    any table of its own paper prints about it.
    """

    name: str
    title: str
    columns: tuple[str, ...]  # metrics
    paper: str | None = None
    where: tuple[str, ...] = ()  # the paper's tables whose rows stand here, as in `Numbers.where`
    also: dict[Literal["task", "dataset", "frames"], tuple[str | int, ...]] | None = None
    note: str | None = None
