"""Rows, verdicts and claims, on made numbers of the real configuration."""

from pathlib import Path

import pytest
from helpers.common import one_line, plan_at

from vidtune import provenance
from vidtune.plan import Plan
from vidtune.report import cells, claims, verdicts
from vidtune.report.numbers import conditions, results, rows, settings
from vidtune.report.numbers.rows import Row
from vidtune.spec import UserError, write_text

SEEDED = "side4video/b16-ssv1"


def row(plan: Plan, variant: str, metric: str, value: float, **changes: object) -> Row:
    """A number of ours; learned ones at scale mini, counted ones at full size."""
    m = plan.config.metrics[metric]
    scale = {"counted": rows.FULL_SIZE}.get(m.kind, "mini")
    fields = {"variant": variant, "metric": metric, "value": value, "unit": m.unit, "kind": m.kind}
    return Row(**{**fields, "source": "ours", "where": "made.json", "scale": scale, **changes})


def judged(plan: Plan, cell: str, ours: list[Row]) -> cells.Cell:
    return next(c for c in verdicts.cells(plan, ours) if c.cell == cell)


# --- verdicts ---

LIGHT = ("side4video/table2/b16-light-ssv2/gflops", "side4video/b16-light-ssv2", "gflops")
VIEWS = ("side4video/table2/b16-ssv2/top1", "side4video/b16-ssv2", "top1")
PART = ("side4video/table9b/b16-ssv1/top1", "side4video/b16-ssv1", "top1")
BASE = ("side4video/table9f/b16-ssv1/top1", "side4video/b16-ssv1", "top1")


@pytest.mark.parametrize(
    ("cell", "values", "scale", "verdict"),
    [
        (LIGHT, [445.12], rows.FULL_SIZE, "match"),
        (LIGHT, [445 * 1.0049], rows.FULL_SIZE, "match"),
        (LIGHT, [445 * 1.0051], rows.FULL_SIZE, "off"),
        (LIGHT, [], rows.FULL_SIZE, "not run"),
        (BASE, [58.5], "mini", "not comparable"),
        (BASE, [58.54], "full", "match"),
        (BASE, [59.4], "full", "near"),
        (BASE, [50.0], "full", "off"),
        (BASE, [52.0, 62.0], "full", "near"),
        (BASE, [], "full", "not run"),
        (PART, [58.5], "full", "subset"),
        (VIEWS, [70.2], "full", "match"),
    ],
)
def test_one_verdict_from_the_closed_list(plan, cell, values, scale, verdict):
    name, variant, metric = cell
    if scale == "full":
        plan = plan_at(Path("nowhere"), "full")
    n = 9_000 if cell is PART else None  # of 11,522
    ours = [row(plan, variant, metric, v, scale=scale, seed=k, n=n) for k, v in enumerate(values)]
    cell = judged(plan, name, ours)
    assert cell.verdict == verdict
    assert cell.verdict in verdicts.VERDICTS
    assert cell.reason or verdict in ("match", "off")


@pytest.mark.parametrize(
    ("printed", "ours", "agrees"),
    [
        ("18", 17.6, "rounds to print"),  # 2.3 % below
        ("18", 17.4, ""),
        ("445", 446.9, "within 0.5 %"),
        ("2e2", 200.9, "within 0.5 %"),
        ("5e-1", 0.56, ""),
    ],
)
def test_what_rounds_to_print_is_print_however_coarse(plan, printed, ours, agrees):
    name, variant, metric = LIGHT
    cell = judged(plan, name, [row(plan, variant, metric, 445.0)])
    cell = cell.model_copy(update={"print": printed, "ours": ours})
    assert verdicts._agreement(plan.config.metrics[metric], cell) == agrees


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("A100 80G", "NVIDIA A100-SXM4-80GB", True),
        ("RTX 3080", "NVIDIA GeForce RTX 3080 Ti", False),
        ("RTX 6000", "NVIDIA RTX 6000 Ada Generation", False),
    ],
)
def test_gpus_are_of_one_model_or_not(one, other, alike):
    assert conditions.agree("gpu", one, other) is alike


