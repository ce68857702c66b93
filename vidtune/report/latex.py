"""Tables as LaTeX, a document that shows all of them, and the papers as BibTeX.

A table needs `booktabs` alone, is one text width of `article` wide at most, and is parted where it
would not fit a page. It is the printed form: a line of print, below it our lines.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from vidtune.report.as_printed import Head, Line, Pair, PrintedForm, PrintedRow
from vidtune.report.formats import all_notes
from vidtune.report.tables import ShownTable
from vidtune.spec import Paper
from vidtune.spec.paper import Citation

KNOWN = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''"}
    | {
        "±": r"$\pm$",
        "→": r"$\to$",
        "\N{MULTIPLICATION SIGN}": r"$\times$",
    }
    | {
        "\N{EN DASH}": "--",
        "\N{MINUS SIGN}": "$-$",
        "≈": r"$\approx$",
        "≤": r"$\leq$",
        "≥": r"$\geq$",
        "²": "$^2$",
        "\N{LEFT SINGLE QUOTATION MARK}": "`",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": "``",
        "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
        "\N{EM DASH}": "---",
        "\N{HORIZONTAL ELLIPSIS}": r"\dots{}",
        "\N{BULLET}": r"\textbullet{}",
        "\N{EURO SIGN}": r"\texteuro{}",
    }
)
GREEK = re.compile("GREEK (SMALL|CAPITAL) LETTER ([A-Z]+)")
CAPITALS = {
    "GAMMA",
    "DELTA",
    "THETA",
    "LAMBDA",
    "XI",
    "PI",
    "SIGMA",
    "UPSILON",
    "PHI",
    "PSI",
    "OMEGA",
}


class _Tex(dict[int, str]):
    """What a letter is in LaTeX: Greek by name, Latin as it is, "?" where pdflatex has none."""

    def __missing__(self, letter: int) -> str:
        if letter < LATIN:
            return chr(letter)
        known = GREEK.fullmatch(unicodedata.name(chr(letter), "").replace("LAMDA", "LAMBDA"))
        if not known or known[2] == "OMICRON":
            return "?"
        if known[1] == "SMALL":
            return rf"$\{known[2].lower()}$"
        return rf"$\{known[2].title()}$" if known[2] in CAPITALS else "?"


TEX = _Tex(KNOWN)
TEXT_WIDTH = 345.0  # points, of article at 10 pt
LATIN = 0x180  # letters before it are of Latin alphabets that inputenc knows
LINES = 52  # of a page, below a caption
LABEL = 25.0  # points, of a row's label at least
NOTE = 105  # letters of a line of notes


class Layout(NamedTuple):
    """A size of type, and whether a change and its interval share a line."""

    size: str
    letter: float  # points, a little more than a letter is wide
    sep: float  # points on each side of a column
    joined: bool


LAYOUTS = (
    Layout("scriptsize", 4.3, 2.5, True),
    Layout("scriptsize", 4.3, 2.5, False),
    Layout("tiny", 3.6, 1.5, False),
)


def to_tex(table: ShownTable, form: PrintedForm) -> str:
    """The table as printed, in as many `table` environments as its rows and columns need."""
    chosen = [(one, *_choose(one)) for one in _fitting(form)]
    wide_enough = [(one, layout, max(LABEL, label)) for one, layout, label in chosen]
    parts = [
        (*one, count, body)
        for one in wide_enough
        for count, body in list(_parts(*one)) or [(0, [])]
    ]
    notes = [_note(text) for text in (form.key, *all_notes(table, form))]
    needed = sum(math.ceil(len(text) / NOTE) for text in notes)
    inside = parts[-1][3] + needed <= LINES
    lines = ["% needs \\usepackage{booktabs}; print above, ours below"]
    for k, (one, layout, label, _, body) in enumerate(parts):
        last = k == len(parts) - 1
        lines += _part(table, one, layout, label, body, k, notes if last and inside else [])
    if not inside:
        head = r"{\scriptsize\raggedright\parindent0pt"
        lines += [head, *(rf"{text}\par" for text in notes), "}"]
    return "\n".join([*lines, ""])


def _fitting(form: PrintedForm) -> list[PrintedForm]:
    """The form, or its columns in halves until each is no wider than the text."""
    layout, label = _choose(form)
    words = [word for row in form.rows for word in row.row.label.split()]
    if len(form.heads) < 2 or label >= max(map(len, words), default=0) * layout.letter:
        return [form]
    half = math.ceil(len(form.heads) / 2)
    sides = (slice(None, half), slice(half, None))
    return [
        one
        for side in sides
        for one in _fitting(
            replace(
                form,
                heads=form.heads[side],
                rows=tuple(replace(row, pairs=row.pairs[side]) for row in form.rows),
            )
        )
    ]


def _note(text: str) -> str:
    return text.translate(TEX)


def _part(
    table: ShownTable,
    form: PrintedForm,
    layout: Layout,
    label: float,
    body: list[str],
    k: int,
    notes: list[str],
) -> list[str]:
    """One `table` environment."""
    spec = rf"p{{{label:.0f}pt}}" + "l" * len(form.facts) + "r" * len(form.heads)
    again = " (continued)" if k else ""
    tag = "" if k else rf"\label{{tab:{table.name}}}"
    heads = [_stacked(text, "l") for text in form.facts] + [_head(h) for h in form.heads]
    return [
        r"\begin{table}[tp]",
        rf"\{layout.size}",
        rf"\setlength{{\tabcolsep}}{{{layout.sep}pt}}",
        rf"\caption{{{table.title.translate(TEX)}{again}}}{tag}",
        r"\centering",
        rf"\begin{{tabular}}{{{spec}}}",
        r"\toprule",
        " & ".join(["", *heads]) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        *([r"\par\raggedright"] if notes else []),
        *(rf"{text}\par" for text in notes),
        r"\end{table}",
    ]


def _choose(form: PrintedForm) -> tuple[Layout, float]:
    """The first layout that leaves room for the labels, and their width in points."""
    longest = max((len(row.row.label) for row in form.rows), default=1)
    for layout in LAYOUTS:
        widths = [0, *_widths(form, layout.joined)]
        rest = TEXT_WIDTH - sum(w * layout.letter + 2 * layout.sep for w in widths)
        if rest >= min(100.0, longest * layout.letter):
            break
    return layout, min(rest, max(60.0, longest * layout.letter))


def _widths(form: PrintedForm, joined: bool) -> Iterator[int]:
    """The letters of the widest text of each column but the first."""
    for k, name in enumerate(form.facts):
        yield max([*map(len, name.split()), *(len(row.facts[k]) for row in form.rows)])
    for k, head in enumerate(form.heads):
        texts = [*head.label.split(), *_unit(head)]
        for row in form.rows:
            notes = ",".join(map(str, row.row.cell_notes[head.metric]))
            printed, *others = _column(row.pairs[k], joined)
            texts += [printed + notes, *others]
        yield max(map(len, texts))


def _unit(head: Head) -> list[str]:
    return head.unit.split() if head.unit else []


def _column(pair: Pair, joined: bool) -> list[str]:
    """The lines of a cell, print first, without markup."""
    printed = pair.cell.print or "--"
    lines = [line.text for line in _lines(pair.ours, joined)]
    if not pair.change:
        return [printed, *lines]
    return (
        [f"{printed} ({pair.change})", *lines] if joined else [printed, f"({pair.change})", *lines]
    )


def _lines(ours: Iterable[Line], joined: bool) -> list[Line]:
    out: list[Line] = []
    for line in ours:
        if joined and line.what == "spread" and out:
            out[-1] = out[-1]._replace(text=f"{out[-1].text} {line.text}")
        else:
            out.append(line)
    return out


def _parts(form: PrintedForm, layout: Layout, label: float) -> Iterator[tuple[int, list[str]]]:
    """The body, parted at rows: how many lines a part has, and its rows as LaTeX."""
    count, body = 0, []
    columns = 1 + len(form.facts) + len(form.heads)
    for caption, rows in form.blocks():
        if caption:
            rule = [r"\midrule"] if body else []
            body += [
                *rule,
                rf"\multicolumn{{{columns}}}{{l}}{{\textit{{{caption.translate(TEX)}}}}} \\",
            ]
            count += 1
        for row in rows:
            lines = _row(form, row, layout)
            wraps = math.ceil(len(row.row.label) * layout.letter / label)
            if count + len(lines) + wraps > LINES:
                yield count, body
                count, body = 0, []
            body += lines
            count += len(lines) + wraps - 1
    if body:
        yield count, body


def _row(form: PrintedForm, row: PrintedRow, layout: Layout) -> list[str]:
    """The lines of a row: print with its footnotes, then ours."""
    columns = []
    for pair in row.pairs:
        texts = [text.translate(TEX) for text in _column(pair, layout.joined)]
        texts[0] += _marks(row.row.cell_notes[pair.cell.metric])
        ahead = 1 + bool(pair.change and not layout.joined)
        columns.append(texts[:ahead] + [_emphasised(pair, text) for text in texts[ahead:]])
    high = max([1, *map(len, columns)])
    label = rf"\raggedright {_braced(row.row.label)}{_marks(row.row.notes)}"
    facts = [_braced(text) for text in row.facts]
    lines = []
    for k in range(high):
        first = [label, *facts] if k == 0 else ["", *[""] * len(facts)]
        cells = [texts[k] if k < len(texts) else "" for texts in columns]
        lines.append(" & ".join([*first, *cells]) + (r" \\" if k < high - 1 else r" \\[1pt]"))
    return lines


def _emphasised(pair: Pair, text: str) -> str:
    """Ours in italics; what is off in bold type as well."""
    return rf"\textbf{{\textit{{{text}}}}}" if pair.judged == "off" else rf"\textit{{{text}}}"


def _marks(notes: tuple[int, ...]) -> str:
    return f"$^{{{','.join(map(str, notes))}}}$" if notes else ""


def _braced(text: str) -> str:
    """LaTeX would read a "[" at the start as an option of the line's end above."""
    return f"{{{text.translate(TEX)}}}" if text.startswith("[") else text.translate(TEX)


