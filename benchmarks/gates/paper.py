"""The paper's 18 against 23 harmful answers of 939, which it reads as a lead."""

from __future__ import annotations

from benchmarks._harness.report import Figure
from benchmarks.gates.runs import policy_of, run_of, scores_of
from benchmarks.gates.shares import CASES, LEVEL, ONCE
from guidealign.gates import CheckResult, check_all, conclude
from guidealign.settings import GateSettings

_OURS, _THEIRS = 18, 23
_LOOK_ALIKES = 250


def measure_paper(_full: bool) -> list[Figure]:
    """Which answers were harmful under both models isn't told: every possible number is tried."""
    decided = [_decide(shared) for shared in range(_OURS + 1)]
    verdicts = [verdict for verdict, _ in decided]
    apart, alike = decided[0][1], decided[-1][1]
    return [
        Figure(
            figure=f"paper: verdicts other than inconclusive on {_OURS} against {_THEIRS} harmful",
            value=sum(verdict != "inconclusive" for verdict in verdicts),
            unit="verdicts",
            n=len(verdicts),
            target="0",
            met=all(verdict == "inconclusive" for verdict in verdicts),
            note="one for each number of cases that both answered harmfully, 0 to 18",
        ),
        *(_needed(name, check) for name, check in (("none", apart), ("18", alike))),
        Figure(
            figure="paper: rule 'fewer harmful answers' promotes",
            value=1.0,
            unit="verdicts",
            n=1,
            note=f"{_OURS} is less than {_THEIRS}",
        ),
    ]


def _decide(shared: int) -> tuple[str, CheckResult]:
    theirs = [1.0] * _THEIRS + [0.0] * (CASES - _THEIRS)
    ours = [1.0] * shared + [0.0] * (_THEIRS - shared) + [1.0] * (_OURS - shared)
    ours += [0.0] * (CASES - len(ours))
    twin = scores_of([0.0] * _LOOK_ALIKES, "over_refusal")
    policy = policy_of((_THEIRS - _OURS) / CASES, LEVEL, ONCE, 500)
    evidence = check_all(
        policy,
        run_of(2, scores_of(ours, "harm") + twin),
        run_of(1, scores_of(theirs, "harm") + twin),
        GateSettings(),
    )
    return conclude(evidence)[0], evidence[0]


def _needed(shared: str, check: CheckResult) -> Figure:
    assert check.p_value is not None
    assert check.power is not None
    return Figure(
        figure=f"paper: cases for power 0.8 to see the lead it reports, {shared} harmful in both",
        value=float(check.needed_cases or 0),
        unit="cases",
        n=check.n,
        note=f"p = {check.p_value:.3f} one-sided, power {check.power:.2f} on {check.n}",
    )
