"""Published tables with ours beside them.

A row is a variant or a cited system; a cell holds what the paper prints, what was counted at full
size, what was learned at the scale at hand, the verdict, and where each of them comes from. Learned
numbers of a small scale stand in columns of their own, labelled with it. A published table that no
`config/tables/*.yaml` declares is shown all the same, with the columns it prints.
"""

import re

from vidtune.plan import Plan
from vidtune.report import options
from vidtune.report.cells import Source, cell, parts
from vidtune.report.grid import Grid, Line
from vidtune.report.numbers.rows import Row
from vidtune.report.verdicts import Cell as Judged
from vidtune.report.verdicts import slug
from vidtune.spec import Numbers, Table, Variant

TRUST = (
    "P printed on an authoritative page, Q quoted from the paper and consistent with other "
    "sources, q quoted by one source only, D derived from other cells, R read off a plot"
)


def build(plan: Plan, rows: list[Row], judged: list[Judged]) -> list[Grid]:
    """Every table there is to show: overviews first, then by paper and name."""
    ours: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.source == "ours":
            ours.setdefault((row.variant, row.metric), []).append(row)
    papers = plan.config.papers
    declared = [t for t in plan.config.tables.values() if t.paper is None or t.paper in papers]
    order = list(papers)
    tables = [*declared, *_undeclared(plan, declared)]
    tables.sort(key=lambda t: (-1 if t.paper is None else order.index(t.paper), _natural(t.name)))
    by_id = {c.cell: c for c in judged}
    return [_grid(Source(plan, ours, by_id), table) for table in tables]


def _natural(name: str) -> list[str | int]:
    """A sort key under which "table2" comes before "table10"."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _undeclared(plan: Plan, declared: list[Table]) -> list[Table]:
    """Published tables that no file declares, with the columns they print."""
    taken = {(t.paper, where) for t in declared for where in t.where}
    out: dict[str, Table] = {}
    for paper in plan.config.papers.values():
        for numbers in paper.numbers:
            name = f"{paper.name}-{slug(numbers.where).replace('table-', 'table')}"
            if (paper.name, numbers.where) not in taken and name not in out:
                blocks = [n for n in paper.numbers if n.where == numbers.where]
                metrics = dict.fromkeys(m for n in blocks for row in n.rows.values() for m in row)
                out[name] = Table(
                    name=name,
                    title=f"{paper.name}, {numbers.where}: {numbers.caption}",
                    columns=tuple(metrics),
                    paper=paper.name,
                    where=(numbers.where,),
                )
    return list(out.values())


def _grid(source: Source, table: Table) -> Grid:
    plan = source.plan
    members = _members(plan, table)
    several = len({plan.variants[v].dataset for v in members if v in plan.variants}) > 1
    lines = tuple(
        _line(source, table, name, found, several and table.paper is None)
        for name, found in members.items()
    )
    blocks = {id(n): n for found in members.values() for n in found} if table.paper else {}
    remarks = [table.note] if table.note else []
    for n in blocks.values():
        trust = f"how the numbers were come by: {n.trust} ({TRUST})" if n.trust else None
        remarks += [f"{n.where}: {text}" for text in (n.text, trust) if text]
    remarks += _conventions(plan, lines)
    return Grid(
        name=table.name,
        title=table.title,
        paper=table.paper,
        heads=options.heads(plan, several and table.paper is None),
        parts=parts(plan, table, lines),
        lines=lines,
        notes=tuple(source.notes),
        remarks=tuple(remarks),
    )


def _conventions(plan: Plan, lines: tuple[Line, ...]) -> list[str]:
    """Of the predicted numbers: the convention they are under, and what a fit was made on."""
    found = dict.fromkeys(
        (metric, beside.under)
        for line in lines
        for c in line.cells.values()
        for metric, beside in c.beside.items()
    )
    return [
        f"{plan.config.metrics[m].label} ({plan.config.metrics[m].unit}): {u}" for m, u in found
    ]


def _members(plan: Plan, table: Table) -> dict[str, list[Numbers]]:
    """Row -> the published blocks it is read from, in the order of the paper."""
    out: dict[str, list[Numbers]] = {}
    if table.paper:
        numbers = plan.config.papers[table.paper].numbers
        for n in numbers:
            if n.where in table.where:
                for key in n.rows:
                    out.setdefault(f"{table.paper}/{key}", []).append(n)
    for name, variant in plan.variants.items():
        if table.also and name not in out and _matches(plan, variant, table):
            out[name] = [] if table.paper else _printing(plan, name)
    return out


def _matches(plan: Plan, variant: Variant, table: Table) -> bool:
    has = {
        "task": plan.config.datasets[variant.dataset].task,
        "dataset": variant.dataset,
        "frames": variant.frames,
    }
    return all(has[key] in wanted for key, wanted in (table.also or {}).items())


def _printing(plan: Plan, name: str) -> list[Numbers]:
    paper, key = name.split("/")
    return [n for n in plan.config.papers[paper].numbers if key in n.rows]


def _line(source: Source, table: Table, name: str, found: list[Numbers], dataset: bool) -> Line:
    paper, key = name.split("/")
    variant = source.plan.variants.get(name)
    label = next((n.labels[key] for n in found if table.paper and key in n.labels), None)
    cited = source.plan.config.papers[paper].cited.get(key)
    return Line(
        variant=name,
        label=label or (variant and variant.label) or (cited and cited.label) or key,
        facts=options.facts(source.plan, name, dataset),
        cells={metric: cell(source, name, metric, found) for metric in table.columns},
        notes=source.note(variant.note if variant else cited and cited.note),
        added=bool(table.paper) and not found,
    )