def _head(head: Head) -> str:
    return _stacked(" ".join([head.label, *_unit(head)]), "r")


def _stacked(text: str, side: str) -> str:
    """A heading, a word a line."""
    words = r"\\".join(word.translate(TEX) for word in text.split())
    return rf"\shortstack[{side}]{{{words}}}"


def document(papers: Iterable[Paper], tables: Iterable[ShownTable], scale: str) -> str:
    """A document of all tables, to be compiled beside references.bib and the folder tables."""
    tables = list(tables)
    lines = [
        r"\documentclass{article}",
        r"\usepackage{booktabs}",
        r"\begin{document}",
        rf"\title{{vidtune, scale {scale.translate(TEX)}}}\author{{}}\date{{}}\maketitle",
    ]
    for paper in papers:
        lines.append(rf"\section{{{paper.name.translate(TEX)}}} \cite{{{paper.cite.key}}}")
        lines += _inputs(t for t in tables if t.paper == paper.name)
    lines += [r"\section{Every variant}", *_inputs(t for t in tables if not t.paper)]
    return "\n".join(
        [*lines, r"\bibliographystyle{plain}", r"\bibliography{references}", r"\end{document}", ""]
    )


def _inputs(tables: Iterable[ShownTable]) -> list[str]:
    """A page or more for each table: LaTeX keeps no more than a few floats waiting."""
    return [rf"\input{{tables/{table.name}}}\clearpage" for table in tables]


def bibtex(papers: Iterable[Paper]) -> str:
    return "\n".join(entry(paper.cite) for paper in papers)


def entry(cite: Citation) -> str:
    """A citation as BibTeX; the venue of a preprint is arXiv."""
    printed = bool(cite.venue) and not str(cite.venue).startswith("arXiv")
    fields = {
        "title": f"{{{cite.title.translate(TEX)}}}",
        "author": " and ".join(cite.authors).translate(TEX),
        "booktitle": str(cite.venue).translate(TEX) if printed else "",
        "year": str(cite.year or ""),
        "eprint": cite.arxiv,
        "archivePrefix": "arXiv",
        "url": f"https://arxiv.org/abs/{cite.arxiv}",
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    kind = "inproceedings" if printed else "misc"
    return "\n".join([f"@{kind}{{{cite.key},", *lines, "}", ""])
