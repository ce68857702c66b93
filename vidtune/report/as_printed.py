"""A table in its paper's form: the printed columns in their order, print and ours in one cell.

It fits a page. What print has no column for (method, options, what the scale makes of them, single
seeds) is in the full form alone. Learned numbers that cannot stand beside print are shown as
differences to the base row of the table, beside print's.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from vidtune.plan import Plan
from vidtune.report.cells import Cell, signed
from vidtune.report.columns import describe_rows
from vidtune.report.tables import ShownTable, TableRow
from vidtune.spec import Metric, Numbers

# Conditions that a paper prints as columns, in the order in which they stand.
FACTS = {"backbone": "Backbone", "pretrain": "Pre-training", "frames": "Frames", "views": "Views"}
FACTS |= {"batch": "Batch"}


class Line(NamedTuple):
    """One line of ours below a printed number."""

    text: str
    what: Literal["number", "change", "spread", "predicted", "fitted", "none"]


@dataclass(frozen=True)
class Head:
    metric: str
    label: str
    unit: str
    ours: str  # what stands below print: "counted", "change, mini"; "" for nothing

    @property
    def text(self) -> str:
        """The label, with its unit where that does not name it already."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


@dataclass(frozen=True)
class Pair:
    """A printed number and what we have of it."""

    cell: Cell
    change: str  # of print against the base row, where ours is a change
    ours: tuple[Line, ...]
    origin: str  # of both

    @property
    def judged(self) -> str:
        """The verdict that the pair shows; "" where ours does not stand for print's number."""
        return self.cell.judged if self.cell.print and self.cell.comparable else ""

    @property
    def text(self) -> str:
        """Our lines as one."""
        return " ".join(line.text for line in self.ours)


@dataclass(frozen=True)
class PrintedRow:
    row: TableRow
    block: str  # the caption of its part of the table; "" where the table has one part
    facts: tuple[str, ...]  # one for each of the form's
    pairs: tuple[Pair, ...]  # one for each head


@dataclass(frozen=True)
class PrintedForm:
    facts: tuple[str, ...]
    heads: tuple[Head, ...]
    rows: tuple[PrintedRow, ...]
    key: str  # what the lines of ours are

    @property
    def notes(self) -> list[int]:
        """The footnotes that its rows and cells refer to."""
        every = {k for row in self.rows for k in row.row.notes}
        shown = [(row.row, head.metric) for row in self.rows for head in self.heads]
        return sorted(every | {k for row, metric in shown for k in row.cell_notes[metric]})

    def blocks(self) -> list[tuple[str, list[PrintedRow]]]:
        """The rows by part of the table, each with its caption."""
        out: dict[str, list[PrintedRow]] = {}
        for row in self.rows:
            out.setdefault(row.block, []).append(row)
        return list(out.items())


def build(plan: Plan, table: ShownTable) -> PrintedForm:
    """A published table as printed; of an overview what its paper prints of every row."""
    printed = [c.metric for c in table.columns if c.what == "print"]
    if not (table.paper and printed):
        printed = [c.metric for c in table.columns]
    metrics = [plan.config.metrics[name] for name in dict.fromkeys(printed)]
    shown = [row for row in table.rows if row.part in ("published", "lacking")]
    numbers = {row.variant: _numbers(table, row) for row in shown}
    captions = dict.fromkeys(n.caption for n in numbers.values() if n)
    names, facts = _facts(table, shown, numbers)
    heads = tuple(_head(plan, m, [row.cells[m.name] for row in shown]) for m in metrics)
    rows = [
        PrintedRow(
            row=row,
            block=_block(numbers[row.variant]) if len(captions) > 1 else "",
            facts=facts[row.variant],
            pairs=tuple(_pair(plan, m, row.cells[m.name], heads[k]) for k, m in enumerate(metrics)),
        )
        for row in shown
    ]
    return PrintedForm(names, heads, tuple(rows), _key(plan, table, heads, rows))


def _numbers(table: ShownTable, row: TableRow) -> Numbers | None:
    """The block of the table that a row is printed in; None in an overview, or without print."""
    known = (cell.numbers for cell in row.cells.values() if table.paper)
    return next((n for n in known if n), None)


def _block(numbers: Numbers | None) -> str:
    return numbers.caption if numbers else "rows without print"


