"""A figure of a paper that is drawn again from our numbers."""

from collections.abc import Iterator
from typing import Literal

from vidtune.spec.frozen import Frozen


class Figure(Frozen):
    """`draws` says how: "memory" training memory against the size of the trunk; "tradeoff" the second of
    `metrics` against the first; "sensitivity" both against the one option in which a row differs from
    the first; "classes", "attention" and "merges" what `vidtune look` finds in the first row that the
    scale trains.
    """

    where: str  # "Figure 1"
    draws: Literal["memory", "tradeoff", "sensitivity", "classes", "attention", "merges"]
    rows: tuple[str, ...]  # variants
    metrics: tuple[str, str] | None = None  # a cost and an accuracy

    def problems(self) -> Iterator[str]:
        if not self.rows:
            yield "rows: expected at least one variant; found none"
        asks = self.draws in ("tradeoff", "sensitivity")
        if asks != (self.metrics is not None):
            yield f"metrics: {self.draws} draws " + (
                "two; name them" if asks else "none; drop them"
            )

    @property
    def looks(self) -> bool:
        """Whether it shows what is inside a trained model."""
        return self.draws in ("classes", "attention", "merges")
