"""Each published cell against ours: one verdict from a closed list.

match            counted, measured: inside the metric's bound; a setting, or learned at full scale:
                 as printed
near             learned at full scale: within the noise
off              neither
subset           learned on too small a share of the data
not comparable   ours exists, but was learned at another scale, measured under other conditions, or
                 chosen to agree
not run          there is no number of ours
"""

import re
import statistics
from typing import Literal

from vidtune.plan import Plan
from vidtune.report.numbers import conditions
from vidtune.report.numbers.rows import BUSY, FULL_SIZE, OOM, Row
from vidtune.report.numbers.settings import READ
from vidtune.spec import Dataset, Metric, Numbers
from vidtune.spec.nouns import Frozen, Kind

Verdict = Literal["match", "near", "off", "subset", "not comparable", "not run"]
VERDICTS = ("match", "near", "off", "subset", "not comparable", "not run")
MEASURED_WITHIN = 0.05  # share of print inside which a measured number matches


class Cell(Frozen):
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
    predicted: dict[str, float]  # metric -> number that stands beside a measured one


def slug(text: str) -> str:
    """ "Table 9 (f)" -> "table9f", "Ours B/16 light" -> "ours-b16-light"."""
    text = re.sub(r"[/()']", "", text.lower().replace(" (", ""))
    text = re.sub(r"[^a-z0-9.]+", "-", text).strip("-.")
    return re.sub(r"^(table|figure)-", r"\1", text)


def unit_of_last_digit(text: str) -> float:
    """0.1 for "58.5", 1 for "445", 0.01 for "0.50"."""
    return 10.0 ** -len(text.partition(".")[2])


def agrees(metric: Metric, text: str, ours: float) -> bool:
    """Whether a counted or measured number is the printed one."""
    share = MEASURED_WITHIN if metric.kind == "measured" else None
    share = metric.within if metric.within is not None else share
    bound = unit_of_last_digit(text) if share is None else share * abs(float(text))
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
                    out.append(_cell(plan, numbers, variant, metric, str(printed), ours))
    return out


def _cell(
    plan: Plan,
    numbers: Numbers,
    variant: str,
    metric: str,
    printed: str,
    ours: dict[tuple[str, str], list[Row]],
) -> Cell:
    m = plan.config.metrics[metric]
    paper, name = variant.split("/")
    found = ours.get((variant, metric), [])
    if m.kind == "measured":
        found = [taken] if (taken := chosen(plan, numbers, found)) else []
    predicted = {
        b.name: ours[variant, b.name][0].value
        for b in plan.config.metrics.values()
        if metric in b.beside and (variant, b.name) in ours
    }
    standing = numbers.reasons.get(f"{name}/{metric}", numbers.reasons.get(name, ""))
    verdict, reason = _judge(plan, m, numbers, variant, printed, found)
    if verdict == "not run" and predicted and variant in plan.variants:
        values = (f"{v:.2f} {plan.config.metrics[k].unit}" for k, v in predicted.items())
        reason += f"; predicted {next(values)} beside it"
    if standing and verdict != "match":
        reason = standing
    numbered = [r.value for r in found if r.text != OOM]
    return Cell(
        cell=f"{paper}/{slug(numbers.where)}/{name}/{metric}",
        variant=variant,
        metric=metric,
        unit=m.unit,
        kind=m.kind,
        print=printed,
        ours=statistics.fmean(numbered) if numbered else None,
        verdict=verdict,
        reason=reason,
        predicted=predicted,
    )


def chosen(plan: Plan, numbers: Numbers | None, found: list[Row]) -> Row | None:
    """Of several measurements the first that can stand beside print, else the first."""
    fit = [r for r in found if numbers and not _unlike(plan, numbers, r)]
    return next(iter([*fit, *found]), None)


def _unlike(plan: Plan, numbers: Numbers, row: Row) -> str:
    """Why a measurement cannot be held against print; "" where it can."""
    if row.text:
        ends = {OOM: f"out of memory on {row.device}", BUSY: f"{row.device} was busy meanwhile"}
        return f"{ends[row.text]} ({row.condition})"
    want, have = conditions.needed(plan, numbers, row.variant), conditions.read(row.condition)
    have["gpu"] = row.device
    keys = conditions.MEMORY if row.unit.startswith(("GB", "MB")) else conditions.STATED
    for key in keys:
        theirs, mine = want.get(key, "not stated"), have.get(key, "unknown")
        if not conditions.same(key, theirs, mine):
            return f"measured with {key} {mine}; print's is {theirs}"
    return ""


def _judge(
    plan: Plan, m: Metric, numbers: Numbers, variant: str, printed: str, found: list[Row]
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
    if m.kind == "measured":
        return _measured(plan, m, numbers, printed, found[0])
    return _learned(plan, m, variant, printed, found)


def _measured(
    plan: Plan, m: Metric, numbers: Numbers, printed: str, row: Row
) -> tuple[Verdict, str]:
    unlike = _unlike(plan, numbers, row)
    if unlike:
        return "not comparable", unlike
    if agrees(m, printed, row.value):
        return "match", ""
    change = 100 * (row.value / float(printed) - 1)
    return "off", f"{change:+.1f} % of print on {row.device} ({row.condition})"


def _subset(dataset: Dataset, found: list[Row]) -> str:
    """Why a result is only a subset's; empty: enough of the clips were there."""
    shares = [r.coverage for r in found if r.coverage is not None]
    expected, ns = (
        dataset.expected.get(dataset.evaluate_on),
        [r.n for r in found if r.n is not None],
    )
    if expected and ns and dataset.expected_of == "clips":
        shares.append(min(ns) / expected)
    if not shares or min(shares) >= dataset.coverage:
        return ""
    return (
        f"trained or evaluated on {100 * min(shares):.1f} % of the clips; "
        f"below {100 * dataset.coverage:g} % nothing is compared"
    )


def _learned(
    plan: Plan, m: Metric, variant: str, printed: str, found: list[Row]
) -> tuple[Verdict, str]:
    value = statistics.fmean(r.value for r in found)
    run = next(r for r in plan.runs.values() if r.model.name == variant)
    if found[0].scale != "full":
        of = "generated" if run.dataset.generated else "other"
        return "not comparable", f"learned at scale {found[0].scale}, on {of} videos"
    if part := _subset(run.dataset, found):
        return "subset", part
    if round(value, m.digits) == float(printed):
        return "match", ""
    spread = statistics.stdev(r.value for r in found) if len(found) > 1 else 0.0
    noise = 2 * max(m.noise or 0.0, spread)
    of = f"two standard deviations ({noise:.{m.digits}f} {m.unit})"
    if abs(value - float(printed)) <= noise:
        return "near", f"within {of} of print"
    return "off", f"more than {of} from print"


def _why_not_run(plan: Plan, m: Metric, variant: str) -> str:
    paper, name = variant.split("/")
    if variant not in plan.variants:
        note = plan.config.papers[paper].cited[name].note
        return note or "cited system: its method is not part of this version"
    if m.kind == "setting":
        if m.name not in READ:
            return "vidtune reads no such setting: it has no entry in numbers/settings.py"
        return "the variant's configuration has no such setting"
    if m.kind == "counted":
        return "not counted yet: run `vidtune cost`"
    if m.kind == "measured":
        return "no GPU measurement here: `make bench-gpu`"
    if not any(run.model.name == variant for run in plan.runs.values()):
        return f"not trained at scale {plan.scale.name}"
    return f"no result at scale {plan.scale.name}: not run yet, diverged or out of memory"
