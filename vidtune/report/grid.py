"""A published table with ours beside it, as one neutral structure that every format renders."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

What = Literal["print", "ours", "beside", "learned", "verdict"]


class Learned(NamedTuple):
    """Mean and standard deviation over seeds (None for one seed); `clips` is the test set."""

    mean: float
    sd: float | None
    seeds: int
    clips: int | None
    scale: str


class Beside(NamedTuple):
    """A predicted number that stands beside a measured one."""

    value: float
    under: str  # its convention; of a fitted one what it was fitted on
    made_by: str


@dataclass(frozen=True)
class Cell:
    """One metric of one row. `id` is the published cell's, "" where the paper prints nothing."""

    id: str = ""
    print: str = ""
    ours: float | None = None  # counted at full size, or measured
    ended: str = ""  # how a measurement ended that is not to be compared: oom, busy
    beside: dict[str, Beside] = field(default_factory=dict)  # by predicted metric
    learned: Learned | None = None
    verdict: str = ""
    reason: str = ""
    printed_in: str = ""  # origin of `print`
    made_by: str = ""  # origin of `ours` or `learned`
    notes: tuple[int, ...] = ()
    stale: bool = False


@dataclass(frozen=True)
class Part:
    """One column as shown: a metric has several, under one heading."""

    metric: str
    what: What
    group: str
    label: str
    digits: int
    scale: str = ""  # of learned parts and their verdicts
    beside: str = ""  # the predicted metric of a part that stands beside


@dataclass(frozen=True)
class Line:
    variant: str
    label: str
    facts: tuple[str, ...]  # one per `Grid.heads`
    cells: dict[str, Cell]  # by metric
    notes: tuple[int, ...] = ()
    added: bool = False  # through `also`: not a row of the published table


@dataclass(frozen=True)
class Grid:
    name: str
    title: str
    paper: str | None
    heads: tuple[str, ...]
    parts: tuple[Part, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]  # numbered from 1
    remarks: tuple[str, ...]  # on the whole table
