"""Published tables with ours beside them, as one neutral structure that every format renders.

A row is a variant or a cited system; a cell holds what the paper prints, what was counted at full
size, what was learned at the scale at hand, the verdict, and where each of them comes from. Learned
numbers of a small scale stand in columns of their own, labelled with it. A published table that no
`config/tables/*.yaml` declares is shown all the same, with the columns it prints.
"""

import statistics
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from vidtune.plan import Plan
from vidtune.report import options
from vidtune.report.rows import Row
from vidtune.report.verdicts import Cell as Judged
from vidtune.report.verdicts import slug
from vidtune.spec import Numbers, Table, Variant

What = Literal["print", "ours", "learned", "verdict"]

TRUST = (
    "P printed on an authoritative page, Q quoted from the paper and consistent with other "
    "sources, q quoted by one source only, D derived from other cells, R read off a plot"
)


class Learned(NamedTuple):
    """Mean and standard deviation over seeds (None for one seed); `clips` is the test set."""

    mean: float
    sd: float | None
    seeds: int
    clips: int | None
    scale: str


@dataclass(frozen=True)
class Cell:
    """One metric of one row. `id` is the published cell's, "" where the paper prints nothing."""

    id: str = ""
    print: str = ""
    ours: float | None = None  # counted at full size, or measured
    learned: Learned | None = None
    verdict: str = ""
    reason: str = ""
    printed_in: str = ""  # origin of `print`
    made_by: str = ""  # origin of `ours` or `learned`
    notes: tuple[int, ...] = ()
    stale: bool = False


@dataclass(frozen=True)
class Part:
    """One column as shown: a metric has up to three, under one heading."""

    metric: str
    what: What
    group: str
    label: str
    digits: int
    scale: str = ""  # of learned parts and their verdicts


@dataclass(frozen=True)
class Line:
    variant: str
    label: str
    facts: tuple[str, ...]  # one per `Grid.heads`
    cells: dict[str, Cell]  # by metric
    notes: tuple[int, ...] = ()
    added: bool = False  # through `also`: not a row of the published table


@dataclass(frozen=True)
class Grid:
    name: str
    title: str
    paper: str | None
    heads: tuple[str, ...]
    parts: tuple[Part, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]  # numbered from 1
    remarks: tuple[str, ...]  # on the whole table


@dataclass
class _Source:
    """What a table is built from; collects the footnotes on the way."""

    plan: Plan
    ours: dict[tuple[str, str], list[Row]]
    judged: dict[str, Judged]
    notes: list[str] = field(default_factory=list)

    def note(self, text: str | None) -> tuple[int, ...]:
        if not text:
            return ()
        if text not in self.notes:
            self.notes.append(text)
        return (self.notes.index(text) + 1,)


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
    tables.sort(key=lambda t: -1 if t.paper is None else order.index(t.paper))
    by_id = {c.cell: c for c in judged}
    return [_grid(_Source(plan, ours, by_id), table) for table in tables]


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


def _grid(source: _Source, table: Table) -> Grid:
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
    return Grid(
        name=table.name,
        title=table.title,
        paper=table.paper,
        heads=options.heads(plan, several and table.paper is None),
        parts=_parts(plan, table, lines),
        lines=lines,
        notes=tuple(source.notes),
        remarks=tuple(remarks),
    )


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


def _line(source: _Source, table: Table, name: str, found: list[Numbers], dataset: bool) -> Line:
    paper, key = name.split("/")
    variant = source.plan.variants.get(name)
    label = next((n.labels[key] for n in found if table.paper and key in n.labels), None)
    cited = source.plan.config.papers[paper].cited.get(key)
    return Line(
        variant=name,
        label=label or (variant and variant.label) or (cited and cited.label) or key,
        facts=options.facts(source.plan, name, dataset),
        cells={metric: _cell(source, name, metric, found) for metric in table.columns},
        notes=source.note(variant.note if variant else cited and cited.note),
        added=bool(table.paper) and not found,
    )


