"""Asks the gates about a challenger, once for the same figures, and stores the decision."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace

import structlog
from sqlalchemy import Engine

from guidealign.db import guard_database
from guidealign.errors import ConfigurationError
from guidealign.evaluation import store
from guidealign.evaluation._report import decision_artifacts
from guidealign.evaluation.gates._checks import Runs, as_runs, check_all
from guidealign.evaluation.gates._conclude import conclude
from guidealign.evaluation.model import GateDecision
from guidealign.evaluation.page import decision_page
from guidealign.evaluation.policy import GatePolicy, load_policy
from guidealign.records import EvaluationRun
from guidealign.registry import Registry
from guidealign.settings import GateSettings, Settings

log = structlog.get_logger()


def gate(
    model_name: str,
    *,
    challenger: Runs,
    champion: Runs,
    engine: Engine,
    settings: Settings,
    registry: Registry,
) -> GateDecision:
    """Decides about a challenger and stores the decision with all it was made from.

    The same policy and the same scores give the same stored decision, however often asked.
    Anything else is a further look at the champion, of which each may spend less of the level.

    Raises:
        ConfigurationError: the runs are of another model than the policy, or of several
            versions.
    """
    policy = load_policy(model_name, settings.gates.policy_folder)
    ours, theirs = as_runs(challenger), as_runs(champion)
    if {policy.model, *(run.model_name for run in (*ours, *theirs))} != {model_name}:
        raise ConfigurationError(f"policy and evaluation runs are not all of {model_name}")
    versions = [{run.version for run in runs} for runs in (ours, theirs)]
    if any(len(found) != 1 for found in versions):
        raise ConfigurationError("each side of a gate is the runs of one version")
    draft = GateDecision(
        decision_id=0,
        model_name=model_name,
        challenger_version=versions[0].pop(),
        champion_version=versions[1].pop(),
        verdict="hold",
        reason="",
        evidence=(),
        unit=policy.unit,
    )
    decision = _decide_once(draft, policy, (ours, theirs), engine, settings.gates)
    registry.log_evaluation(
        model_name,
        decision.challenger_version,
        _metrics(decision),
        decision_artifacts(decision, policy)
        | {"gate/decision.html": decision_page(decision.decision_id, engine=engine)},
    )
    log.info(
        "gate decided",
        model=model_name,
        version=decision.challenger_version,
        verdict=decision.verdict,
    )
    return decision


def _decide_once(
    draft: GateDecision,
    policy: GatePolicy,
    runs: tuple[tuple[EvaluationRun, ...], tuple[EvaluationRun, ...]],
    engine: Engine,
    settings: GateSettings,
) -> GateDecision:
    digest = _digest(policy, runs, settings)
    # Two at once would both take themselves for the same look.
    with guard_database(), store.deciding(engine, draft.model_name):
        known = store.find_decision(engine, draft, digest)
        if known:
            return known
        look = store.count_looks(engine, draft) + 1
        evidence = check_all(policy, *runs, settings, look=look)
        verdict, reason = conclude(evidence)
        evaluator = " + ".join(sorted({run.evaluator for run in runs[0]}))
        return store.save_decision(
            engine,
            replace(draft, verdict=verdict, reason=reason, evidence=evidence),
            policy=policy,
            evaluator=evaluator,
            digest=digest,
            runs=[
                _described(run, side)
                for side, of_side in zip(("challenger", "champion"), runs, strict=True)
                for run in of_side
            ],
        )


def _described(run: EvaluationRun, side: str) -> dict[str, object]:
    return {
        "side": side,
        "version": run.version,
        "benchmark": run.benchmark,
        "metric": run.metric,
        "evaluator": run.evaluator,
        "judge": run.judge,
        "n": len(run.scores),
        "n_unscored": len(run.unscored),
    }


def _digest(
    policy: GatePolicy,
    runs: tuple[tuple[EvaluationRun, ...], tuple[EvaluationRun, ...]],
    settings: GateSettings,
) -> str:
    content = {
        "policy": policy.model_dump(mode="json"),
        "bootstrap": [settings.bootstrap_resamples, settings.seed],
        "runs": [sorted(_content(run) for run in side) for side in runs],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _content(run: EvaluationRun) -> list[object]:
    return [
        run.benchmark,
        run.metric,
        run.evaluator,
        run.judge or "",
        sorted((s.case_id, s.kind, s.category, s.cluster, s.value) for s in run.scores),
        sorted((case.case_id, case.kind) for case in run.unscored),
    ]


def _metrics(decision: GateDecision) -> dict[str, float]:
    metrics = {"gate/promote": float(decision.verdict == "promote")}
    seen: Counter[str] = Counter()
    for check in decision.evidence:
        seen[check.kind] += 1
        number = seen[check.kind]
        prefix = f"gate/{check.kind}" if number == 1 else f"gate/{check.kind}-{number}"
        for name in (
            "champion_mean",
            "challenger_mean",
            "difference",
            "ci_low",
            "ci_high",
            "p_adjusted",
            "power",
            "needed_cases",
        ):
            value = getattr(check, name)
            if value is not None:
                metrics[f"{prefix}/{name}"] = float(value)
        metrics[f"{prefix}/n"] = float(check.n)
        metrics[f"{prefix}/look"] = float(check.look)
    return metrics
