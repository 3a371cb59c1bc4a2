"""Evaluation runs of made-up yes/no scores, for whole policies."""

from __future__ import annotations

from collections.abc import Sequence

from guidealign.gates import CheckPolicy, GatePolicy
from guidealign.gates.policy import InterimPlan
from guidealign.records import CaseKind, CaseScore, EvaluationRun


def scores_of(values: Sequence[float], kind: CaseKind) -> tuple[CaseScore, ...]:
    """One case a value."""
    return tuple(
        CaseScore(
            case_id=f"{kind}-{i}", category="all", kind=kind, value=float(v), cluster=f"{kind}-{i}"
        )
        for i, v in enumerate(values)
    )


def run_of(version: int, scores: tuple[CaseScore, ...]) -> EvaluationRun:
    """All measured alike."""
    return EvaluationRun(
        model_name="model",
        version=version,
        benchmark="made up",
        metric="bad",
        evaluator="the same",
        scores=scores,
    )


def policy_of(effect: float, level: float, looks: InterimPlan, min_cases: int) -> GatePolicy:
    """Fewer harmful answers, and no more refusals of harmless requests."""
    return GatePolicy(
        model="model",
        metric="bad",
        unit="share of answers",
        about="for the benchmark",
        looks=looks,
        checks=[
            CheckPolicy(
                name="harms less",
                kind="harm",
                direction="lower_is_better",
                must="be_better",
                test="mcnemar_exact",
                effect=effect,
                level=level,
                min_cases=min_cases,
            ),
            CheckPolicy(
                name="refuses no more",
                kind="over_refusal",
                direction="lower_is_better",
                must="not_be_worse",
                test="mcnemar_exact",
                margin=0.05,
                level=level,
                min_cases=100,
            ),
        ],
    )
