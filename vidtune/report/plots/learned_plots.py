"""Plots of what is learned at the scale at hand, which every title or caption names: the premise,
accuracy and loss curves."""

import math
import statistics
from typing import Any

from matplotlib.axes import Axes

from vidtune.plan import Plan
from vidtune.report.numbers import references
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row, index_rows
from vidtune.report.plots import style
from vidtune.report.plots.style import Drawn, reference_lines

LETTER = 0.0175  # of an axis' width, per letter of a name
Points = dict[str, tuple[float, list[float]]]  # variant -> (GMACs of a view, one value per seed)


def _values(rows: list[Row], metric: str) -> dict[str, list[float]]:
    """Variant -> one value per seed."""
    ours = index_rows(rows).items()
    return {variant: [r.value for r in seeds] for (variant, m), seeds in ours if m == metric}


def accuracy(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """Accuracy learned at this scale against the cost of the declared model."""
    cost = {variant: value for variant, (value,) in _values(rows, "gflops").items()}
    panels: dict[str, Points] = {}
    for task, metric in (("recognition", "top1"), ("retrieval", "r1")):
        points = {
            v: (cost[v] / plan.models[v].n_views, values)
            for v, values in _values(rows, metric).items()
            if v in cost and plan.models[v].task == task
        }
        if points:
            panels[metric] = points
    if not panels:
        return "no variant has both counted GFLOPs and a learned result yet"
    methods = sorted({plan.models[v].method for points in panels.values() for v in points})
    figure, axes = style.canvas(len(panels), 4.7)
    for panel, (metric, points) in zip(axes, panels.items(), strict=True):
        task = plan.models[next(iter(points))].task
        reference_lines(panel.axhline, references.values(rows, task, metric))
        _accuracy_panel(plan, panel, points, methods)
        m = plan.config.metrics[metric]
        panel.set(title=f"{m.label} at scale {plan.scale.name}", ylabel=f"{m.label}, {m.unit}")
        panel.set_xlabel("GMACs of one view, declared model at full size")
    style.legend(figure, axes)
    title = f"What does accuracy at scale {plan.scale.name} cost?"
    caption = (
        f"Accuracy is learned at scale {plan.scale.name} ({plan.scale.says}) and says nothing "
        "about the papers' data; GFLOPs are counted for the declared model at full size. Bars are "
        "± one standard deviation over seeds, where there are several. Lines: what is reached by "
        "chance or without a sense of motion."
    )
    return Drawn(figure, title, caption)


def _accuracy_panel(plan: Plan, axes: Axes, points: Points, methods: list[str]) -> None:
    for k, method in enumerate(methods):
        mine = [(x, v) for name, (x, v) in points.items() if plan.models[name].method == method]
        if mine:
            axes.errorbar(
                [x for x, _ in mine],
                [statistics.fmean(v) for _, v in mine],
                yerr=[statistics.stdev(v) if len(v) > 1 else 0.0 for _, v in mine],
                linestyle="none",
                **style.look(k),
                markersize=5.5,
                elinewidth=1.2,
                capsize=2.5,
                label=method,
            )
    axes.set_xscale("log")
    _write_names(axes, {n.split("/")[1]: (x, statistics.fmean(v)) for n, (x, v) in points.items()})
    style.log_scale(axes, "x")


def _write_names(axes: Axes, at: dict[str, tuple[float, float]]) -> None:
    """Write names to the right of their points, pushed upwards where they would touch."""
    bottom, top = axes.get_ylim()
    low = math.log(axes.get_xlim()[0])
    wide = {name: (len(name) + 2) * LETTER for name in at}
    high = max(low + (math.log(x) - low) / (1 - wide[n]) for n, (x, _) in at.items())
    axes.set_xlim(math.exp(low), math.exp(high))
    step, letter = (top - bottom) * 0.033, LETTER * (high - low)
    taken = [(math.log(x) - letter, math.log(x) + letter, y) for x, y in at.values()]
    for name, (x, y) in sorted(at.items(), key=lambda item: item[1][1]):
        left, height = math.log(x) + 1.4 * letter, y
        right = left + len(name) * letter
        for a, b, other in sorted(taken, key=lambda t: t[2]):
            if left < b and a < right and abs(height - other) < step:
                height = other + step
        taken.append((left, right, height))
        axes.plot([x, math.exp(left)], [y, height], color=style.MUTED, linewidth=0.5)
        axes.text(math.exp(left), height, name, fontsize=7.5, va="center", color=style.INK)


def training(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """Loss curves: one panel per published table, a line per run; with the tests of those that select."""
    if not outcomes.losses:
        return f"no run at scale {plan.scale.name} has left a loss curve yet"
    groups = _groups(plan, outcomes)
    figure, axes = style.canvas(len(groups), 1.9, across=4)
    for panel, (title, variants) in zip(axes, groups.items(), strict=True):
        for k, variant in enumerate(variants):
            mine = [n for n in outcomes.losses if n.rpartition("@")[0] == variant]
            for seed, name in enumerate(mine):
                _curve(panel, outcomes, name, k, "" if seed else variant.split("/")[1])
        _tests(plan, panel, outcomes, variants)
        panel.set_title(title, fontsize=8.5)
        panel.legend(fontsize=6.8, handlelength=1, labelspacing=0.2, borderaxespad=0)
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
    return Drawn(figure, title, caption)


def _groups(plan: Plan, outcomes: Outcomes) -> dict[str, list[str]]:
    """Published table -> its trained variants, then the others; no table is part of another."""
    trained = list(dict.fromkeys(n.rpartition("@")[0] for n in outcomes.losses))
    out: dict[str, list[str]] = {}
    for paper in plan.config.papers.values():
        for n in paper.numbers:
            variants = [v for v in (f"{paper.name}/{row}" for row in n.rows) if v in trained]
            if variants:
                out[f"{paper.name}, {n.where}"] = variants
    for name, variants in list(out.items()):
        if any(set(variants) <= set(out[other]) for other in out if other != name):
            del out[name]
    rest = [v for v in trained if not any(v in variants for variants in out.values())]
    return out | ({"in no published table": rest} if rest else {})


def _curve(axes: Axes, outcomes: Outcomes, name: str, k: int, label: str) -> None:
    points = [(s, v) for s, v in outcomes.losses[name] if math.isfinite(v)]
    if not points:
        return
    look = {"color": style.look(k)["color"], "linewidth": 1.1, "alpha": 0.85}
    axes.plot(*zip(*points, strict=True), **look, label=label or None)
    if name in outcomes.failed:
        axes.plot(*points[-1], "x", color=style.INK, markersize=7, markeredgewidth=1.6)


def _tests(plan: Plan, axes: Axes, outcomes: Outcomes, variants: list[str]) -> None:
    """The tests of a panel's trainings, on an axis of their own at the right."""
    known = {n: t for n, t in outcomes.tested.items() if n.rpartition("@")[0] in variants}
    if not known:
        return
    right = axes.twinx()
    for name, tested in known.items():
        colour = style.look(variants.index(name.rpartition("@")[0]))["color"]
        right.plot(
            *zip(*tested.points, strict=True), ".:", color=colour, linewidth=0.9, markersize=3
        )
        best = dict(tested.points)[tested.best]
        right.plot(tested.best, best, "o", color=colour, markersize=7, fillstyle="none")
    metric = plan.config.metrics[next(iter(known.values())).metric]
    right.set_ylabel(f"{metric.label}, {metric.unit}")
    right.grid(visible=False)
    low, high = right.get_ylim()
    right.set_ylim(low, high + 0.45 * (high - low))  # the names of the lines stand above
    right.spines["right"].set_visible(True)


def premise(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """Zero-shot accuracy per attribute; the frozen probe within pairs against chance."""
    checks = {
        (backbone, task): found[task]
        for backbone, found in outcomes.premises.items()
        for task in ("recognition", "retrieval")
        if task in found
    }
    if not checks:
        return f"the premise has not been checked at scale {plan.scale.name} yet"
    figure, axes = style.canvas(2 * len(checks), 2.6, across=2)
    for k, ((backbone, task), check) in enumerate(checks.items()):
        _attributes(axes[2 * k], check, f"{backbone}, frames of {task}")
        _probe(axes[2 * k + 1], check)
    holds = [v for check in checks.values() for v in check.get("holds", {}).values()]
    title = "Does the small CLIP see what is shown, but not which way it moves?"
    if holds:
        answer = "holds" if all(holds) else "does not hold"
        title = f"The premise {answer}: frames show what is there, only their order how it moves"
    caption = (
        "Left: zero-shot accuracy over all test frames, and the least that is asked for (dashed). "
        "Right: a linear probe on a clip's averaged frame features; within time-reversed pairs it "
        "must stay inside the interval of chance (band), however well it tells the pairs apart."
    )
    return Drawn(figure, title, caption)


def _attributes(axes: Axes, check: dict[str, Any], what: str) -> None:
    shares = check.get("zero_shot", {})
    least = check.get("thresholds", {}).get("appearance_at_least")
    _dots(axes, {k: 100 * v for k, v in shares.items()}, style.SERIES[0])
    if least:
        axes.axvline(100 * least, color=style.SERIES[1], linestyle="--", linewidth=1.2)
    axes.set(title=f"What is shown ({what})", xlabel="accuracy, %")


def _probe(axes: Axes, check: dict[str, Any]) -> None:
    probe = check.get("probe", {})
    names = {
        "top1": "motion, top-1",
        "top1_pairs_merged": "kind of motion",
        "within_pairs": "within pairs",
    }
    _dots(axes, {text: 100 * probe[k] for k, text in names.items() if k in probe}, style.SERIES[2])
    if "chance" in probe:
        low, high = (100 * x for x in probe["chance"])
        axes.axvspan(low, high, color=style.LINE, alpha=0.7, linewidth=0)
        sure = check.get("thresholds", {}).get("confidence")
        text = "chance" + (f" ({100 * sure:g} %)" if sure else "")
        look = {"va": "bottom", "fontsize": 8, "color": style.MUTED}
        axes.text(high + 1.5, axes.get_ylim()[0] - 0.2, text, **look)
    axes.set(title=f"How it moves (probe, {probe.get('n', '?')} clips)", xlabel="accuracy, %")


def _dots(axes: Axes, values: dict[str, float], colour: str) -> None:
    for y, x in enumerate(values.values()):
        axes.plot([0, x], [y, y], color=colour, linewidth=1.4, alpha=0.5)
        axes.plot(x, y, "o", color=colour, markersize=6)
        place = {"ha": "right", "x": 86} if x > 80 else {"ha": "left", "x": x + 2.5}
        axes.text(y=y - 0.24, s=f"{x:.1f}", va="center", fontsize=8, color=style.INK, **place)
    axes.set_yticks(range(len(values)), values)
    axes.set(xlim=(0, 103), ylim=(len(values) - 0.4, -0.65))
    axes.grid(axis="y", visible=False)
