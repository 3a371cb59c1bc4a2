"""Compares two models on paired cases, with the test that a policy names."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from guidealign.gates.paired_statistics.bootstrap import (
    TOLERANCE,
    Bootstrap,
    cases_for_skew,
    cluster_standard_error,
    cluster_sums,
    clusters_of_mean,
    numbered,
    p_of_flips,
    power_of_mean,
)
from guidealign.gates.paired_statistics.counts import (
    CountQuestion,
    cases_of_counts,
    p_of_counts,
    power_of_counts,
)
from guidealign.gates.paired_statistics.likeness import category_clusters, design_effect
from guidealign.gates.policy import Test
from guidealign.rates import tango_interval, tango_score

_DRAWS_BEYOND = 20
"""Draws that must lie beyond a bound for it to be more than chance."""
_MOST_RESAMPLES = 200_000
_FEW_CHANGED = 50
"""Up to so many changed clusters, yes/no scores can make a bootstrap too sure of itself."""


@dataclass(frozen=True, kw_only=True)
class GainQuestion:
    """The question whether the true gain lies above the bar."""

    test: Test
    bar: float
    target: float
    """A true gain, for which power is told."""
    level: float
    """One-sided, of this look."""
    whole_level: float | None = None
    """Of all looks together; None: there is one."""
    min_power: float = 0.8
    resamples: int = 10_000
    seed: int = 13


@dataclass(frozen=True, kw_only=True)
class GainAnswer:
    """The answer of the cases: gain, interval, p-values and power."""

    n: int
    n_clusters: int
    gain: float
    low: float
    high: float
    p_above: float
    """One-sided p-value of a true gain at the bar, against a greater one."""
    p_below: float
    wins: int
    losses: int
    ties: int
    power: float
    whole_power: float
    """At the level of all looks together: whether the cases suffice in principle."""
    needed_cases: int | None
    design_effect: float | None = None
    """Of categories beside prompts as clusters; None: not asked, or too few to tell."""
    cases_for_skew: int = 0
    """Clusters from which the test holds its level on gains as skewed as these."""


def compare(
    gains: NDArray[np.float64],
    clusters: Sequence[Hashable],
    question: GainQuestion,
    categories: Sequence[Hashable] | None = None,
) -> GainAnswer:
    """Answers a question from the gains of n cases, (n,), of which whole clusters are drawn.

    Args:
        gains: challenger minus champion, more is better, (n,).
        clusters: prompts, (n,).
        question: what is asked.
        categories: (n,), whose cases may be alike; None: only those of one prompt are.

    Raises:
        ValueError: fewer than two clusters, lengths that differ, or a gain not finite.
    """
    sums, sizes = cluster_sums(gains, clusters)
    wins, losses = int((sums > TOLERANCE).sum()), int((sums < -TOLERANCE).sum())
    if question.test == "paired_bootstrap":
        answer = _compare_means(gains, clusters, question)
        if np.isin(gains, (-1.0, 0.0, 1.0)).all():
            answer = replace(answer, cases_for_skew=0)
            if sizes.max() == 1:
                # With few changes, the bootstrap sees no spread.
                answer = more_careful(answer, compare_counts(wins, losses, len(sums), question))
            answer = _as_shares(answer, gains, sums, sizes, question)
    else:
        answer = compare_counts(wins, losses, len(sums), question)
        needed = answer.needed_cases and math.ceil(answer.needed_cases * len(gains) / len(sums))
        answer = replace(answer, n=len(gains), needed_cases=needed)
    answer = replace(answer, wins=wins, losses=losses, ties=len(sums) - wins - losses)
    if categories is None:
        return answer
    values = np.sign(sums)[numbered(clusters)] if question.test == "sign" else gains
    return no_bolder_than_categories(answer, values, clusters, categories, question)


def no_bolder_than_categories(
    answer: GainAnswer,
    values: NDArray[np.float64],
    clusters: Sequence[Hashable],
    categories: Sequence[Hashable],
    question: GainQuestion,
) -> GainAnswer:
    """Takes the more careful of two answers: that of prompts, and that of whole categories.

    The second holds its level however alike the cases of a category are, so the larger p-value
    of the two does; where they are not alike, it costs a little power.
    """
    answer = replace(answer, design_effect=design_effect(values, clusters, categories))
    found = category_clusters(values, clusters, categories)
    if found is None:
        return answer
    (above, below), (low, high) = found.p_values(question.bar), found.bounds(question.level)
    distance = question.target - question.bar
    power, whole_power = powers_of_mean(question, found.se, 1 + int(found.freedom))
    needed = clusters_of_mean(
        question.min_power, distance, found.se, level=question.level, n_clusters=found.n_categories
    )
    of_categories = replace(
        answer,
        low=low,
        high=high,
        p_above=above,
        p_below=below,
        power=power,
        whole_power=whole_power,
        needed_cases=math.ceil(needed * found.n / found.n_categories),
    )
    return more_careful(answer, of_categories)


def compare_counts(wins: int, losses: int, n: int, question: GainQuestion) -> GainAnswer:
    """Answers a question from won and lost of n independent cases."""
    asked = CountQuestion(
        bar=question.bar, level=question.level, mid_p=question.test == "mcnemar_mid_p"
    )
    low, high = tango_interval(wins, losses, n, question.level)
    # As if one more had changed: no change so far doesn't show that there is none.
    changed = (wins + losses + 1) / (n + 1)
    return GainAnswer(
        n=n,
        n_clusters=n,
        gain=(wins - losses) / n,
        low=low,
        high=high,
        p_above=p_of_counts(wins, losses, n, asked),
        p_below=p_of_counts(losses, wins, n, replace(asked, bar=-question.bar)),
        wins=wins,
        losses=losses,
        ties=n - wins - losses,
        power=power_of_counts(n, changed, question.target, asked),
        whole_power=power_of_counts(
            n, changed, question.target, replace(asked, level=question.whole_level or asked.level)
        ),
        needed_cases=cases_of_counts(question.min_power, changed, question.target, asked),
    )


def _compare_means(
    gains: NDArray[np.float64], clusters: Sequence[Hashable], question: GainQuestion
) -> GainAnswer:
    boot = Bootstrap.of(gains, clusters, resamples=question.resamples, seed=question.seed)
    wanted = min(_MOST_RESAMPLES, math.ceil(_DRAWS_BEYOND / question.level))
    unresolved = _DRAWS_BEYOND / len(boot.ts)
    p_above, p_below = boot.p_values(question.bar)
    if wanted > len(boot.ts) and min(p_above, p_below) < 2 * unresolved:
        # A late look's small level is decided by draws that the usual number has too few of.
        boot = Bootstrap.of(gains, clusters, resamples=wanted, seed=question.seed)
        p_above, p_below = boot.p_values(question.bar)
    p_above = _doubted(p_above, gains - question.bar, clusters, question, len(boot.ts))
    p_below = _doubted(p_below, question.bar - gains, clusters, question, len(boot.ts))
    low, high = boot.bounds(question.level)
    distance = question.target - question.bar
    needed = clusters_of_mean(
        question.min_power, distance, boot.se, level=question.level, n_clusters=boot.n_clusters
    )
    power, whole_power = powers_of_mean(question, boot.se, boot.n_clusters)
    return GainAnswer(
        n=boot.n,
        n_clusters=boot.n_clusters,
        gain=boot.mean,
        low=low,
        high=high,
        p_above=p_above,
        p_below=p_below,
        wins=0,
        losses=0,
        ties=0,
        power=power,
        whole_power=whole_power,
        needed_cases=math.ceil(needed * boot.n / boot.n_clusters),
        cases_for_skew=cases_for_skew(gains, clusters),
    )


def more_careful(answer: GainAnswer, other: GainAnswer) -> GainAnswer:
    """The first of two answers, with whatever the other is less sure of.

    Cases that are needed are not known where one of the two does not know them.
    """
    known = answer.needed_cases is not None and other.needed_cases is not None
    return replace(
        answer,
        low=min(answer.low, other.low),
        high=max(answer.high, other.high),
        p_above=max(answer.p_above, other.p_above),
        p_below=max(answer.p_below, other.p_below),
        power=min(answer.power, other.power),
        whole_power=min(answer.whole_power, other.whole_power),
        needed_cases=max(answer.needed_cases or 0, other.needed_cases or 0) if known else None,
    )


def powers_of_mean(question: GainQuestion, se: float, n_clusters: int) -> tuple[float, float]:
    """Power for the question's target at the level of this look, and at that of all together."""
    power, whole_power = (
        power_of_mean(question.target - question.bar, se, level=level, n_clusters=n_clusters)
        for level in (question.level, question.whole_level or question.level)
    )
    return power, whole_power


