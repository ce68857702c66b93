"""Published tables with ours beside them, as one structure that every format renders.

A row is a variant or a cited system; a cell holds what the paper prints, what was counted at full
size, what was learned at the scale at hand, the verdict, and where each of them comes from.
"""

import itertools
from dataclasses import dataclass, field
from typing import Literal

from vidtune.plan import Plan
from vidtune.report import deltas
from vidtune.report.ablations import Ablation, differences, find_ablations
from vidtune.report.cell_names import label
from vidtune.report.cells import Cell
from vidtune.report.columns import Column, columns, headings, identity, predicted_convention
from vidtune.report.comparisons import Learned, learned
from vidtune.report.numbers import references
from vidtune.report.numbers.rows import Row, RowIndex, index_rows
from vidtune.report.texts import contradictions
from vidtune.report.verdicts import OTHERWISE, make_cell
from vidtune.spec import Contradiction, Numbers, Table, slug

TRUST = (
    "P printed on an authoritative page, Q quoted from the paper and consistent with other "
    "sources, q quoted by one source only, D derived from other cells, R read off a plot"
)

STALE = "ours is stale: its code or its configuration has changed since it was made"

# lacking: in print, without a number in our copies; added: through `also`, not in print
Part = Literal["published", "lacking", "added", "reference"]


@dataclass(frozen=True)
class TableRow:
    variant: str
    label: str
    identity: tuple[str, ...]  # one text for each of the table's `headings`
    cells: dict[str, Cell]  # by metric
    notes: tuple[int, ...]  # footnotes of the row
    cell_notes: dict[str, tuple[int, ...]]  # metric -> footnotes, which stand at the printed number
    part: Part


@dataclass(frozen=True)
class ShownTable:
    name: str
    title: str
    paper: str | None
    headings: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...]  # numbered from 1
    remarks: tuple[str, ...]  # on the whole table
    where: str | None = None  # in the paper
    lacks: str | None = None  # what of the printed table is missing here, and why
    came_from: str | None = None  # where its numbers were taken from

    @property
    def anchor(self) -> str:
        """Its address on the page, with which the names of its cells begin: "side4video/table2"."""
        return f"{self.paper}/{slug(self.where)}" if self.paper and self.where else self.name

    def places_of(self, note: int) -> list[str]:
        """Where the table refers to a footnote: "<variant>" or "<variant>/<metric>"."""
        out = []
        for row in self.rows:
            out += [row.variant] if note in row.notes else []
            out += [f"{row.variant}/{m}" for m, notes in row.cell_notes.items() if note in notes]
        return out

    def ruled(self) -> list[tuple[TableRow, bool]]:
        """Rows, each with whether a rule parts it from those of another kind above."""
        pairs = itertools.pairwise([None, *self.rows])
        return [(row, bool(above and row.part != above.part)) for above, row in pairs]


@dataclass
class Builder:
    """Builds the rows of one table and numbers its footnotes on the way."""

    plan: Plan
    ours: RowIndex
    contradictions: dict[str, list[Contradiction]]  # by paper
    trained: Learned
    ablations: dict[tuple[str, str], Ablation]  # by paper and place
    notes: list[str] = field(default_factory=list)

    def note(self, text: str | None) -> tuple[int, ...]:
        """The number of a footnote, as a tuple; empty without a text."""
        if not text:
            return ()
        if text not in self.notes:
            self.notes.append(text)
        return (self.notes.index(text) + 1,)

    def cells(self, table: Table, name: str, printed: list[Numbers]) -> dict[str, Cell]:
        """The cells of a row, with the first place that prints each."""
        out = {}
        for metric in table.columns:
            printing = (n for n in printed if metric in n.rows[name.split("/")[1]])
            out[metric] = make_cell(self.plan, self.ours, name, metric, next(printing, None))
        return out

    def row(
        self, table: Table, name: str, printed: list[Numbers], cells: dict[str, Cell], several: bool
    ) -> TableRow:
        """`several`: the table has several datasets."""
        paper, key = name.split("/")
        noted = self.plan.variants.get(name) or self.plan.config.papers[paper].cited.get(key)
        named = label(self.plan, printed if table.paper else [], name)
        if several and table.paper and not printed:  # a label of print names its dataset
            named += f", {self.plan.variants[name].dataset}"
        return TableRow(
            variant=name,
            label=named,
            identity=identity(self.plan, name, several and table.paper is None),
            cells=cells,
            notes=self.note(noted and noted.note),
            cell_notes={
                metric: self.cell_notes(cell, [n for n in printed if metric in n.rows[key]])
                for metric, cell in cells.items()
            },
            part=_part(table, name, printed),
        )

    def references(self, table: Table, shown: tuple[Column, ...], dataset: bool) -> list[TableRow]:
        """What stands below the learned numbers of a table's tasks: chance, a probe and the like."""
        learned = [column.metric for column in shown if column.what == "learned"]
        members = _members(self.plan, table)
        tasks = dict.fromkeys(self.plan.models[v].task for v in members if v in self.plan.models)
        every = [row for rows in self.ours.values() for row in rows]
        named = {v: name for task in tasks for name, v in references.names(every, task).items()}
        rows = []
        for variant, name in named.items():
            if not any((variant, metric) in self.ours for metric in learned):
                continue
            rows.append(
                TableRow(
                    variant=variant,
                    label=name,
                    identity=("reference", *[""] * (len(headings(self.plan, dataset)) - 1)),
                    cells={
                        m: make_cell(self.plan, self.ours, variant, m, None) for m in table.columns
                    },
                    notes=(),
                    cell_notes={m: () for m in table.columns},
                    part="reference",
                )
            )
        return rows

    def cell_notes(self, cell: Cell, printing: list[Numbers]) -> tuple[int, ...]:
        """Footnotes of a cell: a reason, contradictions, and other values printed elsewhere; and whether
        ours is stale."""
        if not cell.print:
            return ()
        standing = cell.standing_reason and cell.verdict != "match"
        told = standing or cell.verdict in ("off", "subset") or OTHERWISE in cell.reason
        told |= cell.verdict == "not comparable" and cell.comparable
        footnotes = self.note(cell.reason if told else "")
        for c in self.contradictions[cell.variant.split("/")[0]]:
            if f"{cell.row}/{cell.metric}" in c.cells:
                footnotes += self.note(f"contradicted: {c.says} ({c.where})")
        for n in printing[1:]:
            if float(n.rows[cell.row][cell.metric]) != float(cell.print):
                footnotes += self.note(
                    f"{n.where} prints {n.rows[cell.row][cell.metric]} {cell.unit}"
                )
        return footnotes + self.note(STALE if cell.stale else "")


