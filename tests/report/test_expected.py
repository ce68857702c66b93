"""The range of a healthy run, derived from made reference results and checked; README's numbers; the
summary."""

import dataclasses
import random
import re
from pathlib import Path

import pytest
from helpers.common import REPO, one_line

from vidtune.plan import Plan, load
from vidtune.report import expected, reference_runs, statistics, summary
from vidtune.report.claims import findings
from vidtune.report.numbers import result_files, results, rows
from vidtune.spec import write_json, write_text

BASE, PROBE, LORA = "side4video/b16-ssv1", "side4video/b16-ssv1-probe", "tempme/lora-b32"
CENTRE = {BASE: 60.0, PROBE: 50.0}
# a number of README: [55 to 71 %](config/expected.yaml "mini side4video/b16-ssv1 top1"), or
# "mini premise/recognition within_pairs" of the premise
QUOTED = re.compile(
    r'\[([\d.]+) to ([\d.]+)[^\]]*\]\((?:\.\./)?config/expected\.yaml "(\S+) (\S+) (\S+)"\)'
)


def made(
    config: Path, folder: Path, scale: str, seed: int = 0, shift: float = 0.0, **given: object
) -> Plan:
    """Results with a standard deviation of 1 over seeds, and a premise that holds."""
    plan, rng = load(config, {"results": str(folder), "scale": scale, **given}), random.Random(seed)
    for name in dict.fromkeys(plan.evaluation_of.values()):
        run = plan.runs[name]
        value = CENTRE.get(run.model.name, 40.0) + shift + rng.gauss(0, 1)
        keys = ("top1", "pair") if run.model.task == "recognition" else ("r1", "rsum", "pair")
        metrics = {k: value * (3 if k == "rsum" else 1) for k in keys}
        write_json(
            result_files.eval_path(plan, name), {"status": "ok", "metrics": metrics, "n": 1152}
        )
    probe = {"within_pairs": 0.5, "chance": [0.462, 0.538], "n": 1152, "top1": 0.1}
    check = {"zero_shot": {"colour": 0.98}, "probe": probe, "holds": {"all": True}}
    check["thresholds"] = {"appearance_at_least": 0.9}
    premise = {"recognition": check, "retrieval": check, "references": {}}
    write_json(plan.root / "backbones" / "mini" / "premise.json", premise)
    write_text(plan.root / "rows.csv", rows.rows_to_csv(results.gather(plan)))
    return plan


@pytest.fixture
def derived(config, tmp_path, vidtune) -> tuple[Path, Path]:
    """A configuration with ranges that were derived from references of scales mini and mini-long."""
    given = ("--config", config, "--results", tmp_path)
    for scale in ("mini", "mini-long"):
        made(config, tmp_path, scale)
        assert vidtune("reference", *given, "--scale", scale, "--machine", "m")[0] == 0
    assert vidtune("reference", *given, "--expected")[:2] == (0, f"{config}/expected.yaml\n")
    return config, tmp_path


def test_ranges_are_predicted_from_the_reference_runs_seeds(derived):
    config, folder = derived
    plan = load(config, {"results": str(folder)})
    assert list(plan.config.expected) == ["mini", "mini-long"]
    known = plan.config.expected["mini"]
    # retrieval's recipe is another one at mini-long
    assert known.reference == {"recognition": "mini-long", "retrieval": "mini"}
    assert known.seeds == len(plan.scale.seeds)
    assert known.premise["retrieval"] == {"appearance": (90, 100), "within_pairs": (46.2, 53.8)}
    low, high = known.learned[BASE]["top1"]
    reference = load(config, {"results": str(folder), "scale": "mini-long"})
    kept = rows.rows_from_csv(reference_runs.folder(reference, "mini-long") / "rows.csv")
    values = [r.value for r in kept if (r.variant, r.metric) == (BASE, "top1")]
    alone = statistics.interval(values)
    assert low < alone.low < alone.high < high
    longer = plan.config.expected["mini-long"].learned[BASE]["top1"]
    assert low <= longer[0] and longer[1] <= high  # more seeds, a narrower range
    assert all(float(end).is_integer() for end in (low, high))


def test_a_prediction_by_hand():
    """1, 2, 3 and then the mean of 3 more: 2 ± 4.30265 * sqrt(1/3 + 1/3)."""
    found = statistics.prediction([1.0, 2.0, 3.0], statistics.NO_PRIOR, 3, 0.95)
    assert (found.mean, found.half) == (2.0, pytest.approx(4.30265 * (2 / 3) ** 0.5, abs=1e-4))


