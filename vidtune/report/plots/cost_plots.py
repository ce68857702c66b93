"""Plots of GFLOPs and tokens, which are counted at the papers' full size."""

import math
import textwrap

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import offset_copy

from vidtune.plan import Plan
from vidtune.report import verdicts
from vidtune.report.cells import printed_digits
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row
from vidtune.report.plots import style
from vidtune.report.plots.style import Drawn, Facts

METRICS = {"gflops": 1.0, "tflops": 1000.0}  # printed -> GMACs of one of it
ROW = 0.135  # inches
TICKS = (-10, -1, 0, 1, 10)  # percent
LABEL = 44  # letters of a line
LABEL_LINE, AROUND = 0.118, 0.62  # inches: a line of a label; a panel's title and axis
BESIDE = 12  # points from a panel to its labels


def gflops(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """Printed against counted GFLOPs, of all views and of one, and how far apart they are."""
    data = _counted(plan, rows)
    if not data:
        return "no variant has both a printed and a counted number of GFLOPs yet"
    by_metric = {m: [d for d in data if d["metric"] == m] for m in METRICS}
    shown = [found for found in by_metric.values() if found]
    height = max(3.0, ROW * max(map(len, shown)) + 0.75)
    figure, (left, *others) = style.canvas(
        1 + len(shown), height, width_ratios=[1.0, *[0.62] * len(shown)]
    )
    papers = list(dict.fromkeys(d["paper"] for d in data))
    _diagonal(left, data, papers)
    for panel, found in zip(others, shown, strict=True):
        _deviations(panel, found, papers)
    style.legend(figure, [left])
    met = sum(d["verdict"] == "match" for d in data)
    worst = max(data, key=lambda d: abs(d["off_percent"]))
    off = f"{worst['off_percent']:+.0f} % off at most"
    title = f"{met} of {len(data)} printed GFLOPs and TFLOPs are met; the others are {off}"
    caption = (
        "Multiply-accumulates of the vision side, counted at the papers' full size: GFLOPs of all "
        "views as Table 2 and TempMe's tables print them, TFLOPs of one view as Tables 4 and 5 do. "
        "Right: counted minus printed in percent of print, linear within 1 %; grey: the bound inside "
        "which a count is a match, for TFLOPs one unit of print's last digit. Why a cell is off "
        "stands beside it in its table."
    )
    return Drawn(figure, title, caption, data, "Scatter plot, and a dot plot with a row a cell.")


def _counted(plan: Plan, rows: list[Row]) -> list[Facts]:
    """Every published cell that is counted too, once where tables repeat it."""
    found: dict[tuple[str, str], Facts] = {}
    for cell in verdicts.cells(plan, rows):
        if cell.metric not in METRICS or cell.ours is None or cell.variant not in plan.variants:
            continue
        if cell.metric in plan.variants[cell.variant].fitted or not float(cell.print):
            continue
        assert cell.numbers
        factor, printed = METRICS[cell.metric], float(cell.print)
        within = plan.config.metrics[cell.metric].within
        last_digit = 10.0 ** -printed_digits(cell.print)
        facts = {
            "paper": cell.variant.split("/")[0],
            "variant": cell.row,
            "where": cell.numbers.where,
            "metric": cell.metric,
            "printed_gmacs": printed * factor,
            "counted_gmacs": cell.ours * factor,
            "off_percent": 100 * (cell.ours / printed - 1),
            "bound_percent": 100 * (last_digit / printed if within is None else within),
            "verdict": cell.verdict,
        }
        found.setdefault((cell.variant, cell.metric), facts)
    return list(found.values())


def _diagonal(axes: Axes, data: list[Facts], papers: list[str]) -> None:
    both = [d[k] for d in data for k in ("printed_gmacs", "counted_gmacs")]
    low, high = min(both) * 0.7, max(both) * 1.4
    axes.plot([low, high], [low, high], color=style.MUTED, linewidth=0.8)
    for k, paper in enumerate(papers):
        for metric, fill in zip(METRICS, (True, False), strict=True):
            mine = [d for d in data if (d["paper"], d["metric"]) == (paper, metric)]
            if not mine:
                continue
            look = {**style.look(k), "linestyle": "none", "markersize": 5}
            look |= {} if fill else {"markerfacecolor": style.PAPER}
            views = "all views" if fill else "one view"
            x, y = ([d[key] for d in mine] for key in ("printed_gmacs", "counted_gmacs"))
            axes.plot(x, y, **look, label=f"{paper}, {views}")
    axes.set(xlim=(low, high), ylim=(low, high), title="On the diagonal: equal")
    style.log_scale(axes, "x", few=True)
    style.log_scale(axes, "y", few=True)
    axes.set(xlabel="printed, GMACs", ylabel="counted, GMACs")


def _deviations(axes: Axes, data: list[Facts], papers: list[str]) -> None:
    """One row per cell: counted minus printed in percent."""
    axes.set_xscale("symlog", linthresh=1, linscale=0.8)
    for y, d in enumerate(data):
        look, x, bound = style.look(papers.index(d["paper"])), d["off_percent"], d["bound_percent"]
        if d["metric"] == "tflops":
            look["markerfacecolor"] = style.PAPER
        axes.plot([-bound, bound], [y, y], color=style.LINE, linewidth=6, solid_capstyle="butt")
        axes.plot([0, x], [y, y], color=look["color"], linewidth=1.0)
        axes.plot(x, y, **look, markersize=4.5)
        if d["verdict"] != "match":
            text = f"{x:+.1f} %" if abs(x) < 9.95 else f"{x:+.0f} %"
            look = {"va": "center", "fontsize": style.SMALL, "xytext": (5, 0)}
            axes.annotate(text, (max(x, bound), y), textcoords="offset points", **look)
    axes.axvline(0, color=style.MUTED, linewidth=0.8)
    names = [d["variant"] for d in data]
    axes.set_yticks(range(len(data)), names, fontsize=style.SMALL)
    reach = 4 * max(2.0, *(abs(d["off_percent"]) for d in data))
    axes.set(xlim=(-reach, reach), ylim=(len(data) - 0.4, -0.6), xlabel="counted - printed, %")
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    whole = data[0]["metric"] == "gflops"
    axes.set_title("GFLOPs, all views" if whole else "TFLOPs, one view")
    axes.grid(axis="y", visible=False)


def tokens(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """Tokens of a video after each layer of the retrieval models, one panel per backbone."""
    variants: dict[str, dict[tuple[int, ...], list[str]]] = {}  # by backbone and token counts
    data: list[Facts] = []
    for name, counts in outcomes.tokens.items():
        model = plan.models[name]
        if model.task != "retrieval":
            continue
        curves = variants.setdefault(model.backbone.name, {})
        curves.setdefault(tuple(counts), []).append(name.split("/")[1])
        head = {"backbone": model.backbone.name, "variant": name}
        data += [{**head, "layer": k, "tokens": n} for k, n in enumerate(counts)]
    if not variants:
        return "no retrieval model has been counted yet"
    labels = {
        backbone: {
            counts: textwrap.wrap(f"{counts[-1]:,}: {', '.join(names)}", LABEL)
            for counts, names in curves.items()
        }
        for backbone, curves in variants.items()
    }
    lines = [sum(map(len, curves.values())) for curves in labels.values()]
    high = [max(0.85, LABEL_LINE * n) for n in lines]  # inches, for the labels
    figure, axes = style.canvas(
        len(high), sum(high) / len(high) + AROUND, across=1, height_ratios=high
    )
    for panel, inches, (backbone, curves) in zip(axes, high, labels.items(), strict=True):
        _token_panel(panel, backbone, curves, inches)
    last = [counts[-1] for curves in labels.values() for counts in curves]
    title = f"How many tokens leave each layer: {max(last):,} down to {min(last):,} in the end"
    caption = (
        "Sequences x tokens of one video at full size, counted on the meta device; 0 is what "
        "enters the first layer. Right: tokens after the last layer, and the variants of the line; "
        "variants with the same counts share one."
    )
    return Drawn(figure, title, caption, data, "Step curves that fall from left to right.")


def _token_panel(
    axes: Axes, backbone: str, curves: dict[tuple[int, ...], list[str]], inches: float
) -> None:
    """The curves, and on their right the labels of all, in the order of their ends."""
    order = sorted(curves, key=lambda c: c[-1])
    depth = max(len(c) for c in order) - 1
    for k, counts in enumerate(reversed(order)):
        look = style.look(k)
        axes.plot(
            range(len(counts)), counts, drawstyle="steps-mid", linewidth=1.4, markersize=3, **look
        )
    axes.set(title=backbone, xlabel="layer of the vision tower", xlim=(-0.5, depth + 0.5))
    style.log_scale(axes, "y")
    axes.set_xticks(range(0, depth + 1, max(1, math.ceil(depth / 12))))
    axes.set_ylabel("tokens of one video")
    low, high = (math.log(y) for y in axes.get_ylim())
    ends = [(math.log(c[-1]) - low) / (high - low) for c in order]
    heights = [(len(curves[c]) * LABEL_LINE + 0.01) / inches for c in order]
    beside = offset_copy(axes.transAxes, axes.get_figure(), x=BESIDE, units="points")
    for k, (counts, end, at) in enumerate(
        zip(order, ends, style.spread(ends, heights, top=1.0), strict=True)
    ):
        colour = style.look(len(order) - 1 - k)["color"]
        axes.annotate(
            "\n".join(curves[counts]),
            xy=(1.0, end),
            xytext=(1.0, at),
            xycoords="axes fraction",
            textcoords=beside,
            fontsize=style.SMALL,
            va="center",
            linespacing=1.15,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 1.0,
                "shrinkA": 0,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )
