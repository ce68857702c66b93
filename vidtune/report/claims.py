"""The papers' claims, tested on their own numbers and on ours.

A counted claim is always judged. One about memory is judged on what was measured on one GPU, or, where
a row was not, on predicted raw GiB, and says so, with what the other numbers say beside it. A change
that goes further than claimed, the way that the paper praises, exceeds the claim. A learned one is
judged at the scale at hand, from the intervals of its differences over paired seeds
(`vidtune.report.comparisons`): an order holds if every pair does, and fails if one does.

What only compares print with print, and our own controls, decide nothing about a paper: each finding
says which numbers it rests on. Where a scale makes the same runs of what a paper trains on several
datasets, the tests of each are judged and counted once.
"""

import itertools
import statistics
from collections.abc import Iterable
from typing import Literal

from vidtune.plan import Plan
from vidtune.report.comparisons import Comparison, Learned, Status, judge_all, learned, pairs
from vidtune.report.numbers.rows import Row, RowIndex, index_rows
from vidtune.report.verdicts import MEASURED_WITHIN
from vidtune.spec import ClaimTest, Frozen, Metric
from vidtune.spec.paper import Claim

Numbers = Literal["ours", "ours and print", "print"]
Values = dict[str, list[Row]]  # row of the paper -> its number, of ours one a seed


class Finding(Frozen):
    """One test of one claim. `paper` is what the paper's own numbers say."""

    claim: str  # "<paper>/<claim>"
    says: str
    where: str
    metric: str
    test: str
    kind: str
    paper: Status
    ours: Status
    detail: str  # our numbers, their scale, or why the test is not judged
    control: bool  # ours, not the paper's
    numbers: Numbers  # what `ours` rests on, or would
    beside: str = ""  # the same on the other predictions, as GB fitted to print
    comparisons: tuple[Comparison, ...] = ()  # of a learned test
    repeats: bool = False  # earlier tests of the paper compare the same runs; not counted again

    @property
    def of_paper(self) -> bool:
        """Whether our numbers can say something of a claim of the paper's."""
        return not self.control and self.numbers != "print"

    @property
    def ours_alone(self) -> bool:
        """Whether it tests a claim of the paper's and borrows no number of print."""
        return not self.control and self.numbers == "ours"

    @property
    def lacks_rows(self) -> bool:
        """Whether it is not judged because the scale does not train all of its rows."""
        return self.ours == "not judged" and any(c.absent for c in self.comparisons)


def findings(plan: Plan, rows: list[Row]) -> list[Finding]:
    """Every test of every claim, in the papers' order."""
    printed, ours, trained = index_rows(rows, "paper"), index_rows(rows), learned(plan, rows)
    tested = [
        _finding(plan, printed, ours, trained, f"{paper.name}/{key}", claim, test)
        for paper in plan.config.papers.values()
        for key, claim in paper.claims.items()
        for test in claim.tests
    ]
    return _mark_repeats(plan, tested)


def _mark_repeats(plan: Plan, tested: list[Finding]) -> list[Finding]:
    """Mark a paper's test if earlier ones of that paper judge each of its comparisons already: the
    same metric of the same two runs."""
    seen: set[tuple[str | None, ...]] = set()
    out = []
    for test in tested:
        paper = test.claim.split("/")[0]
        judged = [c for c in test.comparisons if c.status != "not judged"]
        made = {
            (paper, test.metric, *(plan.run_of(f"{paper}/{row}") for row in (c.better, c.worse)))
            for c in (judged if test.of_paper else ())
        }
        repeats = bool(made) and made <= seen and len(judged) == len(test.comparisons)
        out.append(test.model_copy(update={"repeats": repeats}))
        seen |= made
    return out


def _finding(
    plan: Plan,
    printed: RowIndex,
    ours: RowIndex,
    trained: Learned,
    name: str,
    claim: Claim,
    test: ClaimTest,
) -> Finding:
    paper, metric = name.split("/")[0], plan.config.metrics[test.metric]
    predictions = [m for m in plan.config.metrics.values() if metric.name in m.predicts]
    # where a paper prints a number in several places, the first counts: tables come first
    names = test.best_first or (test.of, test.against)
    theirs = {n: printed.get((f"{paper}/{n}", metric.name), [])[:1] for n in names}
    values = _our_values(plan, ours, paper, test, metric, theirs)
    judged, others = metric, predictions
    if predictions and not all(values.values()):  # not measured
        judged, *others = predictions
        values = _our_values(plan, ours, paper, test, judged, theirs)
    status, detail = _judge_test(test, judged, values)
    compared = _compare(paper, trained, test, metric, theirs) if metric.kind == "learned" else ()
    if compared:
        status = judge_all(c.status for c in compared)
    if test.best_first:
        says = f"{metric.label}, best first: " + " > ".join(test.best_first)
    else:
        says = f"{metric.label} of {test.of} against {test.against}: {test.percent:+g} %"
    return Finding(
        claim=name,
        says=claim.says,
        where=claim.where,
        metric=test.metric,
        test=says,
        kind=judged.kind,
        paper=_judge_test(test, metric, theirs, printed=True)[0],
        ours=status,
        detail=detail,
        beside=_on_others(ours, paper, test, others, theirs),
        control=claim.control,
        numbers=_rests_on(plan, paper, values),
        comparisons=compared,
    )


