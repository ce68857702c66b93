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
from vidtune.report.plots.accuracy_plot import deviation
from vidtune.report.plots.style import Drawn, Facts
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
    figure, axes = style.canvas(2 * len(shown), 2.8, across=2)
    data: list[Facts] = []
    for k, one in enumerate(shown):
        facts = _facts(plan, values, printed, one)
        _draw(axes[2 * k], facts, "mean")
        _draw(axes[2 * k + 1], facts, "printed")
        task = plan.models[next(iter(one.series.values()))[0]].task
        style.reference_lines(axes[2 * k].axhline, references.values(rows, task, one.metric))
        _share_axis(axes[2 * k], plan, one, f"learned at scale {plan.scale.name}")
        _share_axis(axes[2 * k + 1], plan, one, f"{one.paper}, {one.numbers.where}, in print")
        data += facts
    style.legend(figure, axes)
    title = f"What does a share of the training clips reach at scale {plan.scale.name}?"
    others = f", of other {plan.scale.unlike}" if plan.scale.unlike else ""
    caption = (
        f"Left: learned at scale {plan.scale.name} ({plan.scale.says}), means over the same seeds, ± one "
        "standard deviation; lines: what is reached by chance or without a sense of motion. Right: "
        f"print{others}. Methods stand with their declared backbone."
    )
    return Drawn(figure, title, caption, data, "Line charts over the share of clips, in percent.")


def _find(plan: Plan, values: Values) -> list[Shares]:
    found = []
    for paper in plan.config.papers.values():
        for numbers in paper.numbers:
            rows = [f"{paper.name}/{row}" for row in numbers.rows if row in paper.variants]
            if not any(plan.variants[v].train_share < 1 for v in rows):
                continue
            printed = numbers.rows[rows[0].split("/")[1]]
            learns = (m for m in printed if plan.config.metrics[m].kind == "learned")
            if not (metric := next(learns, "")):
                continue
            series: Series = {}
            for v in sorted(rows, key=lambda name: plan.variants[name].train_share):
                model = plan.models[v]
                series.setdefault(f"{model.method}, {model.backbone.name}", []).append(v)
            if any((v, metric) in values for v in rows):
                found.append(Shares(paper.name, numbers, metric, series))
    return found


def _facts(plan: Plan, values: Values, printed: RowIndex, one: Shares) -> list[Facts]:
    """A line for each variant of the figure, with what is known of it."""
    out: list[Facts] = []
    for name, variants in one.series.items():
        for v in variants:
            seeds = list(values.get((v, one.metric), {}).values())
            in_print = printed.get((v, one.metric), [])
            in_print = [r for r in in_print if r.where == one.numbers.where] or in_print
            facts: Facts = {
                "paper": one.paper, "where": one.numbers.where, "series": name, "variant": v,
                "share_percent": 100 * plan.variants[v].train_share, "metric": one.metric,
                "seeds": len(seeds),
            }  # fmt: skip
            if seeds:
                facts |= {"mean": statistics.fmean(seeds), "sd": deviation(seeds)}
            if in_print:
                facts["printed"] = in_print[0].value
            out.append(facts)
    return out


def _draw(axes: Axes, facts: list[Facts], key: str) -> None:
    """Draw a line for each series over what is known under `key`, with its deviation if there is one."""
    for k, name in enumerate(dict.fromkeys(f["series"] for f in facts)):
        known = [f for f in facts if f["series"] == name and key in f]
        if known:
            look = {**style.look(k), "linewidth": 1.2, "markersize": 4.5, "label": name}
            x, y = ([f[of] for f in known] for of in ("share_percent", key))
            spread = [f["sd"] for f in known] if key == "mean" else None
            axes.errorbar(x, y, yerr=spread, capsize=2, **look)


def _share_axis(axes: Axes, plan: Plan, one: Shares, title: str) -> None:
    metric = plan.config.metrics[one.metric]
    at = sorted({100 * plan.variants[v].train_share for vs in one.series.values() for v in vs})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(at))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(title=title, xlabel="training clips used, %", ylabel=f"{metric.label}, {metric.unit}")
