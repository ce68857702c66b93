"""Learned claims, judged by paired differences, on made numbers of the real configuration."""

import json
import math

import pytest
from helpers.common import one_line

from vidtune.plan import Plan
from vidtune.report import answer, claims, comparisons, statistics, summary
from vidtune.report.numbers.result_files import read_outcomes
from vidtune.report.numbers.rows import Row, published
from vidtune.spec import ClaimTest

BASE, ATTENTION = "side4video/b16-ssv1", "side4video/b16-ssv1-attention"
CONV = "side4video/conv-beats-attention"
GAP = "side4video/gap-beats-cls"


def seeds(plan: Plan, variant: str, metric: str, values: dict[int, float]) -> list[Row]:
    """A learned number of ours for each seed."""
    m = plan.config.metrics[metric]
    same = {"variant": variant, "metric": metric, "unit": m.unit, "kind": m.kind, "source": "ours"}
    same |= {"where": "made.json", "scale": plan.scale.name}
    return [Row(**same, value=value, seed=seed) for seed, value in values.items()]


def finding(plan: Plan, ours: list[Row], claim: str, metric: str, k: int = 0) -> claims.Finding:
    every = claims.findings(plan, [*published(plan), *ours])
    return [f for f in every if f.claim == claim and f.metric == metric][k]


def against_attention(plan: Plan, conv: list[float], other: list[float]) -> claims.Finding:
    ours = [
        *seeds(plan, BASE, "top1", dict(enumerate(conv))),
        *seeds(plan, ATTENTION, "top1", dict(enumerate(other))),
    ]
    return finding(plan, ours, CONV, "top1")


@pytest.mark.parametrize(
    ("conv", "other", "status"),
    [
        ([60, 61, 62], [40, 42, 41], "holds"),
        ([40, 42, 41], [60, 61, 62], "fails"),
        ([60, 70, 50], [59, 68.8, 48.6], "holds"),  # the seeds scatter together
        ([60, 70, 50], [69, 58, 49], "within noise"),
        ([60], [40], "not judged"),
        ([60, 61], [], "not judged"),
    ],
)
def test_a_learned_claim_is_judged_by_its_paired_differences(plan, conv, other, status):
    test = against_attention(plan, conv, other)
    assert test.ours == status
    assert (test.paper, test.numbers, test.control) == ("holds", "ours", False)


def test_a_comparison_tells_its_interval_and_prints_difference(plan):
    """Differences 1, 2, 3: 2 ± 4.303 / sqrt(3)."""
    (one,) = against_attention(plan, [61, 62, 63], [60, 60, 60]).comparisons
    assert (one.gain, one.seeds, one.status) == (2.0, 3, "within noise")
    assert one.half == pytest.approx(4.30265 / math.sqrt(3), abs=1e-4)
    table = next(n for n in plan.config.papers["side4video"].numbers if n.where == "Table 9 (b)")
    print_ = [float(table.rows[name.split("/")[1]]["top1"]) for name in (BASE, ATTENTION)]
    assert one.published == pytest.approx(print_[0] - print_[1])
    assert one.text(1) == (
        "b16-ssv1 over b16-ssv1-attention: +2.0 (-0.5 to +4.5), 3 seeds, visible from 2.5; "
        f"print {one.published:+.1f}"
    )


def test_only_seeds_that_both_have_are_compared(plan):
    ours = [
        *seeds(plan, BASE, "top1", {0: 61, 1: 62, 5: 0}),
        *seeds(plan, ATTENTION, "top1", {0: 60, 1: 60, 7: 99}),
    ]
    (one,) = finding(plan, ours, CONV, "top1").comparisons
    assert (one.gain, one.seeds) == (1.5, 2)


def test_an_order_fails_with_one_pair_and_holds_with_all(plan):
    def order(*means: float) -> claims.Finding:
        names = ("b16-ssv1", "b16-ssv1-cls", "b16-ssv1-extra-cls")
        ours = []
        for j, (name, mean) in enumerate(zip(names, means, strict=True)):
            values = {k: mean + (0.1 * j * k) % 0.7 for k in range(3)}
            ours += seeds(plan, f"side4video/{name}", "top1", values)
        return finding(plan, ours, GAP, "top1")

    assert order(70, 60, 50).ours == "holds"
    assert order(70, 60, 65).ours == "fails"
    test = order(70, 60, 59.99)
    assert [c.status for c in test.comparisons] == ["holds", "within noise"]
    assert test.ours == "within noise"


@pytest.mark.parametrize(
    ("statuses", "whole"),
    [
        (["holds", "not judged"], "not judged"),
        (["fails", "not judged"], "fails"),
        (["within noise", "not judged"], "not judged"),
        (["holds", "holds"], "holds"),
    ],
)
def test_a_pair_that_is_not_judged_leaves_an_order_open_unless_another_fails(statuses, whole):
    assert comparisons.judge_all(statuses) == whole


