"""Learned numbers where the authors took the best of several tests on the test set."""

import csv
import io
from pathlib import Path

import pytest
from helpers.common import plan_at

from vidtune.plan import Plan
from vidtune.report import comparisons, formats, tables, verdicts
from vidtune.report.explain import explain
from vidtune.report.numbers import result_files, results, rows
from vidtune.report.numbers.rows import Row, best, index_rows
from vidtune.report.page import page
from vidtune.spec import write_json, write_text

SELECTED, PRINT = "tempme/tempme-b32", 46.1
LAST_ALONE = "side4video/st-adapter-b16"


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return plan_at(tmp_path_factory.mktemp("results"), "full")


def result_of(**changes: object) -> dict[str, object]:
    """An `eval.json` whose best weights have the printed number, and its last ones less."""
    chosen = {"step": 4218, "tests": 52, "metrics": {"r1": PRINT, "rsum": 200.0}}
    return {"metrics": {"r1": 40.0, "rsum": 190.0}, "n": 1000, "best": chosen, **changes}


def learned(plan: Plan, **changes: object) -> list[Row]:
    return list(results.learned(plan, f"{SELECTED}@0", result_of(**changes), "eval.json"))


def cell_of(plan: Plan, ours: list[Row], variant: str, metric: str):
    known = verdicts.cells(plan, ours)
    return next(c for c in known if (c.variant, c.metric) == (variant, metric))


def test_both_are_rows_and_survive_the_csv(plan, tmp_path):
    ours = learned(plan)
    assert [(r.metric, r.value, r.best_of) for r in ours] == [
        ("r1", 40.0, None),
        ("rsum", 190.0, None),
        ("r1", PRINT, 52),
        ("rsum", 200.0, 52),
    ]
    assert ours[2].condition == "the best of 52 tests on the test set, after step 4,218"
    assert ours[0].condition == ""
    write_text(tmp_path / "rows.csv", rows.rows_to_csv(ours))
    assert rows.rows_from_csv(tmp_path / "rows.csv") == ours
    index = index_rows(ours)
    assert [r.value for r in index[SELECTED, "r1"]] == [40.0]
    assert [r.value for r in index[SELECTED, best("r1")]] == [PRINT]


def test_print_is_held_against_the_best_which_says_so(plan):
    cell = cell_of(plan, learned(plan), SELECTED, "r1")
    assert (cell.ours, cell.last, cell.print) == (PRINT, 40.0, str(PRINT))
    assert cell.verdict == "match"
    assert cell.reason == "best of 52 tests on the test set; last 40.0"
    off = cell_of(plan, learned(plan, best=result_of()["best"] | {"metrics": {"r1": 30.0}}),
                  SELECTED, "r1")  # fmt: skip
    assert off.verdict == "off" and off.reason.endswith("last 40.0")


def test_a_training_that_diverged_later_is_told(plan):
    """Of two seeds one: the other's last number is not that of both."""
    best = {"step": 2, "tests": 2, "metrics": {"r1": PRINT}}
    lost = learned(plan, status="diverged", metrics={}, best=best)
    assert [(r.metric, r.best_of) for r in lost] == [("r1", 2)]
    assert lost[0].condition.endswith("after step 2 of a training that diverged later")
    other = [row.model_copy(update={"seed": 1}) for row in learned(plan)]
    cell = cell_of(plan, [*lost, *other], SELECTED, "r1")
    assert (cell.ours, cell.last, cell.best_of) == (PRINT, None, 52)
    assert cell.reason == "best of 52 tests on the test set; 1 of 2 trainings diverged later"


def test_without_a_selection_there_is_nothing_to_say(plan):
    ours = list(
        results.learned(plan, f"{LAST_ALONE}@0", {"metrics": {"top1": 66.0}, "n": 9}, "eval.json")
    )
    cell = cell_of(plan, ours, LAST_ALONE, "top1")
    assert (cell.ours, cell.last, cell.best_of) == (66.0, None, None)
    assert "tests" not in cell.reason


def test_differences_are_those_of_the_last_weights(plan):
    assert comparisons.learned(plan, learned(plan)).values[SELECTED, "r1"] == {0: 40.0}


def test_tables_show_the_last_beside_the_best(plan):
    shown = tables.build(plan, learned(plan))
    table = next(t for t in shown if t.name == "tempme-table8")
    column = next(c for c in table.columns if (c.metric, c.what) == ("r1", "learned"))
    row = next(r for r in table.rows if r.variant == SELECTED)
    text = f"{PRINT} (1), best of 52 tests on the test set; last 40.0"
    assert column.text(row.cells["r1"]) == text
    md = formats.to_full_md(table)
    assert text in md and formats.BEST in md
    head, *lines = csv.reader(io.StringIO(formats.to_csv(table)))
    at = head.index("r1_full_best_of")
    assert {len(line) for line in lines} == {len(head)} and head[at + 1] == "r1_full_last"
    mine = next(line for line in lines if line[0] == SELECTED)
    assert mine[at - 4 : at + 2] == [str(PRINT), "", "1", "1000", "52", "40.0"]
    plain = formats.to_full_md(next(t for t in shown if t.name == "side4video-table9b"))
    assert formats.BEST not in plain


def test_the_page_has_the_curve_and_the_words(plan):
    path = result_files.eval_path(plan, f"{SELECTED}@0")
    write_json(path, {"status": "ok", **result_of()})
    tested = [(1, {"r1": 20.0}), (4218, {"r1": PRINT}), (7030, {"r1": 40.0})]
    trained = {"status": "ok", "losses": [(100, 2.0), (7030, 1.0)], "tested": tested, "best": 4218}
    write_json(path.with_name("train.json"), trained)
    outcomes = result_files.read_outcomes(plan)
    assert outcomes.tested[f"{SELECTED}@0"].points == [(1, 20.0), (4218, PRINT), (7030, 40.0)]
    write_text(plan.root / "rows.csv", rows.rows_to_csv(results.gather(plan)))
    page.write(plan)
    text = (plan.root / "report.html").read_text(encoding="utf-8")
    assert "best of 52 tests on the test set; last 40.0" in text
    assert "Differences and claims are judged by the last weights" in text
    svg = (plan.root / "plots" / "training.svg").read_text(encoding="utf-8")
    assert plan.config.metrics["r1"].label in svg
    said = explain(plan, "tempme/table8/tempme-b32/r1", results.gather(plan)).made_by
    assert len(said) == 2 and "the best of 52 tests" in said[1]


def test_a_small_scale_says_nothing_of_it():
    plan = plan_at(Path("nowhere"))
    assert not any(run.recipe.select for run in plan.runs.values())