def test_a_standing_reason_hides_nothing_of_how_ours_was_learned(plan):
    full = plan_at(Path("nowhere"), "full")
    name, variant = "side4video/abstract/e14-ssv2-f16/top1", "side4video/e14-ssv2-f16"
    ours = row(full, variant, "top1", 60.0, scale="full", seed=0)
    assert "standard deviations" in judged(full, name, [ours]).reason


@pytest.mark.parametrize(("values", "coverage"), [([58.5], 0.9), ([20.0, 21.0], 0.979)])
def test_below_the_declared_coverage_a_result_is_a_subset_never_off(values, coverage):
    plan = plan_at(Path("nowhere"), "full")
    name, variant, metric = BASE
    ours = [
        row(plan, variant, metric, v, scale="full", seed=k, n=11_522, coverage=coverage)
        for k, v in enumerate(values)
    ]
    cell = judged(plan, name, ours)
    assert cell.verdict == "subset"
    assert f"on {100 * coverage:.1f} % of the clips; below 98 %" in cell.reason
    whole = [r.model_copy(update={"coverage": 0.981}) for r in ours]
    assert judged(plan, name, whole).verdict in ("match", "off")


def test_a_result_of_what_is_trained_no_more_is_not_compared(plan):
    name, variant = "side4video/table2/l14-ssv2/top1", "side4video/l14-ssv2"
    cell = judged(plan, name, [row(plan, variant, "top1", 90.0, scale="mini", seed=0)])
    assert cell.verdict == "not comparable" and cell.reason.endswith("which trains it no more")


@pytest.mark.parametrize(("value", "verdict"), [(43.1, "match"), (20.0, "off")])
def test_another_recipe_at_full_size_stands_beside_print_and_says_so(value, verdict):
    plan = plan_at(Path("nowhere"), "full-amp")
    name, variant = "side4video/table3/clip4clip-b32-msrvtt/r1", "side4video/clip4clip-b32-msrvtt"
    cell = judged(plan, name, [row(plan, variant, "r1", value, scale="full-amp", seed=0, n=1000)])
    assert (cell.verdict, cell.comparable) == (verdict, True)
    assert "by recipe clip4clip-retrieval-amp in place of clip4clip-retrieval" in cell.reason
    of_table = judged(plan, "side4video/table2/b16-ssv2/top1", [])
    assert (of_table.verdict, of_table.reason) == ("not run", "not trained at scale full-amp")


def test_a_cited_system_says_why_it_is_not_run(plan):
    cited = judged(plan, "side4video/table6/stan-msrvtt/r1", [])
    assert cited.verdict == "not run" and "cited" in cited.reason
    noted = judged(plan, "side4video/table6/cm-adapter-msrvtt/r1", [])
    assert noted.verdict == "not run" and "backbone" in noted.reason


def test_a_setting_is_the_printed_one_or_it_is_off(plan):
    cell, variant = "side4video/table12/e14-ssv2-f8/epochs", "side4video/e14-ssv2-f8"
    assert judged(plan, cell, list(settings.declared(plan))).verdict == "match"
    assert judged(plan, cell, [row(plan, variant, "epochs", 24.0)]).verdict == "off"
    assert judged(plan, cell.replace("epochs", "flip"), []).verdict == "not run"


def test_a_row_is_under_its_own_conditions_and_then_the_tables(plan):
    table2 = next(n for n in plan.config.papers["side4video"].numbers if n.where == "Table 2")
    under = table2.under("st-adapter-l14")
    assert (under.batch, under.gpu, under.frames, under.views) == (16, "A100 80G", 8, "1x3")
    assert under.text == "GFLOPs are of all views; frames 8, views 1x3, batch 16, on A100 80G"
    table1 = next(n for n in plan.config.papers["tempme"].numbers if n.where == "Table 1")
    assert (table1.under("dgl-b16").trust, table1.under("vop-b16").trust) == ("q", "Q")


def test_every_setting_of_ours_is_printed_or_explained(plan):
    """Table 12, Appendix E and TempMe's Section 4.1 against recipes and datasets."""
    ours = list(settings.declared(plan))
    cells = [c for c in verdicts.cells(plan, ours) if c.kind == "setting"]
    assert sum(c.verdict == "match" for c in cells) > 100
    assert [c.cell for c in cells if c.verdict == "off" and not c.reason] == []


