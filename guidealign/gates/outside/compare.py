"""Two files of results before a policy, or before one question that needs none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from guidealign.errors import BadInputError
from guidealign.gates._checks import Anchor, check_all
from guidealign.gates._conclude import conclude
from guidealign.gates.model import CheckResult
from guidealign.gates.outside.readings import Results, read_results
from guidealign.gates.policy import GatePolicy, read_policy
from guidealign.records import CaseKind, CaseScore, EvaluationRun, Unscored, Verdict
from guidealign.settings import GateSettings

ANCHOR, BASELINE, CANDIDATE = 0, 1, 2
"""Versions, by which gates tell sides apart."""
_LEAST_CASES = 20
_UNSCORED_SHARE = 0.05
_DEFAULT_KIND: CaseKind = "quality"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked where no policy is given."""

    metric: str | None = None
    """None: the only one there is."""
    must: str = "be_better"
    direction: str = "higher_is_better"
    margin: float = 0.0
    effect: float = 0.05
    """The smallest gain of interest of `be_better`, beyond the margin."""
    level: float = 0.025


@dataclass(frozen=True, kw_only=True)
class OutsideDecision:
    """The verdict on a candidate with all it was made from."""

    baseline: str
    candidate: str
    sources: tuple[str, str]
    verdict: Verdict
    reason: str
    evidence: tuple[CheckResult, ...]
    policy: GatePolicy

    def as_dict(self) -> dict[str, Any]:
        """For output."""
        return {
            "baseline": self.baseline,
            "candidate": self.candidate,
            "sources": list(self.sources),
            "verdict": self.verdict,
            "reason": self.reason,
            "evidence": [check.as_dict() for check in self.evidence],
            "policy": self.policy.model_dump(mode="json"),
        }


def compare_files(  # noqa: PLR0913 - two files, by which rules, and beside what
    baseline: Path,
    candidate: Path,
    *,
    policy: Path | None,
    question: Question,
    settings: GateSettings,
    anchor: Path | None = None,
    look: int = 1,
    anchor_look: int = 1,
) -> OutsideDecision:
    """Compares a candidate's results with a baseline's, as a gate compares two versions.

    Args:
        baseline: a file that `read_results` knows.
        candidate: of the same cases.
        policy: a policy file; None: the question alone.
        question: what is asked without one.
        settings: bootstrap and seed.
        anchor: a file of the policy's anchor; None: of a policy with one, budgets pass nothing.
        look: how often this baseline was compared with any candidate, this time included.
        anchor_look: how often any candidate was compared with the anchor, over all baselines.

    Raises:
        BadInputError: a file is no results, or lacks what the policy names; an anchor has no policy
            with one.
        ConfigurationError: the policy is unsound.
    """
    theirs, ours = read_results(baseline), read_results(candidate)
    rules = read_policy(policy) if policy else _policy(question, theirs, ours)
    if anchor is not None and rules.anchor is None:
        raise BadInputError(f"an anchor is for a policy with `anchor` and budgets: {anchor}")
    metrics = {check.metric or rules.metric for check in rules.checks}
    kinds = {check.kind for check in rules.checks}
    sides = [
        tuple(_run(side, version, metric, kinds, file) for metric in sorted(metrics))
        for side, version, file in ((ours, CANDIDATE, candidate), (theirs, BASELINE, baseline))
    ]
    frozen = None
    if anchor is not None:
        found = read_results(anchor)
        runs = tuple(_run(found, ANCHOR, metric, kinds, anchor) for metric in sorted(metrics))
        frozen = Anchor(version=ANCHOR, runs=runs, look=anchor_look)
    evidence = check_all(rules, sides[0], sides[1], settings, look=look, anchor=frozen)
    verdict, reason = conclude(evidence)
    return OutsideDecision(
        baseline=str(baseline),
        candidate=str(candidate),
        sources=(theirs.source, ours.source),
        verdict=verdict,
        reason=reason,
        evidence=evidence,
        policy=rules,
    )


def _policy(question: Question, *sides: Results) -> GatePolicy:
    common = sorted(set.intersection(*(set(side.metrics) for side in sides)))
    metric = question.metric
    if metric is None:
        if len(common) != 1:
            raise BadInputError(
                "say with --metric what is compared: both files have "
                + (", ".join(common) or "no score in common")
            )
        metric = common[0]
    kinds = sorted({one.kind or _DEFAULT_KIND for side in sides for one in side.readings})
    better = question.must == "be_better"
    content = {
        "model": "candidate",
        "metric": metric,
        "unit": metric,
        "about": "One question for each kind of case, without a policy file.",
        "checks": [
            {
                "name": metric if len(kinds) == 1 else f"{metric}, {kind}",
                "kind": kind,
                "direction": question.direction,
                "must": question.must,
                "margin": question.margin,
                "effect": question.margin + question.effect if better else None,
                "level": question.level,
                "min_cases": _LEAST_CASES,
                "max_unscored_share": _UNSCORED_SHARE,
            }
            for kind in kinds
        ],
    }
    try:
        return GatePolicy.model_validate(content)
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise BadInputError(f"without a policy file this cannot be asked: {why}") from error


def _run(
    side: Results, version: int, metric: str, kinds: set[CaseKind], file: Path
) -> EvaluationRun:
    if metric not in side.metrics:
        raise BadInputError(f"{file} has no {metric}, but {', '.join(side.metrics)}")
    alone = next(iter(kinds)) if len(kinds) == 1 else None
    scores: list[CaseScore] = []
    unscored: list[Unscored] = []
    for one in side.readings:
        kind = one.kind or alone
        if kind is None:
            raise BadInputError(
                f"{file}: case {one.case_id} has no `kind`, and the policy has gates on"
                f" {', '.join(sorted(kinds))}"
            )
        if kind not in get_args(CaseKind):
            raise BadInputError(f"{file}: case {one.case_id} is of an unknown kind, {kind}")
        common: dict[str, Any] = {
            "case_id": one.case_id,
            "category": one.category,
            "kind": kind,
        }
        value = one.scores.get(metric)
        if value is None:
            unscored.append(Unscored(**common, reason="the file has no score of it"))
        else:
            scores.append(CaseScore(**common, value=value, cluster=one.cluster or one.case_id))
    return EvaluationRun(
        model_name="candidate",
        version=version,
        benchmark=side.source,
        metric=metric,
        evaluator=f"{side.source}:{metric}",
        scores=tuple(scores),
        unscored=tuple(unscored),
    )
