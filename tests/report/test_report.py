"""Rows, verdicts, claims, tables and the page, on made results of the real configuration."""

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import pytest
from helpers.common import REPO, one_line, plan_at
from helpers.made_results import DIVERGED, SEEDED

from vidtune.plan import Plan
from vidtune.report import (
    ablations,
    as_printed,
    comparisons,
    formats,
    latex,
    outputs,
    plots,
    tables,
    verdicts,
)
from vidtune.report.columns import describe_rows
from vidtune.report.numbers import result_files, results, rows
from vidtune.report.plots import style
from vidtune.spec import write_text

VOID = {"meta", "br", "link", "img", "hr", "input"}


@pytest.fixture(scope="module")
def shown(made: Plan) -> list[tables.ShownTable]:
    return tables.build(made, rows.rows_from_csv(made.root / "rows.csv"))


def test_every_published_cell_stands_in_one_published_table(plan, shown):
    names = [c.cell for t in shown if t.paper for row in t.rows for c in row.cells.values()]
    published = [c.cell for c in verdicts.cells(plan, [])]
    assert len(set(published)) == len(published) == len(list(rows.published(plan)))
    assert sorted(filter(None, names)) == sorted(published)


def test_tables_stand_in_natural_order(shown):
    names = [t.name for t in shown if t.paper == "tempme" and "-table" in t.name]
    numbers = [int(re.search(r"table(\d+)", name)[1]) for name in names]
    assert numbers == sorted(numbers) and max(numbers) > 9


def test_learned_numbers_stand_apart_and_name_their_scale(shown):
    table = next(t for t in shown if t.name == "side4video-table9b")
    groups = {p.what: p.group for p in table.columns if p.metric == "top1"}
    assert groups["print"] == "Top-1 (%)"
    assert groups["learned"] == "Top-1 (mini, generated videos), %"
    cell = next(row for row in table.rows if row.variant == SEEDED).cells["top1"]
    assert cell.learned == (61.0, 1.0, 3, 320, "mini")
    assert "ours" not in groups
    assert "seeds: 0, 1, 2" in describe_rows(cell.rows)


def test_references_stand_below_the_learned_rows_of_their_task(made, shown):
    by_name = {t.name: t for t in shown}
    for name, metric, expected in (
        ("side4video-table9b", "top1", {"chance": "12.5", "linear probe": "14.0"}),
        ("tempme-table8", "r1", {"chance": "1.0", "zero-shot CLIP": "15.0"}),
    ):
        table = by_name[name]
        column = next(c for c in table.columns if (c.metric, c.what) == (metric, "learned"))
        below = {r.label: column.text(r.cells[metric]) for r in table.rows if r.part == "reference"}
        assert below == expected
        assert [r.part for r in table.rows][-len(below) :] == ["reference"] * len(below)
        assert [row.label for row, ruled in table.ruled() if ruled][-1] == next(iter(below))
        assert "| chance | reference |" in formats.to_full_md(table)
    assert not any(r.part == "reference" for r in by_name["side4video-table12"].rows)
    (cell,) = (r.cells["r1"] for r in by_name["tempme-table8"].rows if r.label == "chance")
    assert "premise.json" in describe_rows(cell.rows)


def test_references_are_lines_in_the_learned_plots(made):
    for name in ("accuracy", "ablations"):
        svg = (made.root / "plots" / f"{name}.svg").read_text(encoding="utf-8")
        assert "chance" in svg and "linear probe" in svg


def test_an_ablation_shows_our_difference_beside_prints(made):
    """Every published table that a learned claim names, with the row that the paper puts first."""
    read = rows.rows_from_csv(made.root / "rows.csv")
    known = comparisons.learned(made, read)
    shown = ablations.find_ablations(made, known)
    places = {(one.paper, one.numbers.where): (one.metric, one.first) for one in shown}
    assert places["side4video", "Table 9 (b)"] == ("top1", "b16-ssv1")
    assert places["tempme", "Table 9"] == ("rsum", "b32-temporal-only")
    assert {f"Table 9 ({k})" for k in "abcdef"} <= {where for _, where in places}
    svg = (made.root / "plots" / "ablations.svg").read_text(encoding="utf-8")
    assert "ours" in svg and "print" in svg and "against 3D Conv" in svg
    gap = known.compare("side4video/b16-ssv1-attention", SEEDED, "top1")
    text = (made.root / "tables" / "side4video-table9b.md").read_text(encoding="utf-8")
    assert f"Attention {gap.interval(1)}, visible from {gap.half:.1f}" in text


def test_data_efficiency_is_drawn_by_share(made):
    svg = (made.root / "plots" / "shares.svg").read_text(encoding="utf-8")
    ticks = [f">{share}<" for share in (5, 10, 20, 50, 100)]
    assert all(tick in svg for tick in (*ticks, ">dist, vit-b16<", ">side4video, vit-b16<"))


