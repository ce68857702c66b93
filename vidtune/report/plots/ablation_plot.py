"""The published ablations as they come out at the scale at hand: each design beside the one that the
paper puts first, with the difference in print."""

import statistics
import textwrap

from matplotlib.axes import Axes

from vidtune.plan import Plan
from vidtune.report.ablations import Ablation, find_ablations
from vidtune.report.comparisons import Learned, learned
from vidtune.report.numbers import references
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row, RowIndex, index_rows
from vidtune.report.plots import style
from vidtune.report.plots.style import Drawn

OURS, PRINT = style.SERIES[0], style.SERIES[1]
ROW, HEAD = 0.24, 0.75  # inches


def ablations(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """A published ablation a line: on the left our means, on the right differences, ours and print's."""
    known, printed = learned(plan, rows), index_rows(rows, "paper")
    shown = find_ablations(plan, known)
    if not shown:
        return f"no published ablation has two results at scale {plan.scale.name} yet"
    heights = [HEAD + ROW * len(one.rows) for one in shown]
    mean_height = sum(heights) / len(heights)
    figure, axes = style.canvas(2 * len(shown), mean_height, across=2, height_ratios=heights)
    for k, one in enumerate(shown):
        _means(axes[2 * k], plan, known, rows, one)
        _differences(axes[2 * k + 1], plan, known, printed, one)
    style.legend(figure, axes)
    papers = " and ".join(dict.fromkeys(one.paper for one in shown))
    title = f"Do the ablations of {papers} come out at scale {plan.scale.name}?"
    caption = (
        f"Learned at scale {plan.scale.name}: {plan.scale.says}. Left: means over seeds, the same "
        "for all, ± one standard deviation (ticks: single seeds), and what is reached by chance or "
        "without a sense of motion (lines). Right: the difference to the row that the paper puts "
        "first, over paired seeds with its moderated 95 % interval, and the same difference in print: "
        "print's is of other data and larger models. Half of an interval is the smallest difference "
        "that could have been seen."
    )
    return Drawn(figure, title, caption)


def _means(axes: Axes, plan: Plan, known: Learned, rows: list[Row], one: Ablation) -> None:
    metric = plan.config.metrics[one.metric]
    for y, row in enumerate(one.rows):
        values = list(known.values[f"{one.paper}/{row}", one.metric].values())
        sd = statistics.stdev(values) if len(values) > 1 else 0.0
        look = {"capsize": 2.5, "elinewidth": 1.2, "markersize": 5, "color": OURS}
        axes.errorbar(statistics.fmean(values), y, xerr=sd, fmt="o", **look)
        axes.plot(values, [y] * len(values), "|", color=OURS, markersize=7, alpha=0.6)
    task = plan.models[f"{one.paper}/{one.first}"].task
    style.reference_lines(axes.axvline, references.values(rows, task, one.metric))
    axes.set_yticks(range(len(one.rows)), [textwrap.fill(one.label(r), 26) for r in one.rows])
    axes.set(ylim=(len(one.rows) - 0.5, -0.5), xlabel=f"{metric.label}, {metric.unit}")
    axes.set_title(textwrap.shorten(one.title, 50, placeholder=" ..."), fontsize=8.5)
    axes.grid(axis="y", visible=False)


def _differences(axes: Axes, plan: Plan, known: Learned, printed: RowIndex, one: Ablation) -> None:
    metric = plan.config.metrics[one.metric]
    theirs = {row: printed.get((f"{one.paper}/{row}", one.metric), [])[:1] for row in one.rows}
    for y, row in enumerate(one.rows):
        if row == one.first:
            continue
        if theirs[row] and theirs[one.first]:
            gap = theirs[row][0].value - theirs[one.first][0].value
            axes.plot(gap, y + 0.17, "D", color=PRINT, markersize=4.5, label="print")
        pair = (f"{one.paper}/{row}", f"{one.paper}/{one.first}")
        found, sign = known.compare(*pair, one.metric), 1 if metric.better == "higher" else -1
        if found.gain is None:
            axes.text(0, y - 0.12, f" {found.why}", va="center", fontsize=7, color=style.MUTED)
            continue
        look = {"capsize": 2.5, "elinewidth": 1.4, "markersize": 5, "color": OURS}
        axes.errorbar(sign * found.gain, y - 0.12, xerr=found.half, fmt="o", label="ours", **look)
    axes.axvline(0, color=style.INK, linewidth=0.8)
    axes.set_yticks(range(len(one.rows)), [""] * len(one.rows))
    axes.set(
        ylim=(len(one.rows) - 0.5, -0.5), xlabel=f"{metric.label} less that of the first, points"
    )
    axes.set_title(f"against {one.label(one.first)}", fontsize=8.5, fontweight="normal")
    axes.grid(axis="y", visible=False)