def test_a_learned_change_is_judged_by_its_direction(plan):
    """+3.9 % of R-Sum: the printed share stands beside, the interval decides."""
    (change,) = plan.config.papers["tempme"].claims["full-tuning-is-more-accurate"].tests
    rsum, fewer = plan.config.metrics["rsum"], change.model_copy(update={"percent": -3.9})
    risen, fallen = "tempme/tempme-full-b16", "tempme/clip4clip-b16"
    assert comparisons.pairs("tempme", change, rsum) == [(risen, fallen)]
    assert comparisons.pairs("tempme", fewer, rsum) == [(fallen, risen)]
    lower = rsum.model_copy(update={"better": "lower"})
    assert comparisons.pairs("tempme", change, lower) == [(fallen, risen)]


def test_the_same_run_under_two_names_is_not_compared(plan):
    names = ("side4video/b16-ssv1", "side4video/b16-ssv2")
    ours = [r for name in names for r in seeds(plan, name, "top1", {0: 1.0, 1: 2.0})]
    one = comparisons.learned(plan, ours).compare(*names, "top1")
    assert (one.status, one.why) == ("not judged", "the same run at scale mini")


def test_one_trunk_in_the_place_of_two_decides_nothing_about_larger_ones(plan):
    names = ("side4video/e14-ssv1-top", "side4video/b16-ssv1")
    ours = [r for name in names for r in seeds(plan, name, "top1", {0: 1.0, 1: 2.0})]
    one = comparisons.learned(plan, ours).compare(*names, "top1")
    assert one.status == "not judged" and "one trunk, mini" in one.why


def test_scatter_is_shrunk_towards_that_of_the_same_task_and_metric(plan):
    """Every comparison of a claim counts once, whatever the number of claims that ask for it."""
    values = {
        "side4video/b16-ssv1": [60, 61, 62],
        "side4video/b16-ssv1-attention": [59, 58, 60],
        "side4video/b16-ssv1-no-shift": [60, 60.5, 58],
        "tempme/tempme-b32": [50, 51, 53],
        "tempme/lora-b32": [48, 50, 50],
    }
    ours = []
    for name, numbers in values.items():
        metric = "top1" if name.startswith("side4video") else "rsum"
        ours += seeds(plan, name, metric, dict(enumerate(map(float, numbers))))
    known = comparisons.learned(plan, ours)
    assert set(known.priors) == {("recognition", "top1"), ("retrieval", "rsum")}
    assert known.priors["retrieval", "rsum"] == statistics.NO_PRIOR
    by_hand = statistics.fit_prior(
        {("base", "attention"): [1.0, 3.0, 2.0], ("base", "shift"): [0.0, 0.5, 4.0]}
    )
    assert known.priors["recognition", "top1"] == by_hand
    found = known.compare(BASE, ATTENTION, "top1")
    assert found.half == pytest.approx(statistics.interval([1.0, 3.0, 2.0], by_hand).half)


def test_a_test_whose_rows_a_scale_does_not_train_says_so(plan):
    lacking = finding(plan, [], "side4video/best-frozen-ssv2", "top1")
    assert lacking.lacks_rows and "not trained at scale mini" in lacking.comparisons[0].why
    assert not finding(plan, [], CONV, "top1").lacks_rows  # trained, without a number yet


def test_a_test_of_runs_that_an_earlier_one_compares_is_judged_and_counted_once(plan):
    """At mini MSR-VTT, MSVD and VATEX are one dataset: three tests, one comparison."""
    claim, ours = "side4video/retrieval-beats-frozen-baseline", []
    for data in ("msrvtt", "msvd", "vatex"):
        ours += seeds(plan, f"side4video/b32-{data}", "r1", {0: 20, 1: 21, 2: 22})
        ours += seeds(plan, f"side4video/clip4clip-frozen-b32-{data}", "r1", {0: 10, 1: 12, 2: 11})
    every = claims.findings(plan, [*published(plan), *ours])
    tests = [f for f in every if f.claim == claim]
    assert [(f.ours, f.repeats) for f in tests] == [
        ("holds", False),
        ("holds", True),
        ("holds", True),
    ]
    assert {f.claim for f in every if f.repeats} == {claim}
    total = sum(f.ours_alone and f.kind == "learned" for f in every)
    line = summary.lines(plan, ours, read_outcomes(plan), every, [])[2]
    assert f"of {total} tests, of which 2 repeat another and are not counted again, 1 hold" in line
    # what is not judged repeats nothing, and neither does another metric or a new pair
    assert not any(f.repeats for f in claims.findings(plan, [*published(plan), *ours[:6]]))


def test_a_test_with_a_new_pair_is_no_repetition(plan):
    """Orders are counted as long as one of their pairs is new; controls repeat nothing."""
    rows = {
        "b16-ssv1": 60,
        "b16-ssv1-cls": 50,
        "b16-ssv1-extra-cls": 40,
        "b16-ssv1-no-temporal": 30,
    }
    ours = [
        row
        for metric in ("top1", "pair")
        for name, mean in rows.items()
        for row in seeds(plan, f"side4video/{name}", metric, {k: mean + k % 2 for k in range(3)})
    ]
    every = claims.findings(plan, [*published(plan), *ours])
    assert [f.claim for f in every if f.ours == "holds" and f.kind == "learned"]
    assert not any(f.repeats for f in every)