def test_equal_runs_share_a_file_and_say_so(made):
    ours = [r for r in results.gather(made) if r.kind == "learned" and r.source == "ours"]
    by_name = {(r.variant, r.seed): r for r in ours if r.metric == "r1"}
    first, again = by_name["tempme/lora-b32", 1], by_name["tempme/lora-b16", 1]
    assert first.where == again.where and "tempme/lora-b32@1" in again.where
    assert first.value == again.value and first.stale == again.stale
    assert (first.condition, again.condition) == (
        "at this scale 6 frames in place of 12",
        "at this scale 6 frames in place of 12; at this scale the same run as tempme/lora-b32",
    )
    outcomes = result_files.read_outcomes(made)
    trainings = len({*made.training_of.values()})
    assert (
        outcomes.done == outcomes.runs == trainings and outcomes.seconds["train"] == 2 * trainings
    )


def test_a_row_shows_options_and_what_the_scale_makes_of_them(shown):
    table = next(t for t in shown if t.name == "side4video-table9f")
    facts_of = dict(zip(table.headings, table.rows[0].identity, strict=True))
    assert facts_of["Options"] == "width = 128"
    assert facts_of["At scale mini"] == "frames 8 → 4; layers 12 → 6; width 128 → 8"


def test_notes_conditions_and_sources_are_footnotes(shown):
    by_name = {t.name: t for t in shown}
    assert any("Table 6" in text for text in by_name["side4video-table3"].remarks)
    assert any("quoted" in text for text in by_name["tempme-table1"].remarks)
    assert "not in the released code" in by_name["side4video-table9d"].notes


def test_markdown_csv_and_latex_are_well_formed(made, shown):
    for table in shown:
        form = as_printed.build(made, table)
        captions = sum(bool(caption) for caption, _ in form.blocks())
        full, printed = formats.to_full_md(table), formats.to_md(table, form)
        for text, count in ((full, len(table.rows)), (printed, len(form.rows) + captions)):
            lines = [x for x in text.splitlines() if x.startswith("|")]
            assert len({len(re.findall(r"(?<!\\)\|", x)) for x in lines}) == 1
            assert len(lines) == count + 2
        read = list(csv.reader(io.StringIO(formats.to_csv(table))))
        assert len({len(x) for x in read}) == 1
        assert len(set(read[0])) == len(read[0])
        tex = latex.to_tex(table, form)
        assert tex.isascii()
        for spec, body in re.findall(r"begin{tabular}{p{\d+pt}(\w+)}(.*?)end{tabular}", tex, re.S):
            ends = [x for x in body.splitlines() if "&" in x]
            assert {len(re.findall(r"(?<!\\)&", x)) for x in ends} == {len(spec)}
        assert tex.count("{") - tex.count(r"\{") == tex.count("}") - tex.count(r"\}")
        label = rf"\label{{tab:{table.name}}}"
        assert tex.count(label) == 1
        assert not re.search(r"(?<!\\)[%#_]", tex.replace("% needs", "").replace(table.name, ""))


def test_a_table_without_rows_is_written_like_any_other(made):
    empty = tables.ShownTable("retrieval", "Retrieval", None, (), (), (), (), ())
    form = as_printed.build(made, empty)
    assert formats.to_md(empty, form) and formats.to_full_md(empty)
    assert formats.to_csv(empty) and latex.to_tex(empty, form)


def test_latex_escapes_what_it_must():
    assert "a_b & 50 % #1 {x} ~\\".translate(latex.TEX) == (
        r"a\_b \& 50 \% \#1 \{x\} \textasciitilde{}\textbackslash{}"
    )


