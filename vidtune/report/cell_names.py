"""Names of published cells: "side4video/table2/ours-b16/gflops".

A row goes by its declared name or by the slug of its label in the paper, a column by its metric or
the slug of its label; the canonical name has the declared ones.
"""

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


def label(plan: Plan, numbers: list[Numbers], variant: str) -> str:
    """What the paper calls a row, in the first of its tables that has a label for it."""
    paper, row = variant.split("/")
    in_table = next((n.labels[row] for n in numbers if row in n.labels), None)
    v, cited = plan.variants.get(variant), plan.config.papers[paper].cited.get(row)
    return in_table or (v and v.label) or (cited and cited.label) or row


def known_names(plan: Plan) -> dict[str, list[CellName]]:
    """Every name of every cell, canonical or not -> the cells that it may mean."""
    out: dict[str, list[CellName]] = {}
    for paper in plan.config.papers.values():
        for numbers in paper.numbers:
            where = f"{paper.name}/{slug(numbers.where)}"
            for row, columns in numbers.rows.items():
                variant = f"{paper.name}/{row}"
                rows = dict.fromkeys([row, slug(label(plan, [numbers], variant))])
                for metric in columns:
                    cell = CellName(f"{where}/{row}/{metric}", numbers, variant, metric)
                    ends = dict.fromkeys([metric, slug(plan.config.metrics[metric].label)])
                    for name in (f"{where}/{r}/{end}" for r in rows for end in ends):
                        out.setdefault(name, []).append(cell)
    return out


def find(plan: Plan, name: str) -> CellName:
    """The cell of a name. Raises `UserError` that lists close names where it is not exactly one."""
    known = known_names(plan)
    parts = name.strip("/").split("/")
    if len(parts) == 4:
        paper, where, row, metric = parts
        name = f"{paper}/{slug(where)}/{row.lower()}/{metric.lower()}"
    cells = {cell.cell: cell for cell in known.get(name, [])}
    if name in cells:
        return cells[name]
    if len(cells) > 1:
        raise UserError(f"{name}: the label of several rows; name one: {', '.join(cells)}")
    if not cells:
        below = [n for n in known if n.startswith(f"{name}/")]
        if below:
            ends = dict.fromkeys(n[len(name) + 1 :].split("/")[0] for n in below)
            raise UserError(
                f"{name}: expected <paper>/<table>/<row>/<column>; below it: {', '.join(ends)}"
            )
        raise unknown("cell", name, known)
    return next(iter(cells.values()))
