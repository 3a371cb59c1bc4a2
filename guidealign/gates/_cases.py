"""The paired cases of a gate, or the reason why there are none to compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guidealign.gates.model import UNUSABLE
from guidealign.gates.policy import CheckPolicy
from guidealign.records import CaseScore, EvaluationRun, Unscored

_Side = dict[str, CaseScore | Unscored]
"""One model's cases by id."""


@dataclass(frozen=True, kw_only=True)
class RunPair:
    """The runs of both sides that a gate compares."""

    challenger: EvaluationRun
    champion: EvaluationRun
    """Or the anchor in its place."""


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """Why nothing can be compared; never a reason to promote."""

    reason: str
    n: int = 0
    n_planned: int = 0
    n_unscored: int = 0
    too_few: bool = False
    """More cases would help; otherwise something is wrong."""


@dataclass(frozen=True, kw_only=True)
class Cases:
    """Cases under both models, (n,) each, in the order of their ids."""

    ids: tuple[str, ...]
    metric: str
    versions: tuple[int, int]
    """Of challenger and champion."""
    challenger: NDArray[np.float64]
    champion: NDArray[np.float64]
    clusters: tuple[str, ...]
    categories: tuple[str, ...]
    n_planned: int
    n_unscored: int

    @property
    def is_binary(self) -> bool:
        """Whether all scores are 0 or 1."""
        return bool(np.isin(np.concatenate([self.challenger, self.champion]), (0.0, 1.0)).all())


def find_pair(
    check: CheckPolicy,
    metric: str,
    challenger: Sequence[EvaluationRun],
    champion: Sequence[EvaluationRun],
    *,
    called: str = "champion",
) -> RunPair | Obstacle:
    """The one run of each side with the gate's metric and benchmark, measured alike.

    Args:
        check: names a benchmark where there are several.
        metric: of the runs.
        challenger: its runs.
        champion: its runs, or the anchor's.
        called: what the second side is, for the reason why there is nothing to compare.
    """
    found = [
        [r for r in runs if r.metric == metric and check.benchmark in (None, r.benchmark)]
        for runs in (challenger, champion)
    ]
    of = f"of {metric}" + (f" on {check.benchmark}" if check.benchmark else "")
    for who, runs in zip(("challenger", called), found, strict=True):
        if len(runs) != 1:
            return Obstacle(reason=f"the {who} has {len(runs) or 'no'} runs {of}, not one")
    pair = RunPair(challenger=found[0][0], champion=found[1][0])
    reason = _incomparable(pair.challenger, pair.champion, called)
    return Obstacle(reason=reason) if reason else pair


def _incomparable(ours: EvaluationRun, theirs: EvaluationRun, called: str) -> str | None:
    names = {f"{run.model_name}/{run.version}" for run in (ours, theirs)}
    if ours.version == theirs.version:
        return f"challenger and {called} are the same version"
    if not ours.evaluator or (ours.evaluator, ours.judge) != (theirs.evaluator, theirs.judge):
        return (
            f"the two were measured by different evaluators: {ours.evaluator or 'unnamed'}"
            f" and {theirs.evaluator or 'unnamed'}"
        )
    if UNUSABLE in ours.evaluator:
        return f"the judge {ours.evaluator} is unusable: `guidealign judges show` says why"
    if ours.benchmark != theirs.benchmark:
        return f"the two were measured on different cases: {ours.benchmark}, {theirs.benchmark}"
    if ours.judge in names:
        return f"a model judged itself: {ours.judge}"
    return None


def pair_cases(check: CheckPolicy, pair: RunPair) -> Cases | Obstacle:
    """The cases of the gate's kind.

    A case that one model alone gave no score on counts as the challenger's loss; one that
    neither did says nothing about the two. Both are among the unscored that a policy bounds.
    """
    sides = [_of_kind(run, check) for run in (pair.challenger, pair.champion)]
    for side in sides:
        twice = [case for case, n in Counter(c.case_id for c in side).items() if n > 1]
        if twice:
            return Obstacle(reason=f"case {twice[0]} was scored twice by one model")
    ours, theirs = ({c.case_id: c for c in side} for side in sides)
    planned = sorted(ours.keys() | theirs.keys())
    both = _scored(ours).keys() & _scored(theirs).keys()
    unscored = [case for case in planned if case not in both]
    counts: dict[str, Any] = {
        "n": len(both),
        "n_planned": len(planned),
        "n_unscored": len(unscored),
    }
    if not both:
        return Obstacle(reason="there are no cases with scores of both", **counts)
    if len(unscored) > check.max_unscored_share * len(planned):
        return Obstacle(reason=_say_unscored(unscored, planned, (ours, theirs)), **counts)
    if len(both) < check.min_cases:
        reason = f"{len(both)} cases are fewer than the {check.min_cases} it takes"
        return Obstacle(reason=reason, too_few=True, **counts)
    return _align(check, pair, (ours, theirs), n_planned=len(planned))


def _align(
    check: CheckPolicy, pair: RunPair, sides: tuple[_Side, _Side], *, n_planned: int
) -> Cases:
    scored = [_scored(side) for side in sides]
    compared = sorted(scored[0].keys() | scored[1].keys())
    values = [score.value for side in scored for score in side.values()]
    # Yes/no scores have both ends also where only one of them was seen.
    worst, best = (0.0, 1.0) if {*values} <= {0.0, 1.0} else (min(values), max(values))
    if check.direction == "lower_is_better":
        worst, best = best, worst
    known = [scored[0].get(case) or scored[1][case] for case in compared]
    return Cases(
        ids=tuple(compared),
        metric=pair.challenger.metric,
        versions=(pair.challenger.version, pair.champion.version),
        challenger=_values(compared, scored[0], worst),
        champion=_values(compared, scored[1], best),
        clusters=tuple(score.cluster for score in known),
        categories=tuple(score.category for score in known),
        n_planned=n_planned,
        n_unscored=n_planned - len(scored[0].keys() & scored[1].keys()),
    )


def _scored(side: _Side) -> dict[str, CaseScore]:
    return {name: case for name, case in side.items() if isinstance(case, CaseScore)}


def _of_kind(run: EvaluationRun, check: CheckPolicy) -> list[CaseScore | Unscored]:
    cases: tuple[CaseScore | Unscored, ...] = (*run.scores, *run.unscored)
    return [case for case in cases if case.kind == check.kind]


def _say_unscored(unscored: list[str], planned: list[str], sides: tuple[_Side, ...]) -> str:
    found = [side.get(unscored[0]) for side in sides]
    why = next((c.reason for c in found if isinstance(c, Unscored)), "one of the two lacks it")
    return f"{len(unscored)} of {len(planned)} cases have no score, such as {unscored[0]}: {why}"


def _values(compared: list[str], side: dict[str, CaseScore], missing: float) -> NDArray[np.float64]:
    return np.array([side[case].value if case in side else missing for case in compared])
