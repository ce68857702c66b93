"""Accuracy by the share of the training clips that is used: learned at the scale at hand, and in print."""

import statistics
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from vidtune.plan import Plan
from vidtune.report.comparisons import Values, learned
from vidtune.report.numbers import references
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row, RowIndex, index_rows
from vidtune.report.plots import style
from vidtune.report.plots.style import Drawn
from vidtune.spec import Numbers

Series = dict[str, list[str]]  # "<method>, <backbone>" -> variants, by share


class Shares(NamedTuple):
    """A published table or figure with variants that are trained on a share of the clips."""

    paper: str
    numbers: Numbers
    metric: str
    series: Series


def shares(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """Data efficiency: one pair of panels per published figure of it."""
    values, printed = learned(plan, rows).values, index_rows(rows, "paper")
    shown = _find(plan, values)
    if not shown:
        return f"no variant that is trained on a share of the clips has a result at scale {plan.scale.name}"
    figure, axes = style.canvas(2 * len(shown), 3.4, across=2)
    for k, one in enumerate(shown):
        _learned(axes[2 * k], plan, values, rows, one)
        _printed(axes[2 * k + 1], plan, printed, one)
    style.legend(figure, axes)
    title = f"What does a share of the training clips reach at scale {plan.scale.name}?"
    caption = (
        f"Left: learned at scale {plan.scale.name} ({plan.scale.says}), means over the same seeds, ± one "
        "standard deviation; lines: what is reached by chance or without a sense of motion. Right: "
        "print, of other data and larger models. Methods stand with their declared backbone."
    )
    return Drawn(figure, title, caption)


def _find(plan: Plan, values: Values) -> list[Shares]:
    found = []
    for paper in plan.config.papers.values():
        for numbers in paper.numbers:
            rows = [f"{paper.name}/{row}" for row in numbers.rows if row in paper.variants]
            if not any(plan.variants[v].train_share < 1 for v in rows):
                continue
            metric = next(iter(numbers.rows[rows[0].split("/")[1]]))
            series: Series = {}
            for v in sorted(rows, key=lambda name: plan.variants[name].train_share):
                model = plan.models[v]
                series.setdefault(f"{model.method}, {model.backbone.name}", []).append(v)
            if any((v, metric) in values for v in rows):
                found.append(Shares(paper.name, numbers, metric, series))
    return found


def _learned(axes: Axes, plan: Plan, values: Values, rows: list[Row], one: Shares) -> None:
    for k, (name, variants) in enumerate(one.series.items()):
        known = {
            v: list(values[v, one.metric].values()) for v in variants if (v, one.metric) in values
        }
        if not known:
            continue
        axes.errorbar(
            [100 * plan.variants[v].train_share for v in known],
            [statistics.fmean(seeds) for seeds in known.values()],
            yerr=[statistics.stdev(s) if len(s) > 1 else 0.0 for s in known.values()],
            **style.look(k),
            linewidth=1.3,
            markersize=5,
            capsize=2.5,
            label=name,
        )
    task = plan.models[next(iter(one.series.values()))[0]].task
    style.reference_lines(axes.axhline, references.values(rows, task, one.metric))
    _share_axis(axes, plan, one, f"learned at scale {plan.scale.name}")


def _printed(axes: Axes, plan: Plan, printed: RowIndex, one: Shares) -> None:
    for k, (name, variants) in enumerate(one.series.items()):
        known = {v: printed[v, one.metric][0].value for v in variants if (v, one.metric) in printed}
        at = [100 * plan.variants[v].train_share for v in known]
        axes.plot(
            at, list(known.values()), **style.look(k), linewidth=1.3, markersize=5, label=name
        )
    _share_axis(axes, plan, one, f"{one.paper}, {one.numbers.where}, in print")


def _share_axis(axes: Axes, plan: Plan, one: Shares, title: str) -> None:
    metric = plan.config.metrics[one.metric]
    at = sorted({100 * plan.variants[v].train_share for vs in one.series.values() for v in vs})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(at))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(title=title, xlabel="training clips used, %", ylabel=f"{metric.label}, {metric.unit}")
