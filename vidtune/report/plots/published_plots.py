"""Figures that a paper declares: cost against accuracy of some rows, and how far an option matters."""

import statistics

from matplotlib.axes import Axes

from vidtune.plan import Plan
from vidtune.plan.swept import by_option
from vidtune.report.cell_names import label
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row, RowIndex, index_rows
from vidtune.report.plots import style
from vidtune.report.plots.accuracy_plot import deviation
from vidtune.report.plots.style import Drawn, Facts
from vidtune.spec import Figure as Published

# Option of `vidtune.plan.swept` -> what its axis says, and how it reads there.
AXES = {
    "merge_layers": ("first layer that joins clips", lambda layers: layers[0] + 1),
    "cross": ("tokens kept across clips, R_C, %", lambda removed: 100 - removed),
    "intra": ("tokens kept within clips, R_I, %", lambda removed: 100 - removed),
}


def declared(plan: Plan, draws: str) -> list[tuple[str, Published]]:
    """The papers' figures of a kind, each with its paper."""
    papers = plan.config.papers.values()
    return [(p.name, figure) for p in papers for figure in p.figures if figure.draws == draws]


def tradeoff(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """Cost against accuracy of the rows of a published figure: in print, and learned at this scale."""
    ours, printed = index_rows(rows), index_rows(rows, "paper")
    found = declared(plan, "tradeoff")
    data = [f for paper, figure in found for f in _rows(plan, ours, printed, paper, figure)]
    if not any("accuracy" in d for d in data if d["source"] == "ours"):
        return f"no row of such a figure has a cost and an accuracy at scale {plan.scale.name} yet"
    figure, axes = style.canvas(2 * len(found), 2.7, across=2)
    for k, (paper, one) in enumerate(found):
        mine = [d for d in data if (d["paper"], d["figure"]) == (paper, one.where)]
        cost, accuracy = (plan.config.metrics[m] for m in one.metrics)
        for panel, source in zip(axes[2 * k :], ("print", "ours"), strict=False):
            _scatter(panel, [d for d in mine if d["source"] == source])
            panel.set_xlabel(f"{cost.label}, {cost.unit}")
        axes[2 * k].set(
            title=f"{paper}, {one.where}, in print", ylabel=f"{accuracy.label}, {accuracy.unit}"
        )
        axes[2 * k + 1].set_title(f"counted, learned at scale {plan.scale.name}")
    style.legend(figure, axes)
    caption = (
        f"Left: print. Right: GFLOPs counted at full size, accuracy learned at scale {plan.scale.name} "
        f"({plan.scale.says}), mean ± one standard deviation over seeds; methods of one trunk share "
        "that scale's. Up and to the left is better."
    )
    where = " and ".join(f"{paper}'s {one.where}" for paper, one in found)
    return Drawn(
        figure, f"Accuracy against cost: {where}", caption, data, "Scatter plots of few rows."
    )


def _rows(
    plan: Plan, ours: RowIndex, printed: RowIndex, paper: str, figure: Published
) -> list[Facts]:
    """Two lines for every row of a figure, of print and of ours."""
    cost, accuracy = figure.metrics
    out = []
    for row in figure.rows:
        name = f"{paper}/{row}"
        for source, index in (("print", printed), ("ours", ours)):
            facts: Facts = {
                "paper": paper, "figure": figure.where, "variant": name, "source": source,
                "label": label(plan, [], name), "method": plan.models[name].method,
                "cost_metric": cost, "metric": accuracy,
            }  # fmt: skip
            costs = [r.value for r in index.get((name, cost), [])]
            values = [r.value for r in index.get((name, accuracy), [])]
            if source == "print":
                values = values[:1]
            if costs and values:
                facts |= {"cost": costs[0], "accuracy": statistics.fmean(values)}
                facts |= {"sd": deviation(values), "seeds": len(values) if source == "ours" else ""}
            out.append(facts)
    return out


def _scatter(axes: Axes, facts: list[Facts]) -> None:
    for d in facts:
        if "accuracy" not in d:
            continue
        look = {**style.method_look(d["method"]), "markersize": 6, "capsize": 2, "elinewidth": 1.0}
        spread = d["sd"] or None
        axes.errorbar(
            d["cost"], d["accuracy"], yerr=spread, linestyle="none", **look, label=d["label"]
        )
    axes.margins(0.14)


def sensitivity(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """How cost and accuracy follow one option at a time, the others as the paper has them."""
    ours = index_rows(rows)
    panels = [
        (paper, figure, option, names)
        for paper, figure in declared(plan, "sensitivity")
        for option, names in by_option(plan.models, paper, figure).items()
    ]
    data = [f for panel in panels for f in _sweep(plan, ours, *panel)]
    if not any("cost" in d for d in data):
        return "no variant of such a figure has been counted yet"
    figure, axes = style.canvas(2 * len(panels), 1.9, across=len(panels))
    for k, (paper, one, option, _) in enumerate(panels):
        mine = [d for d in data if (d["paper"], d["option"]) == (paper, option)]
        for panel, metric, key in zip(
            (axes[k], axes[k + len(panels)]), one.metrics, ("cost", "accuracy"), strict=True
        ):
            known = [d for d in mine if key in d]
            x, y = ([d[of] for d in known] for of in ("at", key))
            spread = [d["sd"] for d in known] if key == "accuracy" else None
            panel.errorbar(
                x, y, yerr=spread, **style.look(0), linewidth=1.2, markersize=4, capsize=2
            )
            published = [d for d in known if d["is_default"]]
            ring = {"color": style.INK, "fillstyle": "none", "markersize": 8, "linestyle": "none"}
            panel.plot(
                *([d[of] for d in published] for of in ("at", key)),
                "o",
                **ring,
                label="as published",
            )
            m = plan.config.metrics[metric]
            if k == 0:
                panel.set_ylabel(f"{m.label}, {m.unit}")
            panel.set_xticks(sorted({d["at"] for d in mine}))
            panel.margins(0.12)
        axes[k + len(panels)].set_xlabel(AXES[option][0])
    style.legend(figure, axes)
    where = " and ".join(dict.fromkeys(f"{paper}'s {one.where}" for paper, one, _, _ in panels))
    learned = sum("accuracy" in d for d in data)
    caption = (
        "Each option apart, the others as published. Top: counted at full size. Bottom: learned at "
        f"scale {plan.scale.name} ({plan.scale.says}), mean ± one standard deviation over seeds"
        + (". " if learned else "; nothing is yet. ")
        + "The paper's own values of this figure are not known here."
    )
    title = f"How much do start layer and retention matter? After {where}"
    return Drawn(figure, title, caption, data, "Line charts, a column for each option.")


def _sweep(
    plan: Plan, ours: RowIndex, paper: str, figure: Published, option: str, names: list[str]
) -> list[Facts]:
    """A line for each variant, in the order of the option's values."""
    cost, accuracy = figure.metrics
    out = []
    for name in names:
        at = AXES[option][1](plan.models[name].options[option])
        facts: Facts = {
            "paper": paper, "figure": figure.where, "option": option, "at": at, "variant": name,
            "is_default": name == names[0], "cost_metric": cost, "metric": accuracy,
        }  # fmt: skip
        if (name, cost) in ours:
            facts["cost"] = ours[name, cost][0].value
        if values := [r.value for r in ours.get((name, accuracy), [])]:
            facts |= {
                "accuracy": statistics.fmean(values),
                "sd": deviation(values),
                "seeds": len(values),
            }
        out.append(facts)
    return sorted(out, key=lambda d: d["at"])
