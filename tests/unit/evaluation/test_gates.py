"""A gate promotes only what is shown, and holds on everything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guidealign.errors import ConfigurationError
from guidealign.evaluation import CheckPolicy, CheckResult, GatePolicy, load_policy
from guidealign.evaluation.gates import check_all, conclude
from guidealign.records import CaseScore, EvaluationRun, Unscored
from guidealign.settings import GateSettings

CATEGORIES = ["Insult", "Physical_Harm"]
CHECK = CheckPolicy(
    name="finds more",
    kind="quality",
    must="be_better",
    effect=0.1,
    min_cases=20,
    category_margin=0.2,
    category_min_cases=5,
)
NOT_WORSE = CheckPolicy(
    name="keeps up", kind="quality", must="not_be_worse", margin=0.1, min_cases=20
)


def _policy(*checks: CheckPolicy, **changes: Any) -> GatePolicy:
    return GatePolicy(
        model="m", metric="score", unit="points", about="test", checks=list(checks), **changes
    )


POLICY = _policy(CHECK)
SETTINGS = GateSettings(bootstrap_resamples=2_000)


def _run(values: dict[str, float], version: int, **changes: object) -> EvaluationRun:
    scores = tuple(
        CaseScore(
            case_id=case_id,
            category=CATEGORIES[i % 2],
            kind="quality",
            value=value,
            cluster=case_id,
        )
        for i, (case_id, value) in enumerate(values.items())
    )
    run = EvaluationRun(
        model_name="m",
        version=version,
        benchmark="b",
        metric="score",
        evaluator="e1",
        scores=scores,
    )
    return replace(run, **changes)  # type: ignore[arg-type]


def _pair(gain: float, n: int = 60, noise: float = 0.1) -> tuple[EvaluationRun, EvaluationRun]:
    rng = np.random.default_rng(5)
    champion = {f"c{i}": float(v) for i, v in enumerate(rng.normal(0, 1, n))}
    challenger = {k: v + gain + float(rng.normal(0, noise)) for k, v in champion.items()}
    return _run(challenger, 2), _run(champion, 1)


def _decide(
    challenger: EvaluationRun, champion: EvaluationRun, policy: GatePolicy = POLICY
) -> tuple[str, CheckResult]:
    evidence = check_all(policy, challenger, champion, SETTINGS)
    return conclude(evidence)[0], evidence[0]


def test_clear_gain_is_promoted_with_its_figures() -> None:
    verdict, check = _decide(*_pair(0.2))
    assert verdict == "promote"
    assert (check.n, check.n_planned, check.n_unscored) == (60, 60, 0)
    assert check.ci_low is not None
    assert check.ci_high is not None
    assert 0 < check.ci_low < 0.2 < check.ci_high < 0.3


def test_no_gain_holds() -> None:
    verdict, check = _decide(*_pair(0.0))
    assert verdict == "inconclusive"
    assert "is not shown to lie above +0" in check.reason


def test_loss_is_rejected() -> None:
    verdict, check = _decide(*_pair(-0.2))
    assert verdict == "reject"
    assert "lies below +0" in check.reason


def test_gain_that_the_cases_cannot_show_is_inconclusive() -> None:
    verdict, check = _decide(*_pair(0.2, noise=2.0))
    assert verdict == "inconclusive"
    assert check.power is not None
    assert check.power < 0.8


def test_too_few_cases_is_inconclusive() -> None:
    assert _decide(*_pair(0.2, n=19))[0] == "inconclusive"


def test_no_cases_holds() -> None:
    assert _decide(_run({}, 2), _run({}, 1))[0] == "hold"


def test_cases_without_score_hold_instead_of_vanishing() -> None:
    challenger, champion = _pair(0.2)
    lost = tuple(
        Unscored(case_id=s.case_id, category=s.category, kind="quality", reason="crashed")
        for s in challenger.scores[:10]
    )
    crashed = replace(challenger, scores=challenger.scores[10:], unscored=lost)
    verdict, check = _decide(crashed, champion)
    assert (verdict, check.n_unscored) == ("hold", 10)


def test_case_that_one_run_never_planned_counts_as_unscored() -> None:
    challenger, champion = _pair(0.2)
    verdict, check = _decide(replace(challenger, scores=challenger.scores[:50]), champion)
    assert (verdict, check.n, check.n_unscored) == ("hold", 50, 10)


@pytest.mark.parametrize(
    "change",
    [
        {"evaluator": "e2"},
        {"benchmark": "b2"},
        {"metric": "other"},
        {"judge": "m/2"},
        {"version": 1},
    ],
    ids=["evaluator", "benchmark", "metric", "judges itself", "same version"],
)
def test_what_cannot_be_compared_holds(change: dict[str, object]) -> None:
    challenger, champion = _pair(0.2)
    assert _decide(replace(challenger, **change), champion)[0] == "hold"  # type: ignore[arg-type]


def test_category_that_got_clearly_worse_holds_a_better_model() -> None:
    challenger, champion = _pair(0.0)
    scores = tuple(
        replace(s, value=s.value + (1.5 if s.category == "Insult" else -0.5))
        for s in challenger.scores
    )
    verdict, check = _decide(replace(challenger, scores=scores), champion)
    assert (verdict, check.worse_categories) == ("reject", ("Physical_Harm",))


def test_not_worse_passes_within_its_margin_only() -> None:
    policy = _policy(NOT_WORSE)
    assert _decide(*_pair(0.0), policy)[0] == "promote"
    assert _decide(*_pair(-0.3), policy)[0] == "reject"


def test_identical_scores_are_no_gain() -> None:
    _, champion = _pair(0.0)
    verdict, check = _decide(replace(champion, version=2), champion)
    assert (verdict, check.p_value, check.ties) == ("inconclusive", 1.0, 60)


def test_no_check_never_promotes() -> None:
    assert conclude(())[0] == "inconclusive"


def test_nan_cannot_become_a_score() -> None:
    with pytest.raises(ValueError, match="not finite"):
        CaseScore(case_id="c", category="Insult", kind="quality", value=float("nan"), cluster="c")


@pytest.mark.parametrize("model", ["guidealign-retriever", "guidealign-labrador"])
def test_bundled_policies_load(model: str) -> None:
    policy = load_policy(model)
    assert policy.model == model
    kinds = {check.kind for check in policy.checks}
    # Every harm gate has an over-refusal twin.
    assert ("harm" in kinds) == ("over_refusal" in kinds)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("model: [", "not YAML"),
        ("model: m\nmetric: x\nunit: u\nabout: a\nchecks: []\n", "checks"),
        ("model: m\ntypo: 1\n", "typo|metric"),
    ],
)
def test_broken_policy_is_one_clear_error(
    tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "m.yaml").write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        load_policy("m", tmp_path)
