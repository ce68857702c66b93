"""Learned results that are kept in git, and verdicts of several scales side by side."""

import json
from pathlib import Path

import pytest
from helpers.common import REPO, one_line, plan_at

from vidtune.plan import Plan
from vidtune.report import claims, reference_runs
from vidtune.report.numbers import result_files, results, rows
from vidtune.report.page import page
from vidtune.spec import write_json, write_text

CLAIM = "side4video/conv-beats-attention"
ATTENTION = "side4video/b16-ssv1-attention"
STAMP = {"device": "cpu", "commit": "abc", "versions": {"torch": "2"}}


def made(folder: Path, scale: str, attention: float) -> Plan:
    """A results folder in which every recognition variant has 60 % and a little more with each seed,
    and the temporal attention `attention`."""
    plan = plan_at(folder, scale)
    for name in {*plan.evaluation_of.values()}:
        run = plan.runs[name]
        start = attention if run.model.name == ATTENTION else 60.0
        value = start + 0.1 * run.seed + 0.01 * run.seed**2 * len(name)
        metrics = {"top1": value} if run.model.task == "recognition" else {"r1": value}
        result = {"status": "ok", "metrics": metrics, "n": 320, "seconds": 1.0}
        write_json(result_files.eval_path(plan, name), {**result, "provenance": STAMP})
    write_text(plan.root / "rows.csv", rows.rows_to_csv(results.gather(plan)))
    return plan


def keep(vidtune, folder: Path, scale: str, *more: str) -> tuple[int, str, str]:
    given = ("--config", REPO / "config", "--results", folder, "--scale", scale)
    return vidtune("reference", *given, *(more or ("--machine", "two cores")))


def beside(plan: Plan) -> reference_runs.Beside:
    tested = claims.findings(plan, rows.rows_from_csv(plan.root / "rows.csv"))
    lines = reference_runs.beside(plan, tested, reference_runs.read(plan))
    return next(line for line in lines if line.test.claim == CLAIM)


def test_what_is_kept_is_read_again(tmp_path, vidtune):
    plan = made(tmp_path, "mini-long", attention=50.0)
    assert keep(vidtune, tmp_path, "mini-long")[:2] == (0, f"{tmp_path}/reference/mini-long\n")
    run = reference_runs.read(plan)["mini-long"]
    assert (run.machine, run.seeds, run.versions) == (
        "two cores",
        plan.scale.seeds,
        {"torch": ("2",)},
    )
    test = next(f for f in run.learned if f.claim == CLAIM and f.metric == "top1")
    assert test.ours == "holds" and test.comparisons[0].seeds == len(plan.scale.seeds)
    kept = rows.rows_from_csv(tmp_path / "reference/mini-long/rows.csv")
    assert kept and {r.kind for r in kept} == {"learned"} and {r.source for r in kept} == {"ours"}
    every = [*rows.published(plan), *kept]
    assert reference_runs.judge(plan, every) == run.learned


def test_the_verdicts_of_all_scales_stand_side_by_side(tmp_path, vidtune):
    for scale, attention in (("mini-long", 50.0), ("mini-other", 70.0)):
        made(tmp_path, scale, attention=attention)
        keep(vidtune, tmp_path, scale)
    lines = (tmp_path / "reference/claims.md").read_text().splitlines()
    assert "| Test | Published | mini-long | mini-other | |" in lines
    line = next(line for line in lines if f"`{CLAIM}`" in line)
    assert "**holds**" in line and "**fails**" in line and line.endswith("| reversed |")


def test_the_kept_rows_are_judged_again(tmp_path, vidtune):
    made(tmp_path, "mini-long", attention=50.0)
    code, _, err = keep(vidtune, tmp_path, "mini-long", "--again")
    assert code == 2 and "no reference results" in one_line(err)
    keep(vidtune, tmp_path, "mini-long")
    path = tmp_path / "reference/mini-long/about.json"
    before = path.read_text()
    write_json(path, {**json.loads(before), "learned": []})
    assert keep(vidtune, tmp_path, "mini-long", "--again")[0] == 0
    assert path.read_text() == before


def test_an_unfinished_scale_is_not_kept(tmp_path, vidtune):
    plan = made(tmp_path, "mini-long", attention=50.0)
    result_files.eval_path(plan, f"{ATTENTION}@0").unlink()
    code, _, err = keep(vidtune, tmp_path, "mini-long")
    assert code == 2 and "runs are evaluated" in one_line(err)
    assert not (tmp_path / "reference").exists()


@pytest.mark.parametrize(("other", "reversed_"), [(50.0, False), (70.0, True), (60.0, False)])
def test_scales_stand_beside_each_other_and_a_reversal_shows(tmp_path, vidtune, other, reversed_):
    made(tmp_path, "mini-other", attention=other)
    keep(vidtune, tmp_path, "mini-other")
    plan = made(tmp_path, "mini", attention=50.0)
    line = beside(plan)
    assert list(line.by_scale) == ["mini", "mini-other"]
    assert line.by_scale["mini"] and line.by_scale["mini"].ours == "holds"
    assert line.is_reversed == reversed_


def test_the_page_shows_the_verdicts_of_all_scales(tmp_path, vidtune):
    made(tmp_path, "mini-other", attention=70.0)
    keep(vidtune, tmp_path, "mini-other")
    plan = made(tmp_path, "mini", attention=50.0)
    page.write(plan)
    text = (plan.root / "report.html").read_text(encoding="utf-8")
    part = text[text.index('id="scales"') : text.index('id="guide"')]
    assert "two cores" in part and "mini-other" in part and CLAIM in part
    assert "<b>reversed</b>" in part and "1 of " in part


def test_a_damaged_reference_is_one_clear_line(tmp_path, vidtune):
    plan = made(tmp_path, "mini", attention=50.0)
    path = reference_runs.folder(plan, "mini-long") / "about.json"
    write_json(path, {"scale": "mini-long"})
    code, _, err = vidtune(
        "report", "--config", REPO / "config", "--results", tmp_path, "--scale", "mini"
    )
    assert code == 2 and "about.json" in one_line(err) and "missing" in err


def verdicts(f: claims.Finding) -> tuple[str, str, str, list[str]]:
    return f.claim, f.test, f.ours, [one.text(1) for one in f.comparisons]


def test_committed_verdicts_follow_from_the_committed_rows():
    """`vidtune reference --again` judges them anew."""
    known = reference_runs.read(plan_at(REPO / "results"))
    for scale, run in known.items():
        plan = plan_at(REPO / "results", scale)
        kept = rows.rows_from_csv(reference_runs.folder(plan, scale) / "rows.csv")
        again = reference_runs.judge(plan, [*rows.published(plan), *kept])
        assert [verdicts(f) for f in again] == [verdicts(f) for f in run.learned], scale
