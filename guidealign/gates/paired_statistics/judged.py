"""Means of what a judge says, corrected by what people say of a part that was drawn for it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from guidealign.gates.paired_statistics.bootstrap import (
    TOLERANCE,
    MeanEstimate,
    cluster_standard_error,
    cluster_sums,
    numbered,
)

_KAPPA_DRAWS, _KAPPA_SEED = 2_000, 13


class Agreement(NamedTuple):
    """Kappa with the ends of its 95% interval."""

    kappa: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class CorrectedMean:
    """A mean over all cases, from a judge's word on each and people's on some."""

    corrected: MeanEstimate
    people: MeanEstimate
    """From the labels alone."""
    values: NDArray[np.float64]
    """What each case stands for, (n,); their mean is the corrected one, and a clustered variance
    of it that of the estimate."""
    n_labels: int
    spread: float
    """Standard deviation of what people say."""
    correlation: float
    """Of what the judge says with it, between 0 and 1."""


def correct_mean(
    judged: NDArray[np.float64],
    people: NDArray[np.float64],
    clusters: Sequence[Hashable],
    strata: Sequence[Hashable] | None = None,
) -> CorrectedMean:
    """Estimates the mean of what people would say of all cases: prediction-powered inference.

    The judge's mean over all cases, times a weight, plus the mean by which people differ from that
    on the labelled ones. It is unbiased whatever the judge says, since labels were drawn by design;
    the weight makes the variance least (PPI++: Angelopoulos, Duchi and Zrnic 2023,
    arXiv:2311.01453; as a survey's regression estimator in two phases: Cochran, Sampling
    Techniques, 3rd ed. 1977, section 12.6), so a judge that knows nothing costs nothing.

    Args:
        judged: the judge's figures, (n,); for a paired difference, of both sides' difference.
        people: the same by people, (n,), NaN where nobody was asked.
        clusters: (n,); cases of one are not independent.
        strata: from which labels were drawn at random, (n,), each with two labels at least; None:
            one draw from all cases.

    Raises:
        ValueError: fewer than four labels, or a stratum with fewer than two.
    """
    n = len(judged)
    asked = ~np.isnan(people)
    names = np.zeros(n, dtype=np.intp) if strata is None else numbered(strata)
    weights = _weights(names, asked)
    n_labels, n_strata = int(asked.sum()), len(np.unique(names))
    n_prompts = len(
        {str(cluster) for cluster, is_asked in zip(clusters, asked, strict=True) if is_asked}
    )
    if n_prompts < n_strata + 3:
        raise ValueError(f"{n_prompts} labelled prompts are too few to correct a judge with")
    w = weights[asked] / weights[asked].sum()
    said, judges = people[asked], judged[asked]
    off_said, off_judge = said - w @ said, judges - w @ judges
    spread, of_judge = float(w @ off_said**2), float(w @ off_judge**2)
    slope = float(w @ (off_said * off_judge)) / of_judge if of_judge > TOLERANCE else 0.0
    slope = max(0.0, slope)
    correlation = slope * math.sqrt(of_judge / spread) if spread > TOLERANCE else 0.0
    values = _stand_ins(slope, judged, people, names, weights, fitted=1)
    alone = _stand_ins(0.0, judged, people, names, weights, fitted=0)
    freedom = n_prompts - n_strata
    return CorrectedMean(
        corrected=_estimate(values, clusters, freedom - 1),
        people=_estimate(alone, clusters, freedom),
        values=values,
        n_labels=n_labels,
        spread=math.sqrt(spread * n_labels / (n_labels - 1)),
        correlation=min(1.0, correlation),
    )


def agreement(
    said: NDArray[np.float64],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
    clusters: Sequence[Hashable],
) -> Agreement:
    """Cohen's kappa (1960) of yes/no words, each counted as often as it was drawn for.

    The interval is the percentile one over draws of whole clusters, always the same draws.

    Args:
        said: by the judge, 0 or 1, (n,).
        labels: by people, (n,).
        weights: how many answers each stands for, (n,).
        clusters: (n,).
    """
    index = numbered(clusters)
    cells = (2 * said + labels).astype(int)
    tables = np.zeros((index.max() + 1, 4))  # (clusters, no/no no/yes yes/no yes/yes)
    np.add.at(tables, (index, cells), weights)
    n = len(tables)
    drawn = np.random.default_rng(_KAPPA_SEED).multinomial(n, [1 / n] * n, _KAPPA_DRAWS)
    low, high = np.quantile(_kappas(drawn.astype(float) @ tables), [0.025, 0.975])
    return Agreement(float(_kappas(tables.sum(axis=0))), float(low), float(high))


def _kappas(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kappa of each table, (..., 4); 0 where there is no room for agreement beyond chance."""
    shares = tables / tables.sum(axis=-1, keepdims=True)
    says, is_so = shares[..., 2] + shares[..., 3], shares[..., 1] + shares[..., 3]
    chance = says * is_so + (1 - says) * (1 - is_so)
    room = 1 - chance
    beyond = shares[..., 0] + shares[..., 3] - chance
    return np.asarray(np.where(room > TOLERANCE, beyond / np.maximum(room, TOLERANCE), 0.0))


