"""Any cost against any accuracy: a grid of plots for paper, and an interactive one for the page.

The interactive one is `vidtune/report/page/pareto.js`, which draws what stands here as JSON.
"""

import json

from matplotlib.axes import Axes

from vidtune.plan import Plan
from vidtune.plan.registry import method_names
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row
from vidtune.report.plots import style
from vidtune.report.plots.points import ACCURACIES, COSTS, Point, front, on_largest, points
from vidtune.report.plots.style import Drawn, Facts

ROWS = (("recognition", "top1"), ("retrieval", "r1"))  # of the grid
SOURCES = {"learned": "learned at scale {scale}", "printed": "in print"}


def pareto(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """The front of every cost that is known, for both tasks, learned at this scale."""
    known = points(plan, rows)
    source = "learned" if any(p.learned for p in known) else "printed"
    costs = [c for c in COSTS if any(c in p.costs for p in known)]
    lines = [
        (metric, *found) for task, metric in ROWS
        if (found := on_largest([p for p in known if p.task == task], metric, source))[0]
    ]  # fmt: skip
    if not lines:
        return "no variant has both a cost and an accuracy yet"
    figure, axes = style.canvas(len(lines) * len(costs), 1.9, across=len(costs), sharey="row")
    data: list[Facts] = []
    for k, (metric, mine, dataset) in enumerate(lines):
        for panel, cost in zip(axes[k * len(costs) :], costs, strict=False):
            data += _draw(panel, mine, cost, metric, source)
            if k == len(lines) - 1:
                panel.set_xlabel(COSTS[cost].replace(", ", ",\n"))
        label = plan.config.metrics[metric]
        axes[k * len(costs)].set_ylabel(f"{label.label}, {label.unit},\n{dataset}")
    style.legend(figure, axes)
    where = SOURCES[source].format(scale=plan.scale.name)
    title = f"Which variants does no other beat? Accuracy {where}, by cost"
    caption = (
        f"Accuracy is the mean over seeds {where}; costs are of the declared model at full size: "
        "counted, memory predicted where a paper prints it (batches differ), throughput where it was "
        "measured on a GPU. Steps: the front, of variants that no other is both cheaper and more "
        "accurate than."
    )
    alt = "Grid of scatter plots, a column for each cost and a row for each task."
    return Drawn(figure, title, caption, data, alt, extra=_interactive(plan, known, source))


def _draw(axes: Axes, mine: list[Point], cost: str, metric: str, source: str) -> list[Facts]:
    at = {
        p.variant: (p.costs[cost], y)
        for p in mine
        if cost in p.costs and (y := p.value(metric, source)) is not None
    }
    best = front(((x, y, n) for n, (x, y) in at.items()), more_is_better=cost == "throughput")
    shown = [p for p in mine if p.variant in at]
    for method in sorted({p.method for p in shown}):
        x, y = zip(*(at[p.variant] for p in shown if p.method == method), strict=True)
        axes.plot(x, y, linestyle="none", **style.method_look(method), markersize=3.5, label=method)
    if best:
        where = "steps-pre" if cost == "throughput" else "steps-post"
        steps = [at[name] for name in best]
        axes.plot(
            *zip(*steps, strict=True), drawstyle=where, color=style.INK, linewidth=0.8, zorder=1
        )
        style.log_scale(axes, "x", few=True)
        axes.tick_params(axis="x", labelsize=style.SMALL)
    return [
        {
            "variant": p.variant, "method": p.method, "cost": cost, "value": at[p.variant][0],
            "metric": metric, "source": source, "accuracy": at[p.variant][1],
            "on_front": p.variant in best, "condition": p.conditions.get(cost, ""),
        }
        for p in shown
    ]  # fmt: skip


def _interactive(plan: Plan, known: list[Point], source: str) -> str:
    """What page/pareto.js makes a plot of; without scripts it stays hidden."""
    metrics = dict.fromkeys(m for ms in ACCURACIES.values() for m in ms)
    labels = {m: f"{plan.config.metrics[m].label}, {plan.config.metrics[m].unit}" for m in metrics}
    looks = {name: style.method_look(name) for name in method_names()}
    content = {
        "costs": {c: COSTS[c] for c in COSTS if any(c in p.costs for p in known)},
        "moreIsBetter": ["throughput"],
        "accuracies": {f"{t} {m}": f"{t}: {labels[m]}" for t, ms in ACCURACIES.items() for m in ms},
        "sources": {s: text.format(scale=plan.scale.name) for s, text in SOURCES.items()},
        "source": source,
        "methods": {
            name: {
                "colour": style.SERIES.index(one["color"]),
                "marker": one["marker"],
                "hollow": one["markerfacecolor"] == style.PAPER,
            }
            for name, one in looks.items()
            if any(p.method == name for p in known)
        },
        "points": [p._asdict() for p in known],
    }
    text = json.dumps(content, separators=(",", ":")).replace("</", "<\\/")
    return f'<div id="pareto" hidden></div><script type="application/json" id="pareto-data">{text}</script>'
