"""Tables as Markdown (as printed, and in full) and CSV; claims and contradictions as CSV."""

import csv
import io
import re
from collections.abc import Iterable
from typing import Any

from vidtune.report.as_printed import Pair, PrintedForm
from vidtune.report.claims import Finding
from vidtune.report.columns import Column
from vidtune.report.tables import ShownTable, TableRow
from vidtune.spec import Contradiction, Metric

KEY = (
    "Counted: at full size. Predicted: on fake tensors, without a GPU. Learned: mean ± standard "
    "deviation over seeds (number of seeds)."
)


LEARNED, PICKED = ("mean", "sd", "seeds", "clips"), ("best_of", "last")  # columns of a CSV
BEST = (
    "Best of several tests on the test set: as the authors of the row took it, in the course of one "
    "training; such a number is too high for clips that were not looked at. Last: of the last weights, "
    "which differences and claims are judged by."
)


def _footnoted(table: ShownTable, row: TableRow) -> list[tuple[str, tuple[int, ...]]]:
    """The texts of a row and the footnotes of each; a cell's stand at the printed number."""
    shown = [(c, row.cells[c.metric], row.cell_notes[c.metric]) for c in table.columns]
    cells = [
        (cell.judged if c.what == "verdict" else c.text(cell), notes if c.what == "print" else ())
        for c, cell, notes in shown
    ]
    return [(row.label, row.notes), *((text, ()) for text in row.identity), *cells]


def all_notes(table: ShownTable, form: PrintedForm | None = None) -> list[str]:
    """What of a table is missing, where its numbers come from, footnotes, remarks on all of it; with
    `form` the footnotes that it refers to alone."""
    known = range(1, len(table.notes) + 1) if form is None else form.notes
    key = [BEST] if any(_selects(table, c) for c in table.columns) else []
    missing = [f"Missing: {table.lacks}."] if table.lacks else []
    source = [f"Numbers from: {table.came_from}."] if table.came_from else []
    notes = (f"{k}. {table.notes[k - 1]}" for k in known)
    return [*key, *missing, *source, *notes, *table.remarks]


def _selects(table: ShownTable, column: Column) -> bool:
    """Whether a number in this column is the best of several tests."""
    cells = (row.cells[column.metric] for row in table.rows)
    return column.what == "learned" and any(cell.best_of is not None for cell in cells)


def to_md(table: ShownTable, form: PrintedForm) -> str:
    """The table as printed: print and ours in one cell, a row for each part's caption."""
    heads = [f"{h.text}: print" + (f" / {h.ours}" if h.ours else "") for h in form.heads]
    lines = [[_md(text) for text in ("Row", *form.facts, *heads)]]
    lines.append(["---"] * (1 + len(form.facts)) + ["---:"] * len(heads))
    for caption, rows in form.blocks():
        if caption:
            lines.append([f"*{_md(caption)}*"] + [""] * (len(lines[0]) - 1))
        for one in rows:
            pairs = [_md_pair(one.row, pair) for pair in one.pairs]
            named = _md(one.row.label) + "".join(f" [{k}]" for k in one.row.notes)
            lines.append([named, *map(_md, one.facts), *pairs])
    shown = ["| " + " | ".join(line) + " |" for line in lines]
    tail = [_md(text) + "  " for text in (form.key, *all_notes(table, form))]
    return "\n".join([f"# {_md(table.title)}", "", *shown, "", *tail, ""])


def _md_pair(row: TableRow, pair: Pair) -> str:
    printed = _md(pair.cell.print or "-") + (f" ({pair.change})" if pair.change else "")
    printed += "".join(f" [{k}]" for k in row.cell_notes[pair.cell.metric])
    text = f"{printed} / {_md(pair.text)}" if pair.ours else printed
    return f"{text}, {pair.judged}" if pair.judged in ("off", "near", "not comparable") else text


def to_full_md(table: ShownTable) -> str:
    # The scale in a learned column's group already says whose number it is.
    headings = [c.group if c.what == "learned" else f"{c.group}, {c.label}" for c in table.columns]
    lines = [
        [_md(head) for head in ("Row", *table.headings, *headings)],
        ["---"] * (1 + len(table.headings))
        + ["---" if c.what == "verdict" else "---:" for c in table.columns],
        *(
            [
                _md(text) + "".join(f" [{k}]" for k in footnotes)
                for text, footnotes in _footnoted(table, row)
            ]
            for row in table.rows
        ),
    ]
    tail = [_md(text) + "  " for text in (KEY, *all_notes(table))]
    shown = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([f"# {_md(table.title)}", "", *shown, "", *tail, ""])


def _md(text: str) -> str:
    return re.sub(r"([\\|*_\[\]<>`])", r"\\\1", text)


def to_csv(table: ShownTable) -> str:
    """Numbers as numbers: a learned cell takes four columns, and two more where a number is the best of
    several tests; footnotes stand in words at the end."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    headings: list[str] = []
    for c in table.columns:
        picked = PICKED if _selects(table, c) else ()
        learned = [f"{c.metric}_{c.scale}_{k}" for k in (*LEARNED, *picked)]
        if c.what == "ours_delta":
            headings += [f"{c.metric}_{c.what}", f"{c.metric}_{c.what}_half"]
        else:
            headings += learned if c.what == "learned" else [c.predicted or f"{c.metric}_{c.what}"]
    writer.writerow(["variant", "label", *table.headings, *headings, "notes"])
    for row in table.rows:
        values: list[object] = []  # None is written as an empty field
        for c in table.columns:
            cell = row.cells[c.metric]
            if c.what == "ours_delta":
                values += [cell.delta.ours, cell.delta.half] if cell.delta else [None] * 2
                continue
            if c.what != "learned":
                values.append(c.text(cell))
                continue
            values += (cell.learned or [None] * 4)[:4]
            values += [cell.best_of, cell.last] if _selects(table, c) else []
        footnotes = dict.fromkeys([*row.notes, *(k for ks in row.cell_notes.values() for k in ks)])
        texts = "; ".join(table.notes[k - 1] for k in footnotes)
        writer.writerow([row.variant, row.label, *row.identity, *values, texts])
    return out.getvalue()


CLAIM = ("claim", "says", "where", "metric", "test", "kind", "paper", "ours")
CLAIM += ("numbers", "control", "repeats")


def claims_csv(findings: Iterable[Finding], metrics: dict[str, Metric]) -> str:
    """A line for each test of a claim, with each of its comparisons."""
    lines = []
    for f in findings:
        compared = (one.text(metrics[f.metric].digits) for one in f.comparisons)
        detail = "; ".join(filter(None, (f.detail, f.beside, *compared)))
        lines.append([*(getattr(f, key) for key in CLAIM), detail])
    return _csv([*CLAIM, "detail"], lines)


def contradictions_csv(known: dict[str, list[Contradiction]]) -> str:
    """A line for each contradiction, by paper."""
    lines = [
        [paper, c.where, c.says, c.against, c.note, "; ".join(c.cells)]
        for paper, found in known.items()
        for c in found
    ]
    return _csv(["paper", "where", "says", "against", "note", "cells"], lines)


def _csv(head: list[str], lines: Iterable[list[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([head, *lines])
    return out.getvalue()
