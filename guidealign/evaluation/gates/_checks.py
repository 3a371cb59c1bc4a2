"""Runs the gates of a policy on what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from guidealign.evaluation.gates._cases import Cases, Obstacle, find_pair, pair_cases
from guidealign.evaluation.gates._conclude import outcome_of
from guidealign.evaluation.gates._interim_analyses import holm, interim_level
from guidealign.evaluation.model import CheckResult
from guidealign.evaluation.paired_statistics.comparison import GainAnswer, GainQuestion, compare
from guidealign.evaluation.policy import CheckPolicy, GatePolicy
from guidealign.records import EvaluationRun
from guidealign.settings import GateSettings

Runs = EvaluationRun | Sequence[EvaluationRun]
"""One run, or one for each metric and benchmark that a policy names."""


@dataclass(frozen=True, kw_only=True)
class _InterimAnalysis:
    check: CheckPolicy
    number: int
    level: float
    settings: GateSettings

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
class _Measured:
    cases: Cases
    answer: GainAnswer
    worse: tuple[str, ...]
    unguarded: tuple[str, ...]


def as_runs(runs: Runs) -> tuple[EvaluationRun, ...]:
    """Turns one run, or several, into a tuple."""
    return (runs,) if isinstance(runs, EvaluationRun) else tuple(runs)


def check_all(
    policy: GatePolicy, challenger: Runs, champion: Runs, settings: GateSettings, *, look: int = 1
) -> tuple[CheckResult, ...]:
    """Runs every check of a policy; what cannot be compared passes none of them.

    The checks that must be better share their level by Holm's correction, since each gain is
    told on its own. Those that must not be worse need none: all of them have to pass, so that a
    wrong promotion takes a wrong pass of the very check that should have failed (an
    intersection-union test, Berger 1982).

    Args:
        policy: what to show.
        challenger: its run, or runs.
        champion: of the same benchmarks, metrics and evaluators.
        settings: bootstrap and seed.
        look: how often this champion was challenged, this time included.
    """
    ours, theirs = as_runs(challenger), as_runs(champion)
    looks = [
        _InterimAnalysis(
            check=check,
            number=look,
            level=interim_level(check.level, look, policy.looks),
            settings=settings,
        )
        for check in policy.checks
    ]
    found = [_measure(at, policy.metric, ours, theirs) for at in looks]
    plain = [m.answer.p_above if isinstance(m, _Measured) else 1.0 for m in found]
    claims = [i for i, check in enumerate(policy.checks) if check.must == "be_better"]
    adjusted = dict(zip(claims, holm([plain[i] for i in claims]), strict=True))
    return tuple(
        _report(at, measured, adjusted.get(i, plain[i]), policy.metric)
        for i, (at, measured) in enumerate(zip(looks, found, strict=True))
    )


def check_once(
    check: CheckPolicy, challenger: EvaluationRun, champion: EvaluationRun, settings: GateSettings
) -> CheckResult:
    """Runs one comparison outside of any policy: no other interim analysis, no correction."""
    look = _InterimAnalysis(check=check, number=1, level=check.level, settings=settings)
    found = _measure(look, challenger.metric, (challenger,), (champion,))
    p_value = found.answer.p_above if isinstance(found, _Measured) else 1.0
    return _report(look, found, p_value, challenger.metric)


def _measure(
    look: _InterimAnalysis,
    metric: str,
    challenger: tuple[EvaluationRun, ...],
    champion: tuple[EvaluationRun, ...],
) -> _Measured | Obstacle:
    check = look.check
    pair = find_pair(check, check.metric or metric, challenger, champion)
    if isinstance(pair, Obstacle):
        return pair
    cases = pair_cases(check, pair)
    if isinstance(cases, Obstacle):
        return cases
    obstacle = _unsuitable(look, cases)
    if obstacle:
        reason, too_few = obstacle
        return Obstacle(
            reason=reason,
            too_few=too_few,
            n=cases.n_planned - cases.n_unscored,
            n_planned=cases.n_planned,
            n_unscored=cases.n_unscored,
        )
    gains = cases.challenger - cases.champion
    if check.direction == "lower_is_better":
        gains = -gains
    worse, unguarded = _guard_categories(look, cases, gains)
    answer = compare(gains, cases.clusters, look.question(check.bar, look.level))
    return _Measured(cases=cases, answer=answer, worse=worse, unguarded=unguarded)


def _unsuitable(look: _InterimAnalysis, cases: Cases) -> tuple[str, bool] | None:
    """Tells why the test doesn't fit the cases, and whether more of them would help."""
    n_clusters = len(set(cases.clusters))
    if look.level == 0:
        return f"look {look.number} was not planned: the level is spent", True
    if n_clusters < 2:
        return "all cases are one cluster", True
    if not look.check.test.startswith("mcnemar"):
        return None
    if not cases.is_binary:
        return f"{look.check.test} is for scores of 0 and 1, and there are others", False
    if n_clusters < len(cases.clusters):
        return (
            f"{len(cases.clusters)} cases are of {n_clusters} prompts: {look.check.test} takes"
            " them for independent; paired_bootstrap and sign do not",
            False,
        )
    return None


def _guard_categories(
    look: _InterimAnalysis, cases: Cases, gains: NDArray[np.float64]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Finds categories that are shown to lose too much, and those with too few cases to test."""
    margin = look.check.category_margin
    if margin is None:
        return (), ()
    names, clusters = np.array(cases.categories), np.array(cases.clusters)
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
        if compare(gains[chosen], list(clusters[chosen]), asked).p_below <= asked.level
    ]
    return tuple(worse), tuple(name for name in members if name not in guarded)


def _report(
    look: _InterimAnalysis, found: _Measured | Obstacle, p_adjusted: float, metric: str
) -> CheckResult:
    check = look.check
    common: dict[str, Any] = {
        "name": check.name,
        "kind": check.kind,
        "must": check.must,
        "test": check.test,
        "metric": check.metric or metric,
        "benchmark": check.benchmark,
        "effect": check.smallest_effect,
        "margin": check.margin,
        "level": check.level,
        "look": look.number,
        "look_level": look.level,
    }
    if isinstance(found, Obstacle):
        return CheckResult(
            **common,
            outcome="inconclusive" if found.too_few else "unusable",
            reason=found.reason,
            n=found.n,
            n_planned=found.n_planned,
            n_unscored=found.n_unscored,
        )
    cases, answer = found.cases, found.answer
    outcome, reason = outcome_of(check, answer, look.level, p_adjusted, found.worse)
    rated = cases.is_binary and answer.n_clusters == answer.n
    return CheckResult(
        **common,
        outcome=outcome,
        reason=reason,
        n=cases.n_planned - cases.n_unscored,
        n_planned=cases.n_planned,
        n_unscored=cases.n_unscored,
        n_clusters=answer.n_clusters,
        champion_mean=float(cases.champion.mean()),
        challenger_mean=float(cases.challenger.mean()),
        champion_rate=_rate_interval(cases.champion) if rated else None,
        challenger_rate=_rate_interval(cases.challenger) if rated else None,
        difference=answer.gain,
        ci_low=answer.low,
        ci_high=answer.high,
        p_value=answer.p_above,
        p_adjusted=p_adjusted,
        wins=answer.wins,
        losses=answer.losses,
        ties=answer.ties,
        power=answer.power,
        whole_power=answer.whole_power,
        needed_cases=answer.needed_cases,
        worse_categories=found.worse,
        unguarded_categories=found.unguarded,
    )


def _rate_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    interval = stats.binomtest(int(values.sum()), len(values)).proportion_ci(method="exact")
    return float(interval.low), float(interval.high)
