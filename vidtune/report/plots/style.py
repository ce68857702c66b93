"""How plots look, and how one becomes part of the page and of a paper.

A figure is as wide as the text of a two-column paper, its letters are 6.5 to 8 points high there.
Colours are Okabe and Ito's, which the colour blind can distinguish; shapes or labels repeat what
they say. Inside the page every colour becomes a CSS variable, so that plots follow light and dark.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable
from html import escape
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from vidtune.plan.registry import method_names

INK, MUTED, LINE, PAPER = "#1d2430", "#5c6573", "#d5dae1", "#fefefe"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#c2609a", "#b58200", "#3f9bd1", "#7d7f86")
MARKERS = "osD^vPX*oDs^vph8<>"  # those from `FILLED` on are hollow
FILLED = 8
DASHES = ("-", "--", ":", "-.")
LINES = {"chance": ":", "linear probe": "--", "appearance oracle": "-."}  # of references
VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", PAPER: "--card"}
VARIABLES |= {colour: f"--s{k}" for k, colour in enumerate(SERIES)}
WIDTH = 7.0  # inches: the text of a two-column paper
TITLE = 0.28  # inches kept for the title, which a PDF leaves out
DPI = 200
SMALL = 6.5  # points
LETTER = 0.56  # width of a letter on average, of its size
RC: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 7.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "figure.facecolor": PAPER,
    "figure.labelsize": 7.5,
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "vidtune",
    "text.color": INK,
    "text.parse_math": False,
    **{f"{axis}tick.color": LINE for axis in "xy"},
    **{f"{axis}tick.labelcolor": MUTED for axis in "xy"},
    **{f"{axis}tick.labelsize": 7 for axis in "xy"},
    **{f"{axis}tick.minor.size": 0 for axis in "xy"},
}

Facts = dict[str, Any]  # one line of a figure's data file


class Drawn(NamedTuple):
    """A figure with its title (a finding or a question), what a reader must know, and what it draws:
    a line of its data file for every mark."""

    figure: Figure
    title: str
    caption: str
    data: list[Facts]
    alt: str  # what kind of picture it is, for those who do not see it
    extra: str = ""  # HTML that stands above it on the page


class Plot(NamedTuple):
    name: str
    title: str
    caption: str
    alt: str
    svg: str
    png: bytes
    pdf: bytes
    csv: str
    extra: str = ""


def look(k: int) -> dict[str, Any]:
    """Colour and marker of the k-th series."""
    colour, marker = SERIES[k % len(SERIES)], MARKERS[k % len(MARKERS)]
    return {
        "color": colour,
        "marker": marker,
        "markerfacecolor": colour if k % len(MARKERS) < FILLED else PAPER,
        "markeredgecolor": colour,
    }


def method_look(method: str) -> dict[str, Any]:
    """Colour and marker of a method, the same in all plots."""
    return look(method_names().index(method))


def canvas(panels: int, height: float, across: int = 3, **kw: Any) -> tuple[Figure, list[Axes]]:
    """A figure with its panels in reading order, `height` inches for each row of them and its
    labels; pyplot knows nothing of it."""
    columns = min(across, panels)
    rows = math.ceil(panels / columns)
    high = TITLE + rows * height
    room = ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - TITLE / high))
    figure = Figure(figsize=(WIDTH, high), layout=room)
    axes = figure.subplots(rows, columns, squeeze=False, **kw)
    for spare in axes.flat[panels:]:
        spare.set_visible(False)
    return figure, list(axes.flat[:panels])


def reference_lines(line: Callable[..., Any], values: dict[str, float]) -> None:
    """Draw a line for each reference with `axhline` or `axvline`; the legend names them."""
    for name, value in values.items():
        dashes = LINES.get(name, (0, (7, 2)))
        line(value, color=MUTED, linewidth=1.0, linestyle=dashes, label=name, zorder=1)


def legend(figure: Figure, axes: Iterable[Axes]) -> None:
    """One legend for all panels, below them, in as many columns as fit; a label stands once."""
    handles = {h: k for p in axes for k, h in zip(*p.get_legend_handles_labels(), strict=True)}
    if not handles:
        return
    one = max(map(len, handles)) * LETTER * RC["legend.fontsize"] / 72 + 0.5  # inches
    columns = max(1, min(6, int(WIDTH / one)))
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns)


def log_scale(axes: Axes, which: str, few: bool = False) -> None:
    """Make an axis logarithmic over its limits, with plain numbers at round places; `few`: in a narrow
    panel."""
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    low, high = axis.get_view_interval()
    if high / low < 4:
        axis.set_major_locator(MaxNLocator(3))
    else:
        wide, close, far = (30, (1, 3), (1,)) if few else (100, (1, 2, 5), (1, 3))
        axis.set_major_locator(LogLocator(subs=close if high / low < wide else far))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}" if x >= 1 else f"{x:g}"))
    axis.set_minor_locator(NullLocator())


def spread(wanted: list[float], heights: list[float], top: float = 1.0) -> list[float]:
    """Centres of labels in ascending order of `wanted`, moved as little as needed for none to touch
    the next; they end below `top` if there is room for all."""
    at: list[float] = []
    for k, (y, h) in enumerate(zip(wanted, heights, strict=True)):
        least = at[-1] + (heights[k - 1] + h) / 2 if at else h / 2
        at.append(max(y, least))
    for k in reversed(range(len(at))):
        at[k] = min(at[k], top - heights[k] / 2)
        top = at[k] - heights[k] / 2
    return at


def export(name: str, drawn: Drawn) -> Plot:
    """The figure with its title as SVG and PNG, without it as PDF, and its data; under `RC`."""
    figure = drawn.figure
    high = figure.get_figheight()
    font = {"fontsize": 9, "fontweight": "bold", "color": INK, "ha": "left", "va": "top"}
    title = figure.suptitle(drawn.title, x=0.008, y=1 - 0.06 / high, **font)
    figure.dpi = DPI
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, not once per format
    for axes in figure.axes:  # the solver's last digits differ from one time to the next
        axes.set_position([round(x, 5) for x in axes.get_position().bounds])
    svg, png, pdf = io.StringIO(), io.BytesIO(), io.BytesIO()
    # the canvases directly: savefig draws everything twice
    FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
    FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})
    title.set_visible(False)
    below = Bbox([[0, 0], [WIDTH, high - TITLE]])
    unsigned = {"CreationDate": None, "Creator": None, "Producer": None}
    FigureCanvasPdf(figure).print_figure(pdf, format="pdf", bbox_inches=below, metadata=unsigned)
    return Plot(
        name,
        drawn.title,
        drawn.caption,
        drawn.alt,
        svg.getvalue(),
        png.getvalue(),
        pdf.getvalue(),
        to_csv(drawn.data),
        drawn.extra,
    )


def to_csv(data: list[Facts]) -> str:
    """The data as text; a column for every key, empty where a line has none."""
    out = io.StringIO()
    columns = list(dict.fromkeys(key for line in data for key in line))
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(data)
    return out.getvalue()


def inline(plot: Plot) -> str:
    """The SVG for the page: unique ids, theme colours, the page's own typeface, no metadata."""
    svg = plot.svg[plot.svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r'\bid="|url\(#|xlink:href="#', rf"\g<0>{plot.name}-", svg)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", svg)
    for value, variable in VARIABLES.items():
        svg = svg.replace(value, f"var({variable})")
    label = escape(f"{plot.title}. {plot.alt}", quote=True)
    return plot.extra + svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
