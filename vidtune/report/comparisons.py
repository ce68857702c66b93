"""What two variants differ by at the scale at hand, over the seeds that both have.

A comparison is judged from its interval alone (`vidtune.report.statistics`): `holds` above 0, `fails`
below it, else `within noise`. It is not judged where the scale makes one run of both variants, or puts
one trunk in the place of two, or where there are no two seeds of both.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from vidtune.plan import Plan
from vidtune.report import statistics
from vidtune.report.numbers.rows import Row
from vidtune.report.statistics import Interval, Prior
from vidtune.spec import ClaimTest, Frozen, Metric

Status = Literal["holds", "exceeded", "fails", "within noise", "not judged"]
STATUSES = get_args(Status)
Values = dict[tuple[str, str], dict[int, float]]  # (variant, metric) -> seed -> value


class Comparison(Frozen):
    """By how much `better` is better than `worse`, which a paper or we expect to be positive.

    `gain` is a mean over `seeds` in the metric's unit, ± `half` its 95 % interval; `half` is also the
    smallest difference that could have been seen.
    """

    better: str  # rows of one paper
    worse: str
    metric: str
    status: Status
    why: str = ""  # why it is not judged
    absent: bool = False  # because one of the two is not trained at this scale
    gain: float | None = None
    half: float | None = None
    seeds: int = 0
    published: float | None = None  # the same difference in print

    @property
    def low(self) -> float | None:
        return None if self.gain is None or self.half is None else self.gain - self.half

    @property
    def high(self) -> float | None:
        return None if self.gain is None or self.half is None else self.gain + self.half

    def interval(self, digits: int) -> str:
        """ "+3.1 (+0.9 to +5.3)"; "" where it is not judged."""
        if self.gain is None:
            return ""
        return f"{self.gain:+.{digits}f} ({self.low:+.{digits}f} to {self.high:+.{digits}f})"

    def text(self, digits: int) -> str:
        """ "a over b: +3.1 (+0.9 to +5.3), 3 seeds, visible from 2.2; print +0.7"."""
        found = f"not judged: {self.why}"
        if self.gain is not None:
            seen = f"{self.seeds} seeds, visible from {self.half:.{digits}f}"
            found = f"{self.interval(digits)}, {seen}"
        text = f"{self.better} over {self.worse}: {found}"
        return text if self.published is None else f"{text}; print {self.published:+.{digits}f}"


@dataclass(frozen=True)
class Learned:
    """The learned numbers of a scale, and how far its comparisons scatter."""

    plan: Plan
    values: Values
    priors: dict[tuple[str, str], Prior]  # (task, metric) -> of the papers' and our own tests

    def compare(
        self, better: str, worse: str, metric: str, published: float | None = None
    ) -> Comparison:
        """Judge two variants ("<paper>/<variant>"), or say why that cannot be done."""
        rows = (better.split("/")[1], worse.split("/")[1])
        named = {"better": rows[0], "worse": rows[1], "metric": metric, "published": published}
        if why := self._why_not(better, worse, metric):
            absent = None in map(self.plan.run_of, (better, worse))
            return Comparison(**named, status="not judged", why=why, absent=absent)
        prior = self.priors.get((self.plan.models[better].task, metric), statistics.NO_PRIOR)
        found = statistics.interval(self.gains(better, worse, metric), prior)
        return Comparison(
            **named, status=judge(found), gain=found.mean, half=found.half, seeds=found.n
        )

    def gains(self, better: str, worse: str, metric: str) -> list[float]:
        """By how much one is better than the other, for every seed that both have."""
        a, b = (self.values.get((name, metric), {}) for name in (better, worse))
        sign = 1 if self.plan.config.metrics[metric].better == "higher" else -1
        return [sign * gain for gain in statistics.paired(a, b)]

    def _why_not(self, better: str, worse: str, metric: str) -> str:
        """Why two variants cannot be compared at this scale; "" where they can."""
        plan, scale = self.plan, self.plan.scale.name
        for name in (better, worse):
            row = name.split("/")[1]
            if name not in plan.variants:
                return f"{row} is a cited system"
            if plan.run_of(name) is None:
                return f"{row} is not trained at scale {scale}"
            if not self.values.get((name, metric)):
                return f"no number for {row}"
        if plan.same_run(better, worse):
            return f"the same run at scale {scale}"
        declared = {plan.models[name].backbone.name for name in (better, worse)}
        used = {
            plan.runs[f"{name}@{plan.scale.seeds[0]}"].model.backbone for name in (better, worse)
        }
        if len(declared) > 1 and len(used) == 1:
            return f"scale {scale} has one trunk, {used.pop().name}, in the place of two"
        if len(self.gains(better, worse, metric)) < 2:
            return "fewer than two seeds that both have"
        return ""


def pairs(paper: str, test: ClaimTest, metric: Metric) -> list[tuple[str, str]]:
    """The variants that a test compares, each with the one that it is to be better than."""
    if test.best_first:
        rows = list(itertools.pairwise(test.best_first))
    else:
        assert test.of and test.against and test.percent is not None
        rises = (test.percent > 0) == (metric.better == "higher")
        rows = [(test.of, test.against) if rises else (test.against, test.of)]
    return [(f"{paper}/{better}", f"{paper}/{worse}") for better, worse in rows]


def learned(plan: Plan, rows: Iterable[Row]) -> Learned:
    """The learned numbers among `rows`, with what all comparisons that claims ask for say of the
    variance of one. Comparisons of the same two runs count once."""
    values: Values = {}
    for row in rows:
        if (
            row.best_of is None
            and row.source == "ours"
            and row.kind == "learned"
            and row.seed is not None
        ):
            values.setdefault((row.variant, row.metric), {})[row.seed] = row.value
    alone = Learned(plan, values, {})
    families: dict[tuple[str, str], dict[statistics.Names, list[float]]] = {}
    for paper in plan.config.papers.values():
        for test in (test for claim in paper.claims.values() for test in claim.tests):
            for pair in pairs(paper.name, test, plan.config.metrics[test.metric]):
                if alone.compare(*pair, test.metric).status == "not judged":
                    continue
                runs = (plan.run_of(pair[0]), plan.run_of(pair[1]))
                family = families.setdefault((plan.models[pair[0]].task, test.metric), {})
                if runs not in family and runs[::-1] not in family:
                    family[runs] = alone.gains(*pair, test.metric)
    return Learned(plan, values, {k: statistics.fit_prior(v) for k, v in families.items()})


def judge(found: Interval) -> Status:
    """Whether all of an interval is above 0, below it, or neither."""
    if found.low > 0:
        return "holds"
    return "fails" if found.high < 0 else "within noise"


def judge_all(statuses: Iterable[Status]) -> Status:
    """Of an order: it fails with one pair, is not judged where a pair is not, and holds with all."""
    found = set(statuses)
    for status in ("fails", "not judged", "within noise"):
        if status in found:
            return status
    return "holds"
