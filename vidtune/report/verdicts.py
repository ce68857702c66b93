"""Each published cell against ours: one verdict from a closed list.

match            counted: inside the metric's bound; a setting, or learned at full scale: as printed
near             learned at full scale: within the noise
off              neither
subset           learned on too small a share of the data
not comparable   ours exists, but was learned at another scale, or chosen to agree
not run          there is no number of ours
"""

import re
import statistics
from typing import Literal

from vidtune.plan import Plan
from vidtune.report.rows import FULL_SIZE, Row
from vidtune.spec import Metric, Numbers
from vidtune.spec.nouns import Kind, Noun

Verdict = Literal["match", "near", "off", "subset", "not comparable", "not run"]
COVERAGE = 0.98  # a smaller share of the test clips makes a learned number a subset's
VERDICTS = ("match", "near", "off", "subset", "not comparable", "not run")


class Cell(Noun):
    """A published cell and what we have beside it. `ours` is the mean over seeds."""

    cell: str  # "<paper>/<table>/<row>/<column>"
    variant: str
    metric: str
    unit: str
    kind: Kind
    print: str
    ours: float | None
    verdict: Verdict
    reason: str


def slug(where: str) -> str:
    """ "Table 9 (f)" -> "table-9f"."""
    return re.sub(r"[^a-z0-9]+", "-", where.lower().replace(" (", "").replace(")", "")).strip("-")


def unit_of_last_digit(text: str) -> float:
    """0.1 for "58.5", 1 for "445", 0.01 for "0.50"."""
    return 10.0 ** -len(text.partition(".")[2])


def agrees(metric: Metric, text: str, ours: float) -> bool:
    """Whether a counted number is the printed one."""
    bound = unit_of_last_digit(text) if metric.within is None else metric.within * abs(float(text))
    return abs(ours - float(text)) <= bound * (1 + 1e-9)


def cells(plan: Plan, rows: list[Row]) -> list[Cell]:
    """A verdict on every published cell, in the papers' order."""
    ours: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.source == "ours":
            ours.setdefault((row.variant, row.metric), []).append(row)
    out = []
    for paper in plan.config.papers.values():
        for numbers in paper.numbers:
            for name, columns in numbers.rows.items():
                for metric, printed in columns.items():
                    variant = f"{paper.name}/{name}"
                    found = ours.get((variant, metric), [])
                    out.append(_cell(plan, numbers, variant, metric, str(printed), found))
    return out


def _cell(
    plan: Plan, numbers: Numbers, variant: str, metric: str, printed: str, found: list[Row]
) -> Cell:
    m = plan.config.metrics[metric]
    paper, name = variant.split("/")
    standing = numbers.reasons.get(f"{name}/{metric}", numbers.reasons.get(name, ""))
    verdict, reason = _judge(plan, m, variant, printed, found)
    if standing and verdict != "match":
        reason = standing
    return Cell(
        cell=f"{paper}/{slug(numbers.where)}/{name}/{metric}",
        variant=variant,
        metric=metric,
        unit=m.unit,
        kind=m.kind,
        print=printed,
        ours=statistics.fmean(r.value for r in found) if found else None,
        verdict=verdict,
        reason=reason,
    )


def _judge(
    plan: Plan, m: Metric, variant: str, printed: str, found: list[Row]
) -> tuple[Verdict, str]:
    """The verdict without standing reasons. An `off` of a counted cell carries no reason here."""
    if not found:
        return "not run", _why_not_run(plan, m, variant)
    value = statistics.fmean(r.value for r in found)
    if m.kind == "counted":
        assert all(r.scale == FULL_SIZE for r in found)
        if m.name in plan.variants[variant].fitted:
            return "not comparable", "a reading chosen to have this number: agreement says nothing"
        return ("match" if agrees(m, printed, value) else "off"), ""
    if m.kind == "setting":
        return ("match" if value == float(printed) else "off"), ""
    run = next(r for r in plan.runs.values() if r.model.name == variant)
    if found[0].scale != "full":
        of = "generated" if run.dataset.files else "other"
        return "not comparable", f"learned at scale {found[0].scale}, on {of} videos"
    expected, n = run.dataset.expected.get(run.dataset.evaluate_on), found[0].n
    if expected and n is not None and n < COVERAGE * expected:
        return "subset", f"evaluated on {n} of {expected} clips"
    if round(value, m.digits) == float(printed):
        return "match", ""
    spread = statistics.stdev(r.value for r in found) if len(found) > 1 else 0.0
    noise = max(m.noise or 0.0, spread)
    if abs(value - float(printed)) <= 2 * noise:
        return (
            "near",
            f"within two standard deviations ({2 * noise:.{m.digits}f} {m.unit}) of print",
        )
    return (
        "off",
        f"more than two standard deviations ({2 * noise:.{m.digits}f} {m.unit}) from print",
    )


def _why_not_run(plan: Plan, m: Metric, variant: str) -> str:
    paper, name = variant.split("/")
    if variant not in plan.variants:
        note = plan.config.papers[paper].cited[name].note
        return note or "cited system: its method is not part of this version"
    if m.kind == "setting":
        return "not applied yet, or no setting here"
    if m.kind == "counted":
        return "not counted yet: run `vidtune cost`"
    if m.kind == "measured":
        return "measured on a GPU: the bench is not part of this version"
    if not any(run.model.name == variant for run in plan.runs.values()):
        return f"not trained at scale {plan.scale.name}"
    return f"no result at scale {plan.scale.name}: not run yet, diverged or out of memory"
