"""How plots look, and how one becomes part of the page.

Colours are Okabe and Ito's, which the colour blind can distinguish; shapes or labels repeat what
they say. Inside the page every colour becomes a CSS variable, so that plots follow light and dark.
"""

import io
import math
import re
from collections.abc import Callable
from html import escape
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

INK, MUTED, LINE, PAPER = "#1d2430", "#5c6573", "#d5dae1", "#fefefe"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#c2609a", "#b58200", "#3f9bd1", "#7d7f86")
MARKERS = "osD^vPX"
LINES = {"chance": ":", "linear probe": "--", "appearance oracle": "-."}  # of references
VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", PAPER: "--card"}
VARIABLES |= {colour: f"--s{k}" for k, colour in enumerate(SERIES)}
WIDTH = 8.4  # inches
TITLE = 0.32  # inches kept for the title
RC: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "figure.facecolor": PAPER,
    "figure.labelsize": 9,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "vidtune",
    "text.color": INK,
    "text.parse_math": False,
    **{f"{axis}tick.color": LINE for axis in "xy"},
    **{f"{axis}tick.labelcolor": MUTED for axis in "xy"},
    **{f"{axis}tick.labelsize": 8.5 for axis in "xy"},
    **{f"{axis}tick.minor.size": 0 for axis in "xy"},
}


class Drawn(NamedTuple):
    """A figure with its title (a finding or a question) and what a reader must know."""

    figure: Figure
    title: str
    caption: str


class Plot(NamedTuple):
    name: str
    title: str
    caption: str
    svg: str
    png: bytes


def look(k: int) -> dict[str, str]:
    """Colour and marker of the k-th series."""
    return {"color": SERIES[k % len(SERIES)], "marker": MARKERS[k % len(MARKERS)]}


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
        line(value, color=MUTED, linewidth=1.1, linestyle=dashes, label=name, zorder=1)


def legend(figure: Figure, axes: list[Axes]) -> None:
    """One legend for all panels, below them; a label stands once."""
    handles = {h: k for p in axes for k, h in zip(*p.get_legend_handles_labels(), strict=True)}
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=6)


def log_scale(axes: Axes, which: str) -> None:
    """Make an axis logarithmic over its limits, with plain numbers at few round places."""
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1, 3)))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axis.set_minor_locator(NullLocator())


def export(name: str, drawn: Drawn) -> Plot:
    """The figure with its title as SVG and PNG, under `RC`."""
    font = {"fontsize": 11, "fontweight": "bold", "color": INK, "ha": "left", "va": "top"}
    drawn.figure.suptitle(drawn.title, x=0.008, y=1 - 0.08 / drawn.figure.get_figheight(), **font)
    drawn.figure.dpi = 150
    drawn.figure.draw_without_rendering()
    drawn.figure.set_layout_engine("none")  # laid out once, not once per format
    svg, png = io.StringIO(), io.BytesIO()
    # the canvases directly: savefig draws everything twice
    FigureCanvasAgg(drawn.figure).print_png(png, metadata={"Software": None})
    FigureCanvasSVG(drawn.figure).print_svg(svg, metadata={"Date": None, "Creator": None})
    return Plot(name, drawn.title, drawn.caption, svg.getvalue(), png.getvalue())


def inline(plot: Plot) -> str:
    """The SVG for the page: unique ids, theme colours, the page's own typeface, no metadata."""
    svg = plot.svg[plot.svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r'\bid="|url\(#|xlink:href="#', rf"\g<0>{plot.name}-", svg)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", svg)
    for value, variable in VARIABLES.items():
        svg = svg.replace(value, f"var({variable})")
    label = escape(f"{plot.title}. {plot.caption}", quote=True)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
