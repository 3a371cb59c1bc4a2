"""A check whose scores are a judge's words: how far people agree, and what that makes of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guidealign.gates._cases import Cases, Obstacle
from guidealign.gates._gains import Gains, turned
from guidealign.gates.model import PeopleFigures, PeopleLabels
from guidealign.gates.paired_statistics.bootstrap import clusters_of_mean
from guidealign.gates.paired_statistics.comparison import (
    GainAnswer,
    GainQuestion,
    compare,
    more_careful,
    no_bolder_than_categories,
    powers_of_mean,
)
from guidealign.gates.paired_statistics.judged import (
    Agreement,
    CorrectedMean,
    agreement,
    correct_mean,
    labels_for_power,
    weights_of,
)
from guidealign.gates.policy import CheckPolicy, JudgeDemand

_LEAST_LABELS = 20
"""Pairs of labels, below which neither agreement nor a correction is worth its interval."""
_FEW_CHANGED_LABELS = 10
"""Changes on labelled cases, by people's word and by the judge's together, below which neither the
judge's weight nor the variance can be estimated."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """The cases of which people have judged both answers."""

    people: NDArray[np.float64]
    """Gains by people's word, (n,); NaN where they were not asked about both answers."""
    strata: tuple[str, ...]
    """(n,)."""
    agreement: Agreement
    """Kappa of judge and people over the answers, with its 95% interval."""


def labelled(
    check: CheckPolicy, demand: JudgeDemand, cases: Cases, labels: Sequence[PeopleLabels]
) -> Labelled | Obstacle:
    """Finds people's labels of a check's cases, and whether the judge agrees with them.

    A judge below the policy's floor makes the check unusable, and the reason says how many labels
    would help.
    """
    sides, of_strata = _said_by_people(cases, labels)
    both = ~np.isnan(sides[0] + sides[1])
    counts: dict[str, Any] = {
        "n": cases.n_planned - cases.n_unscored,
        "n_planned": cases.n_planned,
        "n_unscored": cases.n_unscored,
    }
    reason = _too_few_labels(both, of_strata, cases.clusters)
    if reason:
        return Obstacle(reason=reason, **counts)
    if not cases.is_binary or not np.isin(np.concatenate([s[both] for s in sides]), (0, 1)).all():
        return Obstacle(
            reason="a judge is held against people's labels where both say yes or no", **counts
        )
    clusters = [cluster for cluster, is_asked in zip(cases.clusters, both, strict=True) if is_asked]
    found = Labelled(
        people=turned(check, sides[0] - sides[1]),
        strata=of_strata,
        agreement=agreement(
            np.concatenate([cases.challenger[both], cases.champion[both]]),
            np.concatenate([side[both] for side in sides]),
            np.tile(weights_of(both, of_strata)[both], 2),
            clusters * 2,
        ),
    )
    reason = _disagrees(demand, found, int(both.sum()))
    return Obstacle(reason=reason, **counts) if reason else found


def _said_by_people(
    cases: Cases, labels: Sequence[PeopleLabels]
) -> tuple[list[NDArray[np.float64]], tuple[str, ...]]:
    """People's word on each side's answers, NaN where they were not asked, and the strata."""
    known = [one for one in labels if one.metric == cases.metric]
    values = {key: value for one in known for key, value in one.values.items()}
    strata = {key: value for one in known for key, value in one.strata.items()}
    sides = [
        np.array([values.get((version, name), math.nan) for name in cases.ids])
        for version in cases.versions
    ]
    return sides, tuple(strata.get(name, "") for name in cases.ids)


