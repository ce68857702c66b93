"""All plots of the report: drawn where their data is there, else the reason why not."""

import matplotlib

from vidtune.plan import Plan
from vidtune.report import plots_cost, plots_learned, plots_premise, style
from vidtune.report.facts import Facts
from vidtune.report.rows import Row

PLOTS = {
    "premise": plots_premise.premise,
    "gflops": plots_cost.gflops,
    "tokens": plots_cost.tokens,
    "accuracy": plots_learned.accuracy,
    "ablations": plots_learned.ablations,
    "training": plots_learned.training,
}


def draw(plan: Plan, rows: list[Row], facts: Facts) -> tuple[dict[str, style.Plot], dict[str, str]]:
    """(plots by name, why the others are absent)."""
    made, absent = {}, {}
    with matplotlib.rc_context(style.RC):
        for name, plot in PLOTS.items():
            drawn = plot(plan, rows, facts)
            if isinstance(drawn, str):
                absent[name] = drawn
            else:
                made[name] = style.export(name, drawn)
    return made, absent
