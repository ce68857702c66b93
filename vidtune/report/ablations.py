"""Published ablations: tables with a learned claim of their own, each row beside the paper's first."""

from typing import NamedTuple

from vidtune.plan import Plan
from vidtune.report.comparisons import Learned
from vidtune.spec import Numbers


class Ablation(NamedTuple):
    """A published table with a learned claim of its own: its first row is what others stand beside."""

    paper: str
    numbers: Numbers
    metric: str
    first: str
    rows: tuple[str, ...]  # with a number of ours, `first` among them

    @property
    def title(self) -> str:
        return f"{self.paper}, {self.numbers.where}: {self.numbers.caption.partition(',')[0]}"

    def label(self, row: str) -> str:
        return self.numbers.labels.get(row, row)


def find_ablations(plan: Plan, known: Learned) -> list[Ablation]:
    """Tables that a claim names as its place, with the metric and the first row of its test."""
    found: dict[tuple[str, str], Ablation] = {}
    for paper in plan.config.papers.values():
        for claim in paper.claims.values():
            for test in claim.tests:
                if not test.best_first:
                    continue
                first = test.best_first[0]
                blocks = (n for n in paper.numbers if n.where == claim.where and first in n.rows)
                if not (numbers := next(blocks, None)):
                    continue
                rows = tuple(
                    row
                    for row in numbers.rows
                    if (f"{paper.name}/{row}", test.metric) in known.values
                )
                if first in rows and len(rows) > 1:
                    one = Ablation(paper.name, numbers, test.metric, first, rows)
                    found.setdefault((paper.name, claim.where), one)
    return list(found.values())


def differences(plan: Plan, known: Learned, one: Ablation) -> str:
    """Every row's difference to the first, as a remark below its table."""
    metric, first = plan.config.metrics[one.metric], f"{one.paper}/{one.first}"
    found = {
        row: known.compare(f"{one.paper}/{row}", first, one.metric)
        for row in one.rows
        if row != one.first
    }
    texts = [
        f"{one.label(row)} {c.interval(metric.digits)}, visible from {c.half:.{metric.digits}f}"
        for row, c in found.items()
        if c.half is not None
    ]
    if not texts:
        return ""
    return (
        f"{metric.label} at scale {plan.scale.name}, how much better than {one.label(one.first)}, with "
        f"95 % intervals over paired seeds: {'; '.join(texts)}"
    )
