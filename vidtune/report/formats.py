"""A table as Markdown, CSV and LaTeX (booktabs)."""

import csv
import io
import re

from vidtune.report.columns import Column
from vidtune.report.tables import ShownTable, TableRow

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
    cells = [(c.text(cell), notes if c.what == "print" else ()) for c, cell, notes in shown]
    return [(row.label, row.notes), *((text, ()) for text in row.identity), *cells]


def _notes(table: ShownTable) -> list[str]:
    """The key, numbered footnotes, then remarks on the whole table."""
    key = [KEY, BEST] if any(_selects(table, c) for c in table.columns) else [KEY]
    return [*key, *(f"{k}. {text}" for k, text in enumerate(table.notes, 1)), *table.remarks]


def _selects(table: ShownTable, column: Column) -> bool:
    """Whether a number in this column is the best of several tests."""
    cells = (row.cells[column.metric] for row in table.rows)
    return column.what == "learned" and any(cell.best_of is not None for cell in cells)


def to_md(table: ShownTable) -> str:
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
    tail = [_md(text) + "  " for text in _notes(table)]
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
        headings += learned if c.what == "learned" else [c.predicted or f"{c.metric}_{c.what}"]
    writer.writerow(["variant", "label", *table.headings, *headings, "notes"])
    for row in table.rows:
        values: list[object] = []  # None is written as an empty field
        for c in table.columns:
            cell = row.cells[c.metric]
            if c.what != "learned":
                values.append(c.text(cell))
                continue
            values += (cell.learned or [None] * 4)[:4]
            values += [cell.best_of, cell.last] if _selects(table, c) else []
        footnotes = dict.fromkeys([*row.notes, *(k for ks in row.cell_notes.values() for k in ks)])
        texts = "; ".join(table.notes[k - 1] for k in footnotes)
        writer.writerow([row.variant, row.label, *row.identity, *values, texts])
    return out.getvalue()


TEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$", "→": r"$\to$"}
)


def to_tex(table: ShownTable) -> str:
    """A `table` for `\\usepackage{booktabs}`."""
    plain = 1 + len(table.headings)
    over, rules, at = [""] * plain, [], plain + 1
    for group, width in table.groups():
        over.append(rf"\multicolumn{{{width}}}{{c}}{{{group.translate(TEX)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
        at += width
    head = [h.translate(TEX) for h in ("Row", *table.headings, *(c.label for c in table.columns))]
    spec = "l" * plain + "".join("l" if c.what == "verdict" else "r" for c in table.columns)
    body = []
    for row, ruled in table.ruled():
        body += [r"\midrule"] * ruled
        body.append(" & ".join(_tex(*text) for text in _footnoted(table, row)) + r" \\")
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        rf"\caption{{{table.title.translate(TEX)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{spec}}}",
        r"\toprule",
        " & ".join(over) + r" \\",
        " ".join(rules),
        " & ".join(head) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\footnotesize",
        *(rf"\par {text.translate(TEX)}" for text in _notes(table)),
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _tex(text: str, footnotes: tuple[int, ...]) -> str:
    """Return a text with its footnotes. LaTeX would read a "[" at the start as an option of the `\\\\`
    above, so such a text stands in braces."""
    shown = f"{{{text.translate(TEX)}}}" if text.startswith("[") else text.translate(TEX)
    return shown + (f"$^{{{','.join(map(str, footnotes))}}}$" if footnotes else "")