def _facts(
    table: ShownTable, rows: list[TableRow], numbers: dict[str, Numbers | None]
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Names and values of what a paper states by row; of an overview what identifies a row."""
    if not table.paper:
        wanted = [k for k, name in enumerate(table.headings) if name in ("Dataset", "Frames")]
        named = tuple(table.headings[k] for k in wanted)
        return named, {row.variant: tuple(row.identity[k] for k in wanted) for row in rows}
    printed = {row.variant.split("/")[1]: numbers[row.variant] for row in rows}
    own = [n.conditions[key] for key, n in printed.items() if n and key in n.conditions]
    fields = [f for f in FACTS if any(getattr(c, f) is not None for c in own)]

    def values(row: TableRow) -> tuple[str, ...]:
        block = numbers[row.variant]
        under = block and block.under(row.variant.split("/")[1])
        stated = (getattr(under, f) if under else None for f in fields)
        return tuple("" if value is None else str(value) for value in stated)

    return tuple(FACTS[f] for f in fields), {row.variant: values(row) for row in rows}


def _head(plan: Plan, metric: Metric, cells: list[Cell]) -> Head:
    ours: str = metric.kind if any(c.rows for c in cells) else ""
    if metric.kind == "measured" and any(c.predictions for c in cells):
        ours = f"{ours}, predicted" if ours else "predicted"
    if any(not c.comparable for c in cells):  # a number alone where print has none
        beside = f"change, {plan.scale.name}" if any(c.delta for c in cells) else ""
        ours = beside if any(c.print for c in cells) else plan.scale.name
    unit = "" if metric.unit in metric.label.lower() else metric.unit
    return Head(metric.name, metric.label, unit, ours)


def _pair(plan: Plan, metric: Metric, cell: Cell, head: Head) -> Pair:
    lines, change = _lines(plan, metric, cell, head), ""
    if cell.delta and cell.delta.print is not None and cell.row != cell.delta.base:
        change = signed(cell.delta.print, metric.digits)
    return Pair(cell, change, tuple(lines), _origin(plan, metric, cell))


def _lines(plan: Plan, metric: Metric, cell: Cell, head: Head) -> list[Line]:
    digits = cell.digits(metric.digits)
    if not cell.comparable:
        return _learned_apart(cell, digits, head)
    lines = []
    if cell.ended:
        lines.append(Line(cell.ended, "none"))
    elif cell.ours is not None:
        lines.append(Line(cell.number(metric.digits), "number"))
    if cell.learned and cell.learned.sd is not None:
        lines.append(Line(f"± {cell.learned.sd:.{digits}f}", "spread"))
    for name, value in cell.predicted.items():
        m = plan.config.metrics[name]
        fitted = m.unit == metric.unit
        text = f"fit {value:.{m.digits}f}" if fitted else f"{value:.1f} {m.unit}"
        lines.append(Line(text, "fitted" if fitted else "predicted"))
    return lines


def _learned_apart(cell: Cell, digits: int, head: Head) -> list[Line]:
    """What was learned at a small scale: a change beside print's or, in a column without print, itself."""
    assert cell.learned
    if head.ours == cell.learned.scale:
        sd = cell.learned.sd
        spread = [] if sd is None else [Line(f"± {sd:.{digits}f}", "spread")]
        return [Line(f"{cell.learned.mean:.{digits}f}", "number"), *spread]
    if cell.delta is None:
        return []
    if cell.delta.base == cell.row:
        return [Line("base", "none")]
    if cell.delta.ours is None or cell.delta.half is None:
        return [Line("same run" if "same run" in cell.delta.why else "-", "none")]
    change, half = cell.delta.ours, cell.delta.half
    return [Line(signed(change, digits), "change"), Line(f"± {half:.{digits}f}", "spread")]


def _origin(plan: Plan, metric: Metric, cell: Cell) -> str:
    """Where both numbers come from, and what was judged."""
    parts = []
    if cell.print and cell.numbers:
        under = cell.numbers.under(cell.row)
        place = f"{cell.numbers.where}: {cell.numbers.caption}"
        parts.append(f"Print: {'. '.join(filter(None, (place, under.text, under.trust)))}")
    if cell.delta and cell.delta.ours is not None:
        seeds = f"{cell.delta.seeds} paired seeds"
        parts.append(f"Ours: change against {cell.delta.base} over {seeds}, with its 95 % interval")
    elif cell.delta and cell.delta.why:
        parts.append(f"Ours: {cell.delta.why}")
    if cell.rows:
        parts.append(f"Ours: {metric.kind}; {describe_rows(cell.rows)}")
    for row in cell.predictions.values():
        parts.append(f"{plan.config.metrics[row.metric].label}: {describe_rows((row,))}")
    if cell.verdict:
        parts.append(": ".join(filter(None, (cell.judged, cell.reason))))
    return ". ".join(parts)


def _key(plan: Plan, table: ShownTable, heads: tuple[Head, ...], rows: list[PrintedRow]) -> str:
    """What stands below print, in one line."""
    pairs = [pair for row in rows for pair in row.pairs]
    printed = any(pair.cell.print for pair in pairs)
    texts = [
        "Above: print; below: ours" if printed else "No number of print is at hand: ours alone"
    ]
    kinds = {plan.config.metrics[h.metric].kind for h in heads if h.ours}
    if "counted" in kinds:
        texts.append("counted at full size")
    if "setting" in kinds:
        texts.append("settings as configured")
    devices = dict.fromkeys(
        r.device for p in pairs if p.cell.kind == "measured" for r in p.cell.rows
    )
    if devices:
        texts.append(f"measured on {' and '.join(devices)}")
    if any(h.ours == "learned" for h in heads):
        texts.append(f"learned at scale {plan.scale.name}, mean ± sd over seeds")
    if any(h.ours.endswith("predicted") for h in heads):
        texts.append("memory predicted in GiB (fit: in GB, on a line fitted to printed rows)")
    if any(h.ours == plan.scale.name for h in heads):
        texts.append(
            f"learned at scale {plan.scale.name} with other {plan.scale.unlike}, mean ± sd over seeds"
        )
    if any(h.ours.startswith("change") for h in heads):
        labels = {row.row.variant: row.row.label for row in rows}
        bases = dict.fromkeys(
            labels.get(f"{table.paper}/{pair.cell.delta.base}", pair.cell.delta.base)
            for row in rows
            for pair in row.pairs
            if pair.cell.delta and row.row.variant.startswith(f"{table.paper}/")
        )
        texts.append(
            f"learned at scale {plan.scale.name} with other {plan.scale.unlike}: only the change against "
            f"{' and '.join(bases)}, beside print's, with its 95 % interval"
        )
    return "; ".join(texts) + "."
