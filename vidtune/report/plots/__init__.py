"""The report's plots: each is drawn if its data exists, else a reason takes its place."""

import textwrap
from collections.abc import Iterable

from vidtune.report.plots.library import matplotlib  # isort: skip  # before all that import it

from vidtune.plan import Plan
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row
from vidtune.report.outputs import PLOT_FORMS
from vidtune.report.plots import (
    ablation_plot,
    accuracy_plot,
    cost_plots,
    look_plots,
    memory_plots,
    pareto,
    premise_plot,
    published_plots,
    share_plot,
    style,
    training_plot,
)

PLOTS = {
    "premise": premise_plot.premise,
    "gflops": cost_plots.gflops,
    "tokens": cost_plots.tokens,
    "memory": memory_plots.by_backbone,
    "memory-phases": memory_plots.by_phase,
    "pareto": pareto.pareto,
    "accuracy": accuracy_plot.accuracy,
    "tradeoff": published_plots.tradeoff,
    "ablations": ablation_plot.ablations,
    "sensitivity": published_plots.sensitivity,
    "shares": share_plot.shares,
    "classes": look_plots.classes,
    "attention": look_plots.attention,
    "merges": look_plots.merges,
    "training": training_plot.training,
}


def draw(
    plan: Plan, rows: list[Row], outcomes: Outcomes, names: Iterable[str] = tuple(PLOTS)
) -> tuple[dict[str, style.Plot], dict[str, str]]:
    """The plots of `names`, and for each of them that is absent the reason."""
    with matplotlib.rc_context(style.RC):
        drawn = {name: PLOTS[name](plan, rows, outcomes) for name in names}
        made = {name: style.export(name, d) for name, d in drawn.items() if not isinstance(d, str)}
    return made, {name: reason for name, reason in drawn.items() if isinstance(reason, str)}


def files(made: dict[str, style.Plot], absent: dict[str, str]) -> dict[str, bytes]:
    """File name -> content of each plot; that of an absent one says why it is."""
    with matplotlib.rc_context(style.RC):
        said = {name: style.export(name, _say(name, why)) for name, why in absent.items()}
    out = {}
    for name, plot in (made | said).items():
        content = (plot.svg.encode(), plot.pdf, plot.png, plot.csv.encode())
        out |= {f"{name}.{form}": c for form, c in zip(PLOT_FORMS, content, strict=True)}
    return out


def _say(name: str, reason: str) -> style.Drawn:
    figure, (axes,) = style.canvas(1, 0.8)
    axes.set_axis_off()
    axes.text(0, 0.5, textwrap.fill(reason, 110), va="center")
    title = f"No plot of {name}"
    return style.Drawn(figure, title, "", [{"not drawn": reason}], "A line of text.")
