"""The published ablations as they come out at the scale at hand: each design beside the one that the
paper puts first, with the difference in print."""

import statistics
import textwrap
from dataclasses import replace

from matplotlib.axes import Axes

from vidtune.plan import Plan
from vidtune.report.ablations import Ablation, find_ablations
from vidtune.report.comparisons import Learned, learned
from vidtune.report.numbers import references
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row, RowIndex, index_rows
from vidtune.report.plots import style
from vidtune.report.plots.accuracy_plot import deviation
from vidtune.report.plots.style import Drawn, Facts

OURS, PRINT = style.SERIES[0], style.SERIES[1]
ROW, HEAD = 0.19, 0.6  # inches
SIDE = 0.17  # of a row's height, from its middle


def ablations(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """A published ablation a line: on the left our means, on the right differences, ours and print's."""
    known, printed = learned(plan, rows), index_rows(rows, "paper")
    shown = [same_seeds(known, one) for one in find_ablations(plan, known)]
    if not shown:
        return f"no published ablation has two results at scale {plan.scale.name} yet"
    heights = [ROW * len(one.rows) for one, _, _ in shown]
    mean_height = HEAD + sum(heights) / len(heights)
    figure, axes = style.canvas(2 * len(shown), mean_height, across=2, height_ratios=heights)
    data: list[Facts] = []
    for k, (one, seeds, ours) in enumerate(shown):
        facts = _facts(plan, ours, printed, one, seeds)
        _means(axes[2 * k], plan, ours, rows, one)
        _differences(axes[2 * k + 1], plan, facts, one, seeds)
        data += facts
    style.legend(figure, axes)
    papers = " and ".join(dict.fromkeys(one.paper for one, _, _ in shown))
    title = f"Do the ablations of {papers} come out at scale {plan.scale.name}?"
    others = f", of other {plan.scale.unlike}" if plan.scale.unlike else ""
    caption = (
        f"Learned at scale {plan.scale.name}: {plan.scale.says}. Left: means over the seeds that all "
        "rows of an ablation have, ± one standard deviation (ticks: single seeds), and what is reached "
        "by chance or without a sense of motion (lines). Right: the difference to the row that the "
        "paper puts first, over the same seeds in pairs with its moderated 95 % interval, and the same "
        f"difference in print{others}. Half of an interval is the smallest "
        "difference that could have been seen."
    )
    alt = "Dot plots with error bars, a row for each design."
    return Drawn(figure, title, caption, data, alt)


def same_seeds(known: Learned, one: Ablation) -> tuple[Ablation, list[int], Learned]:
    """The ablation over equal seeds: those that all its rows have, and the numbers of these alone.

    A row that shares no seed with the others, as none of its runs converged, is left out.
    """

    def of(row: str) -> set[int]:
        return set(known.values[f"{one.paper}/{row}", one.metric])

    seeds = of(one.first)
    rows = [row for row in one.rows if seeds & of(row)]
    for row in rows:
        seeds = seeds & of(row) or seeds
    rows = [row for row in rows if seeds <= of(row)]
    values = {key: {s: v for s, v in by.items() if s in seeds} for key, by in known.values.items()}
    return one._replace(rows=tuple(rows)), sorted(seeds), replace(known, values=values)


def _facts(
    plan: Plan, ours: Learned, printed: RowIndex, one: Ablation, seeds: list[int]
) -> list[Facts]:
    """A line for each row: our mean, the difference to the first row, and print's."""
    metric = plan.config.metrics[one.metric]
    theirs = {row: printed.get((f"{one.paper}/{row}", one.metric), [])[:1] for row in one.rows}
    sign = 1 if metric.better == "higher" else -1
    out = []
    for row in one.rows:
        values = list(ours.values[f"{one.paper}/{row}", one.metric].values())
        facts: Facts = {
            "paper": one.paper, "table": one.numbers.where, "row": row, "metric": one.metric,
            "seeds": " ".join(map(str, seeds)), "mean": statistics.fmean(values),
            "sd": deviation(values),
        }  # fmt: skip
        if row != one.first:
            pair = (f"{one.paper}/{row}", f"{one.paper}/{one.first}")
            found = ours.compare(*pair, one.metric)
            gain = found.gain
            facts |= {
                "difference": None if gain is None else sign * gain,
                "half_interval": found.half,
            }
            facts |= {"not_judged": found.why}
            if theirs[row] and theirs[one.first]:
                facts["difference_in_print"] = theirs[row][0].value - theirs[one.first][0].value
        out.append(facts)
    return out


def _means(axes: Axes, plan: Plan, ours: Learned, rows: list[Row], one: Ablation) -> None:
    metric = plan.config.metrics[one.metric]
    for y, row in enumerate(one.rows):
        values = list(ours.values[f"{one.paper}/{row}", one.metric].values())
        look = {"capsize": 2, "elinewidth": 1.0, "markersize": 4, "color": OURS}
        axes.errorbar(statistics.fmean(values), y, xerr=deviation(values), fmt="o", **look)
        axes.plot(values, [y] * len(values), "|", color=OURS, markersize=6, alpha=0.6)
    task = plan.models[f"{one.paper}/{one.first}"].task
    style.reference_lines(axes.axvline, references.values(rows, task, one.metric))
    axes.set_yticks(range(len(one.rows)), [textwrap.fill(one.label(r), 26) for r in one.rows])
    axes.set(ylim=(len(one.rows) - 0.5, -0.5), xlabel=f"{metric.label}, {metric.unit}")
    axes.set_title(textwrap.shorten(one.title, 50, placeholder=" ..."), fontsize=style.SMALL)
    axes.grid(axis="y", visible=False)


def _differences(
    axes: Axes, plan: Plan, facts: list[Facts], one: Ablation, seeds: list[int]
) -> None:
    for y, found in enumerate(facts):
        if "difference_in_print" in found:
            axes.plot(
                found["difference_in_print"],
                y + SIDE,
                "D",
                color=PRINT,
                markersize=3.5,
                label="print",
            )
        if found.get("not_judged"):
            look = {"va": "center", "fontsize": style.SMALL, "color": style.MUTED}
            axes.text(0, y - SIDE, f" {found['not_judged']}", **look)
        elif "difference" in found:
            look = {"capsize": 2, "elinewidth": 1.1, "markersize": 4, "color": OURS}
            x, half = found["difference"], found["half_interval"]
            axes.errorbar(x, y - SIDE, xerr=half, fmt="o", label="ours", **look)
    label = plan.config.metrics[one.metric].label
    axes.axvline(0, color=style.INK, linewidth=0.7)
    axes.set_yticks(range(len(one.rows)), [""] * len(one.rows))
    axes.set(ylim=(len(one.rows) - 0.5, -0.5), xlabel=f"{label} less that of the first, points")
    many = f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
    title = textwrap.shorten(f"against {one.label(one.first)}, {many}", 50, placeholder=" ...")
    axes.set_title(title, fontsize=style.SMALL, fontweight="normal")
    axes.grid(axis="y", visible=False)
