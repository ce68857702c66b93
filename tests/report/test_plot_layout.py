"""Figures keep their words apart and within the page, and their files are fit for a paper."""

import re
from itertools import combinations

import matplotlib
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from vidtune.plan import Plan
from vidtune.report import plots
from vidtune.report.numbers import result_files
from vidtune.report.numbers.rows import rows_from_csv
from vidtune.report.plots import style


@pytest.fixture(scope="module")
def figures(made: Plan) -> dict[str, Figure]:
    """Every figure, laid out as in its file."""
    rows = rows_from_csv(made.root / "rows.csv")
    outcomes, out = result_files.read_outcomes(made), {}
    with matplotlib.rc_context(style.RC):
        for name, plot in plots.PLOTS.items():
            drawn = plot(made, rows, outcomes)
            style.export(name, drawn)
            FigureCanvasAgg(drawn.figure)
            drawn.figure.dpi = style.DPI  # of the layout, at which letters are measured
            drawn.figure.draw_without_rendering()
            out[name] = drawn.figure
    return out


def boxes(figure: Figure, artists: list) -> list[Bbox]:
    renderer = figure.canvas.get_renderer()
    return [artist.get_window_extent(renderer) for artist in artists]


def overlap(a: Bbox, b: Bbox) -> bool:
    """Whether two boxes share more than a pixel."""
    wide, high = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
    return wide > 1 and high > 1


def visible(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible()]


def words(figure: Figure) -> list:
    """Legends, titles, labels of ticks and axes, and texts that stand in the panels."""
    out = [*figure.legends, *figure.texts]
    for axes in visible(figure):
        out += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        out += filter(None, [axes.get_legend()])
    return [a for a in out if a.get_visible() and (not hasattr(a, "get_text") or a.get_text())]


@pytest.mark.parametrize("name", plots.PLOTS)
def test_nothing_is_cut_off(figures, name):
    figure = figures[name]
    whole = figure.bbox
    for artist, box in zip(words(figure), boxes(figure, words(figure)), strict=True):
        inside = whole.x0 - 1 <= box.x0 and box.x1 <= whole.x1 + 1
        inside &= whole.y0 - 1 <= box.y0 and box.y1 <= whole.y1 + 1
        assert inside, (artist, box, whole)


@pytest.mark.parametrize("name", plots.PLOTS)
def test_no_legend_covers_a_panel_or_another_text(figures, name):
    figure = figures[name]
    legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in visible(figure)))]
    renderer = figure.canvas.get_renderer()
    parts = (part for axes in visible(figure) for part in (axes.patch, axes.xaxis, axes.yaxis))
    panels = [part.get_tightbbox(renderer) for part in parts]
    others = [a for a in words(figure) if a not in legends]
    for legend, box in zip(legends, boxes(figure, legends), strict=True):
        assert not any(overlap(box, panel) for panel in panels if panel), legend
        found = zip(others, boxes(figure, others), strict=True)
        assert not [(a, b, box) for a, b in found if overlap(box, b)], legend
    for a, b in combinations(boxes(figure, legends), 2):
        assert not overlap(a, b)


@pytest.mark.parametrize("name", ["tokens", "accuracy"])
def test_labels_of_curves_and_points_stand_apart(figures, name):
    figure = figures[name]
    for axes in visible(figure):
        texts = [t for t in axes.texts if isinstance(t, Annotation)]
        plain = [Bbox.union([b]) for b in boxes(figure, [strip(t) for t in texts])]
        for a, b in combinations(plain, 2):
            assert not overlap(a, b)
        if name == "tokens":
            assert texts and not any(overlap(b, axes.get_window_extent()) for b in plain)


def strip(annotation: Annotation) -> "Words":
    return Words(annotation)


class Words:
    """An annotation without its line."""

    def __init__(self, annotation: Annotation) -> None:
        self.annotation = annotation

    def get_window_extent(self, renderer) -> Bbox:
        self.annotation.update_positions(renderer)
        return matplotlib.text.Text.get_window_extent(self.annotation, renderer)


def test_pdfs_hold_fonts_and_no_title(made):
    data = (made.root / "plots" / "gflops.pdf").read_bytes()
    width, height = map(float, re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", data).groups())
    assert width == pytest.approx(72 * style.WIDTH) and b"/FontFile2" in data
    svg = (made.root / "plots" / "gflops.svg").read_text(encoding="utf-8")
    high = float(re.search(r'height="([\d.]+)pt"', svg)[1])
    assert height == pytest.approx(high - 72 * style.TITLE, abs=0.1)


def test_pngs_are_of_200_dots_an_inch(made):
    data = (made.root / "plots" / "accuracy.png").read_bytes()
    assert int.from_bytes(data[16:20]) == round(style.DPI * style.WIDTH) == 1400


def test_colours_of_the_page_follow_its_theme(made):
    page = (made.root / "report.html").read_text(encoding="utf-8")
    figures = re.findall(r'<figure id="plot-.*?</figure>', page, re.S)
    assert len(figures) == len(plots.PLOTS)
    for figure in figures:
        drawn = re.sub(r"<image.*?>|data:image.*?\"", "", figure, flags=re.S)
        plain = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", drawn))
        assert plain <= {"#ffffff"}, plain  # numbers and lines over video frames


@pytest.mark.parametrize("name", plots.PLOTS)
def test_titles_and_axis_labels_stand_apart(figures, name):
    """Of panels and of the figure."""
    figure = figures[name]
    texts = [*figure.texts]
    for axes in visible(figure):
        texts += [axes._left_title, axes.xaxis.label, axes.yaxis.label]
    texts = [text for text in texts if text.get_text() and text.get_visible()]
    named = zip(texts, boxes(figure, texts), strict=True)
    for (a, box), (b, other) in combinations(named, 2):
        assert not overlap(box, other), (a, b)
