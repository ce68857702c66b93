"""The report's plots: each is drawn if its data exists, else a reason takes its place."""

from vidtune.report.plots.library import matplotlib  # isort: skip  # before all that import it

from vidtune.plan import Plan
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row
from vidtune.report.plots import ablation_plot, cost_plots, learned_plots, share_plot, style

PLOTS = {
    "premise": learned_plots.premise,
    "gflops": cost_plots.gflops,
    "tokens": cost_plots.tokens,
    "accuracy": learned_plots.accuracy,
    "ablations": ablation_plot.ablations,
    "shares": share_plot.shares,
    "training": learned_plots.training,
}


def draw(
    plan: Plan, rows: list[Row], outcomes: Outcomes
) -> tuple[dict[str, style.Plot], dict[str, str]]:
    """Plots by name, and for each of the others the reason why it is absent."""
    with matplotlib.rc_context(style.RC):
        drawn = {name: plot(plan, rows, outcomes) for name, plot in PLOTS.items()}
        made = {name: style.export(name, d) for name, d in drawn.items() if not isinstance(d, str)}
    return made, {name: reason for name, reason in drawn.items() if isinstance(reason, str)}
