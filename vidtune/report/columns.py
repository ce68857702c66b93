"""Columns of a table: what identifies a row, then each metric as printed, predicted, ours, judged."""

from dataclasses import dataclass
from typing import Any, Literal

from vidtune.plan import Plan, options_class
from vidtune.report.cells import Cell
from vidtune.report.numbers.rows import Row
from vidtune.spec import Metric, Model, Table


@dataclass(frozen=True)
class Column:
    """One column of a metric: it may have several, under one heading."""

    metric: str
    what: Literal["print", "ours", "beside", "learned", "verdict"]
    group: str
    label: str
    digits: int
    scale: str = ""  # of learned columns and their verdicts
    beside: str = ""  # the predicted metric of a column that stands beside

    def text(self, cell: Cell) -> str:
        """A cell's text in this column; "" where it is empty."""
        if self.what in ("print", "verdict"):
            return cell.print if self.what == "print" else cell.verdict
        if self.what == "beside":
            predicted = cell.predicted.get(self.beside)
            return "" if predicted is None else f"{predicted:.{self.digits}f}"
        if self.what == "ours":
            number = "" if cell.ours is None else f"{cell.ours:.{self.digits}f}"
            return f"{number} {cell.ended}".strip()
        if cell.learned is None:
            return ""
        mean, sd, seeds, *_ = cell.learned
        spread = "" if sd is None else f" ± {sd:.{self.digits}f}"
        return f"{mean:.{self.digits}f}{spread} ({seeds})"


def columns(plan: Plan, table: Table, rows: list[dict[str, Cell]]) -> tuple[Column, ...]:
    """What is printed and what we have of it first, what was learned at this scale last.

    Beside a printed measurement stand the predicted numbers and, even where it is empty, our own.
    """
    first, last = [], []
    for metric in table.columns:
        m = plan.config.metrics[metric]
        cells = [row[metric] for row in rows]
        prints = any(c.print for c in cells)
        learned = next((c.learned.scale for c in cells if c.learned), "")
        unit = m.unit if m.unit not in m.label.lower() else ""
        group = f"{m.label} ({unit})" if unit else m.label
        if prints:
            first.append(Column(metric, "print", group, "print", m.digits))
        first += _predicted(plan, m, group, cells)
        ours = m.kind != "learned" and any(c.rows for c in cells)
        if ours or (prints and m.kind == "measured"):
            first.append(Column(metric, "ours", group, m.kind, m.digits))
        if prints and not learned:
            first.append(Column(metric, "verdict", group, "verdict", m.digits))
        if learned:
            group = f"{m.label} ({learned}, {_videos(plan, cells)})" + (unit and f", {unit}")
            last.append(Column(metric, "learned", group, "ours", m.digits, learned))
            if prints:
                last.append(Column(metric, "verdict", group, "verdict", m.digits, learned))
    return (*first, *last)


def _predicted(plan: Plan, m: Metric, group: str, cells: list[Cell]) -> list[Column]:
    """Columns of the predicted metrics that stand beside a measured one."""
    return [
        Column(
            m.name,
            "beside",
            group,
            f"{b.label.split()[0].lower()}, {b.unit}",
            b.digits,
            beside=b.name,
        )
        for b in plan.config.metrics.values()
        if m.name in b.beside and any(b.name in c.beside for c in cells)
    ]


def _videos(plan: Plan, cells: list[Cell]) -> str:
    names = {c.variant for c in cells}
    generated = {bool(r.dataset.generated) for r in plan.runs.values() if r.model.name in names}
    kinds = ["generated"] * (True in generated) + ["real"] * (False in generated)
    return " and ".join(kinds) + " videos"


def predicted_convention(plan: Plan, cells: list[Cell]) -> list[str]:
    """For each predicted metric, the convention of its numbers and what a fit was made on."""
    texts = {(name, _convention(row)): None for c in cells for name, row in c.beside.items()}
    metrics = plan.config.metrics
    return [f"{metrics[name].label} ({metrics[name].unit}): {text}" for name, text in texts]


def _convention(row: Row) -> str:
    """The convention of a predicted number, without what is the row's own."""
    first, *rest = row.condition.split("; ")
    return "; ".join([first, *(part for part in rest if part.startswith("fitted "))])


def heads(plan: Plan, dataset: bool) -> tuple[str, ...]:
    """Headings of `identity`; the dataset is named where a table holds several."""
    named = ("Dataset",) if dataset else ()
    return ("Method", "Backbone", *named, "Frames", "Options", f"At scale {plan.scale.name}")


def identity(plan: Plan, name: str, dataset: bool) -> tuple[str, ...]:
    """What identifies a variant: method, backbone, frames, options, and what the scale makes of
    them. Mostly empty for a cited system."""
    if name not in plan.variants:
        return ("cited", *[""] * (4 + dataset))
    variant, model = plan.variants[name], plan.models[name]
    run = next((r.model for r in plan.runs.values() if r.model.name == name), None)
    named = (variant.dataset,) if dataset else ()
    defaults = options_class(model.method).model_construct().model_dump(mode="json")
    changed = {k: v for k, v in model.options.items() if k not in defaults or defaults[k] != v}
    return (
        model.method,
        model.backbone.name,
        *named,
        f"{model.frames}" if model.views == "1x1" else f"{model.frames}, {model.views} views",
        "; ".join(f"{k} = {as_yaml(v)}" for k, v in changed.items()),
        _mapped(model, run) if run else "not trained",
    )


def as_yaml(value: Any) -> str:
    """An option's value as YAML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(as_yaml(x) for x in value)}]"
    return "none" if value is None else str(value)


def _mapped(declared: Model, at_scale: Model) -> str:
    """The options that this scale changes, as "layers 12 → 6; width 320 → 24"."""
    steps = [
        f"{k} {as_yaml(v)} → {as_yaml(at_scale.options[k])}"
        for k, v in declared.options.items()
        if at_scale.options[k] != v
    ]
    return "; ".join(steps) or "same options"
