"""The report's plots: each is drawn if its data exists, else a reason takes its place."""

import matplotlib

from vidtune.plan import Plan
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row
from vidtune.report.plots import cost_plots, learned_plots, premise_plot, style

PLOTS = {
    "premise": premise_plot.premise,
    "gflops": cost_plots.gflops,
    "tokens": cost_plots.tokens,
    "accuracy": learned_plots.accuracy,
    "ablations": learned_plots.ablations,
    "training": learned_plots.training,
}


def draw(
    plan: Plan, rows: list[Row], ended: Outcomes
) -> tuple[dict[str, style.Plot], dict[str, str]]:
    """Plots by name, and for each of the others the reason why it is absent."""
    made, absent = {}, {}
    with matplotlib.rc_context(style.RC):
        for name, plot in PLOTS.items():
            drawn = plot(plan, rows, ended)
            if isinstance(drawn, str):
                absent[name] = drawn
            else:
                made[name] = style.export(name, drawn)
    return made, absent
