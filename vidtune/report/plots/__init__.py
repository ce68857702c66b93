"""The report's plots: each is drawn if its data exists, else a reason takes its place."""

import matplotlib

from vidtune.plan import Plan
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row
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
    plan: Plan, rows: list[Row], outcomes: Outcomes
) -> tuple[dict[str, style.Plot], dict[str, str]]:
    """Plots by name, and for each of the others the reason why it is absent."""
    with matplotlib.rc_context(style.RC):
        drawn = {name: plot(plan, rows, outcomes) for name, plot in PLOTS.items()}
        made = {name: style.export(name, d) for name, d in drawn.items() if not isinstance(d, str)}
    return made, {name: reason for name, reason in drawn.items() if isinstance(reason, str)}
