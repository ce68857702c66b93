"""Pieces of HTML: chips, tables, figures. Every text is escaped here and nowhere else.

A cell's origin is its `title`; the page's script shows it on hover and on focus alike.
"""

from collections.abc import Iterable, Sequence
from html import escape

from vidtune.report import formats
from vidtune.report.grid import Cell, Grid, Line, Part
from vidtune.report.plots.style import Plot, inline

GLYPHS = {  # the meaning of a chip does not hang on its colour
    "match": "✓",
    "near": "≈",
    "off": "✗",
    "subset": "◐",
    "not comparable": "↔",
    "not run": "○",
    "holds": "✓",
    "fails": "✗",
    "within noise": "≈",
    "not judged": "○",
    "diverged": "✗",
    "oom": "✗",
}


def tag(name: str, *inside: str, **attributes: str | int | None) -> str:
    """An element of ready HTML. `class_` is class, `data_v` is data-v; None leaves one out."""
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{shown}>{''.join(inside)}</{name}>"


def chip(word: str) -> str:
    """A verdict or status: glyph, word, colour."""
    glyph = tag("span", GLYPHS[word], aria_hidden="true")
    return tag("span", glyph, " ", escape(word), class_=f"chip c-{word.replace(' ', '-')}")


def figure(plot: Plot) -> str:
    """An inline SVG in a frame that scrolls where the screen is narrow."""
    frame = tag(
        "div", inline(plot), class_="frame", tabindex=0, role="group", aria_label=plot.title
    )
    files = tag("code", escape(f"plots/{plot.name}.svg"))
    return tag(
        "figure", frame, tag("figcaption", escape(plot.caption), " ", files), id=f"plot-{plot.name}"
    )


def plain(head: Sequence[str], rows: Iterable[Sequence[str]], label: str) -> str:
    """A small table of ready HTML cells with escaped headings."""
    top = tag("tr", *(_heading(h, k, 1) for k, h in enumerate(head)))
    body = "".join(tag("tr", *(tag("td", c) for c in row)) for row in rows)
    table = tag("table", tag("thead", top), tag("tbody", body), class_="plain")
    return tag("div", table, class_="scroll", tabindex=0, role="region", aria_label=label)


def _heading(text: str, column: int, height: int, kind: str = "") -> str:
    button = tag("button", escape(text), type="button", data_column=column)
    span = height if height > 1 else None
    return tag("th", button, scope="col", rowspan=span, aria_sort="none", class_=kind or None)


def table(grid: Grid) -> str:
    """A published table or an overview, with its footnotes."""
    label = f"t-{grid.name}"
    inside = tag("thead", *_head(grid)) + tag(
        "tbody", *(_row(grid, n, line) for n, line in _ruled(grid))
    )
    shown = tag("table", inside, class_="grid", aria_labelledby=label)
    files = f"tables/{grid.name}.md, .csv, .tex"
    notes = "".join(
        tag("li", escape(text), id=f"{grid.name}-n{k}") for k, text in enumerate(grid.notes, 1)
    )
    return tag(
        "section",
        tag("h4", escape(grid.title), id=label),
        tag("div", shown, class_="scroll", tabindex=0, role="region", aria_label=grid.title),
        *(tag("p", escape(text), class_="remark") for text in grid.remarks),
        tag("ol", notes, class_="notes") if notes else "",
        tag("p", tag("code", escape(files)), class_="remark"),
        class_="sheet",
    )


def _ruled(grid: Grid) -> list[tuple[bool, Line]]:
    """Lines, each with whether a rule parts it from the published ones above."""
    before = [None, *grid.lines]
    return [
        (a is not None and b.added and not a.added, b)
        for a, b in zip(before, grid.lines, strict=False)
    ]


def _head(grid: Grid) -> list[str]:
    plain_columns = ["Row", *grid.heads]
    first = [_heading(h, k, 2, "row" if k == 0 else "") for k, h in enumerate(plain_columns)]
    for group, width in formats.spans(grid):
        learned = any(p.scale for p in grid.parts if p.group == group)
        kind = "group learned" if learned else "group"
        first.append(tag("th", escape(group), scope="colgroup", colspan=width, class_=kind))
    second = [
        _heading(p.label, k, 1, _kind(p)) for k, p in enumerate(grid.parts, len(plain_columns))
    ]
    return [tag("tr", *first), tag("tr", *second)]


def _kind(part: Part) -> str:
    where = "" if part.what == "verdict" else "num "
    return f"{where}{part.what}{' learned' if part.scale and part.what != 'learned' else ''}"


def _row(grid: Grid, ruled: bool, line: Line) -> str:
    name = escape(line.label) + _marks(grid, line.notes)
    own = grid.paper and line.variant.startswith(f"{grid.paper}/")
    key = line.variant.partition("/")[2] if own else line.variant
    head = tag("th", name, tag("small", escape(key)), scope="row", class_="row")
    facts = [_fact(text, k >= len(grid.heads) - 2) for k, text in enumerate(line.facts)]
    cells = [_cell(grid, part, line.cells[part.metric]) for part in grid.parts]
    return tag("tr", head, *facts, *cells, class_="ruled" if ruled else None)


def _fact(text: str, options: bool) -> str:
    """What identifies the row; every option has a line of its own."""
    if not text:
        return tag("td", _nothing())
    lines = "<br>".join(escape(part) for part in text.split("; "))
    return tag("td", lines, class_="options" if options else None)


def _cell(grid: Grid, part: Part, cell: Cell) -> str:
    text = formats.shown(part, cell)
    if not text:
        inside = "" if part.what == "verdict" else _nothing()
        return tag("td", inside, class_=_kind(part))
    if part.what == "verdict":
        tip = f"{cell.verdict}: {cell.reason}" if cell.reason else None
        focus = 0 if tip else None
        return tag("td", chip(text), class_=_kind(part), title=tip, tabindex=focus, data_v=text)
    printed = part.what == "print"
    number, _, rest = text.partition(" ")
    inside = escape(number) + (tag("span", " ", escape(rest), class_="spread") if rest else "")
    beside = cell.beside[part.beside].made_by if part.what == "beside" else None
    own = part.what in ("ours", "learned")
    stale = tag("sup", "stale", class_="stale") if cell.stale and own else ""
    return tag(
        "td",
        inside,
        stale,
        _marks(grid, formats.marks(part, cell)),
        class_=_kind(part),
        data_v=number,
        data_cell=cell.id if printed else None,
        title=cell.printed_in if printed else beside or cell.made_by,
        tabindex=0,
    )


def _nothing() -> str:
    return tag("span", "\N{EN DASH}", class_="nothing")


def _marks(grid: Grid, found: tuple[int, ...]) -> str:
    links = (tag("a", str(k), href=f"#{grid.name}-n{k}", aria_label=f"note {k}") for k in found)
    return tag("sup", " ".join(links)) if found else ""
