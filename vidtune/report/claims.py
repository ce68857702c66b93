"""The papers' claims, held against their own numbers and against ours.

A counted claim is always judged. One about memory is judged on predicted raw GiB, and says so. A
learned one is judged at the scale at hand, and only where every variant has at least two seeds: a
difference counts when it exceeds twice its standard error.
"""

import itertools
import math
import statistics
from typing import Literal

from vidtune.plan import Plan
from vidtune.report.numbers.rows import Row
from vidtune.spec import ClaimTest, Frozen, Metric

Status = Literal["holds", "fails", "within noise", "not judged"]
STATUSES = ("holds", "fails", "within noise", "not judged")


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
    detail: str  # our numbers, their scale, or why there is no judgement


def findings(plan: Plan, rows: list[Row]) -> list[Finding]:
    """Every test of every claim, in the papers' order."""
    out = []
    for paper in plan.config.papers.values():
        for key, claim in paper.claims.items():
            for test in claim.tests:
                metric = plan.config.metrics[test.metric]
                judged = _judged_on(plan, metric)
                theirs = _values(rows, paper.name, test, test.metric, "paper")
                ours = _ours(plan, rows, paper.name, test, judged, theirs)
                status, detail = _judge(test, judged, ours)
                out.append(
                    Finding(
                        claim=f"{paper.name}/{key}",
                        says=claim.says,
                        where=claim.where,
                        metric=test.metric,
                        test=describe(test, metric),
                        kind=judged.kind,
                        paper=_judge(test, metric, theirs, printed=True)[0],
                        ours=status,
                        detail=detail,
                    )
                )
    return out


def describe(test: ClaimTest, metric: Metric) -> str:
    if test.best_first:
        return f"{metric.label}, best first: " + " > ".join(test.best_first)
    return f"{metric.label} of {test.of} against {test.against}: {test.percent:+g} %"


def _names(test: ClaimTest) -> tuple[str, ...]:
    if test.best_first:
        return test.best_first
    assert test.of and test.against
    return (test.of, test.against)


def _judged_on(plan: Plan, metric: Metric) -> Metric:
    """The metric of ours that a claim is held against: of memory the first predicted one."""
    beside = (m for m in plan.config.metrics.values() if metric.name in m.beside)
    return next(beside, metric)


def _values(
    rows: list[Row], paper: str, test: ClaimTest, metric: str, source: str
) -> dict[str, list[Row]]:
    """Where a paper prints a number in several places, the first counts: tables come first."""
    found = {
        name: [
            r
            for r in rows
            if r.source == source and r.variant == f"{paper}/{name}" and r.metric == metric
        ]
        for name in _names(test)
    }
    return {name: some[:1] if source == "paper" else some for name, some in found.items()}


def _ours(
    plan: Plan,
    rows: list[Row],
    paper: str,
    test: ClaimTest,
    metric: Metric,
    theirs: dict[str, list[Row]],
) -> dict[str, list[Row]]:
    """Ours; a counted number that we cannot have (of a cited system, or where our reading was
    chosen to have it) is the published one."""
    ours = _values(rows, paper, test, metric.name, "ours")
    if metric.kind == "measured":
        return _alike(ours)
    if metric.kind != "counted":
        return ours

    def borrowed(name: str) -> bool:
        variant = plan.variants.get(f"{paper}/{name}")
        return variant is None or test.metric in variant.fitted

    return {name: theirs[name] if borrowed(name) else found for name, found in ours.items()}


def _alike(values: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """One measurement of each, all on one device under one condition; none where there is none."""
    sound = [{_taken(r): r for r in reversed(found) if not r.text} for found in values.values()]
    shared = [key for key in reversed(sound[0]) if all(key in one for one in sound)]
    kept = [[one[shared[0]]] if shared else [] for one in sound]
    return dict(zip(values, kept, strict=True))


def _taken(row: Row) -> tuple[str, str, str]:
    return row.scale, row.device, row.condition


def _judge(
    test: ClaimTest, metric: Metric, values: dict[str, list[Row]], printed: bool = False
) -> tuple[Status, str]:
    missing = [name for name, found in values.items() if not found]
    if missing:
        return "not judged", f"no number for {', '.join(missing)}"
    learned = metric.kind == "learned" and not printed
    if learned:
        short = [name for name, found in values.items() if len(found) < 2]
        if short:
            return "not judged", f"fewer than two seeds of {', '.join(short)}"
    mean = {name: statistics.fmean(r.value for r in found) for name, found in values.items()}
    detail = ", ".join(f"{name} {mean[name]:.{metric.digits}f}" for name in mean)
    borrowed = [n for n, found in values.items() if not printed and found[0].source == "paper"]
    if borrowed:
        detail += f" (published: {', '.join(borrowed)})"
    if learned:
        detail += f"; scale {next(iter(values.values()))[0].scale}, {_seeds(values)} seeds"
    if metric.kind == "predicted":
        detail += f" {metric.unit} (predicted)"
    if test.percent is not None:
        a, b = (mean[n] for n in _names(test))
        change = 100 * (a / b - 1)
        ok = abs(change - test.percent) <= test.within
        same = not ok and change * test.percent > 0
        detail += f": {change:+.1f} %" + (", in the same direction" if same else "")
        return ("holds" if ok else "fails"), detail
    return _order(metric, mean, values, learned), detail


def _order(
    metric: Metric, mean: dict[str, float], values: dict[str, list[Row]], learned: bool
) -> Status:
    """`holds` if each is better than the next; learned ties inside the noise are told apart."""
    sign = 1 if metric.better == "higher" else -1
    names = list(mean)
    noisy = False
    for a, b in itertools.pairwise(names):
        gap = sign * (mean[a] - mean[b])
        noise = 2 * math.hypot(_stderr(values[a]), _stderr(values[b])) if learned else 0.0
        if gap < -noise or (not learned and gap <= 0):
            return "fails"
        noisy |= learned and gap <= noise
    return "within noise" if noisy else "holds"


def _stderr(found: list[Row]) -> float:
    return statistics.stdev(r.value for r in found) / math.sqrt(len(found))


def _seeds(values: dict[str, list[Row]]) -> str:
    counts = {len(found) for found in values.values()}
    return "-".join(str(c) for c in sorted(counts))