def build(plan: Plan, rows: list[Row]) -> list[ShownTable]:
    """Every table to show: overviews first, then the published ones, as the papers number them."""
    ours, trained = index_rows(rows), learned(plan, rows)
    known = {name: contradictions(plan, name, ours) for name in plan.config.papers}
    ablations = {(one.paper, one.numbers.where): one for one in find_ablations(plan, trained)}
    return [
        _table(Builder(plan, ours, known, trained, ablations), table)
        for table in plan.config.tables.values()
    ]


def _table(builder: Builder, table: Table) -> ShownTable:
    plan = builder.plan
    members = _members(plan, table)
    several = len({plan.variants[v].dataset for v in members if v in plan.variants}) > 1
    dataset = several and table.paper is None
    cells = [builder.cells(table, name, printed) for name, printed in members.items()]
    ablation = builder.ablations.get((table.paper or "", table.where or ""))
    if table.paper:
        deltas.add(plan, builder.trained, cells, ablation and ablation.first)
    rows = [
        builder.row(table, name, printed, made, several)
        for (name, printed), made in zip(members.items(), cells, strict=True)
    ]
    shown = columns(plan, table, cells)
    rows += builder.references(table, shown, dataset)
    blocks = {id(n): n for printed in members.values() for n in printed} if table.paper else {}
    remarks = [table.note] if table.note else []
    for n in blocks.values():
        trust = f"how the numbers were transcribed: {n.trust} ({TRUST})" if n.trust else None
        remarks += [f"{n.where}: {text}" for text in (n.text, trust) if text]
    if ablation:
        remarks += filter(None, [differences(plan, builder.trained, ablation)])
    return ShownTable(
        name=table.name,
        title=table.title,
        paper=table.paper,
        headings=headings(plan, dataset),
        columns=shown,
        rows=tuple(rows),
        notes=tuple(builder.notes),
        remarks=(
            *remarks,
            *predicted_convention(plan, [c for made in cells for c in made.values()]),
        ),
        where=table.where,
        lacks=table.lacks,
        came_from=table.came_from,
    )


def _part(table: Table, name: str, printed: list[Numbers]) -> Part:
    if printed or not table.paper:
        return "published"
    return "lacking" if name in {f"{table.paper}/{row}" for row in table.rows} else "added"


def _members(plan: Plan, table: Table) -> dict[str, list[Numbers]]:
    """Row -> the published blocks it is read from, in the order of the paper."""
    papers, also = plan.config.papers, table.also or {}
    out: dict[str, list[Numbers]] = {}
    blocks = papers[table.paper].numbers if table.paper else ()
    for n in (n for n in blocks if n.where == table.where):
        for key in n.rows:
            out.setdefault(f"{table.paper}/{key}", []).append(n)
    for key in table.rows:
        out.setdefault(f"{table.paper}/{key}", [])
    for name, variant in plan.variants.items():
        task = plan.config.datasets[variant.dataset].task
        has = {"task": task, "dataset": variant.dataset, "frames": variant.frames}
        if also and name not in out and all(has[key] in wanted for key, wanted in also.items()):
            paper, key = name.split("/")
            printing = [n for n in papers[paper].numbers if key in n.rows]
            out[name] = [] if table.paper else printing
    return out
