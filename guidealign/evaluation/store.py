"""SQL of evaluation: case scores and gate decisions."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine, text

from guidealign.evaluation.model import CheckResult, GateDecision, GatePolicy
from guidealign.records import CaseScore, EvaluationRun, Unscored

_INSERT_RESULT = text(
    "insert into core.benchmark_results (model_name, version, benchmark, evaluator, metric,"
    " case_id, category, kind, cluster, value, reason) values (:model_name, :version, :benchmark,"
    " :evaluator, :metric, :case_id, :category, :kind, :cluster, :value, :reason)"
    " on conflict on constraint uq_benchmark_results_case do nothing"
)
_SELECT_RESULTS = text(
    "select case_id, category, kind, cluster, value, reason from core.benchmark_results"
    " where model_name = :model_name and version = :version and benchmark = :benchmark"
    " and evaluator = :evaluator and metric = :metric order by case_id"
)
_FIND_DECISION = text(
    "select id, verdict, reason, evidence from core.gate_decisions where model_name = :model_name"
    " and challenger_version = :challenger and champion_version = :champion"
    " and input_digest = :digest"
)
_INSERT_DECISION = text(
    "insert into core.gate_decisions (model_name, challenger_version, champion_version, verdict,"
    " reason, policy, evidence, evaluator, input_digest) values (:model_name, :challenger,"
    " :champion, :verdict, :reason, :policy, :evidence, :evaluator, :digest)"
    " on conflict do nothing"
)


def store_run(run: EvaluationRun, engine: Engine) -> None:
    """Stores all scores of a run; what is there already stays."""
    key = _key(run)
    rows = [
        {**key, **_case(score), "cluster": score.cluster, "value": score.value, "reason": None}
        for score in run.scores
    ]
    rows += [
        {**key, **_case(u), "cluster": u.case_id, "value": None, "reason": u.reason}
        for u in run.unscored
    ]
    if rows:
        with engine.begin() as connection:
            connection.execute(_INSERT_RESULT, rows)


def load_run(like: EvaluationRun, engine: Engine) -> EvaluationRun:
    """The stored scores under the key of `like` (model, version, benchmark, evaluator, metric)."""
    with engine.connect() as connection:
        rows = connection.execute(_SELECT_RESULTS, _key(like)).all()
    scores = tuple(
        CaseScore(
            case_id=r.case_id, category=r.category, kind=r.kind, value=r.value, cluster=r.cluster
        )
        for r in rows
        if r.value is not None
    )
    unscored = tuple(
        Unscored(case_id=r.case_id, category=r.category, kind=r.kind, reason=r.reason)
        for r in rows
        if r.value is None
    )
    return replace(like, scores=scores, unscored=unscored)


def _key(run: EvaluationRun) -> dict[str, Any]:
    return {
        "model_name": run.model_name,
        "version": run.version,
        "benchmark": run.benchmark,
        "evaluator": run.evaluator,
        "metric": run.metric,
    }


def _case(case: CaseScore | Unscored) -> dict[str, Any]:
    return {"case_id": case.case_id, "category": case.category, "kind": case.kind}


def save_decision(
    engine: Engine, draft: GateDecision, *, policy: GatePolicy, evaluator: str, digest: str
) -> GateDecision:
    """Stores a decision once; the same inputs give back the stored one."""
    values = {
        "model_name": draft.model_name,
        "challenger": draft.challenger_version,
        "champion": draft.champion_version,
        "digest": digest,
    }
    with engine.begin() as connection:
        connection.execute(
            _INSERT_DECISION,
            {
                **values,
                "verdict": draft.verdict,
                "reason": draft.reason,
                "policy": policy.model_dump_json(),
                "evidence": json.dumps([check.as_dict() for check in draft.evidence]),
                "evaluator": evaluator,
            },
        )
        return _stored(connection, draft, values)


def _stored(connection: Connection, draft: GateDecision, values: dict[str, Any]) -> GateDecision:
    row = connection.execute(_FIND_DECISION, values).one()
    evidence = tuple(
        CheckResult(**(check | {"worse_categories": tuple(check["worse_categories"])}))
        for check in row.evidence
    )
    return replace(
        draft, decision_id=row.id, verdict=row.verdict, reason=row.reason, evidence=evidence
    )
