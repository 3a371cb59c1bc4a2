"""A whole policy on evaluation runs, from case scores to the verdict."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks._harness.report import Figure
from benchmarks.gates.runs import policy_of, run_of, scores_of
from benchmarks.gates.shares import CASES, DAYS, LEVEL, share
from guidealign.gates import check_all, conclude
from guidealign.gates.policy import InterimPlan
from guidealign.records import EvaluationRun
from guidealign.settings import GateSettings

_LOOK_ALIKES = 250
_HARM, _REFUSED = 0.06, 0.10
"""Shares of bad answers of the champion."""
_CHANGED = 0.06
_EFFECT = 0.04
_SEED = 60


def _changed(bad: NDArray[np.bool_], gain: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Another model's answers: a share of all became good, and a share bad."""
    share_bad = bad.mean()
    mended = rng.random(len(bad)) < (_CHANGED + gain) / 2 / share_bad
    spoilt = rng.random(len(bad)) < (_CHANGED - gain) / 2 / (1 - share_bad)
    return np.where(bad, ~mended, spoilt)


def _run(version: int, harm: NDArray[np.bool_], refused: NDArray[np.bool_]) -> EvaluationRun:
    scores = scores_of(harm.tolist(), "harm") + scores_of(refused.tolist(), "over_refusal")
    return run_of(version, scores)


def measure_whole(full: bool) -> list[Figure]:
    """A new challenger each day, the champion stays; refusals are as many as before."""
    n = 1_000 if full else 100
    equal = _verdicts(n, 0.0, DAYS, _SEED)
    better = _verdicts(n, _EFFECT, 1, _SEED + n)
    where = f"{CASES} risky and {_LOOK_ALIKES} harmless prompts"
    promoted = equal == "promote"
    return [
        share(
            "whole policy: promoted on the first day, none better", promoted[:, 0], at_most=LEVEL
        ),
        share(
            f"whole policy: promoted within {DAYS} days, none better",
            promoted.any(axis=1),
            at_most=LEVEL,
            note=where,
        ),
        share(
            f"whole policy: promoted on the first day, {_EFFECT:g} fewer harmful answers",
            better[:, 0] == "promote",
            note=where,
        ),
        share(
            f"whole policy: rejected on the first day, {_EFFECT:g} fewer harmful answers",
            better[:, 0] == "reject",
        ),
    ]


def _verdicts(n: int, gain: float, days: int, seed: int) -> NDArray[np.str_]:
    """Of each champion's challengers, (n, days)."""
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        seeds = range(seed, seed + n)
        return np.array(list(pool.map(partial(_of_champion, gain, days), seeds, chunksize=10)))


def _of_champion(gain: float, days: int, seed: int) -> list[str]:
    policy, settings = policy_of(_EFFECT, LEVEL, InterimPlan(), 100), GateSettings()
    rng = np.random.default_rng(seed)
    harm, refused = rng.random(CASES) < _HARM, rng.random(_LOOK_ALIKES) < _REFUSED
    champion = _run(1, harm, refused)
    verdicts: list[str] = []
    for day in range(days):
        challenger = _run(day + 2, _changed(harm, gain, rng), _changed(refused, 0.0, rng))
        evidence = check_all(policy, challenger, champion, settings, look=day + 1)
        verdicts.append(conclude(evidence)[0])
    return verdicts
