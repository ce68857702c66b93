"""Plots of GFLOPs and tokens, which are counted at the papers' full size."""

import math
import textwrap

from matplotlib.axes import Axes

from vidtune.plan import Plan
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row
from vidtune.report.plots import style
from vidtune.report.plots.style import Drawn


def gflops(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """Printed against counted GFLOPs, and how far apart they are."""
    ours, printed = (
        {r.variant: r.value for r in rows if r.metric == "gflops" and r.source == source}
        for source in ("ours", "paper")
    )
    fitted = {name for name, v in plan.variants.items() if "gflops" in v.fitted}
    pairs = {v: (printed[v], ours[v]) for v in printed if v in ours and v not in fitted}
    if not pairs:
        return "no variant has both a printed and a counted number of GFLOPs yet"
    bound = plan.config.metrics["gflops"].within or 0.0
    figure, (left, right) = style.canvas(2, max(3.1, 0.27 * len(pairs) + 1.0))
    low, high = min(map(min, pairs.values())) * 0.7, max(map(max, pairs.values())) * 1.4
    left.plot([low, high], [low, high], color=style.MUTED, linewidth=0.9)
    papers = list(dict.fromkeys(v.split("/")[0] for v in pairs))
    for k, paper in enumerate(papers):
        mine = [p for v, p in pairs.items() if v.startswith(f"{paper}/")]
        look = {**style.look(k), "linestyle": "none", "markersize": 6}
        left.plot(*zip(*mine, strict=True), label=paper, **look)
    left.set(xlim=(low, high), ylim=(low, high), title="On the diagonal: equal")
    style.log_scale(left, "x")
    style.log_scale(left, "y")
    left.set(xlabel="printed, GMACs of all views", ylabel="counted, GMACs of all views")
    left.legend(loc="upper left")
    _deviations(right, pairs, papers, bound)
    off = sum(abs(b / a - 1) > bound for a, b in pairs.values())
    met = f"{len(pairs) - off} of {len(pairs)} printed GFLOPs are met within {bound:.1%}"
    caption = (
        "GFLOPs are multiply-accumulates of the vision side, counted at the papers' full size. "
        f"Right: counted minus printed, in percent of print; the band is ±{bound:.1%}."
    )
    return Drawn(figure, met.replace("%", " %"), caption.replace("%.", " %."))


def _deviations(
    axes: Axes, pairs: dict[str, tuple[float, float]], papers: list[str], bound: float
) -> None:
    """One row per variant: counted minus printed in percent."""
    axes.axvspan(-100 * bound, 100 * bound, color=style.LINE, alpha=0.6, linewidth=0)
    axes.axvline(0, color=style.MUTED, linewidth=0.9)
    for y, (name, (a, b)) in enumerate(pairs.items()):
        look = style.look(papers.index(name.split("/")[0]))
        x = 100 * (b / a - 1)
        axes.plot([0, x], [y, y], color=look["color"], linewidth=1.2)
        axes.plot(x, y, **look, markersize=6)
    axes.set_yticks(range(len(pairs)), [name.split("/")[1] for name in pairs])
    reach = max(200 * bound, *(110 * abs(b / a - 1) for a, b in pairs.values()))
    axes.set(xlim=(-reach, reach), ylim=(len(pairs) - 0.4, -0.6), xlabel="counted - printed, %")
    axes.locator_params(axis="x", nbins=5)
    axes.set_title("How far off")
    axes.grid(axis="y", visible=False)


def tokens(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """Tokens of a video after each layer of the retrieval models, one panel per backbone."""
    variants: dict[str, dict[tuple[int, ...], list[str]]] = {}  # by backbone and token counts
    for name, counts in outcomes.tokens.items():
        model = plan.models[name]
        if model.task == "retrieval":
            curves = variants.setdefault(model.backbone.name, {})
            curves.setdefault(tuple(counts), []).append(name.split("/")[1])
    if not variants:
        return "no retrieval model has been counted yet"
    labels = {
        backbone: {counts: textwrap.fill(", ".join(names), 46) for counts, names in curves.items()}
        for backbone, curves in variants.items()
    }
    lines = [sum(n.count("\n") + 1 for n in curves.values()) for curves in labels.values()]
    high = [max(2.2, 0.9 + 0.185 * n) for n in lines]  # inches, for the legend
    ratios = {"sharey": True, "height_ratios": high}
    figure, axes = style.canvas(len(high), sum(high) / len(high), across=1, **ratios)
    for panel, (backbone, curves) in zip(axes, labels.items(), strict=True):
        _token_panel(panel, backbone, curves)
    last = [counts[-1] for curves in labels.values() for counts in curves]
    title = f"How many tokens leave each layer: {max(last):,} down to {min(last):,} in the end"
    caption = (
        "Sequences x tokens of one video at full size, counted on the meta device; 0 is what "
        "enters the first layer. Variants with the same counts share a line."
    )
    return Drawn(figure, title, caption)


def _token_panel(axes: Axes, backbone: str, curves: dict[tuple[int, ...], str]) -> None:
    order = sorted(curves, key=lambda c: -c[-1])
    for k, counts in enumerate(order):
        axes.plot(
            range(len(counts)),
            counts,
            drawstyle="steps-mid",
            linewidth=1.8,
            markersize=3.5,
            **style.look(k),
            label=f"{counts[-1]:,}: {curves[counts]}",
        )
    depth = max(len(c) for c in order) - 1
    style.log_scale(axes, "y")
    axes.set(title=backbone, xlabel="layer of the vision tower", xlim=(-0.5, depth + 0.5))
    axes.set_xticks(range(0, depth + 1, max(1, math.ceil(depth / 12))))
    axes.set_ylabel("tokens of one video")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1.05), title="tokens in the end")
