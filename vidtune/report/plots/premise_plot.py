"""Plot of the premise: the small CLIP knows what a video shows, and not which way it moves."""

from typing import Any

from matplotlib.axes import Axes

from vidtune.plan import Plan
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row
from vidtune.report.plots import style
from vidtune.report.plots.style import Drawn, Facts

PROBE = {
    "top1": "motion, top-1",
    "top1_pairs_merged": "kind of motion",
    "within_pairs": "within pairs",
}


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
    figure, axes = style.canvas(2 * len(checks), 2.0, across=2)
    data: list[Facts] = []
    for k, ((backbone, task), check) in enumerate(checks.items()):
        _attributes(axes[2 * k], check, f"{backbone}, frames of {task}")
        _probe(axes[2 * k + 1], check)
        probe = check.get("probe", {})
        seen = {
            "zero-shot": check.get("zero_shot", {}),
            "probe": {n: probe[n] for n in PROBE if n in probe},
        }
        data += [
            {"backbone": backbone, "task": task, "by": by, "of": name, "percent": 100 * share}
            for by, shares in seen.items()
            for name, share in shares.items()
        ]
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
    return Drawn(figure, title, caption, data, "Dot plots of accuracies in percent.")


def _attributes(axes: Axes, check: dict[str, Any], what: str) -> None:
    shares = check.get("zero_shot", {})
    least = check.get("thresholds", {}).get("appearance_at_least")
    _dots(axes, {k: 100 * v for k, v in shares.items()}, style.SERIES[0])
    if least:
        axes.axvline(100 * least, color=style.SERIES[1], linestyle="--", linewidth=1.1)
    axes.set(title=f"What is shown ({what})", xlabel="accuracy, %")


def _probe(axes: Axes, check: dict[str, Any]) -> None:
    probe = check.get("probe", {})
    _dots(axes, {text: 100 * probe[k] for k, text in PROBE.items() if k in probe}, style.SERIES[2])
    if "chance" in probe:
        low, high = (100 * x for x in probe["chance"])
        axes.axvspan(low, high, color=style.LINE, alpha=0.7, linewidth=0)
        sure = check.get("thresholds", {}).get("confidence")
        text = "chance" + (f" ({100 * sure:g} %)" if sure else "")
        look = {"va": "bottom", "fontsize": style.SMALL, "color": style.MUTED}
        axes.text(high + 1.5, axes.get_ylim()[0] - 0.2, text, **look)
    axes.set(title=f"How it moves (probe, {probe.get('n', '?')} clips)", xlabel="accuracy, %")


def _dots(axes: Axes, values: dict[str, float], colour: str) -> None:
    for y, x in enumerate(values.values()):
        axes.plot([0, x], [y, y], color=colour, linewidth=1.3, alpha=0.5)
        axes.plot(x, y, "o", color=colour, markersize=5)
        place = {"ha": "right", "x": 86} if x > 80 else {"ha": "left", "x": x + 2.5}
        text = {"va": "center", "fontsize": style.SMALL, "color": style.INK}
        axes.text(y=y - 0.27, s=f"{x:.1f}", **text, **place)
    axes.set_yticks(range(len(values)), values)
    axes.set(xlim=(0, 103), ylim=(len(values) - 0.4, -0.7))
    axes.grid(axis="y", visible=False)
