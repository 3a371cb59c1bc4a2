"""What is alike counts as far as it is not: categories as clusters, beside prompts."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from guidealign.gates.paired_statistics.bootstrap import (
    TOLERANCE,
    MeanEstimate,
    cluster_standard_error,
    cluster_sums,
)

_LEAST_CATEGORIES = 5
"""Fewer are taken for all that there are: of so few nobody can tell how much alike they are."""
_ENOUGH_CATEGORIES = 8
"""From here on the spread between categories is measured well enough to be used as it is."""
_ALIKE_LEVEL = 0.2
"""Between the two, categories are clusters where they are shown to differ at this level."""


@dataclass(frozen=True, kw_only=True)
class CategoryClusters(MeanEstimate):
    """The mean gain with categories as clusters.

    `freedom` is the effective number of categories less one: large ones say more than small ones.
    """

    n: int
    n_categories: int

    def p_values(self, bar: float) -> tuple[float, float]:
        """As of every mean; without a spread the test of the prompts decides, so 0 both."""
        return (0.0, 0.0) if self.se < TOLERANCE else super().p_values(bar)


def category_clusters(
    values: NDArray[np.float64], clusters: Sequence[Hashable], categories: Sequence[Hashable]
) -> CategoryClusters | None:
    """The gains' mean over categories, or None where categories tell nothing beside prompts.

    The variance is the linearised one of whole categories (as in `cluster_standard_error`), the
    quantile Student's with one degree of freedom less than the effective number of categories,
    (sum of m^2)^2 / sum of m^4 for categories of m cases: as many as there are where they are of
    one size (Carter, Schnepel and Steigerwald, Review of Economics and Statistics 99, 2017,
    698-709, for wholly correlated cases).

    Args:
        values: gains, (n,).
        clusters: prompts, (n,).
        categories: (n,).
    """
    sums, sizes = cluster_sums(values, categories)
    n_categories = len(sums)
    if n_categories < _LEAST_CATEGORIES or n_categories >= len(set(clusters)):
        return None
    if n_categories < _ENOUGH_CATEGORIES and not _differ(values, clusters, categories):
        return None
    return CategoryClusters(
        value=float(sums.sum() / sizes.sum()),
        se=float(cluster_standard_error(sums, sizes)),
        n=len(values),
        n_categories=n_categories,
        freedom=max(1.0, float(np.square(sizes).sum() ** 2 / (sizes**4).sum()) - 1),
    )


def design_effect(
    values: NDArray[np.float64], clusters: Sequence[Hashable], categories: Sequence[Hashable]
) -> float | None:
    """Variance of the mean with categories as clusters over that with prompts as clusters.

    1 plus (cases of a category less one) times the intra-category correlation (Kish 1965); below 1
    where categories differ less than luck has it. None: one category, or no spread.
    """
    by_category = cluster_sums(values, categories)
    by_prompt = cluster_sums(values, clusters)
    if len(by_category[0]) < 2 or len(by_prompt[0]) < 2:
        return None
    within = float(cluster_standard_error(*by_prompt))
    if within < TOLERANCE:
        return None
    return (float(cluster_standard_error(*by_category)) / within) ** 2


def _differ(
    values: NDArray[np.float64], clusters: Sequence[Hashable], categories: Sequence[Hashable]
) -> bool:
    """Analysis of variance of the prompts' means between categories."""
    names = np.asarray([str(name) for name in categories])
    prompts = np.asarray([str(name) for name in clusters])
    groups = []
    for name in np.unique(names):
        chosen = names == name
        sums, sizes = cluster_sums(values[chosen], list(prompts[chosen]))
        groups.append(sums / sizes)
    if sum(map(len, groups)) <= len(groups):
        return False
    if all(np.ptp(group) < TOLERANCE for group in groups):
        return bool(np.ptp([group[0] for group in groups]) > TOLERANCE)
    p = float(stats.f_oneway(*groups).pvalue)
    return math.isfinite(p) and p <= _ALIKE_LEVEL
