"""Every table and figure of both papers is on the page, or says why it is not; tables of a configuration
with another paper or other tables than the declared ones."""

import pytest
from helpers.common import one_line

from vidtune.plan import load
from vidtune.plan.published_tables import places
from vidtune.report import answer, tables, verdicts
from vidtune.report.numbers import rows
from vidtune.spec import UserError

# As the papers number them; "Figures of merged tokens" are TempMe's, whose numbers are not known.
PLACES = {
    "side4video": [
        *(f"Table {k}" for k in (*range(1, 9), *range(10, 13))),
        *(f"Table 9 ({part})" for part in "abcdef"),
        *(f"Figure {k}" for k in range(1, 7)),
    ],
    "tempme": [
        *(f"Table {k}" for k in range(1, 18)),
        *("Figure 1 (d)", "Figure 2", "Figure 3", "Figure 5", "Figures of merged tokens"),
    ],
}
OURS_ALONE = ("tempme-table11", "tempme-table12", "tempme-table13", "tempme-figure1d")


def damage(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("paper", PLACES)
def test_every_table_and_figure_is_there_or_says_why_not(made, paper):
    cells = verdicts.cells(made, rows.rows_from_csv(made.root / "rows.csv"))
    lines = {t.content.where: t for t in answer.table_lines(made, cells) if t.paper == paper}
    html = (made.root / "report.html").read_text(encoding="utf-8")
    for where in PLACES[paper]:
        line = lines[where]
        assert line.cells or (line.content.says and line.content.lacks), where
        assert f'id="{line.anchor}"' in html, where
        assert line.shown or line.content.lacks.partition(":")[0] in html, where
    listed = [where for where in lines if where.startswith(("Table", "Figure"))]
    assert sorted(listed) == sorted(PLACES[paper])


def test_tables_stand_in_the_papers_order(plan):
    for paper in plan.config.papers.values():
        shown = [t.where for t in plan.config.tables.values() if t.paper == paper.name]
        assert shown == [where for where in places(paper) if where in shown]
        numbers = [where for where in shown if where.startswith("Table")]
        assert numbers == [c.where for c in paper.contents if c.where in numbers]


def test_what_no_copy_prints_shows_our_numbers(made):
    shown = {t.name: t for t in tables.build(made, rows.rows_from_csv(made.root / "rows.csv"))}
    for name in OURS_ALONE:
        table = shown[name]
        assert table.lacks and {row.part for row in table.rows} <= {"lacking", "reference"}
        assert not any(c.what in ("print", "verdict") for c in table.columns)
        assert any(cell.rows for row in table.rows for cell in row.cells.values())
    back = [c.metric for c in shown["tempme-table11"].columns]
    assert "v2t_r1" in back and shown["tempme-table13"].rows[0].variant == "tempme/prompt-b32"
    third = {r.label for r in shown["tempme-table3"].rows if r.part == "lacking"}
    assert third == {f"LoRA B/32, {data}" for data in ("activitynet", "didemo", "lsmdc")}


def test_the_papers_part_opens_with_what_is_missing(made):
    html = (made.root / "report.html").read_text(encoding="utf-8")
    part = html[html.index('id="paper-tempme"') : html.index('id="tempme/table1"')]
    assert "the PDF was not at hand" in part and "How to fill them in" in part
    assert "- where: Table 13" in part and "prompt-b32: {gflops: ?, params_tuned: ?" in part
    for where in ("Table 2", "Table 3", "Table 11", "Table 14", "Figure 1 (d)", "Figure 5"):
        assert f">{where}<" in part


def test_a_table_is_filled_in_from_the_pdf(config):
    """Cells in `numbers` and no `lacks`: the table prints them, row by row."""
    path = config / "papers" / "tempme.yaml"
    damage(path, "lacks: &none", "lacks: &nothing")
    damage(path, "lacks: *none}", "lacks: *nothing}")
    damage(path, ", lacks: *none}", "}")
    new = "  - {where: Table 13, caption: other tuning, rows: {prompt-b32: {r1: 41.0, rsum: 1}}}\n"
    damage(path, "  - where: Table 15\n", f"{new}  - where: Table 15\n")
    plan = load(config)
    table = next(t for t in tables.build(plan, []) if t.name == "tempme-table13")
    cells = {row.variant: row.cells["r1"].print for row in table.rows}
    assert table.lacks is None and table.title.endswith("other tuning")
    assert cells["tempme/prompt-b32"] == "41.0" and cells["tempme/adapter-b32"] == ""


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("papers/tempme.yaml", "{where: Table 7, ", "{where: Table 6, ", "Table 6 is listed twice"),
        ("papers/tempme.yaml", "  - {where: Table 7, source: *card}\n", "", "Table 7 has numbers"),
        (
            "papers/side4video.yaml",
            ', lacks: "pictures, without numbers: ours are of test clips of the data at hand"',
            "",
            "Figure 6 has no numbers",
        ),
        ("tables.yaml", "rows: [b32-cross,", "rows: [b32-crossed,", "'b32-crossed' is no variant"),
        ("tables.yaml", "    Table 13:", "    Table 31:", "'Table 31' is not among the tables"),
    ],
)
def test_a_wrong_list_is_one_line(config, file, old, new, says):
    damage(config / file, old, new)
    with pytest.raises(UserError) as error:
        load(config)
    assert says in one_line(str(error.value))


def test_another_papers_variant_joins_the_matching_tables(config):
    """A new paper's file is enough for its row in the overview and in the published table."""
    (config / "papers" / "mine.yaml").write_text(
        "cite: {key: me, title: Mine, arxiv: '0000.00000', code: me/mine@1}\n"
        "variants:\n  first: {method: lora, backbone: vit-b32, dataset: msrvtt, frames: 12, "
        "recipe: tempme-retrieval}\n"
    )
    plan = load(config, {"papers": ["side4video", "tempme", "mine"]})
    has = {t.name for t in tables.build(plan, []) if "mine/first" in {r.variant for r in t.rows}}
    assert {"retrieval", "tempme-table1"} <= has


def test_a_published_table_needs_no_declaration(config):
    path = config / "tables.yaml"
    line = "    Table 9: {columns: [gflops, output_tokens, params_tuned, r1, rsum]}\n"
    assert line in path.read_text()
    path.write_text(path.read_text().replace(line, ""))
    plan = load(config)
    table = next(t for t in tables.build(plan, []) if t.name == "tempme-table9")
    printed = [c.metric for c in table.columns if c.what == "print"]
    assert printed == ["gflops", "r1", "rsum"]
