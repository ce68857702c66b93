"""Plots of training memory at the papers' full size: predicted without a GPU, and measured on one."""

from matplotlib.axes import Axes

from vidtune.plan import Plan
from vidtune.report.cell_names import label
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row, index_rows
from vidtune.report.plots import style
from vidtune.report.plots.published_plots import declared
from vidtune.report.plots.style import Drawn, Facts
from vidtune.spec import Figure as Published

PHASES = {"forward": "<", "backward": "D", "step": ">"}  # of a training step, and their marks
KINDS = ("weights", "gradients", "optimizer", "activations", "workspace")
ROW = 0.17  # inches
GB = 2**30 / 1e9  # of one GiB


def by_backbone(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """Training memory against the size of the frozen trunk: predicted, measured where it was, and as the
    paper plots it."""
    figures = {
        f"{paper}'s {one.where}": _sizes(plan, rows, outcomes, paper, one)
        for paper, one in declared(plan, "memory")
    }
    data = [facts for sizes in figures.values() for facts in sizes]
    if not any(d["predicted_gb"] for d in data):
        return "no memory of a figure's variants has been predicted yet"
    gpus = list(dict.fromkeys(d["gpu"] for d in data if d["gpu"]))
    titles = {
        "predicted_gb": "Predicted, without a GPU",
        "measured_gb": f"Measured, {', '.join(gpus)}",
        "printed_gb": "In print, {}",
    }
    titles = {key: title for key, title in titles.items() if any(d[key] for d in data)}
    each = [(where, key) for where in figures for key in titles]
    figure, panels = style.canvas(len(each), 3.0, across=len(titles), sharey=True, sharex=True)
    for panel, (where, key) in zip(panels, each, strict=True):
        panel.set_title(titles[key].format(where))
        for series in dict.fromkeys(d["series"] for d in figures[where]):
            mine = [d for d in figures[where] if d["series"] == series and d[key]]
            if not mine:
                continue
            look = style.method_look(mine[0]["method"])
            if series != mine[0]["method"]:  # a light version of the method
                look |= {"markerfacecolor": style.PAPER, "linestyle": "--"}
            x, y = ([d[of] for d in mine] for of in ("trunk_millions", key))
            panel.plot(x, y, **look, label=series, linewidth=1.3, markersize=5)
        style.log_scale(panel, "x")
        panel.set_xlabel("parameters of the frozen trunk, millions")
    for panel in panels[:: len(titles)]:
        panel.set(ylabel="training memory, GB", ylim=(0, None))
    style.legend(figure, panels)
    under = list(dict.fromkeys(f"{d['backbone']} {d['batch']}" for d in data if d["batch"]))
    caption = (
        "Predicted: the peak of live tensors in a training step with 8 frames, raw and on no fitted line, "
        "which leaves out what driver and allocator take. Measured: what of the GPU is in use. "
        f"Clips of a batch: {', '.join(under)}; where the paper prints none, they are ours."
    )
    title = f"How does training memory grow with the trunk? After {' and '.join(figures)}"
    return Drawn(figure, title, caption, data, "Line charts side by side, a line for each method.")


def _sizes(
    plan: Plan, rows: list[Row], outcomes: Outcomes, paper: str, figure: Published
) -> list[Facts]:
    """Every row of a published figure of memory, in ascending size of its trunk."""
    ours, printed = index_rows(rows), index_rows(rows, "paper")
    out = []
    for row in figure.rows:
        name = f"{paper}/{row}"
        model, memory = plan.models[name], outcomes.memory.get(name, {})
        in_print = [r.value for r in printed.get((name, "train_gb"), []) if r.where == figure.where]
        counted = outcomes.trunks.get(name)
        if counted is None:
            continue
        light = "light" in label(plan, list(plan.config.papers[paper].numbers), name)
        predicted = ours.get((name, "train_gib"), [])
        measured = [r for r in ours.get((name, "train_gb"), []) if not r.text][:1]
        out.append(
            {
                "variant": name,
                "method": model.method,
                "series": f"{model.method} (light)" if light else model.method,
                "backbone": model.backbone.name,
                "batch": memory.get("batch"),
                "convention": memory.get("convention"),
                "trunk_millions": counted / 1e6,
                "predicted_gb": predicted[0].value * GB if predicted else None,
                "measured_gb": measured[0].value if measured else None,
                "gpu": measured[0].device if measured else None,
                "printed_gb": in_print[0] if in_print else None,
            }
        )
    return sorted(out, key=lambda d: d["trunk_millions"])


def by_phase(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """What a training step's memory is made of at its peak, and the peak of each phase."""
    known = {n: m["train"] for n, m in outcomes.memory.items() if "by_kind" in m.get("train", {})}
    if not known:
        return "no memory has been predicted yet"
    data = [
        {
            "variant": name,
            "batch": outcomes.memory[name].get("batch"),
            "convention": outcomes.memory[name].get("convention"),
            "peak_gib": train["peak_gib"],
            **{f"{kind}_gib": train["by_kind"][kind] for kind in KINDS},
            **{f"{phase}_peak_gib": train["by_phase"][phase] for phase in PHASES},
        }
        for name, train in sorted(known.items(), key=lambda item: item[1]["peak_gib"])
    ]
    papers = [p for p in plan.config.papers if any(n.startswith(f"{p}/") for n in known)]
    groups = [[d for d in data if d["variant"].startswith(f"{p}/")] for p in papers]
    high = [ROW * len(group) for group in groups]
    figure, axes = style.canvas(
        len(groups), sum(high) / len(groups) + 0.7, across=1, height_ratios=high
    )
    for panel, paper, group in zip(axes, papers, groups, strict=True):
        _bars(panel, group)
        panel.set_title(paper)
    axes[-1].set_xlabel("predicted training memory, GiB")
    style.legend(figure, axes)
    caption = (
        "Bars: live tensors by kind at the peak of a training step; marks: the peaks of its forward "
        "pass, its backward pass and the optimiser's step. Predicted at full size under what each "
        "table states or assumes, which the data file names; batches differ between rows."
    )
    title = "Activations kept for backward decide a training's memory"
    largest = [max(KINDS, key=lambda kind, d=d: d[f"{kind}_gib"]) for d in data]
    if largest.count("activations") < len(largest):
        count = f"{largest.count('activations')} of {len(largest)}"
        title = f"Activations are the largest part in {count} trainings"
    return Drawn(figure, title, caption, data, "Stacked horizontal bars, a bar for each variant.")


def _bars(axes: Axes, group: list[Facts]) -> None:
    left = [0.0] * len(group)
    places = range(len(group))
    for k, kind in enumerate(KINDS):
        wide = [d[f"{kind}_gib"] for d in group]
        axes.barh(
            places, wide, left=left, height=0.68, color=style.SERIES[k], label=kind,
            edgecolor=style.PAPER, linewidth=0.5, alpha=0.85,
        )  # fmt: skip
        left = [a + b for a, b in zip(left, wide, strict=True)]
    for phase, marker in PHASES.items():
        peaks = [(d[f"{phase}_peak_gib"], y) for y, d in enumerate(group)]
        x, y = zip(*peaks, strict=True)
        look = {"color": style.INK, "markerfacecolor": style.PAPER, "markersize": 3.8}
        axes.plot(x, y, marker, linestyle="none", label=f"peak of {phase}", **look)
    names = [f"{d['variant'].split('/')[1]}, {d['batch']} clips" for d in group]
    axes.set_yticks(places, names, fontsize=style.SMALL)
    axes.set_ylim(-0.6, len(group) - 0.4)
    axes.grid(axis="y", visible=False)
