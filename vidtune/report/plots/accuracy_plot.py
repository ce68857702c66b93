"""Accuracy that is learned at the scale at hand, which title and caption name, against its cost."""

import statistics
import textwrap

from matplotlib.axes import Axes

from vidtune.plan import Plan
from vidtune.report.numbers import references
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row
from vidtune.report.plots import style
from vidtune.report.plots.points import Point, front, on_largest, points
from vidtune.report.plots.style import Drawn, Facts

PANELS = {"recognition": "top1", "retrieval": "r1"}  # task -> metric
WRAP = 64  # letters of a line below a panel


def accuracy(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """Accuracy learned at this scale against the GFLOPs of the declared model, with the front."""
    known = [p for p in points(plan, rows) if "gflops" in p.costs]
    panels = {
        task: found
        for task, metric in PANELS.items()
        if (found := on_largest([p for p in known if p.task == task], metric, "learned"))[0]
    }
    if not panels:
        return "no variant has both counted GFLOPs and a learned result yet"
    figure, axes = style.canvas(len(panels), 3.6)
    data: list[Facts] = []
    for panel, (task, (mine, dataset)) in zip(axes, panels.items(), strict=True):
        metric = plan.config.metrics[PANELS[task]]
        style.reference_lines(panel.axhline, references.values(rows, task, metric.name))
        data += _draw(panel, mine, metric.name)
        panel.set(
            title=f"{metric.label} at scale {plan.scale.name}, {dataset}",
            ylabel=f"{metric.label}, {metric.unit}",
        )
        panel.set_xlabel("GMACs of one view, declared model at full size")
    style.legend(figure, axes)
    title = f"What does accuracy at scale {plan.scale.name} cost?"
    other = "" if plan.scale.at_full_size else " and says nothing about the papers' data"
    caption = (
        f"Accuracy is learned at scale {plan.scale.name} ({plan.scale.says}){other}; "
        "GFLOPs are counted for the declared model at full size. Bars are ± one standard deviation over "
        "seeds, where there are several. Steps: the front, named "
        "below by rising cost, with its accuracy. Lines across: what is reached by chance or without a "
        "sense of motion. Of several datasets that with most variants is shown."
    )
    return Drawn(figure, title, caption, data, "Scatter plots, a symbol for each method.")


def _draw(axes: Axes, shown: list[Point], metric: str) -> list[Facts]:
    at = {p.variant: (p.costs["gflops"], statistics.fmean(p.learned[metric])) for p in shown}
    best = front((x, y, name) for name, (x, y) in at.items())
    for method in sorted({p.method for p in shown}):
        mine = [p for p in shown if p.method == method]
        x, y = zip(*(at[p.variant] for p in mine), strict=True)
        spread = [deviation(p.learned[metric]) for p in mine]
        axes.errorbar(
            x, y, yerr=spread, linestyle="none", **style.method_look(method), markersize=4.5,
            elinewidth=0.9, capsize=2, label=method,
        )  # fmt: skip
    steps = [at[name] for name in best]
    axes.plot(
        *zip(*steps, strict=True), drawstyle="steps-post", color=style.INK, linewidth=0.8, zorder=1
    )
    axes.set_xscale("log")
    style.log_scale(axes, "x")
    joined = "\N{NO-BREAK SPACE}"  # a name and its number stand on one line
    names = ", ".join(f"{name.split('/')[1]}{joined}({at[name][1]:.1f})" for name in best)
    below = {"va": "top", "fontsize": style.SMALL, "linespacing": 1.2}
    axes.annotate(
        textwrap.fill(f"The front: {names}", WRAP),
        (0, 0),
        xytext=(0, -30),
        xycoords="axes fraction",
        textcoords="offset points",
        **below,
    )
    return [
        {
            "variant": p.variant,
            "method": p.method,
            "gmacs_of_a_view": at[p.variant][0],
            "metric": metric,
            "mean": at[p.variant][1],
            "sd": deviation(p.learned[metric]),
            "seeds": len(p.learned[metric]),
            "on_front": p.variant in best,
        }
        for p in shown
    ]


def deviation(values: list[float]) -> float:
    """The standard deviation over seeds; 0 of one seed."""
    return statistics.stdev(values) if len(values) > 1 else 0.0