def test_a_reading_fitted_to_print_is_not_comparable(plan):
    ours = [row(plan, "tempme/vop-b16", "gflops", 246.2)]
    cell = judged(plan, "tempme/table1/vop-b16/gflops", ours)
    assert cell.verdict == "not comparable" and "chosen" in cell.reason


def test_a_measured_cell_says_why_it_is_not_run(plan):
    assert "GPU" in judged(plan, "side4video/table2/b16-ssv2/train_gb", []).reason


def finding(plan: Plan, ours: list[Row], claim: str, metric: str) -> claims.Finding:
    every = claims.findings(plan, [*rows.published(plan), *ours])
    return next(f for f in every if f.claim == claim and f.metric == metric)


def test_a_counted_claim_borrows_print_where_ours_was_fitted_to_it(plan):
    ours = [
        row(plan, "tempme/tempme-b16", "gflops", 121.4),
        row(plan, "tempme/vop-b16", "gflops", 1.0),
    ]
    test = finding(plan, ours, "tempme/fewer-gflops", "gflops")
    assert (test.ours, test.paper) == ("holds", "holds")
    assert "published: vop-b16" in test.detail
    worse = [row(plan, "tempme/tempme-b16", "gflops", 200.0)]
    assert finding(plan, worse, "tempme/fewer-gflops", "gflops").ours == "fails"


def test_a_counted_claim_borrows_nothing_for_a_variant_of_ours(plan):
    assert finding(plan, [], "tempme/fewer-gflops", "gflops").ours == "not judged"


def test_a_result_of_another_spec_or_code_is_stale(plan):
    name = "side4video/b16-ssv2"
    model = plan.models[name]
    cost = {"gmacs": 1.0, "views": 3, "params_total": 1, "params_tuned": 1, "output_tokens": 1}
    code, spec = provenance.model_digest(model.method), provenance.spec_digest(model)
    other = provenance.spec_digest(plan.models["side4video/b16-light-ssv2"])
    for stamp, stale in (((code, spec), False), ((code, other), True), (("0", spec), True)):
        made = {**cost, "provenance": dict(zip(("digest", "spec"), stamp, strict=True))}
        assert {r.stale for r in results.counted(plan, name, made, "made.json")} == {stale}


def test_every_paper_supports_its_own_claims(plan):
    """A slipped digit in a published number fails this test."""
    findings = claims.findings(plan, list(rows.published(plan)))
    assert findings
    controls = {
        f"{paper.name}/{key}"
        for paper in plan.config.papers.values()
        for key, claim in paper.claims.items()
        if claim.control
    }
    assert [f.test for f in findings if f.paper != "holds" and f.claim not in controls] == []
    assert {f.paper for f in findings if f.claim in controls} == {"not judged"}


def test_rows_survive_the_csv(plan, tmp_path):
    made = [row(plan, SEEDED, "top1", 1 / 3, seed=2, n=320, stale=True, device='a "b", c')]
    every = [*rows.published(plan), *made]
    write_text(tmp_path / "rows.csv", rows.rows_to_csv(every))
    assert rows.rows_from_csv(tmp_path / "rows.csv") == every


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text.replace("variant,", "Variant,", 1), "not the columns"),
        (lambda text: "", "not the columns"),
        (lambda text: text[: text.index(",50.0,")], "not a row"),
        (lambda text: text.replace("learned", "leaned"), "kind"),
    ],
)
def test_a_damaged_csv_is_one_clear_line(plan, tmp_path, damage, says):
    path = tmp_path / "rows.csv"
    path.write_text(damage(rows.rows_to_csv([row(plan, SEEDED, "top1", 50.0, seed=0, n=320)])))
    with pytest.raises(UserError, match=says) as e:
        rows.rows_from_csv(path)
    assert str(path) in one_line(str(e.value))
    with pytest.raises(UserError, match="vidtune collect"):
        rows.rows_from_csv(tmp_path / "absent.csv")
