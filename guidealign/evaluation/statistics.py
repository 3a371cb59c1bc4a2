"""The statistics of the gates: paired, clustered, and honest about small samples."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_BLOCK_DRAWS = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A mean with its interval; `se` is the standard error over clusters."""

    mean: float
    low: float
    high: float
    se: float
    n: int
    n_clusters: int


def paired_interval(
    differences: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    level: float = 0.05,
    resamples: int = 10_000,
    seed: int = 13,
) -> Interval:
    """Expanded percentile bootstrap of a mean of paired differences, whole clusters drawn.

    The percentiles are widened to what Student's t asks of so many clusters, since the plain
    percentile interval is too narrow for few of them (Hesterberg 2015, "What Teachers Should
    Know About the Bootstrap", section 3.3).

    Args:
        differences: challenger minus champion, one a case, (n,).
        clusters: cluster of each case, (n,); cases of one cluster are drawn together.
        level: 0.05 gives a 95% interval.
        resamples: bootstrap draws.
        seed: makes the interval repeatable.

    Raises:
        ValueError: fewer than two clusters, lengths that differ, or a number not finite.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) != len(clusters):
        raise ValueError("differences and clusters differ in length")
    if not np.isfinite(values).all():
        raise ValueError("a difference is not finite")
    _, index = np.unique(np.asarray([str(c) for c in clusters]), return_inverse=True)
    sums = np.bincount(index, weights=values).astype(np.float64)
    sizes = np.bincount(index).astype(np.float64)
    n_clusters = len(sums)
    if n_clusters < 2:
        raise ValueError("an interval needs at least two clusters")
    means = _bootstrap_means(sums, sizes, resamples, np.random.default_rng(seed))
    widening = np.sqrt(n_clusters / (n_clusters - 1)) * stats.t.ppf(level / 2, n_clusters - 1)
    tail = float(stats.norm.cdf(widening))
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(
        mean=float(values.mean()),
        low=float(low),
        high=float(high),
        se=cluster_standard_error(sums, sizes),
        n=len(values),
        n_clusters=n_clusters,
    )


def _bootstrap_means(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    block = max(1, _BLOCK_DRAWS // len(sums))
    means = []
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        drawn = rng.integers(0, len(sums), size=(count, len(sums)))  # (block, clusters)
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(means)


def cluster_standard_error(sums: NDArray[np.float64], sizes: NDArray[np.float64]) -> float:
    """Standard error of the mean of all cases when whole clusters are sampled.

    The linearised ratio estimator: residuals of cluster sums around mean times size.
    """
    n_clusters, total = len(sums), sizes.sum()
    residuals = sums - sums.sum() / total * sizes
    return float(np.sqrt(n_clusters / (n_clusters - 1) * np.square(residuals).sum()) / total)


def power_of_interval(effect: float, se: float, *, level: float, n_clusters: int) -> float:
    """Chance that the interval excludes zero when the truth is `effect` away from it.

    A normal approximation with Student's critical value; in [0, 1].
    """
    if se == 0:
        return 1.0
    critical = stats.t.ppf(1 - level / 2, n_clusters - 1)
    return float(stats.norm.cdf(effect / se - critical))


def mcnemar_p(only_champion: int, only_challenger: int) -> float:
    """Exact two-sided McNemar test on the cases that one model gets right and the other not."""
    n = only_champion + only_challenger
    return float(stats.binomtest(only_challenger, n, 0.5).pvalue) if n else 1.0
