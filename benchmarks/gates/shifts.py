"""The shipped policy of Labrador on challengers that only refuse more, once and for 20 cycles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from benchmarks._harness.report import Figure
from benchmarks.gates.shares import share
from guidealign.evaluation.benchmarks.starter_cases import PreferenceCase, load_cases
from guidealign.gates import Anchor, GatePolicy, check_all, conclude, load_policy
from guidealign.records import LABRADOR_MODEL, CaseScore, EvaluationRun
from guidealign.settings import GateSettings

_SPREAD = 0.11
"""Of the gains of cases, in nats per token: with it the policy without its newer checks promotes
a shift of 0.05 about as often as it was found to."""
_CYCLES = 20
_SETTINGS = GateSettings(bootstrap_resamples=500)
_AT_MOST = 0.05
_SEED = 80
BEFORE, AFTER = "margins alone", "the shipped policy"

Truth = Mapping[str, float]
"""The mean of a model's scores by kind of case."""


def policies() -> dict[str, GatePolicy]:
    """The shipped policy, and what it was before it looked at refusal and at an anchor."""
    shipped = load_policy(LABRADOR_MODEL)
    plain = [
        check.model_copy(update={"budget": None, "clusters": "case"})
        for check in shipped.checks
        if check.at_equal is None
    ]
    return {BEFORE: shipped.model_copy(update={"checks": plain, "anchor": None}), AFTER: shipped}


def drawn_run(version: int, truth: Truth, rng: np.random.Generator) -> EvaluationRun:
    """A version's scores on the starter benchmark's cases, around the truth of their kind.

    Two versions' scores differ by the gain with a spread of 0.11 nats.
    """
    noise = rng.normal(0.0, _SPREAD / np.sqrt(2), len(_cases()))
    return EvaluationRun(
        model_name=LABRADOR_MODEL,
        version=version,
        benchmark="made up",
        metric="preference_margin",
        evaluator="the same",
        scores=tuple(
            CaseScore(
                case_id=case.case_id,
                category=case.category,
                kind=case.kind,
                value=truth[case.kind] + float(of_case),
                cluster=case.case_id,
            )
            for case, of_case in zip(_cases(), noise, strict=True)
        ),
    )


@cache
def _cases() -> list[PreferenceCase]:
    return load_cases()


def shifted(by: float) -> dict[str, float]:
    """What a pure shift towards refusal changes: everyday quality suffers by two fifths of it."""
    return {"harm": by, "over_refusal": -by, "quality": -0.4 * by}


def is_promoted(policy: GatePolicy, change: Truth, seed: int) -> bool:
    """Whether the first challenger of the untrained base is promoted."""
    rng = np.random.default_rng(seed)
    base = drawn_run(0, dict.fromkeys(change, 0.0), rng)
    anchor = None if policy.anchor is None else Anchor(version=0, runs=(base,))
    evidence = check_all(policy, drawn_run(1, change, rng), base, _SETTINGS, anchor=anchor)
    return conclude(evidence)[0] == "promote"


def drift(policy: GatePolicy, change: Truth, seed: int) -> tuple[int, float, float]:
    """20 cycles of challengers that each differ by the change from the champion of the day.

    Returns:
        Promotions, and the true losses of over-refusal and quality since the base.
    """
    rng = np.random.default_rng(seed)
    truth = dict.fromkeys(change, 0.0)
    base = champion = drawn_run(0, truth, rng)
    promotions, look = 0, 0
    for cycle in range(1, _CYCLES + 1):
        look += 1
        theirs = {kind: truth[kind] + change[kind] for kind in truth}
        challenger = drawn_run(cycle, theirs, rng)
        anchor = None if policy.anchor is None else Anchor(version=0, runs=(base,), look=cycle)
        evidence = check_all(policy, challenger, champion, _SETTINGS, look=look, anchor=anchor)
        if conclude(evidence)[0] == "promote":
            champion, truth, look = challenger, theirs, 0
            promotions += 1
    return promotions, -truth["over_refusal"], -truth["quality"]


def measure_shifts(full: bool) -> list[Figure]:
    """Pure shifts and true gains, before and with what looks at refusal."""
    n = 1_000 if full else 100
    changes: dict[str, tuple[dict[str, float], bool]] = {
        f"a pure shift of {by:g} nats": (shifted(by), True) for by in (0.02, 0.05, 0.08)
    }
    changes |= {
        f"a true gain of {gain:g} nats on harm": (
            {"harm": gain, "over_refusal": 0.0, "quality": 0.0},
            False,
        )
        for gain in (0.05, 0.1)
    }
    figures = []
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for what, (change, is_false) in changes.items():
            for called, policy in policies().items():
                seeds = range(_SEED, _SEED + n)
                found = list(pool.map(partial(is_promoted, policy, change), seeds, chunksize=10))
                at_most = _AT_MOST if is_false and called == AFTER else None
                figures.append(
                    share(f"refusal shift: {what} promoted by {called}", found, at_most=at_most)
                )
    return figures


def measure_drift(full: bool) -> list[Figure]:
    """Losses that each step's margin allows, over 20 cycles."""
    n = 50 if full else 5
    creeping = {"harm": 0.10, "over_refusal": -0.05, "quality": -0.02}
    figures: list[Figure] = []
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for what, change in (
            ("pure shifts of 0.05 nats", shifted(0.05)),
            ("gains of 0.1 on harm that cost 0.05 of over-refusal", creeping),
        ):
            for called, policy in policies().items():
                seeds = range(_SEED, _SEED + n)
                found = np.array(list(pool.map(partial(drift, policy, change), seeds)))
                figures += _losses(f"drift: {_CYCLES} cycles of {what}, {called}", found, policy)
    return figures


def _losses(name: str, found: NDArray[np.float64], policy: GatePolicy) -> list[Figure]:
    """Of (chains, 3) promotions and losses of over-refusal and quality."""
    figures = [
        Figure(
            figure=f"{name}: promotions",
            value=float(found[:, 0].mean()),
            unit=f"of {_CYCLES}",
            n=len(found),
        )
    ]
    for column, kind in enumerate(("over_refusal", "quality"), start=1):
        budget = next(check.budget for check in policy.checks if check.kind == kind)
        within = (
            []
            if budget is None
            else [
                share(
                    f"{name}: {kind.replace('_', '-')} beyond its budget of {budget:g}",
                    found[:, column] > budget + 1e-9,
                    at_most=_AT_MOST,
                )
            ]
        )
        figures += [
            Figure(
                figure=f"{name}: true loss of {kind.replace('_', '-')} since the base",
                value=float(found[:, column].mean()),
                unit="nats/token",
                n=len(found),
                note=f"at most {found[:, column].max():.2f}",
            ),
            *within,
        ]
    return figures
