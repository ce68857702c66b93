"""The report: tables and plots as files, and all of it as one self-contained page.

Everything shown comes from `rows.csv`, the plan and the results folder; the same input gives the
same bytes.
"""

from html import escape
from pathlib import Path

from vidtune.plan import Plan
from vidtune.report import claims, formats, plots, tables, verdicts
from vidtune.report.grid import Grid
from vidtune.report.numbers import outcomes
from vidtune.report.numbers import rows as rows_of
from vidtune.report.numbers.rows import Row
from vidtune.report.page import markup, sections
from vidtune.report.page.markup import tag
from vidtune.report.plots.style import SERIES, Plot
from vidtune.spec import write_text
from vidtune.spec.read import write_bytes

HERE = Path(__file__).parent
FORMATS = {"md": formats.md, "csv": formats.to_csv, "tex": formats.tex}
SHOWN = ("gflops", "tokens", "accuracy", "ablations", "training")  # the premise has its own section

Section = tuple[str, str, str]  # id, heading, content


def write(plan: Plan) -> None:
    """Write tables/, plots/ and report.html. Raises `UserError` without a sound rows.csv."""
    rows = _declared(plan, rows_of.from_csv(plan.root / "rows.csv"))
    facts = outcomes.read(plan)
    judged = verdicts.cells(plan, rows)
    found = claims.findings(plan, rows)
    grids = tables.build(plan, rows, judged)
    made, absent = plots.draw(plan, rows, facts)
    for grid in grids:
        for ending, render in FORMATS.items():
            write_text(plan.root / "tables" / f"{grid.name}.{ending}", render(grid))
    for plot in made.values():
        write_text(plan.root / "plots" / f"{plot.name}.svg", plot.svg)
        write_bytes(plan.root / "plots" / f"{plot.name}.png", plot.png)
    parts: list[Section] = [
        ("summary", "Summary", sections.summary(plan, judged, found, facts)),
        ("guide", "How to read this", sections.guide(plan)),
        ("premise", "The premise", _plots(("premise",), made, absent)),
        *_papers(plan, grids, found),
        ("all", "Every variant", "".join(markup.table(g) for g in grids if g.paper is None)),
        ("plots", "Plots", _plots(SHOWN, made, absent)),
        ("failed", "Failed runs", sections.failures(plan, facts)),
        ("stale", "Stale results", sections.stale(rows)),
        ("citations", "Citations", sections.citations(plan)),
    ]
    write_text(
        plan.root / "report.html", document(f"vidtune report, scale {plan.scale.name}", parts)
    )


def _declared(plan: Plan, rows: list[Row]) -> list[Row]:
    """Without the numbers of variants that the configuration has dropped since."""
    return [r for r in rows if r.source == "paper" or r.variant in plan.variants]


def _papers(plan: Plan, grids: list[Grid], found: list[claims.Finding]) -> list[Section]:
    """Each paper's tables, then its claims and contradictions."""
    out = []
    for paper in plan.config.papers.values():
        mine = [f for f in found if f.claim.startswith(f"{paper.name}/")]
        content = tag("p", escape(paper.cite.title), class_="lead")
        content += "".join(markup.table(g) for g in grids if g.paper == paper.name)
        if mine:
            content += tag("h3", f"Claims of {escape(paper.name)}") + sections.claims(mine)
        if paper.contradictions:
            content += tag("h3", f"Where {escape(paper.name)} contradicts itself or its code")
            content += sections.contradictions(paper)
        out.append((f"paper-{paper.name}", paper.name, content))
    return out


def _plots(names: tuple[str, ...], made: dict[str, Plot], absent: dict[str, str]) -> str:
    """The figures, and why the others are not there."""
    missing = [
        tag("p", escape(f"No plot of {n}: {absent[n]}."), class_="remark")
        for n in names
        if n in absent
    ]
    return "".join([markup.figure(made[n]) for n in names if n in made] + missing)


def document(title: str, parts: list[Section]) -> str:
    """The whole page; styles and script stand inside it."""
    links = "".join(tag("li", tag("a", escape(head), href=f"#{name}")) for name, head, _ in parts)
    body = "".join(
        tag(
            "section",
            tag("h2", escape(head), id=f"{name}-h"),
            content,
            id=name,
            aria_labelledby=f"{name}-h",
        )
        for name, head, content in parts
    )
    style = (HERE / "page.css").read_text(encoding="utf-8")
    script = (HERE / "page.js").read_text(encoding="utf-8")
    toggle = tag("button", "Light or dark", type="button", id="theme", hidden="")
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            '<head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            tag("title", escape(title)),
            tag("style", style + _series()),
            "</head><body>",
            tag("a", "Skip to the content", href="#main", class_="skip"),
            tag("header", tag("h1", escape(title)), toggle),
            tag("nav", tag("ol", links), aria_label="Sections"),
            tag("main", body, id="main"),
            tag("div", id="tip", role="tooltip", hidden=""),
            tag("script", script),
            "</body></html>\n",
        ]
    )


def _series() -> str:
    """The plots' colours as variables, lightened for dark pages."""
    pairs = (
        f"--s{k}: light-dark({c}, color-mix(in oklab, {c}, white 32%))"
        for k, c in enumerate(SERIES)
    )
    return f":root {{ {'; '.join(pairs)} }}\n"
