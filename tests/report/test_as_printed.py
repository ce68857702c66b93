"""The printed form of a table: pairs of print and ours, and the form as LaTeX."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from vidtune.report import as_printed, formats, latex, tables
from vidtune.report.numbers import rows
from vidtune.report.numbers.rows import FULL_SIZE, HERE, our_row
from vidtune.spec.paper import Citation

SMALL = "side4video/b16-light-ssv2"


def learned(plan, row, metric, values, paper="side4video"):
    m = plan.config.metrics[metric]
    same = {"variant": f"{paper}/{row}", "where": "made.json", "scale": plan.scale.name}
    return [our_row(m, **same, value=v, seed=k, n=9) for k, v in enumerate(values)]


def form_of(plan, ours, name):
    table = next(t for t in tables.build(plan, ours) if t.name == name)
    return table, as_printed.build(plan, table)


def pair_of(form, row, metric):
    k = [head.metric for head in form.heads].index(metric)
    return next(one.pairs[k] for one in form.rows if one.row.variant.split("/")[1] == row)


def test_the_columns_are_those_of_the_paper(plan):
    _, form = form_of(plan, [], "side4video-table2")
    assert [h.metric for h in form.heads] == ["gflops", "params_tuned", "train_gb", "top1"]
    assert form.facts == ("Batch",)
    table, form = form_of(plan, [], "side4video-table4")
    assert form.facts == ("Backbone", "Pre-training", "Frames", "Views")
    captions = [caption for caption, _ in form.blocks()]
    assert captions == ["Something-Something V1", "Something-Something V2"]
    assert len(form.rows) == len(table.rows)


def test_a_match_that_rounds_to_print_is_told_from_one_within_a_unit(plan):
    def judged(value):
        m = plan.config.metrics["params_tuned"]
        row = our_row(m, variant=SMALL, value=value, where="made.json", scale=FULL_SIZE)
        _, form = form_of(plan, [row], "side4video-table2")  # print: 4
        return pair_of(form, "b16-light-ssv2", "params_tuned").judged

    assert judged(4.4) == "match"
    assert judged(4.53) == "match, within one unit"
    assert judged(5.1) == "off"


def test_what_a_small_scale_learns_stands_as_a_change_beside_prints(plan):
    ours = [
        *learned(plan, "b16-ssv1", "top1", [90.0, 91.0, 92.5]),
        *learned(plan, "b16-ssv1-attention", "top1", [89.0, 88.0, 90.0]),
    ]
    _, form = form_of(plan, ours, "side4video-table9b")
    (head,) = (h for h in form.heads if h.metric == "top1")
    assert head.ours == "change, mini"
    base, other = (pair_of(form, r, "top1") for r in ("b16-ssv1", "b16-ssv1-attention"))
    assert (base.cell.print, base.text, base.judged) == ("58.5", "base", "")
    assert (other.cell.print, other.change) == ("57.9", "-0.6")
    assert re.fullmatch(r"-2\.2 ± \d+\.\d", other.text) and other.judged == ""
    assert "3D Conv" in form.key
    shown = latex.to_tex(*form_of(plan, ours, "side4video-table9b"))
    assert "90" not in shown.replace("90.", "") and "57.9 (-0.6)" in shown


def test_the_same_run_has_no_change(plan):
    rows = ("lora-b32", "lora-b16")
    ours = [r for row in rows for r in learned(plan, row, "rsum", [1.0, 2.0], "tempme")]
    _, form = form_of(plan, ours, "tempme-table1")
    assert [pair_of(form, row, "rsum").text for row in rows] == ["base", "same run"]


def test_predicted_memory_stands_in_both_units(plan):
    metrics = plan.config.metrics
    given = {"variant": SMALL, "where": "m.json", "scale": FULL_SIZE, "condition": "made"}
    ours = [
        our_row(metrics["train_gib"], value=5.712, **given),
        our_row(metrics["train_gb_fit"], value=8.83, **given),
    ]
    _, form = form_of(plan, ours, "side4video-table2")
    pair = pair_of(form, "b16-light-ssv2", "train_gb")
    assert [(line.text, line.what) for line in pair.ours] == [
        ("5.7 GiB", "predicted"),
        ("fit 8.8", "fitted"),
    ]


def test_every_form_is_estimated_to_fit_the_text(made):
    for table in tables.build(made, rows.rows_from_csv(made.root / "rows.csv")):
        for form in latex._fitting(as_printed.build(made, table)):
            layout, label = latex._choose(form)
            widths = [0, *latex._widths(form, layout.joined)]
            used = sum(w * layout.letter + 2 * layout.sep for w in widths)
            assert used + label <= latex.TEXT_WIDTH and label >= 25, table.name


def test_notes_are_those_that_the_printed_form_refers_to(plan):
    table, form = form_of(plan, [], "tempme-table1")
    text = formats.to_md(table, form)
    told = {int(k) for k in re.findall(r"^(\d+)\. ", text, re.M)}
    body = text.split("Above: ")[0].split("No number")[0]
    assert told == {int(k) for k in re.findall(r" \[(\d+)\]", body)} == set(form.notes)
    assert len(form.notes) < len(table.notes)


def test_what_was_measured_elsewhere_says_where_and_why_it_is_not_compared(plan):
    m = plan.config.metrics["throughput"]
    given = {"where": "made.json", "scale": HERE, "device": "NVIDIA H200"}
    row = our_row(m, variant="tempme/tempme-b16", value=162.3, condition="batch 32", **given)
    table, form = form_of(plan, [row], "tempme-table4")
    for text in (formats.to_md(table, form), latex.to_tex(table, form)):
        assert "measured on NVIDIA H200" in text and "print's is one A100" in text
    assert "not comparable" in formats.to_md(table, form)
    stale = row.model_copy(update={"stale": True})
    assert "ours is stale" in formats.to_md(*form_of(plan, [stale], "tempme-table4"))


def test_letters_that_latex_lacks_are_named_or_marked():
    assert "αμΔΛé表&".translate(latex.TEX) == r"$\alpha$$\mu$$\Delta$$\Lambda$é?\&"
    cite = Citation(
        key="k", title="T", arxiv="1", code="c", venue="Vision & Language", authors=("A & B",)
    )
    assert r"Vision \& Language" in latex.entry(cite) and r"A \& B" in latex.entry(cite)


def test_a_citation_names_authors_and_year(plan):
    for paper in plan.config.papers.values():
        text = latex.entry(paper.cite)
        assert paper.cite.authors[0] in text and f"year = {{{paper.cite.year}}}" in text
    known = {name: latex.entry(p.cite).split("{")[0] for name, p in plan.config.papers.items()}
    assert known == {"side4video": "@misc", "tempme": "@inproceedings"}
    bare = Citation(key="k", title="A & B", arxiv="1", code="a/b@c")
    assert "author" not in latex.entry(bare) and r"A \& B" in latex.entry(bare)


def has_booktabs():
    found = shutil.which("pdflatex") and shutil.which("kpsewhich")
    return bool(found) and subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True).stdout


@pytest.mark.skipif(
    not has_booktabs(), reason="no LaTeX with booktabs (apt-get install texlive-latex-recommended)"
)
def test_all_tables_compile_with_booktabs_and_fit_the_text(made):
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=made.root, capture_output=True, text=True, timeout=300)
    log = Path(made.root, "paper.log").read_text(encoding="latin-1")
    assert done.returncode == 0, log[-3000:]
    assert re.findall(
        r"\\usepackage(?:\[.*?\])?{(.*?)}", (made.root / "paper.tex").read_text()
    ) == ["booktabs"]
    wide = re.findall(r"Overfull \\hbox .*", log)
    assert wide == [] and "Float too large" not in log and "Too many unprocessed" not in log