def test_a_healthy_run_is_inside_and_a_broken_one_is_named(derived):
    config, folder = derived
    for seed in range(5):
        plan = made(config, folder, "mini", seed=10 + seed)
        read, outcomes = (
            rows.rows_from_csv(plan.root / "rows.csv"),
            result_files.read_outcomes(plan),
        )
        checked = expected.check(plan, read, outcomes.premises)
        assert checked and checked.ranges > 10 and not checked.outside
        assert "numbers are within that of a healthy run" in summary.read(plan)[-1]
    broken = made(config, folder, "mini", shift=-20.0)
    line = summary.read(broken)[-1]
    assert "outside" in line and f"{BASE} top1: " in line and "expected" in line
    fewer = dataclasses.replace(plan, scale=plan.scale.model_copy(update={"seeds": (7,)}))
    unlike = expected.check(fewer, read, outcomes.premises)  # the ranges are of means of three
    assert unlike and unlike.ranges < 10 and not unlike.outside
    missing = [r for r in read if r.variant != LORA]
    checked = expected.check(plan, missing, outcomes.premises)
    assert checked and {o.name for o in checked.outside} == {
        f"{LORA} {m}" for m in ("r1", "rsum", "pair")
    }
    assert "no number" in str(checked.outside[0])
    alone = made(config, folder, "mini", papers=("tempme",))
    seen = {"mini": {"retrieval": outcomes.premises["mini"]["retrieval"]}}  # all that it checks
    assert not expected.check(alone, rows.rows_from_csv(alone.root / "rows.csv"), seen).outside
    worse = {"mini": {"recognition": {"zero_shot": {"size": 0.5}, "probe": {"within_pairs": 0.7}}}}
    checked = expected.check(plan, read, worse)
    assert checked
    assert {o.name for o in checked.outside if o.value is not None} == {
        "premise recognition appearance",
        "premise recognition within_pairs",
    }


def test_without_reference_results_nothing_is_derived(config, tmp_path, vidtune):
    before = (config / "expected.yaml").read_text()
    code, _, err = vidtune("reference", "--config", config, "--results", tmp_path, "--expected")
    assert code == 2 and "no reference results" in one_line(err)
    assert (config / "expected.yaml").read_text() == before


def test_a_range_the_wrong_way_round_is_one_clear_line(config, vidtune):
    path = config / "expected.yaml"
    path.write_text(
        "mini: {reference: {retrieval: mini}, seeds: 3, premise: {}, learned: {a/b: {top1: [9, 1]}}}\n"
    )
    code, _, err = vidtune("ls", "--config", config)
    assert code == 2 and "expected.yaml:1" in one_line(err) and "swap the two" in err


def test_committed_ranges_follow_from_the_committed_reference_results(config):
    """`vidtune reference --expected` derives them again."""
    plan = load(config, {"results": str(REPO / "results")})
    if reference_runs.read(plan):
        assert expected.write(plan).read_text() == (REPO / "config/expected.yaml").read_text()
    for scale in plan.config.expected.values():
        assert not [v for v in scale.learned if v not in plan.variants]


def quoted(text: str, plan: Plan) -> list[str]:
    """The numbers in a text that are not those of config/expected.yaml."""
    wrong = []
    for low, high, scale, name, metric in QUOTED.findall(text):
        known = plan.config.expected.get(scale)
        part, _, task = name.partition("/")
        ranges = known and (known.premise if part == "premise" else known.learned)
        ends = ranges and ranges.get(task if part == "premise" else name, {}).get(metric)
        if ends != (float(low), float(high)):
            wrong.append(f"{scale} {name} {metric}: {low} to {high}; expected.yaml has {ends}")
    return wrong


def test_readmes_expected_numbers_are_those_of_the_file(plan):
    for path in (REPO / "README.md", REPO / "docs/verdicts.md"):
        text = path.read_text(encoding="utf-8")
        assert quoted(text, plan) == []
        assert text.count('config/expected.yaml "') == len(QUOTED.findall(text)), path


def test_a_wrong_number_in_a_text_is_found(derived):
    plan = load(derived[0], {"results": str(derived[1])})
    low, high = plan.config.expected["mini"].learned[BASE]["top1"]
    link = f'(config/expected.yaml "mini {BASE} top1")'
    assert quoted(f"[{low:g} to {high:g} %]{link}", plan) == []
    assert len(quoted(f"[{low + 1:g} to {high:g} %]{link}", plan)) == 1
    premise = '[46.2 to 53.8 %](config/expected.yaml "mini premise/recognition within_pairs")'
    assert quoted(premise, plan) == []


def test_five_lines_say_what_was_found(derived, vidtune):
    config, folder = derived
    plan = made(config, folder, "mini", seed=3)
    code, out, _ = vidtune("summary", "--config", config, "--results", folder)
    found = out.splitlines()
    assert code == 0 and found == summary.read(plan)
    heads = ["premise", "motion", "learned claims of the papers", "counted", "expected range"]
    assert [line.partition(": ")[0] for line in found] == heads
    assert "holds for recognition" in found[0] and "holds for retrieval" in found[0]
    assert re.search(r"b16-ssv1 \d+\.\d \(\d+\.\d\)", found[1]) and "lora-b32" in found[1]
    tests = re.search(
        r"of (\d+) tests, of which (\d+) repeat another and are not counted again, "
        r"(\d+) hold.*?, (\d+) fail.*?, (\d+) within noise.*?, (\d+) not",
        found[2],
    )
    assert tests
    total, *parts = map(int, tests.groups())
    assert total == sum(parts)


def test_before_any_result_the_summary_says_so(config, tmp_path, vidtune):
    code, out, err = vidtune("summary", "--config", config, "--results", tmp_path)
    assert (code, out) == (2, "") and "no results yet" in one_line(err)


def test_a_small_scale_says_what_it_cannot_decide(derived):
    config, folder = derived
    plan = made(config, folder, "mini")
    text = summary.limits(plan, findings(plan, rows.rows_from_csv(plan.root / "rows.csv")))
    assert re.search(r"\d\.\d to \d\.\d points of Top-1", text)
    assert "larger trunk" in text and "real appearance" in text
    assert summary.limits(load(config, {"scale": "full"}), []) == ""
