"""A table as Markdown, CSV and LaTeX (booktabs)."""

import csv
import io
import re

from vidtune.report.cells import Cell
from vidtune.report.columns import Column
from vidtune.report.tables import ShownTable, TableRow

KEY = (
    "Counted: at full size. Predicted: on fake tensors, without a GPU. Learned: mean ± standard "
    "deviation over seeds (number of seeds)."
)
Marked = tuple[str, tuple[int, ...]]  # a text and its footnotes


def marked(table: ShownTable, row: TableRow) -> list[Marked]:
    """The texts of a row as shown; footnotes of a cell stand at the printed number."""
    return [
        (row.label, row.notes),
        *((text, ()) for text in row.identity),
        *(
            (c.text(row.cells[c.metric]), row.cell_notes[c.metric] if c.what == "print" else ())
            for c in table.columns
        ),
    ]


def notes(table: ShownTable) -> list[str]:
    """The key, numbered footnotes, then remarks on the whole table."""
    return [KEY, *(f"{k}. {text}" for k, text in enumerate(table.notes, 1)), *table.remarks]


def to_md(table: ShownTable) -> str:
    # The scale in a learned column's group already says whose number it is.
    heads = [c.group if c.what == "learned" else f"{c.group}, {c.label}" for c in table.columns]
    left = ["---"] * (1 + len(table.heads))
    body = [
        [_md(text) + "".join(f" [{k}]" for k in marks) for text, marks in marked(table, row)]
        for row in table.rows
    ]
    lines = [
        [_md(head) for head in ("Row", *table.heads, *heads)],
        left + ["---" if c.what == "verdict" else "---:" for c in table.columns],
        *body,
    ]
    tail = [_md(text) + "  " for text in notes(table)]
    shown = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([f"# {_md(table.title)}", "", *shown, "", *tail, ""])


def _md(text: str) -> str:
    return re.sub(r"([\\|*_\[\]<>`])", r"\\\1", text)


def to_csv(table: ShownTable) -> str:
    """Numbers as numbers: a learned cell takes four columns; footnotes stand in words at the end."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    heads = [head for column in table.columns for head in _csv_heads(column)]
    writer.writerow(["variant", "label", *table.heads, *heads, "notes"])
    for row in table.rows:
        values = [v for c in table.columns for v in _csv_values(c, row.cells[c.metric])]
        marks = dict.fromkeys([*row.notes, *(k for ks in row.cell_notes.values() for k in ks)])
        texts = "; ".join(table.notes[k - 1] for k in marks)
        writer.writerow([row.variant, row.label, *row.identity, *values, texts])
    return out.getvalue()


def _csv_heads(column: Column) -> list[str]:
    if column.what == "learned":
        return [f"{column.metric}_{column.scale}_{k}" for k in ("mean", "sd", "seeds", "clips")]
    return [column.beside or f"{column.metric}_{column.what}"]


def _csv_values(column: Column, cell: Cell) -> list[str]:
    if column.what != "learned":
        return [column.text(cell)]
    if cell.learned is None:
        return [""] * 4
    return ["" if v is None else repr(v) for v in cell.learned[:4]]


_TEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$", "→": r"$\to$"}
)


def escape_tex(text: str) -> str:
    return text.translate(_TEX)


def to_tex(table: ShownTable) -> str:
    """A `table` for `\\usepackage{booktabs}`."""
    plain = 1 + len(table.heads)
    over, rules, at = [""] * plain, [], plain + 1
    for group, width in table.groups():
        over.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_tex(group)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
        at += width
    head = [escape_tex(h) for h in ("Row", *table.heads, *(c.label for c in table.columns))]
    spec = "l" * plain + "".join("l" if c.what == "verdict" else "r" for c in table.columns)
    body = []
    for row, ruled in table.ruled():
        body += [r"\midrule"] * ruled
        body.append(" & ".join(_tex(*text) for text in marked(table, row)) + r" \\")
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        rf"\caption{{{escape_tex(table.title)}}}",
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
        *(rf"\par {escape_tex(text)}" for text in notes(table)),
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _tex(text: str, marks: tuple[int, ...]) -> str:
    """A text with its footnotes; "[" would be an option of the row above, so braces guard it."""
    shown = f"{{{escape_tex(text)}}}" if text.startswith("[") else escape_tex(text)
    return shown + (f"$^{{{','.join(map(str, marks))}}}$" if marks else "")
