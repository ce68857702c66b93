"""Differences between variants over paired seeds, and what they can show.

Seed k of every variant has the same data order and starts alike, so a difference is taken seed by
seed. Of n differences with mean d and variance s², the 95 % interval is

    d ± h,   h = t(0.975, f) · s̃ / √n,   s̃² = (f₀ s₀² + (n - 1) s²) / (f₀ + n - 1),   f = f₀ + n - 1

a moderated t (Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3(1), article 3):
the variance of a few seeds is itself uncertain, and is shrunk towards s₀², that of all comparisons of
the same kind, with the weight f₀ that their variances' agreement earns (`fit_prior`). As in limma, f
is at most the degrees of freedom of all those comparisons together, which are fewer where comparisons
share a variant. One comparison alone has f₀ = 0, the plain paired t.

`half`, h, is also the smallest difference that could have been seen: a mean beyond ± h excludes 0.
The interval is over trainings. It says nothing of other test clips, other data or a larger trunk.
"""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scipy.special import digamma, polygamma, stdtrit

CONFIDENCE = 0.95
FLOOR = 1e-5  # of the median variance: a variance of 0 has no logarithm (limma's choice)


class Prior(NamedTuple):
    """What all comparisons of one kind say of a single one's variance: s₀², f₀, and the degrees of
    freedom of their pooled variance (the most that a moderated t may have)."""

    variance: float
    df: float
    pooled_df: float


Names = tuple[str, ...]  # of the variants that a difference or a value is of
NO_PRIOR = Prior(variance=0.0, df=0.0, pooled_df=math.inf)


class Interval(NamedTuple):
    """A mean over `n` seeds with its 95 % interval, mean ± half."""

    mean: float
    half: float
    n: int

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> list[float]:
    """a - b for every seed that both have, by seed."""
    return [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]


def interval(values: Sequence[float], prior: Prior = NO_PRIOR) -> Interval:
    """The mean of two or more values with its moderated interval; without a prior, Student's."""
    variance, df = _shrink(values, prior)
    half = quantile(df) * math.sqrt(variance / len(values))
    return Interval(statistics.fmean(values), half, len(values))


def prediction(values: Sequence[float], prior: Prior, n: int, confidence: float) -> Interval:
    """Where the mean of `n` further values will be, with that confidence: around the mean of these,
    with their scatter and that of the further ones."""
    variance, df = _shrink(values, prior)
    half = quantile(df, confidence) * math.sqrt(variance * (1 / len(values) + 1 / n))
    return Interval(statistics.fmean(values), half, n)


def _shrink(values: Sequence[float], prior: Prior) -> tuple[float, float]:
    """The moderated variance s̃² of a single value, and its degrees of freedom f."""
    df = len(values) - 1
    total = prior.df + df
    if math.isinf(prior.df):
        return prior.variance, prior.pooled_df
    variance = (prior.df * prior.variance + df * statistics.variance(values)) / total
    return variance, min(total, prior.pooled_df)


def quantile(df: float, confidence: float = CONFIDENCE) -> float:
    """The two-sided quantile of Student's t with `df` degrees of freedom, which need not be whole.

    >>> round(quantile(2), 2)
    4.3
    """
    return float(stdtrit(df, (1 + confidence) / 2))


def fit_prior(comparisons: Mapping[Names, Sequence[float]]) -> Prior:
    """Fit s₀² and f₀ to the variances of comparisons, or of single variants' values, by moments as Smyth
    (2004, section 6.2) does.

    With e_g = ln s_g² - ψ(f_g / 2) + ln(f_g / 2), ψ the digamma function and f_g = n_g - 1, the
    variance of the e_g over that of chance gives f₀: trigamma(f₀ / 2) = var(e) - mean
    trigamma(f_g / 2); and ln s₀² = mean e + ψ(f₀ / 2) - ln(f₀ / 2). Where the variances scatter no
    more than chance makes them, f₀ is infinite and s₀² the pooled variance. One value has no
    variance and says nothing; of fewer than two comparisons there is nothing to shrink to: f₀ = 0.
    """
    known = {pair: (statistics.variance(d), len(d) - 1) for pair, d in comparisons.items() if d[1:]}
    if len(known) < 2:
        return NO_PRIOR
    dfs = {pair: df for pair, (_, df) in known.items()}
    variance = sum(v * df for v, df in known.values()) / sum(dfs.values())
    pooled = Prior(variance, math.inf, _pooled_df(dfs))
    floor = FLOOR * statistics.median(v for v, _ in known.values())
    if floor == 0:
        return pooled
    e = [
        math.log(max(v, floor)) - float(digamma(df / 2)) + math.log(df / 2)
        for v, df in known.values()
    ]
    chance = statistics.fmean(float(polygamma(1, df / 2)) for df in dfs.values())
    excess = statistics.variance(e) - chance
    if excess <= 0:
        return pooled
    half_df = _inverse_trigamma(excess)
    log_variance = statistics.fmean(e) + float(digamma(half_df)) - math.log(half_df)
    return Prior(math.exp(log_variance), 2 * half_df, pooled.pooled_df)


def _pooled_df(dfs: Mapping[Names, int]) -> float:
    """Satterthwaite's degrees of freedom of the pooled variance, D² / (D + Σ min(f1, f2) / 4): D is the
    sum of all f, and Σ runs over the ordered pairs of comparisons that share a variant. Their
    differences correlate by ½ where all variants scatter alike, and so their variances by ¼."""
    total = sum(dfs.values())
    shared = sum(
        min(dfs[one], dfs[other])
        for one, other in itertools.permutations(dfs, 2)
        if set(one) & set(other)
    )
    return total**2 / (total + shared / 4)


def _inverse_trigamma(x: float) -> float:
    """The y with trigamma(y) = x > 0, by Newton's method on 1 / trigamma (Smyth 2004, appendix)."""
    y = 0.5 + 1 / x
    for _ in range(50):
        trigamma = float(polygamma(1, y))
        step = trigamma * (1 - trigamma / x) / float(polygamma(2, y))
        y += step
        if abs(step) < 1e-10 * y:
            break
    return y
