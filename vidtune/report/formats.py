"""A table as Markdown, CSV and LaTeX (booktabs)."""

import csv
import io

from vidtune.report.grid import Cell, Grid, Line, Part

KEY = (
    "Counted: at full size. Predicted: on fake tensors, without a GPU. Learned: mean ± standard "
    "deviation over seeds (number of seeds)."
)


def shown(part: Part, cell: Cell) -> str:
    """A cell's text in one column; "" where there is nothing."""
    if part.what == "print":
        return cell.print
    if part.what == "verdict":
        return cell.verdict
    if part.what == "beside":
        found = cell.beside.get(part.beside)
        return "" if found is None else f"{found.value:.{part.digits}f}"
    if part.what == "ours":
        number = [] if cell.ours is None else [f"{cell.ours:.{part.digits}f}"]
        return " ".join([*number, cell.ended] if cell.ended else number)
    if cell.learned is None:
        return ""
    mean, sd, seeds, *_ = cell.learned
    spread = "" if sd is None else f" ± {sd:.{part.digits}f}"
    return f"{mean:.{part.digits}f}{spread} ({seeds})"


def marks(part: Part, cell: Cell) -> tuple[int, ...]:
    """Footnotes stand at the printed number."""
    return cell.notes if part.what == "print" else ()


def notes(grid: Grid) -> list[str]:
    """Numbered footnotes, then remarks on the whole table."""
    return [f"{k}. {text}" for k, text in enumerate(grid.notes, 1)] + list(grid.remarks)


def md(grid: Grid) -> str:
    head = ["Row", *grid.heads, *(_one_line(p) for p in grid.parts)]
    right = ["---"] * (1 + len(grid.heads)) + [
        "---" if p.what == "verdict" else "---:" for p in grid.parts
    ]
    body = []
    for line in grid.lines:
        cells = [
            (shown(p, line.cells[p.metric]), marks(p, line.cells[p.metric])) for p in grid.parts
        ]
        row = [(line.label, line.notes), *((f, ()) for f in line.facts), *cells]
        body.append([_md(text) + "".join(f" [{k}]" for k in found) for text, found in row])
    lines = ["| " + " | ".join(r) + " |" for r in [[_md(h) for h in head], right, *body]]
    tail = [_md(text) + "  " for text in [KEY, *notes(grid)]]
    return "\n".join([f"# {_md(grid.title)}", "", *lines, "", *tail, ""])


def _one_line(part: Part) -> str:
    """Both levels of a heading in one; the scale already says whose a learned number is."""
    return part.group if part.what == "learned" else f"{part.group}, {part.label}"


def _md(text: str) -> str:
    for c in "\\|*_[]<>`":
        text = text.replace(c, f"\\{c}")
    return text


def to_csv(grid: Grid) -> str:
    """Numbers as numbers: a learned cell takes four columns."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["variant", "label", *grid.heads, *(h for p in grid.parts for h in _fields(p)), "notes"]
    )
    for line in grid.lines:
        values = [v for p in grid.parts for v in _values(p, line.cells[p.metric])]
        writer.writerow([line.variant, line.label, *line.facts, *values, _noted(grid, line)])
    return out.getvalue()


def _fields(part: Part) -> list[str]:
    if part.what == "learned":
        return [f"{part.metric}_{part.scale}_{k}" for k in ("mean", "sd", "seeds", "clips")]
    if part.what == "beside":
        return [part.beside]
    return [f"{part.metric}_{part.what}"]


def _values(part: Part, cell: Cell) -> list[str]:
    if part.what != "learned":
        return [shown(part, cell)]
    if cell.learned is None:
        return ["", "", "", ""]
    mean, sd, seeds, clips, _ = cell.learned
    return [
        repr(mean),
        "" if sd is None else repr(sd),
        str(seeds),
        "" if clips is None else str(clips),
    ]


def _noted(grid: Grid, line: Line) -> str:
    """The row's and its cells' footnotes in words."""
    found = dict.fromkeys([*line.notes, *(k for c in line.cells.values() for k in c.notes)])
    return "; ".join(grid.notes[k - 1] for k in found)


_TEX = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "→": r"$\to$",
}


def escape(text: str) -> str:
    """Plain text for LaTeX."""
    return "".join(_TEX.get(c, c) for c in text)


def tex(grid: Grid) -> str:
    """A `table` for `\\usepackage{booktabs}`; `[` at a row's start is guarded."""
    plain = 1 + len(grid.heads)
    groups = spans(grid)
    rules, at = [], plain + 1
    for _, width in groups:
        rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
        at += width
    over = ["" for _ in range(plain)]
    over += [rf"\multicolumn{{{width}}}{{c}}{{{escape(group)}}}" for group, width in groups]
    head = [escape(h) for h in ("Row", *grid.heads, *(p.label for p in grid.parts))]
    spec = "l" * plain + "".join("l" if p.what == "verdict" else "r" for p in grid.parts)
    text = [" & ".join(row) + r" \\" for row in (over, head)]
    body = []
    for before, line in zip([None, *grid.lines], grid.lines, strict=False):
        body += [r"\midrule"] if before and line.added and not before.added else []
        body.append(" & ".join(_tex_row(grid, line)) + r" \\")
    small = [rf"\par {escape(t)}" for t in [KEY, *notes(grid)]]
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{table}",
            rf"\caption{{{escape(grid.title)}}}",
            rf"\label{{tab:{grid.name}}}",
            rf"\begin{{tabular}}{{{spec}}}",
            r"\toprule",
            text[0],
            " ".join(rules),
            text[1],
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\footnotesize",
            *small,
            r"\end{table}",
            "",
        ]
    )


def _tex_row(grid: Grid, line: Line) -> list[str]:
    def cell(text: str, found: tuple[int, ...]) -> str:
        text = f"{{{escape(text)}}}" if text.startswith("[") else escape(text)
        return text + (f"$^{{{','.join(map(str, found))}}}$" if found else "")

    numbers = [
        cell(shown(p, line.cells[p.metric]), marks(p, line.cells[p.metric])) for p in grid.parts
    ]
    return [cell(line.label, line.notes), *(cell(f, ()) for f in line.facts), *numbers]


def spans(grid: Grid) -> list[tuple[str, int]]:
    """Neighbouring columns under one heading, with their number."""
    out: list[tuple[str, int]] = []
    for part in grid.parts:
        if out and out[-1][0] == part.group:
            out[-1] = (part.group, out[-1][1] + 1)
        else:
            out.append((part.group, 1))
    return out