def weights_of(labelled: NDArray[np.bool_], strata: Sequence[Hashable]) -> NDArray[np.float64]:
    """How many cases each labelled one stands for, (n,); 0 of those that are not labelled.

    Raises:
        ValueError: a stratum has fewer than two labels.
    """
    return _weights(numbered(strata), labelled)


def _stand_ins(
    slope: float,
    judged: NDArray[np.float64],
    people: NDArray[np.float64],
    names: NDArray[np.intp],
    weights: NDArray[np.float64],
    fitted: int,
) -> NDArray[np.float64]:
    """What each case stands for, (n,): the weighted judge's word and its stratum's mean error; of
    a labelled case also its own error beyond that, for all that it was drawn for.

    Errors are stretched by the degrees of freedom that the stratum's mean and what was fitted take,
    less the one that the variance over all cases takes anyway.
    """
    asked = ~np.isnan(people)
    values = slope * judged
    errors = people - slope * judged
    n_labels = int(asked.sum())
    rest = n_labels - len(np.unique(names))
    for name in np.unique(names):
        of_stratum = names == name
        own = of_stratum & asked
        mean = float(errors[own].mean())
        stretched = math.sqrt(
            own.sum() / (own.sum() - 1) * rest / (rest - fitted) * (len(values) - 1) / len(values)
        )
        values[of_stratum] += mean
        values[own] += weights[own] * stretched * (errors[own] - mean)
    return values


def _estimate(
    values: NDArray[np.float64], clusters: Sequence[Hashable], freedom: int
) -> MeanEstimate:
    se = float(cluster_standard_error(*cluster_sums(values, clusters)))
    return MeanEstimate(value=float(values.mean()), se=se, freedom=freedom)


def _weights(names: NDArray[np.intp], asked: NDArray[np.bool_]) -> NDArray[np.float64]:
    weights = np.zeros(len(names))
    for name in np.unique(names):
        own = (names == name) & asked
        if own.sum() < 2:
            raise ValueError("a stratum has fewer than two labels")
        weights[own] = (names == name).sum() / own.sum()
    return weights


def labels_for_power(
    found: CorrectedMean, distance: float, *, level: float, power: float
) -> int | None:
    """Returns the labels, drawn at random from the same cases, with which a test has that power.

    The variance is spread^2 ((1 - r^2) / labels + r^2 / n), r being the judge's correlation with
    people; with r = 0 it is that of the labels alone. A normal approximation.

    Args:
        found: spread, correlation and cases.
        distance: of the true mean above the bar.
        level: one-sided.
        power: wanted.

    Returns:
        None where labels of all cases would not do, for it takes more cases, and where people said
        the same of all labelled cases: their spread is not known then.
    """
    n, shared = len(found.values), found.correlation**2
    steps = float(stats.norm.isf(level) + stats.norm.isf(1 - power))
    if found.spread < TOLERANCE:
        return None
    left = (distance / steps / found.spread) ** 2 - shared / n
    if left <= 0:
        return None
    wanted = math.ceil((1 - shared) / left)
    return None if wanted > n else max(2, wanted)


def choose_for_labels(n_labels: int, strata: Sequence[Hashable], *, seed: int) -> list[int]:
    """Chooses cases for people to label, at random within strata of like size of sample.

    Where the strata are what the judge says (won, lost, alike), few labels find its errors on the
    cases that decide. A stratum with fewer cases than its part gives all, and the others share
    the rest; none gives fewer than two where it has them.

    Args:
        n_labels: how many cases.
        strata: of each case, (n,); one name for all: a simple random draw.
        seed: of the draw.

    Returns:
        Places of the chosen cases, in order.

    Raises:
        ValueError: more labels than cases, or fewer than two a stratum.
    """
    names = numbered(strata)
    kinds, sizes = np.unique(names, return_counts=True)
    if not 2 * len(kinds) <= n_labels <= len(names):
        raise ValueError(
            f"{n_labels} labels of {len(names)} cases in {len(kinds)} strata cannot be drawn"
        )
    share = dict.fromkeys(kinds.tolist(), 0)
    room = dict(zip(kinds.tolist(), sizes.tolist(), strict=True))
    for _ in range(n_labels):
        open_kinds = [kind for kind in share if share[kind] < room[kind]]
        least = min(open_kinds, key=lambda kind: (share[kind], kind))
        share[least] += 1
    rng = np.random.default_rng(seed)
    chosen = [
        rng.choice(np.flatnonzero(names == kind), size, replace=False)
        for kind, size in share.items()
    ]
    return sorted(np.concatenate(chosen).tolist())
