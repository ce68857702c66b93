"""`vidtune diff`: two results folders of made rows."""

import json

import pytest
from helpers.common import REPO, one_line, plan_at

from vidtune.report.numbers.rows import FULL_SIZE, our_row, published, rows_to_csv
from vidtune.spec import write_text

COUNTED, LEARNED = "side4video/b16-ssv2", "side4video/b16-ssv1"
CONFIG = ("--config", REPO / "config")


@pytest.fixture
def folder(tmp_path):
    """Write rows.csv of a scale: GFLOPs of one variant, and top-1 by seed of another."""

    def make(name: str, gflops: float, top1: dict[int, float], scale: str = "mini"):
        plan = plan_at(tmp_path / name, scale)
        metrics = plan.config.metrics
        where = {"where": "made.json"}
        rows = [
            our_row(
                metrics["gflops"],
                variant=COUNTED,
                value=gflops,
                scale=FULL_SIZE,
                device="none",
                **where,
            )
        ]
        rows += [
            our_row(metrics["top1"], variant=LEARNED, value=v, scale=scale, seed=seed, **where)
            for seed, v in top1.items()
        ]
        write_text(plan.root / "rows.csv", rows_to_csv([*published(plan), *rows]))
        return plan.root

    return make


def test_equal_folders_differ_in_nothing(folder, vidtune):
    one, other = (folder(name, 528.0, {0: 90.0, 1: 92.0}) for name in ("a", "b"))
    code, out, _ = vidtune("diff", one, other, *CONFIG)
    assert code == 0
    assert (
        out == "2 numbers are equal, 0 changed, 0 only before, 0 only after; 0 verdicts changed\n"
    )


def test_a_change_says_by_how_much_and_what_it_does_to_verdicts(folder, vidtune):
    one = folder("a", 528.0, {0: 90.0, 1: 92.0})
    other = folder("b", 792.0, {0: 94.0, 1: 94.0})
    code, out, _ = vidtune("diff", one, other, *CONFIG)
    assert code == 1
    assert (
        f"changed      {COUNTED} gflops  528.00 -> 792.00  +264.00 GMACs (+50.00 %); full size"
        in out
    )
    assert f"{LEARNED} top1  91.00 -> 94.00  +3.00 % (seeds 2/2, sd 1.41/0.00); learned" in out
    assert f"verdict      side4video/table2/{COUNTED.split('/')[1]}/gflops: match -> off" in out
    found = json.loads(vidtune("diff", one, other, *CONFIG, "--json")[1])
    assert found["equal"] == 0 and len(found["changed"]) == 2
    assert {v["before"] for v in found["verdicts"]} == {"match"}


def test_what_only_one_has_and_another_scale(folder, vidtune):
    one, other = folder("a", 528.0, {}), folder("b", 528.0, {0: 50.0}, "mini-other")
    code, out, _ = vidtune("diff", one, other, *CONFIG)
    assert code == 1 and f"only after   {LEARNED} top1 learned" in out
    assert "1 numbers are equal, 0 changed, 0 only before, 1 only after" in out
    code, out, _ = vidtune("diff", other, one, *CONFIG)
    assert code == 1 and f"only before  {LEARNED} top1 learned" in out


def test_folders_that_hold_no_results_are_one_line(folder, vidtune, tmp_path):
    one = folder("a", 1.0, {})
    (tmp_path / "b" / "mini").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for other, says in (
        ("b/mini", "rows.csv: No such file"),
        ("elsewhere", "'elsewhere' is no scale"),
    ):
        code, _, err = vidtune("diff", one, tmp_path / other, *CONFIG)
        assert code == 2 and says in one_line(err)
