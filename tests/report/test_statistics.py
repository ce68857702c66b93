"""Paired differences and the moderated t, against arithmetic by hand and by simulation."""

import math
import random
import statistics as plain

import pytest
from scipy.special import polygamma

from vidtune.report import statistics
from vidtune.report.statistics import NO_PRIOR, Prior


def test_seeds_are_paired_and_the_others_left_out():
    assert statistics.paired({0: 5.0, 2: 7.0, 1: 1.0}, {2: 4.0, 0: 1.0, 3: 9.0}) == [4.0, 3.0]


def test_without_a_prior_it_is_the_paired_t():
    """1, 2, 3: mean 2, s = 1, t(0.975, 2) = 4.3027, half 4.3027 / sqrt(3)."""
    found = statistics.interval([1.0, 2.0, 3.0])
    assert found.mean == 2.0 and found.n == 3
    assert found.half == pytest.approx(2.48414, abs=1e-5)
    assert (found.low, found.high) == (found.mean - found.half, found.mean + found.half)


def test_a_prior_shrinks_the_variance_and_adds_its_degrees_of_freedom():
    """s² = 1 of 2 df and s0² = 4 of 3 df: (3 * 4 + 2 * 1) / 5 = 2.8; t(0.975, 5) = 2.5706."""
    found = statistics.interval([1.0, 2.0, 3.0], Prior(variance=4.0, df=3.0, pooled_df=20))
    assert found.half == pytest.approx(2.57058 * math.sqrt(2.8 / 3), abs=1e-4)
    capped = statistics.interval([1.0, 2.0, 3.0], Prior(variance=4.0, df=3.0, pooled_df=4))
    assert capped.half == pytest.approx(2.77645 * math.sqrt(2.8 / 3), abs=1e-4)


def apart(*samples: list[float]) -> dict[tuple[str, str], list[float]]:
    """Comparisons that share no variant."""
    return {(f"a{k}", f"b{k}"): sample for k, sample in enumerate(samples)}


def test_variances_that_agree_are_pooled():
    prior = statistics.fit_prior(apart([0.0, 1.0], [0.0, 1.1], [0.0, 1.0, 2.0]))
    assert math.isinf(prior.df) and prior.pooled_df == 4
    assert prior.variance == pytest.approx((0.5 + 0.605 + 2 * 1.0) / 4)
    found = statistics.interval([3.0, 5.0], prior)
    assert found.half == pytest.approx(2.77645 * math.sqrt(prior.variance / 2), abs=1e-4)


def test_comparisons_with_one_base_have_fewer_degrees_of_freedom():
    """Three of 2 df that share a base: 6² / (6 + 6 * 2 / 4)."""
    sample = [0.0, 1.0, 2.0]
    prior = statistics.fit_prior({("base", other): sample for other in "abc"})
    assert prior.pooled_df == 4
    assert statistics.fit_prior(apart(sample, sample, sample)).pooled_df == 6


def test_the_prior_by_hand():
    """Two variances of 2 df: e = ln s² + 0.57722 (ψ(1) = -0.57722, ln 1 = 0). With s² = 1 and e⁶,
    var(e) = 18, and trigamma(f₀ / 2) = 18 - π²/6 = 16.355 at f₀ / 2 = 0.25678, where ψ = -4.11381."""
    prior = statistics.fit_prior(apart([-1.0, 0.0, 1.0], [-math.exp(3), 0.0, math.exp(3)]))
    assert prior.df / 2 == pytest.approx(0.25678, abs=1e-5)
    assert float(polygamma(1, prior.df / 2)) == pytest.approx(18 - math.pi**2 / 6)
    expected = math.exp(3 + 0.57722 - 4.11381 - math.log(0.25678))
    assert prior.variance == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("x", [1e-6, 1e-3, 0.1, 1.0, 16.0, 1e4, 1e8])
def test_trigamma_is_inverted(x):
    assert float(polygamma(1, statistics._inverse_trigamma(x))) == pytest.approx(x, rel=1e-6)


def test_a_single_comparison_and_no_variance_have_nothing_to_shrink_to():
    assert statistics.fit_prior(apart([1.0, 2.0, 4.0])) == NO_PRIOR
    assert statistics.fit_prior(apart([1.0, 2.0, 4.0], [3.0])) == NO_PRIOR
    assert (
        statistics.interval([2.0, 2.0], statistics.fit_prior(apart([1.0, 1.0], [1.0, 1.0]))).half
        == 0
    )
    mixed = statistics.fit_prior(apart([1.0, 1.0], [1.0, 2.0], [1.0, 3.0]))
    assert mixed.variance > 0 and mixed.df > 0


def _study(rng: random.Random, variants: int, seeds: int, spread: float, shared: bool) -> dict:
    """Differences without an effect. Their variances scatter around 2 by `spread` (of the logarithm);
    `shared`: all are against the same base."""
    sd = [math.exp(rng.gauss(0, spread)) for _ in range(2 * variants)]
    values = [[rng.gauss(0, s) for _ in range(seeds)] for s in sd]
    against = [0 if shared else k + variants for k in range(variants)]
    return {
        (f"{k}", f"{base}"): [a - b for a, b in zip(values[k], values[base], strict=True)]
        for k, base in enumerate(against)
        if k != base
    }


@pytest.mark.parametrize("seeds", [3, 6])
@pytest.mark.parametrize("spread", [0.0, 0.4])
@pytest.mark.parametrize("shared", [False, True])
def test_nineteen_of_twenty_intervals_hold_the_truth(seeds, spread, shared):
    rng = random.Random(0)
    held, narrower = [], []
    for _ in range(200):
        study = _study(rng, 12, seeds, spread, shared)
        prior = statistics.fit_prior(study)
        found = [statistics.interval(d, prior) for d in study.values()]
        held += [f.low <= 0 <= f.high for f in found]
        alone = [statistics.interval(d) for d in study.values()]
        narrower += [f.half / a.half for f, a in zip(found, alone, strict=True)]
    assert 0.93 <= plain.fmean(held) <= 0.975
    assert plain.median(narrower) < 1
