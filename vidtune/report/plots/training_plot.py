"""Loss curves of all runs at the scale at hand, and the tests of trainings that select."""

import math

from matplotlib.axes import Axes

from vidtune.plan import Plan
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row
from vidtune.report.plots import style
from vidtune.report.plots.style import Drawn, Facts

ACROSS = 4
PANEL, LINE = 1.55, 0.118  # inches: a panel, a line of its legend


def training(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """Loss curves: one panel per published table, a line per run; with the tests of those that select."""
    if not outcomes.losses:
        return f"no run at scale {plan.scale.name} has left a loss curve yet"
    groups = _groups(plan, outcomes)
    longest = [
        max(map(len, list(groups.values())[k : k + ACROSS])) for k in range(0, len(groups), ACROSS)
    ]
    height = PANEL + LINE * sum(longest) / len(longest)
    figure, axes = style.canvas(len(groups), height, across=ACROSS)
    for panel, (title, variants) in zip(axes, groups.items(), strict=True):
        for k, (variant, row) in enumerate(variants.items()):
            mine = [n for n in outcomes.losses if n.rpartition("@")[0] == variant]
            for seed, name in enumerate(mine):
                _curve(panel, outcomes, name, k, "" if seed else row)
        _tests(plan, panel, outcomes, list(variants))
        panel.set_title(title, fontsize=7)
        below = {"loc": "upper left", "bbox_to_anchor": (-0.12, -0.21), "borderaxespad": 0}
        panel.legend(fontsize=style.SMALL, handlelength=1.6, labelspacing=0.15, **below)
        panel.locator_params(nbins=4)
        panel.set_ylim(bottom=0)
    figure.supxlabel("step", color=style.MUTED)
    figure.supylabel("training loss, nats", color=style.MUTED)
    bad = f"{len(outcomes.failed)} failed (marked x)" if outcomes.failed else "none failed"
    title = f"Did training settle? {len(outcomes.losses)} runs at scale {plan.scale.name}, {bad}"
    caption = (
        "Mean training loss between two points, per run and seed; a variant that stands in several "
        "published tables is drawn in each."
    )
    if outcomes.tested:
        caption += (
            " Dots, on the right: what a training reached on the test set in the course of it, where "
            "its authors took the best of such tests (circled)."
        )
    return Drawn(
        figure, title, caption, _data(outcomes), "Curves over steps, a panel for each table."
    )


def _data(outcomes: Outcomes) -> list[Facts]:
    curves: list[Facts] = [
        {"run": run, "step": step, "quantity": "loss", "value": value}
        for run, losses in outcomes.losses.items()
        for step, value in losses
    ]
    return curves + [
        {"run": run, "step": step, "quantity": f"test {tested.metric}", "value": value}
        for run, tested in outcomes.tested.items()
        for step, value in tested.points
    ]


def _groups(plan: Plan, outcomes: Outcomes) -> dict[str, dict[str, str]]:
    """Published table -> its trained variants, each with the table's name of the row whose run it is at
    this scale; then the others. No table is part of another."""
    trained = list(dict.fromkeys(n.rpartition("@")[0] for n in outcomes.losses))
    seed = plan.scale.seeds[0]
    out: dict[str, dict[str, str]] = {}
    for paper in plan.config.papers.values():
        for n in paper.numbers:
            variants: dict[str, str] = {}
            for row in n.rows:
                run = plan.training_of.get(f"{paper.name}/{row}@{seed}", "")
                if run.rpartition("@")[0] in trained:
                    variants.setdefault(run.rpartition("@")[0], row)
            metrics = (m for cells in n.rows.values() for m in cells)
            if variants and any(plan.config.metrics[m].kind == "learned" for m in metrics):
                out.setdefault(f"{paper.name}, {n.where}", {}).update(variants)
    for name, variants in reversed(list(out.items())):
        if any(set(variants) <= set(out[other]) for other in out if other != name):
            del out[name]
    rest = {v: v.split("/")[1] for v in trained if not any(v in known for known in out.values())}
    return out | ({"in no published table": rest} if rest else {})


def _curve(axes: Axes, outcomes: Outcomes, name: str, k: int, label: str) -> None:
    points = [(s, v) for s, v in outcomes.losses[name] if math.isfinite(v)]
    if not points:
        return
    dash = style.DASHES[k // len(style.SERIES) % len(style.DASHES)]
    look = {"color": style.look(k)["color"], "linestyle": dash, "linewidth": 0.9, "alpha": 0.85}
    axes.plot(*zip(*points, strict=True), **look, label=label or None)
    if name in outcomes.failed:
        axes.plot(*points[-1], "x", color=style.INK, markersize=6, markeredgewidth=1.4)


def _tests(plan: Plan, axes: Axes, outcomes: Outcomes, variants: list[str]) -> None:
    """The tests of a panel's trainings, on an axis of their own at the right."""
    known = {n: t for n, t in outcomes.tested.items() if n.rpartition("@")[0] in variants}
    if not known:
        return
    right = axes.twinx()
    for name, tested in known.items():
        colour = style.look(variants.index(name.rpartition("@")[0]))["color"]
        right.plot(
            *zip(*tested.points, strict=True), ".:", color=colour, linewidth=0.8, markersize=3
        )
        best = dict(tested.points)[tested.best]
        right.plot(tested.best, best, "o", color=colour, markersize=6, fillstyle="none")
    metric = plan.config.metrics[next(iter(known.values())).metric]
    right.set_ylabel(f"{metric.label}, {metric.unit}")
    right.grid(visible=False)
    right.spines["right"].set_visible(True)