def test_print_against_print_and_controls_are_told_apart(plan):
    every = claims.findings(plan, list(published(plan)))
    by_claim = {f.claim: f for f in every}
    assert by_claim["tempme/helps-umt"].numbers == "print"
    assert not by_claim["tempme/helps-umt"].of_paper
    control = by_claim["side4video/side-network-sees-motion"]
    assert control.control and control.numbers == "ours" and not control.of_paper
    learned = [f for f in every if f.kind == "learned" and f.of_paper]
    assert learned and all(f.ours == "not judged" for f in learned)
    assert {f.numbers for f in learned} == {"ours", "ours and print"}


def test_a_counted_test_says_whether_it_borrows_print(plan):
    same = {"metric": "gflops", "unit": "GMACs", "kind": "counted", "source": "ours"}
    same |= {"where": "made.json", "scale": "full size"}
    values = {"tempme-b16": 121.4, "vop-b16": 1.0, "tempme-b32": 1.0}
    ours = [Row(variant=f"tempme/{name}", value=value, **same) for name, value in values.items()]
    assert finding(plan, ours, "tempme/fewer-gflops", "gflops").numbers == "ours and print"
    assert finding(plan, ours, "tempme/cheaper-than-lora", "gflops").numbers == "ours"


@pytest.mark.parametrize(
    ("claimed", "better", "change", "status"),
    [
        (-75, "lower", -75.9, "holds"),
        (-75, "lower", -83.4, "exceeded"),
        (-75, "lower", -60.0, "fails"),
        (-75, "lower", 10.0, "fails"),
        (80, "higher", 120.0, "exceeded"),
        (30, "lower", 50.0, "fails"),  # a cost that is higher still
    ],
)
def test_a_change_that_goes_further_than_claimed_exceeds_the_claim(
    plan, claimed, better, change, status
):
    (test,) = plan.config.papers["side4video"].claims["three-quarters-less-memory"].tests
    metric = plan.config.metrics["train_gib"].model_copy(update={"better": better})
    test = test.model_copy(update={"percent": float(claimed)})
    assert claims._judge_change(test, metric, change)[0] == status


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        (["holds", "exceeded"], "reproduced"),
        (["holds", "within noise"], "in part"),
        (["holds", "fails"], "contradicted"),
        (["not judged", "within noise"], "undecided"),
        ([], "not testable"),
    ],
)
def test_a_claim_is_what_its_tests_on_our_numbers_alone_say(plan, statuses, verdict):
    """A test that borrows print's number decides nothing, whatever it says."""
    one = finding(plan, [], CONV, "top1")
    tests = [one.model_copy(update={"ours": status}) for status in statuses]
    borrowed = one.model_copy(update={"ours": "fails", "numbers": "ours and print"})
    (line,) = answer.claim_lines([*tests, borrowed])
    assert line.verdict == verdict and line.others == (borrowed,)
    assert answer.tally([*tests, borrowed], "learned").total() == len(statuses)


def test_claims_are_asked_for_by_paper(vidtune, tmp_path):
    ask = ("claims", "tempme", "--results", tmp_path)
    code, out, _ = vidtune(*ask)
    assert code == 0 and "side4video/" not in out
    assert "reproduced   tempme/cheaper-than-lora: " not in out  # R-Sum is not learned yet
    assert "in part      tempme/cheaper-than-lora: " in out
    assert "  holds        GFLOPs, best first: tempme-b32 > lora-b32" in out
    code, out, _ = vidtune(*ask, "--json")
    found = json.loads(out)
    assert {f["claim"].split("/")[0] for f in found} == {"tempme"} and len(found) > 20
    code, out, err = vidtune("claims", "temp", "--results", tmp_path)
    assert (code, out) == (2, "") and "did you mean tempme" in one_line(err)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"best_first": []}, "best_first: expected two rows or more"),
        ({"best_first": ["a"]}, "best_first: expected two rows or more"),
        ({"best_first": ["a", "b", "a"]}, "each once"),
        ({"of": "a", "against": "a", "percent": 1.0}, "against: expected another row than a"),
    ],
)
def test_a_test_of_one_row_is_none(fields, said):
    with pytest.raises(ValueError, match=said):
        ClaimTest.model_validate({"metric": "top1", **fields}, strict=False)


def test_no_percentage_is_taken_of_nothing(plan):
    test = ClaimTest(metric="r1", of="a", against="b", percent=5.0)
    values = {v: seeds(plan, f"tempme/{v}", "r1", {0: x}) for v, x in (("a", 1.0), ("b", 0.0))}
    found = claims._judge_test(test, plan.config.metrics["r1"], values)
    assert found == ("not judged", "a 1.0, b 0.0: no percentage of 0")
