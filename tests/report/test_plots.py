"""Plots draw the numbers of the rows, and say how clips were chosen."""

import csv
import io
import json
import re
import statistics
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.common import one_line, plan_at
from helpers.made_results import DIVERGED, SEEDED, write_look

from vidtune.plan import Plan
from vidtune.plan.registry import method_names
from vidtune.report import ablations, comparisons
from vidtune.report.numbers import result_files
from vidtune.report.numbers.looks import read_looks
from vidtune.report.numbers.rows import Row, index_rows, rows_from_csv
from vidtune.report.plots import ablation_plot, look_plots, published_plots, style
from vidtune.report.plots.points import front, on_largest, points
from vidtune.spec import UserError
from vidtune.spec.read import write_bytes


def lines_of(made: Plan, name: str) -> list[dict[str, str]]:
    """The data file of a plot."""
    text = (made.root / "plots" / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def rows(made: Plan) -> list[Row]:
    return rows_from_csv(made.root / "rows.csv")


def means(rows: list[Row], metric: str) -> dict[str, tuple[float, int]]:
    """Variant -> mean over seeds and their number."""
    ours = {
        v: [r.value for r in found] for (v, m), found in index_rows(rows).items() if m == metric
    }
    return {v: (statistics.fmean(values), len(values)) for v, values in ours.items()}


def test_accuracy_is_the_mean_of_the_rows(made, rows):
    lines = lines_of(made, "accuracy")
    for metric in ("top1", "r1"):
        known, drawn = means(rows, metric), [d for d in lines if d["metric"] == metric]
        assert {d["variant"] for d in drawn} <= set(known) and len(drawn) > 10
        for d in drawn:
            assert (float(d["mean"]), int(d["seeds"])) == known[d["variant"]]


def test_every_printed_gflops_and_tflops_is_drawn(made, rows):
    """Among them the 21 cells of Tables 4 and 5, and the ViT-E that is off."""
    ours, lines = index_rows(rows), lines_of(made, "gflops")
    tflops = [d for d in lines if d["metric"] == "tflops"]
    assert len(tflops) == 21 and {d["where"] for d in tflops} == {"Table 4", "Table 5"}
    assert "e14-ssv2-f8" in {d["variant"] for d in tflops}
    for d in lines:
        (row,) = ours[f"{d['paper']}/{d['variant']}", d["metric"]]
        factor = 1000 if d["metric"] == "tflops" else 1
        assert float(d["counted_gmacs"]) == pytest.approx(row.value * factor)
        off = 100 * (float(d["counted_gmacs"]) / float(d["printed_gmacs"]) - 1)
        assert float(d["off_percent"]) == pytest.approx(off)


def test_tokens_are_those_that_were_counted(made):
    known, drawn = result_files.read_outcomes(made).tokens, {}
    for d in lines_of(made, "tokens"):
        drawn.setdefault(d["variant"], []).append(int(d["tokens"]))
    assert drawn == {n: t for n, t in known.items() if made.models[n].task == "retrieval"}


def test_memory_is_the_predicted_and_the_printed_one(made, rows):
    ours, printed = index_rows(rows), index_rows(rows, "paper")
    lines = lines_of(made, "memory")
    assert {"side4video (light)", "aim", "evl", "st_adapter"} <= {d["series"] for d in lines}
    for d in lines:
        (row,) = ours[d["variant"], "train_gib"]
        assert float(d["predicted_gb"]) == pytest.approx(row.value * 1.073741824)
        in_print = [r for r in printed[d["variant"], "train_gb"] if r.where == "Figure 1"]
        assert [r.value for r in in_print] == ([float(d["printed_gb"])] if d["printed_gb"] else [])
    phases = lines_of(made, "memory-phases")
    assert {d["variant"] for d in phases} == {v for v, m in ours if m == "train_gib"}
    for d in phases:
        parts = [float(value) for key, value in d.items() if key.removesuffix("_gib") in KINDS]
        assert sum(parts) == pytest.approx(float(d["peak_gib"])) and len(parts) == len(KINDS)
        assert float(d["backward_peak_gib"]) == float(d["peak_gib"])


KINDS = ("weights", "gradients", "optimizer", "activations", "workspace")


def test_ablations_compare_equal_numbers_of_seeds(made, rows):
    """Where a seed of one row diverged, no row of its tables is judged with it."""
    lines, row = lines_of(made, "ablations"), DIVERGED.split("/")[1].split("@")[0]
    known = comparisons.learned(made, rows)
    tables = {(d["paper"], d["table"]) for d in lines}
    assert len(tables) > 5
    for table in tables:
        assert len({d["seeds"] for d in lines if (d["paper"], d["table"]) == table}) == 1
    (lost,) = [d for d in lines if d["row"] == row and d["table"] == "Table 9 (f)"]
    whole = [d for d in lines if d["table"] == "Table 9 (b)"]
    assert (lost["seeds"], whole[0]["seeds"]) == ("1 2", "0 1 2")
    by_seed = known.values[SEEDED, "top1"]
    (base,) = [d for d in lines if d["table"] == "Table 9 (f)" and d["row"] == "b16-ssv1"]
    assert float(base["mean"]) == statistics.fmean([by_seed[1], by_seed[2]])
    assert float(base["sd"]) == statistics.stdev([by_seed[1], by_seed[2]])


def test_a_row_without_a_common_seed_is_left_out(made, rows):
    known = comparisons.learned(made, rows)
    one = next(a for a in ablations.find_ablations(made, known) if a.numbers.where == "Table 9 (e)")
    values = {key: dict(by_seed) for key, by_seed in known.values.items()}
    values["side4video/b16-ssv1-l4", "top1"] = {7: 50.0}
    apart = comparisons.Learned(made, values, known.priors)
    kept, seeds, ours = ablation_plot.same_seeds(apart, one)
    assert (kept.rows, seeds) == (("b16-ssv1-l6", "b16-ssv1"), [0, 1, 2])
    assert set(ours.values["side4video/b16-ssv1", "top1"]) == {0, 1, 2}


def test_shares_tradeoff_and_sensitivity_follow_the_rows(made, rows):
    printed = index_rows(rows, "paper")
    top1, rsum, gflops = (means(rows, m) for m in ("top1", "rsum", "gflops"))
    for d in lines_of(made, "shares"):
        if d["mean"]:
            assert float(d["mean"]) == top1[d["variant"]][0]
        values = [r.value for r in printed[d["variant"], "top1"] if r.where == "Figure 4"]
        assert [float(d["printed"])] == values
    lines = lines_of(made, "tradeoff")
    assert {d["label"] for d in lines} == {"VoP B/16", "DGL B/16", "LoRA B/16", "TempMe B/16"}
    for d in lines:
        if d["source"] == "ours":
            drawn = (float(d["cost"]), float(d["accuracy"]))
            assert drawn == (gflops[d["variant"]][0], rsum[d["variant"]][0])
        else:
            assert float(d["accuracy"]) == printed[d["variant"], "rsum"][0].value
    sweep = lines_of(made, "sensitivity")
    trained = {d["variant"] for d in sweep if d["accuracy"]}
    assert trained == {"tempme/tempme-b32"}  # mini leaves the others out
    at = {
        o: [float(d["at"]) for d in sweep if d["option"] == o]
        for o in ("merge_layers", "cross", "intra")
    }
    assert at == {"merge_layers": [3, 6, 9], "cross": [50, 70, 90], "intra": [70, 90, 100]}
    assert [d["variant"] for d in sweep if d["is_default"] == "True"] == ["tempme/tempme-b32"] * 3
    for d in sweep:
        assert float(d["cost"]) == gflops[d["variant"]][0]
        if d["accuracy"]:
            assert float(d["accuracy"]) == rsum[d["variant"]][0]


def test_a_sweep_that_is_trained_has_its_deviation(made, rows):
    own = [
        r for r in rows if (r.variant, r.metric, r.source) == ("tempme/tempme-b32", "rsum", "ours")
    ]
    more = [
        r.model_copy(update={"variant": "tempme/b32-start2", "value": 2 * r.value}) for r in own
    ]
    outcomes = result_files.read_outcomes(made)
    drawn = published_plots.sensitivity(made, [*rows, *more], outcomes)
    (swept,) = [d for d in drawn.data if d["variant"] == "tempme/b32-start2"]
    values = [r.value for r in more]
    assert (swept["accuracy"], swept["seeds"]) == (statistics.fmean(values), 3)
    assert swept["sd"] == statistics.stdev(values) > 0


def test_a_figure_of_sensitivity_asks_for_one_option_at_a_time(config, vidtune, tmp_path):
    path = config / "papers/tempme.yaml"
    text = path.read_text().replace(
        "rows: [tempme-b32, b32-start2,", "rows: [tempme-b32, b32-no-frame-pos,"
    )
    path.write_text(text)
    code, _, err = vidtune("plan", "--config", config, "--results", tmp_path, "--scale", "smoke")
    assert code == 2 and "Figure 5: b32-no-frame-pos: expected another merge_layers" in one_line(
        err
    )


def test_the_interactive_plot_has_the_numbers_of_the_static_one(made, rows):
    page = (made.root / "report.html").read_text(encoding="utf-8")
    found = re.search(
        r'<script type="application/json" id="pareto-data">(.*?)</script>', page, re.S
    )
    data = json.loads(found[1])
    known = {p["variant"]: p for p in data["points"]}
    assert "const front = frontOf(shown);" in page
    lines = lines_of(made, "pareto")
    assert (
        {d["cost"] for d in lines}
        == set(data["costs"])
        == {"gflops", "train_gib", "params_tuned", "output_tokens"}
    )
    for d in lines:
        point = known[d["variant"]]
        assert point["costs"][d["cost"]] == float(d["value"])
        assert statistics.fmean(point["learned"][d["metric"]]) == float(d["accuracy"])
    gflops = means(rows, "gflops")
    for name, point in known.items():
        assert point["costs"]["gflops"] == pytest.approx(
            gflops[name][0] / made.models[name].n_views
        )
    assert {p["method"] for p in data["points"]} == set(data["methods"])


def test_the_front_is_what_nothing_beats():
    at = [
        (1.0, 10.0, "a"),
        (2.0, 9.0, "worse"),
        (2.0, 12.0, "b"),
        (2.0, 11.0, "dear"),
        (5.0, 12.0, "same"),
    ]
    assert front(at) == ["a", "b"]
    fast = [(25.0, 10.0, "slow"), (45.0, 9.0, "fast"), (30.0, 8.0, "beaten")]
    assert front(fast, more_is_better=True) == ["slow", "fast"]


def test_numbers_of_two_datasets_do_not_meet(made, rows):
    known = [p for p in points(made, rows) if p.task == "recognition"]
    mine, dataset = on_largest(known, "top1", "printed")
    assert dataset == "ssv2" and {p.data["printed"] for p in mine} == {"ssv2"}
    assert len(mine) < len([p for p in known if p.printed.get("top1")])
    assert {p.data["learned"] for p in on_largest(known, "top1", "learned")[0]} == {"motion-class"}
    assert on_largest(known, "r1", "learned") == ([], "")


def test_what_looks_show_is_what_was_found(made):
    (look,) = read_looks(made, "classes")
    lines = lines_of(made, "classes")
    found = look.facts["classes"]
    drawn = {
        d["class"]: (float(d["zero_shot_percent"]), float(d["learned_percent"])) for d in lines
    }
    assert drawn == {
        name: (100 * z, 100 * t)
        for name, z, t in zip(found["names"], found["zero_shot"], found["learned"], strict=True)
    }
    shown = [float(d["zero_shot_percent"]) for d in lines if d["shown"] == "True"]
    assert len(shown) == look_plots.WORST == 10
    assert max(shown) <= min(float(d["zero_shot_percent"]) for d in lines if d["shown"] == "False")
    for name, network, key in (
        ("attention", "side", "side_attention"),
        ("attention", "CLIP", "clip_attention"),
        ("merges", None, "token"),
    ):
        (look,) = read_looks(made, name)
        array = look.arrays[key]
        of = [d for d in lines_of(made, name) if network in (None, d.get("network"))]
        values = [float(d["token" if network is None else "share"]) for d in of]
        assert values == pytest.approx(array.flatten().tolist())


def test_captions_say_how_clips_were_chosen_and_what_made_them(made):
    page = (made.root / "report.html").read_text(encoding="utf-8")
    assert page.count("first test clip of each of the first classes") == 2
    assert page.count("made by code that has changed since") == 3  # the made stamp is of no code


def test_a_failed_training_is_not_looked_into(made, tmp_path):
    plan = plan_at(tmp_path)
    run = plan.looks["tempme", "merges"]
    path = plan.root / "looks" / f"{run}.npz"
    write_look(path, run, status="diverged")
    assert read_looks(plan, "merges") == []
    write_bytes(path, path.read_bytes()[:100])
    with pytest.raises(UserError, match="delete it and run again"):
        read_looks(plan, "merges")


def test_a_methods_look_is_its_own():
    looks = [style.method_look(name) for name in method_names()]
    assert len({(k["marker"], k["markerfacecolor"] == style.PAPER) for k in looks}) == len(looks)


def test_labels_are_spread_without_touching():
    at = style.spread([0.1, 0.11, 0.5, 0.99], [0.1, 0.1, 0.1, 0.1])
    gaps = [b - a for a, b in pairwise(at)]
    assert min(gaps) >= 0.1 - 1e-9 and at[-1] <= 0.95 + 1e-9 and at[2] == 0.5


def test_made_looks_are_of_their_runs(made):
    assert {k for _, k in made.looks} == {"classes", "attention", "merges"}
    assert np.unique(read_looks(made, "merges")[0].arrays["token"]).size == 6
    assert all(Path(made.root / "looks" / f"{run}.npz").is_file() for run in made.looks.values())