class Reader(HTMLParser):
    """Open elements, ids, resources and the text of published cells."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.published: dict[str, str] = {}
        self.cell = ""

    def handle_starttag(self, name, attrs):
        attributes = dict(attrs)
        if name not in VOID:
            self.open.append(name)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        for key in ("src", "href", "xlink:href", "data", "action", "srcset"):
            if key in attributes:
                self.links.append((name, attributes[key]))
        if name == "td":
            self.cell = attributes.get("data-cell", "")

    def handle_endtag(self, name):
        assert self.open and self.open.pop() == name, f"</{name}> closes nothing"

    def handle_data(self, text):
        if self.cell and text.strip():
            self.published.setdefault(self.cell, text.strip())


@pytest.fixture(scope="module")
def read(made: Plan) -> Reader:
    reader = Reader()
    reader.feed((made.root / "report.html").read_text(encoding="utf-8"))
    return reader


def test_the_page_is_well_formed_and_needs_nothing_else(made, read):
    assert read.open == []
    assert len(set(read.ids)) == len(read.ids)
    outside = [(tag, link) for tag, link in read.links if not link.startswith("#")]
    images = [link for tag, link in outside if tag == "image"]
    assert images and all(link.startswith("data:image/png;base64,") for link in images)
    links = [(tag, link) for tag, link in outside if tag != "image"]
    assert {tag for tag, _ in links} == {"a"}
    files = {link for _, link in links if not re.match(r"https://(arxiv|github)\.", link)}
    assert "rows.csv" in files and [f for f in files if not (made.root / f).is_file()] == []
    assert {link[1:] for _, link in read.links if link.startswith("#")} <= set(read.ids)
    text = (made.root / "report.html").read_text(encoding="utf-8")
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_the_page_counts_a_repeated_test_once(made):
    text = (made.root / "report.html").read_text(encoding="utf-8")
    assert "2 more repeat another, with the same runs, and are not counted again" in text
    assert text.count("the same runs as in an earlier test") == 2


def test_every_published_cell_is_on_the_page_as_printed(made, read):
    assert read.published == {c.cell: c.print for c in verdicts.cells(made, [])}


def test_diverged_runs_and_stale_results_are_named(made):
    assert result_files.read_outcomes(made).failed == {DIVERGED: "diverged"}
    text = (made.root / "report.html").read_text(encoding="utf-8")
    failed = text[text.index('id="failed"') : text.index('id="stale"')]
    assert DIVERGED in failed
    assert "diverged" in failed
    assert "eval.json" in text[text.index('id="stale"') : text.index('id="citations"')]
    ours = [r for r in results.gather(made) if r.source == "ours" and r.kind == "learned"]
    assert DIVERGED not in {f"{r.variant}@{r.seed}" for r in ours}


def test_every_plot_is_there_and_the_same_again(made):
    names = {p.name for p in (made.root / "plots").iterdir()}
    assert {f"{n}.{e}" for n in plots.PLOTS for e in ("svg", "png", "pdf", "csv")} == names
    with matplotlib.rc_context(style.RC):
        drawn = plots.PLOTS["gflops"](made, results.gather(made), result_files.read_outcomes(made))
        again = style.export("gflops", drawn)
    assert again.svg == (made.root / "plots" / "gflops.svg").read_text(encoding="utf-8")
    assert again.png == (made.root / "plots" / "gflops.png").read_bytes()
    assert again.pdf == (made.root / "plots" / "gflops.pdf").read_bytes()


def test_the_report_writes_the_files_that_its_rules_promise(made):
    below = (p for folder in ("tables", "plots") for p in (made.root / folder).iterdir())
    texts = (made.root / name for name in (*outputs.TEXTS, "report.html"))
    assert {*below, *texts} == {*outputs.files(made)} and all(
        map(Path.is_file, outputs.files(made))
    )


def test_an_empty_results_folder_still_makes_a_page(tmp_path, vidtune):
    arguments = ("--config", REPO / "config", "--results", tmp_path, "--scale", "full")
    assert vidtune("collect", *arguments)[0] == 0
    assert vidtune("report", *arguments) == (0, "", "")
    text = (tmp_path / "full" / "report.html").read_text(encoding="utf-8")
    assert all(f"No plot of {name}: " in text for name in plots.PLOTS)
    for name in plots.PLOTS:  # a picture of the reason in the place of the plot
        assert f"No plot of {name}" in (tmp_path / "full" / "plots" / f"{name}.svg").read_text()


def test_single_files_are_written_alone(made, tmp_path, vidtune):
    arguments = ("--config", REPO / "config", "--results", tmp_path, "--scale", "mini")
    root = tmp_path / "mini"
    write_text(root / "rows.csv", (made.root / "rows.csv").read_text())
    wanted = [root / "tables" / "tempme-table8.tex", root / "plots" / "gflops.png"]
    assert vidtune("report", *arguments, "--only", *wanted) == (0, "", "")
    assert {p for p in root.rglob("*.*") if p.name != "rows.csv"} == set(wanted)
    for path in wanted:
        assert path.read_bytes() == (made.root / path.relative_to(root)).read_bytes()
    code, _, err = vidtune("report", *arguments, "--only", root / "tables" / "tempme-tabel8.tex")
    assert code == 2 and "tempme-table8.tex" in one_line(err)


def test_a_results_file_cut_short_is_one_clear_line(tmp_path, vidtune):
    plan = plan_at(tmp_path, "smoke")
    write_text(plan.root / "rows.csv", rows.rows_to_csv(results.gather(plan)))
    write_text(result_files.eval_path(plan, next(iter(plan.runs))), '{"status": "o')
    code, out, err = vidtune(
        "report", "--config", REPO / "config", "--results", tmp_path, "--scale", "smoke"
    )
    assert (code, out) == (2, "")
    assert "eval.json" in one_line(err)
