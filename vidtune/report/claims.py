"""The papers' claims, tested on their own numbers and on ours.

A counted claim is always judged. One about memory is judged on predicted raw GiB, and says so. A
learned one is judged at the scale at hand, and only where every variant has at least two seeds: a
difference counts when it exceeds twice its standard error.
"""

import itertools
import math
import statistics
from typing import Literal, get_args

from vidtune.plan import Plan
from vidtune.report.numbers.rows import Row, RowIndex, our_rows, printed_rows
from vidtune.spec import ClaimTest, Frozen, Metric

Status = Literal["holds", "fails", "within noise", "not judged"]
STATUSES = get_args(Status)
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


def findings(plan: Plan, rows: list[Row]) -> list[Finding]:
    """Every test of every claim, in the papers' order."""
    printed, ours = printed_rows(rows), our_rows(rows)
    out = []
    for paper in plan.config.papers.values():
        for key, claim in paper.claims.items():
            for test in claim.tests:
                metric = plan.config.metrics[test.metric]
                # of memory our number is the first predicted one
                beside = (m for m in plan.config.metrics.values() if metric.name in m.beside)
                judged = next(beside, metric)
                theirs = _printed_values(printed, paper.name, test)
                status, detail = _judge(
                    test, judged, _our_values(plan, ours, paper.name, test, judged, theirs)
                )
                out.append(
                    Finding(
                        claim=f"{paper.name}/{key}",
                        says=claim.says,
                        where=claim.where,
                        metric=test.metric,
                        test=_describe(test, metric),
                        kind=judged.kind,
                        paper=_judge(test, metric, theirs, printed=True)[0],
                        ours=status,
                        detail=detail,
                    )
                )
    return out


def _describe(test: ClaimTest, metric: Metric) -> str:
    if test.best_first:
        return f"{metric.label}, best first: " + " > ".join(test.best_first)
    return f"{metric.label} of {test.of} against {test.against}: {test.percent:+g} %"


def _names(test: ClaimTest) -> tuple[str, ...]:
    if test.best_first:
        return test.best_first
    assert test.of and test.against
    return (test.of, test.against)


def _printed_values(printed: RowIndex, paper: str, test: ClaimTest) -> Values:
    """Where a paper prints a number in several places, the first counts: tables come first."""
    return {n: printed.get((f"{paper}/{n}", test.metric), [])[:1] for n in _names(test)}


def _our_values(
    plan: Plan, ours: RowIndex, paper: str, test: ClaimTest, metric: Metric, theirs: Values
) -> Values:
    """Our numbers; a counted one that we cannot have (of a cited system, or where our reading was
    chosen to have it) is the published one."""
    values = {n: ours.get((f"{paper}/{n}", metric.name), []) for n in theirs}
    if metric.kind == "measured":
        return _under_one_condition(values)
    for name in values if metric.kind == "counted" else ():
        variant = plan.variants.get(f"{paper}/{name}")
        if variant is None or test.metric in variant.fitted:
            values[name] = theirs[name]
    return values


def _under_one_condition(values: Values) -> Values:
    """One measurement of each, all on one device under one condition; none if they share none."""
    by_condition = [
        {(r.scale, r.device, r.condition): r for r in reversed(rows) if not r.text}
        for rows in values.values()
    ]
    shared = [key for key in reversed(by_condition[0]) if all(key in rows for rows in by_condition)]
    kept = [[rows[shared[0]]] if shared else [] for rows in by_condition]
    return dict(zip(values, kept, strict=True))


def _judge(
    test: ClaimTest, metric: Metric, values: Values, printed: bool = False
) -> tuple[Status, str]:
    """The status of a test on printed values or on ours, and the numbers it rests on."""
    if missing := [name for name, rows in values.items() if not rows]:
        return "not judged", f"no number for {', '.join(missing)}"
    learned = metric.kind == "learned" and not printed
    if learned and (short := [name for name, rows in values.items() if len(rows) < 2]):
        return "not judged", f"fewer than two seeds of {', '.join(short)}"
    mean = {name: statistics.fmean(r.value for r in rows) for name, rows in values.items()}
    detail = ", ".join(f"{name} {mean[name]:.{metric.digits}f}" for name in mean)
    borrowed = [n for n, rows in values.items() if not printed and rows[0].source == "paper"]
    if borrowed:
        detail += f" (published: {', '.join(borrowed)})"
    if learned:
        seeds = "-".join(str(n) for n in sorted({len(rows) for rows in values.values()}))
        detail += f"; scale {next(iter(values.values()))[0].scale}, {seeds} seeds"
    if metric.kind == "predicted":
        detail += f" {metric.unit} (predicted)"
    if test.percent is None:
        return _judge_order(metric, mean, values, learned), detail
    a, b = mean.values()
    change = 100 * (a / b - 1)
    holds = abs(change - test.percent) <= test.within
    same = not holds and change * test.percent > 0
    detail += f": {change:+.1f} %" + (", in the same direction" if same else "")
    return ("holds" if holds else "fails"), detail


def _judge_order(metric: Metric, mean: dict[str, float], values: Values, learned: bool) -> Status:
    """`holds` if each is better than the next; a learned difference may be within the noise."""
    sign = 1 if metric.better == "higher" else -1
    noisy = False
    for a, b in itertools.pairwise(mean):
        gap = sign * (mean[a] - mean[b])
        noise = 2 * math.hypot(_stderr(values[a]), _stderr(values[b])) if learned else 0.0
        if gap < -noise or (not learned and gap <= 0):
            return "fails"
        noisy |= learned and gap <= noise
    return "within noise" if noisy else "holds"


def _stderr(rows: list[Row]) -> float:
    return statistics.stdev(r.value for r in rows) / math.sqrt(len(rows))