def _as_shares(
    answer: GainAnswer,
    gains: NDArray[np.float64],
    sums: NDArray[np.float64],
    sizes: NDArray[np.float64],
    question: GainQuestion,
) -> GainAnswer:
    """Answers of a difference of shares: by Tango's score, where few clusters changed.

    Of few changes, many resamples hold none: they have no spread, and on their side the
    bootstrap's bound may lie anywhere, while on the other it is too near. Tango's is taken of as
    many independent cases as would tell as much, with Student's quantile (effective sample size:
    Korn and Graubard, Survey Methodology 24, 1998, 193-201). Where the bar is not zero, p-values
    and power are no bolder than that: that nothing changed must not pass for no loss at all.
    """
    if np.count_nonzero(sums) > _FEW_CHANGED:
        return replace(answer, low=max(-1.0, answer.low), high=min(1.0, answer.high))
    if_independent = float(np.var(gains, ddof=1)) / len(gains)
    inflated = float(cluster_standard_error(sums, sizes)) ** 2
    effect = max(1.0, inflated / if_independent) if if_independent else 1.0
    wins, losses = int((gains > 0).sum()), int((gains < 0).sum())
    counts = (wins / effect, losses / effect, len(gains) / effect)
    freedom = len(sums) - 1
    students = float(stats.norm.sf(stats.t.isf(question.level, freedom)))
    low, high = tango_interval(*counts, students)
    answer = replace(answer, low=low, high=high)
    if not question.bar:
        return answer
    above = float(stats.t.sf(tango_score(*counts, question.bar), freedom))
    n, changed = int(counts[2]), (wins + losses + 1) / (len(gains) + 1)
    power, whole_power = (
        power_of_counts(n, changed, question.target, CountQuestion(bar=question.bar, level=level))
        for level in (question.level, question.whole_level or question.level)
    )
    asked = CountQuestion(bar=question.bar, level=question.level)
    needed = cases_of_counts(question.min_power, changed, question.target, asked)
    return replace(
        answer,
        needed_cases=needed and max(answer.needed_cases or 0, math.ceil(needed * effect)),
        p_above=max(answer.p_above, above),
        p_below=max(answer.p_below, 1 - above),
        power=min(answer.power, power),
        whole_power=min(answer.whole_power, whole_power),
    )


def _doubted(
    p: float,
    gains: NDArray[np.float64],
    clusters: Sequence[Hashable],
    question: GainQuestion,
    resamples: int,
) -> float:
    """Returns the larger p-value of bootstrap and sign flips, where few clusters changed."""
    sums, _ = cluster_sums(gains, clusters)
    if p > question.level or np.count_nonzero(sums) > _FEW_CHANGED:
        return p
    return max(p, p_of_flips(gains, clusters, resamples=resamples, seed=question.seed))
