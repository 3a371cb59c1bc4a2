"""What one check measures: gains, the answer of their test, and the categories that lose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from guidealign.gates._cases import Obstacle, find_pair, pair_cases
from guidealign.gates._gains import Gains, gains_of, sum_of_gains
from guidealign.gates._judged import Labelled, correct, labelled
from guidealign.gates.model import PeopleFigures, PeopleLabels
from guidealign.gates.paired_statistics.comparison import GainAnswer, GainQuestion, compare
from guidealign.gates.policy import CheckPolicy
from guidealign.records import EvaluationRun
from guidealign.settings import GateSettings


@dataclass(frozen=True, kw_only=True)
class InterimAnalysis:
    """A check as one look asks it."""

    check: CheckPolicy
    number: int
    level: float
    settings: GateSettings
    metric: str
    beside: CheckPolicy | None = None
    """The check whose gain is added."""
    labels: tuple[PeopleLabels, ...] = ()
    anchor: int | None = None
    """The version that stands in the champion's place."""

    def question(self, bar: float, level: float) -> GainQuestion:
        return GainQuestion(
            test=self.check.test,
            bar=bar,
            target=self.check.target,
            level=level,
            whole_level=self.check.level,
            min_power=self.check.min_power,
            resamples=self.settings.bootstrap_resamples,
            seed=self.settings.seed,
        )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the cases say, before any correction."""

    gains: Gains
    answer: GainAnswer
    worse: tuple[str, ...]
    unguarded: tuple[str, ...]
    people: PeopleFigures | None = None


def measure(
    look: InterimAnalysis,
    challenger: tuple[EvaluationRun, ...],
    champion: tuple[EvaluationRun, ...],
) -> Measured | Obstacle:
    """Compares the cases of both sides, or tells why there is nothing to compare."""
    check = look.check
    sides = (challenger, champion)
    gains = _gains(look, check, sides)
    if look.beside is not None and isinstance(gains, Gains):
        other = _gains(look, look.beside, sides)
        gains = (
            sum_of_gains((check, gains), (look.beside, other))
            if isinstance(other, Gains)
            else other
        )
    if isinstance(gains, Obstacle):
        return gains
    obstacle = _unsuitable(look, gains)
    if obstacle:
        reason, too_few = obstacle
        return Obstacle(
            reason=reason,
            too_few=too_few,
            n=gains.n_planned - gains.n_unscored,
            n_planned=gains.n_planned,
            n_unscored=gains.n_unscored,
        )
    found: Labelled | None = None
    if check.judge is not None and gains.cases is not None:
        known = labelled(check, check.judge, gains.cases, look.labels)
        if isinstance(known, Obstacle):
            return known
        found = known
    worse, unguarded = _guard_categories(look, gains)
    question = look.question(check.bar, look.level)
    answer = compare(
        gains.values,
        gains.clusters,
        question,
        gains.categories if check.clusters == "measured" else None,
    )
    people = None
    if found is not None:
        answer, people = correct(gains, found, check, answer, question)
    return Measured(gains=gains, answer=answer, worse=worse, unguarded=unguarded, people=people)


def _gains(
    look: InterimAnalysis, check: CheckPolicy, sides: tuple[tuple[EvaluationRun, ...], ...]
) -> Gains | Obstacle:
    called = "champion" if look.anchor is None else "anchor"
    pair = find_pair(check, check.metric or look.metric, *sides, called=called)
    if isinstance(pair, Obstacle):
        return pair
    cases = pair_cases(check, pair)
    return cases if isinstance(cases, Obstacle) else gains_of(check, cases)


def _unsuitable(look: InterimAnalysis, gains: Gains) -> tuple[str, bool] | None:
    """Tells why the test doesn't fit the cases, and whether more of them would help."""
    n_clusters = len(set(gains.clusters))
    if look.level == 0:
        return f"look {look.number} was not planned: the level is spent", True
    if n_clusters < 2:
        return "all cases are one cluster", True
    if not look.check.test.startswith("mcnemar"):
        return None
    if not gains.is_binary:
        return f"{look.check.test} is for scores of 0 and 1, and there are others", False
    if n_clusters < len(gains.clusters):
        return (
            f"{len(gains.clusters)} cases are of {n_clusters} prompts: {look.check.test} takes"
            " them for independent; paired_bootstrap and sign do not",
            False,
        )
    return None


def _guard_categories(
    look: InterimAnalysis, gains: Gains
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Finds categories that are shown to lose too much, and those with too few cases to test."""
    margin = look.check.category_margin
    if margin is None:
        return (), ()
    names, clusters = np.array(gains.categories), np.array(gains.clusters)
    members = {str(name): names == name for name in np.unique(names)}
    guarded = {
        name: chosen
        for name, chosen in members.items()
        if len(np.unique(clusters[chosen])) >= look.check.category_min_cases
    }
    # So many categories share the level (Bonferroni). A guard stops, and passes nothing: its
    # level isn't spent by looks.
    asked = look.question(-margin, look.check.level / max(1, len(guarded)))
    worse = [
        name
        for name, chosen in guarded.items()
        if compare(gains.values[chosen], list(clusters[chosen]), asked).p_below <= asked.level
    ]
    return tuple(worse), tuple(name for name in members if name not in guarded)
