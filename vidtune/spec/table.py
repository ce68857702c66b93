"""Metrics, the tables that show them, and what a published table shows besides its print."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from vidtune.spec.frozen import Amount, Frozen, Rate
from vidtune.spec.names import Name

# How a number was obtained; a "setting" was chosen, and only has to be the same.
Kind = Literal["counted", "predicted", "measured", "learned", "setting"]


class Metric(Frozen):
    """The unit of a column, which way is better, how it is printed and judged.

    `within` (a share) and `digits` judge counted numbers: a match is inside `within` of print,
    or inside one unit of its last printed digit where `within` is None.
    `noise` is the spread (one standard deviation) a published learned number is assumed to have.
    `predicts` are the measured metrics that a predicted one stands beside, under its label's first
    word. A setting has no `better`.
    """

    name: Name
    label: str
    unit: str
    better: Literal["higher", "lower"] | None = None
    kind: Kind
    digits: Annotated[int, Field(ge=0, le=12)]
    within: Amount | None = None
    noise: Amount | None = None
    scale: Rate = 1.0  # raw value x scale = value in `unit`
    predicts: tuple[str, ...] = ()
    source: str | None = None

    def problems(self) -> Iterator[str]:
        if self.better is None and self.kind != "setting":
            yield "better: missing; add higher or lower"
        if self.better is not None and self.kind == "setting":
            yield "better: a setting has none; drop it"


class Layout(Frozen):
    """What a published table shows besides what follows from its numbers."""

    title: str | None = None  # None: the caption's
    columns: tuple[str, ...] = ()  # metrics; (): the printed ones, as the paper orders them
    also: dict[Literal["task", "dataset", "frames"], tuple[str | int, ...]] | None = None
    rows: tuple[str, ...] = ()  # variants that print has a row of, whose numbers are missing
    note: str | None = None


class Overview(Layout):
    """Every variant that matches `also`, of every paper, with all that its paper prints of it."""

    title: str
    columns: tuple[str, ...]


class Table(Overview):
    """A table that is shown: a published one with the variants that match `also`, or an overview."""

    name: str
    paper: str | None = None  # None: an overview
    where: str | None = None  # the published table, as in `Numbers.where`
    lacks: str | None = None  # what of it is missing, as in `Content`
    came_from: str | None = None  # where its numbers were taken from, as `Content.source`


class Tables(Frozen):
    """`config/tables.yaml`."""

    overviews: dict[Name, Overview]
    published: dict[Name, dict[str, Layout]] = Field(
        default_factory=dict
    )  # paper -> where -> layout
