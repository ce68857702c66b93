"""Columns of a table: what identifies a row, then each metric as printed, predicted, ours, judged."""

from dataclasses import dataclass
from typing import Any, Literal

from vidtune.plan import Plan, options_class
from vidtune.report.cells import Cell, signed
from vidtune.report.numbers.rows import Row
from vidtune.spec import Table


@dataclass(frozen=True)
class Column:
    """One column of a metric: it may have several, under one heading."""

    metric: str
    what: Literal["print", "ours", "predicted", "learned", "verdict", "print_delta", "ours_delta"]
    group: str
    label: str
    digits: int
    scale: str = ""  # of learned columns and their verdicts
    predicted: str = ""  # the predicted metric, of a column that stands beside print

    def text(self, cell: Cell) -> str:
        """A cell's text in this column; "" where it is empty."""
        if self.what in ("print", "verdict"):
            return cell.print if self.what == "print" else cell.verdict
        if self.what == "learned":
            if cell.learned is None:
                return ""
            mean, sd, seeds, *_ = cell.learned
            spread = "" if sd is None else f" ± {self._number(sd)}"
            number = f"{self._number(mean)}{spread}" + (f" ({seeds})" if seeds else "")
            return ", ".join(filter(None, [number, cell.selection(self.digits)]))
        if self.what == "print_delta":
            return self._change(cell.delta.print) if cell.delta else ""
        if self.what == "ours_delta":
            return cell.delta.text(self.digits) if cell.delta else ""
        if self.what == "predicted":
            return self._number(cell.predicted.get(self.predicted))
        return f"{cell.number(self.digits)} {cell.ended}".strip()

    def _change(self, value: float | None) -> str:
        return "" if value is None else signed(value, self.digits)

    def _number(self, value: float | None) -> str:
        return "" if value is None else f"{value:.{self.digits}f}"

    def origin(self, plan: Plan, cell: Cell) -> str:
        """Where the number of a cell comes from that this column shows."""
        if cell.delta and self.what.endswith("_delta"):
            seeds = f"over {cell.delta.seeds} paired seeds, with its 95 % interval"
            where = "in print" if self.what == "print_delta" else seeds
            return f"against {cell.delta.base}, {where}"
        if self.what != "print":
            return describe_rows(
                (cell.predictions[self.predicted],) if self.predicted else cell.rows
            )
        assert cell.numbers
        cite = plan.config.papers[cell.variant.split("/")[0]].cite
        under = cell.numbers.under(cell.row)
        place = f"{cite.key}, {cell.numbers.where}: {cell.numbers.caption}"
        return ". ".join(filter(None, (place, under.text, under.trust)))


def describe_rows(rows: tuple[Row, ...]) -> str:
    """Results file, scale, device, seeds, clips and code of a number of ours."""
    first, seeds = rows[0], ", ".join(str(r.seed) for r in rows if r.seed is not None)
    parts = (
        f"{first.where}; scale: {first.scale}; device: {first.device}",
        f"under: {first.condition}" if first.condition else "",
        f"seeds: {seeds}; n: {first.n} test clips" if seeds else "",
        f"code: {', '.join(sorted({r.digest for r in rows})) or 'unknown'}",
        "stale: the code has changed since" if any(r.stale for r in rows) else "",
    )
    return "; ".join(filter(None, parts))


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
        for b in plan.config.metrics.values():
            if metric in b.predicts and any(b.name in c.predictions for c in cells):
                label = f"{b.label.split()[0].lower()}, {b.unit}"
                first.append(Column(metric, "predicted", group, label, b.digits, predicted=b.name))
        ours = m.kind != "learned" and any(c.rows for c in cells)
        if ours or (prints and m.kind == "measured"):
            first.append(Column(metric, "ours", group, m.kind, m.digits))
        if prints and not learned:
            first.append(Column(metric, "verdict", group, "verdict", m.digits))
        if learned:
            group = f"{m.label} ({learned}, {_videos(plan, cells)})" + (unit and f", {unit}")
            last.append(Column(metric, "learned", group, "ours", m.digits, learned))
            if any(c.delta and c.delta.print is not None for c in cells):
                last.append(Column(metric, "print_delta", group, "Δ print", m.digits, learned))
            if any(c.delta and c.delta.ours is not None for c in cells):
                last.append(Column(metric, "ours_delta", group, "Δ ours", m.digits, learned))
            if prints:
                last.append(Column(metric, "verdict", group, "verdict", m.digits, learned))
    return (*first, *last)


def _videos(plan: Plan, cells: list[Cell]) -> str:
    names = {c.variant for c in cells}
    datasets = [r.dataset for r in plan.runs.values() if r.model.name in names]
    kinds = {"generated" if dataset.generated else "real" for dataset in datasets}
    return " and ".join(sorted(kinds)) + " videos"


def predicted_convention(plan: Plan, cells: list[Cell]) -> list[str]:
    """For each predicted metric, the convention of its numbers and what a fit was made on, without
    what is a row's own."""
    texts = {}
    for name, row in (item for c in cells for item in c.predictions.items()):
        first, *rest = row.condition.split("; ")
        text = "; ".join([first, *(part for part in rest if part.startswith("fitted "))])
        m = plan.config.metrics[name]
        texts[f"{m.label} ({m.unit}): {text}"] = None
    return list(texts)


def headings(plan: Plan, dataset: bool) -> tuple[str, ...]:
    """Headings of `identity`; the dataset is named where a table holds several."""
    named = ("Dataset",) if dataset else ()
    return ("Method", "Backbone", *named, "Frames", "Options", f"At scale {plan.scale.name}")


def identity(plan: Plan, name: str, dataset: bool) -> tuple[str, ...]:
    """What identifies a variant: method, backbone, frames, options, and what the scale makes of
    them, as "frames 8 → 4; layers 12 → 6". Mostly empty for a cited system."""
    if name not in plan.variants:
        return ("cited", *[""] * (4 + dataset))
    model, at_scale = plan.models[name], "not trained"
    if run := next((r.model for r in plan.runs.values() if r.model.name == name), None):
        pairs = [(k, v, run.options[k]) for k, v in model.options.items()]
        pairs.insert(0, ("frames", model.frames, run.frames))
        steps = [f"{k} {as_yaml(v)} → {as_yaml(mapped)}" for k, v, mapped in pairs if mapped != v]
        at_scale = "; ".join(steps) or "same options"
    defaults = options_class(model.method).model_construct().model_dump(mode="json")
    changed = {k: v for k, v in model.options.items() if k not in defaults or defaults[k] != v}
    if (share := plan.variants[name].train_share) != 1:
        changed |= {"train_share": share}
    return (
        model.method,
        model.backbone.name,
        *([plan.variants[name].dataset] if dataset else []),
        f"{model.frames}" if model.views == "1x1" else f"{model.frames}, {model.views} views",
        "; ".join(f"{k} = {as_yaml(v)}" for k, v in changed.items()),
        at_scale,
    )


def as_yaml(value: Any) -> str:
    """An option's value as YAML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(as_yaml(x) for x in value)}]"
    return "none" if value is None else str(value)
