"""Names of published cells: "side4video/table2/ours-b16/gflops".

A row goes by its declared name or by the slug of its label in the paper, a column by its metric or
the slug of its label; the canonical name has the declared ones.
"""

from collections.abc import Iterator
from typing import NamedTuple

from vidtune.plan import Plan
from vidtune.spec import Numbers, UserError, slug
from vidtune.spec.errors import unknown


class CellName(NamedTuple):
    """The canonical name of a published cell, and the table that prints it."""

    cell: str
    numbers: Numbers
    variant: str  # "<paper>/<row>"
    metric: str


def published_cells(plan: Plan) -> Iterator[CellName]:
    """Every published cell, in the papers' order."""
    for paper in plan.config.papers.values():
        for numbers in paper.numbers:
            where = f"{paper.name}/{slug(numbers.where)}"
            for row, columns in numbers.rows.items():
                for metric in columns:
                    yield CellName(
                        f"{where}/{row}/{metric}", numbers, f"{paper.name}/{row}", metric
                    )


def label(plan: Plan, numbers: list[Numbers], variant: str) -> str:
    """What the paper calls a row, in the first of its tables that has a label for it."""
    paper, row = variant.split("/")
    in_table = next((n.labels[row] for n in numbers if row in n.labels), None)
    v, cited = plan.variants.get(variant), plan.config.papers[paper].cited.get(row)
    return in_table or (v and v.label) or (cited and cited.label) or row


def known_names(plan: Plan) -> dict[str, list[CellName]]:
    """Every name of every cell, canonical or not -> the cells that it may mean."""
    out: dict[str, list[CellName]] = {}
    for cell in published_cells(plan):
        paper, where, row, metric = cell.cell.split("/")
        rows = dict.fromkeys([row, slug(label(plan, [cell.numbers], cell.variant))])
        ends = dict.fromkeys([metric, slug(plan.config.metrics[metric].label)])
        for name in (f"{paper}/{where}/{r}/{end}" for r in rows for end in ends):
            out.setdefault(name, []).append(cell)
            if name.lower() != name:
                out.setdefault(name.lower(), []).append(cell)
    return out


def find(plan: Plan, name: str) -> CellName:
    """The cell of a name. Raises `UserError` that lists close names where it is not exactly one."""
    known = known_names(plan)
    parts = name.strip("/").split("/")
    if len(parts) == 4 and name not in known:
        paper, where, row, metric = parts
        name = f"{paper}/{slug(where)}/{row.lower()}/{metric.lower()}"
    cells = {cell.cell: cell for cell in known.get(name, [])}
    if name in cells or len(cells) == 1:
        return cells.get(name) or cells.popitem()[1]
    if cells:
        raise UserError(f"{name}: the label of several rows; name one: {', '.join(cells)}")
    below = [n.removeprefix(f"{name}/") for n in known if n.startswith(f"{name}/")]
    if not below:
        raise unknown("cell", name, known)
    ends = ", ".join(dict.fromkeys(n.split("/")[0] for n in below))
    raise UserError(f"{name}: expected <paper>/<table>/<row>/<column>; below it: {ends}")