def _on_others(
    ours: RowIndex, paper: str, test: ClaimTest, others: list[Metric], names: Iterable[str]
) -> str:
    """What a test says on the predictions that do not decide it; "" where there are none."""
    texts = []
    for metric in others:
        values = {n: ours.get((f"{paper}/{n}", metric.name), []) for n in names}
        status, detail = _judge_test(test, metric, values)
        if status != "not judged":
            texts.append(f"{metric.label.split()[0].lower()}: {detail}")
    return "; ".join(texts)


def _compare(
    paper: str, trained: Learned, test: ClaimTest, metric: Metric, theirs: Values
) -> tuple[Comparison, ...]:
    """Each pair of a learned test, with the difference in print beside it."""
    sign, out = 1 if metric.better == "higher" else -1, []
    for pair in pairs(paper, test, metric):
        better, worse = (theirs[name.split("/")[1]] for name in pair)
        published = sign * (better[0].value - worse[0].value) if better and worse else None
        out.append(trained.compare(*pair, metric.name, published))
    return tuple(out)


def _rests_on(plan: Plan, paper: str, values: Values) -> Numbers:
    """Which numbers a test is judged on: a cited system has none of ours, and some are borrowed."""
    printed = {
        name: f"{paper}/{name}" not in plan.variants or (rows[:1] and rows[0].source == "paper")
        for name, rows in values.items()
    }
    if all(printed.values()):
        return "print"
    return "ours and print" if any(printed.values()) else "ours"


def _our_values(
    plan: Plan, ours: RowIndex, paper: str, test: ClaimTest, metric: Metric, theirs: Values
) -> Values:
    """Our numbers; a counted one that we cannot have (of a cited system, or where our reading was
    chosen to have it) is the published one."""
    values = {n: ours.get((f"{paper}/{n}", metric.name), []) for n in theirs}
    if metric.kind == "measured":
        return _under_one_condition(plan, values)
    for name in values if metric.kind == "counted" else ():
        variant = plan.variants.get(f"{paper}/{name}")
        if variant is None or test.metric in variant.fitted:
            values[name] = theirs[name]
    return values


def _under_one_condition(plan: Plan, values: Values) -> Values:
    """Keep one measurement of each row, all under the first (scale, device, condition) that every row
    has; empty lists if there is none. Each has the frames that its variant declares."""

    def shared_by(row: Row) -> tuple[str, str, str]:
        frames = f"frames {plan.variants[row.variant].frames}"
        return row.scale, row.device, row.condition.replace(frames, "frames as declared")

    by_condition = {
        name: {shared_by(r): r for r in reversed(rows) if not r.text}
        for name, rows in values.items()
    }
    first, *others = by_condition.values()
    shared = next((key for key in reversed(first) if all(key in rows for rows in others)), None)
    return {name: [rows[shared]] if shared else [] for name, rows in by_condition.items()}


def _judge_test(
    test: ClaimTest, metric: Metric, values: Values, printed: bool = False
) -> tuple[Status, str]:
    """The status of a test on printed values or on ours, and the numbers it rests on; our learned
    values need more than their means for a status."""
    if missing := [name for name, rows in values.items() if not rows]:
        return "not judged", f"no number for {', '.join(missing)}"
    mean = {name: statistics.fmean(r.value for r in rows) for name, rows in values.items()}
    detail = ", ".join(f"{name} {mean[name]:.{metric.digits}f}" for name in mean)
    borrowed = [n for n, rows in values.items() if not printed and rows[0].source == "paper"]
    if borrowed:
        detail += f" (published: {', '.join(borrowed)})"
    if metric.kind == "predicted":
        detail += f" {metric.unit} (predicted)"
    elif metric.kind == "measured" and not printed:
        detail += f" {metric.unit} ({next(iter(values.values()))[0].device})"
    if test.percent is None:
        return _judge_order(metric, mean), detail
    a, b = mean.values()
    if b == 0:
        return "not judged", f"{detail}: no percentage of 0"
    change = 100 * (a / b - 1)
    status, words = _judge_change(test, metric, change, printed)
    return status, f"{detail}: {change:+.1f} %{words}"


def _judge_change(
    test: ClaimTest, metric: Metric, change: float, printed: bool = False
) -> tuple[Status, str]:
    """A change in percent against the claimed one; of our measured numbers the quotient may differ by as
    much as a number may from print. Going further exceeds the claim if that is better."""
    assert test.percent is not None
    within = test.within
    if metric.kind == "measured" and not printed:
        within = max(within, MEASURED_WITHIN * (100 + test.percent))
    if abs(change - test.percent) <= within:
        return "holds", ""
    if change * test.percent <= 0:
        return "fails", ""
    praised = (test.percent > 0) == (metric.better == "higher")
    if praised and abs(change) > abs(test.percent):
        return "exceeded", f", more than the claimed {test.percent:+g} %"
    return "fails", ", in the same direction"


def _judge_order(metric: Metric, mean: dict[str, float]) -> Status:
    """`holds` if each is better than the next."""
    sign = 1 if metric.better == "higher" else -1
    better = (sign * (mean[a] - mean[b]) > 0 for a, b in itertools.pairwise(mean))
    return "holds" if all(better) else "fails"
