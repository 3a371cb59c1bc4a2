"""A decision as people read it says what was compared and how many cases it would take."""

from __future__ import annotations

from guidealign.evaluation import CheckPolicy, CheckResult, GateDecision, GatePolicy
from guidealign.evaluation._report import decision_artifacts, draw_intervals
from guidealign.evaluation.page import draw_check

_COMMON = {"kind": "quality", "must": "be_better", "effect": 0.1, "level": 0.05}
_COMPARED = CheckResult(
    **_COMMON, name="finds <more>", outcome="inconclusive", reason="unclear", look=3, n=40,
    n_planned=41, wins=9, losses=5, ties=26, champion_mean=0.5, challenger_mean=0.6,
    difference=0.1, ci_low=-0.02, ci_high=0.22, p_adjusted=0.031, power=0.4, needed_cases=1234,
)  # fmt: skip
_CRASHED = CheckResult(**_COMMON, name="keeps up", outcome="unusable", reason="crashed", look=3)


def test_report_of_a_decision() -> None:
    policy = GatePolicy(
        model="m",
        metric="x",
        unit="points",
        about="test",
        checks=[CheckPolicy(name="n", kind="quality", must="be_better", effect=1, min_cases=9)],
    )
    decision = GateDecision(
        decision_id=1, model_name="m", challenger_version=2, champion_version=0, verdict="hold",
        reason="keeps up: crashed", evidence=(_COMPARED, _CRASHED), unit="points",
    )  # fmt: skip
    files = decision_artifacts(decision, policy)
    rows = files["gate/report.md"].splitlines()
    assert "Unit: points. Look 3 at this champion: it may spend a part of the level." in rows
    assert (
        "| finds <more> | inconclusive | 40 (41) | +0.500 | +0.600 | +0.100 | [-0.020, +0.220]"
        " | +0 | 0.031 | 9, 5, 26 | 0.40 | 1,234 |"
    ) in rows
    assert "| keeps up | unusable | 0 (0) | - | - | - | [-, -] | +0 | - | 0, 0, 0 | - | - |" in rows
    assert "no interval" in files["gate/intervals.svg"]
    assert "finds &lt;more&gt;" in files["gate/intervals.svg"]


def test_all_zero_is_drawn() -> None:
    zero = CheckResult(
        name="same", kind="quality", must="be_better", outcome="inconclusive", reason="equal",
        effect=0.0, level=0.05, n=9, difference=0.0, ci_low=0.0, ci_high=0.0,
    )  # fmt: skip
    decision = GateDecision(
        decision_id=1, model_name="m", challenger_version=2, champion_version=0, verdict="hold",
        reason="equal", evidence=(zero,), unit="points",
    )  # fmt: skip
    assert 'cx="560.0"' in draw_intervals(decision)
    assert 'cx="320.0"' in draw_check(zero)
    empty = GateDecision(**{**decision.__dict__, "evidence": ()})
    assert "Gate intervals" in draw_intervals(empty)
