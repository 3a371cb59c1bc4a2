"""Bootstrap and sign-flip tests of paired, clustered differences, careful with small samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_BLOCK_DRAWS = 1_000_000
_COCHRAN = 40.0
"""Prompts for each unit of squared skewness: Cochran has 25 for two-sided intervals. A test errs on
one side alone, and with 40 it held its level on all drawn gains (`benchmarks/gates/alike.py`)."""
TOLERANCE = 1e-12
"""Sums of the same numbers in another order differ by so little."""


@dataclass(frozen=True)
class Bootstrap:
    """Studentised means of resampled clusters: intervals and p-values of any level.

    Each resample's mean is measured in its own standard errors, which keeps the level with few
    cases and where most differences are small gains and a few are great losses; the percentile
    interval lets too much through there (Hesterberg 2015, "What Teachers Should Know About the
    Bootstrap").
    """

    mean: float
    se: float
    n: int
    n_clusters: int
    ts: NDArray[np.float64]
    """Sorted: how many of its own standard errors each resample's mean is off, (resamples,)."""

    @classmethod
    def of(
        cls,
        differences: Sequence[float] | NDArray[np.float64],
        clusters: Sequence[Hashable],
        *,
        resamples: int,
        seed: int,
    ) -> Bootstrap:
        """Draws whole clusters with replacement.

        Args:
            differences: challenger minus champion, one a case, (n,).
            clusters: of each case, (n,); cases of one cluster are not independent.
            resamples: bootstrap draws.
            seed: of the draws.

        Raises:
            ValueError: fewer than two clusters, lengths that differ, or a number not finite.
        """
        values = np.asarray(differences, dtype=np.float64)
        if len(values) != len(clusters):
            raise ValueError("differences and clusters differ in length")
        if not np.isfinite(values).all():
            raise ValueError("a difference is not finite")
        sums, sizes = cluster_sums(values, clusters)
        if len(sums) < 2:
            raise ValueError("an interval needs at least two clusters")
        mean, se = float(sums.sum() / sizes.sum()), float(cluster_standard_error(sums, sizes))
        se = 0.0 if se < TOLERANCE else se
        ts = np.zeros(resamples)
        if se:
            drawn = stats.bootstrap(
                (sums, sizes),
                _studentised(mean, floor=se / len(sums)),
                paired=True,
                vectorized=True,
                n_resamples=resamples,
                batch=max(1, _BLOCK_DRAWS // len(sums)),
                method="percentile",
                rng=np.random.default_rng(seed),
            )
            ts = np.sort(drawn.bootstrap_distribution)
        return cls(mean=mean, se=se, n=len(values), n_clusters=len(sums), ts=ts)

    def bounds(self, level: float) -> tuple[float, float]:
        """The interval that leaves out `level` on each side."""
        low, high = np.quantile(self.ts, [level, 1 - level])
        return self.mean - float(high) * self.se, self.mean - float(low) * self.se

    def p_values(self, bar: float) -> tuple[float, float]:
        """Returns one-sided p-values of a true mean at the bar: for lying above it, and below."""
        distance = self.mean - bar
        seen = distance / self.se if self.se else math.copysign(math.inf, distance)
        if abs(distance) < TOLERANCE:
            seen = 0.0
        above = len(self.ts) - int(np.searchsorted(self.ts, seen - TOLERANCE, side="left"))
        below = int(np.searchsorted(self.ts, seen + TOLERANCE, side="right"))
        # One more than were seen: a p-value of draws is never 0.
        return (above + 1) / (len(self.ts) + 1), (below + 1) / (len(self.ts) + 1)


def _studentised(mean: float, floor: float) -> Callable[..., NDArray[np.float64]]:
    """The statistic of a resample; `floor`: a standard error of 0 would make it infinite."""

    def statistic(
        sums: NDArray[np.float64], sizes: NDArray[np.float64], axis: int = -1
    ) -> NDArray[np.float64]:
        means = sums.sum(axis=axis) / sizes.sum(axis=axis)
        errors = cluster_standard_error(sums, sizes, axis)
        return np.asarray((means - mean) / np.maximum(errors, floor))

    return statistic


def p_of_flips(
    values: NDArray[np.float64], clusters: Sequence[Hashable], *, resamples: int, seed: int
) -> float:
    """The sign-flip test: the chance of so great a sum if each cluster's sign were a coin's.

    Exact where challenger and champion could be swapped on any cluster without anybody seeing
    it, however few clusters changed; that is where the bootstrap is too sure of itself.
    """
    sums, _ = cluster_sums(values, clusters)
    changed = sums[np.abs(sums) > TOLERANCE]
    if not len(changed):
        return 1.0
    # scipy wants two at least; a tie's sign is nothing to the sum.
    changed = np.append(changed, 0.0)
    done = stats.permutation_test(
        (changed,),
        np.sum,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, _BLOCK_DRAWS // len(changed)),
        alternative="greater",
        rng=np.random.default_rng(seed),
    )
    return float(done.pvalue)


@dataclass(frozen=True, kw_only=True)
class MeanEstimate:
    """A mean with its standard error, and Student's degrees of freedom."""

    value: float
    se: float
    freedom: float

    def bounds(self, level: float) -> tuple[float, float]:
        """The interval that leaves out `level` on each side."""
        half = self.se * float(stats.t.isf(level, self.freedom))
        return self.value - half, self.value + half

    def p_values(self, bar: float) -> tuple[float, float]:
        """One-sided p-values of a true mean at the bar: for lying above it, and below."""
        distance = self.value - bar
        if self.se < TOLERANCE:
            return (0.0 if distance > 0 else 1.0), (0.0 if distance < 0 else 1.0)
        t = distance / self.se
        return float(stats.t.sf(t, self.freedom)), float(stats.t.cdf(t, self.freedom))


def numbered(names: Sequence[Hashable]) -> NDArray[np.intp]:
    """The number of each name among those that there are, (n,)."""
    return np.unique(np.asarray([str(name) for name in names]), return_inverse=True)[1]


def cluster_sums(
    values: NDArray[np.float64], clusters: Sequence[Hashable]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and number of the values of each cluster, (clusters,) both."""
    index = numbered(clusters)
    sums = np.bincount(index, weights=values).astype(np.float64)
    return sums, np.bincount(index).astype(np.float64)


def cluster_standard_error(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], axis: int = -1
) -> NDArray[np.float64]:
    """Standard error of the mean of all cases when whole clusters are sampled.

    The linearised ratio estimator: residuals of cluster sums around mean times size. Clusters
    lie along `axis`, which the result lacks.
    """
    n_clusters, total = sums.shape[axis], sizes.sum(axis=axis)
    residuals = sums - np.expand_dims(sums.sum(axis=axis) / total, axis) * sizes
    squares = np.square(residuals).sum(axis=axis)
    return np.asarray(np.sqrt(n_clusters / (n_clusters - 1) * squares) / total)


def cases_for_skew(values: NDArray[np.float64], clusters: Sequence[Hashable]) -> int:
    """Returns the clusters from which a mean of gains with so many great losses can be trusted.

    With many small gains and a few great losses, a sample that missed the losses looks like a
    gain, and no resampling of it knows better. Cochran's rule asks for n > c G1^2, G1 being the
    skewness (Sampling Techniques, 3rd ed. 1977, section 2.15). Skewness towards great gains makes
    a test careful, and asks for nothing.
    """
    sums, sizes = cluster_sums(values, clusters)
    # Of clusters of unlike size, what counts is how far each moves the mean.
    moves = sums - sums.sum() / sizes.sum() * sizes
    if len(moves) < 3 or np.ptp(moves) < TOLERANCE:
        return 0
    return math.ceil(_COCHRAN * min(0.0, float(stats.skew(moves, bias=False))) ** 2)


def power_of_mean(distance: float, se: float, *, level: float, n_clusters: int) -> float:
    """Chance that a one-sided test of the level passes when the truth is `distance` above the bar.

    A normal approximation with Student's critical value; in [0, 1].
    """
    if se == 0:
        return 1.0
    return float(stats.norm.cdf(distance / se - stats.t.ppf(1 - level, n_clusters - 1)))


def clusters_of_mean(
    power: float, distance: float, se: float, *, level: float, n_clusters: int
) -> int:
    """Returns the number of clusters that gives a power, where so many gave a standard error."""
    if se == 0:
        return 2
    standard_errors = float(stats.norm.isf(level) + stats.norm.isf(1 - power))
    return max(2, math.ceil(n_clusters * (standard_errors * se / distance) ** 2))
