"""The range of a healthy run on another machine: derived from reference results, and checked.

Another machine rounds otherwise, and after a few steps that acts like another seed. So what a mean of
m seeds will be there is predicted from the n seeds of a reference run: mean ± t · s̃ · √(1/n + 1/m),
with a moderated s̃ (`vidtune.report.statistics`), rounded outwards to whole units. The quantile t is
taken so that all ranges of a scale together hold in 95 % of healthy runs (Bonferroni); there are
ranges of the variants that the project's controls compare.
"""

import math
import statistics as plain
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vidtune.plan import Plan, load
from vidtune.report import reference_runs, statistics
from vidtune.report.comparisons import Values, learned, pairs
from vidtune.report.numbers.rows import Row, rows_from_csv
from vidtune.spec import Expected, UserError, write_text
from vidtune.spec.expected import Range

# task -> metrics that have a range, with the largest value that they can have
WATCHED = {
    "recognition": {"top1": 100, "pair": 100},
    "retrieval": {"r1": 100, "rsum": 300, "pair": 100},
}
HEAD = """\
# yaml-language-server: $schema=schema/expected.schema.json
# The ranges of a healthy run on another machine, of means over a scale's seeds, in percent. Written by
# `vidtune reference --expected` from results/reference; not to be edited. Learned: where the mean of as
# many seeds is predicted to be by the seeds of a reference run of the same task, as if another machine
# were other seeds; all ranges together hold in 95 % of healthy runs (vidtune/report/expected.py).
# Premise: what the check asks for.
"""


class Outside(NamedTuple):
    """A number that is missing (None) or not in its range."""

    name: str  # "side4video/b16-ssv1 top1"
    value: float | None
    low: float
    high: float

    def __str__(self) -> str:
        found = "no number" if self.value is None else f"{self.value:.2f}"
        return f"{self.name}: {found}, expected {self.low:g} to {self.high:g}"


class Checked(NamedTuple):
    ranges: int
    outside: tuple[Outside, ...]


def check(plan: Plan, rows: Iterable[Row], premises: dict[str, dict[str, Any]]) -> Checked | None:
    """Compare a scale's results with their ranges; None: no range is known of this scale."""
    wanted = plan.config.expected.get(plan.scale.name)
    if wanted is None:
        return None
    values = learned(plan, rows).values
    found = {
        f"{variant} {metric}": (_mean(values, variant, metric), *ends)
        for variant, ranges in wanted.learned.items()
        if variant in plan.variants and len(plan.scale.seeds) == wanted.seeds
        for metric, ends in ranges.items()
    }
    seen = next((_premise_values(p) for p in premises.values()), {})
    probed = {task for premise in plan.premises.values() for task in premise.probes}
    for task, ranges in wanted.premise.items():
        for name, ends in ranges.items() if task in probed else ():
            found[f"premise {task} {name}"] = (seen.get(task, {}).get(name), *ends)
    every = (Outside(name, *one) for name, one in found.items())
    outside = (o for o in every if o.value is None or not o.low <= o.value <= o.high)
    return Checked(len(found), tuple(outside))


def _mean(values: Values, variant: str, metric: str) -> float | None:
    known = values.get((variant, metric), {})
    return plain.fmean(known.values()) if known else None


