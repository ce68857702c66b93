"""Learned differences inside a table: every row against one row of it, in print and at our scale.

A number that was learned at a small scale, on generated videos, says nothing beside a printed one;
what a design gains over another can be held against print. The base is the row that the paper's
claim about the table puts first, else the first row with a number of ours and of print; each dataset
of a table has its own.
"""

from collections.abc import Iterable, Iterator

from vidtune.plan import Plan
from vidtune.report.cells import Cell, Delta
from vidtune.report.comparisons import Learned


def add(plan: Plan, known: Learned, rows: list[dict[str, Cell]], first: str | None) -> None:
    """Give every learned cell of a table that cannot stand beside print its difference to the base.

    `rows` are the cells of its rows by metric; `first` is the row that a claim puts first.
    """
    for metric in dict.fromkeys(m for cells in rows for m in cells):
        for group in _by_dataset(plan, [cells[metric] for cells in rows]):
            base = _base(group, first)
            for cell in group if base else ():
                at = next(cells for cells in rows if cells[metric] is cell)
                at[metric] = cell.model_copy(update={"delta": _delta(plan, known, cell, base)})


def _by_dataset(plan: Plan, cells: Iterable[Cell]) -> Iterator[list[Cell]]:
    """A column's cells that have a number learned at another scale than full, a dataset at a time."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        if not cell.comparable and cell.variant in plan.variants:
            groups.setdefault(plan.variants[cell.variant].dataset, []).append(cell)
    yield from groups.values()


def _base(cells: list[Cell], first: str | None) -> Cell | None:
    """The base among cells of one column and dataset; None where nothing can be compared."""
    if len(cells) < 2:
        return None
    printed = [c for c in cells if c.print] or cells
    return next((c for c in printed if c.row == first), printed[0])


def _delta(plan: Plan, known: Learned, cell: Cell, base: Cell) -> Delta:
    printed = None
    if cell.print and base.print:
        printed = float(cell.print) - float(base.print)
    if cell is base:
        return Delta(base=base.row, why="the row that others are compared with")
    found = known.compare(cell.variant, base.variant, cell.metric)
    sign = 1 if plan.config.metrics[cell.metric].better == "higher" else -1
    ours = None if found.gain is None else sign * found.gain
    return Delta(
        base=base.row, print=printed, ours=ours, half=found.half, seeds=found.seeds, why=found.why
    )
