"""A table's cells: what the paper prints of a number, what we have beside it, and its columns."""

import math
import statistics
from dataclasses import dataclass, field

from vidtune.plan import Plan
from vidtune.report.grid import Beside, Cell, Learned, Line, Part
from vidtune.report.numbers.rows import Row
from vidtune.report.verdicts import Cell as Judged
from vidtune.report.verdicts import chosen, slug
from vidtune.spec import Metric, Numbers, Table


@dataclass
class Source:
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


def cell(source: Source, name: str, metric: str, found: list[Numbers]) -> Cell:
    key = name.split("/")[1]
    m = source.plan.config.metrics[metric]
    printed = [n for n in found if metric in n.rows[key]]
    cell = _ours(source, m, name, printed)
    if not printed:
        return cell
    first = printed[0]
    text = str(first.rows[key][metric])
    judged = source.judged[f"{name.split('/')[0]}/{slug(first.where)}/{key}/{metric}"]
    standing = first.reasons.get(f"{key}/{metric}", first.reasons.get(key))
    others = [n for n in printed[1:] if float(n.rows[key][metric]) != float(text)]
    telling = judged.verdict in ("off", "subset") or judged.reason == standing
    marks = source.note(judged.reason if telling else "")
    for c in source.plan.config.papers[name.split("/")[0]].contradictions:
        if f"{key}/{metric}" in c.cells:
            marks += source.note(f"contradicted, as listed below: {c.says} ({c.where})")
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


def _ours(source: Source, m: Metric, name: str, printed: list[Numbers]) -> Cell:
    """What we have of a cell, whether or not the paper prints it."""
    rows = source.ours.get((name, m.name), [])
    if m.kind == "measured" and rows:
        rows = [row for row in [chosen(source.plan, next(iter(printed), None), rows)] if row]
    numbers = [r.value for r in rows if not math.isnan(r.value)]
    beside = {
        b.name: Beside(found[0].value, _under(found[0]), _made_by(found))
        for b in source.plan.config.metrics.values()
        if m.name in b.beside and (found := source.ours.get((name, b.name), []))
    }
    return Cell(
        ours=statistics.fmean(numbers) if numbers and m.kind != "learned" else None,
        ended=rows[0].text if rows else "",
        beside=beside,
        learned=_learned(rows) if m.kind == "learned" and rows else None,
        made_by=_made_by(rows),
        stale=any(r.stale for r in rows),
    )


def _under(row: Row) -> str:
    """The convention of a predicted number, without what is the row's own."""
    first, *rest = row.condition.split("; ")
    return "; ".join([first, *(part for part in rest if part.startswith("fitted "))])


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
    if rows[0].condition:
        parts.append(f"under: {rows[0].condition}")
    if seeds:
        parts += [f"seeds: {', '.join(seeds)}", f"n: {rows[0].n} test clips"]
    parts.append(f"code: {', '.join(sorted({r.digest for r in rows})) or 'unknown'}")
    if any(r.stale for r in rows):
        parts.append("stale: the code has changed since")
    return "; ".join(parts)


def parts(plan: Plan, table: Table, lines: tuple[Line, ...]) -> tuple[Part, ...]:
    """Columns as shown: what is printed and what we have of it first, what was learned here after.

    Beside a printed measurement stand the predicted numbers and, even where it is empty, our own.
    """
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
        first += _beside(plan, m, group, cells)
        ours = any(c.ours is not None or c.ended for c in cells)
        if ours or (prints and m.kind == "measured"):
            first.append(Part(metric, "ours", group, m.kind, m.digits))
        if prints and not learned:
            first.append(Part(metric, "verdict", group, "verdict", m.digits))
        if learned:
            group = f"{m.label} ({learned}, {_videos(plan, lines)})" + (unit and f", {unit}")
            after.append(Part(metric, "learned", group, "ours", m.digits, learned))
            if prints:
                after.append(Part(metric, "verdict", group, "verdict", m.digits, learned))
    return (*first, *after)


def _beside(plan: Plan, m: Metric, group: str, cells: list[Cell]) -> list[Part]:
    """Columns of the predicted metrics that stand beside a measured one."""
    shown = [b for b in plan.config.metrics.values() if any(b.name in c.beside for c in cells)]
    return [
        Part(m.name, "beside", group, _first_word(b), b.digits, beside=b.name)
        for b in shown
        if m.name in b.beside
    ]


def _first_word(beside: Metric) -> str:
    """ "predicted, GiB" of "Predicted training memory"."""
    return f"{beside.label.split()[0].lower()}, {beside.unit}"


def _videos(plan: Plan, lines: tuple[Line, ...]) -> str:
    here = {line.variant for line in lines}
    generated = {
        r.dataset.generated is not None for r in plan.runs.values() if r.model.name in here
    }
    return (
        " and ".join(["generated"] * (True in generated) + ["real"] * (False in generated))
        + " videos"
    )
