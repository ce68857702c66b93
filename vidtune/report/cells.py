"""A cell: one metric of one row, as the paper prints it and as we have it."""

import statistics
from decimal import Decimal
from typing import NamedTuple

from pydantic import Field

from vidtune.report.numbers.rows import OOM, Row
from vidtune.spec import Frozen, Kind, Numbers


class Learned(NamedTuple):
    """Mean and standard deviation over seeds (None for one seed); `clips` is the test set. A reference
    has no seeds."""

    mean: float
    sd: float | None
    seeds: int
    clips: int | None
    scale: str


class Delta(Frozen):
    """By how much a learned number differs from that of one row of its table, the base, in the metric's
    unit: in print, and ours with the half of its 95 % interval."""

    base: str  # row of the paper
    print: float | None = None
    ours: float | None = None
    half: float | None = None
    seeds: int = 0
    why: str = ""  # why there is no difference of ours

    def text(self, digits: int) -> str:
        """ "-2.0 ± 2.5"; "" without a difference of ours."""
        if self.ours is None or self.half is None:
            return ""
        return f"{signed(self.ours, digits)} ± {self.half:.{digits}f}"


class Cell(Frozen):
    """A number of ours beside the printed one. `ours` is the mean over seeds; where the authors took the
    best of several tests on the test set, it is of such, and `last` that of the last weights.

    A table also has cells that the paper leaves empty: they have no name, print and verdict.
    """

    cell: str  # "<paper>/<table>/<row>/<column>"
    variant: str  # "<paper>/<row>"
    metric: str
    unit: str
    kind: Kind
    print: str
    ours: float | None
    last: float | None = None  # where `ours` is the best of several tests
    verdict: str = ""  # one of `verdicts.VERDICTS`
    agrees: str = ""  # how a match is one: "rounds to print", "within one unit", "within 5 %"
    reason: str = ""
    predicted: dict[str, float]  # predicted metric -> number that stands beside a measured one
    # What it is made of; not part of its JSON:
    numbers: Numbers | None = Field(default=None, exclude=True)  # the table that prints it
    rows: tuple[Row, ...] = Field(default=(), exclude=True)  # ours: one a seed, or one measurement
    # of `rows`: those whose trainings have no last weights
    diverged: int = Field(default=0, exclude=True)
    predictions: dict[str, Row] = Field(default={}, exclude=True)  # predicted metric -> row
    # whether ours may stand beside print: not learned, or at a scale of declared backbones and data
    comparable: bool = Field(default=True, exclude=True)
    delta: Delta | None = Field(default=None, exclude=True)  # learned, in a table: to its base row

    @property
    def row(self) -> str:
        """The row's key in the paper's tables."""
        return self.variant.split("/")[1]

    @property
    def standing_reason(self) -> str:
        """The standing reason that the paper's file gives for the cell or its row."""
        reasons = self.numbers.reasons if self.numbers else {}
        return reasons.get(f"{self.row}/{self.metric}", reasons.get(self.row, ""))

    @property
    def ended(self) -> str:
        """How a measurement ended that cannot be compared: oom or busy."""
        return self.rows[0].text if self.rows else ""

    @property
    def judged(self) -> str:
        """The verdict in words, which tell a rounded match from one within a bound."""
        bound = self.agrees if self.agrees.startswith("within") else ""
        return f"{self.verdict}, {bound}" if bound else self.verdict

    def digits(self, declared: int) -> int:
        """Digits after the point of its numbers: print's, where a counted cell has more than its metric."""
        return max(declared, printed_digits(self.print) if self.kind == "counted" else 0)

    def number(self, declared: int) -> str:
        """`ours` as it stands beside print; a setting as it was set; "" where there is none."""
        if self.ours is None:
            return ""
        return (
            f"{self.ours:g}" if self.kind == "setting" else f"{self.ours:.{self.digits(declared)}f}"
        )

    @property
    def best_of(self) -> int | None:
        """Of how many tests on the test set `ours` is the best, of several seeds the most; None: of the
        last weights."""
        return max((r.best_of for r in self.rows if r.best_of is not None), default=None)

    def selection(self, digits: int) -> str:
        """ "best of 52 tests on the test set; last 42.8"; "" of the last weights."""
        if self.best_of is None:
            return ""
        last = "" if self.last is None else f"; last {self.last:.{digits}f}"
        if self.diverged:
            last = f"; {self.diverged} of {len(self.rows)} trainings diverged later"
        return f"best of {self.best_of} tests on the test set{last}"

    @property
    def learned(self) -> Learned | None:
        if self.kind != "learned" or not self.rows:
            return None
        values, first = [r.value for r in self.rows], self.rows[0]
        sd = statistics.stdev(values) if len(values) > 1 else None
        seeds = sum(r.seed is not None for r in self.rows)
        return Learned(statistics.fmean(values), sd, seeds, first.n, first.scale)

    @property
    def stale(self) -> bool:
        return any(r.stale for r in (*self.rows, *self.predictions.values()))


def printed_digits(text: str) -> int:
    """Digits after the point of a printed number: 1 of "58.5", 0 of "445", 2 of "0.50", 4 of "2e-4"."""
    digits = Decimal(text).as_tuple().exponent if text else 0
    assert isinstance(digits, int)
    return max(0, -digits)


def signed(value: float, digits: int) -> str:
    """ "+0.5"; what rounds to 0 is "+0.0" whatever its sign."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def mean(rows: list[Row]) -> float | None:
    """The mean over seeds of what has a number."""
    values = [r.value for r in rows if r.text != OOM]
    return statistics.fmean(values) if values else None
