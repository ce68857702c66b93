"""Names of published cells: "side4video/table2/ours-b16/gflops".

A row goes by its declared name or by the slug of its label in the paper, a column by its metric or
the slug of its label; the canonical name has the declared ones.
"""

from typing import NamedTuple

from vidtune.plan import Plan
from vidtune.report.verdicts import slug
from vidtune.spec import Numbers, UserError
from vidtune.spec.suggest import unknown


class Named(NamedTuple):
    """A published cell, and the table it stands in."""

    cell: str
    numbers: Numbers
    variant: str  # "<paper>/<row>"
    metric: str


def label(plan: Plan, numbers: Numbers, variant: str) -> str:
    """What the paper calls a row."""
    paper, row = variant.split("/")
    v, cited = plan.variants.get(variant), plan.config.papers[paper].cited.get(row)
    return numbers.labels.get(row) or (v and v.label) or (cited and cited.label) or row


def table(plan: Plan) -> dict[str, list[Named]]:
    """Every name of every cell, canonical or not -> the cells that it may mean."""
    out: dict[str, list[Named]] = {}
    for paper in plan.config.papers.values():
        for numbers in paper.numbers:
            where = f"{paper.name}/{slug(numbers.where)}"
            for row, columns in numbers.rows.items():
                variant = f"{paper.name}/{row}"
                rows = dict.fromkeys([row, slug(label(plan, numbers, variant))])
                for metric in columns:
                    found = Named(f"{where}/{row}/{metric}", numbers, variant, metric)
                    ends = dict.fromkeys([metric, slug(plan.config.metrics[metric].label)])
                    for name in (f"{where}/{r}/{end}" for r in rows for end in ends):
                        out.setdefault(name, []).append(found)
    return out


def find(plan: Plan, name: str) -> Named:
    """The cell of a name. Raises `UserError` with close ones where there is none, or several."""
    known = table(plan)
    parts = name.strip("/").split("/")
    if len(parts) == 4:
        paper, where, row, metric = parts
        name = f"{paper}/{slug(where)}/{row.lower()}/{metric.lower()}"
    found = {n.cell: n for n in known.get(name, [])}
    if name in found:
        return found[name]
    if len(found) > 1:
        raise UserError(f"{name}: the label of several rows; name one: {', '.join(found)}")
    if not found:
        under = [n for n in known if n.startswith(f"{name}/")]
        if under:
            ends = dict.fromkeys(n[len(name) + 1 :].split("/")[0] for n in under)
            raise UserError(
                f"{name}: expected <paper>/<table>/<row>/<column>; below it: {', '.join(ends)}"
            )
        raise unknown("cell", name, known)
    return next(iter(found.values()))
