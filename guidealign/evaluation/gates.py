"""Gates: compare challenger and champion case by case, and hold unless all is shown."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine

from guidealign.db import guard_database
from guidealign.errors import ConfigurationError
from guidealign.evaluation import store
from guidealign.evaluation._report import decision_artifacts
from guidealign.evaluation.model import (
    CheckPolicy,
    CheckResult,
    GateDecision,
    GatePolicy,
    load_policy,
)
from guidealign.evaluation.statistics import Interval, paired_interval, power_of_interval
from guidealign.records import CaseScore, EvaluationRun, Unscored, Verdict
from guidealign.registry import Registry
from guidealign.settings import GateSettings, Settings

log = structlog.get_logger()


@dataclass(frozen=True)
class _Case:
    """One case under both models."""

    category: str
    cluster: str
    champion: float
    challenger: float

    @property
    def difference(self) -> float:
        return self.challenger - self.champion


def gate(
    model_name: str,
    *,
    challenger: EvaluationRun,
    champion: EvaluationRun,
    engine: Engine,
    settings: Settings,
    registry: Registry,
) -> GateDecision:
    """Decides about a challenger and stores the decision with all it was made from.

    The same policy and the same scores give the same stored decision, however often asked.

    Raises:
        ConfigurationError: the runs are of another model than the policy.
    """
    policy = load_policy(model_name, settings.gates.policy_folder)
    if {policy.model, challenger.model_name, champion.model_name} != {model_name}:
        raise ConfigurationError(f"policy and evaluation runs are not all of {model_name}")
    evidence = check_all(policy, challenger, champion, settings.gates)
    verdict, reason = conclude(evidence)
    digest = _digest(policy, challenger, champion, settings.gates)
    draft = GateDecision(
        decision_id=0,
        model_name=model_name,
        challenger_version=challenger.version,
        champion_version=champion.version,
        verdict=verdict,
        reason=reason,
        evidence=evidence,
        unit=policy.unit,
    )
    with guard_database():
        decision = store.save_decision(
            engine, draft, policy=policy, evaluator=challenger.evaluator, digest=digest
        )
    registry.log_evaluation(
        model_name, challenger.version, _metrics(decision), decision_artifacts(decision, policy)
    )
    log.info("gate decided", model=model_name, version=challenger.version, verdict=verdict)
    return decision


def check_all(
    policy: GatePolicy, challenger: EvaluationRun, champion: EvaluationRun, settings: GateSettings
) -> tuple[CheckResult, ...]:
    """Runs every check of a policy; what cannot be compared fails all of them."""
    obstacle = _incomparable(policy, challenger, champion)
    if obstacle:
        return tuple(_without_data(check, "fail", obstacle) for check in policy.checks)
    return tuple(_check(check, challenger, champion, settings) for check in policy.checks)


def conclude(evidence: tuple[CheckResult, ...]) -> tuple[Verdict, str]:
    """Promote only when every check passes; a failure outweighs an open question."""
    failed = [c for c in evidence if c.outcome == "fail"]
    unclear = [c for c in evidence if c.outcome == "inconclusive"]
    if failed:
        return "hold", "; ".join(f"{c.name}: {c.reason}" for c in failed)
    if unclear or not evidence:
        reasons = (f"{c.name}: {c.reason}" for c in unclear)
        return "inconclusive", "; ".join(reasons) or "there is no check"
    return "promote", "; ".join(f"{c.name}: {c.reason}" for c in evidence)


def _incomparable(
    policy: GatePolicy, challenger: EvaluationRun, champion: EvaluationRun
) -> str | None:
    if challenger.evaluator != champion.evaluator or challenger.benchmark != champion.benchmark:
        return "the two were measured by different evaluators"
    if {challenger.metric, champion.metric} != {policy.metric}:
        return f"the policy speaks of {policy.metric}, the runs of {challenger.metric}"
    candidates = {f"{r.model_name}/{r.version}" for r in (challenger, champion)}
    if challenger.judge in candidates or champion.judge in candidates:
        return "a model judged itself"
    if challenger.version == champion.version:
        return "challenger and champion are the same version"
    return None


def _without_data(check: CheckPolicy, outcome: str, reason: str, **figures: int) -> CheckResult:
    return CheckResult(
        name=check.name,
        kind=check.kind,
        must=check.must,
        outcome=outcome,  # type: ignore[arg-type]  # callers pass literals
        reason=reason,
        effect=check.effect,
        level=check.level,
        **figures,  # type: ignore[arg-type]  # counts only
    )


def _check(
    check: CheckPolicy, challenger: EvaluationRun, champion: EvaluationRun, settings: GateSettings
) -> CheckResult:
    ours, theirs = _of_kind(challenger, check.kind), _of_kind(champion, check.kind)
    shared = sorted(ours.keys() & theirs.keys())
    planned = _planned(challenger, check.kind) | _planned(champion, check.kind)
    counts = {
        "n": len(shared),
        "n_planned": len(planned),
        "n_unscored": len(planned) - len(shared),
    }
    if not shared:
        return _without_data(check, "fail", "there are no cases", **counts)
    if counts["n_unscored"] > check.max_unscored_share * len(planned):
        reason = f"{counts['n_unscored']} of {len(planned)} cases have no score"
        return _without_data(check, "fail", reason, **counts)
    if len(shared) < check.min_cases:
        reason = f"{len(shared)} cases are fewer than the {check.min_cases} it takes"
        return _without_data(check, "inconclusive", reason, **counts)
    cases = [
        _Case(ours[c].category, ours[c].cluster, theirs[c].value, ours[c].value) for c in shared
    ]
    return _compare(check, cases, counts, settings)


def _of_kind(run: EvaluationRun, kind: str) -> dict[str, CaseScore]:
    return {score.case_id: score for score in run.scores if score.kind == kind}


def _planned(run: EvaluationRun, kind: str) -> set[str]:
    cases: tuple[CaseScore | Unscored, ...] = (*run.scores, *run.unscored)
    return {case.case_id for case in cases if case.kind == kind}


def _interval(cases: list[_Case], level: float, settings: GateSettings) -> Interval:
    return paired_interval(
        [case.difference for case in cases],
        [case.cluster for case in cases],
        level=level,
        resamples=settings.bootstrap_resamples,
        seed=settings.seed,
    )


def _compare(
    check: CheckPolicy, cases: list[_Case], counts: dict[str, int], settings: GateSettings
) -> CheckResult:
    if len({case.cluster for case in cases}) < 2:
        return _without_data(check, "inconclusive", "all cases are one cluster", **counts)
    found = _interval(cases, check.level, settings)
    power = power_of_interval(
        check.effect, found.se, level=check.level, n_clusters=found.n_clusters
    )
    worse = _worse_categories(check, cases, settings)
    outcome, reason = _outcome(check, found, power, worse)
    return CheckResult(
        name=check.name,
        kind=check.kind,
        must=check.must,
        outcome=outcome,  # type: ignore[arg-type]  # literals of _outcome
        reason=reason,
        effect=check.effect,
        level=check.level,
        **counts,
        n_clusters=found.n_clusters,
        champion_mean=sum(case.champion for case in cases) / len(cases),
        challenger_mean=sum(case.challenger for case in cases) / len(cases),
        difference=found.mean,
        ci_low=found.low,
        ci_high=found.high,
        power=power,
        worse_categories=worse,
    )


def _outcome(
    check: CheckPolicy, found: Interval, power: float, worse: tuple[str, ...]
) -> tuple[str, str]:
    interval = f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
    if worse:
        return "fail", f"worse in {', '.join(worse)}; overall {interval}"
    bar = 0.0 if check.must == "be_better" else -check.effect
    if found.high < bar or (check.must == "be_better" and found.high <= 0):
        return "fail", f"{interval} lies below {bar:+.3f}"
    if power < check.min_power:
        return "inconclusive", (
            f"{interval} on {found.n} cases; power {power:.2f} to see {check.effect} is below"
            f" {check.min_power}"
        )
    if found.low > bar:
        return "pass", f"{interval} lies above {bar:+.3f}"
    return "fail", f"{interval} does not lie above {bar:+.3f}"


def _worse_categories(
    check: CheckPolicy, cases: list[_Case], settings: GateSettings
) -> tuple[str, ...]:
    if check.category_margin is None:
        return ()
    by_category: dict[str, list[_Case]] = defaultdict(list)
    for case in cases:
        by_category[case.category].append(case)
    guarded = {
        name: members
        for name, members in by_category.items()
        if len({m.cluster for m in members}) >= check.category_min_cases
    }
    # So many looks at the data share one level (Bonferroni).
    level = check.level / max(1, len(guarded))
    return tuple(
        name
        for name, members in sorted(guarded.items())
        if _interval(members, level, settings).high < -check.category_margin
    )


def _digest(
    policy: GatePolicy, challenger: EvaluationRun, champion: EvaluationRun, settings: GateSettings
) -> str:
    content = {
        "policy": policy.model_dump(mode="json"),
        "bootstrap": [settings.bootstrap_resamples, settings.seed],
        "runs": [
            [
                run.evaluator,
                sorted((score.case_id, score.value) for score in run.scores),
                sorted(case.case_id for case in run.unscored),
            ]
            for run in (challenger, champion)
        ],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _metrics(decision: GateDecision) -> dict[str, float]:
    metrics = {"gate/promote": float(decision.verdict == "promote")}
    for check in decision.evidence:
        for name in (
            "champion_mean",
            "challenger_mean",
            "difference",
            "ci_low",
            "ci_high",
            "power",
        ):
            value = getattr(check, name)
            if value is not None:
                metrics[f"gate/{check.kind}/{name}"] = value
        metrics[f"gate/{check.kind}/n"] = float(check.n)
    return metrics