def _premise_values(premise: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Task -> what the check judges, in percent."""
    return {
        task: {
            "appearance": 100 * min(check["zero_shot"].values()),
            "within_pairs": 100 * check["probe"]["within_pairs"],
        }
        for task, check in premise.items()
        if task in WATCHED
    }


def write(plan: Plan) -> Path:
    """Derive the ranges of every scale that reference runs speak for; return the file.

    Raises `UserError` where no reference results are kept.
    """
    kept = {name: _at(plan, name) for name in reference_runs.paths(plan)}
    if not kept:
        place = reference_runs.folder(plan, "<scale>")
        raise UserError(
            f"{place}: no reference results; keep some with `vidtune reference --machine`"
        )
    texts = []
    for name in plan.config.scales:
        own = _at(plan, name)
        found = {task: _speaks_for(own, kept.values(), task) for task in WATCHED}
        if references := {task: other for task, other in found.items() if other}:
            texts.append(_to_yaml(derive(own, references)))
    path = Path(plan.config.folder) / "expected.yaml"
    write_text(path, HEAD + "".join(texts))
    return path


def _at(plan: Plan, scale: str) -> Plan:
    own = {**plan.config.settings.model_dump(), "scale": scale, "seeds": None}
    return load(plan.config.folder, own)


def _speaks_for(plan: Plan, kept: Iterable[Plan], task: str) -> Plan | None:
    """The reference run with most seeds among those whose runs of a task differ in their seed alone."""

    def trained(one: Plan) -> dict[str, tuple[Any, ...]]:
        first = {v: one.runs[f"{v}@{one.scale.seeds[0]}"] for v in _runs(one, task)}
        return {v: (r.model, r.dataset, r.recipe, r.train_share) for v, r in first.items()}

    same = [other for other in kept if trained(other) == trained(plan) != {}]
    return max(same, key=lambda other: len(other.scale.seeds)) if same else None


def derive(plan: Plan, references: dict[str, Plan]) -> Expected:
    """The ranges of a plan's scale by the reference results of other plans, which have the same runs of
    a task each."""
    kept = {task: _values(other) for task, other in references.items()}
    watched = [
        (variant, metric)
        for variant in controls(plan)
        if (task := plan.models[variant].task) in kept
        for metric in WATCHED[task]
        if len(kept[task].get((variant, metric), [])) > 1
    ]
    confidence = 1 - (1 - statistics.CONFIDENCE) / max(1, len(watched))
    out: dict[str, dict[str, Range]] = {}
    for variant, metric in watched:
        task = plan.models[variant].task
        values = kept[task]
        prior = statistics.fit_prior(
            {(v,): values[v, metric] for v in _runs(plan, task) if (v, metric) in values}
        )
        known = values[variant, metric]
        found = statistics.prediction(known, prior, len(plan.scale.seeds), confidence)
        low, high = max(0, math.floor(found.low)), min(WATCHED[task][metric], math.ceil(found.high))
        out.setdefault(variant, {})[metric] = (float(low), float(high))
    one = next(iter(references.values()))
    about = reference_runs.read(one)[one.scale.name]
    return Expected(
        name=plan.scale.name,
        reference={task: other.scale.name for task, other in references.items()},
        seeds=len(plan.scale.seeds),
        premise=dict(_premise_ranges(about.premises)),
        learned=out,
    )


def _values(reference: Plan) -> dict[tuple[str, str], list[float]]:
    """(Variant, metric) -> the values of a reference run's seeds."""
    rows = rows_from_csv(
        reference_runs.folder(reference, reference.scale.name) / "rows.csv", reference
    )
    return {k: list(v.values()) for k, v in learned(reference, rows).values.items()}


def controls(plan: Plan) -> list[str]:
    """The variants that the project's own controls compare, as far as the scale trains them."""
    tests = (
        (paper.name, test)
        for paper in plan.config.papers.values()
        for claim in paper.claims.values()
        for test in claim.tests
        if claim.control
    )
    named = (
        name
        for paper, test in tests
        for pair in pairs(paper, test, plan.config.metrics[test.metric])
        for name in pair
    )
    return [name for name in dict.fromkeys(named) if plan.run_of(name)]


def _runs(plan: Plan, task: str) -> Iterator[str]:
    """The variants of a task that the scale trains, each run once."""
    return (v for v in plan.variants if plan.models[v].task == task and plan.run_of(v) == v)


def _premise_ranges(premises: dict[str, dict[str, Any]]) -> Iterator[tuple[Any, dict[str, Range]]]:
    """Task -> what the check asks for, as it was at the reference run."""
    for task, check in next(iter(premises.values()), {}).items():
        if task in WATCHED:
            low, high = (round(100 * end, 1) for end in check["probe"]["chance"])
            least = 100 * check["thresholds"]["appearance_at_least"]
            yield task, {"appearance": (least, 100.0), "within_pairs": (low, high)}


def _to_yaml(expected: Expected) -> str:
    lines = [
        f"{expected.name}:",
        f"  reference: {{{', '.join(f'{k}: {v}' for k, v in expected.reference.items())}}}",
        f"  seeds: {expected.seeds}",
    ]
    for part, named in (("premise", expected.premise), ("learned", expected.learned)):
        lines.append(f"  {part}:" + ("" if named else " {}"))
        for name, ranges in named.items():
            texts = (f"{k}: [{low:g}, {high:g}]" for k, (low, high) in ranges.items())
            lines.append(f"    {name}: {{{', '.join(texts)}}}")
    return "\n".join([*lines, ""])
