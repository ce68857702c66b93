"""The report: tables and plots as files, and all of it as one self-contained page.

Everything shown comes from `rows.csv`, the plan and the results folder; the same input gives the
same bytes. The page is `report.html.j2`; `_render` gives it what it shows.
"""

import platform
from collections import Counter
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vidtune import __version__, provenance
from vidtune.plan import Plan
from vidtune.report import formats, plots, reference_runs, summary, tables, texts, verdicts
from vidtune.report.claims import findings
from vidtune.report.comparisons import STATUSES
from vidtune.report.numbers.references import is_reference
from vidtune.report.numbers.result_files import read_outcomes
from vidtune.report.numbers.rows import Row, index_rows, rows_from_csv
from vidtune.report.plots.style import SERIES, inline
from vidtune.spec import write_text
from vidtune.spec.read import write_bytes

FOLDER = Path(__file__).parent
SCRIPTS = ("page.js", "pareto.js")
FORMATS = {"md": formats.to_md, "csv": formats.to_csv, "tex": formats.to_tex}


def write(plan: Plan) -> None:
    """Write tables/, plots/ and report.html. Raises `UserError` without a sound rows.csv."""
    every = rows_from_csv(plan.root / "rows.csv")
    declared = {*plan.variants, *(r.variant for r in every if is_reference(r))}
    rows = [r for r in every if r.source == "paper" or r.variant in declared]
    outcomes = read_outcomes(plan)
    shown = tables.build(plan, rows)
    made, absent = plots.draw(plan, rows, outcomes)
    for table in shown:
        for ending, render in FORMATS.items():
            write_text(plan.root / "tables" / f"{table.name}.{ending}", render(table))
    for plot in made.values():
        for ending in ("svg", "csv"):
            write_text(plan.root / "plots" / f"{plot.name}.{ending}", getattr(plot, ending))
        for ending in ("png", "pdf"):
            write_bytes(plan.root / "plots" / f"{plot.name}.{ending}", getattr(plot, ending))
    html = _render(plan, rows, outcomes=outcomes, tables=shown, plots=made, absent=absent)
    write_text(plan.root / "report.html", html)


def _render(plan: Plan, rows: list[Row], **shown: Any) -> str:
    """The page as HTML; `shown` goes to the template as it is."""
    jinja = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    jinja.filters["duration"] = _duration
    kept = reference_runs.read(plan)
    cells = verdicts.cells(plan, rows)
    ours, papers, tested = index_rows(rows), plan.config.papers, findings(plan, rows)
    return jinja.get_template("report.html.j2").render(
        **shown,
        plan=plan,
        cells=cells,
        found=summary.lines(plan, rows, shown["outcomes"], tested, cells),
        limits=summary.limits(plan, tested),
        verdicts=verdicts.VERDICTS,
        findings=tested,
        references=kept,
        beside=reference_runs.beside(plan, tested, kept),
        claims={name: [f for f in tested if f.claim.startswith(f"{name}/")] for name in papers},
        statuses=STATUSES,
        contradictions={name: texts.contradictions(plan, name, ours) for name in papers},
        inline=inline,
        figure_names=list(plots.PLOTS),
        colours=SERIES,
        stale=sorted(Counter(r.where for r in rows if r.stale).items()),
        made_by=f"vidtune {__version__} {provenance.commit()}".strip()
        + f", Python {platform.python_version()}",
        css=(FOLDER / "page.css").read_text(encoding="utf-8"),
        script="".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS),
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
