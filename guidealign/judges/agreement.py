"""Agreement of a model with labels, beyond chance and at any threshold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

_RESAMPLES = 2_000
_SEED = 13


class IntervalEstimate(NamedTuple):
    """A value with the ends of its 95% interval."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """For output."""
        return self._asdict()


def kappa(said: Sequence[Hashable], labels: Sequence[Hashable]) -> float:
    """Cohen's kappa (1960): agreement beyond what the two would have by chance; 0 where there is
    no room for any."""
    n = len(labels)
    observed = sum(a == b for a, b in zip(said, labels, strict=True)) / n
    counts, others = Counter(said), Counter(labels)
    chance = sum(counts[one] * others[one] for one in counts) / n**2
    return 0.0 if chance == 1 else (observed - chance) / (1 - chance)


def auc(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """Area under the ROC curve: the chance that what bears the label has the higher score.

    Ties count half; 0.5 where one side is empty.
    """
    from scipy.stats import rankdata

    positive = np.asarray(labels, dtype=bool)
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return 0.5
    ranks = rankdata(np.asarray(scores, dtype=float))
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def bootstrap(
    statistic: Callable[[Sequence[Any], Sequence[Any]], float],
    said: Sequence[Any],
    labels: Sequence[Any],
    clusters: Sequence[Hashable] | None = None,
) -> IntervalEstimate:
    """A statistic with its percentile interval over draws of whole clusters, always the same.

    Args:
        statistic: of what was said and the labels.
        said: of each case.
        labels: of each case.
        clusters: of each case; None: each case is one of its own.
    """
    draw = np.random.default_rng(_SEED)
    members: dict[Hashable, list[int]] = {}
    for i, cluster in enumerate(range(len(labels)) if clusters is None else clusters):
        members.setdefault(cluster, []).append(i)
    groups = list(members.values())
    values = []
    for _ in range(_RESAMPLES):
        chosen = [i for group in draw.integers(0, len(groups), len(groups)) for i in groups[group]]
        values.append(statistic([said[i] for i in chosen], [labels[i] for i in chosen]))
    low, high = np.quantile(values, [0.025, 0.975])
    return IntervalEstimate(statistic(said, labels), float(low), float(high))
