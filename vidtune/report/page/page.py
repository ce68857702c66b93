"""The report: tables, plots, claims and contradictions as files, and all of it as one self-contained page.

Everything shown comes from `rows.csv`, the plan and the results folder; the same input gives the
same bytes. The page is `report.html.j2`; `_render` gives it what it shows.
"""

import json
import platform
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vidtune import __version__, provenance
from vidtune.plan import Plan
from vidtune.report import (
    answer,
    as_printed,
    formats,
    latex,
    outputs,
    plots,
    reference_runs,
    summary,
    tables,
    texts,
    verdicts,
)
from vidtune.report.cells import Cell
from vidtune.report.claims import Finding, findings
from vidtune.report.comparisons import STATUSES
from vidtune.report.numbers.references import is_reference
from vidtune.report.numbers.result_files import read_outcomes
from vidtune.report.numbers.rows import Row, index_rows, of_scale_seeds, rows_from_csv
from vidtune.report.plots.style import SERIES, inline
from vidtune.spec import Contradiction, slug, write_text
from vidtune.spec.read import write_bytes

FOLDER = Path(__file__).parent
SCRIPTS = ("page.js", "pareto.js")
Contradictions = dict[str, list[Contradiction]]  # by paper


def write(plan: Plan, only: Iterable[str | Path] = ()) -> None:
    """Write tables/, plots/, claims and contradictions, paper.tex and report.html, or of these the files of
    `only`.

    Raises `UserError` without a sound rows.csv, and for a file that is none of them.
    """
    wanted, page = outputs.choose(plan, only), plan.root / "report.html"
    every = of_scale_seeds(plan, rows_from_csv(plan.root / "rows.csv", plan))
    declared = {*plan.variants, *(r.variant for r in every if is_reference(r))}
    rows = [r for r in every if r.source == "paper" or r.variant in declared]
    outcomes = read_outcomes(plan)
    shown = tables.build(plan, rows)
    forms = {table.name: as_printed.build(plan, table) for table in shown}
    drawn = [n for n in plots.PLOTS if page in wanted or n in {p.stem for p in wanted}]
    made, absent = plots.draw(plan, rows, outcomes, drawn)
    tested, ours = findings(plan, rows), index_rows(rows)
    known = {name: texts.contradictions(plan, name, ours) for name in plan.config.papers}
    written: dict[str, str | bytes] = _texts(plan, shown, tested, known)
    for table in shown:
        form = forms[table.name]
        contents = formats.to_md(table, form), formats.to_full_md(table), formats.to_csv(table)
        for ending, content in zip(
            outputs.TABLE_FORMS, (*contents, latex.to_tex(table, form)), strict=True
        ):
            written[f"tables/{table.name}.{ending}"] = content
    written |= {f"plots/{name}": content for name, content in plots.files(made, absent).items()}
    if page in wanted:
        given = {"tables": shown, "forms": forms, "plots": made, "absent": absent}
        written["report.html"] = _render(
            plan, rows, tested, outcomes=outcomes, contradictions=known, **given
        )
    for name, content in written.items():
        path = plan.root / name
        if path in wanted:
            write_bytes(path, content) if isinstance(content, bytes) else write_text(path, content)


def _texts(
    plan: Plan, shown: list[tables.ShownTable], tested: list[Finding], known: Contradictions
) -> dict[str, str]:
    """File name -> claims and contradictions as csv and json, a document of all tables, its references."""
    papers = plan.config.papers.values()
    listed = {name: [c.model_dump() for c in found] for name, found in known.items()}
    return {
        "claims.csv": formats.claims_csv(tested, plan.config.metrics),
        "claims.json": _json([f.model_dump(mode="json") for f in tested]),
        "contradictions.csv": formats.contradictions_csv(known),
        "contradictions.json": _json(listed),
        "references.bib": latex.bibtex(papers),
        "paper.tex": latex.document(papers, shown, plan.scale.name),
    }


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _render(plan: Plan, rows: list[Row], tested: list[Finding], **shown: Any) -> str:
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
    counted_once = [f for f in tested if f.ours_alone and not f.repeats]
    return jinja.get_template("report.html.j2").render(
        **shown,
        plan=plan,
        cells=cells,
        lines=answer.table_lines(plan, cells),
        words=answer.WORDS,
        claims=answer.claim_lines(tested),
        tallies={
            k: answer.tally(tested, k) for k in ("counted", "measured", "predicted", "learned")
        },
        agreements=answer.agreements(cells),
        lacking=sum(f.lacks_rows for f in counted_once if f.kind == "learned"),
        repeated=sum(f.repeats for f in tested),
        addresses=_addresses(cells),
        place=answer.place,
        found=summary.lines(plan, rows, shown["outcomes"], tested, cells),
        limits=summary.limits(plan, tested),
        verdicts=verdicts.VERDICTS,
        findings=tested,
        references=kept,
        beside=reference_runs.beside(plan, tested, kept),
        statuses=STATUSES,
        endings=outputs.TABLE_FORMS,
        plot_endings=outputs.PLOT_FORMS,
        bibtex=latex.entry,
        slug=slug,
        inline=inline,
        colours=SERIES,
        stale=sorted(Counter(r.where for r in rows if r.stale).items()),
        made_by=f"vidtune {__version__} {provenance.commit()}".strip()
        + f", Python {platform.python_version()}",
        css=(FOLDER / "page.css").read_text(encoding="utf-8"),
        script="".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS),
    )


def _addresses(cells: list[Cell]) -> dict[str, str]:
    """Where "<paper>/<row>" and "<paper>/<row>/<metric>" first stand on the page."""
    out: dict[str, str] = {}
    for c in cells:
        out.setdefault(c.variant, c.cell.rpartition("/")[0])
        out.setdefault(f"{c.variant}/{c.metric}", c.cell)
    return out


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