def _cell(source: _Source, name: str, metric: str, found: list[Numbers]) -> Cell:
    key = name.split("/")[1]
    m = source.plan.config.metrics[metric]
    printed = [n for n in found if metric in n.rows[key]]
    rows = source.ours.get((name, metric), [])
    number = statistics.fmean(r.value for r in rows) if rows else None
    cell = Cell(
        ours=None if m.kind == "learned" else number,
        learned=_learned(rows) if m.kind == "learned" and rows else None,
        made_by=_made_by(rows),
        stale=any(r.stale for r in rows),
    )
    if not printed:
        return cell
    first = printed[0]
    text = str(first.rows[key][metric])
    judged = source.judged[f"{name.split('/')[0]}/{slug(first.where)}/{key}/{metric}"]
    standing = first.reasons.get(f"{key}/{metric}", first.reasons.get(key))
    others = [n for n in printed[1:] if float(n.rows[key][metric]) != float(text)]
    telling = judged.verdict in ("off", "subset") or judged.reason == standing
    marks = source.note(judged.reason if telling else "")
    for n in others:
        marks += source.note(f"{n.where} prints {n.rows[key][metric]} {m.unit}")
    return Cell(
        **{
            **vars(cell),
            "id": judged.cell,
            "print": text,
            "verdict": judged.verdict,
            "reason": judged.reason,
            "printed_in": _printed_in(source.plan, name, first),
            "notes": marks,
        }
    )


def _learned(rows: list[Row]) -> Learned:
    values = [r.value for r in rows]
    sd = statistics.stdev(values) if len(values) > 1 else None
    return Learned(statistics.fmean(values), sd, len(values), rows[0].n, rows[0].scale)


def _printed_in(plan: Plan, name: str, numbers: Numbers) -> str:
    paper, key = name.split("/")
    cite, under = plan.config.papers[paper].cite, numbers.under(key)
    parts = (f"{cite.key}, {numbers.where}: {numbers.caption}", under.text, under.trust)
    return ". ".join(p for p in parts if p)


def _made_by(rows: list[Row]) -> str:
    """Results file, scale, device, seeds, clips and code of a number of ours."""
    if not rows:
        return ""
    seeds = [str(r.seed) for r in rows if r.seed is not None]
    parts = [rows[0].where, f"scale: {rows[0].scale}", f"device: {rows[0].device}"]
    if seeds:
        parts += [f"seeds: {', '.join(seeds)}", f"n: {rows[0].n} test clips"]
    parts.append(f"code: {', '.join(sorted({r.digest for r in rows})) or 'unknown'}")
    if any(r.stale for r in rows):
        parts.append("stale: the code has changed since")
    return "; ".join(parts)


def _parts(plan: Plan, table: Table, lines: tuple[Line, ...]) -> tuple[Part, ...]:
    """Columns as shown: what is printed and counted first, what was learned here after it."""
    first, after = [], []
    for metric in table.columns:
        m = plan.config.metrics[metric]
        cells = [line.cells[metric] for line in lines]
        prints = any(c.print for c in cells)
        learned = next((c.learned.scale for c in cells if c.learned), "")
        unit = m.unit if m.unit not in m.label.lower() else ""
        group = f"{m.label} ({unit})" if unit else m.label
        if prints:
            first.append(Part(metric, "print", group, "print", m.digits))
        if any(c.ours is not None for c in cells):
            first.append(Part(metric, "ours", group, "ours", m.digits))
        if prints and not learned:
            first.append(Part(metric, "verdict", group, "verdict", m.digits))
        if learned:
            group = f"{m.label} ({learned}, {_videos(plan, lines)})" + (unit and f", {unit}")
            after.append(Part(metric, "learned", group, "ours", m.digits, learned))
            if prints:
                after.append(Part(metric, "verdict", group, "verdict", m.digits, learned))
    return (*first, *after)


def _videos(plan: Plan, lines: tuple[Line, ...]) -> str:
    here = {line.variant for line in lines}
    generated = {r.dataset.files is not None for r in plan.runs.values() if r.model.name in here}
    return (
        " and ".join(["generated"] * (True in generated) + ["real"] * (False in generated))
        + " videos"
    )
