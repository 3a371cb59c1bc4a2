"""The gains that a check tests: those of its own cases, or their sum with another check's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from guidealign.gates._cases import Cases
from guidealign.gates.policy import CheckPolicy

_Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Gains:
    """Gains of n cases, (n,) each; more is better."""

    values: NDArray[np.float64]
    clusters: tuple[str, ...]
    categories: tuple[str, ...]
    champion_mean: float
    challenger_mean: float
    champion_rate: _Interval | None = None
    """Clopper and Pearson's 95% interval of yes/no scores of independent cases."""
    challenger_rate: _Interval | None = None
    is_binary: bool
    """Whether all scores are 0 or 1."""
    n_planned: int
    n_unscored: int
    cases: Cases | None = None
    """None: of two checks."""


def turned(check: CheckPolicy, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of which more is better, whichever way the check's metric points."""
    return -values if check.direction == "lower_is_better" else values


def gains_of(check: CheckPolicy, cases: Cases) -> Gains:
    """Challenger minus champion, turned round where lower is better."""
    independent = len(set(cases.clusters)) == len(cases.clusters)
    rated = cases.is_binary and independent
    return Gains(
        values=turned(check, cases.challenger - cases.champion),
        clusters=cases.clusters,
        categories=cases.categories,
        champion_mean=float(cases.champion.mean()),
        challenger_mean=float(cases.challenger.mean()),
        champion_rate=_rate_interval(cases.champion) if rated else None,
        challenger_rate=_rate_interval(cases.challenger) if rated else None,
        is_binary=cases.is_binary,
        n_planned=cases.n_planned,
        n_unscored=cases.n_unscored,
        cases=cases,
    )


def sum_of_gains(own: tuple[CheckPolicy, Gains], other: tuple[CheckPolicy, Gains]) -> Gains:
    """Gains whose mean is the sum of the mean gains of two checks.

    A shift towards refusal by r adds r to the gain on harm and takes r from that on over-refusal:
    their sum is what the challenger tells apart better (in signal detection: sensitivity, which
    no move of the criterion changes; of yes/no scores, Youden's index).

    Each case stands for its part of the sum: the sum plus its distance from its own check's mean,
    times how many cases of both there are to one of its check. The variance of their mean is then
    the sum of both means' variances, and clusters that have cases of both are accounted for. Of
    yes/no scores, cases that did not change stay zero, for the tests of few changes.
    """
    sides = (own, other)
    n = sum(len(gains.values) for _, gains in sides)
    binary = all(gains.is_binary for _, gains in sides)
    total = sum(float(gains.values.mean()) for _, gains in sides)
    values = []
    for _, gains in sides:
        weight = n / len(gains.values)
        if binary:
            values.append(weight * gains.values)
        else:
            values.append(total + weight * (gains.values - gains.values.mean()))
    means = np.sum(
        [
            turned(check, np.array([gains.champion_mean, gains.challenger_mean]))
            for check, gains in sides
        ],
        axis=0,
    )
    return Gains(
        values=np.concatenate(values),
        clusters=own[1].clusters + other[1].clusters,
        categories=own[1].categories + other[1].categories,
        champion_mean=float(means[0]),
        challenger_mean=float(means[1]),
        is_binary=False,
        n_planned=own[1].n_planned + other[1].n_planned,
        n_unscored=own[1].n_unscored + other[1].n_unscored,
    )


def _rate_interval(values: NDArray[np.float64]) -> _Interval:
    interval = stats.binomtest(int(values.sum()), len(values)).proportion_ci(method="exact")
    return float(interval.low), float(interval.high)