def _too_few_labels(
    both: NDArray[np.bool_], of_strata: tuple[str, ...], clusters: tuple[str, ...]
) -> str | None:
    n_labels = int(both.sum())
    in_strata = Counter(of_strata[i] for i in np.flatnonzero(both))
    n_prompts = len({clusters[i] for i in np.flatnonzero(both)})
    # A degree of freedom for each stratum, one for the judge's weight, and two that are left.
    least_prompts = len(set(of_strata)) + 3
    is_one_thin = any(in_strata[name] < 2 for name in set(of_strata))
    if n_labels >= _LEAST_LABELS and n_prompts >= least_prompts and not is_one_thin:
        return None
    return (
        f"people have judged both answers of {n_labels} cases of {n_prompts} prompts: the judge is"
        f" corrected with {_LEAST_LABELS} cases of {least_prompts} prompts at least, drawn at"
        " random, and two of each stratum"
    )


def _disagrees(demand: JudgeDemand, found: Labelled, n_labels: int) -> str | None:
    value, low, high = found.agreement
    told = f"the judge agrees with people by kappa {value:.2f} [{low:.2f}, {high:.2f}]"
    if value < demand.least_kappa:
        return (
            f"{told} on {n_labels} labelled cases, below {demand.least_kappa:g}: more labels do not"
            " help this judge; another judge may, or people's word on all cases"
        )
    if low < demand.least_bound:
        # The interval's reach goes with one over the root of the labels.
        wanted = math.ceil(n_labels * ((value - low) / (value - demand.least_bound)) ** 2)
        return (
            f"{told} on {n_labels} labelled cases, its lower end below {demand.least_bound:g};"
            f" about {wanted} labelled cases would help, if it does agree"
        )
    return None


def correct(
    gains: Gains, found: Labelled, check: CheckPolicy, answer: GainAnswer, question: GainQuestion
) -> tuple[GainAnswer, PeopleFigures]:
    """Puts people's word in the place of the judge's, as far as they were asked."""
    mean = correct_mean(gains.values, found.people, gains.clusters, found.strata)
    estimate = mean.corrected
    (low, high), (above, below) = estimate.bounds(question.level), estimate.p_values(question.bar)
    distance = question.target - question.bar
    power, whole_power = powers_of_mean(question, estimate.se, 1 + int(estimate.freedom))
    needed = clusters_of_mean(
        question.min_power, distance, estimate.se, level=question.level, n_clusters=answer.n
    )
    corrected = replace(
        answer,
        gain=estimate.value,
        low=low,
        high=high,
        p_above=above,
        p_below=below,
        power=power,
        whole_power=whole_power,
        needed_cases=needed,
        cases_for_skew=0,
    )
    corrected = _no_bolder_than_few_labels(corrected, gains, found, question)
    if check.clusters == "measured":
        corrected = no_bolder_than_categories(
            corrected, mean.values, gains.clusters, gains.categories, question
        )
    return corrected, _figures(mean, found, question, distance)


def _no_bolder_than_few_labels(
    corrected: GainAnswer, gains: Gains, found: Labelled, question: GainQuestion
) -> GainAnswer:
    """Takes the more careful of the corrected answer and the labels' own, where few changed.

    Labels without a change have no spread, so the corrected answer is sure of a gain of zero
    whatever the judge says of the other cases.
    """
    asked = ~np.isnan(found.people)
    changed = np.count_nonzero(found.people[asked]) + np.count_nonzero(gains.values[asked])
    if changed >= _FEW_CHANGED_LABELS:
        return corrected
    clusters = [c for c, is_asked in zip(gains.clusters, asked, strict=True) if is_asked]
    alone = compare(found.people[asked], clusters, question)
    # With the same share of cases labelled.
    needed = alone.needed_cases and math.ceil(alone.needed_cases * len(asked) / asked.sum())
    return more_careful(corrected, replace(alone, needed_cases=needed))


def _figures(
    mean: CorrectedMean, found: Labelled, question: GainQuestion, distance: float
) -> PeopleFigures:
    low, high = mean.people.bounds(question.level)
    return PeopleFigures(
        n_labels=mean.n_labels,
        kappa=found.agreement.kappa,
        kappa_low=found.agreement.low,
        kappa_high=found.agreement.high,
        gain=mean.people.value,
        low=low,
        high=high,
        needed_labels=labels_for_power(
            mean, distance, level=question.level, power=question.min_power
        ),
    )
